//! What workers do: claim jobs, renew their leases, record progress and the end of attempts.
//!
//! Every write names job and epoch in a [`Fence`]. A write of an attempt that no longer owns its job
//! changes nothing and returns [`WriteOutcome::Fenced`].

use async_trait::async_trait;

use super::Result;
use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::id::WorkerId;
use crate::job::{Fence, Job, JobResult};
use crate::preview::Preview;
use crate::step::Checkpoint;

/// The outcome of a worker's write.
#[derive(Debug, Clone, PartialEq)]
pub enum WriteOutcome {
    /// It is recorded; this is the job now.
    Recorded(Box<Job>),
    /// The attempt no longer owns the job: stop, and delete what it wrote.
    Fenced,
}

/// The outcome of renewing a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    Held,
    /// Held, but the owner has requested the cancellation of the job.
    CancelRequested,
    Lost,
}

#[async_trait]
pub trait JobLeases: Send + Sync + std::fmt::Debug {
    /// Leases the fairest due job to a worker, by the rule of [`QueueOrder`](crate::QueueOrder), and
    /// records that its user was served. Repairs the counters of a user when they count a due job that
    /// does not exist.
    async fn claim_next(&self, worker: WorkerId) -> Result<Option<Job>>;

    /// When the next waiting job will be due; `None` when none waits.
    async fn next_due(&self) -> Result<Option<Timestamp>>;

    async fn renew(&self, fence: Fence) -> Result<Renewal>;

    /// Records previews, whose objects are stored, then checkpoints, in order, in one transaction.
    async fn record_checkpoints(
        &self,
        fence: Fence,
        previews: &[Preview],
        checkpoints: &[Checkpoint],
    ) -> Result<WriteOutcome>;

    /// Records the result and the end of the job together.
    async fn finish(&self, fence: Fence, result: JobResult) -> Result<WriteOutcome>;

    /// Ends the attempt: the job is retried later or fails for good, as the policy says. Schedules a
    /// sweep of what the attempt wrote.
    async fn fail_attempt(&self, fence: Fence, failure: Failure) -> Result<WriteOutcome>;

    /// Returns the job to the queue at once; not counted as an attempt.
    async fn hand_back(&self, fence: Fence) -> Result<WriteOutcome>;

    /// Ends a job whose cancellation was requested, after its worker has stopped.
    async fn record_cancelled(&self, fence: Fence) -> Result<WriteOutcome>;

    /// Takes one job whose lease has expired from its worker. `None` when there is none.
    ///
    /// `failure` is recorded as the reason.
    async fn reap_one(&self, failure: Failure) -> Result<Option<Job>>;
}
