//! Usage limits of accounts and addresses: requests per second, open sockets, stored bytes, unfinished jobs. Each
//! rejection names its limit and says what to do. Concurrent requests may exceed a limit slightly, which is
//! acceptable: the limits protect the service and are not used for billing.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use irisflow_jobs::{NewPhoto, Photo, QueueLimits, UserId};

use crate::app::{App, AppState};
use crate::client_address::ClientAddress;
use crate::concurrency_limits::{ConcurrencyLimit, LimitReached, Permit};
use crate::connections::ConnectionLimits;
use crate::error::{ApiError, LimitOf};
use crate::rate_limiter::retry_after_s;

/// The defaults are so high that normal use of the app reaches none of them.
#[derive(Debug, Clone, Copy)]
pub struct UsageLimits {
    /// Requests per second of one user, sustained.
    pub user_rate: u32,
    /// Requests of one user in a burst.
    pub user_burst: u32,
    /// Requests per second of one address, which many users may share; sustained.
    pub address_rate: u32,
    /// Requests of one address in a burst.
    pub address_burst: u32,
    /// Bytes of one user's photos, uploads and results.
    pub stored_bytes: u64,
    /// Photos of one user that were created and whose upload is not confirmed.
    pub unconfirmed_photos: u64,
    /// Waiting and running jobs of one user.
    pub user_jobs: u64,
    /// Waiting jobs of all users.
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

/// Concurrency limits of WebSockets, by address and by account.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// Sockets whose client has not authenticated yet. Few, since each is a connection that cannot be evicted.
    unauthenticated: Arc<ConcurrencyLimit<IpAddr>>,
    by_address: Arc<ConcurrencyLimit<IpAddr>>,
    by_user: Arc<ConcurrencyLimit<UserId>>,
}

/// Permits of one open socket, in use until this is dropped.
#[derive(Debug)]
pub(crate) struct SocketPermit {
    _of_address: Permit<IpAddr>,
    _of_user: Permit<UserId>,
}

impl Sockets {
    pub(crate) fn new(limits: &ConnectionLimits) -> Self {
        Self {
            unauthenticated: ConcurrencyLimit::new(
                (limits.sockets / 4).max(1),
                (limits.sockets_of_address / 4).max(1),
            ),
            by_address: ConcurrencyLimit::new(limits.sockets, limits.sockets_of_address),
            by_user: ConcurrencyLimit::new(limits.sockets, limits.sockets_of_user),
        }
    }

    /// Number of open sockets.
    pub(crate) fn open(&self) -> usize {
        self.by_user.in_use()
    }

    fn try_acquire(&self, user_id: UserId, address: IpAddr) -> Result<SocketPermit, ApiError> {
        let of_user = try_acquire(&self.by_user, user_id, LimitOf::Account)?;
        let of_address = try_acquire(&self.by_address, address, LimitOf::Address)?;
        Ok(SocketPermit {
            _of_address: of_address,
            _of_user: of_user,
        })
    }
}

fn try_acquire<K: Hash + Eq + Clone>(
    concurrency: &Arc<ConcurrencyLimit<K>>,
    key: K,
    of: LimitOf,
) -> Result<Permit<K>, ApiError> {
    concurrency
        .try_acquire(key)
        .map_err(|limit_reached| match limit_reached {
            LimitReached::Key => ApiError::TooManySockets {
                of,
                limit: concurrency.per_key(),
            },
            LimitReached::Total => ApiError::TooManySockets {
                of: LimitOf::Server,
                limit: concurrency.total(),
            },
        })
}

/// `Retry-After` in seconds when the queue is full.
const QUEUE_RETRY_S: u64 = 30;

/// `Retry-After` in seconds when there are too many unconfirmed photos; the oldest may have expired then.
const UNCONFIRMED_RETRY_S: u64 = 60;

/// Expected size of all pictures of a job together.
const RESULT_BYTES: u64 = 2 << 20;

/// Middleware that rejects requests of an address above its rate limit.
pub(crate) async fn limit_address(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    let client = app.client_address(request.extensions(), request.headers());
    match app.rates.addresses.take(client.network(), app.now()) {
        Ok(()) => next.run(request).await,
        Err(wait) => ApiError::RateLimited {
            of: LimitOf::ThisAddress,
            per_second: app.settings.usage_limits.address_rate,
            retry_after_s: retry_after_s(wait),
        }
        .into_response(),
    }
}

impl AppState {
    pub(crate) fn check_user_rate(&self, user_id: UserId) -> Result<(), ApiError> {
        let taken = self.rates.users.take(user_id, self.now());
        taken.map_err(|wait| ApiError::RateLimited {
            of: LimitOf::Account,
            per_second: self.settings.usage_limits.user_rate,
            retry_after_s: retry_after_s(wait),
        })
    }

    /// Counts a new socket against the rate limit of its user, and takes its permits.
    pub(crate) fn acquire_socket(
        &self,
        user_id: UserId,
        client: ClientAddress,
    ) -> Result<SocketPermit, ApiError> {
        self.check_user_rate(user_id)?;
        self.sockets.try_acquire(user_id, client.network())
    }

    /// Takes a permit for a socket until its client has authenticated.
    pub(crate) fn acquire_unauthenticated_socket(
        &self,
        client: ClientAddress,
    ) -> Result<Permit<IpAddr>, ApiError> {
        let of_address = &self.sockets.unauthenticated;
        try_acquire(of_address, client.network(), LimitOf::Address)
    }

    /// Checks that the user may store `more` bytes.
    pub(crate) async fn check_storage(&self, user_id: UserId, more: u64) -> Result<(), ApiError> {
        let usage = self.parts.statistics.usage(user_id).await?;
        if usage.stored_bytes().saturating_add(more) > self.settings.usage_limits.stored_bytes {
            return Err(self.storage_full());
        }
        Ok(())
    }

    /// Checks that the user may store the results of `more` jobs, in addition to those of unfinished jobs.
    pub(crate) async fn check_room_for_results(
        &self,
        user_id: UserId,
        more: usize,
    ) -> Result<(), ApiError> {
        let usage = self.parts.statistics.usage(user_id).await?;
        let expected = (usage.unfinished_jobs + more as u64).saturating_mul(RESULT_BYTES);
        if usage.stored_bytes().saturating_add(expected) > self.settings.usage_limits.stored_bytes {
            return Err(self.storage_full());
        }
        Ok(())
    }

    pub(crate) fn storage_full(&self) -> ApiError {
        ApiError::StorageFull {
            limit_bytes: self.settings.usage_limits.stored_bytes,
        }
    }

    /// Records a photo that is to be uploaded, unless the user has too many unconfirmed photos.
    pub(crate) async fn announce_photo(&self, photo: NewPhoto) -> Result<Photo, ApiError> {
        let limit = self.settings.usage_limits.unconfirmed_photos;
        let added = self.parts.photos.add_photo(photo, limit).await?;
        added.ok_or(ApiError::TooManyUnconfirmed {
            limit,
            retry_after_s: UNCONFIRMED_RETRY_S,
        })
    }

    pub(crate) fn queue_limits(&self) -> QueueLimits {
        let limits = self.settings.usage_limits;
        QueueLimits {
            of_user: limits.user_jobs,
            of_all: limits.queue_jobs,
        }
    }

    pub(crate) fn user_queue_is_full(&self) -> ApiError {
        ApiError::QueueFull {
            of: LimitOf::Account,
            limit: self.settings.usage_limits.user_jobs,
            retry_after_s: QUEUE_RETRY_S,
        }
    }

    pub(crate) fn queue_is_full(&self) -> ApiError {
        ApiError::QueueFull {
            of: LimitOf::Server,
            limit: self.settings.usage_limits.queue_jobs,
            retry_after_s: QUEUE_RETRY_S,
        }
    }
}
