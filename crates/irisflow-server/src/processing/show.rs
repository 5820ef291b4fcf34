//! `GET /processing/jobs/{id}`: shows one job.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use irisflow_jobs::JobId;

use super::job_body::JobStatusBody;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathId;

/// Show one of your jobs, with newly signed URLs.
#[utoipa::path(get, path = "/processing/jobs/{id}", tag = "processing",
    security(("bearer" = [])), params(("id" = String, Path)),
    responses(
        (status = 200, body = JobStatusBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn show(
    State(app): State<App>,
    user: CurrentUser,
    PathId(job_id): PathId<JobId>,
    headers: HeaderMap,
) -> Result<Json<JobStatusBody>, ApiError> {
    let job = app.parts.job_reader.job(user.id(), job_id).await?;
    let job = job.ok_or(ApiError::NotFound(Missing::Job))?;
    let job = app.with_verified_result(job).await;
    let photo = app.parts.photos.photo(user.id(), job.photo_id).await?;
    let base = app.public_url.base(&headers);
    Ok(Json(app.job_status_body(&job, photo.as_ref(), &base).await))
}
