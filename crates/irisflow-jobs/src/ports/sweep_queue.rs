//! Scheduled deletions of objects. The transactions that make objects superfluous schedule them; every
//! node's sweeper claims some and carries them out.

use std::time::Duration;

use async_trait::async_trait;

use super::Result;
use crate::id::JobId;
use crate::sweep::Sweep;

#[async_trait]
pub trait SweepQueue: Send + Sync + std::fmt::Debug {
    /// Claims sweeps that are due, oldest first: until `lease` has passed, no other call returns them. Those
    /// that are neither completed nor postponed by then are due again, as after the loss of a node.
    async fn claim_sweeps(&self, limit: u32, lease: Duration) -> Result<Vec<Sweep>>;

    /// The epoch whose objects of this job are to be kept, if any: the recorded one, or the one of the
    /// running attempt.
    async fn epoch_to_keep(&self, job_id: JobId) -> Result<Option<i64>>;

    /// Records that the objects are deleted. The last sweep of a deleted job also deletes the event that
    /// still named the job; that of an upload that was never confirmed also deletes the photo's row.
    async fn complete_sweep(&self, sweep_id: i64) -> Result<()>;

    /// Records that the objects could not be deleted. The sweep is due again later, each time after a
    /// longer wait, so that it does not delay the others.
    async fn postpone_sweep(&self, sweep_id: i64) -> Result<()>;
}
