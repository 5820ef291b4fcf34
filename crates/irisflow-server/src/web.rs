//! The web app, embedded and compressed, with ETags; and the headers every answer carries.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use memory_serve::CacheControl;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::app::App;
use crate::public_url::names_loopback;

/// Our own scripts and styles only; pictures from signed URLs; live progress by WebSocket.
const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' blob: data: https: http:; \
    connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'";

/// The page `/docs` sets styles in its own markup.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

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

/// The page that shows the description: all its parts are ours, and it asks nobody else.
pub(crate) fn docs_page(docs: Router) -> Router {
    docs.layer(header_unless_set(
        header::CONTENT_SECURITY_POLICY,
        DOCS_POLICY,
    ))
}

/// Tokens, and what is known of a person, stay in no cache.
pub(crate) fn never_stored(api: Router<App>) -> Router<App> {
    api.layer(header_unless_set(header::CACHE_CONTROL, "no-store"))
}

/// Headers that do no harm anywhere and close some doors.
pub(crate) fn with_safe_headers(router: Router, is_secure: bool) -> Router {
    let router = router
        .layer(header_unless_set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header_unless_set(header::X_FRAME_OPTIONS, "DENY"))
        .layer(header_unless_set(header::REFERRER_POLICY, "no-referrer"));
    if is_secure {
        router.layer(from_fn(require_tls))
    } else {
        router
    }
}

/// Browsers remember for a year to come by TLS only; not for `localhost`, where other programs serve
/// without.
async fn require_tls(request: Request, next: Next) -> Response {
    let is_local = names_loopback(request.headers());
    let mut response = next.run(request).await;
    if !is_local {
        let for_a_year = HeaderValue::from_static("max-age=31536000");
        let headers = response.headers_mut();
        headers.insert(header::STRICT_TRANSPORT_SECURITY, for_a_year);
    }
    response
}

fn header_unless_set(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}
