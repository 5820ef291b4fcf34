//! `TokenBuckets` on PostgreSQL. A bucket is one number, the time at which it is full again: each missing token delays it
//! by the interval of one (the generic cell rate algorithm).

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use irisflow_jobs::{BucketKey, BucketSize, StoreError, TakenTokens, TokenBuckets};

use crate::{PostgresStore, store_error};

/// $1 key, $2 interval, $3 time that an empty bucket takes to be full, $4 the same for the tokens that may be missing.
/// A time that lies further ahead was written before the clock was set back.
const TAKE: &str = "INSERT INTO token_buckets AS bucket (key, full_at_us, is_taken)
     VALUES ($1, clock_us() + $2, TRUE)
     ON CONFLICT (key) DO UPDATE SET (full_at_us, is_taken) = (
         SELECT full_at + CASE WHEN full_at + $2 <= now + $4 THEN $2 ELSE 0 END, full_at + $2 <= now + $4
         FROM (SELECT now, least(greatest(bucket.full_at_us, now), now + $3) AS full_at
               FROM (SELECT clock_us() AS now) AS clock) AS before)
     RETURNING is_taken, full_at_us - clock_us()";

/// $1 keys, $2 intervals of all taken tokens, $3 times that empty buckets take to be full. In the order of the keys, so
/// that nodes do not lock each other out. A bucket owes as much as it holds at most.
const RECORD: &str = "WITH taken AS (
         SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS taken (key, delay, capacity))
     INSERT INTO token_buckets AS bucket (key, full_at_us, is_taken)
     SELECT key, clock_us() + delay, TRUE FROM taken ORDER BY key
     ON CONFLICT (key) DO UPDATE SET full_at_us = (
         SELECT least(greatest(bucket.full_at_us, now) + delay, now + 2 * capacity)
         FROM taken, (SELECT clock_us() AS now) AS clock WHERE taken.key = bucket.key)
     RETURNING key, full_at_us - clock_us()";

const RETURN: &str = "UPDATE token_buckets SET full_at_us = full_at_us - $2 WHERE key = $1";

const FILL: &str = "DELETE FROM token_buckets WHERE key = $1";

/// Buckets that are full need no row.
const PRUNE: &str = "DELETE FROM token_buckets WHERE key IN (
     SELECT key FROM token_buckets WHERE full_at_us < now_ms() * 1000 LIMIT 200 FOR UPDATE SKIP LOCKED)";

/// One of so many takes prunes.
const PRUNED_EVERY: u32 = 50;

#[async_trait]
impl TokenBuckets for PostgresStore {
    async fn take_token(
        &self,
        key: BucketKey,
        size: BucketSize,
        allowed: u32,
    ) -> Result<Option<Duration>, StoreError> {
        let interval = micros(size.refill);
        if allowed == 0 {
            return Ok(Some(size.refill));
        }
        let (capacity, allowed) = (
            interval.saturating_mul(size.burst.into()),
            interval.saturating_mul(allowed.into()),
        );
        let (is_taken, full_in): (bool, i64) = retrying!(async {
            sqlx::query_as(TAKE)
                .bind(key.as_slice())
                .bind(interval)
                .bind(capacity)
                .bind(allowed)
                .fetch_one(&self.pool)
                .await
                .map_err(store_error)
        })?;
        self.prune_sometimes().await?;
        let wait = (full_in + interval - allowed).max(1);
        Ok((!is_taken).then(|| Duration::from_micros(wait.unsigned_abs())))
    }

    async fn return_token(&self, key: BucketKey, size: BucketSize) -> Result<(), StoreError> {
        let query = sqlx::query(RETURN).bind(key.to_vec());
        self.execute_on_buckets(query.bind(micros(size.refill)))
            .await
    }

    async fn record_taken(&self, taken: &[TakenTokens]) -> Result<Vec<Duration>, StoreError> {
        let keys: Vec<&[u8]> = taken.iter().map(|taken| taken.key.as_slice()).collect();
        let of_all = |times: fn(&TakenTokens) -> u32| {
            let delays = taken
                .iter()
                .map(|taken| micros(taken.size.refill).saturating_mul(times(taken).into()));
            delays.collect::<Vec<i64>>()
        };
        let rows: Vec<(Vec<u8>, i64)> = sqlx::query_as(RECORD)
            .bind(keys)
            .bind(of_all(|taken| taken.tokens))
            .bind(of_all(|taken| taken.size.burst))
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?;
        self.prune_sometimes().await?;
        let full_in: HashMap<Vec<u8>, i64> = rows.into_iter().collect();
        let full_in = |taken: &TakenTokens| full_in.get(taken.key.as_slice()).copied().unwrap_or(0);
        let full_in = taken.iter().map(full_in);
        Ok(full_in
            .map(|micros| Duration::from_micros(micros.max(0).unsigned_abs()))
            .collect())
    }

    async fn fill_bucket(&self, key: BucketKey) -> Result<(), StoreError> {
        let query = sqlx::query(FILL).bind(key.to_vec());
        self.execute_on_buckets(query).await
    }
}

impl PostgresStore {
    async fn prune_sometimes(&self) -> Result<(), StoreError> {
        match rand::random_range(0..PRUNED_EVERY) {
            0 => self.execute_on_buckets(sqlx::query(PRUNE)).await,
            _ => Ok(()),
        }
    }

    async fn execute_on_buckets(
        &self,
        query: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<(), StoreError> {
        let done = query.execute(&self.pool).await;
        done.map(drop).map_err(store_error)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}
