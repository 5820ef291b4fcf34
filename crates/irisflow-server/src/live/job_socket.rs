//! `GET /ws/jobs/{job_id}?token=`: one job, live. Progress frames, one final frame, close.
//!
//! The token must be valid when the socket opens: its clients never refresh one. After that the socket
//! lives as long as the session does (logout, a disabled account and deletion end it), and no longer than
//! its limit.
//!
//! Refusals accept the upgrade, send one frame that says why, and close, since a browser cannot read
//! the answer to a refused upgrade.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use irisflow_jobs::{ErrorType, Event, EventKind, JobId, StoreError, Timestamp};
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

/// Small buffers: a frame is a few hundred bytes, and there may be many sockets.
const SOCKET_BUFFER: usize = 4 * 1024;
/// Clients have nothing to say here.
const MOST_FROM_CLIENT: usize = 4 * 1024;
/// A reader that takes no frame for this long is closed.
const SLOWEST_READER: Duration = Duration::from_secs(10);

const CODE_SLOW: u16 = 4408;

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
        .read_buffer_size(SOCKET_BUFFER)
        .write_buffer_size(SOCKET_BUFFER)
        // Judged by its header, before any of its bytes is kept.
        .max_frame_size(MOST_FROM_CLIENT)
        .max_message_size(MOST_FROM_CLIENT)
        .on_upgrade(move |socket| {
            let watching = async move {
                let _counted = OpenSocket::counted();
                let mut connection = Connection {
                    app: &app,
                    socket,
                    client,
                    base,
                    standing: None,
                    told: None,
                    pixels: None,
                };
                let ending = if origin_allowed {
                    connection.run(&job_id, query.token.as_deref()).await
                } else {
                    Ending::foreign_origin()
                };
                connection.end(ending).await;
            };
            // Its log lines carry the id of the request that opened it.
            watching.in_current_span()
        })
}

/// How a socket ends.
enum Ending {
    /// A last frame, if any, then a close with this code and reason.
    Close {
        frame: Option<Box<ErrorFrame>>,
        code: u16,
        reason: &'static str,
    },
    /// The client has gone; nothing more can be said.
    Gone,
}

impl Ending {
    fn refused(frame: ErrorFrame) -> Self {
        let reason = frame.error;
        Self::Close {
            frame: Some(Box::new(frame)),
            code: close_code::POLICY,
            reason,
        }
    }

    fn told(frame: ErrorFrame) -> Self {
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

    /// The job is unknown, or somebody else's: the answers are the same to the letter.
    fn unknown_job(job_id: &str) -> Self {
        let shown: String = job_id.chars().take(64).collect();
        let detail = format!("No job with ID {shown}");
        Self::refused(
            ErrorFrame::new("Job not found", detail, "job_not_found").failed(
                ErrorType::QualityIssue,
                "This picture is not here.",
                "It may have been deleted. Take a new photo to make another one.",
            ),
        )
    }

    fn foreign_origin() -> Self {
        let detail = "This page may not open this socket.";
        Self::refused(
            ErrorFrame::new("Origin not allowed", detail, "origin_not_allowed").failed(
                ErrorType::ServerError,
                "This page may not show this picture.",
                "Open the picture on the server's own page.",
            ),
        )
    }

    fn timed_out() -> Self {
        Self::told(ErrorFrame::new(
            "Connection timeout",
            "Maximum connection time exceeded. Job continues in background.",
            "connection_timeout",
        ))
    }

    fn trouble() -> Self {
        let frame = ErrorFrame::new(
            "Internal server error",
            "The service cannot say more at the moment. Connect again shortly.",
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
        tracing::error!(%error, "a socket could not read its job");
        Self::trouble()
    }
}

impl From<ApiError> for Ending {
    fn from(error: ApiError) -> Self {
        let sign_in_again = |frame: ErrorFrame| {
            frame.failed(
                ErrorType::TransientError,
                "Your sign-in has ended. Your picture goes on without you.",
                "Sign in again to see it.",
            )
        };
        Self::refused(match error {
            ApiError::NotAuthenticated => sign_in_again(ErrorFrame::new(
                "Authentication required",
                "Token missing from query parameters",
                "not_authenticated",
            )),
            ApiError::TokenExpired => sign_in_again(ErrorFrame::new(
                "Token expired",
                "Refresh the access token and connect again.",
                "token_expired",
            )),
            ApiError::InvalidToken => sign_in_again(ErrorFrame::new(
                "Could not validate credentials",
                "The token is not valid, or its session has ended.",
                "invalid_token",
            )),
            ApiError::AccountInactive => ErrorFrame::new(
                "User account is inactive",
                "Ask the operator of this server.",
                "account_inactive",
            )
            .failed(
                ErrorType::ServerError,
                "This account has been switched off.",
                "Please ask the people who run this server.",
            ),
            ApiError::RateLimited { .. } => {
                ErrorFrame::new("Too many requests", error.detail(), "rate_limited")
            }
            ApiError::TooManySockets { .. } => {
                ErrorFrame::new("Too many sockets", error.detail(), "too_many_sockets")
            }
            _ => return Self::trouble(),
        })
    }
}

struct Connection<'a> {
    app: &'a AppState,
    socket: WebSocket,
    client: ClientAddress,
    base: BaseUrl,
    /// How the job stood in the last frame sent.
    standing: Option<JobStatusFields>,
    /// The newest event that was told, with what was said of the time to come.
    told: Option<(Event, EstimateBody)>,
    /// Of the photo, when known.
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
        let _place = match self.app.enter_socket(user.id(), self.client) {
            Ok(place) => place,
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

    /// Tells the job's events until its end, or until the socket has to end first.
    async fn follow(&mut self, watch: &mut JobWatch, user: &CurrentUser) -> Ending {
        let app = self.app;
        let begun = Instant::now();
        let limit = begun + app.settings.socket_limit;
        // Keeps proxies from cutting an idle connection, and finds peers that are gone.
        let mut ping = begun + app.settings.socket_ping;
        let mut awaits_pong = false;
        let mut session_check = begun + app.settings.session_check;
        let mut look = begun + app.settings.outlook_interval;
        loop {
            tokio::select! {
                next = watch.next(&*app.parts.timeline) => match next {
                    Ok(Next::Tell(event)) => {
                        let event = app.event_with_stored_result(*event).await;
                        if let Some(ending) = self.tell(&event).await {
                            return ending;
                        }
                    }
                    Ok(Next::SessionEnded) => return Ending::from(ApiError::InvalidToken),
                    Err(error) => return error.into(),
                },
                from_client = self.socket.recv() => match from_client {
                    // Pings are answered by the library; nothing else has a meaning here.
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ending::Gone,
                    Some(Ok(_)) => awaits_pong = false,
                },
                () = sleep_until(ping) => {
                    if awaits_pong {
                        return Ending::Gone;
                    }
                    awaits_pong = true;
                    if self.send(Message::Ping(bytes::Bytes::new())).await.is_err() {
                        return Ending::Gone;
                    }
                    ping = Instant::now() + app.settings.socket_ping;
                }
                () = sleep_until(look) => {
                    if let Some(ending) = self.tell_changed_outlook().await {
                        return ending;
                    }
                    look = Instant::now() + app.settings.outlook_interval;
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

    /// Sends one event. `Some` when it was the last.
    async fn tell(&mut self, event: &Event) -> Option<Ending> {
        self.standing = Some(JobStatusFields::of(event));
        if event.kind == EventKind::Deleted {
            return Some(Ending::told(ErrorFrame::deleted()));
        }
        let estimate = self.app.estimate_of_event(event, self.pixels).await;
        self.show(event.clone(), estimate, event.at).await
    }

    /// Tells the newest event again when the place in the queue, its reason or the pace has changed.
    async fn tell_changed_outlook(&mut self) -> Option<Ending> {
        let (event, before) = self.told.as_ref()?;
        let estimate = self.app.recent_estimate_of_event(event, self.pixels).await;
        if estimate.says_the_same_as(before) {
            return None;
        }
        let event = event.clone();
        self.show(event, estimate, self.app.now()).await
    }

    /// Sends a frame. `Some` when it was the last.
    async fn show(
        &mut self,
        event: Event,
        estimate: EstimateBody,
        at: Timestamp,
    ) -> Option<Ending> {
        let frame = self.app.job_frame(&event, &estimate, at, &self.base);
        let is_final = event.kind.is_final();
        self.told = Some((event, estimate));
        match self.send(Message::Text(frame.into())).await {
            Ok(()) => is_final.then(Ending::done),
            Err(Slow::Stalled) => Some(Ending::Close {
                frame: None,
                code: CODE_SLOW,
                reason: "too slow",
            }),
            Err(Slow::Gone) => Some(Ending::Gone),
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Slow> {
        match timeout(SLOWEST_READER, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Slow::Gone),
            Err(_) => Err(Slow::Stalled),
        }
    }

    async fn end(mut self, ending: Ending) {
        let Ending::Close {
            frame,
            code,
            reason,
        } = ending
        else {
            return;
        };
        if let Some(mut frame) = frame {
            if let Some(standing) = self.standing.take() {
                *frame = frame.with(standing.at(self.app.now()));
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
        // Wait for the peer's own close, so that the last frame is not lost to a reset.
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

enum Slow {
    Stalled,
    Gone,
}

impl AppState {
    /// A page of another site must not speak for its visitor. Programs send no `Origin`.
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
