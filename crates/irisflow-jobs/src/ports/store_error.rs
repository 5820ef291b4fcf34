//! Why a store could not do its work. "Not found" is not an error but `None`.

#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is full, locked or read-only, or its disk fails: it passes.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The change contradicts what is stored: it names something that is gone, or that there may be once
    /// only. Trying the same again does not help.
    #[error("the change contradicts what the database holds: {0}")]
    Conflict(String),
    /// A row does not say what this program writes: trying again does not help.
    #[error("the database holds something unreadable: {0}")]
    Corrupt(String),
    /// The file of the database is damaged: only a backup helps.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The database refuses the statement itself, by a fault of ours: trying again does not help.
    #[error("the database refused a statement: {0}")]
    Refused(String),
}

impl StoreError {
    /// Whether the database is in trouble, rather than this one row or statement.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Damaged(_) => true,
            Self::Conflict(_) | Self::Corrupt(_) | Self::Refused(_) => false,
        }
    }
}
