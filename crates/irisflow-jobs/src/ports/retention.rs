//! Deleting what has been kept long enough. Every node does it, again and again.
//!
//! Each call is one short transaction that selects its rows and deletes them: nodes that call at the same
//! time delete different rows, so no claim is needed.

use async_trait::async_trait;

use super::Result;
use crate::clock::Timestamp;

#[async_trait]
pub trait Retention: Send + Sync + std::fmt::Debug {
    /// Expires originals that were announced before this moment and that no unfinished job needs;
    /// photos to which no job refers are deleted altogether. Returns how many, up to `limit`.
    async fn expire_originals(&self, announced_before: Timestamp, limit: u32) -> Result<u32>;

    /// Deletes jobs with their results that ended before this moment, and photos that had expired and
    /// to which no job refers any more. Returns how many jobs, up to `limit`.
    async fn expire_jobs(&self, ended_before: Timestamp, limit: u32) -> Result<u32>;

    /// Deletes sessions, with their refresh tokens, that ended or ran out before this moment. Returns how
    /// many, up to `limit`.
    async fn prune_sessions(&self, ended_before: Timestamp, limit: u32) -> Result<u32>;

    /// Deletes events that were committed from `from` until before `before`, and raises `floor_seq` of their
    /// timelines. The newest event of each existing job stays: it shows the job's state to a watcher of this
    /// job. Returns how many, up to `limit`. Call it again with `from` as the earlier `before`, so that the
    /// events that stay are not visited again.
    async fn prune_events(&self, from: Timestamp, before: Timestamp, limit: u32) -> Result<u32>;

    /// Deletes refresh tokens that were spent before this moment: their reuse ends no session any more.
    /// Returns how many, up to `limit`.
    async fn prune_refresh_tokens(&self, spent_before: Timestamp, limit: u32) -> Result<u32>;
}
