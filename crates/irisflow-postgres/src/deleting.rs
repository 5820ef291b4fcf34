//! Deleting a job with its history. One `deleted` event and the sweeps of its objects remain; completing the
//! last sweep deletes the event.

use irisflow_jobs::{JobPolicy, StoreError};

use crate::job_row::JobRow;
use crate::queue_counters::QueueCounts;
use crate::store_error;
use crate::unit_of_work::UnitOfWork;

impl UnitOfWork<'_> {
    /// The worker of a running job finds no row and so is fenced off.
    pub(crate) async fn delete_job(
        &mut self,
        row: &JobRow,
        policy: &JobPolicy,
    ) -> Result<(), StoreError> {
        let job = &row.job;
        self.cancel_attempt(job);
        sqlx::query("DELETE FROM events WHERE job_id = $1")
            .bind(job.id.as_uuid())
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        self.forget_deliveries_of_job(job.id).await?;
        let (previous, deleted) = (Some(row.last_seq), job.deleted());
        self.log(job, previous, &[&deleted]).await?;
        let submission_id: Option<i64> =
            sqlx::query_scalar("DELETE FROM jobs WHERE id = $1 RETURNING submission_id")
                .bind(job.id.as_uuid())
                .fetch_one(self.connection())
                .await
                .map_err(store_error)?;
        if let Some(id) = submission_id {
            self.delete_empty_submission(id).await?;
        }
        if let Some(id) = job.batch_id {
            self.delete_empty_batch(id).await?;
        }
        let counts = QueueCounts::of(&job.state);
        self.timeline(job.user_id)?
            .count(counts, QueueCounts::default());
        self.sweep_leftovers(job, policy).await
    }
}
