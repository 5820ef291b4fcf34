//! Submitting jobs: several together, all or none, and at most once for an idempotency key.

use crate::id::{PhotoId, UserId};
use crate::job::{Job, NewJob};

/// Jobs to queue together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    pub jobs: Vec<NewJob>,
    /// With a key, repeating the submission is harmless.
    pub key: Option<SubmissionKey>,
    pub limits: QueueLimits,
}

/// How long a queue may get by a submission. A repeated one gets its stored response all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Jobs of one user that wait or run; never exceeded.
    pub of_user: u64,
    /// Jobs of all users that wait; never exceeded.
    pub of_all: u64,
}

impl QueueLimits {
    pub const NONE: Self = Self {
        of_user: u64::MAX,
        of_all: u64::MAX,
    };
}

/// The idempotency key of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionKey {
    pub user_id: UserId,
    pub key: String,
    /// SHA-256 of the request: the same key may not be used for another one.
    pub fingerprint: [u8; 32],
    /// What the response says beside its jobs. Opaque to the store.
    pub response: String,
}

/// The outcome of a submission.
#[derive(Debug, Clone, PartialEq)]
pub enum Enqueued {
    /// The jobs, in the order given.
    Now(Vec<Job>),
    /// The key was used for the same before: the jobs of that submission, as they were queued.
    Before { jobs: Vec<Job>, response: String },
    /// The key was used for something else before. Nothing was queued.
    KeyTaken,
    /// The user has too many unfinished jobs. Nothing was queued.
    UserQueueFull,
    /// Too many jobs wait. Nothing was queued.
    QueueFull,
    /// The user has no such photo (any more). Nothing was queued.
    PhotoMissing(PhotoId),
}

impl Submission {
    /// Without a key, so that a repetition queues again, and without limits.
    pub fn of(jobs: Vec<NewJob>) -> Self {
        Self {
            jobs,
            key: None,
            limits: QueueLimits::NONE,
        }
    }
}
