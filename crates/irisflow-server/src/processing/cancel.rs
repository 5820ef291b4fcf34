//! `POST /processing/jobs/{id}/cancel`: cancels one job.

use std::collections::HashSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use irisflow_jobs::{Delivery, Job, JobId, Notification, Subscription};
use tokio::time::timeout;

use super::job_body::JobStatusBody;
use crate::app::{App, AppState};
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathId;

/// How long the response waits for the worker of a running job, so that it can show the job as cancelled.
const WORKER_TIMEOUT: Duration = Duration::from_millis(200);

/// Cancel a job. A waiting job ends at once; a running one ends when its worker stops. The response shows its
/// current state (`cancel_requested` while the worker has not stopped yet). A job that has ended stays as it is.
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
    // Subscribe before cancelling, or the notification of a fast worker would be missed.
    let notifications = app.parts.bus.subscribe_to_user(user.id()).await;
    let job = app.parts.job_commands.cancel(user.id(), job_id).await?;
    let job = job.ok_or(ApiError::NotFound(Missing::Job))?;
    app.wait_for_end(std::slice::from_ref(&job), notifications)
        .await;
    let job = app.parts.job_reader.job(user.id(), job_id).await?;
    let job = job.ok_or(ApiError::NotFound(Missing::Job))?;
    let photo = app.parts.photos.photo(user.id(), job.photo_id).await?;
    let base = app.public_url.base(&headers);
    Ok(Json(app.job_status_body(&job, photo.as_ref(), &base).await))
}

impl AppState {
    /// Waits until these jobs have ended, up to `WORKER_TIMEOUT`.
    pub(super) async fn wait_for_end(
        &self,
        jobs: &[Job],
        mut notifications: Box<dyn Subscription<Notification>>,
    ) {
        let unfinished = jobs.iter().filter(|job| !job.state.is_final());
        let mut unfinished: HashSet<JobId> = unfinished.map(|job| job.id).collect();
        let all_ended = async {
            while !unfinished.is_empty() {
                match notifications.next().await {
                    Some(Delivery::Message(Notification::Event(event)))
                        if event.kind.is_final() =>
                    {
                        unfinished.remove(&event.job_id);
                    }
                    Some(Delivery::Message(_)) => {}
                    Some(Delivery::Missed) | None => break,
                }
            }
        };
        // A timeout is no error: the response shows the current state.
        let _ = timeout(WORKER_TIMEOUT, all_ended).await;
    }
}
