//! How long the steps of finished jobs took: recorded without naming the job, and read by estimates.

use irisflow_jobs::{Job, JobResult, StepTimes, StoreError};
use sqlx::postgres::PgRow;

use crate::columns::number;
use crate::unit_of_work::UnitOfWork;
use crate::{PostgresStore, store_error};

/// Older jobs were done by other machines, or under another load.
const MOST_HISTORY: i64 = 500;
const PRUNED_EVERY: i64 = 64;

impl UnitOfWork<'_> {
    pub(crate) async fn record_step_times(
        &mut self,
        job: &Job,
        result: &JobResult,
    ) -> Result<(), StoreError> {
        let [loading, segmenting, removing, enhancing, saving] = result.step_ms;
        if result.step_ms == [0; 5] {
            return Ok(());
        }
        let id: Option<i64> = sqlx::query_scalar(
            "INSERT INTO step_times (pixels, loading_ms, segmenting_ms, removing_reflections_ms,
                 enhancing_ms, saving_ms)
             SELECT width_px * height_px, $1, $2, $3, $4, $5 FROM photos
             WHERE id = $6 AND width_px IS NOT NULL
             RETURNING id",
        )
        .bind(i64::from(loading))
        .bind(i64::from(segmenting))
        .bind(i64::from(removing))
        .bind(i64::from(enhancing))
        .bind(i64::from(saving))
        .bind(job.photo_id.as_uuid())
        .fetch_optional(self.connection())
        .await
        .map_err(store_error)?;
        match id {
            Some(id) if id % PRUNED_EVERY == 0 => self.prune_step_times(id - MOST_HISTORY).await,
            _ => Ok(()),
        }
    }

    /// Rows that another transaction is deleting are left to it.
    async fn prune_step_times(&mut self, up_to: i64) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM step_times WHERE id IN (
                 SELECT id FROM step_times WHERE id <= $1 FOR UPDATE SKIP LOCKED)",
        )
        .bind(up_to)
        .execute(self.connection())
        .await
        .map_err(store_error)?;
        Ok(())
    }
}

impl PostgresStore {
    pub(crate) async fn read_step_times(&self, limit: u32) -> Result<Vec<StepTimes>, StoreError> {
        let rows = sqlx::query("SELECT * FROM step_times ORDER BY id DESC LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?;
        rows.iter().map(step_times_of).collect()
    }
}

fn step_times_of(row: &PgRow) -> Result<StepTimes, StoreError> {
    let ms = |column: &str| number::<u32>(row, column).map_err(store_error);
    Ok(StepTimes {
        pixels: number(row, "pixels").map_err(store_error)?,
        ms: [
            ms("loading_ms")?,
            ms("segmenting_ms")?,
            ms("removing_reflections_ms")?,
            ms("enhancing_ms")?,
            ms("saving_ms")?,
        ],
    })
}
