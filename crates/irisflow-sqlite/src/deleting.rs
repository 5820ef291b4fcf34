//! Removing a job with all that names it. What is left at the end is one event that says so, and the
//! sweeps of its objects; the last of these takes the event along.

use irisflow_jobs::{JobPolicy, StoreError};

use crate::job_row::JobRow;
use crate::queue_counters::{QueueCounts, count};
use crate::unavailable;
use crate::unit_of_work::{Script, UnitOfWork};

impl UnitOfWork<'_> {
    /// The worker of a running job finds no row and so is fenced off.
    pub(crate) async fn delete_job(
        &mut self,
        row: &JobRow,
        policy: &JobPolicy,
    ) -> Result<(), StoreError> {
        let job = &row.job;
        self.cancel_attempt(job);
        sqlx::query("DELETE FROM events WHERE job_id = ?")
            .bind(job.id.as_uuid())
            .execute(self.connection()?)
            .await
            .map_err(unavailable)?;
        let mut script = Script::new("");
        let (previous, deleted) = (Some(row.last_seq), job.deleted());
        self.log(&mut script, job.user_id, job.id, previous, &[&deleted])
            .await?;
        self.run(script).await?;
        let submission_id: Option<i64> =
            sqlx::query_scalar("DELETE FROM jobs WHERE id = ? RETURNING submission_id")
                .bind(job.id.as_uuid())
                .fetch_one(self.connection()?)
                .await
                .map_err(unavailable)?;
        if let Some(id) = submission_id {
            self.forget_empty_submission(id).await?;
        }
        if let Some(id) = job.batch_id {
            self.forget_empty_batch(id).await?;
        }
        let mut script = Script::new("");
        let standing = QueueCounts::of(&job.state);
        count(&mut script, job.user_id, standing, QueueCounts::default());
        self.run(script).await?;
        self.sweep_leftovers(job, policy).await
    }
}
