//! `Statistics` on PostgreSQL: sums over the users with unfinished jobs, never over the backlog.

use async_trait::async_trait;
use irisflow_jobs::{QueueStatistics, Statistics, StoreError, Usage, UserId};

use crate::columns::{number, optional_time};
use crate::{PostgresStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

pub(crate) const QUEUE: &str = "SELECT coalesce(sum(queued), 0)::bigint AS waiting,
         coalesce(sum(running), 0)::bigint AS running,
         (SELECT min(next_run_at) FROM timelines WHERE next_run_at <= now_ms()) AS oldest_due
     FROM timelines WHERE queued > 0 OR running > 0";

#[async_trait]
impl Statistics for PostgresStore {
    async fn queue(&self) -> Result<QueueStatistics> {
        retrying!(async {
            let row = sqlx::query(QUEUE)
                .fetch_one(&self.pool)
                .await
                .map_err(store_error)?;
            Ok(QueueStatistics {
                waiting: number(&row, "waiting").map_err(store_error)?,
                running: number(&row, "running").map_err(store_error)?,
                oldest_due_since: optional_time(&row, "oldest_due").map_err(store_error)?,
            })
        })
    }

    async fn usage(&self, user_id: UserId) -> Result<Usage> {
        retrying!(async {
            let row = sqlx::query(
                "SELECT
                     photos.stored, photos.incoming,
                     (SELECT coalesce(sum(stored_bytes), 0)::bigint FROM jobs
                      WHERE user_id = $1 AND state = 'completed') AS results,
                     (SELECT coalesce(sum(queued + running), 0)::bigint FROM timelines
                      WHERE user_id = $1) AS unfinished
                 FROM (SELECT (coalesce(sum(size_bytes), 0) + coalesce(sum(thumbnail_bytes), 0))::bigint
                                  AS stored,
                           coalesce(sum(incoming_bytes), 0)::bigint AS incoming
                       FROM photos WHERE user_id = $1) AS photos",
            )
            .bind(user_id.as_uuid())
            .fetch_one(&self.pool)
            .await
            .map_err(store_error)?;
            let count = |column: &str| number(&row, column).map_err(store_error);
            Ok(Usage {
                photo_bytes: count("stored")?,
                incoming_bytes: count("incoming")?,
                result_bytes: count("results")?,
                unfinished_jobs: count("unfinished")?,
            })
        })
    }
}
