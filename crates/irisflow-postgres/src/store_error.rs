//! PostgreSQL's errors as [`StoreError`]s, by their SQLSTATE: an outage, a conflict of transactions, a damaged file, an
//! unreadable row, a violated constraint, or a rejected statement.

use irisflow_jobs::{Cause, StoreError};

pub(crate) fn store_error(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnNotFound(_) => StoreError::corrupt(error),
        // A row that the statement counts on was deleted.
        sqlx::Error::RowNotFound => StoreError::Conflict(std::sync::Arc::new(error)),
        sqlx::Error::Database(of_server) => {
            let sql_state = of_server.code().unwrap_or_default().into_owned();
            of_sql_state(&sql_state, std::sync::Arc::new(error))
        }
        _ => StoreError::unavailable(error),
    }
}

/// Codes and classes, from <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn of_sql_state(sql_state: &str, cause: Cause) -> StoreError {
    match sql_state {
        // data_corrupted, index_corrupted
        "XX001" | "XX002" => return StoreError::Damaged(cause),
        // lock_not_available: the lock timeout
        "55P03" => return StoreError::Serialization(cause),
        // read_only_sql_transaction: a server that is not the primary
        "25006" | "25P03" => return StoreError::Unavailable(cause),
        // query_canceled: the statement timeout
        "57014" => return StoreError::Unavailable(cause),
        _ => {}
    }
    match sql_state.get(..2).unwrap_or_default() {
        // transaction_rollback: serialization failures and deadlocks
        "40" => StoreError::Serialization(cause),
        // integrity_constraint_violation
        "23" => StoreError::Conflict(cause),
        // connection, authorization, unknown database, resources (full disk, memory, connections), administrator and
        // shutdown, system and I/O errors, configuration file, internal error
        "08" | "28" | "3D" | "53" | "57" | "58" | "F0" | "XX" => StoreError::Unavailable(cause),
        _ => StoreError::Refused(cause),
    }
}

/// Whether the connection broke before the server had done what was asked.
pub(crate) fn lost_connection(cause: &Cause) -> bool {
    match cause.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Io(_)) => true,
        Some(sqlx::Error::Database(error)) => {
            let sql_state = error.code().unwrap_or_default();
            // The administrator or a crash ended the connection, or it was idle in a transaction for too long.
            matches!(&*sql_state, "57P01" | "57P02" | "57P03" | "25P03")
                || sql_state.starts_with("08")
        }
        _ => false,
    }
}

pub(crate) fn unknown_value(what: &str, value: &str) -> StoreError {
    StoreError::corrupt(format!("unknown {what} {value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_server_are_an_outage_and_a_rejected_statement_is_not() {
        let error =
            |sql_state| of_sql_state(sql_state, std::sync::Arc::from(Box::from("a reason")));
        // connection_failure, disk_full, out_of_memory, too_many_connections, query_canceled, admin_shutdown,
        // crash_shutdown, cannot_connect_now, io_error, read_only_sql_transaction.
        for sql_state in [
            "08006", "53100", "53200", "53300", "57014", "57P01", "57P02", "57P03", "58030",
            "25006",
        ] {
            assert!(error(sql_state).is_outage(), "{sql_state}");
            assert!(error(sql_state).is_transient(), "{sql_state}");
        }
        // syntax_error, undefined_table, unique_violation, foreign_key_violation, insufficient_privilege.
        for sql_state in ["42601", "42P01", "23505", "23503", "42501"] {
            assert!(!error(sql_state).is_outage(), "{sql_state}");
            assert!(!error(sql_state).is_transient(), "{sql_state}");
        }
        // serialization_failure, deadlock_detected, lock_not_available.
        for sql_state in ["40001", "40P01", "55P03"] {
            assert!(
                matches!(error(sql_state), StoreError::Serialization(_)),
                "{sql_state}"
            );
        }
        assert!(error("23505").is_conflict());
        assert!(matches!(error("XX001"), StoreError::Damaged(_)));
    }
}
