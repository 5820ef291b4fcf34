//! `Timeline` on SQLite: events in the order of their commits.

use async_trait::async_trait;
use irisflow_jobs::{
    Event, EventKind, JobId, JobSnapshot, StoreError, Timeline, Timestamp, UserId,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder, Row, Sqlite};
use uuid::Uuid;

use crate::job_row::JobRow;
use crate::{SqliteStore, store_error, unknown_value};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl Timeline for SqliteStore {
    async fn job_snapshot(
        &self,
        user_id: UserId,
        job_id: JobId,
        recent_since: Timestamp,
    ) -> Result<Option<JobSnapshot>> {
        let mut tx = self.readers.begin().await.map_err(store_error)?;
        let row: Option<JobRow> = sqlx::query_as("SELECT * FROM jobs WHERE id = ? AND user_id = ?")
            .bind(job_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(&mut *tx)
            .await
            .map_err(store_error)?;
        let Some(row) = row else { return Ok(None) };
        let newest_older: Option<EventRow> = sqlx::query_as(
            "SELECT * FROM events WHERE job_id = ? AND at < ? ORDER BY seq DESC LIMIT 1",
        )
        .bind(job_id.as_uuid())
        .bind(recent_since.as_millis())
        .fetch_optional(&mut *tx)
        .await
        .map_err(store_error)?;
        let recent: Vec<EventRow> =
            sqlx::query_as("SELECT * FROM events WHERE job_id = ? AND at >= ? ORDER BY seq")
                .bind(job_id.as_uuid())
                .bind(recent_since.as_millis())
                .fetch_all(&mut *tx)
                .await
                .map_err(store_error)?;
        Ok(Some(JobSnapshot {
            job: row.job,
            newest_older: newest_older.map(|row| row.0),
            recent: recent.into_iter().map(|row| row.0).collect(),
        }))
    }

    async fn job_events_after(
        &self,
        user_id: UserId,
        job_id: JobId,
        after: i64,
    ) -> Result<Vec<Event>> {
        let rows: Vec<EventRow> = sqlx::query_as(
            "SELECT * FROM events WHERE job_id = ? AND user_id = ? AND seq > ? ORDER BY seq",
        )
        .bind(job_id.as_uuid())
        .bind(user_id.as_uuid())
        .bind(after)
        .fetch_all(&self.readers)
        .await
        .map_err(store_error)?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    }

    async fn jobs_with_events_after(&self, user_id: UserId, after: i64) -> Result<Vec<JobId>> {
        let ids: Vec<Uuid> =
            sqlx::query_scalar("SELECT DISTINCT job_id FROM events WHERE user_id = ? AND seq > ?")
                .bind(user_id.as_uuid())
                .bind(after)
                .fetch_all(&self.readers)
                .await
                .map_err(store_error)?;
        Ok(ids.into_iter().map(JobId::from).collect())
    }

    async fn last_seqs(&self, users: &[UserId]) -> Result<Vec<(UserId, i64)>> {
        let mut last_seqs = Vec::with_capacity(users.len());
        for some in users.chunks(MOST_USERS_IN_A_QUERY) {
            let mut query: QueryBuilder<Sqlite> =
                QueryBuilder::new("SELECT user_id, last_seq FROM timelines WHERE user_id IN (");
            let mut ids = query.separated(", ");
            for user_id in some {
                ids.push_bind(user_id.as_uuid());
            }
            query.push(")");
            let rows = query
                .build()
                .fetch_all(&self.readers)
                .await
                .map_err(store_error)?;
            for row in rows {
                let user_id: Uuid = row.try_get("user_id").map_err(store_error)?;
                let last_seq = row.try_get("last_seq").map_err(store_error)?;
                last_seqs.push((UserId::from(user_id), last_seq));
            }
        }
        Ok(last_seqs)
    }
}

/// Well under SQLite's limit of bound values.
const MOST_USERS_IN_A_QUERY: usize = 500;

struct EventRow(Event);

impl<'r> FromRow<'r, SqliteRow> for EventRow {
    fn from_row(row: &'r SqliteRow) -> std::result::Result<Self, sqlx::Error> {
        let kind: &str = row.try_get("kind")?;
        let body: &str = row.try_get("body")?;
        Ok(Self(Event {
            user_id: UserId::from(row.try_get::<Uuid, _>("user_id")?),
            seq: row.try_get("seq")?,
            job_id: JobId::from(row.try_get::<Uuid, _>("job_id")?),
            previous_of_job: row.try_get("previous_of_job")?,
            kind: EventKind::from_name(kind)
                .ok_or_else(|| sqlx::Error::Decode(Box::new(unknown_value("event kind", kind))))?,
            body: serde_json::from_str(body)
                .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            at: Timestamp::from_millis(row.try_get("at")?),
        }))
    }
}
