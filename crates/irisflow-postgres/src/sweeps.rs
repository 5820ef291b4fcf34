//! `SweepQueue` on PostgreSQL: scheduled deletions of objects, written in the transaction that makes the objects
//! superfluous.

use std::time::Duration;

use async_trait::async_trait;
use irisflow_jobs::{
    Job, JobId, JobPolicy, JobState, PhotoId, StoreError, Sweep, SweepQueue, SweepTarget,
    Timestamp, UserId,
};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::columns::id;
use crate::job_row::JobRow;
use crate::unit_of_work::UnitOfWork;
use crate::{PostgresStore, store_error, unknown_value};

impl UnitOfWork<'_> {
    pub(crate) async fn sweep(
        &mut self,
        target: SweepTarget,
        due_at: Timestamp,
    ) -> Result<(), StoreError> {
        let (name, user_id, subject_id) = columns_of(target);
        sqlx::query(
            "INSERT INTO sweeps (target, user_id, subject_id, due_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(name)
        .bind(user_id.as_uuid())
        .bind(subject_id)
        .bind(due_at.as_millis())
        .execute(self.connection())
        .await
        .map_err(store_error)?;
        Ok(())
    }

    /// When its upload is swept, the time to confirm a photo is over. A photo with jobs is kept.
    async fn delete_unconfirmed_photo(&mut self, photo_id: Uuid) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM photos WHERE id = $1 AND status IN ('pending', 'failed')
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE photo_id = $1)",
        )
        .bind(photo_id)
        .execute(self.connection())
        .await
        .map_err(store_error)?;
        Ok(())
    }

    /// Deletes the `deleted` event of a job when its last sweep is completed. A client with an older cursor
    /// finds it below `floor_seq` and starts from a snapshot.
    async fn delete_last_event(&mut self, job_id: Uuid) -> Result<(), StoreError> {
        let deleted: Option<(Uuid, i64)> = sqlx::query_as(
            "DELETE FROM events WHERE job_id = $1 AND kind = 'deleted'
                 AND NOT EXISTS (SELECT 1 FROM sweeps WHERE subject_id = $1)
             RETURNING user_id, seq",
        )
        .bind(job_id)
        .fetch_optional(self.connection())
        .await
        .map_err(store_error)?;
        if let Some((user_id, seq)) = deleted {
            sqlx::query(
                "UPDATE timelines SET floor_seq = greatest(floor_seq, $1) WHERE user_id = $2",
            )
            .bind(seq)
            .bind(user_id)
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        }
        Ok(())
    }

    /// Schedules two sweeps of an ended attempt: one at once, and one when the longest lease has expired, for
    /// what its worker may still be writing.
    pub(crate) async fn sweep_leftovers(
        &mut self,
        job: &Job,
        policy: &JobPolicy,
    ) -> Result<(), StoreError> {
        let target = SweepTarget::JobLeftovers {
            user_id: job.user_id,
            job_id: job.id,
        };
        self.sweep(target, self.now).await?;
        self.sweep(target, self.now + policy.lease * 2).await
    }
}

#[async_trait]
impl SweepQueue for PostgresStore {
    /// A claim moves `due_at` to its end: a sweep that is not completed by then is due again by itself.
    async fn claim_sweeps(&self, limit: u32, lease: Duration) -> Result<Vec<Sweep>, StoreError> {
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX / 2);
        retrying!(async {
            // One statement: an idle node writes nothing.
            let mut rows = sqlx::query(
                "UPDATE sweeps SET due_at = now_ms() + $2 WHERE id IN (
                     SELECT id FROM sweeps WHERE due_at <= now_ms()
                     ORDER BY due_at, id LIMIT $1 FOR UPDATE SKIP LOCKED)
                 RETURNING *, (SELECT due_at FROM sweeps AS before WHERE before.id = sweeps.id) AS was_due_at",
            )
            .bind(i64::from(limit))
            .bind(lease_ms)
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?;
            rows.sort_by_cached_key(|row| {
                let was_due_at: i64 = row.try_get("was_due_at").unwrap_or_default();
                let id: i64 = row.try_get("id").unwrap_or_default();
                (was_due_at, id)
            });
            rows.iter().map(sweep_of).collect()
        })
    }

    async fn epoch_to_keep(&self, job_id: JobId) -> Result<Option<i64>, StoreError> {
        retrying!(async {
            let row: Option<JobRow> = sqlx::query_as("SELECT * FROM jobs WHERE id = $1")
                .bind(job_id.as_uuid())
                .fetch_optional(&self.pool)
                .await
                .map_err(store_error)?;
            Ok(row.and_then(|JobRow { job, .. }| match job.state {
                JobState::Processing(_) => Some(job.epoch),
                JobState::Completed(result) => Some(result.epoch),
                JobState::Pending
                | JobState::Waiting
                | JobState::Failed(_)
                | JobState::Cancelled => None,
            }))
        })
    }

    async fn complete_sweep(&self, sweep_id: i64) -> Result<(), StoreError> {
        retrying!(async {
            let user_id: Option<Uuid> =
                sqlx::query_scalar("SELECT user_id FROM sweeps WHERE id = $1")
                    .bind(sweep_id)
                    .fetch_optional(&self.pool)
                    .await
                    .map_err(store_error)?;
            let Some(user_id) = user_id else {
                return Ok(());
            };
            let mut unit_of_work = self.begin_for(UserId::from(user_id)).await?;
            let done: Option<(String, Uuid)> =
                sqlx::query_as("DELETE FROM sweeps WHERE id = $1 RETURNING target, subject_id")
                    .bind(sweep_id)
                    .fetch_optional(unit_of_work.connection())
                    .await
                    .map_err(store_error)?;
            match done {
                Some((target, photo_id)) if target == "incoming" => {
                    unit_of_work.delete_unconfirmed_photo(photo_id).await?;
                }
                Some((_, subject)) => unit_of_work.delete_last_event(subject).await?,
                None => {}
            }
            unit_of_work.commit().await
        })
    }

    async fn postpone_sweep(&self, sweep_id: i64) -> Result<(), StoreError> {
        retrying!(async {
            let mut unit_of_work = self.begin().await?;
            let failures: Option<i64> = sqlx::query_scalar(
                "UPDATE sweeps SET failures = failures + 1 WHERE id = $1 RETURNING failures",
            )
            .bind(sweep_id)
            .fetch_optional(unit_of_work.connection())
            .await
            .map_err(store_error)?;
            let Some(failures) = failures else {
                return Ok(());
            };
            let earlier = u32::try_from(failures - 1).unwrap_or(u32::MAX);
            let due_at = unit_of_work.now + self.policy.backoff(earlier, 1.0);
            sqlx::query("UPDATE sweeps SET due_at = $1 WHERE id = $2")
                .bind(due_at.as_millis())
                .bind(sweep_id)
                .execute(unit_of_work.connection())
                .await
                .map_err(store_error)?;
            unit_of_work.commit().await
        })
    }
}

fn sweep_of(row: &PgRow) -> Result<Sweep, StoreError> {
    let name: &str = row.try_get("target").map_err(store_error)?;
    let user_id = id(row, "user_id").map_err(store_error)?;
    let subject: Uuid = row.try_get("subject_id").map_err(store_error)?;
    Ok(Sweep {
        id: row.try_get("id").map_err(store_error)?,
        target: target_of(name, user_id, subject)?,
    })
}

fn columns_of(target: SweepTarget) -> (&'static str, UserId, Uuid) {
    match target {
        SweepTarget::JobLeftovers { user_id, job_id } => ("job", user_id, job_id.as_uuid()),
        SweepTarget::Incoming { user_id, photo_id } => ("incoming", user_id, photo_id.as_uuid()),
        SweepTarget::Intakes { user_id, photo_id } => ("intakes", user_id, photo_id.as_uuid()),
        SweepTarget::Photo { user_id, photo_id } => ("photo", user_id, photo_id.as_uuid()),
        SweepTarget::Account { user_id } => ("account", user_id, user_id.as_uuid()),
    }
}

fn target_of(name: &str, user_id: UserId, subject: Uuid) -> Result<SweepTarget, StoreError> {
    match name {
        "job" => Ok(SweepTarget::JobLeftovers {
            user_id,
            job_id: JobId::from(subject),
        }),
        "incoming" => Ok(SweepTarget::Incoming {
            user_id,
            photo_id: PhotoId::from(subject),
        }),
        "intakes" => Ok(SweepTarget::Intakes {
            user_id,
            photo_id: PhotoId::from(subject),
        }),
        "photo" => Ok(SweepTarget::Photo {
            user_id,
            photo_id: PhotoId::from(subject),
        }),
        "account" => Ok(SweepTarget::Account { user_id }),
        other => Err(unknown_value("sweep target", other)),
    }
}
