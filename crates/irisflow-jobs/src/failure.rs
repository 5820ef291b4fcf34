//! Why an attempt failed, in the three types a client can act on. The failures that there are, with their
//! sentences, are in `irisflow-messages`.

use serde::{Deserialize, Serialize};

/// The types of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorType {
    /// Fixed by another photo, never retried.
    QualityIssue,
    /// Network, storage, timeouts; retried.
    TransientError,
    /// A bug, a panic, out of memory; retried.
    ServerError,
}

impl ErrorType {
    pub fn name(self) -> &'static str {
        match self {
            Self::QualityIssue => "quality_issue",
            Self::TransientError => "transient_error",
            Self::ServerError => "server_error",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "quality_issue" => Some(Self::QualityIssue),
            "transient_error" => Some(Self::TransientError),
            "server_error" => Some(Self::ServerError),
            _ => None,
        }
    }

    pub fn may_be_retried(self) -> bool {
        match self {
            Self::QualityIssue => false,
            Self::TransientError | Self::ServerError => true,
        }
    }
}

/// A failed attempt, as its owner reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub error_type: ErrorType,
    /// The stable name that screens and tests match on.
    pub code: String,
    /// A short sentence for the user: what happened.
    pub message: String,
    /// One thing to do.
    pub suggestion: String,
    /// The number behind it, where there is one.
    #[serde(default)]
    pub measured: Option<MissedLimit>,
}

/// A number that was measured in a photo, and the limit that it missed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MissedLimit {
    /// Its stable name, as in `sharpness`.
    pub figure: String,
    pub value: f64,
    pub threshold: f64,
}

impl Failure {
    pub fn new(
        error_type: ErrorType,
        code: impl Into<String>,
        message: impl Into<String>,
        suggestion: impl Into<String>,
    ) -> Self {
        Self {
            error_type,
            code: code.into(),
            message: message.into(),
            suggestion: suggestion.into(),
            measured: None,
        }
    }
}
