//! `POST /processing/submit`: submits one photo as a job.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::{
    Enqueued, Job, JobId, NewJob, Photo, PhotoId, PictureOptions, Priority, StoreError, Submission,
    SubmissionKey, UploadStatus, UserId,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::idempotency::IdempotencyKey;
use super::job_body::JobBody;
use super::picture_options::PictureOptionsBody;
use crate::app::{App, AppState};
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::ApiJson;
use crate::traces::SubmitTrace;

#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct SubmitRequest {
    photo_id: Uuid,
    options: Option<PictureOptionsBody>,
}

/// Submit an uploaded photo, to get a picture of its iris.
#[utoipa::path(post, path = "/processing/submit", tag = "processing", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Makes the request idempotent: a retry with the same key and body gets the first response")),
    request_body = SubmitRequest,
    responses(
        (status = 201, body = JobBody),
        (status = 401, body = ErrorBody),
        (status = 403, description = "`consent_required`", body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "`photo_not_uploaded`, `idempotency_key_reused`", body = ErrorBody),
        (status = 410, description = "`photo_expired`", body = ErrorBody),
        (status = 413, description = "`storage_full`", body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn submit(
    State(app): State<App>,
    trace: SubmitTrace,
    user: CurrentUser,
    key: IdempotencyKey,
    ApiJson(request): ApiJson<SubmitRequest>,
) -> Result<(StatusCode, Json<JobBody>), ApiError> {
    let photo_id = PhotoId::from(request.photo_id);
    let key = key.submission_key(user.id(), "submit", &request, String::new());
    let job = match app.submitted_job(key.as_ref()).await? {
        Some(job) => job,
        None => {
            let photo = app.parts.photos.photo(user.id(), photo_id).await?;
            let photo = photo.ok_or(ApiError::NotFound(Missing::Photo))?;
            app.check_consent(&user).await?;
            check_usable(&photo)?;
            app.check_room_for_results(user.id(), 1).await?;
            let options = request.options.unwrap_or_default().into();
            app.enqueue_one(new_job(user.id(), photo_id, options), key, trace)
                .await?
        }
    };
    Ok((StatusCode::CREATED, Json(app.job_body(&job).await?)))
}

/// Checks that the upload of a photo is complete and that it has not expired.
pub(crate) fn check_usable(photo: &Photo) -> Result<(), ApiError> {
    match photo.status {
        UploadStatus::Uploaded => Ok(()),
        UploadStatus::Pending | UploadStatus::Failed => Err(ApiError::NotUploaded),
        UploadStatus::Expired => Err(ApiError::PhotoExpired),
    }
}

impl AppState {
    /// The job that was submitted before with this key; also when its photo was deleted since.
    pub(crate) async fn submitted_job(
        &self,
        key: Option<&SubmissionKey>,
    ) -> Result<Option<Job>, ApiError> {
        let Some(key) = key else { return Ok(None) };
        match self.parts.job_commands.stored_response(key).await? {
            Some(Enqueued::Before { mut jobs, .. }) => Ok(jobs.pop()),
            Some(Enqueued::KeyTaken) => Err(ApiError::IdempotencyKeyTaken),
            _ => Ok(None),
        }
    }

    /// Enqueues one job, or returns the one that was enqueued before with this key.
    pub(crate) async fn enqueue_one(
        &self,
        new: NewJob,
        key: Option<SubmissionKey>,
        trace: SubmitTrace,
    ) -> Result<Job, ApiError> {
        let jobs = vec![new];
        let limits = self.queue_limits();
        let submission = Submission { jobs, key, limits };
        let mut jobs = match self.parts.job_commands.enqueue(submission).await? {
            Enqueued::Now(jobs) => {
                self.trace_submitted(trace, &jobs);
                jobs
            }
            Enqueued::Before { jobs, .. } => jobs,
            Enqueued::KeyTaken => return Err(ApiError::IdempotencyKeyTaken),
            Enqueued::UserQueueFull => return Err(self.user_queue_is_full()),
            Enqueued::QueueFull => return Err(self.queue_is_full()),
            Enqueued::PhotoMissing(_) => return Err(ApiError::NotFound(Missing::Photo)),
        };
        jobs.pop()
            .ok_or_else(|| StoreError::corrupt("a queued job was not returned").into())
    }
}

/// Of no batch, and of high priority.
pub(crate) fn new_job(user_id: UserId, photo_id: PhotoId, options: PictureOptions) -> NewJob {
    NewJob {
        id: JobId::generate(),
        user_id,
        photo_id,
        batch_id: None,
        priority: Priority::High,
        options,
    }
}
