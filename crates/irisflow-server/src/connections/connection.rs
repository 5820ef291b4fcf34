//! State of one TCP connection: its requests in flight, since when it waits for its peer, and whether it was closed
//! to make room for another one.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use super::StreamLimits;

/// After this time without progress of its peer, a connection may be evicted.
const STALLED_AFTER: Duration = Duration::from_secs(3);

/// What a connection is doing. Variants are in the order of eviction; within a variant, the connection that has
/// been in that state longest is evicted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Activity {
    /// No request in flight since this time.
    Idle(Instant),
    /// All its requests wait for the peer, which has neither sent nor received anything since this time.
    Stalled(Instant),
    /// Not evicted.
    Active,
}

/// The state of one TCP connection. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Connection(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Requests whose responses are not complete.
    requests: Vec<RequestState>,
    next_id: u64,
    idle_since: Instant,
    is_http2: bool,
    is_websocket: bool,
    is_closed: bool,
    /// The task that reads from the stream, woken when the connection is closed.
    reader: Option<Waker>,
}

#[derive(Debug)]
struct RequestState {
    id: u64,
    /// Since when the handler waits for more of the request body.
    body_awaited_since: Option<Instant>,
    response: Option<ResponseProgress>,
}

/// Progress of sending a response.
#[derive(Debug, Clone, Copy)]
struct ResponseProgress {
    started_at: Instant,
    /// When the head or a part of the body was last handed to the connection, which takes more only when
    /// the peer reads.
    last_sent_at: Instant,
}

impl RequestState {
    /// Since when the request has waited for the peer to send or receive; `None` when it waits for the server.
    fn peer_awaited_since(&self) -> Option<Instant> {
        self.response
            .map(|response| response.last_sent_at)
            .or(self.body_awaited_since)
    }
}

impl Connection {
    pub(super) fn accepted() -> Self {
        Self(Arc::new(Mutex::new(State {
            requests: Vec::new(),
            next_id: 0,
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

    /// Registers a request, which is in flight until the returned value is dropped.
    pub(super) fn begin(&self, version: Version) -> RequestInFlight {
        let mut state = self.state();
        state.is_http2 |= version == Version::HTTP_2;
        let id = state.next_id;
        state.next_id += 1;
        state.requests.push(RequestState {
            id,
            body_awaited_since: None,
            response: None,
        });
        RequestInFlight {
            connection: self.clone(),
            id,
        }
    }

    pub(super) fn activity(&self, now: Instant) -> Activity {
        let state = self.state();
        if state.is_websocket {
            return Activity::Active;
        }
        if state.requests.is_empty() {
            return Activity::Idle(state.idle_since);
        }
        let awaited = state.requests.iter().map(RequestState::peer_awaited_since);
        let newest = awaited.reduce(|one, other| Some(one?.max(other?)));
        match newest.flatten() {
            Some(since) if now >= since + STALLED_AFTER => Activity::Stalled(since),
            _ => Activity::Active,
        }
    }

    /// Marks the connection as closed and wakes its reader: the next poll of its stream returns an error.
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

    /// Registers the task to wake when the connection is closed.
    pub(super) fn wake_on_close(&self, context: &Context<'_>) {
        let mut state = self.state();
        match &mut state.reader {
            Some(reader) => reader.clone_from(context.waker()),
            None => state.reader = Some(context.waker().clone()),
        }
    }

    /// Whether one of the timeouts has passed: of a response, or of an idle HTTP/2 connection.
    pub(super) fn has_timed_out(&self, limits: &StreamLimits, now: Instant) -> bool {
        let state = self.state();
        let response_timed_out = |request: &RequestState| {
            request.response.is_some_and(|response| {
                now >= response.last_sent_at + limits.pause
                    || now >= response.started_at + limits.answer
            })
        };
        let is_idle_http2 = state.is_http2 && state.requests.is_empty();
        state.requests.iter().any(response_timed_out)
            || (is_idle_http2 && now >= state.idle_since + limits.idle)
    }
}

/// A request that is in flight until this is dropped.
#[derive(Debug)]
pub(super) struct RequestInFlight {
    connection: Connection,
    id: u64,
}

impl RequestInFlight {
    fn update(&self, update: impl FnOnce(&mut RequestState)) {
        let mut state = self.connection.state();
        let mut requests = state.requests.iter_mut();
        if let Some(request) = requests.find(|request| request.id == self.id) {
            update(request);
        }
    }

    /// Records that the head or a part of the body of the response was handed to the connection.
    fn response_progressed(&self) {
        let now = Instant::now();
        self.update(|request| {
            let started_at = request.response.map_or(now, |response| response.started_at);
            request.response = Some(ResponseProgress {
                started_at,
                last_sent_at: now,
            });
        });
    }

    /// Records whether the handler waits for more of the request body.
    fn set_body_awaited(&self, is_awaited: bool) {
        self.update(|request| {
            let since = request.body_awaited_since.unwrap_or_else(Instant::now);
            request.body_awaited_since = is_awaited.then_some(since);
        });
    }
}

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        state.requests.retain(|request| request.id != self.id);
        state.idle_since = Instant::now();
    }
}

/// Middleware that records the progress of each request on its connection.
pub(crate) async fn track(
    connection: Option<Extension<Connection>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(Extension(connection)) = connection else {
        return next.run(request).await;
    };
    let in_flight = Arc::new(connection.begin(request.version()));
    let request = request.map(|body| {
        let in_flight = Arc::clone(&in_flight);
        Body::new(RequestBody { body, in_flight })
    });
    let response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let mut state = connection.state();
        state.is_websocket = true;
        // It may stay open for hours, without further requests.
        state.requests.shrink_to_fit();
        drop(state);
        return response;
    }
    // An event stream has pauses and no end; a peer that does not read it blocks writes, which time out.
    let is_timed = !is_event_stream(&response);
    if is_timed {
        in_flight.response_progressed();
    }
    response.map(|body| {
        Body::new(ResponseBody {
            body,
            in_flight,
            is_timed,
        })
    })
}

fn is_event_stream(response: &Response) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// The body of a request; records when the handler waits for more of it.
struct RequestBody {
    body: Body,
    in_flight: Arc<RequestInFlight>,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.in_flight.set_body_awaited(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.in_flight.set_body_awaited(false);
    }
}

/// The body of a response. Its request is in flight until this is dropped.
struct ResponseBody {
    body: Body,
    in_flight: Arc<RequestInFlight>,
    /// Whether the timeouts of responses apply.
    is_timed: bool,
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() && self.is_timed {
            self.in_flight.response_progressed();
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

    fn times_out_within(connection: &Connection, seconds: u64) -> bool {
        let now = Instant::now() + Duration::from_secs(seconds);
        connection.has_timed_out(&LIMITS, now)
    }

    #[tokio::test]
    async fn an_idle_http2_connection_ends_and_one_at_work_does_not() {
        let connection = Connection::accepted();
        let request = connection.begin(Version::HTTP_2);
        assert!(
            !times_out_within(&connection, 100),
            "the work of the server has its own timeout"
        );
        drop(request);
        assert!(!times_out_within(&connection, 29));
        assert!(times_out_within(&connection, 31));
    }

    #[tokio::test]
    async fn an_answer_that_is_not_taken_ends_its_connection() {
        let connection = Connection::accepted();
        let request = connection.begin(Version::HTTP_11);
        request.response_progressed();
        assert!(!times_out_within(&connection, 9));
        assert!(times_out_within(&connection, 11));
    }

    #[tokio::test]
    async fn a_connection_that_waits_for_its_peer_is_stalled_after_a_while() {
        let connection = Connection::accepted();
        let is_idle = || matches!(connection.activity(Instant::now()), Activity::Idle(_));
        let later = || connection.activity(Instant::now() + STALLED_AFTER);
        assert!(is_idle());
        let request = connection.begin(Version::HTTP_11);
        assert_eq!(later(), Activity::Active, "it waits for the server");
        request.set_body_awaited(true);
        assert_eq!(connection.activity(Instant::now()), Activity::Active);
        assert!(matches!(later(), Activity::Stalled(_)));
        request.set_body_awaited(false);
        assert_eq!(later(), Activity::Active);
        request.response_progressed();
        assert!(matches!(later(), Activity::Stalled(_)));
        drop(request);
        assert!(is_idle());
        connection.state().is_websocket = true;
        assert_eq!(later(), Activity::Active);
    }
}
