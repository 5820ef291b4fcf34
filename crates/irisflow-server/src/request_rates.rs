//! Rate limits of requests, by user and by address. Each node counts its own requests, so that a request waits for
//! nothing, and adds them to the buckets of all nodes twice a second. On the long run the limits hold over all nodes; at
//! once, each node can admit a burst, and what is above one burst is owed.

use std::net::IpAddr;
use std::time::Duration;

use irisflow_jobs::{BucketKey, BucketSize, TakenTokens, Timestamp, UserId};

use crate::app::App;
use crate::auth::address_bytes;
use crate::rate_limiter::RateLimiter;
use crate::shared_rate_limiter::SharedBuckets;
use crate::usage_limits::UsageLimits;

const REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// Keys with less than this share of what their rate allows in an interval are not reported: a tenth, so that up to ten
/// nodes stay below the rate with what they do not report.
const RARE_SHARE: u32 = 10;
/// Keys in one statement.
const MOST_REPORTED: usize = 200;

#[derive(Debug)]
pub(crate) struct Rates {
    pub(crate) users: RateLimiter<UserId>,
    pub(crate) addresses: RateLimiter<IpAddr>,
    of_user: BucketSize,
    of_address: BucketSize,
    shared: SharedBuckets,
}

impl Rates {
    pub(crate) fn new(limits: &UsageLimits, shared: SharedBuckets) -> Self {
        let size = |rate: u32, burst| BucketSize {
            burst,
            refill: Duration::from_secs(1) / rate.max(1),
        };
        let of_user = size(limits.user_rate, limits.user_burst);
        let of_address = size(limits.address_rate, limits.address_burst);
        Self {
            users: RateLimiter::new(of_user.burst, of_user.refill),
            addresses: RateLimiter::new(of_address.burst, of_address.refill),
            of_user,
            of_address,
            shared,
        }
    }

    /// Reports what this node has counted, and takes over what all nodes have counted.
    async fn share(&self, now: Timestamp) {
        let user_key = |user_id: &UserId| self.shared.key("user", &[user_id.as_uuid().as_bytes()]);
        self.share_of(&self.users, self.of_user, user_key, now)
            .await;
        let address_key =
            |address: &IpAddr| self.shared.key("address", &[&address_bytes(*address)]);
        self.share_of(&self.addresses, self.of_address, address_key, now)
            .await;
    }

    async fn share_of<K: std::hash::Hash + Eq + Copy>(
        &self,
        limiter: &RateLimiter<K>,
        size: BucketSize,
        key_of: impl Fn(&K) -> BucketKey,
        now: Timestamp,
    ) {
        for reported in limiter.report(least_reported(size)).chunks(MOST_REPORTED) {
            let taken: Vec<TakenTokens> = reported
                .iter()
                .map(|(key, tokens)| TakenTokens {
                    key: key_of(key),
                    size,
                    tokens: *tokens,
                })
                .collect();
            let full_in = self.shared.report(&taken).await;
            for ((key, _), full_in) in reported.iter().zip(full_in) {
                limiter.correct(*key, full_in, now);
            }
        }
    }
}

fn least_reported(size: BucketSize) -> u32 {
    let in_interval = REPORT_INTERVAL.as_secs_f64() / size.refill.as_secs_f64();
    (in_interval as u32 / RARE_SHARE).max(1)
}

/// Shares the rates with other nodes until the shutdown.
pub(crate) async fn share_rates(app: App) {
    if !app.rates.shared.are_shared() {
        return app.draining.cancelled().await;
    }
    loop {
        tokio::select! {
            () = app.draining.cancelled() => return,
            () = tokio::time::sleep(REPORT_INTERVAL) => app.rates.share(app.now()).await,
        }
    }
}
