//! CORS: pages of the origins that the operator allows may call the API. Origins are compared exactly. Preflight
//! requests are answered on every route, and errors have the headers too, since a page could not read them otherwise.

use std::str::FromStr;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::request_id::REQUEST_ID;

/// How long a browser may cache the response to a preflight request (`Access-Control-Max-Age`).
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// A web origin as serialized by browsers (RFC 6454 section 6.2): `https://app.example.com`, `http://localhost:3000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    text: String,
    header: HeaderValue,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not an origin as browsers send it: http:// or https://, a host in lower case, and a port \
     unless it is the scheme's own, without a slash at the end"
)]
pub struct OriginError(String);

impl Origin {
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let invalid = || OriginError(text.to_owned());
        let (default_port, rest) = match text.split_once("://").ok_or_else(invalid)? {
            ("http", rest) => (":80", rest),
            ("https", rest) => (":443", rest),
            _ => return Err(invalid()),
        };
        let is_allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte)
        };
        if rest.is_empty() || !rest.bytes().all(is_allowed) || rest.ends_with(default_port) {
            return Err(invalid());
        }
        let header = HeaderValue::from_str(text).map_err(|_| invalid())?;
        Ok(Self {
            text: text.to_owned(),
            header,
        })
    }
}

/// Adds the CORS layer for these origins; without any, the router stays as it is.
pub(crate) fn with_cors(router: Router, allowed: &[Origin]) -> Router {
    if allowed.is_empty() {
        return router;
    }
    let origins = allowed.iter().map(|origin| origin.header.clone());
    // No `allow_credentials`: clients authenticate by the `Authorization` header and need no cookies.
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            header::RANGE,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            REQUEST_ID,
        ])
        .expose_headers([
            header::ACCEPT_RANGES,
            header::CONTENT_DISPOSITION,
            header::CONTENT_RANGE,
            header::ETAG,
            header::RETRY_AFTER,
            REQUEST_ID,
        ])
        .max_age(PREFLIGHT_MAX_AGE);
    router.layer(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for text in [
            "https://app.example.com",
            "http://localhost:3000",
            "http://[::1]:8080",
        ] {
            assert_eq!(text.parse::<Origin>().expect(text).as_str(), text);
        }
        for text in [
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://app.example.com/",
            "https://App.example.com",
            "https://app.example.com:443",
            "https://app.example.com/page",
            "ftp://app.example.com",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
