//! The table of contents of the API.

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state, map_request};
use axum::response::IntoResponse as _;
use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;
use crate::connections::track;
use crate::cors::with_cors;
use crate::error::ApiError;
use crate::live::job_socket;
use crate::openapi::{self, ApiDescription};
use crate::public_url::with_host;
use crate::request_log::observe;
use crate::timeouts::limit_time;
use crate::transfer_limits::limit_transfers;
use crate::usage_limits::limit_address;
use crate::{auth, files, health, metrics, photos, privacy, processing, web};

/// JSON bodies are small. Photos are streamed and have a limit of their own.
const JSON_LIMIT: usize = 64 * 1024;

fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(auth::register::register))
        .routes(routes!(auth::login::login_json))
        .routes(routes!(auth::login::login_form))
        .routes(routes!(auth::refresh::refresh))
        .routes(routes!(auth::logout::logout))
        .routes(routes!(auth::me::me, auth::delete_me::delete_me))
        .routes(routes!(auth::change_password::change_password))
        .routes(routes!(
            auth::sessions::sessions,
            auth::end_sessions::end_other_sessions
        ))
        .routes(routes!(auth::end_sessions::end_session))
        .routes(routes!(privacy::jurisdiction::jurisdiction))
        .routes(routes!(
            privacy::list_consents::list,
            privacy::give_consent::give
        ))
        .routes(routes!(privacy::biometric_status::biometric_status))
        .routes(routes!(privacy::withdraw_consent::withdraw))
        .routes(routes!(photos::upload::upload))
        .routes(routes!(photos::confirm::confirm))
        .routes(routes!(photos::check::check))
        .routes(routes!(photos::create::create, photos::list::list))
        .routes(routes!(photos::show::show, photos::delete::delete))
        .routes(routes!(processing::submit::submit))
        .routes(routes!(processing::submit_batch::batch))
        .routes(routes!(processing::show_batch::show_batch))
        .routes(routes!(processing::cancel_batch::cancel_batch))
        .routes(routes!(processing::list::list))
        .routes(routes!(processing::show::show, processing::delete::delete))
        .routes(routes!(processing::cancel::cancel))
        .routes(routes!(processing::reprocess::reprocess))
}

fn health_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
}

/// The description of the API, generated from the handlers.
pub fn openapi() -> OpenApi {
    describe(api(), health_routes()).1
}

fn describe(api: OpenApiRouter<App>, health: OpenApiRouter<App>) -> (Router<App>, OpenApi) {
    let (router, mut description) = OpenApiRouter::with_openapi(ApiDescription::openapi())
        .nest("/api/v1", api)
        .merge(health)
        .split_for_parts();
    openapi::complete(&mut description);
    (router, description)
}

pub(crate) fn router(app: &App) -> Router {
    let (described, description) = describe(api(), health_routes());
    // A key has slashes, which the description cannot say of a path parameter.
    let signed_files = Router::new()
        .route("/api/v1/files/{*key}", get(files::read).put(files::write))
        .layer(DefaultBodyLimit::disable());
    let docs = SwaggerUi::new("/docs").url("/api/v1/openapi.json", description);

    let api = web::never_stored(described)
        .merge(signed_files)
        .route("/ws/jobs/{job_id}", get(job_socket))
        .layer(DefaultBodyLimit::max(JSON_LIMIT))
        .with_state(app.clone())
        .merge(web::docs_page(docs.into()))
        .merge(web::web_app())
        .fallback(|| async { ApiError::NotFound("Not found") })
        .method_not_allowed_fallback(method_not_allowed);
    // The last is the outermost: every answer has an id and is counted, also one that came too late, and
    // pages of allowed origins can read it.
    let limited = web::with_safe_headers(api, app.settings.is_secure())
        .layer(from_fn_with_state(app.clone(), limit_transfers))
        .layer(from_fn_with_state(app.clone(), limit_address))
        .layer(from_fn_with_state(app.clone(), limit_time))
        .layer(map_request(with_host));
    with_cors(limited, &app.settings.allowed_origins)
        .layer(from_fn(observe))
        .layer(from_fn(track))
}

async fn method_not_allowed() -> axum::response::Response {
    let body = serde_json::json!({
        "detail": "This path does not take this method.",
        "code": "method_not_allowed",
    });
    (axum::http::StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}
