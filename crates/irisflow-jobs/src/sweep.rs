//! Objects that must go: decided in the transaction that makes them superfluous, deleted afterwards,
//! retried until it succeeds.

use crate::id::{JobId, PhotoId, UserId};

/// One due deletion. Doing it twice does no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    pub id: i64,
    pub target: SweepTarget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepTarget {
    /// All results of a job but those of the epoch it recorded or is working under.
    JobLeftovers { user_id: UserId, job_id: JobId },
    /// What was uploaded for a photo and not (or no longer) taken in.
    Incoming { user_id: UserId, photo_id: PhotoId },
    /// What intakes of a photo wrote and did not record.
    Intakes { user_id: UserId, photo_id: PhotoId },
    /// All that was uploaded for a photo that is deleted.
    Photo { user_id: UserId, photo_id: PhotoId },
    /// Everything of a user whose account is deleted.
    Account { user_id: UserId },
}
