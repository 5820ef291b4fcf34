//! Request logging middleware: the id of a request, its log lines and its metrics.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use metrics::{Counter, counter, histogram};
use tracing::Instrument as _;

use crate::request_id::{REQUEST_ID, RequestId};

/// Middleware that adds the request id to all log lines of the request and to its response, and records metrics.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let method = request.method().clone();
    // The route template, never the path or the query, which hold ids, tokens and signatures.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "-".to_owned(), |path| path.as_str().to_owned());
    // At level error, so that lines of every level have the span, whatever the log filter is.
    let span = tracing::error_span!("request", request_id = id.as_str(), %method, route);
    let request =
        request.map(|body| CountedBody::wrap(body, counter!("irisflow_http_received_bytes_total")));
    let started_at = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;

    let status = response.status();
    let class = format!("{}xx", status.as_u16() / 100);
    let duration = started_at.elapsed();
    counter!("irisflow_http_answers_total",
        "method" => method_label(&method), "route" => route.clone(), "class" => class)
    .increment(1);
    histogram!("irisflow_http_seconds", "route" => route).record(duration);
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::debug!(status = status.as_u16(), ms, "answered"));

    let mut response =
        response.map(|body| CountedBody::wrap(body, counter!("irisflow_http_sent_bytes_total")));
    if let Some(id) = id.to_header() {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Clients may send arbitrary methods; a fixed set of labels bounds the cardinality of the metric.
fn method_label(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// A body that counts its bytes.
struct CountedBody {
    body: Body,
    bytes: Counter,
}

impl CountedBody {
    fn wrap(body: Body, bytes: Counter) -> Body {
        Body::new(Self { body, bytes })
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.bytes.increment(data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
