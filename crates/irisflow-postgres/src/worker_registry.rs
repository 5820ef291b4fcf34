//! `WorkerRegistry` on PostgreSQL.

use async_trait::async_trait;
use irisflow_jobs::{StoreError, WorkerId, WorkerRegistry};

use crate::{PostgresStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl WorkerRegistry for PostgresStore {
    async fn report_worker(&self, worker: WorkerId, slots: u32) -> Result<()> {
        retrying!(async {
            let mut unit_of_work = self.begin().await?;
            // A process that has not reported for two leases has ended: a new one has a new id.
            sqlx::query(
                "DELETE FROM workers WHERE id IN (
                     SELECT id FROM workers WHERE seen_at <= $1 FOR UPDATE SKIP LOCKED)",
            )
            .bind((unit_of_work.now - self.policy.lease * 2).as_millis())
            .execute(unit_of_work.connection())
            .await
            .map_err(store_error)?;
            sqlx::query(
                "INSERT INTO workers (id, slots, seen_at) VALUES ($1, $2, $3)
                 ON CONFLICT (id) DO UPDATE SET slots = excluded.slots, seen_at = excluded.seen_at",
            )
            .bind(worker.as_uuid())
            .bind(i64::from(slots))
            .bind(unit_of_work.now.as_millis())
            .execute(unit_of_work.connection())
            .await
            .map_err(store_error)?;
            unit_of_work.commit().await
        })
    }

    async fn remove_worker(&self, worker: WorkerId) -> Result<()> {
        retrying!(async {
            sqlx::query("DELETE FROM workers WHERE id = $1")
                .bind(worker.as_uuid())
                .execute(&self.pool)
                .await
                .map_err(store_error)?;
            Ok(())
        })
    }
}
