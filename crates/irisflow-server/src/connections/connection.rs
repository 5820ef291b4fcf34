//! What is known of one connection: its requests under way, and whether it is to end.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, Version};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use super::StreamLimits;

/// One TCP connection. Clones are the same connection.
#[derive(Debug, Clone)]
pub(crate) struct Connection(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Requests whose answers have not ended.
    under_way: Vec<UnderWay>,
    next_number: u64,
    idle_since: Instant,
    is_http2: bool,
    is_websocket: bool,
    is_closed: bool,
    reader: Option<Waker>,
}

#[derive(Debug)]
struct UnderWay {
    number: u64,
    /// Once the answer has begun: since when, and when the peer last took a piece of it.
    answer: Option<(Instant, Instant)>,
}

impl Connection {
    pub(super) fn accepted() -> Self {
        Self(Arc::new(Mutex::new(State {
            under_way: Vec::new(),
            next_number: 0,
            idle_since: Instant::now(),
            is_http2: false,
            is_websocket: false,
            is_closed: false,
            reader: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, version: Version) -> RequestUnderWay {
        let mut state = self.state();
        state.is_http2 |= version == Version::HTTP_2;
        let number = state.next_number;
        state.next_number += 1;
        state.under_way.push(UnderWay {
            number,
            answer: None,
        });
        RequestUnderWay {
            connection: self.clone(),
            number,
        }
    }

    /// Since when it has no request; `None` while it has one, or is a WebSocket.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        let is_idle = state.under_way.is_empty() && !state.is_websocket;
        is_idle.then_some(state.idle_since)
    }

    /// Has its stream fail at the next look.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Whom to wake when it is closed.
    pub(super) fn wake_on_close(&self, context: &Context<'_>) {
        let mut state = self.state();
        match &mut state.reader {
            Some(reader) => reader.clone_from(context.waker()),
            None => state.reader = Some(context.waker().clone()),
        }
    }

    /// Whether the peer has kept it waiting for too long.
    pub(super) fn is_overdue(&self, limits: &StreamLimits, now: Instant) -> bool {
        let state = self.state();
        let has_stalled = |request: &UnderWay| {
            request.answer.is_some_and(|(begun, taken)| {
                now >= taken + limits.pause || now >= begun + limits.answer
            })
        };
        let is_idle_http2 = state.is_http2 && state.under_way.is_empty();
        state.under_way.iter().any(has_stalled)
            || (is_idle_http2 && now >= state.idle_since + limits.idle)
    }
}

/// Counts as a request under way while this lives.
#[derive(Debug)]
pub(super) struct RequestUnderWay {
    connection: Connection,
    number: u64,
}

impl RequestUnderWay {
    /// A piece of the answer, or its head, was taken.
    fn progressed(&self) {
        let now = Instant::now();
        let mut state = self.connection.state();
        let mut under_way = state.under_way.iter_mut();
        if let Some(request) = under_way.find(|request| request.number == self.number) {
            let begun = request.answer.map_or(now, |(begun, _)| begun);
            request.answer = Some((begun, now));
        }
    }
}

impl Drop for RequestUnderWay {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        state
            .under_way
            .retain(|request| request.number != self.number);
        state.idle_since = Instant::now();
    }
}

/// Tells the connection of each request what becomes of it.
pub(crate) async fn track(
    connection: Option<Extension<Connection>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(Extension(connection)) = connection else {
        return next.run(request).await;
    };
    let under_way = connection.begin(request.version());
    let response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        connection.state().is_websocket = true;
        return response;
    }
    under_way.progressed();
    response.map(|body| Body::new(Answer { body, under_way }))
}

/// An answer's body, which is under way until it is dropped.
struct Answer {
    body: Body,
    under_way: RequestUnderWay,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.under_way.progressed();
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: StreamLimits = StreamLimits {
        idle: Duration::from_secs(30),
        pause: Duration::from_secs(10),
        answer: Duration::from_secs(60),
    };

    fn is_overdue_after(connection: &Connection, seconds: u64) -> bool {
        let now = Instant::now() + Duration::from_secs(seconds);
        connection.is_overdue(&LIMITS, now)
    }

    #[tokio::test]
    async fn an_idle_http2_connection_ends_and_one_at_work_does_not() {
        let connection = Connection::accepted();
        let request = connection.begin(Version::HTTP_2);
        assert!(
            !is_overdue_after(&connection, 100),
            "our work has its own limit"
        );
        drop(request);
        assert!(!is_overdue_after(&connection, 29));
        assert!(is_overdue_after(&connection, 31));
    }

    #[tokio::test]
    async fn an_answer_that_is_not_taken_ends_its_connection() {
        let connection = Connection::accepted();
        let request = connection.begin(Version::HTTP_11);
        request.progressed();
        assert!(!is_overdue_after(&connection, 9));
        assert!(is_overdue_after(&connection, 11));
    }

    #[tokio::test]
    async fn a_connection_with_a_request_is_not_idle() {
        let connection = Connection::accepted();
        assert!(connection.idle_since().is_some());
        let request = connection.begin(Version::HTTP_11);
        assert!(connection.idle_since().is_none());
        drop(request);
        assert!(connection.idle_since().is_some());
        connection.state().is_websocket = true;
        assert!(connection.idle_since().is_none());
    }
}
