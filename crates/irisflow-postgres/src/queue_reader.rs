//! `QueueReader` on PostgreSQL: the order of the queue and the capacity of the workers, for estimates.

use async_trait::async_trait;
use irisflow_jobs::{
    JobId, OwnPlace, Priority, QueueReader, QueuedUser, StepTimes, StoreError, Timestamp, UserId,
    WaitingJob, WorkerCapacity,
};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::columns::{id, number, time};
use crate::{PostgresStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

pub(crate) const QUEUED_USERS: &str =
    "SELECT user_id, queued, running, claim_mark, next_run_at, last_seq
     FROM timelines WHERE next_run_at IS NOT NULL";

pub(crate) const WAITING_JOBS_OF_USER: &str =
    "SELECT id, priority = 'high', run_at, now_ms() FROM jobs
     WHERE user_id = $1 AND state IN ('pending', 'waiting')";

/// How many of the user's waiting jobs go before this one: `WaitingJob::claim_order` in SQL, to read the
/// place of one job of a long backlog.
pub(crate) const OWN_PLACE: &str = "SELECT
         (SELECT count(*) FROM jobs AS other
          WHERE other.user_id = mine.user_id AND other.state IN ('pending', 'waiting')
            AND (other.run_at > now_ms(),
                 NOT (other.priority = 'high' OR other.run_at <= now_ms() - $3),
                 other.run_at, other.id)
              < (mine.run_at > now_ms(),
                 NOT (mine.priority = 'high' OR mine.run_at <= now_ms() - $3),
                 mine.run_at, mine.id)),
         mine.run_at
     FROM jobs AS mine
     WHERE mine.id = $1 AND mine.user_id = $2 AND mine.state IN ('pending', 'waiting')";

#[async_trait]
impl QueueReader for PostgresStore {
    async fn queued_users(&self) -> Result<Vec<QueuedUser>> {
        retrying!(async {
            let rows = sqlx::query(QUEUED_USERS)
                .fetch_all(&self.pool)
                .await
                .map_err(store_error)?;
            let users: std::result::Result<_, sqlx::Error> =
                rows.iter().map(queued_user_of).collect();
            users.map_err(store_error)
        })
    }

    async fn waiting_jobs(&self, user_id: UserId) -> Result<Vec<WaitingJob>> {
        retrying!(async {
            let rows: Vec<(Uuid, bool, i64, i64)> = sqlx::query_as(WAITING_JOBS_OF_USER)
                .bind(user_id.as_uuid())
                .fetch_all(&self.pool)
                .await
                .map_err(store_error)?;
            let now = rows.first().map_or(0, |row| row.3);
            let (now, ageing) = (Timestamp::from_millis(now), self.policy.ageing);
            let mut jobs: Vec<WaitingJob> = rows.into_iter().map(waiting_job_of).collect();
            jobs.sort_by_cached_key(|job| job.claim_order(now, ageing));
            Ok(jobs)
        })
    }

    async fn own_place(&self, user_id: UserId, job_id: JobId) -> Result<Option<OwnPlace>> {
        let ageing_ms = i64::try_from(self.policy.ageing.as_millis()).unwrap_or(i64::MAX / 2);
        retrying!(async {
            let place: Option<(i64, i64)> = sqlx::query_as(OWN_PLACE)
                .bind(job_id.as_uuid())
                .bind(user_id.as_uuid())
                .bind(ageing_ms)
                .fetch_optional(&self.pool)
                .await
                .map_err(store_error)?;
            Ok(place.map(|(ahead, run_at)| OwnPlace {
                ahead: u32::try_from(ahead).unwrap_or(u32::MAX),
                run_at: Timestamp::from_millis(run_at),
            }))
        })
    }

    async fn worker_capacity(&self) -> Result<WorkerCapacity> {
        let silence = self.policy.lease * 2;
        retrying!(async {
            let row = sqlx::query(
                "SELECT (SELECT coalesce(sum(slots), 0)::bigint FROM workers
                         WHERE seen_at > now_ms() - $1) AS slots,
                        (SELECT count(*) FROM jobs WHERE state = 'processing') AS running",
            )
            .bind(i64::try_from(silence.as_millis()).unwrap_or(i64::MAX / 2))
            .fetch_one(&self.pool)
            .await
            .map_err(store_error)?;
            Ok(WorkerCapacity {
                slots: number(&row, "slots").map_err(store_error)?,
                running: number(&row, "running").map_err(store_error)?,
            })
        })
    }

    async fn step_times(&self, limit: u32) -> Result<Vec<StepTimes>> {
        retrying!(self.read_step_times(limit))
    }
}

fn queued_user_of(row: &PgRow) -> std::result::Result<QueuedUser, sqlx::Error> {
    Ok(QueuedUser {
        user_id: id(row, "user_id")?,
        queued: number(row, "queued")?,
        running: number(row, "running")?,
        claim_mark: row.try_get("claim_mark")?,
        next_run_at: time(row, "next_run_at")?,
        last_seq: row.try_get("last_seq")?,
    })
}

fn waiting_job_of((id, is_high, run_at, _): (Uuid, bool, i64, i64)) -> WaitingJob {
    WaitingJob {
        id: JobId::from(id),
        priority: if is_high {
            Priority::High
        } else {
            Priority::Default
        },
        run_at: Timestamp::from_millis(run_at),
    }
}
