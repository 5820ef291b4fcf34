//! Jobs that were submitted together.

use irisflow_jobs::{Batch, BatchId, Job, StoreError, Timestamp, UserId};
use sqlx::PgConnection;

use crate::job_row::JobRow;
use crate::store_error;
use crate::unit_of_work::UnitOfWork;

impl UnitOfWork<'_> {
    /// Records the batches that these jobs are of.
    pub(crate) async fn insert_batches(&mut self, jobs: &[Job]) -> Result<(), StoreError> {
        for job in jobs {
            let Some(batch_id) = job.batch_id else {
                continue;
            };
            sqlx::query(
                "INSERT INTO batches (id, user_id, size, created_at) VALUES ($1, $2, 1, $3)
                 ON CONFLICT (id) DO UPDATE SET size = batches.size + 1",
            )
            .bind(batch_id.as_uuid())
            .bind(job.user_id.as_uuid())
            .bind(job.created_at.as_millis())
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        }
        Ok(())
    }

    /// Deletes a batch without jobs.
    pub(crate) async fn delete_empty_batch(&mut self, id: BatchId) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM batches WHERE id = $1
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE batch_id = $1)",
        )
        .bind(id.as_uuid())
        .execute(self.connection())
        .await
        .map_err(store_error)?;
        Ok(())
    }
}

/// The batch as this connection sees it. `None` for unknown and foreign ones.
pub(crate) async fn read_batch(
    connection: &mut PgConnection,
    user_id: UserId,
    id: BatchId,
) -> Result<Option<Batch>, StoreError> {
    let batch: Option<(i64, i64)> =
        sqlx::query_as("SELECT size, created_at FROM batches WHERE id = $1 AND user_id = $2")
            .bind(id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(&mut *connection)
            .await
            .map_err(store_error)?;
    let Some((size, created_at)) = batch else {
        return Ok(None);
    };
    Ok(Some(Batch {
        id,
        user_id,
        size: u32::try_from(size).unwrap_or(u32::MAX),
        created_at: Timestamp::from_millis(created_at),
        jobs: rows_of_batch(connection, id)
            .await?
            .into_iter()
            .map(|row| row.job)
            .collect(),
    }))
}

/// In the order in which they were given.
pub(crate) async fn rows_of_batch(
    connection: &mut PgConnection,
    id: BatchId,
) -> Result<Vec<JobRow>, StoreError> {
    sqlx::query_as("SELECT * FROM jobs WHERE batch_id = $1 ORDER BY position")
        .bind(id.as_uuid())
        .fetch_all(connection)
        .await
        .map_err(store_error)
}
