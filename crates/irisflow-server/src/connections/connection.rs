//! What is known of one connection: its requests under way, and whether it is to end.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

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

/// A peer that lets us wait for longer may have to make room for others.
const STALLED: Duration = Duration::from_secs(3);

/// Who has to make room first: in this order, and of equals the one that has been so longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Activity {
    /// Without a request, since then.
    Idle(Instant),
    /// All its requests wait for their peer, which has been silent since then.
    Stalled(Instant),
    AtWork,
}

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
    /// Since when the rest of its body has been waited for.
    body_awaited_since: Option<Instant>,
    /// Once the answer has begun: since when, and when the peer last took a piece of it.
    answer: Option<(Instant, Instant)>,
}

impl UnderWay {
    /// Since when the peer has neither sent nor taken anything, when that is what it waits for.
    fn peer_awaited_since(&self) -> Option<Instant> {
        self.answer
            .map(|(_, taken)| taken)
            .or(self.body_awaited_since)
    }
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
            body_awaited_since: None,
            answer: None,
        });
        RequestUnderWay {
            connection: self.clone(),
            number,
        }
    }

    /// What it does for its peer at the moment.
    pub(super) fn standing(&self, now: Instant) -> Activity {
        let state = self.state();
        if state.is_websocket {
            return Activity::AtWork;
        }
        if state.under_way.is_empty() {
            return Activity::Idle(state.idle_since);
        }
        let awaited = state.under_way.iter().map(UnderWay::peer_awaited_since);
        let newest = awaited.reduce(|one, other| Some(one?.max(other?)));
        match newest.flatten() {
            Some(since) if now >= since + STALLED => Activity::Stalled(since),
            _ => Activity::AtWork,
        }
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
    fn change(&self, change: impl FnOnce(&mut UnderWay)) {
        let mut state = self.connection.state();
        let mut under_way = state.under_way.iter_mut();
        if let Some(request) = under_way.find(|request| request.number == self.number) {
            change(request);
        }
    }

    /// A piece of the answer, or its head, was taken.
    fn progressed(&self) {
        let now = Instant::now();
        self.change(|request| {
            let begun = request.answer.map_or(now, |(begun, _)| begun);
            request.answer = Some((begun, now));
        });
    }

    /// Whether more of the request's body is waited for.
    fn awaits_body(&self, awaits: bool) {
        self.change(|request| {
            let since = request.body_awaited_since.unwrap_or_else(Instant::now);
            request.body_awaited_since = awaits.then_some(since);
        });
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
    let under_way = Arc::new(connection.begin(request.version()));
    let request = request.map(|body| {
        let under_way = Arc::clone(&under_way);
        Body::new(Received { body, under_way })
    });
    let response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        connection.state().is_websocket = true;
        return response;
    }
    under_way.progressed();
    response.map(|body| Body::new(Answer { body, under_way }))
}

/// A request's body, which may keep us waiting.
struct Received {
    body: Body,
    under_way: Arc<RequestUnderWay>,
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.under_way.awaits_body(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.under_way.awaits_body(false);
    }
}

/// An answer's body, which is under way until it is dropped.
struct Answer {
    body: Body,
    under_way: Arc<RequestUnderWay>,
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
    async fn a_connection_that_waits_for_its_peer_is_stalled_after_a_while() {
        let connection = Connection::accepted();
        let is_idle = || matches!(connection.standing(Instant::now()), Activity::Idle(_));
        let later = || connection.standing(Instant::now() + STALLED);
        assert!(is_idle());
        let request = connection.begin(Version::HTTP_11);
        assert_eq!(later(), Activity::AtWork, "it waits for us");
        request.awaits_body(true);
        assert_eq!(connection.standing(Instant::now()), Activity::AtWork);
        assert!(matches!(later(), Activity::Stalled(_)));
        request.awaits_body(false);
        assert_eq!(later(), Activity::AtWork);
        request.progressed();
        assert!(matches!(later(), Activity::Stalled(_)));
        drop(request);
        assert!(is_idle());
        connection.state().is_websocket = true;
        assert_eq!(later(), Activity::AtWork);
    }
}
