//! Request ids (`X-Request-Id`), by which an operator finds the log lines of a request that a user reports. The id of
//! the client is used if it is well formed, else a random one.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum length of an id from a client, in bytes. Longer ones are replaced, so that they do not fill the log.
const MAX_BYTES: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct RequestId(String);

impl RequestId {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let from_client = headers
            .get(REQUEST_ID)
            .and_then(|value| value.to_str().ok())
            .filter(|text| is_well_formed(text));
        Self(from_client.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn to_header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

/// Allows only characters that cannot break a log line or imitate another field (log injection).
fn is_well_formed(text: &str) -> bool {
    (1..=MAX_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(from_client: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, from_client.parse().expect("a header"));
        RequestId::of(&headers).as_str().to_owned()
    }

    #[test]
    fn a_well_formed_id_is_taken_over() {
        assert_eq!(id_for("order-17.retry_2"), "order-17.retry_2");
    }

    #[test]
    fn anything_else_is_replaced() {
        let long = "a".repeat(MAX_BYTES + 1);
        for from_client in ["", "two words", "a=b", "\"quoted\"", &long] {
            let id = id_for(from_client);
            assert!(Uuid::parse_str(&id).is_ok(), "{from_client:?} became {id}");
        }
    }
}
