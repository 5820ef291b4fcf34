//! Why an attempt failed, in the three types a client can act on, in plain words.

use serde::{Deserialize, Serialize};

/// Who can do something about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorType {
    /// The person can, with another photo. Never retried.
    QualityIssue,
    /// Time can: network, storage, timeouts. Retried.
    TransientError,
    /// We can: a bug, a panic, out of memory. Retried, as another try may go well.
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
    /// Short and kind: what happened.
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

const TRY_REPROCESS: &str = "Tap 'Reprocess' to try again.";
const TRY_REPROCESS_OR_ANOTHER: &str =
    "Tap 'Reprocess' to try again, or try with a different photo.";
const TRY_LATER: &str = "Please try again later.";

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

    /// Photos could not be read or results not written.
    pub fn storage_unavailable() -> Self {
        Self::new(
            ErrorType::TransientError,
            "storage_unavailable",
            "We could not reach our photo storage.",
            TRY_REPROCESS,
        )
    }

    /// The attempt took longer than it may.
    pub fn timed_out() -> Self {
        Self::new(
            ErrorType::TransientError,
            "timed_out",
            "Processing took too long, so we stopped it.",
            TRY_REPROCESS,
        )
    }

    /// A step panicked or found itself in a state that must not be.
    pub fn step_failed() -> Self {
        Self::new(
            ErrorType::ServerError,
            "step_failed",
            "Something went wrong on our side while working on your photo.",
            TRY_REPROCESS_OR_ANOTHER,
        )
    }

    /// The worker disappeared too often while it held this job.
    pub fn worker_lost() -> Self {
        Self::new(
            ErrorType::ServerError,
            "worker_lost",
            "Our worker stopped several times while working on your photo.",
            TRY_REPROCESS_OR_ANOTHER,
        )
    }

    /// How a cancelled job reads to a client that knows only completed and failed. Not a failed attempt:
    /// a job's state stays `Cancelled`.
    pub fn cancelled() -> Self {
        Self::new(
            ErrorType::TransientError,
            "cancelled",
            "This picture was stopped before it was finished.",
            "Tap 'Reprocess' to start it again.",
        )
    }

    /// How a deleted job reads to such a client: only another photo helps.
    pub fn deleted() -> Self {
        Self::new(
            ErrorType::QualityIssue,
            "deleted",
            "This picture was deleted.",
            "Take a new photo to make another one.",
        )
    }

    /// The job was finished, and its picture is gone from the storage since.
    pub fn result_missing() -> Self {
        Self::new(
            ErrorType::ServerError,
            "result_missing",
            "This picture was finished, but it is no longer in our storage.",
            "Tap 'Reprocess' to make it again.",
        )
    }

    /// Anything without a better name.
    pub fn unexpected() -> Self {
        Self::new(
            ErrorType::ServerError,
            "unexpected",
            "Something unexpected went wrong on our side.",
            TRY_LATER,
        )
    }
}
