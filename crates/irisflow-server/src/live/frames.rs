//! JSON frames of the WebSocket of one job.

use axum::extract::ws::Utf8Bytes;
use irisflow_jobs::{ErrorType, Event, EventKind, JobId, Timestamp};
use irisflow_messages::{Advice, Language, Text, advice, failures, progress, text};
use serde::Serialize;

use crate::app::AppState;
use crate::estimates::EstimateBody;
use crate::processing::{AlternativeBody, OutlineName, PreviewBody};
use crate::public_url::BaseUrl;
use crate::quality::MissedLimitBody;

const FAILED: &str = "failed";

/// The state of a job, with its result or its failure at the end. A cancelled job ends as `failed` with the
/// `code` `cancelled`, since clients of `/ws/jobs/{job_id}` may support only `completed` and `failed` as
/// final states.
#[derive(Serialize)]
struct JobFrame<'a> {
    job_id: JobId,
    status: &'a str,
    progress: u8,
    step: String,
    timestamp: String,
    attempt_count: u32,
    previews: Vec<PreviewBody>,
    /// `None` in the final frame.
    #[serde(flatten)]
    estimate: Option<&'a EstimateBody>,
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
        thumbnail_url: Option<String>,
        outline: Option<OutlineName>,
        alternative: Option<AlternativeBody>,
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
        measured: Option<MissedLimitBody>,
    },
}

/// A frame of an event as it is sent, with its estimate.
#[derive(Debug)]
pub(crate) struct JobFrameText {
    pub(crate) estimate: EstimateBody,
    pub(crate) json: Utf8Bytes,
}

/// The reason why a socket is rejected or closed early. It also has the fields of a job's state, for clients
/// that parse every frame as one.
#[derive(Serialize)]
pub(crate) struct ErrorFrame {
    pub(crate) error: &'static str,
    detail: String,
    code: &'static str,
    #[serde(flatten)]
    job_status: JobStatusFields,
    /// Text for the user; present when the client should not reconnect.
    #[serde(flatten)]
    reason: Option<Reason>,
}

#[derive(Serialize)]
struct Reason {
    error_type: &'static str,
    message: String,
    suggestion: String,
}

/// The state of the job when its socket was closed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JobStatusFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<JobId>,
    status: String,
    progress: u8,
    step: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
}

impl JobStatusFields {
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            job_id: Some(event.job_id),
            status: event.body.status.clone(),
            progress: event.body.progress,
            step: progress::step(event.body.step).in_language(Language::PROGRAM),
            timestamp: Some(event.at.to_rfc3339()),
        }
    }

    /// For a job that does not exist, could not be read or belongs to another account. The values are the same
    /// in each case, so that a client learns nothing about jobs of others.
    fn unknown() -> Self {
        Self {
            job_id: None,
            status: "processing".to_owned(),
            progress: 0,
            step: progress::step(None).in_language(Language::PROGRAM),
            timestamp: None,
        }
    }

    pub(crate) fn with_timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp.to_rfc3339());
        self
    }
}

impl ErrorFrame {
    pub(crate) fn new(error: &'static str, detail: Text, code: &'static str) -> Self {
        Self {
            error,
            detail: detail.in_language(Language::PROGRAM),
            code,
            job_status: JobStatusFields::unknown(),
            reason: None,
        }
    }

    /// Gives the frame the status `failed`, a final state that every client supports; `code` holds the exact
    /// reason.
    pub(crate) fn failed(mut self, error_type: ErrorType, advice: &Advice) -> Self {
        self.job_status.status = FAILED.to_owned();
        self.reason = Some(Reason {
            error_type: error_type.name(),
            message: advice.message.in_language(Language::PROGRAM),
            suggestion: advice.suggestion.in_language(Language::PROGRAM),
        });
        self
    }

    /// The job's owner deleted it.
    pub(crate) fn deleted() -> Self {
        Self::new("Job not found", text!("socket-job-deleted"), "deleted")
            .failed(ErrorType::QualityIssue, &advice!("failure-deleted"))
    }

    /// Adds the state of the job from the frame sent last.
    pub(crate) fn with_job_status(mut self, job_status: JobStatusFields) -> Self {
        self.job_status = job_status;
        if self.reason.is_some() {
            self.job_status.status = FAILED.to_owned();
        }
        self
    }

    pub(crate) fn to_json(&self) -> String {
        to_json(self)
    }
}

impl AppState {
    /// The frame of an event with the estimate of the job. Signs the download URLs, whose lifetime starts now.
    pub(crate) fn job_frame(
        &self,
        event: &Event,
        estimate: &EstimateBody,
        timestamp: Timestamp,
        base: &BaseUrl,
    ) -> String {
        let body = &event.body;
        let completed = body.result.as_ref().map(|result| {
            let urls = self.result_urls(event.user_id, event.job_id, result, base);
            End::Completed {
                result_url: urls.result,
                mask_url: urls.mask,
                before_url: urls.before,
                thumbnail_url: urls.thumbnail,
                outline: result.outline.map(Into::into),
                alternative: urls.alternative,
                processing_time_ms: result.processing_time_ms,
                result_width: result.width_px,
                result_height: result.height_px,
            }
        });
        let failure = match event.kind {
            EventKind::Failed => body.failure.clone(),
            EventKind::Cancelled => Some(failures::cancelled()),
            EventKind::Queued
            | EventKind::Progress
            | EventKind::Retrying
            | EventKind::Completed
            | EventKind::Deleted => None,
        };
        let status = if failure.is_some() {
            FAILED
        } else {
            &body.status
        };
        let failed = failure.as_ref().map(|failure| End::Failed {
            error_type: failure.error_type.name(),
            code: &failure.code,
            message: &failure.message,
            suggestion: &failure.suggestion,
            measured: failure.measured.as_ref().map(Into::into),
        });
        to_json(&JobFrame {
            job_id: event.job_id,
            status,
            progress: body.progress,
            step: progress::step(body.step).in_language(Language::PROGRAM),
            timestamp: timestamp.to_rfc3339(),
            attempt_count: body.attempt_count,
            previews: self.preview_bodies(event.user_id, event.job_id, &body.previews, base),
            estimate: (!event.kind.is_final()).then_some(estimate),
            end: completed.or(failed),
        })
    }
}

fn to_json(frame: &impl Serialize) -> String {
    // Frames hold only strings and numbers, which always serialize.
    serde_json::to_string(frame).unwrap_or_default()
}
