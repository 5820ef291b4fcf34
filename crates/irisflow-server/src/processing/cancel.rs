//! `POST /processing/jobs/{id}/cancel`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use irisflow_jobs::{Hint, Job, JobId};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use super::UNKNOWN_JOB;
use super::view::JobStatusBody;
use crate::app::{App, AppState};
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extract::PathId;

/// How long the answer waits for the worker of a running job, so that it can say "cancelled".
const WORKER_PATIENCE: Duration = Duration::from_millis(200);

/// Cancel a job. One that waits ends at once, one that runs as soon as its worker hears of it: the
/// answer says how it stands (`cancel_requested` when its worker has not answered yet). A job that has
/// ended stays as it is.
#[utoipa::path(post, path = "/processing/jobs/{id}/cancel", tag = "processing",
    security(("bearer" = [])), params(("id" = String, Path)),
    responses(
        (status = 200, body = JobStatusBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn cancel(
    State(app): State<App>,
    user: CurrentUser,
    PathId(job_id): PathId<JobId>,
    headers: HeaderMap,
) -> Result<Json<JobStatusBody>, ApiError> {
    // Listen first: the worker may be done before we look.
    let hints = app.parts.bus.watch(user.id());
    let job = app.parts.jobs.cancel(user.id(), job_id).await?;
    let job = job.ok_or(ApiError::NotFound(UNKNOWN_JOB))?;
    let job = app.given_time_to_end(job, hints).await?;
    let photo = app.parts.photos.photo(user.id(), job.photo_id).await?;
    let base = app.public_url.base(&headers);
    Ok(Json(app.job_status_body(&job, photo.as_ref(), &base)))
}

impl AppState {
    /// The job as it stands when its worker has stopped, or has not in the time we wait.
    async fn given_time_to_end(
        &self,
        job: Job,
        mut hints: Receiver<Hint>,
    ) -> Result<Job, ApiError> {
        if job.state.is_final() {
            return Ok(job);
        }
        let ended = async {
            while let Ok(hint) = hints.recv().await {
                if matches!(&hint, Hint::Event(event)
                    if event.job_id == job.id && event.kind.is_final())
                {
                    break;
                }
            }
        };
        let _ = timeout(WORKER_PATIENCE, ended).await;
        let job = self.parts.jobs.job(job.user_id, job.id).await?;
        job.ok_or(ApiError::NotFound(UNKNOWN_JOB))
    }
}
