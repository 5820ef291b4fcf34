//! The job, photo, account and timeline stores on SQLite: the embedded default.
//!
//! WAL with `synchronous=FULL`: what was answered survives a power cut. One connection writes, each
//! verb in one `BEGIN IMMEDIATE` transaction; others read beside it. Each file holds the SQL of one
//! port; what state a job is in is decided by `irisflow_jobs::Job` alone.

mod accounts;
mod census;
mod deleting;
mod job_row;
mod jobs;
mod photos;
mod privacy;
mod sessions;
mod sweeps;
mod timeline;
mod writing;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use irisflow_jobs::{Announcer, Clock, JobPolicy, JobStore, StoreError, Timestamp};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

/// All stores of one SQLite file. One process per file: see [`SqliteStore::void_leases`].
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    clock: Arc<dyn Clock>,
    policy: JobPolicy,
    announcer: Arc<dyn Announcer>,
}

const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl SqliteStore {
    /// Opens or creates the database at `path` and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or written, or was written by a newer version.
    pub async fn open(
        path: &Path,
        clock: Arc<dyn Clock>,
        policy: JobPolicy,
        announcer: Arc<dyn Announcer>,
    ) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // What is deleted is overwritten, too.
            .pragma("secure_delete", "ON")
            .busy_timeout(BUSY_TIMEOUT);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(unavailable)?;
        sqlx::migrate!()
            .run(&writer)
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await
            .map_err(unavailable)?;
        Ok(Self {
            writer,
            readers,
            clock,
            policy,
            announcer,
        })
    }

    /// Takes every job from its worker, as if all leases had run out. For the start of a process that
    /// holds the lock on the data folder: no worker of an earlier one can be alive. Returns how many.
    pub async fn void_leases(&self) -> Result<u64, StoreError> {
        sqlx::query("UPDATE jobs SET lease_until = 0 WHERE state = 'processing'")
            .execute(&self.writer)
            .await
            .map_err(unavailable)?;
        let mut voided = 0;
        while self.reap_one().await?.is_some() {
            voided += 1;
        }
        Ok(voided)
    }

    /// Answers when the database does: for readiness.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1")
            .execute(&self.readers)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    /// Lets running statements end and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that `map_err` wants"
)]
fn unavailable(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            StoreError::Corrupt(error.to_string())
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}

fn corrupt(what: &str, value: &str) -> StoreError {
    StoreError::Corrupt(format!("unknown {what} {value:?}"))
}
