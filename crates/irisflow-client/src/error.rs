//! What goes wrong, and whether trying again may help.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered no, and said why.
    #[error("{0}")]
    Refused(Box<ApiError>),
    /// There is no connection, or it broke. Links and tokens are never part of the reason.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The answer is not what this client knows: is it an Irisflow server, and not a newer one?
    #[error("the server's answer is not understood: {0}")]
    NotUnderstood(String),
    /// Nobody has signed in, or the session has ended.
    #[error("not signed in, or the session has ended; sign in again")]
    SignedOut,
    /// Not an address of a server.
    #[error("{0:?} is not an address of a server; write it as in https://iris.example.com")]
    BadAddress(String),
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The token of a renewed session could not be kept.
    #[error("cannot keep the session: {0}")]
    Keeping(io::Error),
}

/// How a server says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status; 0 when it was said on a socket.
    pub status: u16,
    /// A stable name, for programs.
    pub code: String,
    /// A sentence, for people.
    pub message: String,
    /// One thing to do, where there is one.
    pub suggestion: Option<String>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
}

impl ClientError {
    /// The server's stable name for what went wrong, where it was the server that said so.
    pub fn code(&self) -> Option<&str> {
        self.refusal().map(|refusal| refusal.code.as_str())
    }

    /// One thing to do, where the server has named one.
    pub fn suggestion(&self) -> Option<&str> {
        self.refusal()?.suggestion.as_deref()
    }

    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        self.refusal()
            .map(|refusal| refusal.status)
            .filter(|&status| status != 0)
    }

    /// Whether the same call may succeed later.
    pub fn may_be_retried(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(refusal) => matches!(refusal.status, 408 | 429 | 502..=504),
            Self::NotUnderstood(_)
            | Self::SignedOut
            | Self::BadAddress(_)
            | Self::File { .. }
            | Self::Keeping(_) => false,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.refusal()?.retry_after
    }

    /// Whether a fresh access token may help.
    pub(crate) fn is_about_the_token(&self) -> bool {
        matches!(self.code(), Some("token_expired" | "invalid_token"))
    }

    fn refusal(&self) -> Option<&ApiError> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

impl From<reqwest::Error> for ClientError {
    fn from(error: reqwest::Error) -> Self {
        // Links carry signatures and sockets a token: neither belongs in a message.
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

/// The body of an error answer. A validation error has a list where others have a sentence.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    detail: Value,
    code: Option<String>,
    suggestion: Option<String>,
}

impl ApiError {
    pub(crate) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let body = serde_json::from_slice(body).unwrap_or(ErrorBody {
            detail: Value::Null,
            code: None,
            suggestion: None,
        });
        Self {
            status,
            code: body.code.unwrap_or_else(|| format!("http_{status}")),
            message: sentence(&body.detail)
                .unwrap_or_else(|| format!("The server answered with status {status}.")),
            suggestion: body.suggestion,
            retry_after: retry_after(headers),
        }
    }
}

fn sentence(detail: &Value) -> Option<String> {
    match detail {
        Value::String(sentence) => Some(sentence.clone()),
        Value::Array(issues) => {
            let said = issues.iter().filter_map(|issue| issue["msg"].as_str());
            Some(said.collect::<Vec<_>>().join(" ")).filter(|said| !said.is_empty())
        }
        _ => None,
    }
}

/// Seconds only: our servers send no dates here.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse();
    seconds.ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_the_servers_code_sentence_and_suggestion() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, 7.into());
        let body =
            br#"{"detail":"This is no image.","code":"not_an_image","suggestion":"Send a JPEG."}"#;
        let error = ClientError::Refused(Box::new(ApiError::read(400, &headers, body)));
        assert_eq!(error.to_string(), "This is no image.");
        assert_eq!(error.code(), Some("not_an_image"));
        assert_eq!(error.suggestion(), Some("Send a JPEG."));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn all_issues_of_a_validation_error_are_told() {
        let body = br#"{"detail":[{"loc":["body"],"msg":"One.","type":"x"},{"msg":"Two."}],"code":"validation_error"}"#;
        let refusal = ApiError::read(422, &HeaderMap::new(), body);
        assert_eq!(refusal.message, "One. Two.");
    }

    #[test]
    fn what_a_proxy_says_is_told_by_its_status() {
        let refusal = ApiError::read(502, &HeaderMap::new(), b"<html>");
        assert_eq!(refusal.code, "http_502");
        assert!(ClientError::Refused(Box::new(refusal)).may_be_retried());
    }
}
