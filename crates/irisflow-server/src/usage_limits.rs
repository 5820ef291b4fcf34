//! How much one may ask for: requests a second, stored bytes, unfinished jobs. Each refusal names its
//! limit and says what to do. What runs at the same moment may go over by a little: these limits guard
//! the service, not an invoice.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use irisflow_jobs::{NewPhoto, Photo, QueueLimits, UserId};

use crate::app::{App, AppState};
use crate::client_address::ClientAddress;
use crate::concurrency_limits::{ConcurrencyLimit, LimitReached, Permit};
use crate::connections::ConnectionLimits;
use crate::error::ApiError;
use crate::rate_limiter::{RateLimiter, retry_after_s};

/// Generous: one person with a phone meets none of them.
#[derive(Debug, Clone, Copy)]
pub struct UsageLimits {
    /// Requests of one user in a second, on the long run and at once.
    pub user_rate: u32,
    pub user_burst: u32,
    /// Requests of one address, behind which there may be many users.
    pub address_rate: u32,
    pub address_burst: u32,
    /// Bytes of one user's photos, uploads and results.
    pub stored_bytes: u64,
    /// Photos of one user that were announced and are not confirmed.
    pub unconfirmed_photos: u64,
    /// Jobs of one user that wait or run.
    pub user_jobs: u64,
    /// Jobs that wait, of all users.
    pub queue_jobs: u64,
}

impl Default for UsageLimits {
    fn default() -> Self {
        Self {
            user_rate: 100,
            user_burst: 1_000,
            address_rate: 500,
            address_burst: 5_000,
            stored_bytes: 50 << 30,
            unconfirmed_photos: 1_000,
            user_jobs: 5_000,
            queue_jobs: 200_000,
        }
    }
}

/// Open sockets, by address and by account.
#[derive(Debug)]
pub(crate) struct Sockets {
    of_addresses: Arc<ConcurrencyLimit<IpAddr>>,
    of_users: Arc<ConcurrencyLimit<UserId>>,
}

/// An open socket, counted while this lives.
#[derive(Debug)]
pub(crate) struct SocketPermit {
    _of_address: Permit<IpAddr>,
    _of_user: Permit<UserId>,
}

impl Sockets {
    pub(crate) fn new(limits: &ConnectionLimits) -> Self {
        Self {
            of_addresses: ConcurrencyLimit::new(limits.sockets, limits.sockets_of_address),
            of_users: ConcurrencyLimit::new(limits.sockets, limits.sockets_of_user),
        }
    }

    fn enter(&self, user_id: UserId, address: IpAddr) -> Result<SocketPermit, ApiError> {
        let of_user = enter(&self.of_users, user_id, "one account")?;
        let of_address = enter(&self.of_addresses, address, "one address")?;
        Ok(SocketPermit {
            _of_address: of_address,
            _of_user: of_user,
        })
    }
}

fn enter<K: Hash + Eq + Clone>(
    caps: &Arc<ConcurrencyLimit<K>>,
    key: K,
    whose: &'static str,
) -> Result<Permit<K>, ApiError> {
    caps.enter(key).map_err(|full| match full {
        LimitReached::Key => ApiError::TooManySockets {
            whose,
            limit: caps.per_key(),
        },
        LimitReached::Total => ApiError::TooManySockets {
            whose: "this server",
            limit: caps.total(),
        },
    })
}

/// When a full queue is worth another look.
const QUEUE_RETRY_S: u64 = 30;

/// When some of too many announced photos may be forgotten.
const UNCONFIRMED_RETRY_S: u64 = 60;

/// What a job's result, mask, "before" and thumbnail take together, about.
const RESULT_BYTES: u64 = 1 << 20;

#[derive(Debug)]
pub(crate) struct Rates {
    users: RateLimiter<UserId>,
    addresses: RateLimiter<IpAddr>,
}

impl Rates {
    pub(crate) fn new(limits: &UsageLimits) -> Self {
        let interval = |rate: u32| Duration::from_secs(1) / rate.max(1);
        Self {
            users: RateLimiter::new(limits.user_burst, interval(limits.user_rate)),
            addresses: RateLimiter::new(limits.address_burst, interval(limits.address_rate)),
        }
    }
}

/// Refuses the requests of an address that asks too often.
pub(crate) async fn limit_address(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    let client = app.client_address(request.extensions(), request.headers());
    match app.rates.addresses.take(client.network(), app.now()) {
        Ok(()) => next.run(request).await,
        Err(wait) => ApiError::RateLimited {
            whose: "this address",
            per_second: app.settings.use_limits.address_rate,
            retry_after_s: retry_after_s(wait),
        }
        .into_response(),
    }
}

impl AppState {
    pub(crate) fn check_user_rate(&self, user_id: UserId) -> Result<(), ApiError> {
        let taken = self.rates.users.take(user_id, self.now());
        taken.map_err(|wait| ApiError::RateLimited {
            whose: "one account",
            per_second: self.settings.use_limits.user_rate,
            retry_after_s: retry_after_s(wait),
        })
    }

    /// Counts a socket that is about to be served, as a request and as one that is open.
    pub(crate) fn enter_socket(
        &self,
        user_id: UserId,
        client: ClientAddress,
    ) -> Result<SocketPermit, ApiError> {
        self.check_user_rate(user_id)?;
        self.sockets.enter(user_id, client.network())
    }

    /// Whether the user may store so many bytes more.
    pub(crate) async fn check_storage(&self, user_id: UserId, more: u64) -> Result<(), ApiError> {
        let usage = self.parts.statistics.usage(user_id).await?;
        if usage.stored_bytes().saturating_add(more) > self.settings.use_limits.stored_bytes {
            return Err(self.storage_full());
        }
        Ok(())
    }

    /// Whether there is room for the results of so many jobs more, beside those of unfinished ones.
    pub(crate) async fn check_room_for_results(
        &self,
        user_id: UserId,
        more: usize,
    ) -> Result<(), ApiError> {
        let usage = self.parts.statistics.usage(user_id).await?;
        let expected = (usage.unfinished_jobs + more as u64).saturating_mul(RESULT_BYTES);
        if usage.stored_bytes().saturating_add(expected) > self.settings.use_limits.stored_bytes {
            return Err(self.storage_full());
        }
        Ok(())
    }

    pub(crate) fn storage_full(&self) -> ApiError {
        ApiError::StorageFull {
            limit_bytes: self.settings.use_limits.stored_bytes,
        }
    }

    /// Records a photo that is to be uploaded, unless too many are.
    pub(crate) async fn announce_photo(&self, photo: NewPhoto) -> Result<Photo, ApiError> {
        let limit = self.settings.use_limits.unconfirmed_photos;
        let added = self.parts.photos.add_photo(photo, limit).await?;
        added.ok_or(ApiError::TooManyUnconfirmed {
            limit,
            retry_after_s: UNCONFIRMED_RETRY_S,
        })
    }

    pub(crate) fn queue_limits(&self) -> QueueLimits {
        let limits = self.settings.use_limits;
        QueueLimits {
            of_user: limits.user_jobs,
            of_all: limits.queue_jobs,
        }
    }

    pub(crate) fn user_queue_is_full(&self) -> ApiError {
        ApiError::QueueFull {
            whose: "one account",
            limit: self.settings.use_limits.user_jobs,
            retry_after_s: QUEUE_RETRY_S,
        }
    }

    pub(crate) fn queue_is_full(&self) -> ApiError {
        ApiError::QueueFull {
            whose: "this server",
            limit: self.settings.use_limits.queue_jobs,
            retry_after_s: QUEUE_RETRY_S,
        }
    }
}
