//! `StoreHealth` on SQLite: the integrity of the file, whether it can be written, and the repair of stored
//! times after a step of the clock.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use irisflow_jobs::{MAX_RETRY_WAIT, StoreError, StoreHealth, Timestamp};
use sqlx::SqliteConnection;

use crate::store_error::damage_was_met;
use crate::{SqliteStore, store_error};

/// Time limit of the integrity check at the start: about a gigabyte on a fast disk.
const CHECK_LIMIT: Duration = Duration::from_secs(5);
/// The time limit is checked after every so many instructions of SQLite's virtual machine.
const INSTRUCTIONS_BETWEEN_CHECKS: i32 = 10_000;
/// Sweeps may have been postponed under other settings.
const SWEEP_MARGIN: Duration = Duration::from_secs(60 * 60);
/// A claim of a delivery may be due later than any retry.
const DELIVERY_MARGIN: Duration = Duration::from_secs(10 * 60);

/// Checks the integrity of the file, for a limited time.
pub(crate) async fn check_integrity(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let (begun, ran_out) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let is_late = Arc::clone(&ran_out);
    let mut handle = connection.lock_handle().await.map_err(store_error)?;
    handle.set_progress_handler(INSTRUCTIONS_BETWEEN_CHECKS, move || {
        let late = begun.elapsed() > CHECK_LIMIT;
        is_late.fetch_or(late, Ordering::SeqCst);
        !late
    });
    drop(handle);
    let found: Result<String, _> = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(&mut *connection)
        .await;
    let mut handle = connection.lock_handle().await.map_err(store_error)?;
    handle.remove_progress_handler();
    drop(handle);
    match found {
        Ok(found) if found == "ok" => Ok(()),
        Ok(damage) => Err(StoreError::damaged(damage)),
        Err(_) if ran_out.load(Ordering::SeqCst) => {
            let limit_s = CHECK_LIMIT.as_secs();
            tracing::warn!(
                limit_s,
                "the database is too large to be checked whole at the start; \
                 run PRAGMA quick_check on a backup for the rest"
            );
            Ok(())
        }
        Err(error) => Err(store_error(error)),
    }
}

#[async_trait]
impl StoreHealth for SqliteStore {
    async fn check_writable(&self) -> Result<(), StoreError> {
        let mut unit_of_work = self.begin().await?;
        sqlx::query(
            "INSERT INTO health_checks (id, at) VALUES (1, ?)
             ON CONFLICT (id) DO UPDATE SET at = excluded.at",
        )
        .bind(unit_of_work.now.as_millis())
        .execute(unit_of_work.connection()?)
        .await
        .map_err(store_error)?;
        unit_of_work.commit().await?;
        sqlx::query("SELECT at FROM health_checks")
            .execute(&self.readers)
            .await
            .map_err(store_error)?;
        if damage_was_met() {
            return Err(StoreError::damaged("a statement met damage"));
        }
        Ok(())
    }

    async fn free_bytes(&self) -> Result<u64, StoreError> {
        let folder = Arc::clone(&self.folder);
        let asked = tokio::task::spawn_blocking(move || free_bytes(&folder)).await;
        asked
            .map_err(StoreError::unavailable)?
            .map_err(StoreError::unavailable)
    }

    async fn repair_counters(&self) -> Result<u64, StoreError> {
        self.repair_all_counters().await
    }

    async fn repair_times(&self) -> Result<u64, StoreError> {
        if !self.has_jobs_not_due().await? {
            return self.repair_other_times().await;
        }
        let longest_pause = self
            .policy
            .backoff(self.policy.max_retries.saturating_sub(1), 1.0);
        let mut unit_of_work = self.begin().await?;
        let now = unit_of_work.now;
        // Only a retry has a `run_at` ahead of the clock. Any other was written before the clock was set back.
        let jobs = sqlx::query(
            "UPDATE jobs SET run_at = ?1
             WHERE state IN ('pending', 'waiting') AND run_at > iif(retries > 0, ?2, ?1)
               AND user_id IN (SELECT user_id FROM timelines WHERE next_run_at > ?1)",
        )
        .bind(now.as_millis())
        .bind((now + longest_pause).as_millis())
        .execute(unit_of_work.connection()?)
        .await
        .map_err(store_error)?;
        sqlx::query(
            "UPDATE timelines SET next_run_at = (SELECT min(run_at) FROM jobs
                 WHERE jobs.user_id = timelines.user_id AND state IN ('pending', 'waiting'))
             WHERE next_run_at > ?",
        )
        .bind(now.as_millis())
        .execute(unit_of_work.connection()?)
        .await
        .map_err(store_error)?;
        if jobs.rows_affected() > 0 {
            unit_of_work.work_available();
            unit_of_work.commit().await?;
        } else {
            drop(unit_of_work);
        }
        Ok(jobs.rows_affected() + self.repair_other_times().await?)
    }
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> std::io::Result<u64> {
    Ok(u64::MAX)
}

impl SqliteStore {
    /// Whether some user has waiting jobs of which none is due.
    async fn has_jobs_not_due(&self) -> Result<bool, StoreError> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM timelines WHERE next_run_at > ?)")
            .bind(self.now().as_millis())
            .fetch_one(&self.readers)
            .await
            .map_err(store_error)
    }

    async fn repair_other_times(&self) -> Result<u64, StoreError> {
        let mut unit_of_work = self.begin().await?;
        let now = unit_of_work.now;
        let policy = &self.policy;
        let latest_lease = now + policy.lease;
        let latest_sweep =
            now + policy.lease * 2 + policy.upload_url_life * 2 + policy.backoff_cap + SWEEP_MARGIN;
        let mut repaired = 0;
        let latest_delivery = now + MAX_RETRY_WAIT + DELIVERY_MARGIN;
        let repairs: [(&str, Timestamp); 4] = [
            (
                "UPDATE jobs SET lease_until = ?1 WHERE state = 'processing' AND lease_until > ?1",
                latest_lease,
            ),
            (
                "UPDATE sweeps SET due_at = ?1 WHERE due_at > ?1",
                latest_sweep,
            ),
            (
                "UPDATE webhook_deliveries SET due_at = ?1 WHERE due_at > ?1",
                latest_delivery,
            ),
            ("UPDATE workers SET seen_at = ?1 WHERE seen_at > ?1", now),
        ];
        for (repair, latest) in repairs {
            let done = sqlx::query(repair)
                .bind(latest.as_millis())
                .execute(unit_of_work.connection()?)
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
