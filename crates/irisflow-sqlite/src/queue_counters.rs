//! The counters of `timelines`: how many jobs of a user wait and run, and when the first of them is due.
//! Claiming reads them instead of the backlog. Each change of a job updates them; counters that are wrong all
//! the same (a database edited by hand, a bug) are counted anew here, since jobs would never be claimed.
//! Triggers keep their sums in `queue_totals`.

use irisflow_jobs::{JobState, StoreError, UserId};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use crate::unit_of_work::{Script, UnitOfWork};
use crate::{SqliteStore, store_error};

/// Users whose counters are not what their jobs say.
pub(crate) const USERS_WITH_WRONG_COUNTERS: &str = "SELECT timelines.user_id FROM timelines
     LEFT JOIN (SELECT user_id, count(*) AS queued, min(run_at) AS next_run_at
                FROM jobs INDEXED BY jobs_waiting
                WHERE state IN ('pending', 'waiting') GROUP BY user_id) AS waiting
         ON waiting.user_id = timelines.user_id
     LEFT JOIN (SELECT user_id, count(*) AS running FROM jobs INDEXED BY jobs_leased
                WHERE state = 'processing' GROUP BY user_id) AS processing
         ON processing.user_id = timelines.user_id
     WHERE (timelines.queued, timelines.running, timelines.next_run_at)
         IS NOT (coalesce(waiting.queued, 0), coalesce(processing.running, 0),
                 waiting.next_run_at)";

/// What one job adds to its user's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct QueueCounts {
    queued: i64,
    running: i64,
}

impl QueueCounts {
    pub(crate) fn of(state: &JobState) -> Self {
        Self {
            queued: i64::from(state.is_claimable()),
            running: i64::from(matches!(state, JobState::Processing(_))),
        }
    }
}

/// Updates the user's counters after the state of one job has changed.
pub(crate) fn count(script: &mut Script, user_id: UserId, before: QueueCounts, after: QueueCounts) {
    if before == after && after.queued == 0 {
        return;
    }
    script
        .push("UPDATE timelines SET queued = queued + ")
        .push_bind(after.queued - before.queued)
        .push(", running = running + ")
        .push_bind(after.running - before.running)
        .push(
            ", next_run_at = (SELECT min(run_at) FROM jobs
                              WHERE jobs.user_id = timelines.user_id
                                AND state IN ('pending', 'waiting'))
             WHERE user_id = ",
        )
        .push_bind(user_id.as_uuid())
        .push("; ");
}

/// Gives the user the number of this claim; see `claim_mark` in the migrations.
pub(crate) fn mark_claim(script: &mut Script, user_id: UserId) {
    script
        .push(
            "UPDATE queue_totals SET claims = claims + 1;
             UPDATE timelines SET claim_mark = (SELECT claims FROM queue_totals)
             WHERE user_id = ",
        )
        .push_bind(user_id.as_uuid())
        .push("; ");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counters {
    queued: i64,
    running: i64,
    next_run_at: Option<i64>,
}

impl<'r> FromRow<'r, SqliteRow> for Counters {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            queued: row.try_get("queued")?,
            running: row.try_get("running")?,
            next_run_at: row.try_get("next_run_at")?,
        })
    }
}

impl UnitOfWork<'_> {
    /// Counts the jobs of one user anew. `true` when the counters were wrong.
    pub(crate) async fn recount(&mut self, user_id: Uuid) -> Result<bool, StoreError> {
        let kept: Option<Counters> =
            sqlx::query_as("SELECT queued, running, next_run_at FROM timelines WHERE user_id = ?")
                .bind(user_id)
                .fetch_optional(self.connection()?)
                .await
                .map_err(store_error)?;
        let Some(kept) = kept else { return Ok(false) };
        let counted: Counters = sqlx::query_as(
            "SELECT count(*) AS queued, min(run_at) AS next_run_at,
                 (SELECT count(*) FROM jobs INDEXED BY jobs_leased
                  WHERE user_id = ?1 AND state = 'processing') AS running
             FROM jobs INDEXED BY jobs_waiting
             WHERE user_id = ?1 AND state IN ('pending', 'waiting')",
        )
        .bind(user_id)
        .fetch_one(self.connection()?)
        .await
        .map_err(store_error)?;
        if kept == counted {
            return Ok(false);
        }
        sqlx::query(
            "UPDATE timelines SET queued = ?, running = ?, next_run_at = ? WHERE user_id = ?",
        )
        .bind(counted.queued)
        .bind(counted.running)
        .bind(counted.next_run_at)
        .bind(user_id)
        .execute(self.connection()?)
        .await
        .map_err(store_error)?;
        self.work_available();
        tracing::warn!(
            %user_id,
            ?kept,
            ?counted,
            "the counters of a user's queue did not match its jobs and were repaired"
        );
        Ok(true)
    }

    /// Adds the users' counters up anew. `true` when the sums were wrong.
    async fn recount_totals(&mut self) -> Result<bool, StoreError> {
        let repaired = sqlx::query(
            "UPDATE queue_totals SET waiting = counted.queued, running = counted.running
             FROM (SELECT coalesce(sum(queued), 0) AS queued, coalesce(sum(running), 0) AS running
                   FROM timelines) AS counted
             WHERE (waiting, queue_totals.running) IS NOT (counted.queued, counted.running)",
        )
        .execute(self.connection()?)
        .await
        .map_err(store_error)?;
        let was_wrong = repaired.rows_affected() > 0;
        if was_wrong {
            tracing::warn!("the totals of the queue did not match its users and were repaired");
        }
        Ok(was_wrong)
    }
}

impl SqliteStore {
    pub(crate) async fn repair_all_counters(&self) -> Result<u64, StoreError> {
        let users: Vec<Uuid> = sqlx::query_scalar(USERS_WITH_WRONG_COUNTERS)
            .fetch_all(&self.readers)
            .await
            .map_err(store_error)?;
        let mut repaired = 0;
        for user_id in users {
            // One short transaction for each: others wait meanwhile.
            let mut unit_of_work = self.begin().await?;
            if unit_of_work.recount(user_id).await? {
                unit_of_work.commit().await?;
                repaired += 1;
            }
        }
        let mut unit_of_work = self.begin().await?;
        if unit_of_work.recount_totals().await? {
            unit_of_work.commit().await?;
        }
        Ok(repaired)
    }
}
