//! Deleting a job with its history. One `deleted` event and the sweeps of its objects remain; completing the
//! last sweep deletes the event.

use irisflow_jobs::{JobPolicy, StoreError};

use crate::job_row::JobRow;
use crate::queue_counters::{QueueCounts, count};
use crate::store_error;
use crate::unit_of_work::{Script, UnitOfWork};
use crate::webhook_outbox::forget_deliveries_of_job;

impl UnitOfWork<'_> {
    /// The worker of a running job finds no row and so is fenced off.
    pub(crate) async fn delete_job(
        &mut self,
        row: &JobRow,
        policy: &JobPolicy,
    ) -> Result<(), StoreError> {
        let job = &row.job;
        self.cancel_attempt(job);
        let mut script = Script::new("DELETE FROM events WHERE job_id = ");
        script.push_bind(job.id.as_uuid()).push("; ");
        forget_deliveries_of_job(&mut script, job.id);
        let (previous, deleted) = (Some(row.last_seq), job.deleted());
        self.log(&mut script, job, previous, &[&deleted]).await?;
        self.run(script).await?;
        let submission_id: Option<i64> =
            sqlx::query_scalar("DELETE FROM jobs WHERE id = ? RETURNING submission_id")
                .bind(job.id.as_uuid())
                .fetch_one(self.connection()?)
                .await
                .map_err(store_error)?;
        if let Some(id) = submission_id {
            self.delete_empty_submission(id).await?;
        }
        if let Some(id) = job.batch_id {
            self.delete_empty_batch(id).await?;
        }
        let mut script = Script::new("");
        let counts = QueueCounts::of(&job.state);
        count(&mut script, job.user_id, counts, QueueCounts::default());
        self.run(script).await?;
        self.sweep_leftovers(job, policy).await
    }
}
