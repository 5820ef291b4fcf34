//! WebSocket of one job, `GET /ws/jobs/{job_id}?token=`: progress frames, one final frame, then close.
//!
//! The access token is checked once, when the socket opens, since clients cannot refresh it later. After that
//! the socket stays open until its session ends (logout, a disabled or deleted account) or until the time
//! limit of a socket (`socket_limit`). The ping interval is `ServerSettings::socket_ping`.
//!
//! To reject a client, the server accepts the upgrade, sends one frame with the reason, and closes: a browser
//! cannot read the response to a failed upgrade.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use irisflow_jobs::{ErrorType, Event, EventKind, JobId, StoreError, Timestamp};
use irisflow_messages::{advice, text};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument as _;

use super::frames::{ErrorFrame, JobStatusFields};
use super::watch_job::{JobWatch, Next};
use crate::app::{App, AppState};
use crate::auth::CurrentUser;
use crate::client_address::ClientAddress;
use crate::error::ApiError;
use crate::estimates::{EstimateBody, pixels_of};
use crate::metrics::OpenSocket;
use crate::public_url::BaseUrl;

/// Read and write buffer in bytes. Small, since a frame has a few hundred bytes and there may be many sockets.
const BUFFER_BYTES: usize = 4 * 1024;
/// Maximum size of a message from the client, in bytes. No such message has a meaning here.
const MAX_CLIENT_MESSAGE_BYTES: usize = 4 * 1024;
/// Timeout for sending one message, after which a slow client is disconnected.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Close code for a client that reads too slowly (4000 to 4999 are for private use, RFC 6455 section 7.4.2).
const CLOSE_CODE_TOO_SLOW: u16 = 4408;

#[derive(Deserialize)]
pub(crate) struct SocketQuery {
    token: Option<String>,
}

pub(crate) async fn job_socket(
    State(app): State<App>,
    Path(job_id): Path<String>,
    Query(query): Query<SocketQuery>,
    client: ClientAddress,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let base = app.public_url.base(&headers);
    let origin_allowed = app.origin_allowed(&headers);
    upgrade
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        // Frames that are too large are rejected by their header, before their payload is buffered.
        .max_frame_size(MAX_CLIENT_MESSAGE_BYTES)
        .max_message_size(MAX_CLIENT_MESSAGE_BYTES)
        .on_upgrade(move |socket| {
            let session = async move {
                let _open_sockets_gauge = OpenSocket::counted();
                let mut connection = Connection {
                    app: &app,
                    socket,
                    client,
                    base,
                    job_status: None,
                    last_sent: None,
                    pixels: None,
                };
                let ending = if origin_allowed {
                    connection.run(&job_id, query.token.as_deref()).await
                } else {
                    Ending::foreign_origin()
                };
                connection.close(ending).await;
            };
            // So that the log lines of the socket have the id of the request that opened it.
            session.in_current_span()
        })
}

/// How a socket ends.
enum Ending {
    /// Sends the frame, if any, then a close frame with this code and reason.
    Close {
        frame: Option<Box<ErrorFrame>>,
        code: u16,
        reason: &'static str,
    },
    /// The client has disconnected: nothing is sent.
    Disconnected,
}

impl Ending {
    fn rejected(frame: ErrorFrame) -> Self {
        let reason = frame.error;
        Self::Close {
            frame: Some(Box::new(frame)),
            code: close_code::POLICY,
            reason,
        }
    }

    fn closed_normally(frame: ErrorFrame) -> Self {
        let reason = frame.error;
        Self::Close {
            frame: Some(Box::new(frame)),
            code: close_code::NORMAL,
            reason,
        }
    }

    fn done() -> Self {
        Self::Close {
            frame: None,
            code: close_code::NORMAL,
            reason: "done",
        }
    }

    /// For a job that does not exist or belongs to another account: the same answer, so that a client cannot
    /// find out which ids exist.
    fn unknown_job(job_id: &str) -> Self {
        let shown: String = job_id.chars().take(64).collect();
        let detail = text!("socket-job-not-found", job = shown);
        Self::rejected(
            ErrorFrame::new("Job not found", detail, "job_not_found")
                .failed(ErrorType::QualityIssue, &advice!("end-unknown-job")),
        )
    }

    fn foreign_origin() -> Self {
        let detail = text!("socket-origin-not-allowed");
        Self::rejected(
            ErrorFrame::new("Origin not allowed", detail, "origin_not_allowed")
                .failed(ErrorType::ServerError, &advice!("end-foreign-origin")),
        )
    }

    fn timed_out() -> Self {
        Self::closed_normally(ErrorFrame::new(
            "Connection timeout",
            text!("socket-timeout"),
            "connection_timeout",
        ))
    }

    fn internal_error() -> Self {
        let frame = ErrorFrame::new(
            "Internal server error",
            text!("socket-internal"),
            "internal",
        );
        Self::Close {
            frame: Some(Box::new(frame)),
            code: close_code::AGAIN,
            reason: "try again",
        }
    }
}

impl From<StoreError> for Ending {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "could not read the job of a socket from the store");
        Self::internal_error()
    }
}

impl From<ApiError> for Ending {
    fn from(error: ApiError) -> Self {
        let sign_in_again =
            |frame: ErrorFrame| frame.failed(ErrorType::TransientError, &advice!("end-signed-out"));
        Self::rejected(match error {
            ApiError::NotAuthenticated => sign_in_again(ErrorFrame::new(
                "Authentication required",
                text!("socket-token-missing"),
                "not_authenticated",
            )),
            ApiError::TokenExpired => sign_in_again(ErrorFrame::new(
                "Token expired",
                text!("socket-token-expired"),
                "token_expired",
            )),
            ApiError::InvalidToken => sign_in_again(ErrorFrame::new(
                "Could not validate credentials",
                text!("socket-token-invalid"),
                "invalid_token",
            )),
            ApiError::AccountInactive => ErrorFrame::new(
                "User account is inactive",
                text!("socket-account-inactive"),
                "account_inactive",
            )
            .failed(ErrorType::ServerError, &advice!("end-account-inactive")),
            ApiError::RateLimited { .. } => {
                ErrorFrame::new("Too many requests", error.text(), "rate_limited")
            }
            ApiError::TooManySockets { .. } => {
                ErrorFrame::new("Too many sockets", error.text(), "too_many_sockets")
            }
            _ => return Self::internal_error(),
        })
    }
}

struct Connection<'a> {
    app: &'a AppState,
    socket: WebSocket,
    client: ClientAddress,
    base: BaseUrl,
    /// The state of the job in the frame sent last.
    job_status: Option<JobStatusFields>,
    /// The event and the estimate in the frame sent last.
    last_sent: Option<(Event, EstimateBody)>,
    /// Number of pixels of the photo, when known.
    pixels: Option<u64>,
}

impl Connection<'_> {
    async fn run(&mut self, job_id: &str, token: Option<&str>) -> Ending {
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return ApiError::NotAuthenticated.into();
        };
        let user = match self.app.authenticate(token).await {
            Ok(user) => user,
            Err(error) => return error.into(),
        };
        let _permit = match self.app.acquire_socket(user.id(), self.client) {
            Ok(permit) => permit,
            Err(error) => return error.into(),
        };
        let Ok(parsed) = job_id.parse::<JobId>() else {
            return Ending::unknown_job(job_id);
        };
        match JobWatch::begin(self.app, user.id(), user.session_id, parsed).await {
            Ok(Some(mut watch)) => {
                match self.app.parts.photos.photo(user.id(), watch.photo_id).await {
                    Ok(photo) => self.pixels = photo.as_ref().and_then(pixels_of),
                    Err(error) => return error.into(),
                }
                self.follow(&mut watch, &user).await
            }
            Ok(None) => Ending::unknown_job(job_id),
            Err(error) => error.into(),
        }
    }

    /// Sends the events of the job until its final event, or until the socket has to be closed.
    async fn follow(&mut self, watch: &mut JobWatch, user: &CurrentUser) -> Ending {
        let app = self.app;
        let begun = Instant::now();
        let limit = begun + app.settings.socket_limit;
        // Pings keep proxies from closing an idle connection and detect clients that have vanished.
        let mut ping = begun + app.settings.socket_ping;
        let mut awaits_pong = false;
        let mut session_check = begun + app.settings.session_check;
        let mut estimate_check = begun + app.settings.estimate_interval;
        loop {
            tokio::select! {
                next = watch.next(&*app.parts.timeline) => match next {
                    Ok(Next::Event(event)) => {
                        let event = app.event_with_verified_result(*event).await;
                        if let Some(ending) = self.send_event(&event).await {
                            return ending;
                        }
                    }
                    Ok(Next::SessionEnded) => return Ending::from(ApiError::InvalidToken),
                    Err(error) => return error.into(),
                },
                from_client = self.socket.recv() => match from_client {
                    // The library answers pings; other messages have no meaning here.
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ending::Disconnected,
                    Some(Ok(_)) => awaits_pong = false,
                },
                () = sleep_until(ping) => {
                    if awaits_pong {
                        return Ending::Disconnected;
                    }
                    awaits_pong = true;
                    if self.send(Message::Ping(bytes::Bytes::new())).await.is_err() {
                        return Ending::Disconnected;
                    }
                    ping = Instant::now() + app.settings.socket_ping;
                }
                () = sleep_until(estimate_check) => {
                    if let Some(ending) = self.send_changed_estimate().await {
                        return ending;
                    }
                    estimate_check = Instant::now() + app.settings.estimate_interval;
                }
                () = sleep_until(limit) => return Ending::timed_out(),
                () = sleep_until(session_check) => {
                    match app.parts.accounts.session(user.session_id).await {
                        Ok(Some(_)) => session_check = Instant::now() + app.settings.session_check,
                        Ok(None) => return Ending::from(ApiError::InvalidToken),
                        Err(error) => return error.into(),
                    }
                }
                () = app.draining.cancelled() => {
                    let code = close_code::RESTART;
                    return Ending::Close { frame: None, code, reason: "restarting" };
                }
            }
        }
    }

    /// Sends the frame of one event. `Some` when the socket is to be closed: the event was final, or sending
    /// failed.
    async fn send_event(&mut self, event: &Event) -> Option<Ending> {
        self.job_status = Some(JobStatusFields::of(event));
        if event.kind == EventKind::Deleted {
            return Some(Ending::closed_normally(ErrorFrame::deleted()));
        }
        let estimate = self.app.estimate_of_event(event, self.pixels).await;
        self.send_frame(event.clone(), estimate, event.at).await
    }

    /// Sends the last event again when its queue position, its reason for waiting or `slower_than_usual` has
    /// changed.
    async fn send_changed_estimate(&mut self) -> Option<Ending> {
        let (event, before) = self.last_sent.as_ref()?;
        let estimate = self.app.recent_estimate_of_event(event, self.pixels).await;
        if estimate.is_equivalent_to(before) {
            return None;
        }
        let event = event.clone();
        self.send_frame(event, estimate, self.app.now()).await
    }

    /// Sends a frame. `Some` when the socket is to be closed: the event was final, or sending failed.
    async fn send_frame(
        &mut self,
        event: Event,
        estimate: EstimateBody,
        timestamp: Timestamp,
    ) -> Option<Ending> {
        let frame = self.app.job_frame(&event, &estimate, timestamp, &self.base);
        let is_final = event.kind.is_final();
        self.last_sent = Some((event, estimate));
        match self.send(Message::Text(frame.into())).await {
            Ok(()) => is_final.then(Ending::done),
            Err(SendError::Timeout) => Some(Ending::Close {
                frame: None,
                code: CLOSE_CODE_TOO_SLOW,
                reason: "too slow",
            }),
            Err(SendError::Disconnected) => Some(Ending::Disconnected),
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), SendError> {
        match timeout(SEND_TIMEOUT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SendError::Disconnected),
            Err(_) => Err(SendError::Timeout),
        }
    }

    /// Sends the last frame and the close frame, then waits for the close frame of the client.
    async fn close(mut self, ending: Ending) {
        let Ending::Close {
            frame,
            code,
            reason,
        } = ending
        else {
            return;
        };
        if let Some(mut frame) = frame {
            if let Some(job_status) = self.job_status.take() {
                *frame = frame.with_job_status(job_status.with_timestamp(self.app.now()));
            }
            let text = Message::Text(frame.to_json().into());
            if self.send(text).await.is_err() {
                return;
            }
        }
        let close = CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        };
        if self.send(Message::Close(Some(close))).await.is_err() {
            return;
        }
        // Closing the TCP connection while data of the client is unread resets it, and the client may then lose
        // the last frame: wait for its close frame first.
        let _ = timeout(Duration::from_secs(2), async {
            while let Some(Ok(message)) = self.socket.recv().await {
                if matches!(message, Message::Close(_)) {
                    break;
                }
            }
        })
        .await;
    }
}

enum SendError {
    Timeout,
    Disconnected,
}

impl AppState {
    /// Whether the `Origin` of the request may open a socket. It protects users against pages of other sites
    /// (cross-site WebSocket hijacking). Clients that are not browsers send no `Origin` and are allowed.
    fn origin_allowed(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return true;
        };
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        self.public_url.is_own_origin(origin, headers)
            || self
                .settings
                .allowed_origins
                .iter()
                .any(|allowed| allowed.as_str() == origin)
    }
}
