//! Reading a user's events, for those who watch jobs.

use async_trait::async_trait;

use super::Result;
use crate::clock::Timestamp;
use crate::event::Event;
use crate::id::{JobId, UserId};
use crate::job::Job;

#[async_trait]
pub trait Timeline: Send + Sync + std::fmt::Debug {
    /// The job and its recent events, read in one transaction. `None` for unknown and foreign jobs.
    async fn job_snapshot(
        &self,
        user_id: UserId,
        job_id: JobId,
        recent_since: Timestamp,
    ) -> Result<Option<JobSnapshot>>;

    /// The job's events with a `seq` above `after`, in order. They outlive the job itself.
    async fn job_events_after(
        &self,
        user_id: UserId,
        job_id: JobId,
        after: i64,
    ) -> Result<Vec<Event>>;

    /// The user's jobs that have events with a `seq` above `after`.
    async fn jobs_with_events_after(&self, user_id: UserId, after: i64) -> Result<Vec<JobId>>;

    /// The last `seq` of each of these users; users without a timeline are left out.
    async fn last_seqs(&self, users: &[UserId]) -> Result<Vec<(UserId, i64)>>;
}

/// A job and the events that its watcher receives first.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSnapshot {
    pub job: Job,
    /// The job's newest event that is older than the recent ones.
    pub newest_older: Option<Event>,
    /// The job's events since the moment asked for, in order.
    pub recent: Vec<Event>,
}
