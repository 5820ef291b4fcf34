//! `StoreHealth` on PostgreSQL: whether the database can be written, and the repair of stored times after a step of its
//! clock.

use async_trait::async_trait;
use irisflow_jobs::{MAX_RETRY_WAIT, StoreError, StoreHealth, Timestamp, UserId};
use std::time::Duration;
use uuid::Uuid;

use crate::{PostgresStore, store_error};

/// Sweeps may have been postponed under other settings.
const SWEEP_MARGIN: Duration = Duration::from_secs(60 * 60);
/// Another node may have written its row after this one read the time.
const RACE_MARGIN: Duration = Duration::from_secs(5);
/// A claim of a delivery may be due later than any retry.
const DELIVERY_MARGIN: Duration = Duration::from_secs(10 * 60);

#[async_trait]
impl StoreHealth for PostgresStore {
    async fn check_writable(&self) -> Result<(), StoreError> {
        retrying!(async {
            sqlx::query(
                "INSERT INTO health_checks (id, at) VALUES (1, now_ms())
                 ON CONFLICT (id) DO UPDATE SET at = excluded.at",
            )
            .execute(&self.pool)
            .await
            .map_err(store_error)?;
            Ok(())
        })
    }

    /// A server does not tell how much room its disk has.
    async fn free_bytes(&self) -> Result<u64, StoreError> {
        Ok(u64::MAX)
    }

    async fn repair_counters(&self) -> Result<u64, StoreError> {
        self.repair_all_counters().await
    }

    async fn repair_times(&self) -> Result<u64, StoreError> {
        let users: Vec<Uuid> =
            sqlx::query_scalar("SELECT user_id FROM timelines WHERE next_run_at > now_ms()")
                .fetch_all(&self.pool)
                .await
                .map_err(store_error)?;
        let mut repaired = 0;
        for user_id in users {
            repaired += retrying!(self.repair_run_times(UserId::from(user_id)))?;
        }
        Ok(repaired + retrying!(self.repair_other_times())?)
    }
}

impl PostgresStore {
    /// Only a retry has a `run_at` ahead of the clock. Any other was written before the clock was set back.
    async fn repair_run_times(&self, user_id: UserId) -> Result<u64, StoreError> {
        let policy = &self.policy;
        let longest_pause = policy.backoff(policy.max_retries.saturating_sub(1), 1.0);
        let mut unit_of_work = self.begin_for(user_id).await?;
        let now = unit_of_work.now;
        let jobs = sqlx::query(
            "UPDATE jobs SET run_at = $1
             WHERE user_id = $3 AND state IN ('pending', 'waiting')
               AND run_at > CASE WHEN retries > 0 THEN $2::bigint ELSE $1 END",
        )
        .bind(now.as_millis())
        .bind((now + longest_pause).as_millis())
        .bind(user_id.as_uuid())
        .execute(unit_of_work.connection())
        .await
        .map_err(store_error)?
        .rows_affected();
        if jobs > 0 {
            unit_of_work.timeline(user_id)?.jobs_changed();
            unit_of_work.work_available();
            unit_of_work.commit().await?;
        }
        Ok(jobs)
    }

    async fn repair_other_times(&self) -> Result<u64, StoreError> {
        let mut unit_of_work = self.begin().await?;
        let now = unit_of_work.now;
        let policy = &self.policy;
        let latest_lease = now + policy.lease + RACE_MARGIN;
        let latest_sweep =
            now + policy.lease * 2 + policy.upload_url_life * 2 + policy.backoff_cap + SWEEP_MARGIN;
        let mut repaired = 0;
        let latest_delivery = now + MAX_RETRY_WAIT + DELIVERY_MARGIN;
        let repairs: [(&str, Timestamp); 4] = [
            (
                "UPDATE jobs SET lease_until = $1 WHERE state = 'processing' AND lease_until > $1",
                latest_lease,
            ),
            (
                "UPDATE sweeps SET due_at = $1 WHERE due_at > $1",
                latest_sweep,
            ),
            (
                "UPDATE webhook_deliveries SET due_at = $1 WHERE due_at > $1",
                latest_delivery,
            ),
            (
                "UPDATE workers SET seen_at = $1 WHERE seen_at > $1",
                now + RACE_MARGIN,
            ),
        ];
        for (repair, latest) in repairs {
            let done = sqlx::query(repair)
                .bind(latest.as_millis())
                .execute(unit_of_work.connection())
                .await
                .map_err(store_error)?;
            repaired += done.rows_affected();
        }
        if repaired > 0 {
            unit_of_work.commit().await?;
        }
        Ok(repaired)
    }
}
