//! Figures about the queue and about what one user stores.

use async_trait::async_trait;

use super::Result;
use crate::id::UserId;
use crate::statistics::{QueueStatistics, Usage};

#[async_trait]
pub trait Statistics: Send + Sync + std::fmt::Debug {
    async fn queue(&self) -> Result<QueueStatistics>;

    /// Nothing at all for an unknown user.
    async fn usage(&self, user_id: UserId) -> Result<Usage>;
}
