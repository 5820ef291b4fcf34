//! Uploads and downloads under way. Each has a file open, so there are only so many at once.

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
use crate::error::ApiError;

/// Counts those under way, by address and by account.
#[derive(Debug)]
pub(crate) struct Transfers {
    by_address: Arc<ConcurrencyLimit<IpAddr>>,
    by_user: Arc<ConcurrencyLimit<UserId>>,
}

/// A transfer, counted while this lives.
#[derive(Debug)]
struct Transfer {
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

    fn enter(&self, network: IpAddr, user_id: Option<UserId>) -> Result<Transfer, ApiError> {
        let refused = |full, of_key, limit_of_key| match full {
            LimitReached::Total => ApiError::TooManyTransfers {
                whose: "this server",
                limit: self.by_address.total(),
            },
            LimitReached::Key => ApiError::TooManyTransfers {
                whose: of_key,
                limit: limit_of_key,
            },
        };
        let of_user = user_id.map(|user_id| self.by_user.enter(user_id));
        let of_user = of_user.transpose();
        let of_user =
            of_user.map_err(|full| refused(full, "one account", self.by_user.per_key()))?;
        let of_address = self.by_address.enter(network);
        let of_address =
            of_address.map_err(|full| refused(full, "one address", self.by_address.per_key()))?;
        Ok(Transfer {
            _of_address: of_address,
            _of_user: of_user,
        })
    }
}

impl AppState {
    /// Whose photo or result it is. Whether the request may have it is for its handler to say, at once:
    /// only what is allowed lasts.
    fn owner_of_transfer(&self, request: &Request) -> Option<UserId> {
        if let Some(key) = request.uri().path().strip_prefix("/api/v1/files/") {
            // The owner stands after the area in every key.
            let owner = key.split('/').nth(1)?;
            return owner.parse::<Uuid>().ok().map(UserId::from);
        }
        let header = request.headers().get(header::AUTHORIZATION)?;
        let (_, token) = header.to_str().ok()?.split_once(' ')?;
        let claims = self.tokens.check_access(token.trim()).ok()?;
        Some(claims.user_id)
    }
}

/// The routes by which photos and results come and go.
pub(crate) fn is_transfer(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>();
    match route.map(MatchedPath::as_str) {
        Some("/api/v1/files/{*key}") => true,
        Some("/api/v1/photos") => request.method() == Method::POST,
        _ => false,
    }
}

/// Refuses transfers of which there are too many; the others count until their answer has ended.
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
    match app.transfers.enter(client.network(), user_id) {
        Ok(transfer) => {
            let response = next.run(request).await;
            response.map(|body| {
                Body::new(Counted {
                    body,
                    _transfer: transfer,
                })
            })
        }
        Err(refused) => refused.into_response(),
    }
}

/// A body that counts as a transfer until it is dropped.
struct Counted {
    body: Body,
    _transfer: Transfer,
}

impl HttpBody for Counted {
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
        let mut under_way = Vec::new();
        for number in 0..=u8::MAX {
            under_way.extend(transfers.enter(address(number), Some(flooder)).ok());
        }
        assert_eq!(under_way.len(), limits.transfers_of_user);
        assert!(transfers.enter(address(0), Some(flooder)).is_err());
        assert!(transfers.enter(address(0), Some(other)).is_ok());
        drop(under_way);
        assert!(transfers.enter(address(0), Some(flooder)).is_ok());
    }
}
