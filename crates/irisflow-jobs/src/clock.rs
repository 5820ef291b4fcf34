//! Time is passed in. The wall clock is read here and nowhere else, so that tests can move it.

use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment, in whole milliseconds since the Unix epoch (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const EPOCH: Self = Self(0);

    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// As in `2026-02-09T16:16:05.123Z` (RFC 3339, UTC).
    pub fn to_rfc3339(self) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|moment| moment.format(&Rfc3339).ok())
            .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

/// Says what time it is.
pub trait Clock: Send + Sync + std::fmt::Debug {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        let elapsed = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The machine's clock, for processes that live long: it never goes back, and runs on at its pace when
/// the machine's clock is set back. It follows when that one is set ahead, as after a laptop's sleep.
#[derive(Debug)]
pub struct SteadyClock {
    wall: Arc<dyn Clock>,
    started: Instant,
    /// Start time of the process, as implied by the largest lead of the wall clock over the monotonic clock seen
    /// so far.
    start_ms: AtomicI64,
}

impl SteadyClock {
    pub fn start() -> Self {
        Self::over(Arc::new(SystemClock))
    }

    fn over(wall: Arc<dyn Clock>) -> Self {
        Self {
            wall,
            started: Instant::now(),
            start_ms: AtomicI64::new(i64::MIN),
        }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        // In this order: a pause between the two readings must not look like a clock set ahead.
        let wall_ms = self.wall.now().0;
        let elapsed_ms = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        let start_ms = wall_ms.saturating_sub(elapsed_ms);
        let furthest = self.start_ms.fetch_max(start_ms, Ordering::SeqCst);
        Timestamp(furthest.max(start_ms).saturating_add(elapsed_ms))
    }
}

/// A clock that stands still until it is moved: for tests.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn at(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// A step, also backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(
            i64::try_from(by.as_millis()).unwrap_or(i64::MAX),
            Ordering::SeqCst,
        );
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_as_utc() {
        assert_eq!(
            Timestamp::from_millis(1_770_653_765_123).to_rfc3339(),
            "2026-02-09T16:16:05.123Z"
        );
    }

    #[test]
    fn a_wall_clock_set_back_does_not_take_the_steady_one_back() {
        let start = Timestamp::from_millis(1_770_653_765_123);
        let wall = Arc::new(ManualClock::at(start));
        let steady = SteadyClock::over(wall.clone());
        let before = steady.now();
        assert!(before >= start);

        wall.set(start - Duration::from_secs(600));
        let at = Instant::now();
        let after = steady.now();

        assert!(after >= before, "{after:?} {before:?}");
        assert!(after.since(before) <= at.elapsed() + Duration::from_secs(1));
    }

    #[test]
    fn a_wall_clock_set_ahead_is_followed() {
        let start = Timestamp::from_millis(1_770_653_765_123);
        let wall = Arc::new(ManualClock::at(start));
        let steady = SteadyClock::over(wall.clone());
        steady.now();

        wall.set(start + Duration::from_secs(8 * 3600));

        assert!(steady.now() >= start + Duration::from_secs(8 * 3600));
    }
}
