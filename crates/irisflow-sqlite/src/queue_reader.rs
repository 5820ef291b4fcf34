//! `QueueReader` on SQLite: the order of the queue and the capacity of the workers, for estimates.

use async_trait::async_trait;
use irisflow_jobs::{
    JobId, OwnPlace, Priority, QueueReader, QueuedUser, StepTimes, StoreError, Timestamp, UserId,
    WaitingJob, WorkerCapacity,
};
use uuid::Uuid;

use crate::{SqliteStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

pub(crate) const QUEUED_USERS: &str =
    "SELECT user_id, queued, running, claim_mark, next_run_at, last_seq
     FROM timelines WHERE next_run_at IS NOT NULL";

pub(crate) const WAITING_JOBS_OF_USER: &str =
    "SELECT id, priority = 'high', run_at FROM jobs INDEXED BY jobs_waiting
     WHERE user_id = ? AND state IN ('pending', 'waiting')";

/// How many of the user's waiting jobs go before this one: `WaitingJob::claim_order` in SQL, to read the
/// place of one job of a long backlog.
pub(crate) const OWN_PLACE: &str = "SELECT
         (SELECT count(*) FROM jobs AS other INDEXED BY jobs_waiting
          WHERE other.user_id = mine.user_id AND other.state IN ('pending', 'waiting')
            AND (other.run_at > ?3, iif(other.priority = 'high' OR other.run_at <= ?4, 0, 1),
                 other.run_at, other.id)
              < (mine.run_at > ?3, iif(mine.priority = 'high' OR mine.run_at <= ?4, 0, 1),
                 mine.run_at, mine.id)),
         mine.run_at
     FROM jobs AS mine
     WHERE mine.id = ?1 AND mine.user_id = ?2 AND mine.state IN ('pending', 'waiting')";

#[async_trait]
impl QueueReader for SqliteStore {
    async fn queued_users(&self) -> Result<Vec<QueuedUser>> {
        let rows: Vec<(Uuid, u32, u32, i64, i64, i64)> = sqlx::query_as(QUEUED_USERS)
            .fetch_all(&self.readers)
            .await
            .map_err(store_error)?;
        let user = |(user_id, queued, running, claim_mark, next_run_at, last_seq)| QueuedUser {
            user_id: UserId::from(user_id),
            queued,
            running,
            claim_mark,
            next_run_at: Timestamp::from_millis(next_run_at),
            last_seq,
        };
        Ok(rows.into_iter().map(user).collect())
    }

    async fn waiting_jobs(&self, user_id: UserId) -> Result<Vec<WaitingJob>> {
        let rows: Vec<(Uuid, bool, i64)> = sqlx::query_as(WAITING_JOBS_OF_USER)
            .bind(user_id.as_uuid())
            .fetch_all(&self.readers)
            .await
            .map_err(store_error)?;
        let job = |(id, is_high, run_at)| WaitingJob {
            id: JobId::from(id),
            priority: if is_high {
                Priority::High
            } else {
                Priority::Default
            },
            run_at: Timestamp::from_millis(run_at),
        };
        let mut jobs: Vec<WaitingJob> = rows.into_iter().map(job).collect();
        let (now, ageing) = (self.now(), self.policy.ageing);
        jobs.sort_by_cached_key(|job| job.claim_order(now, ageing));
        Ok(jobs)
    }

    async fn own_place(&self, user_id: UserId, job_id: JobId) -> Result<Option<OwnPlace>> {
        let now = self.now();
        let place: Option<(u32, i64)> = sqlx::query_as(OWN_PLACE)
            .bind(job_id.as_uuid())
            .bind(user_id.as_uuid())
            .bind(now.as_millis())
            .bind((now - self.policy.ageing).as_millis())
            .fetch_optional(&self.readers)
            .await
            .map_err(store_error)?;
        Ok(place.map(|(ahead, run_at)| OwnPlace {
            ahead,
            run_at: Timestamp::from_millis(run_at),
        }))
    }

    async fn worker_capacity(&self) -> Result<WorkerCapacity> {
        let silent_since = self.now() - self.policy.lease * 2;
        let (slots, running): (u32, u32) = sqlx::query_as(
            "SELECT (SELECT coalesce(sum(slots), 0) FROM workers WHERE seen_at > ?),
                    (SELECT count(*) FROM jobs WHERE state = 'processing')",
        )
        .bind(silent_since.as_millis())
        .fetch_one(&self.readers)
        .await
        .map_err(store_error)?;
        Ok(WorkerCapacity { slots, running })
    }

    async fn step_times(&self, limit: u32) -> Result<Vec<StepTimes>> {
        self.read_step_times(limit).await
    }
}
