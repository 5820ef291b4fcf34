//! The deletions that are due: written beside the change that made objects superfluous.

use async_trait::async_trait;
use irisflow_jobs::{
    Job, JobId, JobPolicy, JobState, PhotoId, StoreError, Sweep, SweepQueue, SweepTarget,
    Timestamp, UserId,
};
use sqlx::Row;
use uuid::Uuid;

use crate::job_row::JobRow;
use crate::unit_of_work::UnitOfWork;
use crate::{SqliteStore, corrupt, unavailable};

impl UnitOfWork<'_> {
    pub(crate) async fn sweep(
        &mut self,
        target: SweepTarget,
        due_at: Timestamp,
    ) -> Result<(), StoreError> {
        let (name, user_id, subject_id) = columns_of(target);
        sqlx::query("INSERT INTO sweeps (target, user_id, subject_id, due_at) VALUES (?, ?, ?, ?)")
            .bind(name)
            .bind(user_id.as_uuid())
            .bind(subject_id)
            .bind(due_at.as_millis())
            .execute(self.connection()?)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    /// The time to upload and confirm a photo is over when its upload is swept. Jobs keep their photo.
    async fn forget_if_never_confirmed(&mut self, photo_id: Uuid) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM photos WHERE id = ?1 AND status IN ('pending', 'failed')
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE photo_id = ?1)",
        )
        .bind(photo_id)
        .execute(self.connection()?)
        .await
        .map_err(unavailable)?;
        Ok(())
    }

    /// When nothing is left to sweep of a deleted job, the event that tells of its end goes too. Who
    /// has not heard of it by now is told by `floor_seq` to begin anew.
    async fn forget_if_swept(&mut self, job_id: Uuid) -> Result<(), StoreError> {
        let forgotten: Option<(Uuid, i64)> = sqlx::query_as(
            "DELETE FROM events WHERE job_id = ?1 AND kind = 'deleted'
                 AND NOT EXISTS (SELECT 1 FROM sweeps WHERE subject_id = ?1)
             RETURNING user_id, seq",
        )
        .bind(job_id)
        .fetch_optional(self.connection()?)
        .await
        .map_err(unavailable)?;
        if let Some((user_id, seq)) = forgotten {
            sqlx::query("UPDATE timelines SET floor_seq = max(floor_seq, ?) WHERE user_id = ?")
                .bind(seq)
                .bind(user_id)
                .execute(self.connection()?)
                .await
                .map_err(unavailable)?;
        }
        Ok(())
    }

    /// What the ended attempt wrote goes at once; what its worker may still be writing goes when the
    /// longest lease has run out.
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
impl SweepQueue for SqliteStore {
    async fn due_sweeps(&self, limit: u32) -> Result<Vec<Sweep>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM sweeps WHERE due_at <= ? ORDER BY due_at, id LIMIT ?")
                .bind(self.now().as_millis())
                .bind(limit)
                .fetch_all(&self.readers)
                .await
                .map_err(unavailable)?;
        rows.iter()
            .map(|row| {
                let name: &str = row.try_get("target").map_err(unavailable)?;
                let user_id = UserId::from(row.try_get::<Uuid, _>("user_id").map_err(unavailable)?);
                let subject: Uuid = row.try_get("subject_id").map_err(unavailable)?;
                Ok(Sweep {
                    id: row.try_get("id").map_err(unavailable)?,
                    target: target_of(name, user_id, subject)?,
                    due_at: Timestamp::from_millis(row.try_get("due_at").map_err(unavailable)?),
                })
            })
            .collect()
    }

    async fn epoch_to_keep(&self, job_id: JobId) -> Result<Option<i64>, StoreError> {
        let row: Option<JobRow> = sqlx::query_as("SELECT * FROM jobs WHERE id = ?")
            .bind(job_id.as_uuid())
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        Ok(row.and_then(|JobRow { job, .. }| match job.state {
            JobState::Processing(_) => Some(job.epoch),
            JobState::Completed(result) => Some(result.epoch),
            JobState::Pending | JobState::Waiting | JobState::Failed(_) | JobState::Cancelled => {
                None
            }
        }))
    }

    async fn complete_sweep(&self, sweep_id: i64) -> Result<(), StoreError> {
        let mut unit_of_work = self.begin().await?;
        let done: Option<(String, Uuid)> =
            sqlx::query_as("DELETE FROM sweeps WHERE id = ? RETURNING target, subject_id")
                .bind(sweep_id)
                .fetch_optional(unit_of_work.connection()?)
                .await
                .map_err(unavailable)?;
        match done {
            Some((target, photo_id)) if target == "incoming" => {
                unit_of_work.forget_if_never_confirmed(photo_id).await?;
            }
            Some((_, subject)) => unit_of_work.forget_if_swept(subject).await?,
            None => {}
        }
        unit_of_work.commit().await
    }

    async fn postpone_sweep(&self, sweep_id: i64) -> Result<(), StoreError> {
        let mut unit_of_work = self.begin().await?;
        let failures: Option<u32> = sqlx::query_scalar(
            "UPDATE sweeps SET failures = failures + 1 WHERE id = ? RETURNING failures",
        )
        .bind(sweep_id)
        .fetch_optional(unit_of_work.connection()?)
        .await
        .map_err(unavailable)?;
        let Some(failures) = failures else {
            return Ok(());
        };
        let wait = self.policy.backoff(failures.saturating_sub(1), 1.0);
        sqlx::query("UPDATE sweeps SET due_at = ? WHERE id = ?")
            .bind((unit_of_work.now + wait).as_millis())
            .bind(sweep_id)
            .execute(unit_of_work.connection()?)
            .await
            .map_err(unavailable)?;
        unit_of_work.commit().await
    }
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
        other => Err(corrupt("sweep target", other)),
    }
}
