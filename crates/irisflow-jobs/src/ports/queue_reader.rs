//! The inputs of estimates: the order of the queue, the capacity of the workers, the times of finished jobs.

use async_trait::async_trait;

use super::Result;
use crate::estimate::{StepTimes, WorkerCapacity};
use crate::id::{JobId, UserId};
use crate::queue_order::{OwnPlace, QueuedUser, WaitingJob};

#[async_trait]
pub trait QueueReader: Send + Sync + std::fmt::Debug {
    /// The users with waiting jobs.
    async fn queued_users(&self) -> Result<Vec<QueuedUser>>;

    /// The user's waiting jobs, in the order in which they will be claimed.
    async fn waiting_jobs(&self, user_id: UserId) -> Result<Vec<WaitingJob>>;

    /// The place of one job in [`waiting_jobs`](Self::waiting_jobs), without reading them all. `None` when
    /// it does not wait, or is unknown or foreign.
    async fn own_place(&self, user_id: UserId, job_id: JobId) -> Result<Option<OwnPlace>>;

    /// The capacity of the workers in the [`WorkerRegistry`](crate::WorkerRegistry) that have reported
    /// within two leases.
    async fn worker_capacity(&self) -> Result<WorkerCapacity>;

    /// How long the steps of the latest finished jobs took, newest first.
    async fn step_times(&self, limit: u32) -> Result<Vec<StepTimes>>;
}
