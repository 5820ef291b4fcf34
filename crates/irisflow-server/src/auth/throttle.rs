//! Failed sign-ins are counted per account and per address: a token bucket each, from which a failure
//! takes and a success takes nothing.

use std::net::IpAddr;
use std::sync::Arc;

use irisflow_jobs::Clock;

use crate::buckets::{Buckets, retry_after_s};
use crate::error::ApiError;
use crate::settings::ServerSettings;

#[derive(Debug)]
pub(crate) struct Throttle {
    accounts: Buckets<String>,
    addresses: Buckets<IpAddr>,
    clock: Arc<dyn Clock>,
}

/// A try that counts as a failure until it is forgiven.
#[derive(Debug)]
pub(crate) struct LoginTry {
    email: String,
    address: IpAddr,
}

impl Throttle {
    pub(crate) fn new(settings: &ServerSettings, clock: Arc<dyn Clock>) -> Self {
        let refill = settings.login_refill;
        Self {
            accounts: Buckets::new(settings.login_burst_account, refill),
            addresses: Buckets::new(settings.login_burst_address, refill),
            clock,
        }
    }

    /// Begins a try to sign in. It counts at once, so that many tries side by side gain nothing.
    ///
    /// # Errors
    /// Too many attempts, with the time to wait.
    pub(crate) fn begin(&self, email: &str, address: IpAddr) -> Result<LoginTry, ApiError> {
        let now = self.clock.now();
        let email = email.to_owned();
        let too_many = |wait| ApiError::TooManyAttempts {
            retry_after_s: retry_after_s(wait),
        };
        self.accounts.take(email.clone(), now).map_err(too_many)?;
        if let Err(wait) = self.addresses.take(address, now) {
            self.accounts.give_back(&email);
            return Err(too_many(wait));
        }
        Ok(LoginTry { email, address })
    }

    /// The try succeeded: it takes nothing, and the account's failures are forgotten.
    pub(crate) fn forgive(&self, login: &LoginTry) {
        self.accounts.refill(&login.email);
        self.addresses.give_back(&login.address);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use irisflow_jobs::{ManualClock, Timestamp};

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
