//! Token buckets: so many at once, then one more every interval.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use irisflow_jobs::Timestamp;

/// With more buckets than this, full ones are dropped: they say nothing.
const MOST_BUCKETS: usize = 10_000;

/// One bucket for each key that was seen lately.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    used: Mutex<HashMap<K, Used>>,
    burst: f64,
    refill: Duration,
}

/// `tokens` were taken, of which one has come back every refill interval since `since`.
#[derive(Debug, Clone, Copy)]
struct Used {
    tokens: f64,
    since: Timestamp,
}

impl<K: Hash + Eq> Buckets<K> {
    /// `burst` at once, and one more every `refill`.
    pub(crate) fn new(burst: u32, refill: Duration) -> Self {
        Self {
            used: Mutex::new(HashMap::new()),
            burst: f64::from(burst),
            refill,
        }
    }

    /// Takes one.
    ///
    /// # Errors
    /// How long to wait until there is one.
    pub(crate) fn take(&self, key: K, now: Timestamp) -> Result<(), Duration> {
        let mut used = self.lock();
        if used.len() > MOST_BUCKETS {
            used.retain(|_, bucket| self.level(*bucket, now) > 0.0);
        }
        let level = used
            .get(&key)
            .map_or(0.0, |bucket| self.level(*bucket, now));
        let over = level + 1.0 - self.burst;
        if over > 0.0 {
            return Err(self.refill.mul_f64(over));
        }
        let tokens = level + 1.0;
        used.insert(key, Used { tokens, since: now });
        Ok(())
    }

    /// Puts one back.
    pub(crate) fn give_back(&self, key: &K) {
        if let Some(bucket) = self.lock().get_mut(key) {
            bucket.tokens = (bucket.tokens - 1.0).max(0.0);
        }
    }

    /// Fills the bucket.
    pub(crate) fn refill(&self, key: &K) {
        self.lock().remove(key);
    }

    fn level(&self, bucket: Used, now: Timestamp) -> f64 {
        let back = now.since(bucket.since).as_secs_f64() / self.refill.as_secs_f64();
        (bucket.tokens - back).max(0.0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, Used>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In whole seconds, as `Retry-After` wants it.
pub(crate) fn retry_after_s(wait: Duration) -> u64 {
    (wait.as_secs_f64().ceil() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_each_interval() {
        let buckets = Buckets::new(2, SECOND);
        let now = Timestamp::EPOCH;
        assert_eq!(buckets.take("me", now), Ok(()));
        assert_eq!(buckets.take("me", now), Ok(()));
        assert_eq!(buckets.take("me", now), Err(SECOND));
        assert_eq!(buckets.take("me", now + SECOND), Ok(()));
        assert_eq!(buckets.take("me", now + SECOND), Err(SECOND));
    }

    #[test]
    fn everybody_has_a_bucket_of_their_own() {
        let buckets = Buckets::new(1, SECOND);
        assert_eq!(buckets.take("me", Timestamp::EPOCH), Ok(()));
        assert_eq!(buckets.take("you", Timestamp::EPOCH), Ok(()));
    }

    #[test]
    fn many_full_buckets_are_forgotten() {
        let buckets = Buckets::new(1, SECOND);
        for key in 0..=MOST_BUCKETS {
            assert_eq!(buckets.take(key, Timestamp::EPOCH), Ok(()));
        }
        assert_eq!(buckets.take(usize::MAX, Timestamp::EPOCH + SECOND), Ok(()));
        assert_eq!(buckets.lock().len(), 1);
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_that_suffice() {
        assert_eq!(retry_after_s(Duration::from_millis(1)), 1);
        assert_eq!(retry_after_s(Duration::from_millis(1001)), 2);
    }
}
