//! Filling a database with the rows of another store, for `irisflow move`. It can be interrupted and repeated: each part
//! is one transaction that makes the database equal to the source, and the database is marked as unfinished from the
//! beginning to the end, so that no process serves it meanwhile.

mod copy_text;
mod part;

pub use copy_text::{RowDigest, digest_of_rows};
pub use part::PartImport;

use std::time::Duration;

use irisflow_jobs::{MOVED_TABLES, MovedPart, MovedTable, StoreError};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::schema::{check_server, migrate};
use crate::{PostgresSettings, store_error};

/// Of the advisory lock that an import holds.
const LOCK: i64 = 0x6972_6973_6d6f_7665;
/// An import that was killed may hold its locks until its server process notices.
const LOCK_TIMEOUT: &str = "60s";
/// In this order they continue after the ids that were moved.
const SEQUENCES: [&str; 5] = [
    "SELECT setval(pg_get_serial_sequence('submissions', 'id'), coalesce(max(id), 0) + 1, FALSE) FROM submissions",
    "SELECT setval(pg_get_serial_sequence('jobs', 'position'), coalesce(max(position), 0) + 1, FALSE) FROM jobs",
    "SELECT setval(pg_get_serial_sequence('step_times', 'id'), coalesce(max(id), 0) + 1, FALSE) FROM step_times",
    "SELECT setval(pg_get_serial_sequence('sweeps', 'id'), coalesce(max(id), 0) + 1, FALSE) FROM sweeps",
    "SELECT setval('claim_marks', coalesce(max(claim_mark), 0) + 1, FALSE) FROM timelines",
];

/// A database that is being filled.
#[derive(Debug)]
pub struct Import {
    connection: PgConnection,
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the database is not empty: it has rows in the table {0} already. Rows are moved into an empty database only: \
         create one (createdb) and name it in --database-url. If these rows are those of a move that has ended, there is \
         nothing left to do: serve them"
    )]
    HoldsRows(&'static str),
    #[error(
        "the database holds the table {0} of another program: create one for Irisflow alone (createdb) and name it in \
         --database-url"
    )]
    HoldsOtherTables(String),
    #[error(
        "{0} connections of other irisflow processes to this database are open: stop these processes"
    )]
    IsServed(i64),
    #[error(
        "after the copy, the table {table} has {found} rows and not {expected}: a process has written to it meanwhile"
    )]
    Miscounted {
        table: &'static str,
        found: u64,
        expected: u64,
    },
}

impl From<sqlx::Error> for ImportError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(store_error(error))
    }
}

impl Import {
    /// Begins to fill an empty database, or continues to fill one that an interrupted import has left. Brings its schema
    /// up to date.
    ///
    /// # Errors
    /// When the database cannot be reached, holds other data, or is served.
    pub async fn begin(settings: &PostgresSettings) -> Result<Self, ImportError> {
        let options = settings.connect_options()?;
        let options = options.application_name("irisflow move").options([
            ("statement_timeout", "0"),
            ("idle_in_transaction_session_timeout", "0"),
            ("lock_timeout", LOCK_TIMEOUT),
            ("client_min_messages", "warning"),
        ]);
        let mut connection = options.connect().await?;
        check_server(&mut connection).await?;
        // Ends with the connection.
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(LOCK)
            .execute(&mut connection)
            .await?;
        check_unserved(&mut connection).await?;
        if !is_unfinished(&mut connection).await? {
            check_empty(&mut connection).await?;
            mark_unfinished(&mut connection).await?;
        }
        migrate(settings).await?;
        Ok(Self { connection })
    }

    /// Opens the transaction for this part.
    pub async fn begin_part(&mut self, part: MovedPart) -> Result<PartImport<'_>, StoreError> {
        PartImport::begin(&mut self.connection, part).await
    }

    /// Ends the import: from now on, the database may be served. `expected` is how many rows each table must have.
    ///
    /// # Errors
    /// When a table has another number of rows, or the database cannot be reached. It can be repeated.
    pub async fn finish(
        mut self,
        expected: &[(&'static MovedTable, u64)],
    ) -> Result<(), ImportError> {
        for (table, expected) in expected {
            let found = self.count(table).await?;
            if found != *expected {
                let (table, expected) = (table.name, *expected);
                return Err(ImportError::Miscounted {
                    table,
                    found,
                    expected,
                });
            }
        }
        for sequence in SEQUENCES {
            sqlx::query(sequence).execute(&mut self.connection).await?;
        }
        for table in &MOVED_TABLES {
            let analyze = AssertSqlSafe(format!("ANALYZE {}", table.name));
            sqlx::query(analyze).execute(&mut self.connection).await?;
        }
        sqlx::query("DROP TABLE unfinished_move")
            .execute(&mut self.connection)
            .await?;
        self.connection.close().await?;
        Ok(())
    }

    async fn count(&mut self, table: &MovedTable) -> Result<u64, sqlx::Error> {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {}", table.name));
        let count: i64 = sqlx::query_scalar(count)
            .fetch_one(&mut self.connection)
            .await?;
        Ok(count.unsigned_abs())
    }
}

/// Whether an import into this database has begun and not ended. Its marker is a table, made before all others.
pub(crate) async fn is_unfinished(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    has_table(connection, "unfinished_move").await
}

async fn mark_unfinished(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("CREATE TABLE unfinished_move ()")
        .execute(connection)
        .await
        .map(drop)
}

async fn has_table(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(name)
        .fetch_one(connection)
        .await
}

/// Connections of a process that has just ended may be there for a moment.
async fn check_unserved(connection: &mut PgConnection) -> Result<(), ImportError> {
    let mut looks_left = 10;
    loop {
        let others: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'irisflow'",
        )
        .fetch_one(&mut *connection)
        .await?;
        looks_left -= 1;
        match (others, looks_left) {
            (0, _) => return Ok(()),
            (_, 0) => return Err(ImportError::IsServed(others)),
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

async fn check_empty(connection: &mut PgConnection) -> Result<(), ImportError> {
    let is_ours = has_table(connection, "_sqlx_migrations").await?
        && has_table(connection, "timelines").await?;
    if !is_ours {
        let other: Option<String> = sqlx::query_scalar(
            "SELECT relname::text FROM pg_class
             WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
             ORDER BY relname LIMIT 1",
        )
        .fetch_optional(connection)
        .await?;
        return other.map_or(Ok(()), |other| Err(ImportError::HoldsOtherTables(other)));
    }
    for table in &MOVED_TABLES {
        if !has_table(connection, table.name).await? {
            continue;
        }
        let exists = AssertSqlSafe(format!("SELECT EXISTS (SELECT 1 FROM {})", table.name));
        if sqlx::query_scalar(exists)
            .fetch_one(&mut *connection)
            .await?
        {
            return Err(ImportError::HoldsRows(table.name));
        }
    }
    Ok(())
}
