//! The table of contents of the API.

use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::routing::get;
use axum::{Json, Router};
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;
use crate::error::ApiError;
use crate::limits::limit_address;
use crate::live::job_socket;
use crate::observe::observe;
use crate::openapi::{ApiDescription, add_common_answers};
use crate::request_id::REQUEST_ID;
use crate::time_limits::limit_time;
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
        .routes(routes!(privacy::list::list, privacy::give::give))
        .routes(routes!(photos::upload::upload))
        .routes(routes!(photos::confirm::confirm))
        .routes(routes!(photos::check::check))
        .routes(routes!(photos::create::create, photos::list::list))
        .routes(routes!(photos::show::show, photos::delete::delete))
        .routes(routes!(processing::submit::submit))
        .routes(routes!(processing::batch::batch))
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
    add_common_answers(&mut description);
    (router, description)
}

pub(crate) fn router(app: &App) -> Router {
    let (described, description) = describe(api(), health_routes());
    // A key has slashes, which the description cannot say of a path parameter.
    let signed_files = Router::new()
        .route("/api/v1/files/{*key}", get(files::read).put(files::write))
        .layer(DefaultBodyLimit::disable());
    let docs = SwaggerUi::new("/docs").url("/api/v1/openapi.json", description);

    let api = described
        .merge(signed_files)
        .route("/ws/jobs/{job_id}", get(job_socket))
        .layer(DefaultBodyLimit::max(JSON_LIMIT))
        .layer(cors(app))
        .with_state(app.clone())
        .merge(docs)
        .merge(web::web_app())
        .fallback(|| async { ApiError::NotFound("Not found") })
        .method_not_allowed_fallback(method_not_allowed);
    // From the outermost inwards: every answer has an id and is counted, also one that came too late.
    web::with_safe_headers(api)
        .layer(from_fn_with_state(app.clone(), limit_address))
        .layer(from_fn_with_state(app.clone(), limit_time))
        .layer(from_fn(observe))
}

async fn method_not_allowed() -> axum::response::Response {
    let body = serde_json::json!({
        "detail": "This path does not take this method.",
        "code": "method_not_allowed",
    });
    (axum::http::StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}

fn cors(app: &App) -> CorsLayer {
    let allowed: Vec<HeaderValue> = app
        .settings
        .allowed_origins
        .iter()
        .filter_map(|origin| origin.parse().ok())
        .collect();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(allowed))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
            REQUEST_ID,
        ])
        .expose_headers([REQUEST_ID, header::RETRY_AFTER])
        .max_age(Duration::from_secs(600))
}
