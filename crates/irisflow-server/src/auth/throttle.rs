//! Failed sign-ins are counted per account and per address: a token bucket each, from which a failure
//! takes and a success takes nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use irisflow_jobs::{Clock, Timestamp};

use crate::error::ApiError;
use crate::settings::ServerSettings;

/// With more buckets than this, full ones are dropped: they say nothing.
const MOST_BUCKETS: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Account(String),
    Address(IpAddr),
}

/// `used` failures, of which one is forgiven every refill interval since `since`.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    used: f64,
    since: Timestamp,
}

#[derive(Debug)]
pub(crate) struct Throttle {
    buckets: Mutex<HashMap<Key, Bucket>>,
    burst_account: f64,
    burst_address: f64,
    refill: Duration,
    clock: Arc<dyn Clock>,
}

/// A try that counts as a failure until it is forgiven.
#[derive(Debug)]
pub(crate) struct LoginTry {
    keys: [Key; 2],
}

impl Throttle {
    pub(crate) fn new(settings: &ServerSettings, clock: Arc<dyn Clock>) -> Self {
        Self {
            buckets: Mutex::new(HashMap::new()),
            burst_account: f64::from(settings.login_burst_account),
            burst_address: f64::from(settings.login_burst_address),
            refill: settings.login_refill,
            clock,
        }
    }

    /// Begins a try to sign in. It counts at once, so that many tries side by side gain nothing.
    ///
    /// # Errors
    /// Too many attempts, with the time to wait.
    pub(crate) fn begin(&self, email: &str, address: IpAddr) -> Result<LoginTry, ApiError> {
        let now = self.clock.now();
        let keys = [Key::Account(email.to_owned()), Key::Address(address)];
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > MOST_BUCKETS {
            buckets.retain(|_, bucket| self.level(*bucket, now) >= 1.0);
        }
        for key in &keys {
            let level = buckets
                .get(key)
                .map_or(0.0, |bucket| self.level(*bucket, now));
            let over = level + 1.0 - self.burst(key);
            if over > 0.0 {
                let wait = self.refill.mul_f64(over);
                return Err(ApiError::TooManyAttempts {
                    retry_after_s: wait.as_secs().max(1),
                });
            }
        }
        for key in &keys {
            let bucket = buckets.entry(key.clone()).or_insert(Bucket {
                used: 0.0,
                since: now,
            });
            *bucket = Bucket {
                used: self.level(*bucket, now) + 1.0,
                since: now,
            };
        }
        Ok(LoginTry { keys })
    }

    /// The try succeeded: it takes nothing, and the account's failures are forgotten.
    pub(crate) fn forgive(&self, login: &LoginTry) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &login.keys {
            match key {
                Key::Account(_) => {
                    buckets.remove(key);
                }
                Key::Address(_) => {
                    if let Some(bucket) = buckets.get_mut(key) {
                        bucket.used = (bucket.used - 1.0).max(0.0);
                    }
                }
            }
        }
    }

    fn burst(&self, key: &Key) -> f64 {
        match key {
            Key::Account(_) => self.burst_account,
            Key::Address(_) => self.burst_address,
        }
    }

    fn level(&self, bucket: Bucket, now: Timestamp) -> f64 {
        let forgiven = now.since(bucket.since).as_secs_f64() / self.refill.as_secs_f64();
        (bucket.used - forgiven).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use irisflow_jobs::ManualClock;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn throttle() -> (Throttle, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let settings = ServerSettings {
            login_burst_account: 3,
            login_burst_address: 5,
            login_refill: Duration::from_secs(30),
            ..ServerSettings::default()
        };
        (Throttle::new(&settings, clock.clone()), clock)
    }

    #[test]
    fn failures_of_an_account_run_out_and_come_back_with_time() {
        let (throttle, clock) = throttle();
        for _ in 0..3 {
            throttle.begin("a@b.c", HOME).expect("still allowed");
        }
        let refused = throttle
            .begin("a@b.c", HOME)
            .expect_err("the burst is used up");
        assert!(
            matches!(refused, ApiError::TooManyAttempts { retry_after_s: 30 }),
            "{refused:?}"
        );
        clock.advance(Duration::from_secs(30));
        throttle.begin("a@b.c", HOME).expect("one is forgiven");
    }

    #[test]
    fn an_address_that_tries_many_accounts_is_slowed_too() {
        let (throttle, _) = throttle();
        for account in 0..5 {
            throttle
                .begin(&format!("{account}@b.c"), HOME)
                .expect("still allowed");
        }
        assert!(throttle.begin("5@b.c", HOME).is_err());
    }

    #[test]
    fn signing_in_often_with_the_right_password_is_never_throttled() {
        let (throttle, _) = throttle();
        for _ in 0..100 {
            let login = throttle.begin("a@b.c", HOME).expect("allowed");
            throttle.forgive(&login);
        }
    }
}
