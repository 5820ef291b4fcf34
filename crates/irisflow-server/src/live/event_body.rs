//! The JSON of an event, as in the frames of all multiplexed transports.

use irisflow_jobs::{Event, EventKind, JobResult};
use irisflow_messages::{Language, failures, progress};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::processing::{AlternativeBody, OutlineName, PreviewBody};
use crate::public_url::BaseUrl;
use crate::quality::MissedLimitBody;

/// One change of a job.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct EventObject {
    /// Position in the user's timeline.
    seq: i64,
    kind: KindName,
    #[schema(format = Uuid)]
    job_id: String,
    /// Null for a job that an old version deleted.
    photo_id: Option<String>,
    batch_id: Option<String>,
    /// The job's status after the event: `pending`, `processing`, `completed`, `failed`, `cancelled` or `deleted`.
    status: String,
    /// Text for the user, as in "Finding your iris...".
    step: String,
    /// The internal name of the step, as in `segmenting`; null before the first.
    current_step: Option<&'static str>,
    /// Per cent. Never decreases.
    progress: u8,
    /// Number of restarts after an error or a lost worker.
    attempt_count: u32,
    /// RFC 3339, UTC.
    timestamp: String,
    /// Small pictures of the work so far, in the order in which they were made. A new attempt replaces
    /// them.
    previews: Vec<PreviewBody>,
    /// Of a failed job, and of an attempt that failed (`retrying`): `quality_issue`, `transient_error` or `server_error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'static str>,
    /// The reason of a failed or cancelled job, or of a failed attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<String>,
    /// The measured figure of a `quality_issue` and its limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_measured: Option<MissedLimitBody>,
    /// The finished picture of a completed job. A presigned URL, as all URLs here.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mask_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail_url: Option<String>,
    /// What of the iris the finished picture shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    outline: Option<OutlineName>,
    /// The picture with the other outline, where both are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    alternative: Option<AlternativeBody>,
    /// When the URLs of the result expire (RFC 3339, UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    urls_expire_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processing_time_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_height: Option<u32>,
    /// 0 (unusable) to 100 (best).
    #[serde(skip_serializing_if = "Option::is_none")]
    quality_score: Option<u8>,
}

#[derive(Debug, Default, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum KindName {
    #[default]
    Queued,
    Progress,
    Retrying,
    Completed,
    Failed,
    Cancelled,
    Deleted,
}

impl From<EventKind> for KindName {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::Queued => Self::Queued,
            EventKind::Progress => Self::Progress,
            EventKind::Retrying => Self::Retrying,
            EventKind::Completed => Self::Completed,
            EventKind::Failed => Self::Failed,
            EventKind::Cancelled => Self::Cancelled,
            EventKind::Deleted => Self::Deleted,
        }
    }
}

impl AppState {
    /// Signs the URLs, whose lifetime starts now.
    pub(crate) fn event_object(&self, event: &Event, base: &BaseUrl) -> EventObject {
        let body = &event.body;
        let object = EventObject {
            seq: event.seq,
            kind: event.kind.into(),
            job_id: event.job_id.to_string(),
            photo_id: event.photo_id.map(|id| id.to_string()),
            batch_id: event.batch_id.map(|id| id.to_string()),
            status: body.status.clone(),
            step: progress::step(body.step).in_language(Language::PROGRAM),
            current_step: body.step.map(irisflow_jobs::Step::name),
            progress: body.progress,
            attempt_count: body.attempt_count,
            timestamp: event.at.to_rfc3339(),
            previews: self.preview_bodies(event.user_id, event.job_id, &body.previews, base),
            ..EventObject::default()
        };
        let object = with_failure(object, event);
        match &body.result {
            Some(result) => self.with_result(object, event, result, base),
            None => object,
        }
    }

    fn with_result(
        &self,
        object: EventObject,
        event: &Event,
        result: &JobResult,
        base: &BaseUrl,
    ) -> EventObject {
        let urls = self.result_urls(event.user_id, event.job_id, result, base);
        EventObject {
            result_url: Some(urls.result),
            mask_url: Some(urls.mask),
            before_url: Some(urls.before),
            thumbnail_url: urls.thumbnail,
            outline: result.outline.map(Into::into),
            alternative: urls.alternative,
            urls_expire_at: Some(self.download_urls_expire_at(self.now()).to_rfc3339()),
            processing_time_ms: Some(result.processing_time_ms),
            result_width: Some(result.width_px),
            result_height: Some(result.height_px),
            quality_score: result.quality_score,
            ..object
        }
    }
}

fn with_failure(object: EventObject, event: &Event) -> EventObject {
    let (failure, has_type) = match event.kind {
        EventKind::Failed | EventKind::Retrying => (event.body.failure.clone(), true),
        EventKind::Cancelled => (Some(failures::cancelled()), false),
        EventKind::Queued | EventKind::Progress | EventKind::Completed | EventKind::Deleted => {
            (None, false)
        }
    };
    let Some(failure) = failure else {
        return object;
    };
    EventObject {
        error_type: has_type.then(|| failure.error_type.name()),
        error_measured: failure.measured.as_ref().map(Into::into),
        error_code: Some(failure.code),
        error_message: Some(failure.message),
        suggestion: Some(failure.suggestion),
        ..object
    }
}
