//! Asking for jobs: together, all or none, and at most once where a key says that it is the same
//! request again.

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

/// How long a queue may get by a submission. One that was taken before is answered whatever the queue.
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

/// The client's name for one request, and what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionKey {
    pub user_id: UserId,
    pub key: String,
    /// SHA-256 of what is asked for: the same key may not ask for something else.
    pub fingerprint: [u8; 32],
    /// What the first answer says beside its jobs. Kept and given back unread.
    pub memo: String,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq)]
pub enum Enqueued {
    /// The jobs, in the order given.
    Now(Vec<Job>),
    /// The key has asked for the same before: those jobs as they were queued then.
    Before { jobs: Vec<Job>, memo: String },
    /// The key has asked for something else before. Nothing was queued.
    KeyTaken,
    /// The user has too many unfinished jobs. Nothing was queued.
    UserQueueFull,
    /// Too many jobs wait. Nothing was queued.
    QueueFull,
    /// The user has no such photo (any more). Nothing was queued.
    PhotoMissing(PhotoId),
}

impl Submission {
    /// Without a key: asked twice, it is done twice. Without limits.
    pub fn of(jobs: Vec<NewJob>) -> Self {
        Self {
            jobs,
            key: None,
            limits: QueueLimits::NONE,
        }
    }
}
