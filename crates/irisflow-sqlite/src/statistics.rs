//! `Statistics` on SQLite: reads sums that every write keeps up to date, and never counts the backlog.

use async_trait::async_trait;
use irisflow_jobs::{QueueStatistics, Statistics, StoreError, Timestamp, Usage, UserId};
use sqlx::Row;

use crate::{SqliteStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

pub(crate) const QUEUE: &str = "SELECT waiting, running,
         (SELECT min(next_run_at) FROM timelines WHERE next_run_at IS NOT NULL)
     FROM queue_totals WHERE id = 1";

#[async_trait]
impl Statistics for SqliteStore {
    async fn queue(&self) -> Result<QueueStatistics> {
        let (waiting, running, oldest): (i64, i64, Option<i64>) = sqlx::query_as(QUEUE)
            .fetch_one(&self.readers)
            .await
            .map_err(store_error)?;
        let now = self.now().as_millis();
        let oldest_due = oldest.filter(|&oldest| oldest <= now);
        Ok(QueueStatistics {
            waiting: count(waiting),
            running: count(running),
            oldest_due_since: oldest_due.map(Timestamp::from_millis),
        })
    }

    async fn usage(&self, user_id: UserId) -> Result<Usage> {
        let row = sqlx::query(
            "SELECT
                 photos.stored, photos.incoming,
                 (SELECT coalesce(sum(stored_bytes), 0) FROM jobs
                  WHERE user_id = ?1 AND state = 'completed') AS results,
                 (SELECT coalesce(sum(queued + running), 0) FROM timelines WHERE user_id = ?1)
                     AS unfinished
             FROM (SELECT coalesce(sum(size_bytes), 0) + coalesce(sum(thumbnail_bytes), 0) AS stored,
                       coalesce(sum(incoming_bytes), 0) AS incoming
                   FROM photos WHERE user_id = ?1) AS photos",
        )
        .bind(user_id.as_uuid())
        .fetch_one(&self.readers)
        .await
        .map_err(store_error)?;
        Ok(Usage {
            photo_bytes: count(row.try_get("stored").map_err(store_error)?),
            incoming_bytes: count(row.try_get("incoming").map_err(store_error)?),
            result_bytes: count(row.try_get("results").map_err(store_error)?),
            unfinished_jobs: count(row.try_get("unfinished").map_err(store_error)?),
        })
    }
}

fn count(sum: i64) -> u64 {
    u64::try_from(sum).unwrap_or(0)
}
