//! `POST /processing/jobs/{id}/reprocess`: submits the photo of a job again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::JobId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::idempotency::IdempotencyKey;
use super::job_body::JobBody;
use super::picture_options::PictureOptionsBody;
use super::submit::{check_usable, new_job};
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::{OptionalJson, PathId};
use crate::traces::SubmitTrace;

#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct ReprocessRequest {
    /// By default those of the job.
    options: Option<PictureOptionsBody>,
}

/// Submit the photo of a job again, as a new job.
#[utoipa::path(post, path = "/processing/jobs/{id}/reprocess", tag = "processing",
    security(("bearer" = [])),
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header,
        description = "Makes the request idempotent: a retry with the same key and body gets the first response")),
    request_body = Option<ReprocessRequest>,
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
    trace: SubmitTrace,
    user: CurrentUser,
    key: IdempotencyKey,
    PathId(job_id): PathId<JobId>,
    OptionalJson(request): OptionalJson<ReprocessRequest>,
) -> Result<(StatusCode, Json<JobBody>), ApiError> {
    let original = app.parts.job_reader.job(user.id(), job_id).await?;
    let original = original.ok_or(ApiError::NotFound(Missing::OriginalJob))?;
    let options = request.and_then(|request| request.options);
    let key = match &options {
        None => key.submission_key(user.id(), "reprocess", &job_id, String::new()),
        Some(options) => {
            key.submission_key(user.id(), "reprocess", &(job_id, options), String::new())
        }
    };
    let job = match app.submitted_job(key.as_ref()).await? {
        Some(job) => job,
        None => {
            let photo = app.parts.photos.photo(user.id(), original.photo_id).await?;
            app.check_consent(&user).await?;
            check_usable(&photo.ok_or(ApiError::NotFound(Missing::Photo))?)?;
            app.check_room_for_results(user.id(), 1).await?;
            let options = options.map_or(original.options, Into::into);
            let new = new_job(user.id(), original.photo_id, options);
            app.enqueue_one(new, key, trace).await?
        }
    };
    Ok((StatusCode::CREATED, Json(app.job_body(&job).await?)))
}
