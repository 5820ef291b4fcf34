//! How often one may fail to sign in, and how many accounts one may make.
//!
//! The rule makes guessing slow without locking anybody out of their own account. A network is an IPv4
//! address, or the first 64 bits of an IPv6 one. A try counts as a failure until it has succeeded, in three
//! token buckets (the numbers are defaults of [`SignInLimits`]):
//!
//! - **account and network together**: 10 failures at once, then one every 30 s. What strangers do elsewhere
//!   is not counted here, so it keeps nobody out.
//! - **network**: 100 failures at once, then one every 10 s, whatever the accounts.
//! - **account**, over all networks: 100 at once, then one every 30 s. This one refuses nothing. While it is
//!   empty the account is under attack from many networks, and each network gets one try instead of 10
//!   before it waits: a network that has not failed lately still gets in at once.
//!
//! A device that has signed in to the account before, and shows the cookie that it got then (`device.rs`), is
//! counted by itself and by nothing else: 10 at once, then one every 30 s. So it gets in even when somebody in
//! its own network keeps failing.
//!
//! A success takes nothing, and forgets the failures of this account and network, or of this device.
//!
//! Keys are short hashes with a salt of this process, and each table holds 40,000 of them at most: addresses
//! that are tried are neither kept nor can they fill the memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use irisflow_jobs::Clock;
use sha2::{Digest as _, Sha256};

use super::device::DeviceId;
use crate::error::ApiError;
use crate::rate_limiter::{RateLimiter, retry_after_s};

/// Each `tries` at once, then one more every interval.
#[derive(Debug, Clone, Copy)]
pub struct SignInLimits {
    /// Failures of one account from one network, and of one known device.
    pub tries: u32,
    pub refill: Duration,
    /// Failures of one account from all networks, with the same interval.
    pub tries_of_account: u32,
    /// Failures from one network to all accounts.
    pub tries_of_network: u32,
    pub network_refill: Duration,
    /// New accounts from one network.
    pub registrations_of_network: u32,
    pub registration_refill: Duration,
    /// New accounts from everywhere; one more ten times as often as from one network.
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

/// Who tries to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A device that has signed in to this account before, wherever it is now.
    KnownDevice { device: DeviceId, network: IpAddr },
    /// Any other, by the network it is in.
    Stranger { network: IpAddr },
}

#[derive(Debug)]
pub(crate) struct Throttle {
    limits: SignInLimits,
    /// By account and network, or by account and device.
    tries: RateLimiter<Key>,
    accounts: RateLimiter<Key>,
    networks: RateLimiter<Key>,
    registrations_of_networks: RateLimiter<Key>,
    /// Of one key, the same for all.
    registrations: RateLimiter<()>,
    salt: [u8; 16],
    clock: Arc<dyn Clock>,
}

/// A hash of what is counted.
type Key = [u8; 16];

/// A try that counts as a failure until it is forgiven or taken back.
#[derive(Debug)]
pub(crate) struct LoginTry {
    own: Key,
    account: Option<Key>,
    network: Option<Key>,
}

impl Throttle {
    pub(crate) fn new(limits: SignInLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            tries: RateLimiter::new(limits.tries, limits.refill),
            accounts: RateLimiter::new(limits.tries_of_account, limits.refill),
            networks: RateLimiter::new(limits.tries_of_network, limits.network_refill),
            registrations_of_networks: RateLimiter::new(
                limits.registrations_of_network,
                limits.registration_refill,
            ),
            registrations: RateLimiter::new(limits.registrations, limits.registration_refill / 10),
            limits,
            salt: rand::random(),
            clock,
        }
    }

    /// Begins a try to sign in. It counts at once, so that many tries side by side gain nothing.
    ///
    /// # Errors
    /// Too many failures, with the time to wait.
    pub(crate) fn begin(&self, email: &str, caller: Caller) -> Result<LoginTry, ApiError> {
        match caller {
            Caller::KnownDevice { device, .. } => self.begin_of_device(email, device),
            Caller::Stranger { network } => self.begin_of_network(email, network),
        }
    }

    fn begin_of_device(&self, email: &str, device: DeviceId) -> Result<LoginTry, ApiError> {
        let own = self.key("device", email.as_bytes(), device.as_bytes());
        let taken = self.tries.take(own, self.clock.now());
        taken.map_err(|wait| self.too_many_tries(wait))?;
        Ok(LoginTry {
            own,
            account: None,
            network: None,
        })
    }

    fn begin_of_network(&self, email: &str, network: IpAddr) -> Result<LoginTry, ApiError> {
        let now = self.clock.now();
        let address = address_bytes(network);
        let network = self.key("network", &address, &[]);
        // First, so that one network cannot fill the other tables.
        if let Err(wait) = self.networks.take(network, now) {
            return Err(ApiError::TooManyAttempts {
                limit: self.limits.tries_of_network,
                interval: self.limits.network_refill,
                retry_after_s: retry_after_s(wait),
            });
        }
        let account = self.key("account", email.as_bytes(), &[]);
        let under_attack = self.accounts.take(account, now).is_err();
        let own = self.key("account and network", email.as_bytes(), &address);
        let taken = if under_attack {
            self.tries.take_of_full(own, now)
        } else {
            self.tries.take(own, now)
        };
        let login = LoginTry {
            own,
            account: (!under_attack).then_some(account),
            network: Some(network),
        };
        if let Err(wait) = taken {
            self.give_back_shared(&login);
            return Err(self.too_many_tries(wait));
        }
        Ok(login)
    }

    /// The try succeeded: it takes nothing, and its own failures are forgotten.
    pub(crate) fn forgive(&self, login: &LoginTry) {
        self.tries.refill(&login.own);
        self.give_back_shared(login);
    }

    /// The password was not looked at, so this was no failure.
    pub(crate) fn take_back(&self, login: &LoginTry) {
        self.tries.give_back(&login.own);
        self.give_back_shared(login);
    }

    fn give_back_shared(&self, login: &LoginTry) {
        if let Some(account) = &login.account {
            self.accounts.give_back(account);
        }
        if let Some(network) = &login.network {
            self.networks.give_back(network);
        }
    }

    /// Counts a new account, or a look whether there is one.
    ///
    /// # Errors
    /// Too many of them, with the time to wait.
    pub(crate) fn register(&self, network: IpAddr) -> Result<(), ApiError> {
        let now = self.clock.now();
        let key = self.key("network", &address_bytes(network), &[]);
        let limits = &self.limits;
        let taken = self.registrations_of_networks.take(key, now);
        taken.map_err(|wait| ApiError::TooManyRegistrations {
            whose: "one address",
            limit: limits.registrations_of_network,
            interval: limits.registration_refill,
            retry_after_s: retry_after_s(wait),
        })?;
        self.registrations.take((), now).map_err(|wait| {
            self.registrations_of_networks.give_back(&key);
            ApiError::TooManyRegistrations {
                whose: "this server",
                limit: limits.registrations,
                interval: limits.registration_refill / 10,
                retry_after_s: retry_after_s(wait),
            }
        })
    }

    /// No account was made after all, for a reason of the server's.
    pub(crate) fn take_registration_back(&self, network: IpAddr) {
        let key = self.key("network", &address_bytes(network), &[]);
        self.registrations_of_networks.give_back(&key);
        self.registrations.give_back(&());
    }

    fn too_many_tries(&self, wait: Duration) -> ApiError {
        ApiError::TooManyAttempts {
            limit: self.limits.tries,
            interval: self.limits.refill,
            retry_after_s: retry_after_s(wait),
        }
    }

    fn key(&self, kind: &str, first: &[u8], second: &[u8]) -> Key {
        let mut hash = Sha256::new();
        hash.update(self.salt);
        for part in [kind.as_bytes(), first, second] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        let mut key = Key::default();
        key.copy_from_slice(&hash.finalize()[..16]);
        key
    }
}

fn address_bytes(address: IpAddr) -> Vec<u8> {
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

    fn throttle() -> (Throttle, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let limits = SignInLimits {
            tries: 3,
            tries_of_account: 6,
            tries_of_network: 5,
            ..SignInLimits::default()
        };
        (Throttle::new(limits, clock.clone()), clock)
    }

    fn from(number: u8) -> Caller {
        Caller::Stranger {
            network: IpAddr::from([192, 0, 2, number]),
        }
    }

    fn new_device() -> Caller {
        Caller::KnownDevice {
            device: SessionId::generate().into(),
            network: IpAddr::from([192, 0, 2, 1]),
        }
    }

    fn wait_of(refused: Result<LoginTry, ApiError>) -> u64 {
        match refused {
            Err(ApiError::TooManyAttempts { retry_after_s, .. }) => Some(retry_after_s),
            _ => None,
        }
        .expect("it is refused, with a time to wait")
    }

    #[test]
    fn failures_run_out_and_come_back_with_time() {
        let (throttle, clock) = throttle();
        for _ in 0..3 {
            throttle.begin(ME, from(1)).expect("still allowed");
        }
        assert_eq!(wait_of(throttle.begin(ME, from(1))), 30);
        clock.advance(Duration::from_secs(30));
        throttle.begin(ME, from(1)).expect("one is forgiven");
    }

    #[test]
    fn failures_of_strangers_elsewhere_keep_nobody_out() {
        let (throttle, _) = throttle();
        for number in 1..200 {
            // As many as each is allowed.
            while throttle.begin(ME, from(number)).is_ok() {}
        }
        let own = throttle.begin(ME, from(250)).expect("it gets in");
        throttle.forgive(&own);
        throttle.begin(ME, from(250)).expect("and again");
    }

    #[test]
    fn an_account_under_attack_gives_each_network_one_try_at_a_time() {
        let (throttle, clock) = throttle();
        for number in [1, 2] {
            while throttle.begin(ME, from(number)).is_ok() {}
        }
        throttle.begin(ME, from(3)).expect("one try");
        assert_eq!(wait_of(throttle.begin(ME, from(3))), 30);
        throttle
            .begin("you@b.c", from(3))
            .expect("others are not under attack");
        clock.advance(Duration::from_secs(30));
        throttle.begin(ME, from(3)).expect("one more");
    }

    #[test]
    fn a_known_device_gets_in_whatever_happens_around_it() {
        let (throttle, _) = throttle();
        let device = new_device();
        let home = from(1);
        for number in 1..10 {
            while throttle.begin(ME, from(number)).is_ok() {}
        }
        assert!(throttle.begin(ME, home).is_err(), "its network is used up");

        for _ in 0..3 {
            throttle.begin(ME, device).expect("it gets in");
        }

        assert_eq!(
            wait_of(throttle.begin(ME, device)),
            30,
            "its own failures count"
        );
        let other = new_device();
        throttle.begin(ME, other).expect("of itself alone");
    }

    #[test]
    fn a_network_that_tries_many_accounts_is_slowed_too() {
        let (throttle, _) = throttle();
        for account in 0..5 {
            let email = format!("{account}@b.c");
            throttle.begin(&email, from(1)).expect("still allowed");
        }
        assert_eq!(wait_of(throttle.begin("5@b.c", from(1))), 10);
        throttle.begin("5@b.c", from(2)).expect("another network");
    }

    #[test]
    fn signing_in_often_with_the_right_password_is_never_throttled() {
        let (throttle, _) = throttle();
        for _ in 0..100 {
            let login = throttle.begin(ME, from(1)).expect("allowed");
            throttle.forgive(&login);
        }
    }

    #[test]
    fn a_try_whose_password_was_not_looked_at_counts_nothing() {
        let (throttle, _) = throttle();
        throttle.begin(ME, from(1)).expect("one failure");
        for _ in 0..100 {
            let login = throttle.begin(ME, from(1)).expect("allowed");
            throttle.take_back(&login);
        }
        throttle.begin(ME, from(1)).expect("two failures");
        throttle.begin(ME, from(1)).expect("three failures");
        assert!(throttle.begin(ME, from(1)).is_err(), "the first counts on");
    }

    #[test]
    fn new_accounts_are_counted_by_network_and_in_total() {
        let limits = SignInLimits {
            registrations_of_network: 2,
            registrations: 3,
            ..SignInLimits::default()
        };
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let throttle = Throttle::new(limits, clock.clone());
        let register = |number: u8| throttle.register(IpAddr::from([192, 0, 2, number]));
        let whose = |refused: Result<(), ApiError>| match refused {
            Err(ApiError::TooManyRegistrations { whose, .. }) => Some(whose),
            _ => None,
        };
        assert_eq!((whose(register(1)), whose(register(1))), (None, None));
        assert_eq!(whose(register(1)), Some("one address"));
        assert_eq!(whose(register(2)), None);
        assert_eq!(whose(register(3)), Some("this server"));
        clock.advance(Duration::from_secs(1));
        assert_eq!(whose(register(3)), None);
    }
}
