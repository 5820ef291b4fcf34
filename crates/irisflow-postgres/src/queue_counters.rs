//! A locked row of `timelines`, and its counters: how many jobs of a user wait and run, and when the first of them is
//! due. Claiming reads them instead of the backlog. Each change of a job updates them; counters that are wrong all the
//! same (a database edited by hand, a bug) are counted anew here, since jobs would never be claimed.

use irisflow_jobs::{EventKinds, JobState, StoreError, UserId};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use crate::unit_of_work::UnitOfWork;
use crate::webhook_outbox::kinds_of;
use crate::{PostgresStore, store_error};

/// Users whose counters are not what their jobs say.
pub(crate) const USERS_WITH_WRONG_COUNTERS: &str = "SELECT timelines.user_id FROM timelines
     LEFT JOIN (SELECT user_id, count(*) AS queued, min(run_at) AS next_run_at FROM jobs
                WHERE state IN ('pending', 'waiting') GROUP BY user_id) AS waiting
         ON waiting.user_id = timelines.user_id
     LEFT JOIN (SELECT user_id, count(*) AS running FROM jobs
                WHERE state = 'processing' GROUP BY user_id) AS processing
         ON processing.user_id = timelines.user_id
     WHERE (timelines.queued, timelines.running, timelines.next_run_at)
         IS DISTINCT FROM (coalesce(waiting.queued, 0), coalesce(processing.running, 0),
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

/// The row of a user that this transaction has locked, with changes that are not written yet.
#[derive(Debug)]
pub(crate) struct LockedTimeline {
    pub(crate) last_seq: i64,
    pub(crate) queued: i64,
    pub(crate) running: i64,
    /// When the lock was taken, in milliseconds since the Unix epoch.
    pub(crate) next_run_at: Option<i64>,
    pub(crate) webhook_kinds: EventKinds,
    has_new_events: bool,
    has_new_counts: bool,
    is_claimed: bool,
}

impl LockedTimeline {
    /// `last_seq` is the name of its column in the row.
    pub(crate) fn of(row: &PgRow, last_seq: &str) -> Result<Self, sqlx::Error> {
        Ok(Self {
            last_seq: row.try_get(last_seq)?,
            queued: row.try_get("queued")?,
            running: row.try_get("running")?,
            next_run_at: row.try_get("next_run_at")?,
            webhook_kinds: kinds_of(row.try_get("webhook_kinds")?),
            has_new_events: false,
            has_new_counts: false,
            is_claimed: false,
        })
    }

    /// Takes the next position.
    pub(crate) fn next_seq(&mut self) -> i64 {
        self.has_new_events = true;
        self.last_seq += 1;
        self.last_seq
    }

    /// The newest position, if nothing else has to be written; the caller writes it.
    pub(crate) fn take_new_position(&mut self) -> Option<i64> {
        let is_alone = self.has_new_events && !self.has_new_counts && !self.is_claimed;
        self.has_new_events &= !is_alone;
        is_alone.then_some(self.last_seq)
    }

    /// Updates the counters after the state of one job has changed.
    pub(crate) fn count(&mut self, before: QueueCounts, after: QueueCounts) {
        if before == after && after.queued == 0 {
            return;
        }
        self.queued += after.queued - before.queued;
        self.running += after.running - before.running;
        self.has_new_counts = true;
    }

    /// The times of waiting jobs have changed.
    pub(crate) fn jobs_changed(&mut self) {
        self.has_new_counts = true;
    }

    /// The user gets the number of this claim; see `claim_mark` in the migrations.
    pub(crate) fn mark_claim(&mut self) {
        self.is_claimed = true;
    }

    /// Comes after the changes of the user's jobs.
    pub(crate) async fn write(
        self,
        user_id: UserId,
        connection: &mut PgConnection,
    ) -> Result<(), StoreError> {
        let query = if self.has_new_counts || self.is_claimed {
            sqlx::query(
                "UPDATE timelines SET last_seq = $2, queued = $3, running = $4,
                     claim_mark = CASE WHEN $5 THEN nextval('claim_marks') ELSE claim_mark END,
                     next_run_at = (SELECT min(run_at) FROM jobs
                                    WHERE user_id = $1 AND state IN ('pending', 'waiting'))
                 WHERE user_id = $1",
            )
            .bind(user_id.as_uuid())
            .bind(self.last_seq)
            .bind(self.queued)
            .bind(self.running)
            .bind(self.is_claimed)
        } else if self.has_new_events {
            sqlx::query("UPDATE timelines SET last_seq = $2 WHERE user_id = $1")
                .bind(user_id.as_uuid())
                .bind(self.last_seq)
        } else {
            return Ok(());
        };
        query.execute(connection).await.map_err(store_error)?;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counters {
    queued: i64,
    running: i64,
    next_run_at: Option<i64>,
}

impl<'r> FromRow<'r, PgRow> for Counters {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            queued: row.try_get("queued")?,
            running: row.try_get("running")?,
            next_run_at: row.try_get("next_run_at")?,
        })
    }
}

impl UnitOfWork<'_> {
    /// Counts the jobs of a user anew, whose row is locked and not changed yet. `true` when the counters were wrong.
    pub(crate) async fn recount(&mut self, user_id: Uuid) -> Result<bool, StoreError> {
        let kept: Option<Counters> =
            sqlx::query_as("SELECT queued, running, next_run_at FROM timelines WHERE user_id = $1")
                .bind(user_id)
                .fetch_optional(self.connection())
                .await
                .map_err(store_error)?;
        let Some(kept) = kept else { return Ok(false) };
        let counted: Counters = sqlx::query_as(
            "SELECT count(*) AS queued, min(run_at) AS next_run_at,
                 (SELECT count(*) FROM jobs WHERE user_id = $1 AND state = 'processing') AS running
             FROM jobs WHERE user_id = $1 AND state IN ('pending', 'waiting')",
        )
        .bind(user_id)
        .fetch_one(self.connection())
        .await
        .map_err(store_error)?;
        if kept == counted {
            return Ok(false);
        }
        sqlx::query(
            "UPDATE timelines SET queued = $1, running = $2, next_run_at = $3 WHERE user_id = $4",
        )
        .bind(counted.queued)
        .bind(counted.running)
        .bind(counted.next_run_at)
        .bind(user_id)
        .execute(self.connection())
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
}

impl PostgresStore {
    pub(crate) async fn repair_all_counters(&self) -> Result<u64, StoreError> {
        let users: Vec<Uuid> = sqlx::query_scalar(USERS_WITH_WRONG_COUNTERS)
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?;
        let mut repaired = 0;
        for user_id in users {
            let recounted = retrying!(async {
                // One short transaction for each: others wait meanwhile.
                let mut unit_of_work = self.begin_for(UserId::from(user_id)).await?;
                let was_wrong = unit_of_work.recount(user_id).await?;
                if was_wrong {
                    unit_of_work.commit().await?;
                }
                Ok(was_wrong)
            });
            repaired += u64::from(recounted?);
        }
        Ok(repaired)
    }
}
