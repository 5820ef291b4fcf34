//! All ports of a store on PostgreSQL 15 to 18: for several nodes on one database.
//!
//! Every method is one transaction on a connection of a pool, repeated when it was rolled back because of a
//! concurrent one or lost its connection (`retry.rs`). A transaction that changes what belongs to a user locks the
//! user's row of `timelines` first (`unit_of_work.rs`): that gives positions without holes, in the order of commits.
//! Times are those of the database. States of jobs are decided by `irisflow_jobs::Job` alone.

#[macro_use]
mod retry;

mod accounts;
mod batches;
mod columns;
mod connection;
mod database_clock;
mod deleting;
mod examination;
mod health;
mod import;
mod job_commands;
mod job_leases;
mod job_reader;
mod job_row;
mod photos;
mod privacy;
#[cfg(test)]
#[cfg(unix)]
mod query_plans;
mod queue_counters;
mod queue_reader;
mod retention;
mod schema;
mod sessions;
mod socket_tickets;
mod statistics;
mod step_times;
mod store_error;
mod submissions;
mod sweeps;
mod timeline;
mod token_buckets;
mod unit_of_work;
mod webhook_outbox;
mod webhook_row;
mod webhooks;
mod worker_registry;

pub use connection::PostgresSettings;
pub use database_clock::DatabaseClock;
pub use examination::{Examination, examine};
pub use import::{Import, ImportError, PartImport, RowDigest, digest_of_rows};
pub use schema::{SchemaStep, migrate, missing_migrations};

use std::sync::Arc;

use irisflow_jobs::{JobPolicy, Notifier, StoreError, Timestamp};
use sqlx::{PgPool, Postgres, Transaction};

use store_error::{store_error, unknown_value};

/// All stores of one PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
    policy: JobPolicy,
    notifier: Arc<dyn Notifier>,
}

impl PostgresStore {
    /// Connects to a database whose schema is up to date: see [`migrate`].
    ///
    /// # Errors
    /// When the settings cannot be used, the database cannot be reached, or an [`Import`] has not ended.
    pub async fn connect(
        settings: &PostgresSettings,
        policy: JobPolicy,
        notifier: Arc<dyn Notifier>,
    ) -> Result<Self, StoreError> {
        let pool = connection::open_pool(settings).await?;
        let mut connection = pool.acquire().await.map_err(store_error)?;
        let is_unfinished = import::is_unfinished(&mut connection).await;
        if is_unfinished.map_err(store_error)? {
            let message = "`irisflow move` has not finished filling this database: run it again";
            return Err(StoreError::unavailable(message));
        }
        drop(connection);
        Ok(Self {
            pool,
            policy,
            notifier,
        })
    }

    /// Lets running statements end and closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A transaction that reads everything as it is at one moment.
    async fn snapshot(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.pool
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
            .map_err(store_error)
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        let now: i64 = sqlx::query_scalar("SELECT now_ms()")
            .fetch_one(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(Timestamp::from_millis(now))
    }
}
