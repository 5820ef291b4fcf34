//! Uploads and downloads under way. Each has a file open, so there are only so many at once.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::app::App;
use crate::caps::{Full, Place};
use crate::error::ApiError;

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
    match app.transfers.enter(client.network()) {
        Ok(place) => {
            let response = next.run(request).await;
            response.map(|body| {
                Body::new(Counted {
                    body,
                    _place: place,
                })
            })
        }
        Err(full) => {
            let (whose, limit) = match full {
                Full::Total => ("this server", app.transfers.total()),
                Full::Key => ("one address", app.transfers.per_key()),
            };
            ApiError::TooManyTransfers { whose, limit }.into_response()
        }
    }
}

/// A body that counts as a transfer until it is dropped.
struct Counted {
    body: Body,
    _place: Place<IpAddr>,
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
