//! Router: all routes of the server and the order of its middleware.

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state, map_request};
use axum::response::IntoResponse as _;
use axum::routing::get;
use axum::{Json, Router};
use irisflow_messages::{Language, text};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;
use crate::connections::track;
use crate::cors::with_cors;
use crate::error::{ApiError, Missing};
use crate::live::{self, job_socket, user_socket};
use crate::openapi::{self, ApiDescription};
use crate::public_url::set_host_from_authority;
use crate::request_log::observe;
use crate::timeouts::limit_time;
use crate::transfer_limits::limit_transfers;
use crate::usage_limits::limit_address;
use crate::{auth, files, health, metrics, photos, privacy, processing, web, webhooks};

/// Maximum size of a JSON body in bytes. Photos are streamed and have their own limit.
const MAX_JSON_BYTES: usize = 64 * 1024;

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
        .routes(routes!(photos::create_upload_url::upload))
        .routes(routes!(photos::confirm::confirm))
        .routes(routes!(photos::check::check))
        .routes(routes!(
            photos::create_with_bytes::create,
            photos::list::list
        ))
        .routes(routes!(photos::show::show, photos::delete::delete))
        .routes(routes!(processing::submit::submit))
        .routes(routes!(processing::submit_batch::batch))
        .routes(routes!(processing::show_batch::show_batch))
        .routes(routes!(processing::cancel_batch::cancel_batch))
        .routes(routes!(processing::list::list))
        .routes(routes!(processing::show::show, processing::delete::delete))
        .routes(routes!(processing::cancel::cancel))
        .routes(routes!(processing::reprocess::reprocess))
        .routes(routes!(live::events::events))
        .routes(routes!(live::create_ticket::create))
        .routes(routes!(webhooks::list::list, webhooks::create::create))
        .routes(routes!(
            webhooks::show::show,
            webhooks::change::change,
            webhooks::delete::delete
        ))
        .routes(routes!(webhooks::rotate_secret::rotate_secret))
        .routes(routes!(webhooks::send_test::send_test))
        .routes(routes!(webhooks::list_deliveries::list_deliveries))
        .routes(routes!(webhooks::redeliver::redeliver))
}

fn health_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
}

/// The OpenAPI description, generated from the handlers.
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
    // Not in the OpenAPI description, where a path parameter cannot contain slashes, as object keys do.
    let signed_files = Router::new()
        .route("/api/v1/files/{*key}", get(files::read).put(files::write))
        .layer(DefaultBodyLimit::disable());
    let docs = SwaggerUi::new("/docs").url("/api/v1/openapi.json", description);

    let api = web::without_caching(described)
        .merge(signed_files)
        .route("/ws", get(user_socket))
        .route("/ws/jobs/{job_id}", get(job_socket))
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
        .with_state(app.clone())
        .merge(web::docs_page(docs.into()))
        .merge(web::web_app(app.parts.links.origin()))
        .fallback(|| async { ApiError::NotFound(Missing::Path) })
        .method_not_allowed_fallback(method_not_allowed);
    // The layer added last is the outermost. So every response has a request id, is counted and has CORS headers,
    // also those of the timeout and limit layers.
    let limited = web::with_security_headers(api, app.settings.is_secure())
        .layer(from_fn_with_state(app.clone(), limit_transfers))
        .layer(from_fn_with_state(app.clone(), limit_address))
        .layer(from_fn_with_state(app.clone(), limit_time))
        .layer(map_request(set_host_from_authority));
    with_cors(limited, &app.settings.allowed_origins)
        .layer(from_fn(observe))
        .layer(from_fn(track))
}

async fn method_not_allowed() -> axum::response::Response {
    let body = serde_json::json!({
        "detail": text!("error-method-not-allowed").in_language(Language::PROGRAM),
        "code": "method_not_allowed",
    });
    (axum::http::StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}
