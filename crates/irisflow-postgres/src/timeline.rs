//! `Timeline` on PostgreSQL: events in the order of their commits.

use async_trait::async_trait;
use irisflow_jobs::{
    Cursor, Event, EventKind, EventPage, EventsAfter, GapReason, Job, JobId, JobSnapshot,
    StoreError, Timeline, TimelineEpoch, Timestamp, UserId, UserSnapshot, WatchFilter,
};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{FromRow, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::columns::{id, optional_id, time};
use crate::job_row::JobRow;
use crate::{PostgresStore, store_error, unknown_value};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl Timeline for PostgresStore {
    async fn user_snapshot(
        &self,
        user_id: UserId,
        filter: &WatchFilter,
        finished_limit: u32,
    ) -> Result<Option<UserSnapshot>> {
        retrying!(async {
            let mut tx = self.snapshot().await?;
            let Some(bounds) = TimelineBounds::read(&mut tx, user_id).await? else {
                return Ok(None);
            };
            let mut jobs = Vec::new();
            let unfinished: &[&str] = if *filter == WatchFilter::default() {
                &UNFINISHED_APART
            } else {
                &[UNFINISHED]
            };
            for states in unfinished {
                jobs.extend(read_jobs(&mut tx, user_id, filter, states, None).await?);
            }
            if finished_limit > 0 {
                let limit = Some(finished_limit);
                jobs.extend(read_jobs(&mut tx, user_id, filter, FINISHED, limit).await?);
            }
            jobs.sort_unstable_by_key(|job| std::cmp::Reverse((job.created_at, job.id)));
            let (epoch, seq) = (bounds.epoch, bounds.last_seq);
            Ok(Some(UserSnapshot {
                cursor: Cursor { epoch, seq },
                jobs,
            }))
        })
    }

    async fn user_events_after(
        &self,
        user_id: UserId,
        after: Cursor,
        filter: &WatchFilter,
        limit: u32,
    ) -> Result<Option<EventsAfter>> {
        retrying!(async {
            let mut tx = self.snapshot().await?;
            let Some(bounds) = TimelineBounds::read(&mut tx, user_id).await? else {
                return Ok(None);
            };
            if let Some(reason) = bounds.gap_after(after) {
                return Ok(Some(EventsAfter::Gap(reason)));
            }
            let mut query: QueryBuilder<Postgres> =
                QueryBuilder::new("SELECT * FROM events WHERE user_id = ");
            query.push_bind(user_id.as_uuid());
            query.push(" AND seq > ").push_bind(after.seq);
            push_filter(&mut query, "job_id", filter);
            query
                .push(" ORDER BY seq LIMIT ")
                .push_bind(i64::from(limit));
            let rows: Vec<EventRow> = query
                .build_query_as()
                .fetch_all(&mut *tx)
                .await
                .map_err(store_error)?;
            let events: Vec<Event> = rows.into_iter().map(|row| row.0).collect();
            let is_full = events.len() == limit as usize;
            let reached = events.last().filter(|_| is_full).map(|event| event.seq);
            Ok(Some(EventsAfter::Page(EventPage {
                events,
                reached: reached.unwrap_or(bounds.last_seq),
                last_seq: bounds.last_seq,
            })))
        })
    }

    async fn job_snapshot(
        &self,
        user_id: UserId,
        job_id: JobId,
        recent_since: Timestamp,
    ) -> Result<Option<JobSnapshot>> {
        retrying!(async {
            if let Some(ended) = self.ended_job_snapshot(user_id, job_id).await? {
                return Ok(Some(ended));
            }
            let mut tx = self.snapshot().await?;
            let row: Option<JobRow> =
                sqlx::query_as("SELECT * FROM jobs WHERE id = $1 AND user_id = $2")
                    .bind(job_id.as_uuid())
                    .bind(user_id.as_uuid())
                    .fetch_optional(&mut *tx)
                    .await
                    .map_err(store_error)?;
            let Some(row) = row else { return Ok(None) };
            let newest_older: Option<EventRow> = sqlx::query_as(
                "SELECT * FROM events WHERE job_id = $1 AND at < $2 ORDER BY seq DESC LIMIT 1",
            )
            .bind(job_id.as_uuid())
            .bind(recent_since.as_millis())
            .fetch_optional(&mut *tx)
            .await
            .map_err(store_error)?;
            let recent: Vec<EventRow> =
                sqlx::query_as("SELECT * FROM events WHERE job_id = $1 AND at >= $2 ORDER BY seq")
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
        })
    }

    async fn job_events_after(
        &self,
        user_id: UserId,
        job_id: JobId,
        after: i64,
    ) -> Result<Vec<Event>> {
        retrying!(async {
            let rows: Vec<EventRow> = sqlx::query_as(
                "SELECT * FROM events WHERE job_id = $1 AND user_id = $2 AND seq > $3 ORDER BY seq",
            )
            .bind(job_id.as_uuid())
            .bind(user_id.as_uuid())
            .bind(after)
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?;
            Ok(rows.into_iter().map(|row| row.0).collect())
        })
    }

    async fn jobs_with_events_after(&self, user_id: UserId, after: i64) -> Result<Vec<JobId>> {
        retrying!(async {
            let ids: Vec<Uuid> = sqlx::query_scalar(
                "SELECT DISTINCT job_id FROM events WHERE user_id = $1 AND seq > $2",
            )
            .bind(user_id.as_uuid())
            .bind(after)
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?;
            Ok(ids.into_iter().map(JobId::from).collect())
        })
    }

    async fn last_seqs(&self, users: &[UserId]) -> Result<Vec<(UserId, i64)>> {
        retrying!(async {
            let ids: Vec<Uuid> = users.iter().map(|id| id.as_uuid()).collect();
            let rows: Vec<(Uuid, i64)> =
                sqlx::query_as("SELECT user_id, last_seq FROM timelines WHERE user_id = ANY($1)")
                    .bind(ids)
                    .fetch_all(&self.pool)
                    .await
                    .map_err(store_error)?;
            Ok(last_seqs_of(rows))
        })
    }

    async fn last_seqs_since(&self, since: Timestamp) -> Result<Vec<(UserId, i64)>> {
        retrying!(async {
            let rows: Vec<(Uuid, i64)> = sqlx::query_as(LAST_SEQS_SINCE)
                .bind(since.as_millis())
                .fetch_all(&self.pool)
                .await
                .map_err(store_error)?;
            Ok(last_seqs_of(rows))
        })
    }
}

impl PostgresStore {
    /// An ended job with its last event, in one query: clients reopen the sockets of ended jobs often.
    async fn ended_job_snapshot(
        &self,
        user_id: UserId,
        job_id: JobId,
    ) -> Result<Option<JobSnapshot>> {
        let row = sqlx::query(ENDED_JOB)
            .bind(job_id.as_uuid())
            .bind(user_id.as_uuid())
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)?;
        let Some(row) = row else { return Ok(None) };
        let job = JobRow::from_row(&row).map_err(store_error)?.job;
        let last = EventRow::from_row(&row).map_err(store_error)?.0;
        Ok(Some(JobSnapshot {
            job,
            newest_older: None,
            recent: vec![last],
        }))
    }
}

/// The columns of the same name are those of the job, with the same values.
const ENDED_JOB: &str =
    "SELECT jobs.*, events.seq, events.job_id, events.previous_of_job, events.kind,
         events.body, events.at
     FROM jobs JOIN events ON events.user_id = jobs.user_id AND events.seq = jobs.last_seq
     WHERE jobs.id = $1 AND jobs.user_id = $2
         AND jobs.state IN ('completed', 'failed', 'cancelled')";

fn last_seqs_of(rows: Vec<(Uuid, i64)>) -> Vec<(UserId, i64)> {
    let rows = rows.into_iter();
    rows.map(|(user_id, seq)| (UserId::from(user_id), seq))
        .collect()
}

/// Reads the recent end of one index.
pub(crate) const LAST_SEQS_SINCE: &str =
    "SELECT user_id, max(seq) FROM events WHERE at >= $1 GROUP BY user_id";

const UNFINISHED: &str = "state IN ('pending', 'waiting', 'processing')";
/// Waiting and running jobs are read from partial indexes, apart: a user may have very many ended jobs.
const UNFINISHED_APART: [&str; 2] = ["state IN ('pending', 'waiting')", "state = 'processing'"];
const FINISHED: &str = "state IN ('completed', 'failed', 'cancelled')";

async fn read_jobs(
    connection: &mut PgConnection,
    user_id: UserId,
    filter: &WatchFilter,
    states: &str,
    limit: Option<u32>,
) -> Result<Vec<Job>> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new("SELECT * FROM jobs WHERE ");
    query.push(states);
    query.push(" AND user_id = ").push_bind(user_id.as_uuid());
    push_filter(&mut query, "id", filter);
    if let Some(limit) = limit {
        query.push(" ORDER BY created_at DESC, id DESC LIMIT ");
        query.push_bind(i64::from(limit));
    }
    let rows: Vec<JobRow> = query
        .build_query_as()
        .fetch_all(connection)
        .await
        .map_err(store_error)?;
    Ok(rows.into_iter().map(|row| row.job).collect())
}

fn push_filter(query: &mut QueryBuilder<Postgres>, job_column: &str, filter: &WatchFilter) {
    if let Some(batch_id) = filter.batch_id {
        query.push(" AND batch_id = ").push_bind(batch_id.as_uuid());
    }
    if let Some(job_ids) = &filter.job_ids {
        let job_ids: Vec<Uuid> = job_ids.iter().map(|id| id.as_uuid()).collect();
        query.push(" AND ").push(job_column).push(" = ANY(");
        query.push_bind(job_ids).push(")");
    }
}

/// The positions that a timeline covers.
struct TimelineBounds {
    epoch: TimelineEpoch,
    floor_seq: i64,
    last_seq: i64,
}

impl TimelineBounds {
    async fn read(connection: &mut PgConnection, user_id: UserId) -> Result<Option<Self>> {
        let row: Option<(Uuid, i64, i64)> =
            sqlx::query_as("SELECT epoch, floor_seq, last_seq FROM timelines WHERE user_id = $1")
                .bind(user_id.as_uuid())
                .fetch_optional(connection)
                .await
                .map_err(store_error)?;
        Ok(row.map(|(epoch, floor_seq, last_seq)| Self {
            epoch: TimelineEpoch::from(epoch),
            floor_seq,
            last_seq,
        }))
    }

    fn gap_after(&self, cursor: Cursor) -> Option<GapReason> {
        if cursor.epoch != self.epoch {
            Some(GapReason::Epoch)
        } else if cursor.seq < self.floor_seq {
            Some(GapReason::Pruned)
        } else {
            (cursor.seq > self.last_seq).then_some(GapReason::Ahead)
        }
    }
}

struct EventRow(Event);

impl<'r> FromRow<'r, PgRow> for EventRow {
    fn from_row(row: &'r PgRow) -> std::result::Result<Self, sqlx::Error> {
        let kind: &str = row.try_get("kind")?;
        let body: &str = row.try_get("body")?;
        Ok(Self(Event {
            user_id: id(row, "user_id")?,
            seq: row.try_get("seq")?,
            job_id: id(row, "job_id")?,
            photo_id: optional_id(row, "photo_id")?,
            batch_id: optional_id(row, "batch_id")?,
            previous_of_job: row.try_get("previous_of_job")?,
            kind: EventKind::from_name(kind)
                .ok_or_else(|| sqlx::Error::Decode(Box::new(unknown_value("event kind", kind))))?,
            body: serde_json::from_str(body)
                .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            at: time(row, "at")?,
        }))
    }
}
