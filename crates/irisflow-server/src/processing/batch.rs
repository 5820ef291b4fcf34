//! `POST /processing/batch`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::{BatchId, Enqueued, Job, NewJob, PhotoId, Priority, Submission, UploadStatus};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::submit::new_job;
use super::view::JobBody;
use crate::app::{App, AppState};
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extract::ApiJson;

#[derive(Deserialize, ToSchema)]
pub(crate) struct BatchRequest {
    /// Up to 10.
    photo_ids: Vec<Uuid>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct BatchBody {
    batch_id: String,
    /// In the order of `photo_ids`.
    jobs: Vec<JobBody>,
    skipped: Vec<SkippedPhoto>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SkippedPhoto {
    photo_id: String,
    /// `not_found`, `not_uploaded` or `duplicate`.
    reason: &'static str,
}

/// Submit several photos at once. Photos that cannot be taken are named and skipped.
#[utoipa::path(post, path = "/processing/batch", tag = "processing", security(("bearer" = [])),
    request_body = BatchRequest,
    responses(
        (status = 201, body = BatchBody),
        (status = 400, description = "None of the photos can be processed", body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, description = "`consent_required`", body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn batch(
    State(app): State<App>,
    user: CurrentUser,
    ApiJson(request): ApiJson<BatchRequest>,
) -> Result<(StatusCode, Json<BatchBody>), ApiError> {
    let limit = app.settings.batch_limit;
    if request.photo_ids.len() > limit {
        let msg = format!("A batch has at most {limit} photos; send several batches.");
        return Err(ApiError::invalid_field("photo_ids", msg));
    }
    app.check_consent(&user).await?;
    let batch_id = BatchId::generate();
    let (mut new_jobs, mut skipped, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for photo_id in request.photo_ids.into_iter().map(PhotoId::from) {
        let reason = if seen.contains(&photo_id) {
            Some("duplicate")
        } else {
            match app.parts.photos.photo(user.id(), photo_id).await? {
                None => Some("not_found"),
                Some(photo) if photo.status != UploadStatus::Uploaded => Some("not_uploaded"),
                Some(_) => None,
            }
        };
        seen.push(photo_id);
        match reason {
            Some(reason) => skipped.push(SkippedPhoto {
                photo_id: photo_id.to_string(),
                reason,
            }),
            None => {
                new_jobs.push(new_job(
                    user.id(),
                    photo_id,
                    Some(batch_id),
                    Priority::Default,
                ));
            }
        }
    }
    let jobs = app.enqueue_all(new_jobs, &mut skipped).await?;
    let body = BatchBody {
        batch_id: batch_id.to_string(),
        jobs: jobs.iter().map(JobBody::from).collect(),
        skipped,
    };
    Ok((StatusCode::CREATED, Json(body)))
}

impl AppState {
    /// Queues the jobs of a batch. A photo that is deleted in this moment is skipped as well.
    async fn enqueue_all(
        &self,
        mut new_jobs: Vec<NewJob>,
        skipped: &mut Vec<SkippedPhoto>,
    ) -> Result<Vec<Job>, ApiError> {
        while !new_jobs.is_empty() {
            let submission = Submission::of(new_jobs.clone());
            match self.parts.jobs.enqueue(submission).await? {
                Enqueued::Now(jobs) => return Ok(jobs),
                Enqueued::PhotoMissing(photo_id) => {
                    new_jobs.retain(|new| new.photo_id != photo_id);
                    skipped.push(SkippedPhoto {
                        photo_id: photo_id.to_string(),
                        reason: "not_found",
                    });
                }
                Enqueued::Before { .. } | Enqueued::KeyTaken => return Err(ApiError::Internal),
            }
        }
        Err(ApiError::NoValidPhotos)
    }
}
