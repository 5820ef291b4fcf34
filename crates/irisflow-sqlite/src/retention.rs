//! `Retention` on SQLite: deleting what has been kept long enough.

use std::collections::HashMap;

use async_trait::async_trait;
use irisflow_jobs::{PhotoId, Retention, StoreError, SweepTarget, Timestamp, UserId};
use uuid::Uuid;

use crate::job_row::JobRow;
use crate::unit_of_work::UnitOfWork;
use crate::{SqliteStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl Retention for SqliteStore {
    async fn expire_originals(&self, announced_before: Timestamp, limit: u32) -> Result<u32> {
        let mut unit_of_work = self.begin().await?;
        let photos: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "SELECT id, user_id FROM photos WHERE status <> 'expired' AND created_at < ?
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE photo_id = photos.id
                                     AND state IN ('pending', 'waiting', 'processing'))
             ORDER BY created_at LIMIT ?",
        )
        .bind(announced_before.as_millis())
        .bind(limit)
        .fetch_all(unit_of_work.connection()?)
        .await
        .map_err(store_error)?;
        for &(id, user_id) in &photos {
            sqlx::query(
                "UPDATE photos SET status = 'expired', format = NULL, width_px = NULL,
                     height_px = NULL, size_bytes = NULL, sha256 = NULL, intake = NULL,
                     thumbnail_bytes = NULL, decode_bytes = NULL, incoming_bytes = 0, updated_at = ?
                 WHERE id = ?",
            )
            .bind(unit_of_work.now.as_millis())
            .bind(id)
            .execute(unit_of_work.connection()?)
            .await
            .map_err(store_error)?;
            let target = SweepTarget::Photo {
                user_id: UserId::from(user_id),
                photo_id: PhotoId::from(id),
            };
            unit_of_work.sweep(target, unit_of_work.now).await?;
            unit_of_work.delete_photo_without_jobs(id).await?;
        }
        unit_of_work.commit().await?;
        Ok(u32::try_from(photos.len()).unwrap_or(limit))
    }

    async fn expire_jobs(&self, ended_before: Timestamp, limit: u32) -> Result<u32> {
        let mut unit_of_work = self.begin().await?;
        let jobs: Vec<JobRow> = sqlx::query_as(
            "SELECT * FROM jobs
             WHERE state IN ('completed', 'failed', 'cancelled') AND updated_at < ?
             ORDER BY updated_at LIMIT ?",
        )
        .bind(ended_before.as_millis())
        .bind(limit)
        .fetch_all(unit_of_work.connection()?)
        .await
        .map_err(store_error)?;
        for row in &jobs {
            unit_of_work.delete_job(row, &self.policy).await?;
            let photo_id = row.job.photo_id.as_uuid();
            unit_of_work.delete_photo_without_jobs(photo_id).await?;
        }
        unit_of_work.commit().await?;
        Ok(u32::try_from(jobs.len()).unwrap_or(limit))
    }

    async fn prune_sessions(&self, ended_before: Timestamp, limit: u32) -> Result<u32> {
        self.prune(
            "DELETE FROM sessions WHERE id IN (
                 SELECT id FROM sessions WHERE ended_at < ?1
                 UNION SELECT id FROM sessions WHERE expires_at < ?1 LIMIT ?2)",
            ended_before,
            limit,
        )
        .await
    }

    async fn prune_events(&self, from: Timestamp, before: Timestamp, limit: u32) -> Result<u32> {
        let mut unit_of_work = self.begin().await?;
        let pruned: Vec<(Uuid, i64)> = sqlx::query_as(
            "DELETE FROM events WHERE (user_id, seq) IN (
                 SELECT user_id, seq FROM events
                 WHERE at >= ?1 AND at < ?2
                   AND seq IS NOT (SELECT last_seq FROM jobs WHERE id = events.job_id)
                 ORDER BY at LIMIT ?3)
             RETURNING user_id, seq",
        )
        .bind(from.as_millis())
        .bind(before.as_millis())
        .bind(limit)
        .fetch_all(unit_of_work.connection()?)
        .await
        .map_err(store_error)?;
        let mut floors: HashMap<Uuid, i64> = HashMap::new();
        for &(user_id, seq) in &pruned {
            let floor = floors.entry(user_id).or_default();
            *floor = seq.max(*floor);
        }
        for (user_id, floor) in floors {
            sqlx::query("UPDATE timelines SET floor_seq = max(floor_seq, ?) WHERE user_id = ?")
                .bind(floor)
                .bind(user_id)
                .execute(unit_of_work.connection()?)
                .await
                .map_err(store_error)?;
        }
        unit_of_work.commit().await?;
        Ok(u32::try_from(pruned.len()).unwrap_or(limit))
    }

    async fn prune_refresh_tokens(&self, spent_before: Timestamp, limit: u32) -> Result<u32> {
        self.prune(
            "DELETE FROM refresh_tokens WHERE hash IN (
                 SELECT hash FROM refresh_tokens WHERE spent_at < ?1 LIMIT ?2)",
            spent_before,
            limit,
        )
        .await
    }
}

impl SqliteStore {
    /// Runs a deletion with a time and a limit as parameters. Returns the number of deleted rows.
    pub(crate) async fn prune(
        &self,
        deletion: &'static str,
        before: Timestamp,
        limit: u32,
    ) -> Result<u32> {
        let mut unit_of_work = self.begin().await?;
        let pruned = sqlx::query(deletion)
            .bind(before.as_millis())
            .bind(limit)
            .execute(unit_of_work.connection()?)
            .await
            .map_err(store_error)?
            .rows_affected();
        if pruned > 0 {
            unit_of_work.commit().await?;
        }
        Ok(u32::try_from(pruned).unwrap_or(limit))
    }
}

impl UnitOfWork<'_> {
    /// Deletes an expired photo to which no job refers.
    async fn delete_photo_without_jobs(&mut self, photo_id: Uuid) -> Result<()> {
        sqlx::query(
            "DELETE FROM photos WHERE id = ?1 AND status = 'expired'
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE photo_id = ?1)",
        )
        .bind(photo_id)
        .execute(self.connection()?)
        .await
        .map_err(store_error)?;
        Ok(())
    }
}
