//! What SQLite's errors mean: the database is in trouble for a while, its file is damaged, a row cannot
//! be read, or the statement itself is refused.

use std::sync::atomic::{AtomicBool, Ordering};

use irisflow_jobs::StoreError;

/// Primary result codes, from <https://sqlite.org/rescode.html>.
mod code {
    pub(super) const ERROR: i32 = 1;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const TOO_BIG: i32 = 18;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const MISMATCH: i32 = 20;
    pub(super) const MISUSE: i32 = 21;
    pub(super) const RANGE: i32 = 25;
    pub(super) const NOT_A_DATABASE: i32 = 26;
}

/// A process has one database. Damage that any statement has met stays known until it ends.
static DAMAGE_MET: AtomicBool = AtomicBool::new(false);

pub(crate) fn damage_was_met() -> bool {
    DAMAGE_MET.load(Ordering::SeqCst)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that `map_err` wants"
)]
pub(crate) fn unavailable(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            StoreError::Corrupt(error.to_string())
        }
        sqlx::Error::Database(database) => {
            let extended = database.code().and_then(|code| code.parse().ok());
            of_code(extended.unwrap_or(0), error.to_string())
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// The low byte of an extended code is its primary code.
fn of_code(extended: i32, text: String) -> StoreError {
    match extended & 0xff {
        code::CORRUPT | code::NOT_A_DATABASE => {
            if !DAMAGE_MET.swap(true, Ordering::SeqCst) {
                tracing::error!(error = text, "the database is damaged");
            }
            StoreError::Damaged(text)
        }
        code::CONSTRAINT => StoreError::Conflict(text),
        code::ERROR | code::TOO_BIG | code::MISMATCH | code::MISUSE | code::RANGE => {
            StoreError::Refused(text)
        }
        // Full, busy, locked, read-only, an I/O error, out of memory, cannot open, interrupted.
        _ => StoreError::Unavailable(text),
    }
}

pub(crate) fn corrupt(what: &str, value: &str) -> StoreError {
    StoreError::Corrupt(format!("unknown {what} {value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_of_the_machine_is_an_outage_and_a_refused_statement_is_not() {
        let is_outage = |code| of_code(code, String::new()).is_outage();
        // BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN, PROTOCOL; with extended codes
        // IOERR_FSYNC, READONLY_DBMOVED, BUSY_SNAPSHOT.
        for code in [5, 6, 7, 8, 10, 13, 14, 15, 1034, 1032, 517] {
            assert!(is_outage(code), "{code}");
        }
        // ERROR, CONSTRAINT, CONSTRAINT_UNIQUE, MISMATCH, MISUSE.
        for code in [1, 19, 2067, 20, 21] {
            assert!(!is_outage(code), "{code}");
        }
    }
}
