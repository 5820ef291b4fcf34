//! Idempotency keys: recorded with the jobs of their submission, together with its response.

use irisflow_jobs::{Enqueued, StoreError, SubmissionKey, Timestamp};
use sqlx::PgConnection;

use crate::job_row::JobRow;
use crate::store_error;
use crate::unit_of_work::UnitOfWork;

/// The state of a key.
pub(crate) enum Opened {
    /// It is new and now recorded; its jobs refer to this row.
    New(i64),
    Repeated(Enqueued),
}

impl UnitOfWork<'_> {
    pub(crate) async fn open_submission(
        &mut self,
        key: &SubmissionKey,
        life: std::time::Duration,
    ) -> Result<Opened, StoreError> {
        self.delete_expired_submissions(key).await?;
        let now = self.now;
        match read_response(self.connection(), key, now).await? {
            Some(response) => Ok(Opened::Repeated(response)),
            None => self.insert_submission(key, life).await.map(Opened::New),
        }
    }

    /// That of this key, and a few of all users: keys that are locked are left to the transaction that has them.
    async fn delete_expired_submissions(&mut self, key: &SubmissionKey) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM submissions WHERE user_id = $1 AND key = $2 AND expires_at <= $3")
            .bind(key.user_id.as_uuid())
            .bind(&key.key)
            .bind(self.now.as_millis())
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        sqlx::query(
            "DELETE FROM submissions WHERE id IN (
                 SELECT id FROM submissions WHERE expires_at <= $1
                 ORDER BY expires_at LIMIT 20 FOR UPDATE SKIP LOCKED)",
        )
        .bind(self.now.as_millis())
        .execute(self.connection())
        .await
        .map_err(store_error)?;
        Ok(())
    }

    async fn insert_submission(
        &mut self,
        key: &SubmissionKey,
        life: std::time::Duration,
    ) -> Result<i64, StoreError> {
        sqlx::query_scalar(
            "INSERT INTO submissions (user_id, key, fingerprint, memo, expires_at)
             VALUES ($1, $2, $3, $4, $5) RETURNING id",
        )
        .bind(key.user_id.as_uuid())
        .bind(&key.key)
        .bind(key.fingerprint.as_slice())
        .bind(&key.response)
        .bind((self.now + life).as_millis())
        .fetch_one(self.connection())
        .await
        .map_err(store_error)
    }

    /// Deletes a submission without jobs: it has no response to repeat.
    pub(crate) async fn delete_empty_submission(&mut self, id: i64) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM submissions WHERE id = $1
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE submission_id = $1)",
        )
        .bind(id)
        .execute(self.connection())
        .await
        .map_err(store_error)?;
        Ok(())
    }
}

/// The response stored for a key; its jobs are in the order in which they were given.
pub(crate) async fn read_response(
    connection: &mut PgConnection,
    key: &SubmissionKey,
    now: Timestamp,
) -> Result<Option<Enqueued>, StoreError> {
    let known: Option<(i64, Vec<u8>, String)> = sqlx::query_as(
        "SELECT id, fingerprint, memo FROM submissions
         WHERE user_id = $1 AND key = $2 AND expires_at > $3",
    )
    .bind(key.user_id.as_uuid())
    .bind(&key.key)
    .bind(now.as_millis())
    .fetch_optional(&mut *connection)
    .await
    .map_err(store_error)?;
    let Some((id, fingerprint, response)) = known else {
        return Ok(None);
    };
    if fingerprint != key.fingerprint {
        return Ok(Some(Enqueued::KeyTaken));
    }
    let rows: Vec<JobRow> =
        sqlx::query_as("SELECT * FROM jobs WHERE submission_id = $1 ORDER BY position")
            .bind(id)
            .fetch_all(connection)
            .await
            .map_err(store_error)?;
    let jobs = rows.iter().map(|row| row.job.as_queued()).collect();
    Ok(Some(Enqueued::Before { jobs, response }))
}
