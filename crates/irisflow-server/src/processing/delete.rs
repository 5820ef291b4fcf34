//! `DELETE /processing/jobs/{id}`: deletes a job with its result.

use axum::extract::State;
use axum::http::StatusCode;
use irisflow_jobs::JobId;

use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathId;

/// Delete a job with its result, mask and events, also while it runs. Its photo stays.
#[utoipa::path(delete, path = "/processing/jobs/{id}", tag = "processing",
    security(("bearer" = [])), params(("id" = String, Path)),
    responses(
        (status = 204),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn delete(
    State(app): State<App>,
    user: CurrentUser,
    PathId(job_id): PathId<JobId>,
) -> Result<StatusCode, ApiError> {
    if app.parts.job_commands.delete_job(user.id(), job_id).await? {
        tracing::info!(%job_id, "job deleted");
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::NotFound(Missing::Job))
    }
}
