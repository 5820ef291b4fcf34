//! The rules of a job's life that an operator may set. Tests set them in milliseconds.

use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub struct JobPolicy {
    /// How long a worker owns a job without renewing.
    pub lease: Duration,
    /// Maximum number of retries after failed attempts.
    pub max_retries: u32,
    /// How many lost workers are tolerated before the job fails.
    pub max_crashes: u32,
    /// The first retry waits up to this long; each further one up to twice as long.
    pub backoff_base: Duration,
    /// No retry waits longer than this.
    pub backoff_cap: Duration,
    /// A default job that waited this long counts as a high one.
    pub ageing: Duration,
    /// How long a presigned upload URL lives; what it may still write is swept after that.
    pub upload_url_life: Duration,
    /// How long an upload may take that has begun.
    pub upload_limit: Duration,
    /// How long taking an upload in may take; then it is given up and what it wrote is swept.
    pub intake_limit: Duration,
    /// How long a repeated submission gets the response of the first.
    pub idempotency_key_life: Duration,
}

impl Default for JobPolicy {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            max_retries: 1,
            max_crashes: 3,
            backoff_base: Duration::from_secs(2),
            backoff_cap: Duration::from_secs(600),
            ageing: Duration::from_secs(60),
            upload_url_life: Duration::from_secs(15 * 60),
            upload_limit: Duration::from_secs(15 * 60),
            intake_limit: Duration::from_secs(60),
            idempotency_key_life: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl JobPolicy {
    /// After this long no upload can be under way to a URL that is signed now: it begins before the
    /// URL ends and is cut off at its limit. A tenth more for what runs late.
    pub fn uploads_end_after(&self) -> Duration {
        (self.upload_url_life + self.upload_limit) * 11 / 10
    }

    /// Exponential backoff with full jitter: `jitter` (0 to 1) of `min(cap, base * 2^retries)`.
    ///
    /// Source: Brooker, "Exponential Backoff and Jitter" (2015): the jitter covers the whole range, so
    /// that jobs that failed together do not come back together.
    pub fn backoff(&self, retries: u32, jitter: f64) -> Duration {
        let factor = 2_u32.saturating_pow(retries.min(31));
        let longest = self
            .backoff_base
            .saturating_mul(factor)
            .min(self.backoff_cap);
        longest.mul_f64(jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_and_is_capped() {
        let policy = JobPolicy {
            backoff_base: Duration::from_secs(2),
            backoff_cap: Duration::from_secs(10),
            ..JobPolicy::default()
        };
        let waits: Vec<u64> = (0..5)
            .map(|retries| policy.backoff(retries, 1.0).as_secs())
            .collect();
        assert_eq!(waits, [2, 4, 8, 10, 10]);
        assert_eq!(
            policy.backoff(2, 0.25).as_secs(),
            2,
            "the jitter scales the whole wait"
        );
    }
}
