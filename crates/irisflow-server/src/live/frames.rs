//! The frames of a job's socket.

use irisflow_jobs::{Event, EventKind, JobId, Timestamp, shown_step};
use irisflow_photos::ObjectKey;
use serde::Serialize;

use crate::app::AppState;
use crate::outlook::OutlookBody;
use crate::public_url::BaseUrl;
use crate::quality::MeasuredBody;

/// How a job stands, or how it ended.
#[derive(Serialize)]
struct JobFrame<'a> {
    job_id: JobId,
    status: &'a str,
    progress: u8,
    step: &'static str,
    timestamp: String,
    attempt_count: u32,
    /// Before the end.
    #[serde(flatten)]
    outlook: Option<&'a OutlookBody>,
    #[serde(flatten)]
    end: Option<End<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum End<'a> {
    Completed {
        result_url: String,
        mask_url: String,
        before_url: String,
        processing_time_ms: u64,
        result_width: u32,
        result_height: u32,
    },
    Failed {
        error_type: &'static str,
        code: &'a str,
        message: &'a str,
        suggestion: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        measured: Option<MeasuredBody>,
    },
}

/// Why a socket is refused or closed early.
#[derive(Serialize)]
pub(crate) struct ErrorFrame {
    pub(crate) error: &'static str,
    pub(crate) detail: String,
    pub(crate) code: &'static str,
    #[serde(flatten)]
    pub(crate) standing: Option<Standing>,
}

/// How the job stood when the socket had to end; only for who may know.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Standing {
    job_id: JobId,
    status: String,
    progress: u8,
    step: &'static str,
    timestamp: String,
}

impl Standing {
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            job_id: event.job_id,
            status: event.body.status.clone(),
            progress: event.body.progress,
            step: shown_step(event.body.step),
            timestamp: event.at.to_rfc3339(),
        }
    }

    pub(crate) fn at(mut self, now: Timestamp) -> Self {
        self.timestamp = now.to_rfc3339();
        self
    }
}

impl ErrorFrame {
    pub(crate) fn new(error: &'static str, detail: impl Into<String>, code: &'static str) -> Self {
        Self {
            error,
            detail: detail.into(),
            code,
            standing: None,
        }
    }

    pub(crate) fn with(mut self, standing: Option<Standing>) -> Self {
        self.standing = standing;
        self
    }

    pub(crate) fn to_json(&self) -> String {
        to_json(self)
    }
}

impl AppState {
    /// An event as a frame, and what can be said of the time to come. URLs are signed now.
    pub(crate) fn job_frame(
        &self,
        event: &Event,
        outlook: &OutlookBody,
        at: Timestamp,
        base: &BaseUrl,
    ) -> String {
        let body = &event.body;
        let completed = body.result.as_ref().map(|result| {
            let keys = ObjectKey::of_attempt(event.user_id, event.job_id, result.epoch);
            let [result_url, mask_url, before_url] = keys.map(|key| self.download_url(base, &key));
            End::Completed {
                result_url,
                mask_url,
                before_url,
                processing_time_ms: result.processing_time_ms,
                result_width: result.width_px,
                result_height: result.height_px,
            }
        });
        let failed = body
            .failure
            .as_ref()
            .filter(|_| event.kind == EventKind::Failed);
        let failed = failed.map(|failure| End::Failed {
            error_type: failure.error_type.name(),
            code: &failure.code,
            message: &failure.message,
            suggestion: &failure.suggestion,
            measured: failure.measured.as_ref().map(Into::into),
        });
        to_json(&JobFrame {
            job_id: event.job_id,
            status: &body.status,
            progress: body.progress,
            step: shown_step(body.step),
            timestamp: at.to_rfc3339(),
            attempt_count: body.attempt_count,
            outlook: (!event.kind.is_final()).then_some(outlook),
            end: completed.or(failed),
        })
    }
}

fn to_json(frame: &impl Serialize) -> String {
    // Strings and numbers only: there is nothing here that JSON could not say.
    serde_json::to_string(frame).unwrap_or_default()
}
