//! Errors of the client, and which of them are worth a retry.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered with an error.
    #[error("{0}")]
    Refused(Box<ApiError>),
    /// The connection failed or broke. The reason never contains a URL or token.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The response could not be parsed: the other side may be another program, or a newer version of
    /// the server.
    #[error("the server's answer is not understood: {0}")]
    InvalidResponse(String),
    /// There is no session, or it has expired.
    #[error("not signed in, or the session has ended; sign in again")]
    SignedOut,
    /// The given server address is no base URL.
    #[error("{0:?} is not an address of a server; write it as in https://iris.example.com")]
    BadAddress(String),
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The refresh token of a renewed session could not be stored.
    #[error("cannot keep the session: {0}")]
    SessionNotSaved(io::Error),
}

/// An error response of the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status; 0 when the error came over a WebSocket.
    pub status: u16,
    /// A stable machine-readable code.
    pub code: String,
    /// A sentence to show to the user.
    pub message: String,
    /// What the user can do about it, where there is anything.
    pub suggestion: Option<String>,
    /// From `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl ClientError {
    /// The server's stable error code, where the error came from the server.
    pub fn code(&self) -> Option<&str> {
        self.api_error().map(|error| error.code.as_str())
    }

    /// What the user can do about it, where the server has suggested something.
    pub fn suggestion(&self) -> Option<&str> {
        self.api_error()?.suggestion.as_deref()
    }

    /// The HTTP status of an error response.
    pub fn status(&self) -> Option<u16> {
        self.api_error()
            .map(|error| error.status)
            .filter(|&status| status != 0)
    }

    /// Whether the same call may succeed later.
    pub fn may_be_retried(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(error) => matches!(error.status, 408 | 429 | 502..=504),
            Self::InvalidResponse(_)
            | Self::SignedOut
            | Self::BadAddress(_)
            | Self::File { .. }
            | Self::SessionNotSaved(_) => false,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.api_error()?.retry_after
    }

    /// Whether the access token was rejected, so that a renewed one may help.
    pub(crate) fn is_rejected_token(&self) -> bool {
        matches!(self.code(), Some("token_expired" | "invalid_token"))
    }

    fn api_error(&self) -> Option<&ApiError> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }
}

impl From<reqwest::Error> for ClientError {
    fn from(error: reqwest::Error) -> Self {
        // Presigned URLs carry a signature and WebSocket URLs a token: neither belongs in a message.
        let error = error.without_url();
        let mut reason = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(deeper) = source {
            reason = deeper.to_string();
            source = deeper.source();
        }
        Self::Unreachable(reason)
    }
}

/// The body of an error response. `detail` is a sentence, or of a validation error a list of issues.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    detail: Value,
    code: Option<String>,
    suggestion: Option<String>,
}

impl ApiError {
    pub(crate) fn parse(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let body = serde_json::from_slice(body).unwrap_or(ErrorBody {
            detail: Value::Null,
            code: None,
            suggestion: None,
        });
        Self {
            status,
            code: body.code.unwrap_or_else(|| format!("http_{status}")),
            message: message_of(&body.detail)
                .unwrap_or_else(|| format!("The server answered with status {status}.")),
            suggestion: body.suggestion,
            retry_after: retry_after(headers),
        }
    }
}

fn message_of(detail: &Value) -> Option<String> {
    match detail {
        Value::String(sentence) => Some(sentence.clone()),
        Value::Array(issues) => {
            let messages = issues.iter().filter_map(|issue| issue["msg"].as_str());
            Some(messages.collect::<Vec<_>>().join(" ")).filter(|joined| !joined.is_empty())
        }
        _ => None,
    }
}

/// `Retry-After` in seconds; the form with a date is ignored, since Irisflow servers never send it.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse();
    seconds.ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_response_carries_code_message_and_suggestion() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, 7.into());
        let body =
            br#"{"detail":"This is no image.","code":"not_an_image","suggestion":"Send a JPEG."}"#;
        let error = ClientError::Refused(Box::new(ApiError::parse(400, &headers, body)));
        assert_eq!(error.to_string(), "This is no image.");
        assert_eq!(error.code(), Some("not_an_image"));
        assert_eq!(error.suggestion(), Some("Send a JPEG."));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn the_message_of_a_validation_error_joins_all_issues() {
        let body = br#"{"detail":[{"loc":["body"],"msg":"One.","type":"x"},{"msg":"Two."}],"code":"validation_error"}"#;
        let error = ApiError::parse(422, &HeaderMap::new(), body);
        assert_eq!(error.message, "One. Two.");
    }

    #[test]
    fn an_error_page_of_a_proxy_is_classified_by_its_status() {
        let error = ApiError::parse(502, &HeaderMap::new(), b"<html>");
        assert_eq!(error.code, "http_502");
        assert!(ClientError::Refused(Box::new(error)).may_be_retried());
    }
}
