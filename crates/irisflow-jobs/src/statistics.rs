//! Statistics of the queue and of one user's storage, for limits and for operators. No state of a job depends
//! on them.

use crate::clock::Timestamp;

/// The queue as a whole, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueStatistics {
    /// Jobs that wait, also those that wait for their retry.
    pub waiting: u64,
    pub running: u64,
    /// Since when the job has been due that waits longest; `None` when none is due.
    pub oldest_due_since: Option<Timestamp>,
}

/// What one user holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Photos that were taken in, with their thumbnails.
    pub photo_bytes: u64,
    /// Uploads that are not confirmed.
    pub incoming_bytes: u64,
    /// What finished jobs made.
    pub result_bytes: u64,
    /// Jobs that wait or run.
    pub unfinished_jobs: u64,
}

impl Usage {
    /// What counts towards the quota of storage.
    pub fn stored_bytes(&self) -> u64 {
        self.photo_bytes + self.incoming_bytes + self.result_bytes
    }
}
