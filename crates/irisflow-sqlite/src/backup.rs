//! Copies of the whole database, also of one that is being written, and what a restored one must not
//! pretend: that nothing has happened since.

use std::path::{Path, PathBuf};
use std::time::Duration;

use irisflow_jobs::{JobId, JobState, Photo, StoreError, Timestamp, UserId};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::job_row::JobRow;
use crate::photos::PhotoRow;
use crate::unavailable;

type Result<T> = std::result::Result<T, StoreError>;

/// A database file that nobody writes.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
}

/// A recorded result; its objects lie under the keys of this epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedResult {
    pub user_id: UserId,
    pub job_id: JobId,
    pub epoch: i64,
    pub has_thumbnail: bool,
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
            .map_err(unavailable)?;
        connection.close().await.map_err(unavailable)?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// The photos whose originals it names.
    pub async fn originals(&self) -> Result<Vec<Photo>> {
        let mut connection = open(&self.path, true).await?;
        let rows: Vec<PhotoRow> = sqlx::query_as("SELECT * FROM photos WHERE status = 'uploaded'")
            .fetch_all(&mut connection)
            .await
            .map_err(unavailable)?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    }

    /// The results it names.
    pub async fn results(&self) -> Result<Vec<NamedResult>> {
        let mut connection = open(&self.path, true).await?;
        let rows: Vec<JobRow> = sqlx::query_as("SELECT * FROM jobs WHERE state = 'completed'")
            .fetch_all(&mut connection)
            .await
            .map_err(unavailable)?;
        let results = rows.into_iter().filter_map(|row| match row.job.state {
            JobState::Completed(result) => Some(NamedResult {
                user_id: row.job.user_id,
                job_id: row.job.id,
                epoch: result.epoch,
                has_thumbnail: result.has_thumbnail,
            }),
            _ => None,
        });
        Ok(results.collect())
    }
}

/// Makes a restored database begin anew: every timeline gets another epoch, so that clients with a
/// place in the lost history are told so, and every session ends, so that none comes back to life that
/// was ended since the backup.
///
/// # Errors
/// When the database cannot be written.
pub async fn begin_new_history(database: &Path, now: Timestamp) -> Result<()> {
    let mut connection = open(database, false).await?;
    let mut tx = connection.begin().await.map_err(unavailable)?;
    sqlx::query("UPDATE timelines SET epoch = randomblob(16)")
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
    sqlx::query("UPDATE sessions SET ended_at = ? WHERE ended_at IS NULL")
        .bind(now.as_millis())
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
    tx.commit().await.map_err(unavailable)?;
    connection.close().await.map_err(unavailable)
}

async fn open(path: &Path, read_only: bool) -> Result<SqliteConnection> {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(read_only)
        .busy_timeout(Duration::from_secs(30))
        .connect()
        .await
        .map_err(unavailable)
}
