//! A rate limiter per key that holds over all nodes of a service. Without a shared store, and while that cannot be
//! reached, this node counts alone: an outage of the database neither locks anyone out nor lifts a limit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use irisflow_jobs::{BucketKey, BucketSize, StoreError, TakenTokens, Timestamp, TokenBuckets};
use sha2::{Digest as _, Sha256};

use crate::rate_limiter::RateLimiter;

/// How long the shared store is left alone after it has failed: each call may take seconds then.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The buckets of all nodes. Clones share the state of the connection.
#[derive(Clone, Default)]
pub(crate) struct SharedBuckets {
    /// Of the keys: the same on all nodes and secret.
    salt: [u8; 32],
    /// `None` in a service of one process.
    store: Option<Arc<dyn TokenBuckets>>,
    away_until: Arc<Mutex<Option<Instant>>>,
}

impl SharedBuckets {
    pub(crate) fn new(store: Option<Arc<dyn TokenBuckets>>, salt: [u8; 32]) -> Self {
        Self {
            salt,
            store,
            away_until: Arc::default(),
        }
    }

    /// A salted hash, so that what it is made from is not stored. `kind` keeps the keys of different limits apart.
    pub(crate) fn key(&self, kind: &str, parts: &[&[u8]]) -> BucketKey {
        let mut hash = Sha256::new();
        hash.update(self.salt);
        for part in [&[kind.as_bytes()], parts].concat() {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        let mut key = BucketKey::default();
        key.copy_from_slice(&hash.finalize()[..16]);
        key
    }

    /// Whether several nodes share them.
    pub(crate) fn are_shared(&self) -> bool {
        self.store.is_some()
    }

    /// Reports what this node has taken. Returns when each bucket will be full, or nothing while the store cannot be
    /// reached.
    pub(crate) async fn report(&self, taken: &[TakenTokens]) -> Vec<Duration> {
        let Some(store) = self.reachable() else {
            return Vec::new();
        };
        match store.record_taken(taken).await {
            Ok(full_in) => full_in,
            Err(error) => {
                self.failed(&error);
                Vec::new()
            }
        }
    }

    /// The store, unless it has just failed.
    fn reachable(&self) -> Option<&dyn TokenBuckets> {
        let away_until = *self
            .away_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_away = away_until.is_some_and(|until| Instant::now() < until);
        self.store.as_deref().filter(|_| !is_away)
    }

    fn failed(&self, error: &StoreError) {
        tracing::warn!(%error, "this node counts rate limits alone for a while");
        let until = Instant::now() + PAUSE_AFTER_FAILURE;
        *self
            .away_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

impl std::fmt::Debug for SharedBuckets {
    /// Without the salt.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SharedBuckets({:?})", self.store)
    }
}

/// A rate limit whose every token is taken from the shared bucket: for what is rare and must be exact.
#[derive(Debug)]
pub(crate) struct SharedRateLimiter {
    size: BucketSize,
    shared: SharedBuckets,
    /// What this node counts alone.
    own: RateLimiter<BucketKey>,
}

impl SharedRateLimiter {
    pub(crate) fn new(burst: u32, refill: Duration, shared: &SharedBuckets) -> Self {
        Self {
            size: BucketSize { burst, refill },
            shared: shared.clone(),
            own: RateLimiter::new(burst, refill),
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// The time to wait until there is a token.
    pub(crate) async fn take(&self, key: BucketKey, now: Timestamp) -> Result<(), Duration> {
        match self.take_shared(key, self.size.burst).await {
            Some(taken) => taken,
            None => self.own.take(key, now),
        }
    }

    /// Takes a token if the bucket is full.
    ///
    /// # Errors
    /// The time to wait until the bucket is full.
    pub(crate) async fn take_of_full(
        &self,
        key: BucketKey,
        now: Timestamp,
    ) -> Result<(), Duration> {
        match self.take_shared(key, self.size.burst.min(1)).await {
            Some(taken) => taken,
            None => self.own.take_of_full(key, now),
        }
    }

    /// `None` when this node counts alone.
    async fn take_shared(&self, key: BucketKey, allowed: u32) -> Option<Result<(), Duration>> {
        let store = self.shared.reachable()?;
        match store.take_token(key, self.size, allowed).await {
            Ok(wait) => Some(wait.map_or(Ok(()), Err)),
            Err(error) => {
                self.shared.failed(&error);
                None
            }
        }
    }

    /// Puts a token back.
    pub(crate) async fn give_back(&self, key: BucketKey) {
        self.own.give_back(&key);
        if let Some(store) = self.shared.reachable()
            && let Err(error) = store.return_token(key, self.size).await
        {
            self.shared.failed(&error);
        }
    }

    /// Fills the bucket.
    pub(crate) async fn refill(&self, key: BucketKey) {
        self.own.refill(&key);
        if let Some(store) = self.shared.reachable()
            && let Err(error) = store.fill_bucket(key).await
        {
            self.shared.failed(&error);
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    /// A database that is away.
    #[derive(Debug)]
    struct Away;

    fn error<T>() -> Result<T, StoreError> {
        Err(StoreError::unavailable("it is away"))
    }

    #[async_trait]
    impl TokenBuckets for Away {
        async fn take_token(
            &self,
            _: BucketKey,
            _: BucketSize,
            _: u32,
        ) -> Result<Option<Duration>, StoreError> {
            error()
        }

        async fn return_token(&self, _: BucketKey, _: BucketSize) -> Result<(), StoreError> {
            error()
        }

        async fn record_taken(&self, _: &[TakenTokens]) -> Result<Vec<Duration>, StoreError> {
            error()
        }

        async fn fill_bucket(&self, _: BucketKey) -> Result<(), StoreError> {
            error()
        }
    }

    #[tokio::test]
    async fn an_outage_of_the_database_neither_locks_out_nor_lifts_the_limit() {
        let shared = SharedBuckets::new(Some(Arc::new(Away)), [0; 32]);
        let limiter = SharedRateLimiter::new(2, Duration::from_secs(1), &shared);
        let (key, now) = (BucketKey::default(), Timestamp::EPOCH);
        for _ in 0..2 {
            assert_eq!(limiter.take(key, now).await, Ok(()));
        }
        assert!(limiter.take(key, now).await.is_err());
        limiter.give_back(key).await;
        assert_eq!(limiter.take(key, now).await, Ok(()));
    }
}
