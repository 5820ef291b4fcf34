//! Rate limits of failed sign-ins and of registrations.
//!
//! They make password guessing slow without locking users out of their own accounts. A network is an IPv4 address or
//! an IPv6 /64 prefix. An attempt counts as a failure until it has succeeded, in three token buckets (the numbers
//! are defaults of [`SignInLimits`]):
//!
//! - **account and network together**: a burst of 10 failures, then one every 30 s. Failures from other networks do
//!   not count here, so they lock no user out.
//! - **network**, for all accounts together: a burst of 100 failures, then one every 10 s.
//! - **account**, over all networks: a burst of 100, then one every 30 s. This bucket rejects nothing by itself. While
//!   it is empty, the account is under attack from many networks, and each network has a burst of 1 instead of 10:
//!   a network without recent failures can still sign in at once.
//!
//! A device that has signed in to the account before, and sends the cookie from then (`device.rs`), has a bucket of
//! its own and counts in no other: a burst of 10, then one every 30 s. So it can sign in even while others in its
//! network keep failing.
//!
//! A successful attempt uses no token, and resets the failures of this account and network, or of this device.
//!
//! The buckets are shared by all nodes of a service (`shared_rate_limiter.rs`). Keys are short hashes with a salt that
//! only the nodes have, and each table in memory holds at most 40,000 of them. So email addresses from attempts are not
//! stored, and their number cannot exhaust the memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use irisflow_jobs::{BucketKey as Key, Clock};

use super::device::DeviceId;
use crate::error::{ApiError, LimitOf};
use crate::rate_limiter::retry_after_s;
use crate::shared_rate_limiter::{SharedBuckets, SharedRateLimiter};

/// Token buckets: each has a size (the burst) and an interval after which one token is added.
#[derive(Debug, Clone, Copy)]
pub struct SignInLimits {
    /// Failures for one account from one network, and of one known device.
    pub tries: u32,
    /// Interval of `tries` and `tries_of_account`.
    pub refill: Duration,
    /// Failures for one account from all networks.
    pub tries_of_account: u32,
    /// Failures from one network for all accounts.
    pub tries_of_network: u32,
    /// Interval of `tries_of_network`.
    pub network_refill: Duration,
    /// New accounts from one network.
    pub registrations_of_network: u32,
    /// Interval of `registrations_of_network`, and ten times that of `registrations`.
    pub registration_refill: Duration,
    /// New accounts in total.
    pub registrations: u32,
}

impl Default for SignInLimits {
    fn default() -> Self {
        Self {
            tries: 10,
            refill: Duration::from_secs(30),
            tries_of_account: 100,
            tries_of_network: 100,
            network_refill: Duration::from_secs(10),
            registrations_of_network: 50,
            registration_refill: Duration::from_secs(10),
            registrations: 500,
        }
    }
}

/// The source of an attempt to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A device that has signed in to this account before, in any network.
    KnownDevice { device: DeviceId, network: IpAddr },
    /// Any other device, identified by its network.
    UnknownDevice { network: IpAddr },
}

#[derive(Debug)]
pub(crate) struct Throttle {
    limits: SignInLimits,
    /// By account and network, or by account and device.
    tries: SharedRateLimiter,
    accounts: SharedRateLimiter,
    networks: SharedRateLimiter,
    registrations_of_networks: SharedRateLimiter,
    /// A single bucket.
    registrations: SharedRateLimiter,
    shared: SharedBuckets,
    clock: Arc<dyn Clock>,
}

/// An attempt to sign in. It counts as a failure unless it is reported as successful or as not verified.
#[derive(Debug)]
pub(crate) struct LoginAttempt {
    /// Of account and network, or of account and device.
    own: Key,
    account: Option<Key>,
    network: Option<Key>,
}

impl Throttle {
    pub(crate) fn new(limits: SignInLimits, clock: Arc<dyn Clock>, shared: SharedBuckets) -> Self {
        let limiter = |burst, refill| SharedRateLimiter::new(burst, refill, &shared);
        Self {
            tries: limiter(limits.tries, limits.refill),
            accounts: limiter(limits.tries_of_account, limits.refill),
            networks: limiter(limits.tries_of_network, limits.network_refill),
            registrations_of_networks: limiter(
                limits.registrations_of_network,
                limits.registration_refill,
            ),
            registrations: limiter(limits.registrations, limits.registration_refill / 10),
            limits,
            shared,
            clock,
        }
    }

    /// Begins an attempt to sign in. It counts from the start, so that concurrent attempts cannot exceed the limit.
    ///
    /// # Errors
    /// [`ApiError::TooManyAttempts`] with the time to wait.
    pub(crate) async fn begin(
        &self,
        email: &str,
        caller: Caller,
    ) -> Result<LoginAttempt, ApiError> {
        match caller {
            Caller::KnownDevice { device, .. } => self.begin_from_known_device(email, device).await,
            Caller::UnknownDevice { network } => self.begin_from_network(email, network).await,
        }
    }

    async fn begin_from_known_device(
        &self,
        email: &str,
        device: DeviceId,
    ) -> Result<LoginAttempt, ApiError> {
        let own = self
            .shared
            .key("device", &[email.as_bytes(), device.as_bytes()]);
        let taken = self.tries.take(own, self.clock.now()).await;
        taken.map_err(|wait| self.too_many_tries(wait))?;
        Ok(LoginAttempt {
            own,
            account: None,
            network: None,
        })
    }

    async fn begin_from_network(
        &self,
        email: &str,
        network: IpAddr,
    ) -> Result<LoginAttempt, ApiError> {
        let now = self.clock.now();
        let address = address_bytes(network);
        let network = self.shared.key("network", &[&address]);
        // The network is checked first, so that one network cannot fill the other tables.
        if let Err(wait) = self.networks.take(network, now).await {
            return Err(ApiError::TooManyAttempts {
                limit: self.limits.tries_of_network,
                interval: self.limits.network_refill,
                retry_after_s: retry_after_s(wait),
            });
        }
        let account = self.shared.key("account", &[email.as_bytes()]);
        let under_attack = self.accounts.take(account, now).await.is_err();
        let own = self
            .shared
            .key("account and network", &[email.as_bytes(), &address]);
        let taken = if under_attack {
            self.tries.take_of_full(own, now).await
        } else {
            self.tries.take(own, now).await
        };
        let attempt = LoginAttempt {
            own,
            account: (!under_attack).then_some(account),
            network: Some(network),
        };
        if let Err(wait) = taken {
            self.give_back_common(&attempt).await;
            return Err(self.too_many_tries(wait));
        }
        Ok(attempt)
    }

    /// Records a success: gives the tokens back, and resets the failures of this account and network, or device.
    pub(crate) async fn succeeded(&self, attempt: &LoginAttempt) {
        self.tries.refill(attempt.own).await;
        self.give_back_common(attempt).await;
    }

    /// Records that the password was not verified, for example because the store failed: gives the tokens back.
    pub(crate) async fn not_verified(&self, attempt: &LoginAttempt) {
        self.tries.give_back(attempt.own).await;
        self.give_back_common(attempt).await;
    }

    /// Gives the tokens of the buckets back that others use as well.
    async fn give_back_common(&self, attempt: &LoginAttempt) {
        if let Some(account) = attempt.account {
            self.accounts.give_back(account).await;
        }
        if let Some(network) = attempt.network {
            self.networks.give_back(network).await;
        }
    }

    /// Counts a registration. Attempts with an address that is taken count, too, since they show that an account
    /// exists.
    ///
    /// # Errors
    /// [`ApiError::TooManyRegistrations`] with the time to wait.
    pub(crate) async fn register(&self, network: IpAddr) -> Result<(), ApiError> {
        let now = self.clock.now();
        let (of_network, of_all) = self.registration_keys(network);
        let limits = &self.limits;
        let taken = self.registrations_of_networks.take(of_network, now).await;
        taken.map_err(|wait| ApiError::TooManyRegistrations {
            of: LimitOf::Address,
            limit: limits.registrations_of_network,
            interval: limits.registration_refill,
            retry_after_s: retry_after_s(wait),
        })?;
        if let Err(wait) = self.registrations.take(of_all, now).await {
            self.registrations_of_networks.give_back(of_network).await;
            return Err(ApiError::TooManyRegistrations {
                of: LimitOf::Server,
                limit: limits.registrations,
                interval: limits.registration_refill / 10,
                retry_after_s: retry_after_s(wait),
            });
        }
        Ok(())
    }

    /// Records that a registration failed by an error of the server: gives the tokens back.
    pub(crate) async fn registration_failed(&self, network: IpAddr) {
        let (of_network, of_all) = self.registration_keys(network);
        self.registrations_of_networks.give_back(of_network).await;
        self.registrations.give_back(of_all).await;
    }

    fn registration_keys(&self, network: IpAddr) -> (Key, Key) {
        let address = address_bytes(network);
        let of_network = self.shared.key("registrations of network", &[&address]);
        (of_network, self.shared.key("registrations", &[]))
    }

    fn too_many_tries(&self, wait: Duration) -> ApiError {
        ApiError::TooManyAttempts {
            limit: self.limits.tries,
            interval: self.limits.refill,
            retry_after_s: retry_after_s(wait),
        }
    }
}

pub(crate) fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use irisflow_jobs::{ManualClock, SessionId, Timestamp};

    use super::*;

    const ME: &str = "me@b.c";

    fn new_throttle(limits: SignInLimits, clock: Arc<ManualClock>) -> Throttle {
        Throttle::new(limits, clock, SharedBuckets::default())
    }

    fn throttle() -> (Throttle, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let limits = SignInLimits {
            tries: 3,
            tries_of_account: 6,
            tries_of_network: 5,
            ..SignInLimits::default()
        };
        (new_throttle(limits, clock.clone()), clock)
    }

    fn from(number: u8) -> Caller {
        Caller::UnknownDevice {
            network: IpAddr::from([192, 0, 2, number]),
        }
    }

    fn new_device() -> Caller {
        Caller::KnownDevice {
            device: SessionId::generate().into(),
            network: IpAddr::from([192, 0, 2, 1]),
        }
    }

    fn wait_of(rejected: Result<LoginAttempt, ApiError>) -> u64 {
        match rejected {
            Err(ApiError::TooManyAttempts { retry_after_s, .. }) => Some(retry_after_s),
            _ => None,
        }
        .expect("it is rejected, with a time to wait")
    }

    #[tokio::test]
    async fn failures_run_out_and_come_back_with_time() {
        let (throttle, clock) = throttle();
        for _ in 0..3 {
            throttle.begin(ME, from(1)).await.expect("still allowed");
        }
        assert_eq!(wait_of(throttle.begin(ME, from(1)).await), 30);
        clock.advance(Duration::from_secs(30));
        throttle.begin(ME, from(1)).await.expect("one is forgiven");
    }

    #[tokio::test]
    async fn failures_from_other_networks_lock_no_user_out() {
        let (throttle, _) = throttle();
        for number in 1..200 {
            // As many attempts as each network may make.
            while throttle.begin(ME, from(number)).await.is_ok() {}
        }
        let own = throttle.begin(ME, from(250)).await.expect("it gets in");
        throttle.succeeded(&own).await;
        throttle.begin(ME, from(250)).await.expect("and again");
    }

    #[tokio::test]
    async fn an_account_under_attack_gives_each_network_one_try_at_a_time() {
        let (throttle, clock) = throttle();
        for number in [1, 2] {
            while throttle.begin(ME, from(number)).await.is_ok() {}
        }
        throttle.begin(ME, from(3)).await.expect("one try");
        assert_eq!(wait_of(throttle.begin(ME, from(3)).await), 30);
        throttle
            .begin("you@b.c", from(3))
            .await
            .expect("others are not under attack");
        clock.advance(Duration::from_secs(30));
        throttle.begin(ME, from(3)).await.expect("one more");
    }

    #[tokio::test]
    async fn a_known_device_gets_in_whatever_happens_around_it() {
        let (throttle, _) = throttle();
        let device = new_device();
        let home = from(1);
        for number in 1..10 {
            while throttle.begin(ME, from(number)).await.is_ok() {}
        }
        assert!(
            throttle.begin(ME, home).await.is_err(),
            "its network is used up"
        );

        for _ in 0..3 {
            throttle.begin(ME, device).await.expect("it gets in");
        }

        assert_eq!(
            wait_of(throttle.begin(ME, device).await),
            30,
            "its own failures count"
        );
        let other = new_device();
        throttle.begin(ME, other).await.expect("of itself alone");
    }

    #[tokio::test]
    async fn a_network_that_tries_many_accounts_is_slowed_too() {
        let (throttle, _) = throttle();
        for account in 0..5 {
            let email = format!("{account}@b.c");
            throttle
                .begin(&email, from(1))
                .await
                .expect("still allowed");
        }
        assert_eq!(wait_of(throttle.begin("5@b.c", from(1)).await), 10);
        throttle
            .begin("5@b.c", from(2))
            .await
            .expect("another network");
    }

    #[tokio::test]
    async fn signing_in_often_with_the_right_password_is_never_throttled() {
        let (throttle, _) = throttle();
        for _ in 0..100 {
            let attempt = throttle.begin(ME, from(1)).await.expect("allowed");
            throttle.succeeded(&attempt).await;
        }
    }

    #[tokio::test]
    async fn an_attempt_whose_password_was_not_verified_does_not_count() {
        let (throttle, _) = throttle();
        throttle.begin(ME, from(1)).await.expect("one failure");
        for _ in 0..100 {
            let attempt = throttle.begin(ME, from(1)).await.expect("allowed");
            throttle.not_verified(&attempt).await;
        }
        throttle.begin(ME, from(1)).await.expect("two failures");
        throttle.begin(ME, from(1)).await.expect("three failures");
        assert!(
            throttle.begin(ME, from(1)).await.is_err(),
            "the first counts on"
        );
    }

    #[tokio::test]
    async fn new_accounts_are_counted_by_network_and_in_total() {
        let limits = SignInLimits {
            registrations_of_network: 2,
            registrations: 3,
            ..SignInLimits::default()
        };
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let throttle = new_throttle(limits, clock.clone());
        let register =
            async |number: u8| throttle.register(IpAddr::from([192, 0, 2, number])).await;
        let whose = |rejected: Result<(), ApiError>| match rejected {
            Err(ApiError::TooManyRegistrations { of, .. }) => Some(of),
            _ => None,
        };
        assert_eq!(
            (whose(register(1).await), whose(register(1).await)),
            (None, None)
        );
        assert_eq!(whose(register(1).await), Some(LimitOf::Address));
        assert_eq!(whose(register(2).await), None);
        assert_eq!(whose(register(3).await), Some(LimitOf::Server));
        clock.advance(Duration::from_secs(1));
        assert_eq!(whose(register(3).await), None);
    }
}
