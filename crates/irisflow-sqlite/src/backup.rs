//! Backups: consistent copies of the whole database, also while it is written; and the changes that a
//! restored database needs, since clients have seen what happened after the backup.

use std::path::{Path, PathBuf};
use std::time::Duration;

use irisflow_jobs::{
    JobId, JobResult, JobState, Photo, PreviewKind, StoreError, Timestamp, UserId,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::job_row::JobRow;
use crate::photos::PhotoRow;
use crate::store_error;

type Result<T> = std::result::Result<T, StoreError>;

/// A database file without a writer.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
}

/// A recorded result.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedResult {
    pub user_id: UserId,
    pub job_id: JobId,
    pub result: JobResult,
    pub previews: Vec<PreviewKind>,
}

impl Snapshot {
    /// Copies the database as it is at one moment. Writers go on meanwhile.
    ///
    /// # Errors
    /// When the database cannot be read, or `path` exists or cannot be written.
    pub async fn take(database: &Path, path: &Path) -> Result<Self> {
        let mut connection = open(database, false).await?;
        sqlx::query("VACUUM INTO ?")
            .bind(path.to_string_lossy().as_ref())
            .execute(&mut connection)
            .await
            .map_err(store_error)?;
        connection.close().await.map_err(store_error)?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// A database that no process writes.
    pub fn of_unused(database: &Path) -> Self {
        Self {
            path: database.to_owned(),
        }
    }

    /// The photos whose originals it names.
    pub async fn originals(&self) -> Result<Vec<Photo>> {
        let mut connection = open(&self.path, true).await?;
        let rows: Vec<PhotoRow> = sqlx::query_as("SELECT * FROM photos WHERE status = 'uploaded'")
            .fetch_all(&mut connection)
            .await
            .map_err(store_error)?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    }

    /// The results it names.
    pub async fn results(&self) -> Result<Vec<NamedResult>> {
        let mut connection = open(&self.path, true).await?;
        let rows: Vec<JobRow> = sqlx::query_as("SELECT * FROM jobs WHERE state = 'completed'")
            .fetch_all(&mut connection)
            .await
            .map_err(store_error)?;
        let results = rows.into_iter().filter_map(|row| match row.job.state {
            JobState::Completed(result) => Some(NamedResult {
                user_id: row.job.user_id,
                job_id: row.job.id,
                result,
                previews: row.job.previews.iter().map(|made| made.kind).collect(),
            }),
            _ => None,
        });
        Ok(results.collect())
    }
}

/// Invalidates cursors and sessions of a restored database: every timeline gets a new epoch, so that a client
/// with a cursor of the lost history gets a gap and a snapshot, and every session ends, also those that were
/// ended after the backup.
///
/// # Errors
/// When the database cannot be written.
pub async fn begin_new_history(database: &Path, now: Timestamp) -> Result<()> {
    let mut connection = open(database, false).await?;
    let mut tx = connection.begin().await.map_err(store_error)?;
    sqlx::query("UPDATE timelines SET epoch = randomblob(16)")
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
    sqlx::query("UPDATE sessions SET ended_at = ? WHERE ended_at IS NULL")
        .bind(now.as_millis())
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
    tx.commit().await.map_err(store_error)?;
    connection.close().await.map_err(store_error)
}

async fn open(path: &Path, read_only: bool) -> Result<SqliteConnection> {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(read_only)
        .busy_timeout(Duration::from_secs(30))
        .connect()
        .await
        .map_err(store_error)
}
