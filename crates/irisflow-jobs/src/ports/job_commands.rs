//! What clients ask for: jobs to be queued, cancelled and deleted.

use async_trait::async_trait;

use super::Result;
use crate::batch::Batch;
use crate::id::{BatchId, JobId, UserId};
use crate::job::Job;
use crate::submission::{Enqueued, Submission, SubmissionKey};

#[async_trait]
pub trait JobCommands: Send + Sync + std::fmt::Debug {
    /// Queues jobs, all or none: each photo must be its user's. The key is recorded with the jobs.
    async fn enqueue(&self, submission: Submission) -> Result<Enqueued>;

    /// The response stored for this key, without submitting anything: that of the first submission, or
    /// [`Enqueued::KeyTaken`]. `None` for a key that is unknown or has expired.
    async fn stored_response(&self, key: &SubmissionKey) -> Result<Option<Enqueued>>;

    /// Cancels a waiting job, and requests the cancellation of a running one from its worker. A job that
    /// has ended is unchanged. Returns the job as it is now; `None` for unknown and foreign ones.
    async fn cancel(&self, user_id: UserId, job_id: JobId) -> Result<Option<Job>>;

    /// Cancels every job of a batch that has not ended, in one transaction. `None` for unknown and foreign
    /// batches.
    async fn cancel_batch(&self, user_id: UserId, batch_id: BatchId) -> Result<Option<Batch>>;

    /// Deletes the job with its history, fences its worker off, and schedules two sweeps of its objects:
    /// one at once, one when every lease has run out. Its timeline keeps one `deleted` event until the
    /// last sweep is completed. `false` when there is no such job.
    async fn delete_job(&self, user_id: UserId, job_id: JobId) -> Result<bool>;
}
