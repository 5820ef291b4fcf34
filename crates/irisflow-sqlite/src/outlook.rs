//! What estimates are made from: who is alive, who goes first, what finished jobs took.

use irisflow_jobs::{Fleet, Job, JobResult, QueuePlace, StepTimes, StoreError, WorkerId};
use sqlx::Row as _;

use crate::job_row::JobRow;
use crate::writing::Writing;
use crate::{SqliteStore, unavailable};

/// Older jobs were done by other machines, or under another load.
const MOST_HISTORY: i64 = 500;

impl Writing<'_> {
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
    pub(crate) async fn place_of(&self, row: &JobRow) -> Result<Option<QueuePlace>, StoreError> {
        let job = &row.job;
        if !job.state.is_claimable() {
            return Ok(None);
        }
        let mut tx = self.readers.begin().await.map_err(unavailable)?;
        let now = self.now();
        let aged = (now - self.policy.ageing).as_millis();
        // The order in which one user's jobs are claimed; see `fairest_due_job`.
        let own_ahead: u32 = sqlx::query_scalar(
            "SELECT count(*) FROM jobs AS mine JOIN jobs AS other
                 ON other.user_id = mine.user_id AND other.state IN ('pending', 'waiting')
             WHERE mine.id = ?1
               AND (iif(other.priority = 'high' OR other.created_at <= ?2, 0, 1),
                    other.run_at, other.id)
                 < (iif(mine.priority = 'high' OR mine.created_at <= ?2, 0, 1),
                    mine.run_at, mine.id)",
        )
        .bind(job.id.as_uuid())
        .bind(aged)
        .fetch_one(&mut *tx)
        .await
        .map_err(unavailable)?;
        let own: Option<(u32, Option<i64>)> =
            sqlx::query_as("SELECT running, next_run_at FROM timelines WHERE user_id = ?")
                .bind(job.user_id.as_uuid())
                .fetch_optional(&mut *tx)
                .await
                .map_err(unavailable)?;
        let (own_running, waiting_since) = own.unwrap_or_default();
        // Users take turns: each other one is served until as many of its jobs are under way as of
        // this user when this job is claimed; at a tie, who waits longer goes first.
        let others_ahead: u32 = sqlx::query_scalar(
            "SELECT coalesce(sum(min(queued, max(0, ?1 - running)
                                             + (running <= ?1 AND next_run_at < ?2))), 0)
             FROM timelines WHERE next_run_at <= ?3 AND user_id <> ?4",
        )
        .bind(own_running + own_ahead)
        .bind(waiting_since.unwrap_or(i64::MAX))
        .bind(now.max(job.run_at).as_millis())
        .bind(job.user_id.as_uuid())
        .fetch_one(&mut *tx)
        .await
        .map_err(unavailable)?;
        Ok(Some(QueuePlace {
            own_ahead,
            others_ahead,
            own_running,
            run_at: job.run_at,
        }))
    }

    pub(crate) async fn read_fleet(&self) -> Result<Fleet, StoreError> {
        let silent_since = self.now() - self.policy.lease * 2;
        let (slots, running): (u32, u32) = sqlx::query_as(
            "SELECT (SELECT coalesce(sum(slots), 0) FROM workers WHERE seen_at > ?),
                    (SELECT count(*) FROM jobs WHERE state = 'processing')",
        )
        .bind(silent_since.as_millis())
        .fetch_one(&self.readers)
        .await
        .map_err(unavailable)?;
        Ok(Fleet { slots, running })
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
