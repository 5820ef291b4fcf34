//! Requests that carry a key: recorded with their jobs, answered the same when they come again.

use irisflow_jobs::{Enqueued, StoreError, SubmissionKey, Timestamp};
use sqlx::SqliteConnection;

use crate::job_row::JobRow;
use crate::unavailable;
use crate::unit_of_work::UnitOfWork;

/// What is known of a key.
pub(crate) enum Opened {
    /// It is new; its jobs name this row.
    New(i64),
    Answered(Enqueued),
}

impl UnitOfWork<'_> {
    pub(crate) async fn open_submission(
        &mut self,
        key: &SubmissionKey,
        life: std::time::Duration,
    ) -> Result<Opened, StoreError> {
        sqlx::query("DELETE FROM submissions WHERE expires_at <= ?")
            .bind(self.now.as_millis())
            .execute(self.connection()?)
            .await
            .map_err(unavailable)?;
        let now = self.now;
        match read_answer(self.connection()?, key, now).await? {
            Some(answer) => Ok(Opened::Answered(answer)),
            None => self.insert_submission(key, life).await.map(Opened::New),
        }
    }

    async fn insert_submission(
        &mut self,
        key: &SubmissionKey,
        life: std::time::Duration,
    ) -> Result<i64, StoreError> {
        sqlx::query_scalar(
            "INSERT INTO submissions (user_id, key, fingerprint, memo, expires_at)
             VALUES (?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(key.user_id.as_uuid())
        .bind(&key.key)
        .bind(key.fingerprint.as_slice())
        .bind(&key.memo)
        .bind((self.now + life).as_millis())
        .fetch_one(self.connection()?)
        .await
        .map_err(unavailable)
    }

    /// A submission of which no job is left has nothing to answer.
    pub(crate) async fn forget_empty_submission(&mut self, id: i64) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM submissions WHERE id = ?1
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE submission_id = ?1)",
        )
        .bind(id)
        .execute(self.connection()?)
        .await
        .map_err(unavailable)?;
        Ok(())
    }
}

/// What is answered to a key that is known; its jobs are in the order in which they were given.
pub(crate) async fn read_answer(
    connection: &mut SqliteConnection,
    key: &SubmissionKey,
    now: Timestamp,
) -> Result<Option<Enqueued>, StoreError> {
    let known: Option<(i64, Vec<u8>, String)> = sqlx::query_as(
        "SELECT id, fingerprint, memo FROM submissions
         WHERE user_id = ? AND key = ? AND expires_at > ?",
    )
    .bind(key.user_id.as_uuid())
    .bind(&key.key)
    .bind(now.as_millis())
    .fetch_optional(&mut *connection)
    .await
    .map_err(unavailable)?;
    let Some((id, fingerprint, memo)) = known else {
        return Ok(None);
    };
    if fingerprint != key.fingerprint {
        return Ok(Some(Enqueued::KeyTaken));
    }
    let rows: Vec<JobRow> =
        sqlx::query_as("SELECT * FROM jobs WHERE submission_id = ? ORDER BY rowid")
            .bind(id)
            .fetch_all(connection)
            .await
            .map_err(unavailable)?;
    let jobs = rows.iter().map(|row| row.job.as_queued()).collect();
    Ok(Some(Enqueued::Before { jobs, memo }))
}
