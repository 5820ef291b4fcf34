//! `POST /processing/jobs/{id}/reprocess`: submits the photo of a job again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::JobId;

use super::idempotency::IdempotencyKey;
use super::job_body::JobBody;
use super::submit::check_usable;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathId;

/// Submit the photo of a job again, as a new job.
#[utoipa::path(post, path = "/processing/jobs/{id}/reprocess", tag = "processing",
    security(("bearer" = [])),
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header,
        description = "Makes the request idempotent: a retry with the same key gets the first response")),
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
pub(crate) async fn reprocess(
    State(app): State<App>,
    user: CurrentUser,
    key: IdempotencyKey,
    PathId(job_id): PathId<JobId>,
) -> Result<(StatusCode, Json<JobBody>), ApiError> {
    let original = app.parts.job_reader.job(user.id(), job_id).await?;
    let original = original.ok_or(ApiError::NotFound(Missing::OriginalJob))?;
    let key = key.submission_key(user.id(), "reprocess", &job_id, String::new());
    let job = match app.submitted_job(key.as_ref()).await? {
        Some(job) => job,
        None => {
            let photo = app.parts.photos.photo(user.id(), original.photo_id).await?;
            app.check_consent(&user).await?;
            check_usable(&photo.ok_or(ApiError::NotFound(Missing::Photo))?)?;
            app.check_room_for_results(user.id(), 1).await?;
            app.enqueue_one(user.id(), original.photo_id, key).await?
        }
    };
    Ok((StatusCode::CREATED, Json(app.job_body(&job).await?)))
}
