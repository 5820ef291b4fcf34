//! SQLite's errors as [`StoreError`]s: an outage, a damaged file, an unreadable row, a violated constraint,
//! or a rejected statement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use irisflow_jobs::{Cause, StoreError};

/// Result codes, from <https://sqlite.org/rescode.html>; the low byte of an extended code is its primary code.
mod code {
    pub(super) const ERROR: i32 = 1;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const TOO_BIG: i32 = 18;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const MISMATCH: i32 = 20;
    pub(super) const MISUSE: i32 = 21;
    pub(super) const RANGE: i32 = 25;
    pub(super) const NOT_A_DATABASE: i32 = 26;
    pub(super) const BUSY_SNAPSHOT: i32 = 517;
}

/// Set for the rest of the process by the first statement that meets damage. A process has one database.
static DAMAGE_MET: AtomicBool = AtomicBool::new(false);

pub(crate) fn damage_was_met() -> bool {
    DAMAGE_MET.load(Ordering::SeqCst)
}

pub(crate) fn store_error(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StoreError::corrupt(error),
        sqlx::Error::Database(error) => {
            let extended = error.code().and_then(|code| code.parse().ok());
            of_code(extended.unwrap_or(0), Arc::from(error.into_error()))
        }
        error => StoreError::unavailable(error),
    }
}

fn of_code(extended: i32, cause: Cause) -> StoreError {
    if extended == code::BUSY_SNAPSHOT {
        return StoreError::Serialization(cause);
    }
    match extended & 0xff {
        code::CORRUPT | code::NOT_A_DATABASE => {
            if !DAMAGE_MET.swap(true, Ordering::SeqCst) {
                tracing::error!(error = %cause, "the database is damaged");
            }
            StoreError::Damaged(cause)
        }
        code::CONSTRAINT => StoreError::Conflict(cause),
        code::ERROR | code::TOO_BIG | code::MISMATCH | code::MISUSE | code::RANGE => {
            StoreError::Refused(cause)
        }
        // Full, busy, locked, read-only, an I/O error, out of memory, cannot open, interrupted.
        _ => StoreError::Unavailable(cause),
    }
}

pub(crate) fn unknown_value(what: &str, value: &str) -> StoreError {
    StoreError::corrupt(format!("unknown {what} {value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_machine_are_an_outage_and_a_rejected_statement_is_not() {
        let error = |code| of_code(code, Arc::from(Box::from("a reason")));
        // BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN, PROTOCOL; with extended codes
        // IOERR_FSYNC, READONLY_DBMOVED.
        for code in [5, 6, 7, 8, 10, 13, 14, 15, 1034, 1032] {
            assert!(error(code).is_outage(), "{code}");
            assert!(error(code).is_transient(), "{code}");
        }
        // ERROR, CONSTRAINT, CONSTRAINT_UNIQUE, MISMATCH, MISUSE.
        for code in [1, 19, 2067, 20, 21] {
            assert!(!error(code).is_outage(), "{code}");
            assert!(!error(code).is_transient(), "{code}");
        }
        assert!(error(2067).is_conflict());
        assert!(error(code::BUSY_SNAPSHOT).is_transient());
    }
}
