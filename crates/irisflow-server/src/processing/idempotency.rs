//! The header `Idempotency-Key`: a retried request submits nothing again and gets the first response.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use irisflow_jobs::{SubmissionKey, UserId};
use irisflow_messages::text;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;

const HEADER: &str = "idempotency-key";
/// Maximum length of a key in bytes.
pub(crate) const MAX_BYTES: usize = 255;

/// The key of a request, if the client sent one.
pub(crate) struct IdempotencyKey(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(HEADER) else {
            return Ok(Self(None));
        };
        let is_visible = |key: &str| key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        match value.to_str() {
            Ok(key) if (1..=MAX_BYTES).contains(&key.len()) && is_visible(key) => {
                Ok(Self(Some(key.to_owned())))
            }
            _ => Err(ApiError::Invalid {
                loc: vec!["header".to_owned(), "Idempotency-Key".to_owned()],
                text: text!("invalid-idempotency-key", longest = MAX_BYTES),
                kind: "value_error",
            }),
        }
    }
}

impl IdempotencyKey {
    /// The key with a fingerprint of `operation` and `request`, so that its reuse for another request is detected.
    /// `response` is stored with it and returned to retries.
    pub(crate) fn submission_key(
        &self,
        user_id: UserId,
        operation: &str,
        request: &impl Serialize,
        response: String,
    ) -> Option<SubmissionKey> {
        let key = self.0.clone()?;
        let request = serde_json::to_string(request).unwrap_or_default();
        Some(SubmissionKey {
            user_id,
            key,
            fingerprint: Sha256::digest(format!("{operation}\n{request}")).into(),
            response,
        })
    }
}
