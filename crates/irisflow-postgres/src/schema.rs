//! The schema of a database: its migrations, and whether they have been applied.

use irisflow_jobs::StoreError;
use sqlx::migrate::{Migrate as _, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _};

use crate::PostgresSettings;
use crate::store_error::store_error;

/// The oldest version of PostgreSQL that is supported, as `server_version_num`.
const OLDEST_SERVER: i32 = 150_000;
/// Of the advisory lock that this program's migrations hold.
const LOCK: i64 = 0x6972_6973_666c_6f77;

/// A step of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaStep {
    pub version: i64,
    pub description: String,
}

/// Brings the schema up to date, and returns the steps that were missing. Nodes that do so at once wait for each other
/// on an advisory lock. A schema that is newer than this program is left alone: migrations keep what the version before
/// them needs.
///
/// # Errors
/// When the database cannot be reached or is too old, or a migration fails; the schema is then as before that
/// migration.
pub async fn migrate(settings: &PostgresSettings) -> Result<Vec<SchemaStep>, StoreError> {
    // Building an index may take long. sqlx causes a notice each time.
    let options = settings.connect_options()?.options([
        ("statement_timeout", "0"),
        ("lock_timeout", "0"),
        ("client_min_messages", "warning"),
    ]);
    let mut connection = options.connect().await.map_err(store_error)?;
    check_server(&mut connection).await?;
    // Ends with the connection. sqlx has a lock of its own, but reads what is missing under it and does not tell.
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(LOCK)
        .execute(&mut connection)
        .await
        .map_err(store_error)?;
    let missing = missing_steps(&mut connection).await?;
    // Not `run`, whose future is not `Send`.
    let migrated = migrator().run_direct(None, &mut connection, false).await;
    migrated.map_err(StoreError::unavailable)?;
    connection.close().await.map_err(store_error)?;
    Ok(missing)
}

/// The steps that the schema lacks for this program. Changes nothing.
///
/// # Errors
/// When the database cannot be reached or is too old.
pub async fn missing_migrations(
    settings: &PostgresSettings,
) -> Result<Vec<SchemaStep>, StoreError> {
    let options = settings.connect_options()?;
    let mut connection = options.connect().await.map_err(store_error)?;
    check_server(&mut connection).await?;
    let missing = missing_steps(&mut connection).await?;
    connection.close().await.map_err(store_error)?;
    Ok(missing)
}

/// Refuses a server that is too old.
pub(crate) async fn check_server(connection: &mut PgConnection) -> Result<(), StoreError> {
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
        .fetch_one(connection)
        .await
        .map_err(store_error)?;
    if version < OLDEST_SERVER {
        let found = version / 10_000;
        return Err(StoreError::unavailable(format!(
            "the server is PostgreSQL {found}, and 15 or newer is needed"
        )));
    }
    Ok(())
}

pub(crate) async fn missing_steps(
    connection: &mut PgConnection,
) -> Result<Vec<SchemaStep>, StoreError> {
    let is_new: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(store_error)?;
    let migrator = migrator();
    let applied = match is_new {
        true => Vec::new(),
        false => connection
            .list_applied_migrations(&migrator.table_name)
            .await
            .map_err(StoreError::unavailable)?,
    };
    let is_missing = |version| applied.iter().all(|applied| applied.version != version);
    let steps = migrator.iter().filter(|step| is_missing(step.version));
    Ok(steps
        .map(|step| SchemaStep {
            version: step.version,
            description: step.description.to_string(),
        })
        .collect())
}

fn migrator() -> Migrator {
    let step = |version, description: &'static str, statements: &'static str| {
        let statements = statements.into_sql_str();
        let kind = MigrationType::Simple;
        Migration::new(version, description.into(), kind, statements, false)
    };
    let mut migrator = Migrator::with_migrations(vec![
        step(1, "start", include_str!("../migrations/0001_start.sql")),
        step(
            2,
            "token buckets",
            include_str!("../migrations/0002_token_buckets.sql"),
        ),
    ]);
    migrator.set_ignore_missing(true);
    migrator
}
