//! Frames of the multiplexed transports. `user_stream.rs` writes those of the chain of events around JSON that all
//! watchers share; their types here describe them for the published schema.

use irisflow_jobs::{ErrorType, JobId};
use irisflow_messages::{Advice, Language, Text};
use serde::Serialize;
use utoipa::ToSchema;

use super::event_body::EventObject;
use crate::estimates::EstimateBody;
use crate::processing::JobStatusBody;

/// Frames of the chain of events. Each has the position of the client after it.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(
    dead_code,
    reason = "`user_stream.rs` writes these frames; this type describes them"
)]
pub(crate) enum ChainFrame {
    /// The present state: unfinished jobs and the 50 newest finished ones that match the filter, newest first. First
    /// frame without a cursor, and after each `gap`. Replaces what the client has.
    Snapshot {
        cursor: String,
        jobs: Vec<JobStatusBody>,
    },
    /// First frame when the cursor was accepted. The events after it follow.
    Resumed { cursor: String },
    /// A change of a job.
    Event {
        /// The position to resume from once this event is handled.
        cursor: String,
        /// The cursor of the frame before this one. If it differs from the client's cursor, a frame was lost.
        prev: String,
        event: Box<EventObject>,
    },
    /// The events after the client's cursor are not known any more; a snapshot follows.
    Gap {
        reason: GapReasonName,
        cursor: String,
    },
}

/// Frames beside the chain of events. They have no cursor.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ServerFrame {
    /// Queue position and remaining time of a job, when they have changed. Has no cursor and may be left out for a
    /// slow client.
    Estimate {
        job_id: JobIdText,
        #[serde(flatten)]
        estimate: EstimateBody,
    },
    /// Sent a minute before the access token expires. Answer it with a `token` frame.
    TokenExpiring { expires_in_ms: u64 },
    /// The token was replaced.
    TokenAccepted { expires_in_ms: u64 },
    /// The answer to `ping`.
    Pong,
    /// The server closes the connection, with 1012 on a WebSocket. Reconnect after this time, with the last cursor.
    Closing {
        reason: ClosingReason,
        reconnect_in_ms: u64,
    },
    /// The reason why the server closes the connection.
    Error {
        error: &'static str,
        detail: String,
        /// A stable code.
        code: &'static str,
        /// `transient_error`, `server_error` or `quality_issue`; present when reconnecting does not help.
        #[serde(skip_serializing_if = "Option::is_none")]
        error_type: Option<&'static str>,
        /// Text for the user.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        suggestion: Option<String>,
        /// When to try again.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in_ms: Option<u64>,
    },
}

#[derive(Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Uuid)]
pub(crate) struct JobIdText(JobId);

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(
    dead_code,
    reason = "`user_stream.rs` writes these names; the schema lists them"
)]
pub(crate) enum GapReasonName {
    /// Old events were deleted, or those of a deleted job.
    Pruned,
    /// The cursor is newer than the timeline.
    Ahead,
    /// The database was restored from a backup.
    Epoch,
    /// The cursor is not one.
    Invalid,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClosingReason {
    Shutdown,
}

impl ServerFrame {
    pub(crate) fn estimate(job_id: JobId, estimate: EstimateBody) -> String {
        ServerFrame::Estimate {
            job_id: JobIdText(job_id),
            estimate,
        }
        .to_json()
    }

    /// The reconnects of `connections` clients are spread over a time in which the server accepts them easily.
    pub(crate) fn closing(connections: usize) -> Self {
        let spread_ms = (connections as u64 * MS_PER_RECONNECT).max(MIN_SPREAD_MS);
        ServerFrame::Closing {
            reason: ClosingReason::Shutdown,
            reconnect_in_ms: rand::random_range(0..=spread_ms),
        }
    }

    pub(crate) fn error(error: &'static str, detail: Text, code: &'static str) -> Self {
        ServerFrame::Error {
            error,
            detail: detail.in_language(Language::PROGRAM),
            code,
            error_type: None,
            message: None,
            suggestion: None,
            retry_in_ms: None,
        }
    }

    /// Adds the text for the user.
    #[must_use]
    pub(crate) fn with_advice(mut self, of: ErrorType, advice: &Advice) -> Self {
        if let ServerFrame::Error {
            error_type,
            message,
            suggestion,
            ..
        } = &mut self
        {
            *error_type = Some(of.name());
            *message = Some(advice.message.in_language(Language::PROGRAM));
            *suggestion = Some(advice.suggestion.in_language(Language::PROGRAM));
        }
        self
    }

    #[must_use]
    pub(crate) fn with_retry(mut self, after_ms: u64) -> Self {
        if let ServerFrame::Error { retry_in_ms, .. } = &mut self {
            *retry_in_ms = Some(after_ms);
        }
        self
    }

    /// The `type` of the frame.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            ServerFrame::Estimate { .. } => "estimate",
            ServerFrame::TokenExpiring { .. } => "token_expiring",
            ServerFrame::TokenAccepted { .. } => "token_accepted",
            ServerFrame::Pong => "pong",
            ServerFrame::Closing { .. } => "closing",
            ServerFrame::Error { .. } => "error",
        }
    }

    pub(crate) fn to_json(&self) -> String {
        // Frames hold only strings and numbers, which always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A reconnect costs the server about a millisecond of one core.
const MS_PER_RECONNECT: u64 = 2;
const MIN_SPREAD_MS: u64 = 1_000;
