//! `POST /processing/submit`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::{
    BatchId, Enqueued, Job, JobId, NewJob, Photo, PhotoId, Priority, StoreError, Submission,
    UploadStatus, UserId,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::view::JobBody;
use crate::app::{App, AppState};
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extract::ApiJson;
use crate::photos::UNKNOWN_PHOTO;

#[derive(Deserialize, ToSchema)]
pub(crate) struct SubmitRequest {
    photo_id: Uuid,
    /// Kept for later; none exist yet.
    #[expect(dead_code, reason = "documents what clients may send")]
    options: Option<serde_json::Value>,
}

/// Turn an uploaded photo into a picture of its iris.
#[utoipa::path(post, path = "/processing/submit", tag = "processing", security(("bearer" = [])),
    request_body = SubmitRequest,
    responses(
        (status = 201, body = JobBody),
        (status = 401, body = ErrorBody),
        (status = 403, description = "`consent_required`", body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "The upload was not confirmed", body = ErrorBody),
        (status = 410, description = "`photo_expired`", body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn submit(
    State(app): State<App>,
    user: CurrentUser,
    ApiJson(request): ApiJson<SubmitRequest>,
) -> Result<(StatusCode, Json<JobBody>), ApiError> {
    let photo_id = PhotoId::from(request.photo_id);
    let photo = app.parts.photos.photo(user.id(), photo_id).await?;
    let photo = photo.ok_or(ApiError::NotFound(UNKNOWN_PHOTO))?;
    app.check_consent(&user).await?;
    check_usable(&photo)?;
    let job = app.enqueue_one(user.id(), photo_id).await?;
    Ok((StatusCode::CREATED, Json(JobBody::from(&job))))
}

/// Only a photo whose bytes are here can be worked on.
pub(crate) fn check_usable(photo: &Photo) -> Result<(), ApiError> {
    match photo.status {
        UploadStatus::Uploaded => Ok(()),
        UploadStatus::Pending | UploadStatus::Failed => Err(ApiError::NotUploaded),
        UploadStatus::Expired => Err(ApiError::PhotoExpired),
    }
}

impl AppState {
    /// Queues one interactive job.
    pub(crate) async fn enqueue_one(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
    ) -> Result<Job, ApiError> {
        let new = new_job(user_id, photo_id, None, Priority::High);
        match self.parts.jobs.enqueue(Submission::of(vec![new])).await? {
            Enqueued::Now(mut jobs) => jobs
                .pop()
                .ok_or_else(|| StoreError::Corrupt("a job vanished".to_owned()).into()),
            Enqueued::PhotoMissing(_) => Err(ApiError::NotFound(UNKNOWN_PHOTO)),
            Enqueued::Before { .. } | Enqueued::KeyTaken => Err(ApiError::Internal),
        }
    }
}

pub(crate) fn new_job(
    user_id: UserId,
    photo_id: PhotoId,
    batch_id: Option<BatchId>,
    priority: Priority,
) -> NewJob {
    NewJob {
        id: JobId::generate(),
        user_id,
        photo_id,
        batch_id,
        priority,
    }
}
