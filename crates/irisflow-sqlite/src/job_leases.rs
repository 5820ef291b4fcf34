//! `JobLeases` on SQLite: the queue is the `jobs` table, its order is kept in `timelines`.

use std::time::Duration;

use async_trait::async_trait;
use irisflow_jobs::{
    Checkpoint, Failure, Fence, Job, JobEvent, JobLeases, JobResult, JobState, Preview, Renewal,
    StoreError, Timestamp, TransitionError, WaitingJob, WorkerId, WriteOutcome,
};
use uuid::Uuid;

use crate::job_row::JobRow;
use crate::unit_of_work::UnitOfWork;
use crate::{SqliteStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

/// The user whose job is claimed next: the first of this order with a job that is due.
pub(crate) const NEXT_USER: &str = "SELECT user_id FROM timelines INDEXED BY timelines_claim_order
     WHERE next_run_at <= ? ORDER BY running, claim_mark, next_run_at, user_id LIMIT 1";

/// Of each priority the user's job that is due first.
pub(crate) const FIRST_DUE_OF_USER: &str = "SELECT * FROM jobs WHERE id IN (
         SELECT (SELECT id FROM jobs
                 WHERE user_id = ? AND priority = named.priority
                   AND state IN ('pending', 'waiting') AND run_at <= ?
                 ORDER BY run_at, id LIMIT 1)
         FROM (SELECT 'high' AS priority UNION ALL SELECT 'default') AS named)";

pub(crate) const NEXT_DUE: &str =
    "SELECT min(next_run_at) FROM timelines WHERE next_run_at IS NOT NULL";

#[async_trait]
impl JobLeases for SqliteStore {
    async fn claim_next(&self, worker: WorkerId) -> Result<Option<Job>> {
        let mut unit_of_work = self.begin().await?;
        let Some(row) = unit_of_work.fairest_due_job(self.policy.ageing).await? else {
            if unit_of_work.has_notifications() {
                // Counters were repaired on the way.
                unit_of_work.commit().await?;
            }
            return Ok(None);
        };
        let claimed = JobEvent::Claimed { worker };
        let job = match row
            .job
            .clone()
            .apply(claimed, unit_of_work.now, &self.policy)
        {
            Ok(transition) => {
                unit_of_work.claim_job(&row, &transition).await?;
                transition.job
            }
            Err(TransitionError::Fenced | TransitionError::InvalidTransition) => return Ok(None),
        };
        unit_of_work.commit().await?;
        Ok(Some(job))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        let due: Option<i64> = sqlx::query_scalar(NEXT_DUE)
            .fetch_one(&self.readers)
            .await
            .map_err(store_error)?;
        Ok(due.map(Timestamp::from_millis))
    }

    async fn renew(&self, fence: Fence) -> Result<Renewal> {
        match self
            .apply_fenced(fence, JobEvent::Renewed { fence })
            .await?
        {
            WriteOutcome::Fenced => Ok(Renewal::Lost),
            WriteOutcome::Recorded(job) if job.cancel_requested => Ok(Renewal::CancelRequested),
            WriteOutcome::Recorded(_) => Ok(Renewal::Held),
        }
    }

    async fn record_checkpoints(
        &self,
        fence: Fence,
        previews: &[Preview],
        checkpoints: &[Checkpoint],
    ) -> Result<WriteOutcome> {
        let shown = |&preview: &Preview| JobEvent::Previewed { fence, preview };
        let reached = |&checkpoint: &Checkpoint| JobEvent::Reached { fence, checkpoint };
        let events = previews.iter().map(shown);
        let events = events.chain(checkpoints.iter().map(reached)).collect();
        self.apply_all_fenced(fence, events).await
    }

    async fn finish(&self, fence: Fence, result: JobResult) -> Result<WriteOutcome> {
        self.apply_fenced(fence, JobEvent::Finished { fence, result })
            .await
    }

    async fn fail_attempt(&self, fence: Fence, failure: Failure) -> Result<WriteOutcome> {
        let jitter = rand::random::<f64>();
        self.apply_fenced(
            fence,
            JobEvent::AttemptFailed {
                fence,
                failure,
                jitter,
            },
        )
        .await
    }

    async fn hand_back(&self, fence: Fence) -> Result<WriteOutcome> {
        self.apply_fenced(fence, JobEvent::HandedBack { fence })
            .await
    }

    async fn record_cancelled(&self, fence: Fence) -> Result<WriteOutcome> {
        self.apply_fenced(fence, JobEvent::Stopped { fence }).await
    }

    async fn reap_one(&self, failure: Failure) -> Result<Option<Job>> {
        // Compared with the time of the call: while this transaction waits for a slow disk, a lease may expire
        // whose renewal waits behind it.
        let asked_at = self.now();
        let mut unit_of_work = self.begin().await?;
        let row: Option<JobRow> = sqlx::query_as(
            "SELECT * FROM jobs WHERE state = 'processing' AND lease_until < ?
             ORDER BY lease_until LIMIT 1",
        )
        .bind(asked_at.as_millis())
        .fetch_optional(unit_of_work.connection()?)
        .await
        .map_err(store_error)?;
        let Some(row) = row else { return Ok(None) };
        let Ok(transition) = row.job.clone().apply(
            JobEvent::LeaseLost { failure },
            unit_of_work.now,
            &self.policy,
        ) else {
            return Ok(None);
        };
        unit_of_work.update_job(&row, &transition).await?;
        unit_of_work
            .sweep_leftovers(&transition.job, &self.policy)
            .await?;
        unit_of_work.commit().await?;
        Ok(Some(transition.job))
    }
}

impl SqliteStore {
    async fn apply_fenced(&self, fence: Fence, event: JobEvent) -> Result<WriteOutcome> {
        self.apply_all_fenced(fence, vec![event]).await
    }

    /// Applies a worker's events in order, all or none.
    async fn apply_all_fenced(&self, fence: Fence, events: Vec<JobEvent>) -> Result<WriteOutcome> {
        let mut unit_of_work = self.begin().await?;
        let Some(row) = unit_of_work.job_row(fence.job_id).await? else {
            return Ok(WriteOutcome::Fenced);
        };
        // An empty report has no event whose transition would check the fence.
        if !row.job.is_held_by(fence) {
            return Ok(WriteOutcome::Fenced);
        }
        let mut job = row.job.clone();
        let mut transitions = Vec::with_capacity(events.len());
        for event in events {
            let Ok(transition) = job.apply(event, unit_of_work.now, &self.policy) else {
                return Ok(WriteOutcome::Fenced);
            };
            job = transition.job.clone();
            transitions.push(transition);
        }
        unit_of_work.update_job_by(&row, &transitions).await?;
        if let JobState::Completed(result) = &job.state {
            unit_of_work.record_step_times(&job, result).await?;
        }
        let gave_up = !matches!(job.state, JobState::Processing(_) | JobState::Completed(_));
        if gave_up {
            unit_of_work.sweep_leftovers(&job, &self.policy).await?;
        }
        unit_of_work.commit().await?;
        Ok(WriteOutcome::Recorded(Box::new(job)))
    }
}

impl UnitOfWork<'_> {
    /// Reads the users' counters, not the backlog: of the users with the fewest running jobs the one served
    /// longest ago, then that user's first job. `irisflow_jobs::QueueOrder` is the same rule in Rust.
    async fn fairest_due_job(&mut self, ageing: Duration) -> Result<Option<JobRow>> {
        loop {
            let user_id: Option<Uuid> = sqlx::query_scalar(NEXT_USER)
                .bind(self.now.as_millis())
                .fetch_optional(self.connection()?)
                .await
                .map_err(store_error)?;
            let Some(user_id) = user_id else {
                return Ok(None);
            };
            let due = self.first_due(user_id).await?.into_iter();
            let first =
                due.min_by_key(|row| WaitingJob::of(&row.job).claim_order(self.now, ageing));
            if first.is_some() {
                return Ok(first);
            }
            // Otherwise this user would be chosen again for ever, and no other job would be claimed.
            if !self.recount(user_id).await? {
                return Err(StoreError::corrupt(format!(
                    "user {user_id} has a job that is due and cannot be found"
                )));
            }
        }
    }

    /// Of each priority the job that is due first.
    async fn first_due(&mut self, user_id: Uuid) -> Result<Vec<JobRow>> {
        sqlx::query_as(FIRST_DUE_OF_USER)
            .bind(user_id)
            .bind(self.now.as_millis())
            .fetch_all(self.connection()?)
            .await
            .map_err(store_error)
    }
}
