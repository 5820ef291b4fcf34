//! `JobReader` on SQLite.

use async_trait::async_trait;
use irisflow_jobs::{
    Batch, BatchId, Job, JobFilter, JobId, JobReader, Page, PageRequest, StatusFilter, StoreError,
    UserId,
};

use crate::batches::read_batch;
use crate::job_row::JobRow;
use crate::{SqliteStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl JobReader for SqliteStore {
    async fn job(&self, user_id: UserId, job_id: JobId) -> Result<Option<Job>> {
        let row: Option<JobRow> = sqlx::query_as("SELECT * FROM jobs WHERE id = ? AND user_id = ?")
            .bind(job_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(&self.readers)
            .await
            .map_err(store_error)?;
        Ok(row.map(|row| row.job))
    }

    async fn jobs(
        &self,
        user_id: UserId,
        filter: JobFilter,
        page: PageRequest,
    ) -> Result<Page<Job>> {
        let (first, second) = states_of(filter.status);
        let batch_id = filter.batch_id.map(BatchId::as_uuid);
        let mut tx = self.readers.begin().await.map_err(store_error)?;
        let total: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM jobs
             WHERE user_id = ?1 AND (?2 IS NULL OR state IN (?2, ?3))
               AND (?4 IS NULL OR batch_id = ?4)",
        )
        .bind(user_id.as_uuid())
        .bind(first)
        .bind(second)
        .bind(batch_id)
        .fetch_one(&mut *tx)
        .await
        .map_err(store_error)?;
        let rows: Vec<JobRow> = sqlx::query_as(
            "SELECT * FROM jobs WHERE user_id = ?1 AND (?2 IS NULL OR state IN (?2, ?3))
               AND (?4 IS NULL OR batch_id = ?4)
             ORDER BY created_at DESC, id DESC LIMIT ?5 OFFSET ?6",
        )
        .bind(user_id.as_uuid())
        .bind(first)
        .bind(second)
        .bind(batch_id)
        .bind(page.page_size)
        .bind(page.offset())
        .fetch_all(&mut *tx)
        .await
        .map_err(store_error)?;
        Ok(Page {
            items: rows.into_iter().map(|row| row.job).collect(),
            total: u64::try_from(total).unwrap_or(0),
        })
    }

    async fn batch(&self, user_id: UserId, batch_id: BatchId) -> Result<Option<Batch>> {
        let mut tx = self.readers.begin().await.map_err(store_error)?;
        read_batch(&mut tx, user_id, batch_id).await
    }
}

fn states_of(filter: Option<StatusFilter>) -> (Option<&'static str>, Option<&'static str>) {
    match filter {
        None => (None, None),
        Some(StatusFilter::Pending) => (Some("pending"), None),
        Some(StatusFilter::Processing) => (Some("processing"), Some("waiting")),
        Some(StatusFilter::Completed) => (Some("completed"), None),
        Some(StatusFilter::Failed) => (Some("failed"), None),
        Some(StatusFilter::Cancelled) => (Some("cancelled"), None),
    }
}
