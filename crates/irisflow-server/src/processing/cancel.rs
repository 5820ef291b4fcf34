//! `POST /processing/jobs/{id}/cancel`

use std::collections::HashSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use irisflow_jobs::{Job, JobId, Notification};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use super::UNKNOWN_JOB;
use super::job_body::JobStatusBody;
use crate::app::{App, AppState};
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extractors::PathId;

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
    app.give_time_to_end(std::slice::from_ref(&job), hints)
        .await;
    let job = app.parts.jobs.job(user.id(), job_id).await?;
    let job = job.ok_or(ApiError::NotFound(UNKNOWN_JOB))?;
    let photo = app.parts.photos.photo(user.id(), job.photo_id).await?;
    let base = app.public_url.base(&headers);
    Ok(Json(app.job_status_body(&job, photo.as_ref(), &base).await))
}

impl AppState {
    /// Returns when the workers of these jobs have stopped, or have not in the time we wait.
    pub(super) async fn give_time_to_end(&self, jobs: &[Job], mut hints: Receiver<Notification>) {
        let unfinished = jobs.iter().filter(|job| !job.state.is_final());
        let mut unfinished: HashSet<JobId> = unfinished.map(|job| job.id).collect();
        let all_ended = async {
            while !unfinished.is_empty() {
                match hints.recv().await {
                    Ok(Notification::Event(event)) if event.kind.is_final() => {
                        unfinished.remove(&event.job_id);
                    }
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        };
        // The answer says how they stand, either way.
        let _ = timeout(WORKER_PATIENCE, all_ended).await;
    }
}
