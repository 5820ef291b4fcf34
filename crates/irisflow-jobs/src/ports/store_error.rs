//! Why a store could not do its work. "Not found" is not an error but `None`.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The error of a store, with the error of the database's driver as its cause. Clones share the cause: all
/// callers of a commit group get the same one.
///
/// The message contains that of the cause, so [`Error::source`] goes on with the cause's own source.
#[derive(Debug, Clone)]
pub enum StoreError {
    /// The database cannot be reached, is full, locked or read-only, or its disk fails: a temporary outage.
    Unavailable(Cause),
    /// The transaction was rolled back because of a concurrent one: it may be repeated at once.
    Serialization(Cause),
    /// A constraint was violated: the change refers to a row that is gone, or duplicates a unique value.
    Conflict(Cause),
    /// A row does not hold what this program writes.
    Corrupt(Cause),
    /// The file of the database is damaged: only a backup helps.
    Damaged(Cause),
    /// The database rejects the statement itself: a bug of ours.
    Refused(Cause),
}

/// What a [`StoreError`] is made from: an error of the driver, or a message.
pub type Cause = Arc<dyn Error + Send + Sync>;

impl StoreError {
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(Arc::from(cause.into()))
    }

    pub fn corrupt(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Corrupt(Arc::from(cause.into()))
    }

    pub fn damaged(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Damaged(Arc::from(cause.into()))
    }

    /// Whether repeating the same call may succeed: now, or after the outage.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Serialization(_) => true,
            Self::Conflict(_) | Self::Corrupt(_) | Self::Damaged(_) | Self::Refused(_) => false,
        }
    }

    /// Whether a constraint was violated: the request contradicts what is stored.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// Whether the whole database is out of order, rather than one row or statement.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Damaged(_) => true,
            Self::Serialization(_) | Self::Conflict(_) | Self::Corrupt(_) | Self::Refused(_) => {
                false
            }
        }
    }

    pub fn cause(&self) -> &Cause {
        match self {
            Self::Unavailable(cause)
            | Self::Serialization(cause)
            | Self::Conflict(cause)
            | Self::Corrupt(cause)
            | Self::Damaged(cause)
            | Self::Refused(cause) => cause,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Unavailable(_) => "the database is not available",
            Self::Serialization(_) => "the transaction conflicted with a concurrent one",
            Self::Conflict(_) => "the change contradicts what the database holds",
            Self::Corrupt(_) => "the database holds something unreadable",
            Self::Damaged(_) => "the database is damaged",
            Self::Refused(_) => "the database refused a statement",
        };
        write!(f, "{kind}: {}", self.cause())
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause().source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_kept_and_said_once() {
        let disk = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = StoreError::unavailable(disk);

        let cause = error.cause().downcast_ref::<std::io::Error>();

        let kind = cause.map(std::io::Error::kind);
        assert_eq!(kind, Some(std::io::ErrorKind::StorageFull));
        assert_eq!(
            error.to_string(),
            format!("the database is not available: {}", error.cause())
        );
        assert!(error.source().is_none(), "the message has it already");
    }

    #[test]
    fn each_kind_says_whether_to_try_again() {
        let cause = || Cause::from(Box::<dyn Error + Send + Sync>::from("a reason"));
        let answers =
            |error: StoreError| (error.is_transient(), error.is_conflict(), error.is_outage());
        for (error, expected) in [
            (StoreError::Unavailable(cause()), (true, false, true)),
            (StoreError::Serialization(cause()), (true, false, false)),
            (StoreError::Conflict(cause()), (false, true, false)),
            (StoreError::Corrupt(cause()), (false, false, false)),
            (StoreError::Damaged(cause()), (false, false, true)),
            (StoreError::Refused(cause()), (false, false, false)),
        ] {
            assert_eq!(answers(error.clone()), expected, "{error}");
        }
    }
}
