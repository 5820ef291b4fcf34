//! `Retention` on PostgreSQL: deleting what has been kept long enough.
//!
//! The rows are chosen without a lock; then the timelines of their users are locked, and those rows are changed that are
//! still as they were.

use std::collections::HashMap;

use async_trait::async_trait;
use irisflow_jobs::{PhotoId, Retention, StoreError, SweepTarget, Timestamp, UserId};
use uuid::Uuid;

use crate::job_row::JobRow;
use crate::unit_of_work::UnitOfWork;
use crate::{PostgresStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl Retention for PostgresStore {
    async fn expire_originals(&self, announced_before: Timestamp, limit: u32) -> Result<u32> {
        retrying!(self.try_expire_originals(announced_before, limit))
    }

    async fn expire_jobs(&self, ended_before: Timestamp, limit: u32) -> Result<u32> {
        retrying!(self.try_expire_jobs(ended_before, limit))
    }

    async fn prune_sessions(&self, ended_before: Timestamp, limit: u32) -> Result<u32> {
        self.prune(
            "DELETE FROM sessions WHERE id IN (
                 SELECT id FROM sessions WHERE ended_at < $1 OR expires_at < $1
                 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            ended_before,
            limit,
        )
        .await
    }

    async fn prune_events(&self, from: Timestamp, before: Timestamp, limit: u32) -> Result<u32> {
        retrying!(self.try_prune_events(from, before, limit))
    }

    async fn prune_refresh_tokens(&self, spent_before: Timestamp, limit: u32) -> Result<u32> {
        self.prune(
            "DELETE FROM refresh_tokens WHERE hash IN (
                 SELECT hash FROM refresh_tokens WHERE spent_at < $1
                 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            spent_before,
            limit,
        )
        .await
    }
}

impl PostgresStore {
    /// Runs a deletion with a time and a limit as parameters. Returns the number of deleted rows.
    pub(crate) async fn prune(
        &self,
        deletion: &'static str,
        before: Timestamp,
        limit: u32,
    ) -> Result<u32> {
        retrying!(async {
            let pruned = sqlx::query(deletion)
                .bind(before.as_millis())
                .bind(i64::from(limit))
                .execute(&self.pool)
                .await
                .map_err(store_error)?;
            Ok(u32::try_from(pruned.rows_affected()).unwrap_or(limit))
        })
    }

    async fn try_expire_originals(&self, announced_before: Timestamp, limit: u32) -> Result<u32> {
        let old: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "SELECT id, user_id FROM photos WHERE status <> 'expired' AND created_at < $1
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE photo_id = photos.id
                                     AND state IN ('pending', 'waiting', 'processing'))
             ORDER BY created_at LIMIT $2",
        )
        .bind(announced_before.as_millis())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(store_error)?;
        if old.is_empty() {
            return Ok(0);
        }
        let mut unit_of_work = self.begin_for_all(&users_of(&old)).await?;
        let expired: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "UPDATE photos SET status = 'expired', format = NULL, width_px = NULL,
                 height_px = NULL, size_bytes = NULL, sha256 = NULL, intake = NULL,
                 thumbnail_bytes = NULL, decode_bytes = NULL, incoming_bytes = 0, updated_at = $1
             WHERE id = ANY($2) AND status <> 'expired'
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE photo_id = photos.id
                                     AND state IN ('pending', 'waiting', 'processing'))
             RETURNING id, user_id",
        )
        .bind(unit_of_work.now.as_millis())
        .bind(old.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .fetch_all(unit_of_work.connection())
        .await
        .map_err(store_error)?;
        for &(id, user_id) in &expired {
            let target = SweepTarget::Photo {
                user_id: UserId::from(user_id),
                photo_id: PhotoId::from(id),
            };
            unit_of_work.sweep(target, unit_of_work.now).await?;
            unit_of_work.delete_photo_without_jobs(id).await?;
        }
        unit_of_work.commit().await?;
        Ok(u32::try_from(expired.len()).unwrap_or(limit))
    }

    async fn try_expire_jobs(&self, ended_before: Timestamp, limit: u32) -> Result<u32> {
        let old: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "SELECT id, user_id FROM jobs WHERE ended_at < $1 ORDER BY ended_at LIMIT $2",
        )
        .bind(ended_before.as_millis())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(store_error)?;
        if old.is_empty() {
            return Ok(0);
        }
        let mut unit_of_work = self.begin_for_all(&users_of(&old)).await?;
        let jobs: Vec<JobRow> =
            sqlx::query_as("SELECT * FROM jobs WHERE id = ANY($1) AND ended_at < $2")
                .bind(old.iter().map(|(id, _)| *id).collect::<Vec<_>>())
                .bind(ended_before.as_millis())
                .fetch_all(unit_of_work.connection())
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

    async fn try_prune_events(
        &self,
        from: Timestamp,
        before: Timestamp,
        limit: u32,
    ) -> Result<u32> {
        let old: Vec<(i64, Uuid)> = sqlx::query_as(
            "SELECT seq, user_id FROM events
             WHERE at >= $1 AND at < $2
               AND seq IS DISTINCT FROM (SELECT last_seq FROM jobs WHERE id = events.job_id)
             ORDER BY at LIMIT $3",
        )
        .bind(from.as_millis())
        .bind(before.as_millis())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(store_error)?;
        if old.is_empty() {
            return Ok(0);
        }
        let mut unit_of_work = self.begin_for_all(&users_of(&old)).await?;
        let (seqs, users): (Vec<i64>, Vec<Uuid>) = old.into_iter().unzip();
        let pruned: Vec<(Uuid, i64)> = sqlx::query_as(
            "DELETE FROM events USING unnest($1::uuid[], $2::bigint[]) AS old (user_id, seq)
             WHERE events.user_id = old.user_id AND events.seq = old.seq
             RETURNING events.user_id, events.seq",
        )
        .bind(users)
        .bind(seqs)
        .fetch_all(unit_of_work.connection())
        .await
        .map_err(store_error)?;
        unit_of_work.raise_floors(&pruned).await?;
        unit_of_work.commit().await?;
        Ok(u32::try_from(pruned.len()).unwrap_or(limit))
    }
}

fn users_of<T>(rows: &[(T, Uuid)]) -> Vec<UserId> {
    rows.iter().map(|(_, id)| UserId::from(*id)).collect()
}

impl UnitOfWork<'_> {
    async fn raise_floors(&mut self, pruned: &[(Uuid, i64)]) -> Result<()> {
        let mut floors: HashMap<Uuid, i64> = HashMap::new();
        for &(user_id, seq) in pruned {
            let floor = floors.entry(user_id).or_default();
            *floor = seq.max(*floor);
        }
        let (users, seqs): (Vec<Uuid>, Vec<i64>) = floors.into_iter().unzip();
        sqlx::query(
            "UPDATE timelines SET floor_seq = greatest(floor_seq, floors.seq)
             FROM unnest($1::uuid[], $2::bigint[]) AS floors (user_id, seq)
             WHERE timelines.user_id = floors.user_id",
        )
        .bind(users)
        .bind(seqs)
        .execute(self.connection())
        .await
        .map_err(store_error)?;
        Ok(())
    }

    /// Deletes an expired photo to which no job refers.
    async fn delete_photo_without_jobs(&mut self, photo_id: Uuid) -> Result<()> {
        sqlx::query(
            "DELETE FROM photos WHERE id = $1 AND status = 'expired'
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE photo_id = $1)",
        )
        .bind(photo_id)
        .execute(self.connection())
        .await
        .map_err(store_error)?;
        Ok(())
    }
}
