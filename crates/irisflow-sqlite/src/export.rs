//! The rows of a database that no process uses, for `irisflow move`. The file is only read.

use std::path::Path;

use futures_util::stream::{BoxStream, StreamExt as _};
use irisflow_jobs::{
    Cell, ColumnKind, MovedPart, MovedRow, MovedTable, RowOwner, StoreError, UserId,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, ValueRef as _};
use uuid::Uuid;

use crate::health::check_integrity;
use crate::migrations::migrator;
use crate::store_error;

/// Reads all rows as they are at one moment.
#[derive(Debug)]
pub struct Export {
    connection: SqliteConnection,
}

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the database is of an older version: start `irisflow serve` of this version with it once, which brings it up \
         to date, and stop it"
    )]
    OlderSchema,
    #[error("the database is of a newer version: use `irisflow` of that version")]
    NewerSchema,
}

impl Export {
    /// # Errors
    /// When the file cannot be read, is damaged, or has the schema of another version.
    pub async fn open(path: &Path) -> Result<Self, ExportError> {
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let mut connection = options.connect().await.map_err(store_error)?;
        check_integrity(&mut connection).await?;
        check_schema(&mut connection).await?;
        // From the first row that is read, others that write do not change what is read.
        let begun = sqlx::query("BEGIN").execute(&mut connection).await;
        begun.map_err(store_error)?;
        Ok(Self { connection })
    }

    /// The ids of all accounts, sorted.
    pub async fn account_ids(&mut self) -> Result<Vec<UserId>, StoreError> {
        let ids: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM users ORDER BY id")
            .fetch_all(&mut self.connection)
            .await
            .map_err(store_error)?;
        Ok(ids.into_iter().map(UserId::from).collect())
    }

    /// The rows of a table that are in this part, in the order of their key.
    pub fn rows(
        &mut self,
        table: &'static MovedTable,
        part: MovedPart,
    ) -> BoxStream<'_, Result<MovedRow, StoreError>> {
        let query = sqlx::query(AssertSqlSafe(select(table, part)));
        let query = match part {
            MovedPart::Accounts { after, up_to } => {
                query.bind(after.as_uuid()).bind(up_to.as_uuid())
            }
            MovedPart::Shared => query,
        };
        let rows = query.fetch(&mut self.connection);
        rows.map(|row| moved_row(table, &row.map_err(store_error)?))
            .boxed()
    }
}

async fn check_schema(connection: &mut SqliteConnection) -> Result<(), ExportError> {
    let applied: Vec<i64> = sqlx::query_scalar("SELECT version FROM _sqlx_migrations")
        .fetch_all(connection)
        .await
        .map_err(store_error)?;
    let migrator = migrator();
    if migrator.iter().any(|step| !applied.contains(&step.version)) {
        return Err(ExportError::OlderSchema);
    }
    let is_known = |version: &i64| migrator.version_exists(*version);
    match applied.iter().all(is_known) {
        true => Ok(()),
        false => Err(ExportError::NewerSchema),
    }
}

fn select(table: &MovedTable, part: MovedPart) -> String {
    let columns = table.columns.iter();
    let columns: Vec<&str> = columns
        .map(|(column, _)| expression(table.name, column))
        .collect();
    let (columns, name, key) = (columns.join(", "), table.name, table.key);
    let condition = condition(table.owner, part);
    format!("SELECT {columns} FROM {name} WHERE {condition} ORDER BY {key}")
}

/// What a column is here; most are themselves.
fn expression(table: &str, column: &'static str) -> &'static str {
    match (table, column) {
        ("sessions", "last_used_at") => "coalesce(last_used_at, created_at)",
        ("photos", "updated_at") => "coalesce(updated_at, created_at)",
        ("jobs", "position") => "rowid",
        ("jobs", "ended_at") => {
            "CASE WHEN state IN ('completed', 'failed', 'cancelled') THEN updated_at END"
        }
        (_, column) => column,
    }
}

fn condition(owner: RowOwner, part: MovedPart) -> String {
    match (part, owner) {
        (MovedPart::Shared, _) | (_, RowOwner::None) => "TRUE".to_owned(),
        (_, RowOwner::User(column)) => format!("{column} > $1 AND {column} <= $2"),
        (_, RowOwner::Session) => {
            "session_id IN (SELECT id FROM sessions WHERE user_id > $1 AND user_id <= $2)"
                .to_owned()
        }
        (_, RowOwner::Webhook) => {
            "webhook_id IN (SELECT id FROM webhooks WHERE user_id > $1 AND user_id <= $2)"
                .to_owned()
        }
    }
}

fn moved_row(table: &MovedTable, row: &SqliteRow) -> Result<MovedRow, StoreError> {
    let cells = table.columns.iter().enumerate();
    cells
        .map(|(index, (_, kind))| cell(row, index, *kind).map_err(store_error))
        .collect()
}

fn cell(row: &SqliteRow, index: usize, kind: ColumnKind) -> Result<Cell, sqlx::Error> {
    if row.try_get_raw(index)?.is_null() {
        return Ok(Cell::Null);
    }
    Ok(match kind {
        ColumnKind::Id => Cell::Id(row.try_get(index)?),
        ColumnKind::Integer => Cell::Integer(row.try_get(index)?),
        ColumnKind::Flag => Cell::Flag(row.try_get::<i64, _>(index)? != 0),
        ColumnKind::Text => Cell::Text(row.try_get(index)?),
        ColumnKind::Bytes => Cell::Bytes(row.try_get(index)?),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use irisflow_jobs::{JobPolicy, MOVED_TABLES, SystemClock};

    use super::*;
    use crate::SqliteStore;
    use crate::tests::DiscardNotifications;

    /// Counters that are summed up anew, processes that have ended, and the row that readiness writes.
    const NOT_MOVED: [&str; 4] = [
        "queue_totals",
        "workers",
        "health_checks",
        "_sqlx_migrations",
    ];

    #[tokio::test]
    async fn every_column_moves() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("db");
        let clock = Arc::new(SystemClock);
        let listener = Arc::new(DiscardNotifications);
        let store = SqliteStore::open(&path, clock, JobPolicy::default(), listener).await;
        let store = store.expect("a store");

        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT tables.name, columns.name FROM sqlite_master AS tables
             JOIN pragma_table_xinfo(tables.name) AS columns
             WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'",
        )
        .fetch_all(&store.readers)
        .await
        .expect("the schema");

        let moved = |table: &str, column: &str| {
            let mut tables = MOVED_TABLES.iter().filter(|moved| moved.name == table);
            tables.any(|table| table.columns.iter().any(|(name, _)| *name == column))
        };
        let left_out: BTreeSet<_> = columns
            .iter()
            .filter(|(table, column)| !moved(table, column) && !NOT_MOVED.contains(&table.as_str()))
            .collect();
        assert_eq!(left_out, BTreeSet::new());
        store.close().await;
        let mut export = Export::open(&path).await.expect("it is opened");
        for table in &MOVED_TABLES {
            let parts = [MovedPart::of_accounts(&[], 1)[0], MovedPart::Shared];
            for part in parts {
                let rows = export.rows(table, part).collect::<Vec<_>>().await;
                assert!(rows.is_empty(), "{table:?} {rows:?}");
            }
        }
    }
}
