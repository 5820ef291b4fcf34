//! `GET /processing/batches/{id}`: shows a batch with its jobs.

use axum::Json;
use axum::extract::State;
use irisflow_jobs::{Batch, BatchId};
use serde::Serialize;
use utoipa::ToSchema;

use super::job_body::JobBody;
use crate::app::{App, AppState};
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathId;

/// A batch: jobs that were submitted together.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchStatusBody {
    batch_id: String,
    created_at: String,
    /// Mean progress of its jobs in per cent, where a job that has ended or was deleted counts as 100. Never
    /// decreases; 100 when all jobs have ended.
    progress: u8,
    counts: BatchCountsBody,
    /// In the order of submission, without deleted jobs.
    jobs: Vec<JobBody>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct BatchCountsBody {
    total: u32,
    pending: u32,
    processing: u32,
    completed: u32,
    failed: u32,
    cancelled: u32,
    deleted: u32,
}

/// Show the progress of a batch, and its jobs.
#[utoipa::path(get, path = "/processing/batches/{id}", tag = "processing",
    security(("bearer" = [])), params(("id" = String, Path)),
    responses(
        (status = 200, body = BatchStatusBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn show_batch(
    State(app): State<App>,
    user: CurrentUser,
    PathId(batch_id): PathId<BatchId>,
) -> Result<Json<BatchStatusBody>, ApiError> {
    let batch = app.parts.job_reader.batch(user.id(), batch_id).await?;
    let batch = batch.ok_or(ApiError::NotFound(Missing::Batch))?;
    Ok(Json(app.batch_status_body(&batch).await?))
}

impl AppState {
    pub(crate) async fn batch_status_body(
        &self,
        batch: &Batch,
    ) -> Result<BatchStatusBody, ApiError> {
        let counts = batch.counts();
        Ok(BatchStatusBody {
            batch_id: batch.id.to_string(),
            created_at: batch.created_at.to_rfc3339(),
            progress: batch.progress(),
            counts: BatchCountsBody {
                total: batch.size,
                pending: counts.pending,
                processing: counts.processing,
                completed: counts.completed,
                failed: counts.failed,
                cancelled: counts.cancelled,
                deleted: counts.deleted,
            },
            jobs: self.job_bodies(&batch.jobs).await?,
        })
    }
}
