//! Each request has an id, so that a person can name it and an operator find it: the caller's own if it
//! is well formed, else one of ours.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ones are replaced: an id is for log lines, not for messages.
const LONGEST: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct RequestId(String);

impl RequestId {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let theirs = headers
            .get(REQUEST_ID)
            .and_then(|value| value.to_str().ok())
            .filter(|text| is_well_formed(text));
        Self(theirs.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn to_header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

/// Nothing that could break a log line or pretend to be another field.
fn is_well_formed(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(theirs: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, theirs.parse().expect("a header"));
        RequestId::of(&headers).as_str().to_owned()
    }

    #[test]
    fn a_well_formed_id_is_taken_over() {
        assert_eq!(id_for("order-17.retry_2"), "order-17.retry_2");
    }

    #[test]
    fn anything_else_is_replaced() {
        let long = "a".repeat(LONGEST + 1);
        for theirs in ["", "two words", "a=b", "\"quoted\"", &long] {
            let ours = id_for(theirs);
            assert!(Uuid::parse_str(&ours).is_ok(), "{theirs:?} became {ours}");
        }
    }
}
