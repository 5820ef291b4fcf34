//! The embedded web app, served compressed and with ETags, and the security headers of all responses.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use memory_serve::CacheControl;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::app::App;
use crate::public_url::names_loopback;

/// Content security policy of the web app: scripts and styles of this server only, pictures from signed URLs (which
/// may be on another host), live progress over WebSockets, uploads to a storage that receives them itself.
fn page_policy(storage_origin: Option<&str>) -> String {
    let storage = storage_origin.map_or_else(String::new, |origin| format!(" {origin}"));
    format!(
        "default-src 'self'; img-src 'self' blob: data: https: http:; \
         connect-src 'self' ws: wss:{storage}; style-src 'self' 'unsafe-inline'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'"
    )
}

/// Content security policy of `/docs`, whose markup has inline styles.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// The page at `/` and its assets.
pub(crate) fn web_app(storage_origin: Option<&str>) -> Router {
    let page = memory_serve::load!()
        .index_file(Some("/index.html"))
        .html_cache_control(CacheControl::NoCache)
        .into_router();
    let policy = HeaderValue::try_from(page_policy(storage_origin)).ok();
    page.layer(SetResponseHeaderLayer::if_not_present(
        header::CONTENT_SECURITY_POLICY,
        policy,
    ))
}

/// The page `/docs`, which shows the OpenAPI description. All its assets come from this server.
pub(crate) fn docs_page(docs: Router) -> Router {
    docs.layer(header_unless_set(
        header::CONTENT_SECURITY_POLICY,
        DOCS_POLICY,
    ))
}

/// Adds `Cache-Control: no-store`, since responses of the API hold tokens and personal data.
pub(crate) fn without_caching(api: Router<App>) -> Router<App> {
    api.layer(header_unless_set(header::CACHE_CONTROL, "no-store"))
}

/// Adds security headers: against MIME sniffing, framing and referrers, and HSTS when the server is reached by HTTPS.
pub(crate) fn with_security_headers(router: Router, is_secure: bool) -> Router {
    let router = router
        .layer(header_unless_set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header_unless_set(header::X_FRAME_OPTIONS, "DENY"))
        .layer(header_unless_set(header::REFERRER_POLICY, "no-referrer"));
    if is_secure {
        router.layer(from_fn(add_hsts))
    } else {
        router
    }
}

/// Adds HTTP Strict Transport Security (RFC 6797) for a year; not for `localhost`, whose policy would apply to all
/// other local servers, too.
async fn add_hsts(request: Request, next: Next) -> Response {
    let is_local = names_loopback(request.headers());
    let mut response = next.run(request).await;
    if !is_local {
        let one_year = HeaderValue::from_static("max-age=31536000");
        let headers = response.headers_mut();
        headers.insert(header::STRICT_TRANSPORT_SECURITY, one_year);
    }
    response
}

fn header_unless_set(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_may_upload_to_a_storage_that_receives_uploads_itself() {
        let policy = page_policy(Some("https://photos.example.com"));
        assert!(policy.contains("connect-src 'self' ws: wss: https://photos.example.com;"));
        assert!(page_policy(None).contains("connect-src 'self' ws: wss:;"));
    }
}
