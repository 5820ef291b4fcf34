//! Concurrency limits of uploads and downloads, which each have a file open: in total, per address and per account.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use irisflow_jobs::UserId;
use uuid::Uuid;

use crate::app::{App, AppState};
use crate::concurrency_limits::{ConcurrencyLimit, LimitReached, Permit};
use crate::connections::ConnectionLimits;
use crate::error::{ApiError, LimitOf};

/// The limits, with the permits of the transfers in progress.
#[derive(Debug)]
pub(crate) struct Transfers {
    by_address: Arc<ConcurrencyLimit<IpAddr>>,
    by_user: Arc<ConcurrencyLimit<UserId>>,
}

/// Permits of one transfer, in use until this is dropped.
#[derive(Debug)]
struct TransferPermit {
    _of_address: Permit<IpAddr>,
    _of_user: Option<Permit<UserId>>,
}

impl Transfers {
    pub(crate) fn new(limits: &ConnectionLimits) -> Self {
        Self {
            by_address: ConcurrencyLimit::new(limits.transfers, limits.transfers_of_address),
            by_user: ConcurrencyLimit::new(limits.transfers, limits.transfers_of_user),
        }
    }

    fn try_acquire(
        &self,
        network: IpAddr,
        user_id: Option<UserId>,
    ) -> Result<TransferPermit, ApiError> {
        let rejection = |limit_reached, of_key, limit_of_key| match limit_reached {
            LimitReached::Total => ApiError::TooManyTransfers {
                of: LimitOf::Server,
                limit: self.by_address.total(),
            },
            LimitReached::Key => ApiError::TooManyTransfers {
                of: of_key,
                limit: limit_of_key,
            },
        };
        let of_user = user_id.map(|user_id| self.by_user.try_acquire(user_id));
        let of_user = of_user.transpose().map_err(|limit_reached| {
            rejection(limit_reached, LimitOf::Account, self.by_user.per_key())
        })?;
        let of_address = self.by_address.try_acquire(network);
        let of_address = of_address.map_err(|limit_reached| {
            rejection(limit_reached, LimitOf::Address, self.by_address.per_key())
        })?;
        Ok(TransferPermit {
            _of_address: of_address,
            _of_user: of_user,
        })
    }
}

impl AppState {
    /// The account whose permit the transfer takes, from the object key or the access token. The request may still
    /// be unauthorized: its handler then rejects it at once, which frees the permit.
    fn owner_of_transfer(&self, request: &Request) -> Option<UserId> {
        if let Some(key) = request.uri().path().strip_prefix("/api/v1/files/") {
            // The second segment of every object key is its owner.
            let owner = key.split('/').nth(1)?;
            return owner.parse::<Uuid>().ok().map(UserId::from);
        }
        let header = request.headers().get(header::AUTHORIZATION)?;
        let (_, token) = header.to_str().ok()?.split_once(' ')?;
        let claims = self.tokens.check_access(token.trim()).ok()?;
        Some(claims.user_id)
    }
}

/// Whether the route uploads or downloads photos or results.
pub(crate) fn is_transfer(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>();
    match route.map(MatchedPath::as_str) {
        Some("/api/v1/files/{*key}") => true,
        Some("/api/v1/photos") => request.method() == Method::POST,
        _ => false,
    }
}

/// Middleware that rejects transfers above a limit. A permit is held until the response body has ended.
pub(crate) async fn limit_transfers(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    if !is_transfer(&request) {
        return next.run(request).await;
    }
    let client = app.client_address(request.extensions(), request.headers());
    let user_id = app.owner_of_transfer(&request);
    match app.transfers.try_acquire(client.network(), user_id) {
        Ok(permit) => {
            let response = next.run(request).await;
            response.map(|body| {
                Body::new(BodyWithPermit {
                    body,
                    _permit: permit,
                })
            })
        }
        Err(rejection) => rejection.into_response(),
    }
}

/// A response body that holds a permit until it is dropped.
struct BodyWithPermit {
    body: Body,
    _permit: TransferPermit,
}

impl HttpBody for BodyWithPermit {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_account_with_many_addresses_leaves_transfers_to_others() {
        let limits = ConnectionLimits::for_descriptors(1024);
        let transfers = Transfers::new(&limits);
        let (flooder, other) = (UserId::generate(), UserId::generate());
        let address = |number: u8| IpAddr::from(Ipv4Addr::new(192, 0, 2, number));
        let mut permits = Vec::new();
        for number in 0..=u8::MAX {
            permits.extend(transfers.try_acquire(address(number), Some(flooder)).ok());
        }
        assert_eq!(permits.len(), limits.transfers_of_user);
        assert!(transfers.try_acquire(address(0), Some(flooder)).is_err());
        assert!(transfers.try_acquire(address(0), Some(other)).is_ok());
        drop(permits);
        assert!(transfers.try_acquire(address(0), Some(flooder)).is_ok());
    }
}
