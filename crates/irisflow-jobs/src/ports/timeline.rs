//! Reading a user's events, for those who watch jobs.

use async_trait::async_trait;

use super::Result;
use crate::clock::Timestamp;
use crate::cursor::Cursor;
use crate::event::Event;
use crate::id::{BatchId, JobId, UserId};
use crate::job::Job;

#[async_trait]
pub trait Timeline: Send + Sync + std::fmt::Debug {
    /// The jobs of a user and the position of the newest event, read in one transaction. `None` without such
    /// a user.
    async fn user_snapshot(
        &self,
        user_id: UserId,
        filter: &WatchFilter,
        finished_limit: u32,
    ) -> Result<Option<UserSnapshot>>;

    /// A page of events that follow a position. The position is checked and the events are read in one
    /// transaction. `None` without such a user.
    async fn user_events_after(
        &self,
        user_id: UserId,
        after: Cursor,
        filter: &WatchFilter,
        limit: u32,
    ) -> Result<Option<EventsAfter>>;

    /// The job and its recent events, read in one transaction; of a job that has ended only the last event. `None` for
    /// unknown and foreign jobs.
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

    /// The last `seq` of each user that has events since this moment.
    async fn last_seqs_since(&self, since: Timestamp) -> Result<Vec<(UserId, i64)>>;
}

/// Which jobs a watcher of a user follows. The default is all of them; with both fields set, a job must
/// match both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatchFilter {
    pub job_ids: Option<Vec<JobId>>,
    pub batch_id: Option<BatchId>,
}

impl WatchFilter {
    pub fn matches(&self, job_id: JobId, batch_id: Option<BatchId>) -> bool {
        let is_listed = |ids: &Vec<JobId>| ids.contains(&job_id);
        self.job_ids.as_ref().is_none_or(is_listed)
            && self.batch_id.is_none_or(|wanted| batch_id == Some(wanted))
    }
}

/// The present state of a user's jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct UserSnapshot {
    /// The newest event that the jobs show.
    pub cursor: Cursor,
    /// All unfinished jobs and the newest finished ones, newest first.
    pub jobs: Vec<Job>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum EventsAfter {
    Page(EventPage),
    /// The events cannot follow the position without loss: the watcher needs a snapshot.
    Gap(GapReason),
}

#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// In order, up to the limit. Events of deleted jobs are left out, except that they were deleted.
    pub events: Vec<Event>,
    /// Events up to this `seq` are in this page or were left out.
    pub reached: i64,
    /// The `seq` of the user's newest event, also when the filter leaves it out.
    pub last_seq: i64,
}

/// Why a position is not one to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// Events after it have been deleted, since they were old or their job was deleted.
    Pruned,
    /// It lies after the newest event.
    Ahead,
    /// It is of another history: the database was restored from a backup.
    Epoch,
}

/// A job and the events that its watcher receives first.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSnapshot {
    pub job: Job,
    /// The job's newest event that is older than the recent ones.
    pub newest_older: Option<Event>,
    /// The job's events since the moment asked for, in order; the last one of a job that has ended.
    pub recent: Vec<Event>,
}
