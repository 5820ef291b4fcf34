//! Reading jobs and batches, as their owner sees them.

use async_trait::async_trait;

use super::{JobFilter, Page, PageRequest, Result};
use crate::batch::Batch;
use crate::id::{BatchId, JobId, UserId};
use crate::job::Job;

#[async_trait]
pub trait JobReader: Send + Sync + std::fmt::Debug {
    /// A job of this user. `None` for unknown and foreign ones alike.
    async fn job(&self, user_id: UserId, job_id: JobId) -> Result<Option<Job>>;

    /// Newest first.
    async fn jobs(
        &self,
        user_id: UserId,
        filter: JobFilter,
        page: PageRequest,
    ) -> Result<Page<Job>>;

    /// The jobs that were submitted together. `None` for unknown and foreign batches.
    async fn batch(&self, user_id: UserId, batch_id: BatchId) -> Result<Option<Batch>>;
}
