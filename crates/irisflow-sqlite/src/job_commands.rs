//! `JobCommands` on SQLite: jobs are queued, cancelled and deleted.

use std::collections::HashMap;

use async_trait::async_trait;
use irisflow_jobs::{
    Batch, BatchId, Enqueued, Job, JobCommands, JobEvent, JobId, JobPolicy, NewJob, PhotoId,
    QueueLimits, StoreError, Submission, SubmissionKey, TransitionError, UserId,
};

use crate::batches::{read_batch, rows_of_batch};
use crate::job_row::JobRow;
use crate::submissions::{Opened, read_response};
use crate::unit_of_work::UnitOfWork;
use crate::{SqliteStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl JobCommands for SqliteStore {
    async fn enqueue(&self, submission: Submission) -> Result<Enqueued> {
        let mut unit_of_work = self.begin().await?;
        let submission_id = match &submission.key {
            None => None,
            Some(key) => {
                let life = self.policy.idempotency_key_life;
                match unit_of_work.open_submission(key, life).await? {
                    Opened::New(id) => Some(id),
                    Opened::Repeated(response) => {
                        // The submission that it repeats may be in the same commit group.
                        unit_of_work.commit().await?;
                        return Ok(response);
                    }
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
        for new in submission.jobs {
            if !unit_of_work.has_photo(new.user_id, new.photo_id).await? {
                return Ok(Enqueued::PhotoMissing(new.photo_id));
            }
            let transition = Job::queued(new, unit_of_work.now);
            unit_of_work.insert_job(&transition, submission_id).await?;
            queued.push(transition.job);
        }
        unit_of_work.insert_batches(&queued).await?;
        unit_of_work.commit().await?;
        Ok(Enqueued::Now(queued))
    }

    async fn stored_response(&self, key: &SubmissionKey) -> Result<Option<Enqueued>> {
        let mut tx = self.readers.begin().await.map_err(store_error)?;
        read_response(&mut tx, key, self.now()).await
    }

    async fn cancel(&self, user_id: UserId, job_id: JobId) -> Result<Option<Job>> {
        let mut unit_of_work = self.begin().await?;
        let Some(row) = unit_of_work.job_row_of(user_id, job_id).await? else {
            return Ok(None);
        };
        let job = unit_of_work.cancel(row, &self.policy).await?;
        unit_of_work.commit().await?;
        Ok(Some(job))
    }

    async fn cancel_batch(&self, user_id: UserId, batch_id: BatchId) -> Result<Option<Batch>> {
        let mut unit_of_work = self.begin().await?;
        if read_batch(unit_of_work.connection()?, user_id, batch_id)
            .await?
            .is_none()
        {
            return Ok(None);
        }
        for row in rows_of_batch(unit_of_work.connection()?, batch_id).await? {
            unit_of_work.cancel(row, &self.policy).await?;
        }
        let batch = read_batch(unit_of_work.connection()?, user_id, batch_id).await?;
        unit_of_work.commit().await?;
        Ok(batch)
    }

    async fn delete_job(&self, user_id: UserId, job_id: JobId) -> Result<bool> {
        let mut unit_of_work = self.begin().await?;
        let Some(row) = unit_of_work.job_row_of(user_id, job_id).await? else {
            return Ok(false);
        };
        unit_of_work.delete_job(&row, &self.policy).await?;
        unit_of_work.commit().await?;
        Ok(true)
    }
}

impl UnitOfWork<'_> {
    /// The limit that these jobs would exceed, if any.
    async fn exceeded_limit(
        &mut self,
        jobs: &[NewJob],
        limits: QueueLimits,
    ) -> Result<Option<Enqueued>> {
        let added = jobs.len() as u64;
        if limits.of_all < u64::MAX && self.waiting_jobs().await? + added > limits.of_all {
            return Ok(Some(Enqueued::QueueFull));
        }
        if limits.of_user == u64::MAX {
            return Ok(None);
        }
        let mut added_of_user: HashMap<UserId, u64> = HashMap::new();
        for new in jobs {
            *added_of_user.entry(new.user_id).or_default() += 1;
        }
        for (user_id, added) in added_of_user {
            if self.unfinished_jobs(user_id).await? + added > limits.of_user {
                return Ok(Some(Enqueued::UserQueueFull));
            }
        }
        Ok(None)
    }

    async fn unfinished_jobs(&mut self, user_id: UserId) -> Result<u64> {
        let unfinished: Option<i64> =
            sqlx::query_scalar("SELECT queued + running FROM timelines WHERE user_id = ?")
                .bind(user_id.as_uuid())
                .fetch_optional(self.connection()?)
                .await
                .map_err(store_error)?;
        Ok(unfinished.map_or(0, |unfinished| u64::try_from(unfinished).unwrap_or(0)))
    }

    /// Of all users.
    async fn waiting_jobs(&mut self) -> Result<u64> {
        let waiting: i64 = sqlx::query_scalar("SELECT waiting FROM queue_totals")
            .fetch_one(self.connection()?)
            .await
            .map_err(store_error)?;
        Ok(u64::try_from(waiting).unwrap_or(0))
    }

    async fn has_photo(&mut self, user_id: UserId, photo_id: PhotoId) -> Result<bool> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM photos WHERE id = ? AND user_id = ?)")
            .bind(photo_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_one(self.connection()?)
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
