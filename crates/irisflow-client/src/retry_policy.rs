//! How long to wait before the next try, and when to give up.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::ClientError;

/// How patient a client is with a server that is away or busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first wait is up to this long; each further one up to twice as long.
    pub first_wait: Duration,
    /// No wait is longer, unless the server asks for it.
    pub longest_wait: Duration,
    /// Without success for this long, the error is returned.
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

/// The waits of one undertaking.
#[derive(Debug)]
pub(crate) struct Backoff {
    retry_policy: RetryPolicy,
    tries: u32,
    /// When the present trouble began.
    since: Option<Instant>,
}

impl Backoff {
    pub(crate) fn new(retry_policy: RetryPolicy) -> Self {
        Self {
            retry_policy,
            tries: 0,
            since: None,
        }
    }

    /// There was a success: later trouble is new trouble.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
        self.since = None;
    }

    /// The wait before the next try, at least as long as the server asked for; `None` when trying again
    /// does not help, or retry_policy has ended.
    pub(crate) fn after(&mut self, error: &ClientError) -> Option<Duration> {
        if !error.may_be_retried() {
            return None;
        }
        let asked = error.retry_after().unwrap_or_default();
        let wait = asked + self.jittered(rand::random());
        self.tries = self.tries.saturating_add(1);
        let trouble = self.since.get_or_insert_with(Instant::now).elapsed();
        (trouble + wait <= self.retry_policy.give_up_after).then_some(wait)
    }

    /// Full jitter, applied after the cap: clients that lost the same server do not come back together.
    fn jittered(&self, jitter: f64) -> Duration {
        let doubled = 2u32.saturating_pow(self.tries);
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
            backoff.after(&unreachable()).expect("still patient");
        }
        assert_eq!(longest, [100, 200, 400, 800, 1000]);
        backoff.reset();
        assert_eq!(backoff.jittered(1.0), Duration::from_millis(100));
    }

    #[test]
    fn the_server_may_ask_for_a_longer_wait() {
        let asked = Duration::from_secs(5);
        let wait = Backoff::new(retry_policy()).after(&busy(Some(asked)));
        let wait = wait.expect("still patient");
        assert!(
            (asked..=asked + Duration::from_millis(100)).contains(&wait),
            "{wait:?}"
        );
    }

    #[test]
    fn a_wait_beyond_patience_is_not_begun() {
        let wait = Backoff::new(retry_policy()).after(&busy(Some(Duration::from_secs(61))));
        assert_eq!(wait, None);
    }

    #[test]
    fn what_cannot_get_better_is_not_tried_again() {
        assert_eq!(
            Backoff::new(retry_policy()).after(&ClientError::SignedOut),
            None
        );
    }
}
