//! `POST /processing/batch`: submits several photos as jobs of one batch.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::{
    BatchId, Enqueued, Job, NewJob, PhotoId, Priority, Submission, SubmissionKey, UploadStatus,
    UserId,
};
use irisflow_messages::text;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::idempotency::IdempotencyKey;
use super::job_body::JobBody;
use super::picture_options::PictureOptionsBody;
use super::submit::new_job;
use crate::app::{App, AppState};
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extractors::ApiJson;
use crate::traces::SubmitTrace;

#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct BatchRequest {
    /// 1 to 10 photos.
    #[schema(min_items = 1, max_items = 10)]
    photo_ids: Vec<Uuid>,
    /// Of all its photos.
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<PictureOptionsBody>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct BatchBody {
    batch_id: String,
    /// In the order of `photo_ids`.
    jobs: Vec<JobBody>,
    skipped: Vec<SkippedPhoto>,
}

#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct SkippedPhoto {
    photo_id: Uuid,
    reason: SkipReason,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SkipReason {
    NotFound,
    NotUploaded,
    Duplicate,
}

/// Submit several photos as one batch. Photos that cannot be processed are skipped and listed.
#[utoipa::path(post, path = "/processing/batch", tag = "processing", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Makes the request idempotent: a retry with the same key and body gets the first response")),
    request_body = BatchRequest,
    responses(
        (status = 201, body = BatchBody),
        (status = 400, description = "None of the photos can be processed", body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, description = "`consent_required`", body = ErrorBody),
        (status = 409, description = "`idempotency_key_reused`", body = ErrorBody),
        (status = 413, description = "`storage_full`", body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn batch(
    State(app): State<App>,
    trace: SubmitTrace,
    user: CurrentUser,
    key: IdempotencyKey,
    ApiJson(request): ApiJson<BatchRequest>,
) -> Result<(StatusCode, Json<BatchBody>), ApiError> {
    let limit = app.settings.batch_limit;
    if request.photo_ids.len() > limit {
        let text = text!("invalid-batch-size", limit = limit);
        return Err(ApiError::invalid_field("photo_ids", text));
    }
    let key = |skipped: &[SkippedPhoto]| {
        let response = serde_json::to_string(skipped).unwrap_or_default();
        key.submission_key(user.id(), "batch", &request, response)
    };
    let (jobs, skipped) = match app.submitted_batch(key(&[])).await? {
        Some(submitted) => submitted,
        None => {
            app.check_consent(&user).await?;
            let selection = app.select_photos(user.id(), &request).await?;
            app.check_room_for_results(user.id(), selection.new_jobs.len())
                .await?;
            app.enqueue_batch(selection, key, trace).await?
        }
    };
    let batch_id = jobs.first().and_then(|job| job.batch_id);
    let batch_id = batch_id.ok_or(ApiError::NoValidPhotos)?;
    let body = BatchBody {
        batch_id: batch_id.to_string(),
        jobs: app.job_bodies(&jobs).await?,
        skipped,
    };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Jobs of the photos that can be processed, and the photos that are skipped.
struct BatchSelection {
    new_jobs: Vec<NewJob>,
    skipped: Vec<SkippedPhoto>,
}

impl AppState {
    /// The batch that was submitted before with this key; also when its photos were deleted since.
    async fn submitted_batch(
        &self,
        key: Option<SubmissionKey>,
    ) -> Result<Option<(Vec<Job>, Vec<SkippedPhoto>)>, ApiError> {
        let Some(key) = key else { return Ok(None) };
        match self.parts.job_commands.stored_response(&key).await? {
            Some(Enqueued::Before { jobs, response }) => Ok(Some((
                jobs,
                serde_json::from_str(&response).unwrap_or_default(),
            ))),
            Some(Enqueued::KeyTaken) => Err(ApiError::IdempotencyKeyTaken),
            _ => Ok(None),
        }
    }

    async fn select_photos(
        &self,
        user_id: UserId,
        request: &BatchRequest,
    ) -> Result<BatchSelection, ApiError> {
        let batch_id = BatchId::generate();
        let photo_ids = &request.photo_ids;
        let options = request.options.unwrap_or_default().into();
        let (mut new_jobs, mut skipped) = (Vec::new(), Vec::new());
        for (index, &id) in photo_ids.iter().enumerate() {
            let photo_id = PhotoId::from(id);
            let reason = if photo_ids[..index].contains(&id) {
                Some(SkipReason::Duplicate)
            } else {
                match self.parts.photos.photo(user_id, photo_id).await? {
                    None => Some(SkipReason::NotFound),
                    Some(photo) if photo.status != UploadStatus::Uploaded => {
                        Some(SkipReason::NotUploaded)
                    }
                    Some(_) => None,
                }
            };
            match reason {
                Some(reason) => skipped.push(SkippedPhoto {
                    photo_id: id,
                    reason,
                }),
                None => new_jobs.push(NewJob {
                    batch_id: Some(batch_id),
                    priority: Priority::Default,
                    ..new_job(user_id, photo_id, options)
                }),
            }
        }
        Ok(BatchSelection { new_jobs, skipped })
    }

    /// Enqueues the jobs of a batch, or returns those that were enqueued before with this key. A photo that is
    /// deleted concurrently is skipped as well.
    async fn enqueue_batch(
        &self,
        selection: BatchSelection,
        key: impl Fn(&[SkippedPhoto]) -> Option<SubmissionKey>,
        trace: SubmitTrace,
    ) -> Result<(Vec<Job>, Vec<SkippedPhoto>), ApiError> {
        let BatchSelection {
            mut new_jobs,
            mut skipped,
        } = selection;
        while !new_jobs.is_empty() {
            let submission = Submission {
                jobs: new_jobs.clone(),
                key: key(&skipped),
                limits: self.queue_limits(),
            };
            match self.parts.job_commands.enqueue(submission).await? {
                Enqueued::Now(jobs) => {
                    self.trace_submitted(trace, &jobs);
                    return Ok((jobs, skipped));
                }
                Enqueued::Before { jobs, response } => {
                    return Ok((jobs, serde_json::from_str(&response).unwrap_or_default()));
                }
                Enqueued::KeyTaken => return Err(ApiError::IdempotencyKeyTaken),
                Enqueued::UserQueueFull => return Err(self.user_queue_is_full()),
                Enqueued::QueueFull => return Err(self.queue_is_full()),
                Enqueued::PhotoMissing(photo_id) => {
                    new_jobs.retain(|new| new.photo_id != photo_id);
                    skipped.push(SkippedPhoto {
                        photo_id: photo_id.as_uuid(),
                        reason: SkipReason::NotFound,
                    });
                }
            }
        }
        Err(ApiError::NoValidPhotos)
    }
}
