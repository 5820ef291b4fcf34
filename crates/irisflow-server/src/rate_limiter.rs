//! Token buckets: so many at once, then one more every interval.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use irisflow_jobs::Timestamp;

/// So many keys are remembered at least; twice as many at most.
const GENERATION: usize = 20_000;

/// One bucket for each key that was seen lately.
///
/// The keys are kept in two generations. When the newer one is full, or as old as a bucket needs to fill
/// up, it becomes the older one, and what only the former older one held is forgotten. So memory is
/// bounded, however many keys come, and nothing is kept longer than it matters.
#[derive(Debug)]
pub(crate) struct RateLimiter<K> {
    used: Mutex<Generations<K>>,
    burst: f64,
    refill: Duration,
}

#[derive(Debug)]
struct Generations<K> {
    newer: HashMap<K, Used>,
    older: HashMap<K, Used>,
    newer_since: Timestamp,
}

/// `tokens` were taken, of which one has come back every refill interval since `since`.
#[derive(Debug, Clone, Copy)]
struct Used {
    tokens: f64,
    since: Timestamp,
}

impl<K: Hash + Eq> RateLimiter<K> {
    /// `burst` at once, and one more every `refill`.
    pub(crate) fn new(burst: u32, refill: Duration) -> Self {
        Self {
            used: Mutex::new(Generations {
                newer: HashMap::new(),
                older: HashMap::new(),
                newer_since: Timestamp::EPOCH,
            }),
            burst: f64::from(burst),
            refill,
        }
    }

    /// Takes one.
    ///
    /// # Errors
    /// How long to wait until there is one.
    pub(crate) fn take(&self, key: K, now: Timestamp) -> Result<(), Duration> {
        self.take_of(key, self.burst, now)
    }

    /// Takes one of a bucket that is still full.
    ///
    /// # Errors
    /// How long to wait until it is full.
    pub(crate) fn take_of_full(&self, key: K, now: Timestamp) -> Result<(), Duration> {
        self.take_of(key, self.burst.min(1.0), now)
    }

    fn take_of(&self, key: K, burst: f64, now: Timestamp) -> Result<(), Duration> {
        let mut used = self.lock();
        used.renew(self.refill.mul_f64(self.burst.max(1.0)), now);
        let level = used.get(&key).map_or(0.0, |used| self.level(used, now));
        let over = level + 1.0 - burst;
        let tokens = if over > 0.0 { level } else { level + 1.0 };
        // Also when nothing is taken: `since` must not lie in a future that the clock has left again.
        used.newer.insert(key, Used { tokens, since: now });
        if over > 0.0 {
            Err(self.refill.mul_f64(over))
        } else {
            Ok(())
        }
    }

    /// Puts one back.
    pub(crate) fn give_back(&self, key: &K) {
        let mut used = self.lock();
        if let Some(used) = used.get_mut(key) {
            used.tokens = (used.tokens - 1.0).max(0.0);
        }
    }

    /// Fills the bucket.
    pub(crate) fn refill(&self, key: &K) {
        let mut used = self.lock();
        used.newer.remove(key);
        used.older.remove(key);
    }

    fn level(&self, used: Used, now: Timestamp) -> f64 {
        let back = now.since(used.since).as_secs_f64() / self.refill.as_secs_f64();
        (used.tokens - back).max(0.0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations<K>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Generations<K> {
    /// Begins a new generation when it is time.
    fn renew(&mut self, fills_up_in: Duration, now: Timestamp) {
        if now < self.newer_since {
            self.newer_since = now;
        }
        if self.newer.len() >= GENERATION || now.since(self.newer_since) >= fills_up_in {
            self.older = std::mem::take(&mut self.newer);
            self.newer_since = now;
        }
    }

    fn get(&self, key: &K) -> Option<Used> {
        self.newer.get(key).or_else(|| self.older.get(key)).copied()
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut Used> {
        match self.newer.get_mut(key) {
            Some(used) => Some(used),
            None => self.older.get_mut(key),
        }
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
        let buckets = RateLimiter::new(2, SECOND);
        let now = Timestamp::EPOCH;
        assert_eq!(buckets.take("me", now), Ok(()));
        assert_eq!(buckets.take("me", now), Ok(()));
        assert_eq!(buckets.take("me", now), Err(SECOND));
        assert_eq!(buckets.take("me", now + SECOND), Ok(()));
        assert_eq!(buckets.take("me", now + SECOND), Err(SECOND));
    }

    #[test]
    fn everybody_has_a_bucket_of_their_own() {
        let buckets = RateLimiter::new(1, SECOND);
        assert_eq!(buckets.take("me", Timestamp::EPOCH), Ok(()));
        assert_eq!(buckets.take("you", Timestamp::EPOCH), Ok(()));
    }

    #[test]
    fn a_full_bucket_gives_one_where_only_full_ones_do() {
        let buckets = RateLimiter::new(3, SECOND);
        let now = Timestamp::EPOCH;
        assert_eq!(buckets.take_of_full("me", now), Ok(()));
        assert_eq!(buckets.take_of_full("me", now), Err(SECOND));
        assert_eq!(buckets.take("me", now), Ok(()), "two are left");
    }

    #[test]
    fn a_million_keys_are_not_all_kept_and_the_newest_are() {
        let buckets = RateLimiter::new(1, Duration::from_secs(3600));
        let now = Timestamp::EPOCH;
        for key in 0..1_000_000 {
            assert_eq!(buckets.take(key, now), Ok(()));
        }
        let used = buckets.lock();
        assert!(used.newer.len() + used.older.len() <= 2 * GENERATION);
        assert!(used.newer.capacity() + used.older.capacity() <= 8 * GENERATION);
        drop(used);
        assert!(buckets.take(999_999, now).is_err(), "it was seen just now");
        assert!(
            buckets.take(1_000_000 - GENERATION, now).is_err(),
            "and this"
        );
    }

    #[test]
    fn what_has_filled_up_is_forgotten_in_time() {
        let buckets = RateLimiter::new(1, SECOND);
        let start = Timestamp::from_millis(1_000_000);
        assert_eq!(buckets.take("me", start), Ok(()));
        assert_eq!(buckets.take("you", start + SECOND), Ok(()));
        assert_eq!(buckets.take("they", start + SECOND * 2), Ok(()));
        let used = buckets.lock();
        assert!(used.get(&"me").is_none() && used.get(&"they").is_some());
    }

    #[test]
    fn a_clock_that_is_set_back_delays_no_refill() {
        let buckets = RateLimiter::new(1, SECOND);
        let later = Timestamp::from_millis(10_000_000);
        let now = Timestamp::EPOCH;
        assert_eq!(buckets.take("me", later), Ok(()));
        assert_eq!(buckets.take("me", now), Err(SECOND));
        assert_eq!(buckets.take("me", now + SECOND), Ok(()));
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_that_suffice() {
        assert_eq!(retry_after_s(Duration::from_millis(1)), 1);
        assert_eq!(retry_after_s(Duration::from_millis(1001)), 2);
    }
}
