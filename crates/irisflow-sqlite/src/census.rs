//! `Census` on SQLite: sums over the users' counters, never over the backlog.

use async_trait::async_trait;
use irisflow_jobs::{Census, QueueStanding, StoreError, Timestamp, Usage, UserId};
use sqlx::Row;

use crate::{SqliteStore, unavailable};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl Census for SqliteStore {
    async fn queue(&self) -> Result<QueueStanding> {
        let row = sqlx::query(
            "SELECT coalesce(sum(queued), 0) AS waiting, coalesce(sum(running), 0) AS running,
                 min(next_run_at) FILTER (WHERE next_run_at <= ?) AS oldest
             FROM timelines WHERE queued > 0 OR running > 0",
        )
        .bind(self.now().as_millis())
        .fetch_one(&self.readers)
        .await
        .map_err(unavailable)?;
        let oldest: Option<i64> = row.try_get("oldest").map_err(unavailable)?;
        Ok(QueueStanding {
            waiting: count(row.try_get("waiting").map_err(unavailable)?),
            running: count(row.try_get("running").map_err(unavailable)?),
            oldest_due_since: oldest.map(Timestamp::from_millis),
        })
    }

    async fn usage(&self, user_id: UserId) -> Result<Usage> {
        let row = sqlx::query(
            "SELECT
                 (SELECT coalesce(sum(size_bytes), 0) FROM photos WHERE user_id = ?1) AS bytes,
                 (SELECT coalesce(sum(queued + running), 0) FROM timelines WHERE user_id = ?1)
                     AS unfinished",
        )
        .bind(user_id.as_uuid())
        .fetch_one(&self.readers)
        .await
        .map_err(unavailable)?;
        Ok(Usage {
            stored_bytes: count(row.try_get("bytes").map_err(unavailable)?),
            unfinished_jobs: count(row.try_get("unfinished").map_err(unavailable)?),
        })
    }
}

fn count(sum: i64) -> u64 {
    u64::try_from(sum).unwrap_or(0)
}
