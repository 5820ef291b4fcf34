//! How long the steps of finished jobs took: recorded without naming the job, and read by estimates.

use irisflow_jobs::{Job, JobResult, StepTimes, StoreError};
use sqlx::Row as _;

use crate::unit_of_work::UnitOfWork;
use crate::{SqliteStore, store_error};

/// Older jobs were done by other machines, or under another load.
const MOST_HISTORY: i64 = 500;

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
        .map_err(store_error)?;
        sqlx::query("DELETE FROM step_times WHERE id <= (SELECT max(id) FROM step_times) - ?")
            .bind(MOST_HISTORY)
            .execute(self.connection()?)
            .await
            .map_err(store_error)?;
        Ok(())
    }
}

impl SqliteStore {
    pub(crate) async fn read_step_times(&self, limit: u32) -> Result<Vec<StepTimes>, StoreError> {
        let rows = sqlx::query("SELECT * FROM step_times ORDER BY id DESC LIMIT ?")
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(store_error)?;
        rows.iter()
            .map(|row| {
                let ms = |column: &str| row.try_get::<u32, _>(column).map_err(store_error);
                let pixels: i64 = row.try_get("pixels").map_err(store_error)?;
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
}
