//! `POST /processing/batches/{id}/cancel`

use axum::Json;
use axum::extract::State;
use irisflow_jobs::BatchId;

use super::UNKNOWN_BATCH;
use super::show_batch::BatchStatusBody;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extractors::PathId;

/// Cancel every job of a batch that has not ended. The answer says how they stand.
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
    // Listen first: the workers may be done before we look.
    let hints = app.parts.bus.watch(user.id());
    let batch = app.parts.jobs.cancel_batch(user.id(), batch_id).await?;
    let batch = batch.ok_or(ApiError::NotFound(UNKNOWN_BATCH))?;
    app.give_time_to_end(&batch.jobs, hints).await;
    let batch = app.parts.jobs.batch(user.id(), batch_id).await?;
    let batch = batch.ok_or(ApiError::NotFound(UNKNOWN_BATCH))?;
    Ok(Json(app.batch_status_body(&batch).await?))
}
