//! All ports of a store on SQLite: the embedded default.
//!
//! WAL with `synchronous=FULL`: an answered request survives a power cut. One connection writes, with group
//! commit (`group_commit.rs`); others read beside it. Each port is implemented in the file of its name;
//! states of jobs are decided by `irisflow_jobs::Job` alone.

mod accounts;
mod backup;
mod batches;
mod commit_pause;
mod deleting;
mod export;
mod group_commit;
mod health;
mod job_commands;
mod job_leases;
mod job_reader;
mod job_row;
mod migrations;
mod photos;
mod privacy;
#[cfg(test)]
mod query_plans;
mod queue_counters;
mod queue_reader;
mod retention;
mod sessions;
mod socket_tickets;
mod statistics;
mod step_times;
mod store_error;
mod submissions;
mod sweeps;
mod timeline;
mod unit_of_work;
mod webhook_outbox;
mod webhook_row;
mod webhooks;
mod worker_registry;

pub use backup::{NamedResult, Snapshot, begin_new_history};
#[cfg(feature = "faults")]
pub use commit_pause::{CommitPause, CommitPauseError};
pub use export::{Export, ExportError};

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use irisflow_jobs::{Clock, Failure, JobLeases as _, JobPolicy, Notifier, StoreError, Timestamp};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqlitePool};

use group_commit::Writer;
use health::check_integrity;
use store_error::{store_error, unknown_value};

/// All stores of one SQLite file. One process per file: see [`SqliteStore::void_leases`].
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    /// Where the file is.
    folder: Arc<Path>,
    clock: Arc<dyn Clock>,
    policy: JobPolicy,
    notifier: Arc<dyn Notifier>,
}

const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl SqliteStore {
    /// Opens or creates the database at `path` and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or written, is damaged, or was written by a newer version.
    pub async fn open(
        path: &Path,
        clock: Arc<dyn Clock>,
        policy: JobPolicy,
        notifier: Arc<dyn Notifier>,
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
        let mut first = options.connect().await.map_err(store_error)?;
        check_integrity(&mut first).await?;
        migrations::migrator()
            .run(&mut first)
            .await
            .map_err(StoreError::unavailable)?;
        first.close().await.map_err(store_error)?;
        let writer = Writer::open(options.clone()).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .connect_with(options.read_only(true))
            .await
            .map_err(store_error)?;
        Ok(Self {
            writer,
            readers,
            folder: folder_of(path).into(),
            clock,
            policy,
            notifier,
        })
    }

    /// Takes every job from its worker and every webhook delivery from its node, as if all leases had expired. For the start of a process that
    /// holds the lock on the data folder: no worker of an earlier one can be alive. `failure` is
    /// recorded as the reason. Returns how many.
    pub async fn void_leases(&self, failure: &Failure) -> Result<u64, StoreError> {
        let mut unit_of_work = self.begin().await?;
        sqlx::query("UPDATE jobs SET lease_until = 0 WHERE state = 'processing'")
            .execute(unit_of_work.connection()?)
            .await
            .map_err(store_error)?;
        sqlx::query("DELETE FROM workers")
            .execute(unit_of_work.connection()?)
            .await
            .map_err(store_error)?;
        unit_of_work.release_delivery_claims().await?;
        unit_of_work.commit().await?;
        let mut voided = 0;
        while self.reap_one(failure.clone()).await?.is_some() {
            voided += 1;
        }
        Ok(voided)
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

/// The folder of a file that is named relative to the present one has no name of its own.
fn folder_of(path: &Path) -> &Path {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

#[cfg(test)]
pub(crate) mod tests {
    use irisflow_jobs::{AccountStore as _, JobPolicy, NewAccount, SystemClock, UserId};

    use super::*;

    #[derive(Debug)]
    pub(crate) struct DiscardNotifications;

    impl Notifier for DiscardNotifications {
        fn notify(&self, _: UserId, _: irisflow_jobs::Notification) {}
        fn work_available(&self) {}
        fn delivery_available(&self) {}
        fn cancel_attempt(&self, _: irisflow_jobs::Fence) {}
    }

    async fn add_account(store: &SqliteStore, number: u32) -> Result<(), StoreError> {
        let new = NewAccount {
            id: UserId::generate(),
            email: format!("{number}@example.com"),
            password_hash: "x".repeat(1000),
        };
        store.add_account(new).await.map(drop)
    }

    #[tokio::test]
    async fn a_disk_that_was_full_is_written_again_when_there_is_room() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("db");
        let clock = Arc::new(SystemClock);
        let listener = Arc::new(DiscardNotifications);
        let store = SqliteStore::open(&path, clock, JobPolicy::default(), listener)
            .await
            .expect("a store");
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
            .fetch_one(&store.readers)
            .await
            .expect("its size");
        let limit = async |pages: i64| {
            let mut unit_of_work = store.begin().await.expect("a transaction");
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "PRAGMA max_page_count = {pages}"
            )))
            .execute(unit_of_work.connection().expect("a connection"))
            .await
            .expect("a limit");
        };
        limit(pages).await;
        let mut number = 0;
        while add_account(&store, number).await.is_ok() {
            number += 1;
            assert!(number < 1000, "the limit is not kept");
        }

        limit(pages * 100).await;

        add_account(&store, number)
            .await
            .expect("there is room again");
    }
}
