//! `JobReader` on PostgreSQL.

use async_trait::async_trait;
use irisflow_jobs::{
    Batch, BatchId, Job, JobFilter, JobId, JobReader, Page, PageRequest, StatusFilter, StoreError,
    UserId,
};

use crate::batches::read_batch;
use crate::columns::unsigned;
use crate::job_row::JobRow;
use crate::{PostgresStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl JobReader for PostgresStore {
    async fn job(&self, user_id: UserId, job_id: JobId) -> Result<Option<Job>> {
        retrying!(async {
            let row: Option<JobRow> =
                sqlx::query_as("SELECT * FROM jobs WHERE id = $1 AND user_id = $2")
                    .bind(job_id.as_uuid())
                    .bind(user_id.as_uuid())
                    .fetch_optional(&self.pool)
                    .await
                    .map_err(store_error)?;
            Ok(row.map(|row| row.job))
        })
    }

    async fn jobs(
        &self,
        user_id: UserId,
        filter: JobFilter,
        page: PageRequest,
    ) -> Result<Page<Job>> {
        let states = filter.status.map(states_of);
        let batch_id = filter.batch_id.map(BatchId::as_uuid);
        retrying!(async {
            let mut tx = self.snapshot().await?;
            let total: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM jobs
                 WHERE user_id = $1 AND ($2::text[] IS NULL OR state = ANY($2))
                   AND ($3::uuid IS NULL OR batch_id = $3)",
            )
            .bind(user_id.as_uuid())
            .bind(states)
            .bind(batch_id)
            .fetch_one(&mut *tx)
            .await
            .map_err(store_error)?;
            let rows: Vec<JobRow> = sqlx::query_as(
                "SELECT * FROM jobs
                 WHERE user_id = $1 AND ($2::text[] IS NULL OR state = ANY($2))
                   AND ($3::uuid IS NULL OR batch_id = $3)
                 ORDER BY created_at DESC, id DESC LIMIT $4 OFFSET $5",
            )
            .bind(user_id.as_uuid())
            .bind(states)
            .bind(batch_id)
            .bind(i64::from(page.page_size))
            .bind(page.offset())
            .fetch_all(&mut *tx)
            .await
            .map_err(store_error)?;
            Ok(Page {
                items: rows.into_iter().map(|row| row.job).collect(),
                total: unsigned(total),
            })
        })
    }

    async fn batch(&self, user_id: UserId, batch_id: BatchId) -> Result<Option<Batch>> {
        retrying!(async {
            let mut tx = self.snapshot().await?;
            read_batch(&mut tx, user_id, batch_id).await
        })
    }
}

fn states_of(status: StatusFilter) -> &'static [&'static str] {
    match status {
        StatusFilter::Pending => &["pending"],
        StatusFilter::Processing => &["processing", "waiting"],
        StatusFilter::Completed => &["completed"],
        StatusFilter::Failed => &["failed"],
        StatusFilter::Cancelled => &["cancelled"],
    }
}
