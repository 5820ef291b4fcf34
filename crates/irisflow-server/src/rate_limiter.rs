//! Token-bucket rate limiter with one bucket per key and bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use irisflow_jobs::Timestamp;

/// Size of a generation: at least this many of the newest keys are kept, and at most twice as many.
const GENERATION_SIZE: usize = 20_000;

/// One token bucket per key; an unknown key has a full bucket.
///
/// Buckets are kept in two generations, which bounds the memory for any number of keys. When the newer generation
/// is full, or as old as an empty bucket needs to refill, it becomes the older one, and the former older one is
/// dropped. So no bucket is kept longer than it takes to refill.
#[derive(Debug)]
pub(crate) struct RateLimiter<K> {
    buckets: Mutex<TwoGenerations<K>>,
    burst: f64,
    refill: Duration,
}

#[derive(Debug)]
struct TwoGenerations<K> {
    newer: HashMap<K, Bucket>,
    older: HashMap<K, Bucket>,
    newer_since: Timestamp,
}

/// A bucket that lacked `missing_tokens` at `updated_at`; one token is added every refill interval.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    missing_tokens: f64,
    updated_at: Timestamp,
    /// Tokens that were taken since the last report.
    unreported: u32,
}

impl<K: Hash + Eq> RateLimiter<K> {
    /// `burst` is the size of a bucket, `refill` the interval after which one token is added.
    pub(crate) fn new(burst: u32, refill: Duration) -> Self {
        Self {
            buckets: Mutex::new(TwoGenerations {
                newer: HashMap::new(),
                older: HashMap::new(),
                newer_since: Timestamp::EPOCH,
            }),
            burst: f64::from(burst),
            refill,
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// The time to wait until there is a token.
    pub(crate) fn take(&self, key: K, now: Timestamp) -> Result<(), Duration> {
        self.take_with_burst(key, self.burst, now)
    }

    /// Takes a token if the bucket is full.
    ///
    /// # Errors
    /// The time to wait until the bucket is full.
    pub(crate) fn take_of_full(&self, key: K, now: Timestamp) -> Result<(), Duration> {
        self.take_with_burst(key, self.burst.min(1.0), now)
    }

    fn take_with_burst(&self, key: K, burst: f64, now: Timestamp) -> Result<(), Duration> {
        let mut buckets = self.lock();
        buckets.rotate_if_due(self.refill.mul_f64(self.burst.max(1.0)), now);
        let (missing, unreported) = buckets.get(&key).map_or((0.0, 0), |bucket| {
            (self.missing_tokens(bucket, now), bucket.unreported)
        });
        let excess = missing + 1.0 - burst;
        let taken: u32 = if excess > 0.0 { 0 } else { 1 };
        // Updated also when no token is taken: if the clock was set back, `updated_at` must not stay in the future.
        let bucket = Bucket {
            missing_tokens: missing + f64::from(taken),
            updated_at: now,
            unreported: unreported.saturating_add(taken),
        };
        buckets.newer.insert(key, bucket);
        if excess > 0.0 {
            Err(self.refill.mul_f64(excess))
        } else {
            Ok(())
        }
    }

    /// Puts a token back.
    pub(crate) fn give_back(&self, key: &K) {
        let mut buckets = self.lock();
        if let Some(bucket) = buckets.get_mut(key) {
            bucket.missing_tokens = (bucket.missing_tokens - 1.0).max(0.0);
            bucket.unreported = bucket.unreported.saturating_sub(1);
        }
    }

    /// How many tokens were taken since the last report, of the keys with at least `least`.
    pub(crate) fn report(&self, least: u32) -> Vec<(K, u32)>
    where
        K: Clone,
    {
        let mut buckets = self.lock();
        let TwoGenerations { newer, older, .. } = &mut *buckets;
        older.retain(|key, _| !newer.contains_key(key));
        newer
            .iter_mut()
            .chain(older)
            .map(|(key, bucket)| (key, std::mem::take(&mut bucket.unreported)))
            .filter(|(_, taken)| *taken >= least)
            .map(|(key, taken)| (key.clone(), taken))
            .collect()
    }

    /// Corrects a bucket by what all nodes have reported: it will be full after this time, but for what was taken since
    /// the report.
    pub(crate) fn correct(&self, key: K, full_in: Duration, now: Timestamp) {
        let mut buckets = self.lock();
        let unreported = buckets.get(&key).map_or(0, |bucket| bucket.unreported);
        let reported = full_in.as_secs_f64() / self.refill.as_secs_f64();
        let bucket = Bucket {
            missing_tokens: reported + f64::from(unreported),
            updated_at: now,
            unreported,
        };
        buckets.newer.insert(key, bucket);
    }

    /// Fills the bucket.
    pub(crate) fn refill(&self, key: &K) {
        let mut buckets = self.lock();
        buckets.newer.remove(key);
        buckets.older.remove(key);
    }

    fn missing_tokens(&self, bucket: Bucket, now: Timestamp) -> f64 {
        let added = now.since(bucket.updated_at).as_secs_f64() / self.refill.as_secs_f64();
        (bucket.missing_tokens - added).max(0.0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, TwoGenerations<K>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> TwoGenerations<K> {
    /// Begins a new generation when the newer one is full, or as old as `max_age`.
    fn rotate_if_due(&mut self, max_age: Duration, now: Timestamp) {
        if now < self.newer_since {
            self.newer_since = now;
        }
        if self.newer.len() >= GENERATION_SIZE || now.since(self.newer_since) >= max_age {
            self.older = std::mem::take(&mut self.newer);
            self.newer_since = now;
        }
    }

    fn get(&self, key: &K) -> Option<Bucket> {
        self.newer.get(key).or_else(|| self.older.get(key)).copied()
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut Bucket> {
        match self.newer.get_mut(key) {
            Some(bucket) => Some(bucket),
            None => self.older.get_mut(key),
        }
    }
}

/// The value of `Retry-After`: whole seconds, rounded up, at least 1.
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
    fn each_key_has_its_own_bucket() {
        let buckets = RateLimiter::new(1, SECOND);
        assert_eq!(buckets.take("me", Timestamp::EPOCH), Ok(()));
        assert_eq!(buckets.take("you", Timestamp::EPOCH), Ok(()));
    }

    #[test]
    fn only_a_full_bucket_gives_a_token_when_a_full_one_is_required() {
        let buckets = RateLimiter::new(3, SECOND);
        let now = Timestamp::EPOCH;
        assert_eq!(buckets.take_of_full("me", now), Ok(()));
        assert_eq!(buckets.take_of_full("me", now), Err(SECOND));
        assert_eq!(buckets.take("me", now), Ok(()), "two are left");
    }

    #[test]
    fn of_a_million_keys_only_the_newest_are_kept() {
        let buckets = RateLimiter::new(1, Duration::from_secs(3600));
        let now = Timestamp::EPOCH;
        for key in 0..1_000_000 {
            assert_eq!(buckets.take(key, now), Ok(()));
        }
        let generations = buckets.lock();
        assert!(generations.newer.len() + generations.older.len() <= 2 * GENERATION_SIZE);
        assert!(generations.newer.capacity() + generations.older.capacity() <= 8 * GENERATION_SIZE);
        drop(generations);
        assert!(buckets.take(999_999, now).is_err(), "it was seen just now");
        assert!(
            buckets.take(1_000_000 - GENERATION_SIZE, now).is_err(),
            "and this"
        );
    }

    #[test]
    fn a_bucket_that_is_full_again_is_dropped() {
        let buckets = RateLimiter::new(1, SECOND);
        let start = Timestamp::from_millis(1_000_000);
        assert_eq!(buckets.take("me", start), Ok(()));
        assert_eq!(buckets.take("you", start + SECOND), Ok(()));
        assert_eq!(buckets.take("they", start + SECOND * 2), Ok(()));
        let generations = buckets.lock();
        assert!(generations.get(&"me").is_none() && generations.get(&"they").is_some());
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
    fn what_was_taken_is_reported_once_and_rare_keys_are_left_out() {
        let buckets = RateLimiter::new(5, SECOND);
        let now = Timestamp::EPOCH;
        for key in ["often", "often", "often", "rarely"] {
            assert_eq!(buckets.take(key, now), Ok(()));
        }
        assert_eq!(buckets.report(2), [("often", 3)]);
        assert_eq!(buckets.report(1), []);
    }

    #[test]
    fn a_corrected_bucket_counts_what_others_took_and_what_is_not_reported_yet() {
        let buckets = RateLimiter::new(5, SECOND);
        let now = Timestamp::EPOCH;
        assert_eq!(buckets.take("me", now), Ok(()));
        buckets.report(1);
        assert_eq!(buckets.take("me", now), Ok(()));
        buckets.correct("me", SECOND * 3, now);
        assert_eq!(buckets.take("me", now), Ok(()), "three and one are missing");
        assert_eq!(buckets.take("me", now), Err(SECOND));
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        assert_eq!(retry_after_s(Duration::from_millis(1)), 1);
        assert_eq!(retry_after_s(Duration::from_millis(1001)), 2);
    }
}
