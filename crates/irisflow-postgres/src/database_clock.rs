//! The clock of the database, as one node sees it: all nodes have the same time, whatever their own clocks say.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use irisflow_jobs::{Clock, StoreError, Timestamp};
use sqlx::PgPool;

use crate::{PostgresStore, store_error};

/// How often the clock is compared with the database's.
const INTERVAL: Duration = Duration::from_secs(30);
/// A comparison that took longer is too inexact.
const LONGEST_QUERY: Duration = Duration::from_secs(1);

/// Runs on at the pace of this machine while the database is away.
#[derive(Debug)]
pub struct DatabaseClock {
    started: Instant,
    /// The database's time at `started`.
    start_ms: AtomicI64,
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        let start_ms = self.start_ms.load(Ordering::SeqCst);
        Timestamp::from_millis(start_ms.saturating_add(millis(self.started.elapsed())))
    }
}

impl DatabaseClock {
    /// Asks the database for its time. The answer is as old as half of the query took.
    async fn compare(&self, pool: &PgPool) -> Result<(), StoreError> {
        let begun = self.started.elapsed();
        let now_ms: i64 = sqlx::query_scalar("SELECT clock_ms()")
            .fetch_one(pool)
            .await
            .map_err(store_error)?;
        let ended = self.started.elapsed();
        let is_first = self.start_ms.load(Ordering::SeqCst) == i64::MIN;
        if is_first || ended.saturating_sub(begun) <= LONGEST_QUERY {
            let middle = (begun + ended) / 2;
            self.start_ms
                .store(now_ms - millis(middle), Ordering::SeqCst);
        }
        Ok(())
    }
}

impl PostgresStore {
    /// Starts a clock that follows the database's for as long as it is used.
    ///
    /// # Errors
    /// When the database cannot be asked for its time.
    pub async fn start_clock(&self) -> Result<Arc<dyn Clock>, StoreError> {
        let clock = Arc::new(DatabaseClock {
            started: Instant::now(),
            start_ms: AtomicI64::new(i64::MIN),
        });
        clock.compare(&self.pool).await?;
        let (followed, pool) = (Arc::downgrade(&clock), self.pool.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(INTERVAL).await;
                let Some(clock) = followed.upgrade() else {
                    return;
                };
                if let Err(error) = clock.compare(&pool).await {
                    tracing::debug!(%error, "could not ask the database for its time");
                }
            }
        });
        Ok(clock)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
