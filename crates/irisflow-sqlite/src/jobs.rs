//! `JobStore` on SQLite: the queue is the `jobs` table.

use std::collections::HashMap;

use async_trait::async_trait;
use irisflow_jobs::{
    Batch, BatchId, Checkpoint, Enqueued, Failure, Fence, Job, JobEvent, JobFilter, JobId,
    JobResult, JobState, JobStore, OwnPlace, Page, PageRequest, PhotoId, QueuedUser, Renewal,
    StatusFilter, StepTimes, StoreError, Submission, SubmissionKey, Sweep, SweepTarget, Timestamp,
    TransitionError, UserId, WaitingJob, WorkerCapacity, WorkerId, WriteOutcome,
};
use uuid::Uuid;

use crate::batches::{read_batch, rows_of_batch};
use crate::job_row::JobRow;
use crate::submissions::{Opened, read_answer};
use crate::unit_of_work::UnitOfWork;
use crate::{SqliteStore, unavailable};

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
impl JobStore for SqliteStore {
    async fn enqueue(&self, submission: Submission) -> Result<Enqueued> {
        let (limits, more) = (submission.limits, submission.jobs.len() as u64);
        let mut writing = self.begin().await?;
        let submission_id = match &submission.key {
            None => None,
            Some(key) => {
                let life = self.policy.idempotency_key_life;
                match writing.open_submission(key, life).await? {
                    Opened::New(id) => Some(id),
                    Opened::Answered(answer) => {
                        // What it repeats may be waiting for the same commit.
                        writing.commit().await?;
                        return Ok(answer);
                    }
                }
            }
        };
        if limits.of_all < u64::MAX && writing.waiting_jobs().await? + more > limits.of_all {
            return Ok(Enqueued::QueueFull);
        }
        if limits.of_user < u64::MAX {
            let mut wanted: HashMap<UserId, u64> = HashMap::new();
            for new in &submission.jobs {
                *wanted.entry(new.user_id).or_default() += 1;
            }
            for (user_id, more) in wanted {
                if writing.unfinished_jobs(user_id).await? + more > limits.of_user {
                    return Ok(Enqueued::UserQueueFull);
                }
            }
        }
        let mut queued = Vec::with_capacity(submission.jobs.len());
        for new in submission.jobs {
            if !writing.has_photo(new.user_id, new.photo_id).await? {
                return Ok(Enqueued::PhotoMissing(new.photo_id));
            }
            let transition = Job::queued(new, writing.now);
            writing.insert_job(&transition, submission_id).await?;
            queued.push(transition.job);
        }
        writing.insert_batches(&queued).await?;
        writing.commit().await?;
        Ok(Enqueued::Now(queued))
    }

    async fn answered(&self, key: &SubmissionKey) -> Result<Option<Enqueued>> {
        let mut tx = self.readers.begin().await.map_err(unavailable)?;
        read_answer(&mut tx, key, self.now()).await
    }

    async fn claim_next(&self, worker: WorkerId) -> Result<Option<Job>> {
        let mut writing = self.begin().await?;
        let Some(row) = writing.fairest_due_job(self.policy.ageing).await? else {
            if writing.has_notifications() {
                // Counters were repaired on the way.
                writing.commit().await?;
            }
            return Ok(None);
        };
        let claimed = JobEvent::Claimed { worker };
        let job = match row.job.clone().apply(claimed, writing.now, &self.policy) {
            Ok(transition) => {
                writing.claim_job(&row, &transition).await?;
                transition.job
            }
            Err(TransitionError::Fenced | TransitionError::InvalidTransition) => return Ok(None),
        };
        writing.commit().await?;
        Ok(Some(job))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        let due: Option<i64> = sqlx::query_scalar(NEXT_DUE)
            .fetch_one(&self.readers)
            .await
            .map_err(unavailable)?;
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

    async fn reach(&self, fence: Fence, checkpoints: &[Checkpoint]) -> Result<WriteOutcome> {
        let events = checkpoints
            .iter()
            .map(|&checkpoint| JobEvent::Reached { fence, checkpoint })
            .collect();
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

    async fn stopped(&self, fence: Fence) -> Result<WriteOutcome> {
        self.apply_fenced(fence, JobEvent::Stopped { fence }).await
    }

    async fn reap_one(&self) -> Result<Option<Job>> {
        // By the time of the call: a lease that was renewed before it is not held against a disk that
        // keeps this transaction waiting.
        let asked_at = self.now();
        let mut writing = self.begin().await?;
        let row: Option<JobRow> = sqlx::query_as(
            "SELECT * FROM jobs WHERE state = 'processing' AND lease_until < ?
             ORDER BY lease_until LIMIT 1",
        )
        .bind(asked_at.as_millis())
        .fetch_optional(writing.connection()?)
        .await
        .map_err(unavailable)?;
        let Some(row) = row else { return Ok(None) };
        let Ok(transition) = row
            .job
            .clone()
            .apply(JobEvent::LeaseLost, writing.now, &self.policy)
        else {
            return Ok(None);
        };
        writing.update_job(&row, &transition).await?;
        writing
            .sweep_leftovers(&transition.job, &self.policy)
            .await?;
        writing.commit().await?;
        Ok(Some(transition.job))
    }

    async fn cancel(&self, user_id: UserId, job_id: JobId) -> Result<Option<Job>> {
        let mut writing = self.begin().await?;
        let Some(row) = writing.job_row_of(user_id, job_id).await? else {
            return Ok(None);
        };
        let job = writing.cancel(row, &self.policy).await?;
        writing.commit().await?;
        Ok(Some(job))
    }

    async fn batch(&self, user_id: UserId, batch_id: BatchId) -> Result<Option<Batch>> {
        let mut tx = self.readers.begin().await.map_err(unavailable)?;
        read_batch(&mut tx, user_id, batch_id).await
    }

    async fn cancel_batch(&self, user_id: UserId, batch_id: BatchId) -> Result<Option<Batch>> {
        let mut writing = self.begin().await?;
        if read_batch(writing.connection()?, user_id, batch_id)
            .await?
            .is_none()
        {
            return Ok(None);
        }
        for row in rows_of_batch(writing.connection()?, batch_id).await? {
            writing.cancel(row, &self.policy).await?;
        }
        let batch = read_batch(writing.connection()?, user_id, batch_id).await?;
        writing.commit().await?;
        Ok(batch)
    }

    async fn delete_job(&self, user_id: UserId, job_id: JobId) -> Result<bool> {
        let mut writing = self.begin().await?;
        let Some(row) = writing.job_row_of(user_id, job_id).await? else {
            return Ok(false);
        };
        writing.delete_job(&row, &self.policy).await?;
        writing.commit().await?;
        Ok(true)
    }

    async fn job(&self, user_id: UserId, job_id: JobId) -> Result<Option<Job>> {
        let row: Option<JobRow> = sqlx::query_as("SELECT * FROM jobs WHERE id = ? AND user_id = ?")
            .bind(job_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        Ok(row.map(|row| row.job))
    }

    async fn jobs(
        &self,
        user_id: UserId,
        filter: JobFilter,
        page: PageRequest,
    ) -> Result<Page<Job>> {
        let (first, second) = states_of(filter.status);
        let batch_id = filter.batch_id.map(BatchId::as_uuid);
        let mut tx = self.readers.begin().await.map_err(unavailable)?;
        let total: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM jobs
             WHERE user_id = ?1 AND (?2 IS NULL OR state IN (?2, ?3))
               AND (?4 IS NULL OR batch_id = ?4)",
        )
        .bind(user_id.as_uuid())
        .bind(first)
        .bind(second)
        .bind(batch_id)
        .fetch_one(&mut *tx)
        .await
        .map_err(unavailable)?;
        let rows: Vec<JobRow> = sqlx::query_as(
            "SELECT * FROM jobs WHERE user_id = ?1 AND (?2 IS NULL OR state IN (?2, ?3))
               AND (?4 IS NULL OR batch_id = ?4)
             ORDER BY created_at DESC, id DESC LIMIT ?5 OFFSET ?6",
        )
        .bind(user_id.as_uuid())
        .bind(first)
        .bind(second)
        .bind(batch_id)
        .bind(page.page_size)
        .bind(page.offset())
        .fetch_all(&mut *tx)
        .await
        .map_err(unavailable)?;
        Ok(Page {
            items: rows.into_iter().map(|row| row.job).collect(),
            total: u64::try_from(total).unwrap_or(0),
        })
    }

    async fn epoch_to_keep(&self, job_id: JobId) -> Result<Option<i64>> {
        let row: Option<JobRow> = sqlx::query_as("SELECT * FROM jobs WHERE id = ?")
            .bind(job_id.as_uuid())
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        Ok(row.and_then(|JobRow { job, .. }| match job.state {
            JobState::Processing(_) => Some(job.epoch),
            JobState::Completed(result) => Some(result.epoch),
            JobState::Pending | JobState::Waiting | JobState::Failed(_) | JobState::Cancelled => {
                None
            }
        }))
    }

    async fn queued_users(&self) -> Result<Vec<QueuedUser>> {
        self.read_queued_users().await
    }

    async fn waiting_jobs(&self, user_id: UserId) -> Result<Vec<WaitingJob>> {
        self.read_waiting_jobs(user_id).await
    }

    async fn own_place(&self, user_id: UserId, job_id: JobId) -> Result<Option<OwnPlace>> {
        self.read_own_place(user_id, job_id).await
    }

    async fn repair_counters(&self) -> Result<u64> {
        self.repair_all_counters().await
    }

    async fn worker_capacity(&self) -> Result<WorkerCapacity> {
        self.read_fleet().await
    }

    async fn report_worker(&self, worker: WorkerId, slots: u32) -> Result<()> {
        self.write_worker(worker, slots).await
    }

    async fn worker_gone(&self, worker: WorkerId) -> Result<()> {
        self.delete_worker(worker).await
    }

    async fn step_times(&self, limit: u32) -> Result<Vec<StepTimes>> {
        self.read_step_times(limit).await
    }

    async fn due_sweeps(&self, limit: u32) -> Result<Vec<Sweep>> {
        self.read_due_sweeps(limit).await
    }

    async fn sweep_done(&self, sweep_id: i64) -> Result<()> {
        self.delete_sweep(sweep_id).await
    }

    async fn sweep_failed(&self, sweep_id: i64) -> Result<()> {
        self.postpone_sweep(sweep_id).await
    }
}

impl SqliteStore {
    async fn apply_fenced(&self, fence: Fence, event: JobEvent) -> Result<WriteOutcome> {
        self.apply_all_fenced(fence, vec![event]).await
    }

    /// Applies a worker's events in order, all or none.
    async fn apply_all_fenced(&self, fence: Fence, events: Vec<JobEvent>) -> Result<WriteOutcome> {
        let mut writing = self.begin().await?;
        let Some(row) = writing.job_row(fence.job_id).await? else {
            return Ok(WriteOutcome::Fenced);
        };
        // A report without events has none that would be refused.
        if !row.job.is_held_by(fence) {
            return Ok(WriteOutcome::Fenced);
        }
        let mut job = row.job.clone();
        let mut transitions = Vec::with_capacity(events.len());
        for event in events {
            let Ok(transition) = job.apply(event, writing.now, &self.policy) else {
                return Ok(WriteOutcome::Fenced);
            };
            job = transition.job.clone();
            transitions.push(transition);
        }
        writing.update_job_by(&row, &transitions).await?;
        if let JobState::Completed(result) = &job.state {
            writing.remember_times(&job, result).await?;
        }
        let gave_up = !matches!(job.state, JobState::Processing(_) | JobState::Completed(_));
        if gave_up {
            writing.sweep_leftovers(&job, &self.policy).await?;
        }
        writing.commit().await?;
        Ok(WriteOutcome::Recorded(Box::new(job)))
    }
}

impl UnitOfWork<'_> {
    pub(crate) async fn job_row(&mut self, job_id: JobId) -> Result<Option<JobRow>> {
        sqlx::query_as("SELECT * FROM jobs WHERE id = ?")
            .bind(job_id.as_uuid())
            .fetch_optional(self.connection()?)
            .await
            .map_err(unavailable)
    }

    /// The job, if it is this user's.
    pub(crate) async fn job_row_of(
        &mut self,
        user_id: UserId,
        job_id: JobId,
    ) -> Result<Option<JobRow>> {
        let row = self.job_row(job_id).await?;
        Ok(row.filter(|row| row.job.user_id == user_id))
    }

    async fn unfinished_jobs(&mut self, user_id: UserId) -> Result<u64> {
        let unfinished: Option<i64> =
            sqlx::query_scalar("SELECT queued + running FROM timelines WHERE user_id = ?")
                .bind(user_id.as_uuid())
                .fetch_optional(self.connection()?)
                .await
                .map_err(unavailable)?;
        Ok(unfinished.map_or(0, |unfinished| u64::try_from(unfinished).unwrap_or(0)))
    }

    /// Of all users.
    async fn waiting_jobs(&mut self) -> Result<u64> {
        let waiting: i64 = sqlx::query_scalar("SELECT waiting FROM queue_totals")
            .fetch_one(self.connection()?)
            .await
            .map_err(unavailable)?;
        Ok(u64::try_from(waiting).unwrap_or(0))
    }

    async fn has_photo(&mut self, user_id: UserId, photo_id: PhotoId) -> Result<bool> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM photos WHERE id = ? AND user_id = ?)")
            .bind(photo_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_one(self.connection()?)
            .await
            .map_err(unavailable)
    }

    /// The job after its owner wished it cancelled; unchanged when it has ended.
    pub(crate) async fn cancel(
        &mut self,
        row: JobRow,
        policy: &irisflow_jobs::JobPolicy,
    ) -> Result<Job> {
        let event = JobEvent::CancelRequested;
        match row.job.clone().apply(event, self.now, policy) {
            Ok(transition) => {
                self.update_job(&row, &transition).await?;
                self.cancel_attempt(&transition.job);
                Ok(transition.job)
            }
            Err(TransitionError::Fenced | TransitionError::InvalidTransition) => Ok(row.job),
        }
    }

    /// Looks at users, not at the backlog: of those with the fewest running jobs the one served longest
    /// ago, then that user's first job. `irisflow_jobs::QueueOrder` foretells by the same rule.
    async fn fairest_due_job(&mut self, ageing: std::time::Duration) -> Result<Option<JobRow>> {
        loop {
            let user_id: Option<Uuid> = sqlx::query_scalar(NEXT_USER)
                .bind(self.now.as_millis())
                .fetch_optional(self.connection()?)
                .await
                .map_err(unavailable)?;
            let Some(user_id) = user_id else {
                return Ok(None);
            };
            let due = self.first_due(user_id).await?.into_iter();
            let first = due.min_by_key(|row| WaitingJob::of(&row.job).turn(self.now, ageing));
            if first.is_some() {
                return Ok(first);
            }
            // Without this, such a user would be chosen for ever and hold all others up.
            if !self.recount(user_id).await? {
                return Err(StoreError::Corrupt(format!(
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
            .map_err(unavailable)
    }

    /// What the ended attempt wrote goes at once; what its worker may still be writing goes when the
    /// longest lease has run out.
    pub(crate) async fn sweep_leftovers(
        &mut self,
        job: &Job,
        policy: &irisflow_jobs::JobPolicy,
    ) -> Result<()> {
        let target = SweepTarget::JobLeftovers {
            user_id: job.user_id,
            job_id: job.id,
        };
        self.sweep(target, self.now).await?;
        self.sweep(target, self.now + policy.lease * 2).await
    }
}

fn states_of(filter: Option<StatusFilter>) -> (Option<&'static str>, Option<&'static str>) {
    match filter {
        None => (None, None),
        Some(StatusFilter::Pending) => (Some("pending"), None),
        Some(StatusFilter::Processing) => (Some("processing"), Some("waiting")),
        Some(StatusFilter::Completed) => (Some("completed"), None),
        Some(StatusFilter::Failed) => (Some("failed"), None),
        Some(StatusFilter::Cancelled) => (Some("cancelled"), None),
    }
}
