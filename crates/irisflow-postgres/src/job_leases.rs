//! `JobLeases` on PostgreSQL: the queue is the `jobs` table, its order is kept in `timelines`.

use async_trait::async_trait;
use irisflow_jobs::{
    Checkpoint, Failure, Fence, Job, JobEvent, JobId, JobLeases, JobResult, JobState, Preview,
    Renewal, StoreError, Timestamp, UserId, WaitingJob, WorkerId, WriteOutcome,
};
use uuid::Uuid;

use crate::job_row::JobRow;
use crate::unit_of_work::UnitOfWork;
use crate::{PostgresStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

/// Locks the user whose job is claimed next: the first of this order with a job that is due, of those that no other
/// transaction has locked.
pub(crate) const NEXT_FREE_USER: &str = "WITH locked AS MATERIALIZED (
         SELECT * FROM timelines WHERE next_run_at <= now_ms()
         ORDER BY running, claim_mark, next_run_at, user_id LIMIT 1
         FOR NO KEY UPDATE SKIP LOCKED)
     SELECT locked.*, clock_ms() AS now FROM locked";

/// The same, whether or not the user is locked.
const NEXT_USER: &str = "SELECT user_id FROM timelines WHERE next_run_at <= now_ms()
     ORDER BY running, claim_mark, next_run_at, user_id LIMIT 1";

/// Of each priority the user's job that is due first.
pub(crate) const FIRST_DUE_OF_USER: &str = "SELECT jobs.*
     FROM (VALUES ('high'), ('default')) AS named (priority)
     CROSS JOIN LATERAL (SELECT * FROM jobs
         WHERE user_id = $1 AND priority = named.priority
           AND state IN ('pending', 'waiting') AND run_at <= $2
         ORDER BY run_at, id LIMIT 1) AS jobs";

pub(crate) const NEXT_DUE: &str =
    "SELECT min(next_run_at) FROM timelines WHERE next_run_at IS NOT NULL";

/// Of the running jobs, who are few.
pub(crate) const FIRST_EXPIRED: &str = "SELECT id, now_ms() FROM jobs
     WHERE state = 'processing' AND lease_until < now_ms()
     ORDER BY lease_until LIMIT 1";

#[async_trait]
impl JobLeases for PostgresStore {
    async fn claim_next(&self, worker: WorkerId) -> Result<Option<Job>> {
        loop {
            match retrying!(self.try_claim(worker))? {
                Claim::Claimed(job) => return Ok(Some(*job)),
                Claim::NothingDue => return Ok(None),
                Claim::CountersRepaired | Claim::LostRace => {}
            }
        }
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        retrying!(async {
            let due: Option<i64> = sqlx::query_scalar(NEXT_DUE)
                .fetch_one(&self.pool)
                .await
                .map_err(store_error)?;
            Ok(due.map(Timestamp::from_millis))
        })
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
        loop {
            match retrying!(self.try_reap(&failure))? {
                Reaping::Reaped(job) => return Ok(Some(*job)),
                Reaping::NoneExpired => return Ok(None),
                Reaping::LostRace => {}
            }
        }
    }
}

enum Claim {
    Claimed(Box<Job>),
    NothingDue,
    /// The counters of a user promised a job that was not there.
    CountersRepaired,
    /// The user had no due job any more, after the wait for the lock.
    LostRace,
}

enum Reaping {
    Reaped(Box<Job>),
    NoneExpired,
    /// Another transaction has changed the job meanwhile.
    LostRace,
}

impl PostgresStore {
    /// Reads the users' counters, not the backlog: of the users with the fewest running jobs the one served longest
    /// ago, then that user's first job. `irisflow_jobs::QueueOrder` is the same rule in Rust.
    async fn try_claim(&self, worker: WorkerId) -> Result<Claim> {
        let mut unit_of_work = self.begin_without_time().await?;
        // A user who is locked is served by another claim at this moment, or has a job that is just changing: the next
        // one in the order goes first. When all of them are locked, this claim waits.
        if !unit_of_work.lock_by(sqlx::query(NEXT_FREE_USER)).await? {
            // Chosen without a lock and locked by its id: a query that did both would keep the lock of a user who is
            // no longer due, and wait for the next one with it, which is a deadlock when two claims do so.
            let Some(user_id) = unit_of_work.next_user().await? else {
                return Ok(Claim::NothingDue);
            };
            unit_of_work.lock_users(&[user_id]).await?;
            if !unit_of_work.is_due(user_id)? {
                return Ok(Claim::LostRace);
            }
        }
        let Some(&user_id) = unit_of_work.locked_users().first() else {
            return Ok(Claim::NothingDue);
        };
        let (now, ageing) = (unit_of_work.now, self.policy.ageing);
        let due = unit_of_work.first_due(user_id).await?.into_iter();
        let first = due.min_by_key(|row| WaitingJob::of(&row.job).claim_order(now, ageing));
        let Some(row) = first else {
            // Otherwise this user would be chosen again for ever, and no other job would be claimed.
            if !unit_of_work.recount(user_id.as_uuid()).await? {
                return Err(StoreError::corrupt(format!(
                    "user {user_id} has a job that is due and cannot be found"
                )));
            }
            unit_of_work.commit().await?;
            return Ok(Claim::CountersRepaired);
        };
        let claimed = JobEvent::Claimed { worker };
        let Ok(transition) = row.job.clone().apply(claimed, now, &self.policy) else {
            return Ok(Claim::NothingDue);
        };
        unit_of_work.claim_job(&row, &transition).await?;
        unit_of_work.commit().await?;
        Ok(Claim::Claimed(Box::new(transition.job)))
    }

    async fn try_reap(&self, failure: &Failure) -> Result<Reaping> {
        let expired: Option<(Uuid, i64)> = sqlx::query_as(FIRST_EXPIRED)
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)?;
        let Some((job_id, asked_at)) = expired else {
            return Ok(Reaping::NoneExpired);
        };
        let Some((mut unit_of_work, row)) = self.begin_for_job(JobId::from(job_id)).await? else {
            return Ok(Reaping::LostRace);
        };
        // Compared with the time of the call: while this transaction waits for the lock, a lease may expire whose
        // renewal waits behind it.
        let is_expired = match &row.job.state {
            JobState::Processing(lease) => lease.until.as_millis() < asked_at,
            _ => false,
        };
        let failure = failure.clone();
        let event = JobEvent::LeaseLost { failure };
        let lost = row.job.clone().apply(event, unit_of_work.now, &self.policy);
        let Some(transition) = lost.ok().filter(|_| is_expired) else {
            return Ok(Reaping::LostRace);
        };
        unit_of_work.update_job(&row, &transition).await?;
        unit_of_work
            .sweep_leftovers(&transition.job, &self.policy)
            .await?;
        unit_of_work.commit().await?;
        Ok(Reaping::Reaped(Box::new(transition.job)))
    }

    async fn apply_fenced(&self, fence: Fence, event: JobEvent) -> Result<WriteOutcome> {
        self.apply_all_fenced(fence, vec![event]).await
    }

    /// Applies a worker's events in order, all or none.
    async fn apply_all_fenced(&self, fence: Fence, events: Vec<JobEvent>) -> Result<WriteOutcome> {
        retrying!(self.try_apply(fence, &events))
    }

    async fn try_apply(&self, fence: Fence, events: &[JobEvent]) -> Result<WriteOutcome> {
        let Some((mut unit_of_work, row)) = self.begin_for_job(fence.job_id).await? else {
            return Ok(WriteOutcome::Fenced);
        };
        // An empty report has no event whose transition would check the fence.
        if !row.job.is_held_by(fence) {
            return Ok(WriteOutcome::Fenced);
        }
        let mut job = row.job.clone();
        let mut transitions = Vec::with_capacity(events.len());
        for event in events {
            let Ok(transition) = job.apply(event.clone(), unit_of_work.now, &self.policy) else {
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
    async fn next_user(&mut self) -> Result<Option<Uuid>> {
        sqlx::query_scalar(NEXT_USER)
            .fetch_optional(self.connection())
            .await
            .map_err(store_error)
    }

    /// By the counters of a user whose row is locked. `false` for a user who is gone.
    fn is_due(&mut self, user_id: Uuid) -> Result<bool> {
        let now = self.now.as_millis();
        let user_id = UserId::from(user_id);
        if !self.locked_users().contains(&user_id) {
            return Ok(false);
        }
        let next = self.timeline(user_id)?.next_run_at;
        Ok(next.is_some_and(|next| next <= now))
    }

    /// Of each priority the job that is due first.
    async fn first_due(&mut self, user_id: UserId) -> Result<Vec<JobRow>> {
        let now = self.now.as_millis();
        sqlx::query_as(FIRST_DUE_OF_USER)
            .bind(user_id.as_uuid())
            .bind(now)
            .fetch_all(self.connection())
            .await
            .map_err(store_error)
    }
}
