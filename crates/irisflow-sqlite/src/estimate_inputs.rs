//! What estimates are made from: who is alive, who goes first, what finished jobs took.

use irisflow_jobs::{
    Job, JobId, JobResult, OwnPlace, Priority, QueuedUser, StepTimes, StoreError, Timestamp,
    UserId, WaitingJob, WorkerCapacity, WorkerId,
};
use sqlx::Row as _;
use uuid::Uuid;

use crate::unit_of_work::UnitOfWork;
use crate::{SqliteStore, unavailable};

/// Older jobs were done by other machines, or under another load.
const MOST_HISTORY: i64 = 500;

pub(crate) const QUEUED_USERS: &str =
    "SELECT user_id, queued, running, claim_mark, next_run_at, last_seq
     FROM timelines WHERE next_run_at IS NOT NULL";

pub(crate) const WAITING_JOBS_OF_USER: &str =
    "SELECT id, priority = 'high', run_at FROM jobs INDEXED BY jobs_waiting
     WHERE user_id = ? AND state IN ('pending', 'waiting')";

/// How many of the user's waiting jobs go before this one: `WaitingJob::turn` in SQL, since a new job of a
/// long backlog asks for itself alone.
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

impl UnitOfWork<'_> {
    /// Remembers what the steps took, without naming the job.
    pub(crate) async fn remember_times(
        &mut self,
        job: &Job,
        result: &JobResult,
    ) -> Result<(), StoreError> {
        let [loading, segmenting, removing, enhancing, saving] = result.step_ms;
        if result.step_ms == [0; 5] {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO step_times (pixels, loading_ms, segmenting_ms, removing_reflections_ms,
                 enhancing_ms, saving_ms)
             SELECT width_px * height_px, ?, ?, ?, ?, ? FROM photos
             WHERE id = ? AND width_px IS NOT NULL",
        )
        .bind(loading)
        .bind(segmenting)
        .bind(removing)
        .bind(enhancing)
        .bind(saving)
        .bind(job.photo_id.as_uuid())
        .execute(self.connection()?)
        .await
        .map_err(unavailable)?;
        sqlx::query("DELETE FROM step_times WHERE id <= (SELECT max(id) FROM step_times) - ?")
            .bind(MOST_HISTORY)
            .execute(self.connection()?)
            .await
            .map_err(unavailable)?;
        Ok(())
    }
}

impl SqliteStore {
    pub(crate) async fn read_queued_users(&self) -> Result<Vec<QueuedUser>, StoreError> {
        let rows: Vec<(Uuid, u32, u32, i64, i64, i64)> = sqlx::query_as(QUEUED_USERS)
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
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

    pub(crate) async fn read_waiting_jobs(
        &self,
        user_id: UserId,
    ) -> Result<Vec<WaitingJob>, StoreError> {
        let rows: Vec<(Uuid, bool, i64)> = sqlx::query_as(WAITING_JOBS_OF_USER)
            .bind(user_id.as_uuid())
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
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
        jobs.sort_by_cached_key(|job| job.turn(now, ageing));
        Ok(jobs)
    }

    pub(crate) async fn read_own_place(
        &self,
        user_id: UserId,
        job_id: JobId,
    ) -> Result<Option<OwnPlace>, StoreError> {
        let now = self.now();
        let place: Option<(u32, i64)> = sqlx::query_as(OWN_PLACE)
            .bind(job_id.as_uuid())
            .bind(user_id.as_uuid())
            .bind(now.as_millis())
            .bind((now - self.policy.ageing).as_millis())
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        Ok(place.map(|(ahead, run_at)| OwnPlace {
            ahead,
            run_at: Timestamp::from_millis(run_at),
        }))
    }

    pub(crate) async fn read_fleet(&self) -> Result<WorkerCapacity, StoreError> {
        let silent_since = self.now() - self.policy.lease * 2;
        let (slots, running): (u32, u32) = sqlx::query_as(
            "SELECT (SELECT coalesce(sum(slots), 0) FROM workers WHERE seen_at > ?),
                    (SELECT count(*) FROM jobs WHERE state = 'processing')",
        )
        .bind(silent_since.as_millis())
        .fetch_one(&self.readers)
        .await
        .map_err(unavailable)?;
        Ok(WorkerCapacity { slots, running })
    }

    pub(crate) async fn read_step_times(&self, limit: u32) -> Result<Vec<StepTimes>, StoreError> {
        let rows = sqlx::query("SELECT * FROM step_times ORDER BY id DESC LIMIT ?")
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
        rows.iter()
            .map(|row| {
                let ms = |column: &str| row.try_get::<u32, _>(column).map_err(unavailable);
                let pixels: i64 = row.try_get("pixels").map_err(unavailable)?;
                Ok(StepTimes {
                    pixels: u64::try_from(pixels).unwrap_or(0),
                    ms: [
                        ms("loading_ms")?,
                        ms("segmenting_ms")?,
                        ms("removing_reflections_ms")?,
                        ms("enhancing_ms")?,
                        ms("saving_ms")?,
                    ],
                })
            })
            .collect()
    }

    pub(crate) async fn write_worker(
        &self,
        worker: WorkerId,
        slots: u32,
    ) -> Result<(), StoreError> {
        let mut writing = self.begin().await?;
        // One that has been silent for long does not come back under its old id.
        sqlx::query("DELETE FROM workers WHERE seen_at <= ?")
            .bind((writing.now - self.policy.lease * 2).as_millis())
            .execute(writing.connection()?)
            .await
            .map_err(unavailable)?;
        sqlx::query(
            "INSERT INTO workers (id, slots, seen_at) VALUES (?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET slots = excluded.slots, seen_at = excluded.seen_at",
        )
        .bind(worker.as_uuid())
        .bind(slots)
        .bind(writing.now.as_millis())
        .execute(writing.connection()?)
        .await
        .map_err(unavailable)?;
        writing.commit().await
    }

    pub(crate) async fn delete_worker(&self, worker: WorkerId) -> Result<(), StoreError> {
        let mut writing = self.begin().await?;
        sqlx::query("DELETE FROM workers WHERE id = ?")
            .bind(worker.as_uuid())
            .execute(writing.connection()?)
            .await
            .map_err(unavailable)?;
        writing.commit().await
    }
}
