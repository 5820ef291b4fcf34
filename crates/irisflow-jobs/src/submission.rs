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
    /// The user has no such photo (any more). Nothing was queued.
    PhotoMissing(PhotoId),
}

impl Submission {
    /// Without a key: asked twice, it is done twice.
    pub fn of(jobs: Vec<NewJob>) -> Self {
        Self { jobs, key: None }
    }
}
