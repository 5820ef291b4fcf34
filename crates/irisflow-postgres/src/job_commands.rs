//! `JobCommands` on PostgreSQL: jobs are queued, cancelled and deleted.

use std::collections::HashMap;

use async_trait::async_trait;
use irisflow_jobs::{
    Batch, BatchId, Enqueued, Job, JobCommands, JobEvent, JobId, JobPolicy, NewJob, PhotoId,
    QueueLimits, StoreError, Submission, SubmissionKey, TransitionError, UserId,
};

use crate::batches::{read_batch, rows_of_batch};
use crate::columns::unsigned;
use crate::job_row::JobRow;
use crate::submissions::{Opened, read_response};
use crate::unit_of_work::UnitOfWork;
use crate::{PostgresStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl JobCommands for PostgresStore {
    async fn enqueue(&self, submission: Submission) -> Result<Enqueued> {
        retrying!(self.try_enqueue(&submission))
    }

    async fn stored_response(&self, key: &SubmissionKey) -> Result<Option<Enqueued>> {
        retrying!(async {
            let now = self.now().await?;
            let mut tx = self.snapshot().await?;
            read_response(&mut tx, key, now).await
        })
    }

    async fn cancel(&self, user_id: UserId, job_id: JobId) -> Result<Option<Job>> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            let Some(row) = unit_of_work.job_row_of(user_id, job_id).await? else {
                return Ok(None);
            };
            let job = unit_of_work.cancel(row, &self.policy).await?;
            unit_of_work.commit().await?;
            Ok(Some(job))
        })
    }

    async fn cancel_batch(&self, user_id: UserId, batch_id: BatchId) -> Result<Option<Batch>> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            let before = read_batch(unit_of_work.connection(), user_id, batch_id).await?;
            if before.is_none() {
                return Ok(None);
            }
            for row in rows_of_batch(unit_of_work.connection(), batch_id).await? {
                unit_of_work.cancel(row, &self.policy).await?;
            }
            let batch = read_batch(unit_of_work.connection(), user_id, batch_id).await?;
            unit_of_work.commit().await?;
            Ok(batch)
        })
    }

    async fn delete_job(&self, user_id: UserId, job_id: JobId) -> Result<bool> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            let Some(row) = unit_of_work.job_row_of(user_id, job_id).await? else {
                return Ok(false);
            };
            unit_of_work.delete_job(&row, &self.policy).await?;
            unit_of_work.commit().await?;
            Ok(true)
        })
    }
}

impl PostgresStore {
    async fn try_enqueue(&self, submission: &Submission) -> Result<Enqueued> {
        let of_jobs = submission.jobs.iter().map(|new| new.user_id);
        let of_key = submission.key.iter().map(|key| key.user_id);
        let users: Vec<UserId> = of_jobs.chain(of_key).collect();
        let mut unit_of_work = self.begin_for_all(&users).await?;
        let submission_id = match &submission.key {
            None => None,
            Some(key) => {
                let life = self.policy.idempotency_key_life;
                match unit_of_work.open_submission(key, life).await? {
                    Opened::New(id) => Some(id),
                    Opened::Repeated(response) => return Ok(response),
                }
            }
        };
        if let Some(full) = unit_of_work
            .exceeded_limit(&submission.jobs, submission.limits)
            .await?
        {
            return Ok(full);
        }
        let mut queued = Vec::with_capacity(submission.jobs.len());
        for new in &submission.jobs {
            if !unit_of_work.has_photo(new.user_id, new.photo_id).await? {
                return Ok(Enqueued::PhotoMissing(new.photo_id));
            }
            let transition = Job::queued(new.clone(), unit_of_work.now);
            unit_of_work.insert_job(&transition, submission_id).await?;
            queued.push(transition.job);
        }
        unit_of_work.insert_batches(&queued).await?;
        unit_of_work.commit().await?;
        Ok(Enqueued::Now(queued))
    }
}

/// Submissions wait for each other only when the queue is this close to its limit: uncommitted ones then add up to less.
const NEAR_LIMIT: u64 = 5_000;
/// Names the advisory lock of submissions to a queue that is almost full.
const QUEUE_LIMIT_LOCK: i64 = 0x1215_f10f;

impl UnitOfWork<'_> {
    /// The limit that these jobs would exceed, if any.
    async fn exceeded_limit(
        &mut self,
        jobs: &[NewJob],
        limits: QueueLimits,
    ) -> Result<Option<Enqueued>> {
        let mut added_of_user: HashMap<UserId, u64> = HashMap::new();
        for new in jobs {
            *added_of_user.entry(new.user_id).or_default() += 1;
        }
        if limits.of_all < u64::MAX && self.is_full(jobs.len() as u64, limits.of_all).await? {
            return Ok(Some(Enqueued::QueueFull));
        }
        if limits.of_user == u64::MAX {
            return Ok(None);
        }
        for (user_id, added) in added_of_user {
            // A user without a timeline has no photo either.
            let unfinished = self
                .timeline(user_id)
                .map_or(0, |timeline| timeline.queued + timeline.running);
            if unsigned(unfinished) + added > limits.of_user {
                return Ok(Some(Enqueued::UserQueueFull));
            }
        }
        Ok(None)
    }

    async fn is_full(&mut self, added: u64, limit: u64) -> Result<bool> {
        if self.waiting_jobs().await? + added + NEAR_LIMIT <= limit {
            return Ok(false);
        }
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(QUEUE_LIMIT_LOCK)
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        Ok(self.waiting_jobs().await? + added > limit)
    }

    /// Of all users.
    async fn waiting_jobs(&mut self) -> Result<u64> {
        let waiting: i64 = sqlx::query_scalar(WAITING_JOBS)
            .fetch_one(self.connection())
            .await
            .map_err(store_error)?;
        Ok(unsigned(waiting))
    }

    async fn has_photo(&mut self, user_id: UserId, photo_id: PhotoId) -> Result<bool> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM photos WHERE id = $1 AND user_id = $2)")
            .bind(photo_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_one(self.connection())
            .await
            .map_err(store_error)
    }

    /// Cancels a waiting job or requests the cancellation of a running one; a job that has ended is unchanged.
    pub(crate) async fn cancel(&mut self, row: JobRow, policy: &JobPolicy) -> Result<Job> {
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
}

/// Sums up the users with unfinished jobs.
pub(crate) const WAITING_JOBS: &str =
    "SELECT coalesce(sum(queued), 0)::bigint FROM timelines WHERE queued > 0 OR running > 0";
