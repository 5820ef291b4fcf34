//! WebSocket of one job, `GET /ws/jobs/{job_id}?token=`: progress frames, one final frame, then close.
//!
//! The access token is checked once, when the socket opens, since clients cannot refresh it later. After that
//! the socket stays open until its session ends (logout, a disabled or deleted account) or until the time
//! limit of a socket (`socket_limit`). The ping interval is `ServerSettings::socket_ping`.

use axum::extract::Path;
use axum::extract::ws::{Utf8Bytes, close_code};
use axum::response::Response;
use irisflow_jobs::{ErrorType, Event, EventKind, JobId, StoreError, TracedEvent, Transport};
use irisflow_messages::{advice, text};
use tokio::time::{Instant, sleep_until};

use super::credentials::{Credential, WatchingUser};
use super::frames::{ErrorFrame, JobFrameText, JobStatusFields};
use super::hub::EstimateWatch;
use super::socket_request::{Opener, Rejected, SocketRequest};
use super::watch_job::{JobWatch, Next};
use super::web_socket::LiveSocket;
use crate::app::App;
use crate::error::ApiError;
use crate::estimates::{EstimateBody, pixels_of};

/// Maximum size of a message from the client, in bytes. No such message has a meaning here.
const MAX_CLIENT_MESSAGE_BYTES: usize = 4 * 1024;

pub(crate) async fn job_socket(Path(job_id): Path<String>, request: SocketRequest) -> Response {
    request.accept(
        MAX_CLIENT_MESSAGE_BYTES,
        // No `async` closure, whose arguments would be in the task twice.
        move |socket, opener, credential| {
            let mut connection = Connection {
                socket,
                opener,
                job_status: None,
                last_sent: None,
                pixels: None,
            };
            async move {
                let ending = match credential {
                    Ok(credential) => connection.run(&job_id, credential).await,
                    Err(rejected) => rejected.into(),
                };
                Box::pin(connection.end(ending)).await;
            }
        },
    )
}

type Ending = super::web_socket::Ending<Box<ErrorFrame>>;

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
            ApiError::TokenInUrl => ErrorFrame::new(
                "Token not allowed in URL",
                error.text(),
                "token_in_url_disabled",
            ),
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

impl From<Rejected> for Ending {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::ForeignOrigin => Self::foreign_origin(),
            Rejected::Credential(error) => error.into(),
        }
    }
}

struct Connection {
    socket: LiveSocket,
    opener: Opener,
    /// The state of the job in the frame sent last.
    job_status: Option<JobStatusFields>,
    /// The event and the estimate in the frame sent last.
    last_sent: Option<(Event, EstimateBody)>,
    /// Number of pixels of the photo, when known.
    pixels: Option<u64>,
}

impl Connection {
    async fn run(&mut self, job_id: &str, credential: Option<Credential>) -> Ending {
        let Some(credential) = credential else {
            return ApiError::NotAuthenticated.into();
        };
        let user = match Box::pin(self.opener.app.authenticate_watcher(&credential)).await {
            Ok(user) => user,
            Err(error) => return error.into(),
        };
        let _permit = match self
            .opener
            .app
            .acquire_socket(user.user_id, self.opener.client)
        {
            Ok(permit) => permit,
            Err(error) => return error.into(),
        };
        let Ok(parsed) = job_id.parse::<JobId>() else {
            return Ending::unknown_job(job_id);
        };
        match JobWatch::begin(&self.opener.app, user.user_id, user.session_id, parsed).await {
            Ok(Some(mut watch)) => match self.follow(&mut watch, &user, parsed).await {
                Ok(ending) => ending,
                Err(error) => error.into(),
            },
            Ok(None) => Ending::unknown_job(job_id),
            Err(error) => error.into(),
        }
    }

    /// Sends the events of the job until its final event, or until the socket has to be closed.
    async fn follow(
        &mut self,
        watch: &mut JobWatch,
        user: &WatchingUser,
        job_id: JobId,
    ) -> Result<Ending, StoreError> {
        let app = App::clone(&self.opener.app);
        let app = &app;
        let session = app.session_ends.watch(user.session_id);
        // An ended job needs no estimates.
        let mut estimates = None;
        if !watch.has_ended {
            let photo = app.parts.photos.photo(user.user_id, watch.photo_id).await?;
            self.pixels = photo.as_ref().and_then(pixels_of);
            let hubs = &app.hubs;
            let joined = hubs.watch_estimate(app, user.user_id, &self.opener.base, job_id);
            estimates = Some(Box::pin(joined).await?);
        }
        let begun = Instant::now();
        let limit = begun + app.settings.socket_limit;
        // Pings keep proxies from closing an idle connection and detect clients that have vanished.
        let mut ping = app.pings.next();
        loop {
            tokio::select! {
                next = watch.next(&*app.parts.timeline) => match next? {
                    Next::Event(event) => {
                        let event = Box::pin(app.event_with_verified_result(*event)).await;
                        // Boxed, as what follows: most sockets are idle, and their tasks should be small.
                        if let Some(ending) = Box::pin(self.send_event(watch, event)).await {
                            return Ok(ending);
                        }
                    }
                    Next::SessionEnded => return Ok(Ending::from(ApiError::InvalidToken)),
                },
                from_client = self.socket.receive() => if from_client.is_none() {
                    return Ok(Ending::Disconnected);
                },
                () = sleep_until(ping.min(limit)) => {
                    if Instant::now() >= limit {
                        return Ok(Ending::timed_out());
                    }
                    if Box::pin(self.socket.ping()).await.is_err() {
                        return Ok(Ending::Disconnected);
                    }
                    ping = app.pings.next();
                }
                estimate = changed(&mut estimates) => {
                    if let Some(ending) = Box::pin(self.send_changed_estimate(estimate)).await {
                        return Ok(ending);
                    }
                }
                () = session.ended() => return Ok(Ending::from(ApiError::InvalidToken)),
                () = app.draining.cancelled() => {
                    let code = close_code::RESTART;
                    return Ok(Ending::Close { frame: None, code, reason: "restarting" });
                }
            }
        }
    }

    /// Sends the frame of one event. `Some` when the socket is to be closed: the event was final, or sending
    /// failed.
    async fn send_event(&mut self, watch: &JobWatch, event: Event) -> Option<Ending> {
        self.job_status = Some(JobStatusFields::of(&event));
        if event.kind == EventKind::Deleted {
            return Some(Ending::closed_normally(ErrorFrame::deleted()));
        }
        let shared = watch.shared_frame(event.seq, &self.opener.base);
        let make = || async {
            let estimate = self.opener.app.estimate_of_event(&event, self.pixels).await;
            let json = self
                .opener
                .app
                .job_frame(&event, &estimate, event.at, &self.opener.base);
            JobFrameText {
                estimate,
                json: json.into(),
            }
        };
        let frame = shared.get_or_init(make).await;
        let (json, estimate) = (frame.json.clone(), frame.estimate.clone());
        self.send_frame(event, estimate, json).await
    }

    /// Sends the last event again when its queue position, its reason for waiting or `slower_than_usual` has
    /// changed.
    async fn send_changed_estimate(&mut self, estimate: EstimateBody) -> Option<Ending> {
        let (event, before) = self.last_sent.as_ref()?;
        if estimate.is_equivalent_to(before) {
            return None;
        }
        let now = self.opener.app.now();
        let event = event.clone();
        let json = self
            .opener
            .app
            .job_frame(&event, &estimate, now, &self.opener.base);
        self.send_frame(event, estimate, json.into()).await
    }

    /// Sends a frame. `Some` when the socket is to be closed: the event was final, or sending failed.
    async fn send_frame(
        &mut self,
        event: Event,
        estimate: EstimateBody,
        json: Utf8Bytes,
    ) -> Option<Ending> {
        let sent = TracedEvent::from(&event);
        let before = self.last_sent.replace((event, estimate));
        if let Err(error) = self.socket.send_text(json).await {
            return Some(error.into());
        }
        if before.is_none_or(|(event, _)| event.seq != sent.seq) {
            let app = &self.opener.app;
            app.trace_delivered(sent, Transport::WebSocket);
        }
        sent.kind.is_final().then(Ending::done)
    }

    /// The last frame has the state of the job.
    async fn end(&mut self, ending: Ending) {
        let job_status = self.job_status.take();
        let now = self.opener.app.now();
        let ending = ending.map(|mut frame| {
            if let Some(job_status) = job_status {
                *frame = frame.with_job_status(job_status.with_timestamp(now));
            }
            frame.to_json()
        });
        self.socket.end(ending).await;
    }
}

/// Waits for a changed estimate, or for ever without any.
async fn changed(estimates: &mut Option<EstimateWatch>) -> EstimateBody {
    match estimates {
        Some(estimates) => estimates.changed().await,
        None => std::future::pending().await,
    }
}
