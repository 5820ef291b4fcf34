//! The worker processes that are alive. Estimates read their capacity through
//! [`QueueReader`](crate::QueueReader); nothing that a job's life depends on is decided by it.

use async_trait::async_trait;

use super::Result;
use crate::id::WorkerId;

#[async_trait]
pub trait WorkerRegistry: Send + Sync + std::fmt::Debug {
    /// Records that a worker process is alive and works on up to `slots` jobs at once.
    async fn report_worker(&self, worker: WorkerId, slots: u32) -> Result<()>;

    /// Removes a worker process that claims nothing more.
    async fn remove_worker(&self, worker: WorkerId) -> Result<()>;
}
