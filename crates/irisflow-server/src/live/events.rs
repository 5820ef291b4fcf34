//! `GET /events`: the frames of a user's stream as server-sent events, or as the answer of a long poll.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt as _, Stream, stream};
use irisflow_jobs::{Cursor, Transport};
use irisflow_messages::text;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout_at};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::client_frames::{FilterBody, MAX_FILTER_JOBS};
use super::credentials::{CredentialQuery, WatchingUser};
use super::session_ends::SessionWatch;
use super::user_frames::ServerFrame;
use super::user_socket::error_frame;
use super::user_stream::Frame;
use super::watcher::{WatchError, Watcher};
use crate::app::{App, AppState};
use crate::auth::CurrentUser;
use crate::client_address::ClientAddress;
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extractors::{ApiQuery, invalid_query};
use crate::usage_limits::SocketPermit;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Interval of comments on an idle stream, which keep proxies from closing it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The reconnection time sent to clients of the stream.
const RETRY: Duration = Duration::from_secs(2);
/// Waiting time of a long poll in seconds.
const MAX_WAIT_S: u64 = 30;
const DEFAULT_WAIT_S: u64 = 25;
/// Maximum number of frames in the answer of a long poll.
const MAX_FRAMES: usize = 200;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Where to resume, as in the frame received last. Without it, the first frame is a snapshot.
    #[param(example = "0198c5f0a3d27c1e9b7a5d3c2b1a0f9e:41")]
    cursor: Option<String>,
    /// Only these jobs: ids separated by commas, up to 200.
    job_id: Option<String>,
    /// Only the jobs of this batch.
    batch_id: Option<Uuid>,
    /// Of a long poll: seconds to wait for something to answer.
    #[param(minimum = 0, maximum = 30, default = 25)]
    wait: Option<u64>,
    /// A ticket of `POST /ws-tickets`, for clients that cannot send headers.
    ticket: Option<String>,
    /// An access token, for clients that cannot send headers. The operator may have disabled it.
    token: Option<String>,
}

/// The answer of a long poll.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes what `answer` writes around frames that are serialised already"
)]
pub(crate) struct EventsBody {
    /// Where to resume with the next request.
    cursor: Option<String>,
    /// The frames of the stream since the cursor of the request: `snapshot`, `resumed`, `event`, `gap`, `estimate`
    /// and `closing`, as in docs/events.schema.json. Empty when nothing happened.
    #[schema(value_type = Vec<Object>)]
    frames: Vec<String>,
}

/// Follow your jobs as server-sent events (`Accept: text/event-stream`), or by long polling.
///
/// Each message has the type of its frame as `event`, the cursor as `id`, and the frame as `data`. The stream ends with
/// an `error` message when the access token expires; reconnect with a fresh one and `Last-Event-ID`.
#[utoipa::path(get, path = "/events", tag = "events", security(("bearer" = [])),
    params(EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "Where to resume; wins over `cursor`.")),
    responses(
        (status = 200, description = "The answer of a long poll, or the stream", content(
            (EventsBody = "application/json"), (String = "text/event-stream"))),
        (status = 401, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn events(
    State(app): State<App>,
    client: ClientAddress,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<EventsQuery>,
) -> Result<Response, ApiError> {
    let filter = FilterBody::new(parse_job_ids(query.job_id.as_deref())?, query.batch_id);
    let filter = filter.parse().map_err(|_| too_many_jobs())?;
    let wait = parse_wait(query.wait)?;
    let credential = CredentialQuery::new(query.token, query.ticket);
    let user = app.watching_user(credential, &headers).await?;
    let permit = app.acquire_socket(user.user_id, client)?;
    let last_id = headers.get(LAST_EVENT_ID);
    let last_id = last_id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
    let cursor = last_id.or(query.cursor);
    let base = app.public_url.base(&headers);
    let begin = Watcher::begin(&app, user.user_id, base, filter, cursor.as_deref());
    let watcher = begin.await?;
    let following = Following {
        access_ends_at: Instant::now() + user.expires_at.since(app.now()),
        session: app.session_ends.watch(user.session_id),
        watcher,
        app,
        _permit: permit,
    };
    if wants_stream(&headers) {
        return Ok(stream_response(following));
    }
    following.poll(wait).await
}

impl AppState {
    /// The user of a request for events: from its query, or from its bearer token.
    async fn watching_user(
        &self,
        query: CredentialQuery,
        headers: &HeaderMap,
    ) -> Result<WatchingUser, ApiError> {
        match query.in_query(self)? {
            Some(credential) => self.authenticate_watcher(&credential).await,
            None => Ok(CurrentUser::of_bearer(self, headers).await?.into()),
        }
    }
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("text/event-stream"))
}

fn parse_job_ids(list: Option<&str>) -> Result<Option<Vec<Uuid>>, ApiError> {
    let Some(list) = list else { return Ok(None) };
    let ids = list.split(',').map(|id| id.trim().parse());
    let ids: Result<Vec<Uuid>, _> = ids.collect();
    let invalid = |_| invalid_query("job_id", text!("invalid-id"));
    ids.map(Some).map_err(invalid)
}

fn too_many_jobs() -> ApiError {
    let text = text!("socket-filter-too-long", most = MAX_FILTER_JOBS);
    invalid_query("job_id", text)
}

fn parse_wait(wait: Option<u64>) -> Result<Duration, ApiError> {
    let wait = wait.unwrap_or(DEFAULT_WAIT_S);
    if wait > MAX_WAIT_S {
        let text = text!("invalid-wait", most = MAX_WAIT_S);
        return Err(invalid_query("wait", text));
    }
    Ok(Duration::from_secs(wait))
}

/// A client that receives a stream or waits for the answer of a poll.
struct Following {
    app: App,
    watcher: Watcher,
    session: SessionWatch,
    access_ends_at: Instant,
    _permit: SocketPermit,
}

/// What a stream sends next.
enum Next {
    Frame(Frame),
    /// The server shuts down.
    Closing,
    /// The session, the token or the stream has ended.
    Ended(ApiError),
}

impl Following {
    /// Cancel safe.
    async fn next(&mut self) -> Next {
        tokio::select! {
            biased;
            () = self.app.draining.cancelled() => Next::Closing,
            () = self.session.ended() => Next::Ended(ApiError::InvalidToken),
            () = sleep_until(self.access_ends_at) => Next::Ended(ApiError::TokenExpired),
            frame = self.watcher.next() => match frame {
                Ok(frame) => Next::Frame(frame),
                Err(error) => Next::Ended(error.into()),
            },
        }
    }

    /// The connection takes the frame at once.
    fn trace(&self, frame: &Frame, transport: Transport) {
        if let Some(event) = frame.event {
            self.app.trace_delivered(event, transport);
        }
    }

    fn closing(&self) -> ServerFrame {
        ServerFrame::closing(self.app.sockets.open())
    }

    /// Waits for the first news and returns all frames that are there then.
    async fn poll(mut self, wait: Duration) -> Result<Response, ApiError> {
        // Well within the time limit of a request.
        let limit = self.app.settings.timeouts.request / 2;
        let deadline = Instant::now() + wait.min(limit);
        let mut frames: Vec<String> = Vec::new();
        let mut has_news = false;
        while frames.len() < MAX_FRAMES {
            let next = if has_news {
                self.next().now_or_never()
            } else {
                timeout_at(deadline, self.next()).await.ok()
            };
            match next {
                None => break,
                Some(Next::Frame(frame)) => {
                    has_news |= frame.name != "resumed";
                    self.trace(&frame, Transport::LongPoll);
                    frames.push(frame.json);
                }
                Some(Next::Closing) => {
                    frames.push(self.closing().to_json());
                    has_news = true;
                    break;
                }
                // What was received before is answered first.
                Some(Next::Ended(_)) if has_news => break,
                Some(Next::Ended(error)) => return Err(error),
            }
        }
        if !has_news {
            frames.clear();
        }
        Ok(answer(self.watcher.cursor(), &frames))
    }
}

/// Writes an [`EventsBody`] around frames that are JSON already.
fn answer(cursor: Option<Cursor>, frames: &[String]) -> Response {
    let cursor = cursor.map_or("null".to_owned(), |cursor| format!("\"{cursor}\""));
    let frames = frames.join(",");
    let body = format!(r#"{{"cursor":{cursor},"frames":[{frames}]}}"#);
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

impl From<WatchError> for ApiError {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Store(error) => error.into(),
            WatchError::AccountDeleted => Self::InvalidToken,
            WatchError::HubEnded => Self::Unavailable,
        }
    }
}

fn stream_response(following: Following) -> Response {
    let sse = Sse::new(messages(following));
    let sse = sse.keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("ping"));
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Keeps nginx from buffering the stream.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (headers, sse).into_response()
}

/// One message per frame; ends after the last frame. It is polled only as the client reads, so a slow client holds no
/// more than one frame.
fn messages(following: Following) -> impl Stream<Item = Result<SseEvent, Infallible>> {
    let first = Some((following, SseEvent::default().retry(RETRY)));
    stream::unfold(first, |state| async {
        let (mut following, message) = state?;
        match following.next().await {
            Next::Frame(frame) => {
                following.trace(&frame, Transport::ServerSentEvents);
                let mut message = message.event(frame.name).data(frame.json);
                if let Some(cursor) = frame.cursor {
                    message = message.id(cursor.to_string());
                }
                Some((Ok(message), Some((following, SseEvent::default()))))
            }
            Next::Closing => Some((Ok(last(message, &following.closing())), None)),
            Next::Ended(error) => Some((Ok(last(message, &error_frame(&error))), None)),
        }
    })
}

fn last(message: SseEvent, frame: &ServerFrame) -> SseEvent {
    message.event(frame.name()).data(frame.to_json())
}
