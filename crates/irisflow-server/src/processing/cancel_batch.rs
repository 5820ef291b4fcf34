//! `POST /processing/batches/{id}/cancel`: cancels all jobs of a batch.

use axum::Json;
use axum::extract::State;
use irisflow_jobs::BatchId;

use super::show_batch::BatchStatusBody;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathId;

/// Cancel all unfinished jobs of a batch. The response shows their current state.
#[utoipa::path(post, path = "/processing/batches/{id}/cancel", tag = "processing",
    security(("bearer" = [])), params(("id" = String, Path)),
    responses(
        (status = 200, body = BatchStatusBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn cancel_batch(
    State(app): State<App>,
    user: CurrentUser,
    PathId(batch_id): PathId<BatchId>,
) -> Result<Json<BatchStatusBody>, ApiError> {
    // Subscribe before cancelling, or notifications of fast workers would be missed.
    let notifications = app.parts.bus.subscribe_to_user(user.id()).await;
    let batch = app
        .parts
        .job_commands
        .cancel_batch(user.id(), batch_id)
        .await?;
    let batch = batch.ok_or(ApiError::NotFound(Missing::Batch))?;
    app.wait_for_end(&batch.jobs, notifications).await;
    let batch = app.parts.job_reader.batch(user.id(), batch_id).await?;
    let batch = batch.ok_or(ApiError::NotFound(Missing::Batch))?;
    Ok(Json(app.batch_status_body(&batch).await?))
}
