//! What `irisflow doctor` asks a database: version, permissions, schema, clock, settings. Changes nothing.

use std::time::{Duration, Instant};

use irisflow_jobs::{StoreError, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{ConnectOptions as _, Connection as _, FromRow, Row as _};

use crate::import::is_unfinished;
use crate::schema::{check_server, missing_steps};
use crate::{PostgresSettings, SchemaStep, store_error};

/// What a database has answered.
#[derive(Debug, Clone)]
pub struct Examination {
    /// As in `15.14`.
    pub server_version: String,
    /// How long a query took.
    pub round_trip: Duration,
    /// The database's time in the middle of that query.
    pub now: Timestamp,
    /// Whether the user may create tables.
    pub may_create: bool,
    /// The server is a standby, or read-only for another reason.
    pub is_read_only: bool,
    /// Whether an answered request survives a crash of the server.
    pub is_durable: bool,
    /// Whether this connection is encrypted.
    pub is_encrypted: bool,
    /// Through a socket of this machine.
    pub is_local: bool,
    pub max_connections: u32,
    pub open_connections: u32,
    /// For how long the oldest transaction of this database has been open.
    pub oldest_transaction: Duration,
    pub missing_migrations: Vec<SchemaStep>,
    /// Whether `irisflow move` has begun and not finished filling it.
    pub is_unfinished_move: bool,
}

struct Answers {
    server_version: String,
    may_create: bool,
    is_read_only: bool,
    is_durable: bool,
    is_encrypted: bool,
    is_local: bool,
    max_connections: i32,
    open_connections: i64,
    oldest_transaction_s: f64,
}

impl<'r> FromRow<'r, PgRow> for Answers {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            server_version: row.try_get("server_version")?,
            may_create: row.try_get("may_create")?,
            is_read_only: row.try_get("is_read_only")?,
            is_durable: row.try_get("is_durable")?,
            is_encrypted: row.try_get("is_encrypted")?,
            is_local: row.try_get("is_local")?,
            max_connections: row.try_get("max_connections")?,
            open_connections: row.try_get("open_connections")?,
            oldest_transaction_s: row.try_get("oldest_transaction_s")?,
        })
    }
}

const QUESTIONS: &str = "SELECT
     split_part(current_setting('server_version'), ' ', 1) AS server_version,
     has_schema_privilege(current_schema(), 'CREATE') AS may_create,
     current_setting('transaction_read_only')::bool AS is_read_only,
     current_setting('fsync')::bool AND current_setting('synchronous_commit') <> 'off' AS is_durable,
     coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), FALSE) AS is_encrypted,
     inet_client_addr() IS NULL AS is_local,
     current_setting('max_connections')::int AS max_connections,
     (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS open_connections,
     (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8
          FROM pg_stat_activity WHERE datname = current_database()) AS oldest_transaction_s";

const TIME: &str = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// # Errors
/// When the database cannot be reached or is too old.
pub async fn examine(settings: &PostgresSettings) -> Result<Examination, StoreError> {
    let options = settings.connect_options()?;
    let mut connection = options.connect().await.map_err(store_error)?;
    check_server(&mut connection).await?;
    let missing_migrations = missing_steps(&mut connection).await?;
    let is_unfinished_move = is_unfinished(&mut connection).await;
    let answers: Answers = sqlx::query_as(QUESTIONS)
        .fetch_one(&mut connection)
        .await
        .map_err(store_error)?;
    // In the simple protocol, which is one round trip.
    let begun = Instant::now();
    let row = sqlx::raw_sql(TIME).fetch_one(&mut connection).await;
    let round_trip = begun.elapsed();
    let now_ms: i64 = row.map_err(store_error)?.try_get(0).map_err(store_error)?;
    connection.close().await.map_err(store_error)?;
    Ok(Examination {
        server_version: answers.server_version,
        round_trip,
        now: Timestamp::from_millis(now_ms),
        may_create: answers.may_create,
        is_read_only: answers.is_read_only,
        is_durable: answers.is_durable,
        is_encrypted: answers.is_encrypted,
        is_local: answers.is_local,
        max_connections: u32::try_from(answers.max_connections).unwrap_or(0),
        open_connections: u32::try_from(answers.open_connections).unwrap_or(u32::MAX),
        oldest_transaction: Duration::from_secs_f64(answers.oldest_transaction_s.max(0.0)),
        missing_migrations,
        is_unfinished_move: is_unfinished_move.map_err(store_error)?,
    })
}
