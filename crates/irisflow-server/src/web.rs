//! The web app, embedded and compressed, with ETags; and the headers every answer carries.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use memory_serve::CacheControl;
use tower_http::set_header::SetResponseHeaderLayer;

/// Our own scripts and styles only; pictures from signed URLs; live progress by WebSocket.
const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' blob: data: https: http:; \
    connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'";

/// The page at `/` and its assets.
pub(crate) fn web_app() -> Router {
    memory_serve::load!()
        .index_file(Some("/index.html"))
        .html_cache_control(CacheControl::NoCache)
        .into_router()
        .layer(header_unless_set(
            header::CONTENT_SECURITY_POLICY,
            PAGE_POLICY,
        ))
}

/// Headers that do no harm anywhere and close some doors.
pub(crate) fn with_safe_headers(router: Router) -> Router {
    router
        .layer(header_unless_set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header_unless_set(header::REFERRER_POLICY, "no-referrer"))
}

fn header_unless_set(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}
