//! Retry policy: exponential backoff with full jitter, and a time limit after which to give up.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::ClientError;

/// How long and how often calls are retried while the server is unreachable or overloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Upper bound of the first wait; the bound doubles with each retry.
    pub first_wait: Duration,
    /// Cap of the bound. The server may ask for a longer wait with `Retry-After`.
    pub longest_wait: Duration,
    /// After this long without a success, the error is returned.
    pub give_up_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(15),
            give_up_after: Duration::from_secs(300),
        }
    }
}

/// The retry state of one operation.
#[derive(Debug)]
pub(crate) struct Backoff {
    retry_policy: RetryPolicy,
    /// Failures since the last success.
    failures: u32,
    /// When the first of them occurred.
    failing_since: Option<Instant>,
}

impl Backoff {
    pub(crate) fn new(retry_policy: RetryPolicy) -> Self {
        Self {
            retry_policy,
            failures: 0,
            failing_since: None,
        }
    }

    /// Call after a success: the next failure starts again with short waits.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.failing_since = None;
    }

    /// The wait before the next retry, at least as long as the server asked for; `None` when a retry
    /// cannot help, or would come after the policy's time limit.
    pub(crate) fn after(&mut self, error: &ClientError) -> Option<Duration> {
        if !error.may_be_retried() {
            return None;
        }
        let requested = error.retry_after().unwrap_or_default();
        let wait = requested + self.jittered(rand::random());
        self.failures = self.failures.saturating_add(1);
        let failing_for = self
            .failing_since
            .get_or_insert_with(Instant::now)
            .elapsed();
        (failing_for + wait <= self.retry_policy.give_up_after).then_some(wait)
    }

    /// Full jitter, applied after the cap: clients that lost the same server spread their retries.
    /// `jitter` is from 0 to 1.
    fn jittered(&self, jitter: f64) -> Duration {
        let doubled = 2u32.saturating_pow(self.failures);
        let longest = self
            .retry_policy
            .first_wait
            .saturating_mul(doubled)
            .min(self.retry_policy.longest_wait);
        longest.mul_f64(jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ApiError;

    fn retry_policy() -> RetryPolicy {
        RetryPolicy {
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(1),
            give_up_after: Duration::from_secs(60),
        }
    }

    fn unreachable() -> ClientError {
        ClientError::Unreachable("away".to_owned())
    }

    fn busy(retry_after: Option<Duration>) -> ClientError {
        ClientError::Refused(Box::new(ApiError {
            status: 429,
            code: "too_many_requests".to_owned(),
            message: "Slow down.".to_owned(),
            suggestion: None,
            retry_after,
        }))
    }

    #[test]
    fn waits_double_up_to_the_cap_and_are_spread_from_zero() {
        let mut backoff = Backoff::new(retry_policy());
        let mut longest = Vec::new();
        for _ in 0..5 {
            longest.push(backoff.jittered(1.0).as_millis());
            assert_eq!(backoff.jittered(0.0), Duration::ZERO);
            backoff
                .after(&unreachable())
                .expect("within the time limit");
        }
        assert_eq!(longest, [100, 200, 400, 800, 1000]);
        backoff.reset();
        assert_eq!(backoff.jittered(1.0), Duration::from_millis(100));
    }

    #[test]
    fn the_server_may_ask_for_a_longer_wait() {
        let requested = Duration::from_secs(5);
        let wait = Backoff::new(retry_policy()).after(&busy(Some(requested)));
        let wait = wait.expect("within the time limit");
        assert!(
            (requested..=requested + Duration::from_millis(100)).contains(&wait),
            "{wait:?}"
        );
    }

    #[test]
    fn a_wait_beyond_the_time_limit_is_not_started() {
        let wait = Backoff::new(retry_policy()).after(&busy(Some(Duration::from_secs(61))));
        assert_eq!(wait, None);
    }

    #[test]
    fn an_error_that_a_retry_cannot_mend_is_returned_at_once() {
        assert_eq!(
            Backoff::new(retry_policy()).after(&ClientError::SignedOut),
            None
        );
    }
}
