//! Arguments of `serve` for the rate limits of sign-ins and registrations, which are implemented in
//! `irisflow-server/src/auth/throttle.rs`.

use std::time::Duration;

use clap::Args;
use irisflow_server::SignInLimits;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sign-ins")]
pub(crate) struct SignInArgs {
    /// Failed sign-ins to one account from one network (an IPv4 address, an IPv6 /64), or from a device
    /// that has signed in before.
    #[arg(long, env = "IRISFLOW_SIGN_IN_TRIES", default_value_t = SignInLimits::default().tries)]
    sign_in_tries: u32,
    /// One more of these every so often.
    #[arg(
        long,
        env = "IRISFLOW_SIGN_IN_REFILL_MS",
        default_value_t = in_ms(SignInLimits::default().refill)
    )]
    sign_in_refill_ms: u64,
    /// Failed sign-ins to one account from all networks, with the same interval; beyond them each
    /// network has one try.
    #[arg(
        long,
        env = "IRISFLOW_SIGN_IN_TRIES_OF_ACCOUNT",
        default_value_t = SignInLimits::default().tries_of_account
    )]
    sign_in_tries_of_account: u32,
    /// Failed sign-ins from one network to all accounts.
    #[arg(
        long,
        env = "IRISFLOW_SIGN_IN_TRIES_OF_NETWORK",
        default_value_t = SignInLimits::default().tries_of_network
    )]
    sign_in_tries_of_network: u32,
    /// One more of these every so often.
    #[arg(
        long,
        env = "IRISFLOW_SIGN_IN_NETWORK_REFILL_MS",
        default_value_t = in_ms(SignInLimits::default().network_refill)
    )]
    sign_in_network_refill_ms: u64,
    /// New accounts from one network.
    #[arg(
        long,
        env = "IRISFLOW_REGISTRATIONS_OF_NETWORK",
        default_value_t = SignInLimits::default().registrations_of_network
    )]
    registrations_of_network: u32,
    /// One more of these every so often; of all networks ten times as often.
    #[arg(
        long,
        env = "IRISFLOW_REGISTRATION_REFILL_MS",
        default_value_t = in_ms(SignInLimits::default().registration_refill)
    )]
    registration_refill_ms: u64,
    /// New accounts from all networks.
    #[arg(
        long,
        env = "IRISFLOW_REGISTRATIONS",
        default_value_t = SignInLimits::default().registrations
    )]
    registrations: u32,
}

pub(crate) fn in_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl SignInArgs {
    pub(crate) fn limits(&self) -> SignInLimits {
        // Never zero: the token bucket divides by the interval.
        let interval = |ms: u64| Duration::from_millis(ms.max(10));
        SignInLimits {
            tries: self.sign_in_tries,
            refill: interval(self.sign_in_refill_ms),
            tries_of_account: self.sign_in_tries_of_account,
            tries_of_network: self.sign_in_tries_of_network,
            network_refill: interval(self.sign_in_network_refill_ms),
            registrations_of_network: self.registrations_of_network,
            registration_refill: interval(self.registration_refill_ms),
            registrations: self.registrations,
        }
    }
}
