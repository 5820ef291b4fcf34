//! JSON bodies of jobs.

use std::collections::HashMap;

use irisflow_jobs::{Job, JobState, Photo, PhotoId, StoreError, UserId};
use irisflow_messages::{Language, failures, progress};
use irisflow_photos::ObjectKey;
use serde::Serialize;
use utoipa::ToSchema;

use super::picture_options::{OutlineName, PictureOptionsBody};
use super::preview_body::PreviewBody;
use super::result_urls::AlternativeBody;
use crate::app::AppState;
use crate::estimates::EstimateBody;
use crate::public_url::BaseUrl;
use crate::quality::{MissedLimitBody, QualityBody};

/// A job, as returned by submit.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobBody {
    job_id: String,
    photo_id: String,
    batch_id: Option<String>,
    /// `pending`, `processing`, `completed`, `failed` or `cancelled`.
    #[schema(example = "processing")]
    status: &'static str,
    /// The internal name of the step, as in `segmenting`; null before the first.
    current_step: Option<&'static str>,
    /// Text for the user, as in "Finding your iris...".
    step: String,
    /// Per cent. Never decreases.
    progress: u8,
    /// Number of restarts after an error or a lost worker.
    attempt_count: u32,
    /// RFC 3339, UTC.
    created_at: String,
    updated_at: String,
    /// How its picture is to be made.
    options: PictureOptionsBody,
    /// Path of the WebSocket with its live progress.
    websocket_url: String,
    #[serde(flatten)]
    estimate: EstimateBody,
}

/// A job with its result or failure.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobStatusBody {
    #[serde(flatten)]
    job: JobBody,
    /// Its owner has cancelled it, and its worker has not stopped yet.
    cancel_requested: bool,
    /// Of a failed job: `quality_issue`, `transient_error` or `server_error`.
    error_type: Option<&'static str>,
    /// The reason of a failed job; `cancelled` for a cancelled one.
    error_code: Option<String>,
    error_message: Option<String>,
    suggestion: Option<String>,
    /// The measured figure of a `quality_issue` and its limit.
    error_measured: Option<MissedLimitBody>,
    /// The finished picture. A presigned URL, as all URLs here.
    result_url: Option<String>,
    /// Mask in the geometry of the result: 0 outside of the iris, 85 filled in, 255 measured.
    mask_url: Option<String>,
    /// The unprocessed photo in the geometry of the result.
    before_url: Option<String>,
    /// The finished picture in 400 x 400 pixels, for lists. Null for jobs of older versions, which made none.
    thumbnail_url: Option<String>,
    /// What of the iris the finished picture shows. Null for jobs of older versions.
    outline: Option<OutlineName>,
    /// The picture with the other outline, where both are kept.
    alternative: Option<AlternativeBody>,
    original_url: Option<String>,
    /// Small pictures of the work so far, in the order in which they were made. A new attempt replaces them.
    previews: Vec<PreviewBody>,
    /// When the URLs of this response expire (RFC 3339, UTC); request the job again for new ones.
    urls_expire_at: String,
    processing_time_ms: Option<u64>,
    result_width: Option<u32>,
    result_height: Option<u32>,
    /// Quality figures of the iris in the photo.
    #[schema(value_type = Option<QualityBody>)]
    quality: Option<serde_json::Value>,
    /// 0 (unusable) to 100 (best): the geometric mean of the scores of the single figures.
    quality_score: Option<u8>,
    /// The score as a sentence, as in "A beautiful, sharp photo."
    quality_message: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct JobPage {
    pub(crate) items: Vec<JobStatusBody>,
    /// Number of jobs on all pages.
    pub(crate) total: u64,
    pub(crate) page: u32,
    pub(crate) page_size: u32,
}

impl JobBody {
    fn new(job: &Job, estimate: EstimateBody) -> Self {
        Self {
            job_id: job.id.to_string(),
            photo_id: job.photo_id.to_string(),
            batch_id: job.batch_id.map(|id| id.to_string()),
            status: job.state.status(),
            current_step: job.step.map(irisflow_jobs::Step::name),
            step: progress::step(job.step).in_language(Language::PROGRAM),
            progress: job.progress,
            attempt_count: job.attempt_count,
            created_at: job.created_at.to_rfc3339(),
            updated_at: job.updated_at.to_rfc3339(),
            options: job.options.into(),
            websocket_url: format!("/ws/jobs/{}", job.id),
            estimate,
        }
    }
}

impl AppState {
    pub(crate) async fn job_body(&self, job: &Job) -> Result<JobBody, StoreError> {
        let photo = match job.state.is_final() {
            true => None,
            false => self.parts.photos.photo(job.user_id, job.photo_id).await?,
        };
        let estimate = self.estimate_of_job(job, photo.as_ref()).await;
        Ok(JobBody::new(job, estimate))
    }

    pub(crate) async fn job_bodies(&self, jobs: &[Job]) -> Result<Vec<JobBody>, StoreError> {
        let Some(user_id) = jobs.first().map(|job| job.user_id) else {
            return Ok(Vec::new());
        };
        let photos = self.photos_of_jobs(user_id, jobs).await?;
        let estimates = self.estimates_of_jobs(user_id, jobs, &photos).await;
        let bodies = jobs.iter().zip(estimates);
        Ok(bodies
            .map(|(job, estimate)| JobBody::new(job, estimate))
            .collect())
    }

    /// Bodies of jobs of one user, in the same order.
    pub(crate) async fn job_status_bodies(
        &self,
        user_id: UserId,
        jobs: &[Job],
        base: &BaseUrl,
    ) -> Result<Vec<JobStatusBody>, StoreError> {
        let photos = self.photos_of_jobs(user_id, jobs).await?;
        let estimates = self.estimates_of_jobs(user_id, jobs, &photos).await;
        let bodies = jobs.iter().zip(estimates).map(|(job, estimate)| {
            let photo = photos.get(&job.photo_id);
            self.job_status_body_with(job, photo, estimate, base)
        });
        Ok(bodies.collect())
    }

    async fn photos_of_jobs(
        &self,
        user_id: UserId,
        jobs: &[Job],
    ) -> Result<HashMap<PhotoId, Photo>, StoreError> {
        let mut ids: Vec<PhotoId> = jobs.iter().map(|job| job.photo_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let photos = self.parts.photos.photos_by_id(user_id, &ids).await?;
        Ok(photos.into_iter().map(|photo| (photo.id, photo)).collect())
    }

    pub(crate) async fn job_status_body(
        &self,
        job: &Job,
        photo: Option<&Photo>,
        base: &BaseUrl,
    ) -> JobStatusBody {
        let estimate = self.estimate_of_job(job, photo).await;
        self.job_status_body_with(job, photo, estimate, base)
    }

    fn job_status_body_with(
        &self,
        job: &Job,
        photo: Option<&Photo>,
        estimate: EstimateBody,
        base: &BaseUrl,
    ) -> JobStatusBody {
        let (user_id, job_id) = (job.user_id, job.id);
        let result = match &job.state {
            JobState::Completed(result) => Some(result),
            _ => None,
        };
        let failure = match &job.state {
            JobState::Failed(failure) => Some(failure.clone()),
            JobState::Cancelled => Some(failures::cancelled()),
            JobState::Pending
            | JobState::Processing(_)
            | JobState::Waiting
            | JobState::Completed(_) => None,
        };
        let failure = failure.as_ref();
        let failed = failure.filter(|_| matches!(job.state, JobState::Failed(_)));
        let urls = result.map(|result| self.result_urls(user_id, job_id, result, base));
        let original = photo.and_then(|photo| {
            let stored = photo.stored.as_ref()?;
            Some(ObjectKey::of_original(user_id, photo.id, stored))
        });
        JobStatusBody {
            job: JobBody::new(job, estimate),
            cancel_requested: job.cancel_requested && !job.state.is_final(),
            error_type: failed.map(|failure| failure.error_type.name()),
            error_code: failure.map(|failure| failure.code.clone()),
            error_message: failure.map(|failure| failure.message.clone()),
            suggestion: failure.map(|failure| failure.suggestion.clone()),
            error_measured: failure.and_then(|failure| failure.measured.as_ref().map(Into::into)),
            thumbnail_url: urls.as_ref().and_then(|urls| urls.thumbnail.clone()),
            before_url: urls.as_ref().map(|urls| urls.before.clone()),
            mask_url: urls.as_ref().map(|urls| urls.mask.clone()),
            alternative: urls.as_ref().and_then(|urls| urls.alternative.clone()),
            result_url: urls.map(|urls| urls.result),
            outline: result.and_then(|result| result.outline).map(Into::into),
            original_url: original.map(|key| self.download_url(base, &key)),
            previews: self.preview_bodies(user_id, job_id, &job.previews, base),
            urls_expire_at: self.download_urls_expire_at(self.now()).to_rfc3339(),
            processing_time_ms: result.map(|result| result.processing_time_ms),
            result_width: result.map(|result| result.width_px),
            result_height: result.map(|result| result.height_px),
            quality: result.map(|result| result.quality.clone()),
            quality_score: result.and_then(|result| result.quality_score),
            quality_message: result.and_then(|result| result.quality_message.clone()),
        }
    }
}
