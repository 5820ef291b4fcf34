//! WebSocket of all jobs of a user, `GET /ws`. The client's first frame says where to resume and which jobs to follow;
//! then the frames of the user's stream are sent until the client leaves, its session ends, or its token expires
//! without a fresh one.

use std::time::Duration;

use axum::extract::ws::close_code;
use axum::response::Response;
use irisflow_jobs::{ErrorType, Transport, WatchFilter};
use irisflow_messages::{advice, text};
use tokio::time::{Instant, sleep_until, timeout};

use super::client_frames::{ClientFrame, FilterBody, MAX_FILTER_JOBS};
use super::credentials::{Credential, WatchingUser};
use super::session_ends::SessionWatch;
use super::socket_request::{Opener, Rejected, SocketRequest};
use super::user_frames::ServerFrame;
use super::user_stream::Frame;
use super::watcher::{WatchError, Watcher};
use super::web_socket::{LiveSocket, Received};
use crate::app::App;
use crate::error::ApiError;
use crate::usage_limits::SocketPermit;

/// Maximum size of a message from the client: a first frame with a token and a long filter.
const MAX_CLIENT_MESSAGE_BYTES: usize = 16 * 1024;
/// Time for the first frame.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long before its expiry a fresh token is requested.
const TOKEN_WARNING: Duration = Duration::from_secs(60);
/// When a client whose socket was rejected for lack of room should try again.
const RETRY_MS: u64 = 5_000;

pub(crate) async fn user_socket(request: SocketRequest) -> Response {
    request.accept(MAX_CLIENT_MESSAGE_BYTES, run)
}

/// No `async fn`, whose arguments would be in the task twice.
fn run(
    socket: LiveSocket,
    opener: Opener,
    credential: Result<Option<Credential>, Rejected>,
) -> impl Future<Output = ()> + Send {
    let mut connection = Connection { socket, opener };
    async move {
        let ending = match credential {
            Ok(credential) => connection.run(credential).await,
            Err(rejected) => rejected.into(),
        };
        Box::pin(connection.socket.end(ending)).await;
    }
}

/// The last frame as JSON.
type Ending = super::web_socket::Ending<String>;

impl Ending {
    fn rejected(frame: &ServerFrame, reason: &'static str) -> Self {
        Self::Close {
            frame: Some(frame.to_json()),
            code: close_code::POLICY,
            reason,
        }
    }

    fn foreign_origin() -> Self {
        let detail = text!("socket-origin-not-allowed");
        let frame = ServerFrame::error("Origin not allowed", detail, "origin_not_allowed");
        let frame = frame.with_advice(ErrorType::ServerError, &advice!("end-foreign-origin"));
        Self::rejected(&frame, "Origin not allowed")
    }

    fn no_hello() -> Self {
        let detail = text!("socket-hello-missing");
        let frame = ServerFrame::error("Hello missing", detail, "hello_missing");
        Self::rejected(&frame, "Hello missing")
    }

    fn invalid_frame() -> Self {
        let detail = text!("socket-frame-invalid");
        let frame = ServerFrame::error("Invalid frame", detail, "invalid_frame");
        Self::rejected(&frame, "Invalid frame")
    }

    fn invalid_filter() -> Self {
        let detail = text!("socket-filter-too-long", most = MAX_FILTER_JOBS);
        let frame = ServerFrame::error("Invalid filter", detail, "invalid_filter");
        Self::rejected(&frame, "Invalid filter")
    }

    fn shutdown(connections: usize) -> Self {
        Self::Close {
            frame: Some(ServerFrame::closing(connections).to_json()),
            code: close_code::RESTART,
            reason: "restarting",
        }
    }
}

impl From<ApiError> for Ending {
    fn from(error: ApiError) -> Self {
        let frame = error_frame(&error);
        let (code, reason) = match &frame {
            ServerFrame::Error {
                code: "too_many_connections" | "rate_limited" | "internal",
                ..
            } => (close_code::AGAIN, "try again"),
            ServerFrame::Error { error, .. } => (close_code::POLICY, *error),
            _ => (close_code::POLICY, "rejected"),
        };
        Self::Close {
            frame: Some(frame.to_json()),
            code,
            reason,
        }
    }
}

impl From<WatchError> for Ending {
    fn from(error: WatchError) -> Self {
        ApiError::from(error).into()
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

/// The last frame of a watcher that is rejected, or whose credentials have ended.
pub(crate) fn error_frame(error: &ApiError) -> ServerFrame {
    let sign_in_again = |error, detail, code| {
        ServerFrame::error(error, detail, code)
            .with_advice(ErrorType::TransientError, &advice!("end-signed-out"))
    };
    match error {
        ApiError::NotAuthenticated => sign_in_again(
            "Authentication required",
            text!("socket-credential-missing"),
            "not_authenticated",
        ),
        ApiError::TokenExpired => sign_in_again(
            "Token expired",
            text!("socket-token-expired"),
            "token_expired",
        ),
        ApiError::InvalidToken => sign_in_again(
            "Could not validate credentials",
            text!("socket-token-invalid"),
            "invalid_token",
        ),
        ApiError::TokenInUrl => ServerFrame::error(
            "Token not allowed in URL",
            error.text(),
            "token_in_url_disabled",
        ),
        ApiError::AccountInactive => ServerFrame::error(
            "User account is inactive",
            text!("socket-account-inactive"),
            "account_inactive",
        )
        .with_advice(ErrorType::ServerError, &advice!("end-account-inactive")),
        ApiError::RateLimited { retry_after_s, .. } => {
            ServerFrame::error("Too many requests", error.text(), "rate_limited")
                .with_retry(retry_after_s.saturating_mul(1000))
        }
        ApiError::TooManySockets { .. } => {
            ServerFrame::error("Too many sockets", error.text(), "too_many_connections")
                .with_retry(RETRY_MS)
        }
        _ => ServerFrame::error(
            "Internal server error",
            text!("socket-internal"),
            "internal",
        ),
    }
}

/// The first frame of a client.
struct Hello {
    credential: Option<Credential>,
    cursor: Option<String>,
    filter: WatchFilter,
}

struct Connection {
    socket: LiveSocket,
    opener: Opener,
}

/// The credentials of an open socket, with the times at which something is due.
struct Access {
    user: WatchingUser,
    session: SessionWatch,
    expires_at: Instant,
    /// When a fresh token is requested; `None` once it was.
    warn_at: Option<Instant>,
}

impl Access {
    fn new(app: &App, user: WatchingUser) -> Self {
        let remaining = user.expires_at.since(app.now());
        let expires_at = Instant::now() + remaining;
        Self {
            session: app.session_ends.watch(user.session_id),
            warn_at: Some(expires_at - TOKEN_WARNING.min(remaining / 2)),
            expires_at,
            user,
        }
    }

    fn expires_in_ms(&self) -> u64 {
        let remaining = self.expires_at.saturating_duration_since(Instant::now());
        u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Connection {
    async fn run(&mut self, credential: Option<Credential>) -> Ending {
        match self.try_run(credential).await {
            Ok(never) => match never {},
            Err(ending) => ending,
        }
    }

    async fn try_run(
        &mut self,
        credential: Option<Credential>,
    ) -> Result<std::convert::Infallible, Ending> {
        // Boxed, so that nothing of it is kept while the socket is idle.
        let (mut watcher, mut access, _permit) = Box::pin(self.begin(credential)).await?;
        self.follow(&mut watcher, &mut access).await
    }

    async fn begin(
        &mut self,
        credential: Option<Credential>,
    ) -> Result<(Watcher, Access, SocketPermit), Ending> {
        let (user, permit, hello) = self.authenticate(credential).await?;
        let app = &self.opener.app;
        let base = self.opener.base.clone();
        let cursor = hello.cursor.as_deref();
        let watcher = Watcher::begin(app, user.user_id, base, hello.filter, cursor).await?;
        Ok((watcher, Access::new(app, user), permit))
    }

    /// Authenticates the client by the credential of its request, or else of its first frame, and receives that frame.
    async fn authenticate(
        &mut self,
        credential: Option<Credential>,
    ) -> Result<(WatchingUser, SocketPermit, Hello), Ending> {
        if let Some(credential) = credential {
            // Checked before the first frame, so that a client is rejected at once.
            let user = self.opener.app.authenticate_watcher(&credential).await?;
            let permit = self
                .opener
                .app
                .acquire_socket(user.user_id, self.opener.client)?;
            return Ok((user, permit, self.hello().await?));
        }
        let unauthenticated = self
            .opener
            .app
            .acquire_unauthenticated_socket(self.opener.client)?;
        let mut hello = self.hello().await?;
        let credential = hello.credential.take().ok_or(ApiError::NotAuthenticated)?;
        let user = self.opener.app.authenticate_watcher(&credential).await?;
        drop(unauthenticated);
        let permit = self
            .opener
            .app
            .acquire_socket(user.user_id, self.opener.client)?;
        Ok((user, permit, hello))
    }

    /// Waits for the first frame.
    async fn hello(&mut self) -> Result<Hello, Ending> {
        let first = timeout(HELLO_TIMEOUT, async {
            loop {
                match self.socket.receive().await {
                    None => return Err(Ending::Disconnected),
                    Some(Received::Text(text)) => return Ok(text),
                    Some(Received::Other) => {}
                }
            }
        });
        let text = first.await.map_err(|_| Ending::no_hello())??;
        match serde_json::from_str(&text).map_err(|_| Ending::invalid_frame())? {
            ClientFrame::Hello {
                token,
                ticket,
                cursor,
                filter,
            } => Ok(Hello {
                credential: Credential::of_frame(token, ticket),
                cursor,
                filter: parse_filter(filter)?,
            }),
            ClientFrame::Token { .. }
            | ClientFrame::Filter { .. }
            | ClientFrame::Ping
            | ClientFrame::Unknown => Err(Ending::no_hello()),
        }
    }

    /// Sends the frames of the stream until the socket has to be closed.
    async fn follow(
        &mut self,
        watcher: &mut Watcher,
        access: &mut Access,
    ) -> Result<std::convert::Infallible, Ending> {
        let app = self.opener.app.clone();
        // Pings keep proxies from closing an idle connection and detect clients that have vanished.
        let mut ping_at = app.pings.next();
        loop {
            let next_at = ping_at.min(access.warn_at.unwrap_or(access.expires_at));
            tokio::select! {
                biased;
                () = app.draining.cancelled() => {
                    return Err(Ending::shutdown(app.sockets.open()));
                }
                () = access.session.ended() => return Err(ApiError::InvalidToken.into()),
                received = self.socket.receive() => match received {
                    None => return Err(Ending::Disconnected),
                    Some(Received::Text(text)) => {
                        let handled = self.on_client_frame(&text, watcher, access);
                        // Boxed, as what follows: most sockets are idle, and their tasks should be small.
                        Box::pin(handled).await?;
                    }
                    Some(Received::Other) => {}
                },
                () = sleep_until(next_at) => {
                    let now = Instant::now();
                    if now >= ping_at {
                        Box::pin(self.socket.ping()).await?;
                        ping_at = app.pings.next();
                    }
                    Box::pin(self.check_expiry(access)).await?;
                }
                frame = watcher.next() => Box::pin(self.send(frame?)).await?,
            }
        }
    }

    async fn send(&mut self, frame: Frame) -> Result<(), Ending> {
        self.socket.send_text(frame.json).await?;
        if let Some(event) = frame.event {
            let app = &self.opener.app;
            app.trace_delivered(event, Transport::WebSocket);
        }
        Ok(())
    }

    /// Requests a fresh token a minute before the end, and ends the socket when none came.
    async fn check_expiry(&mut self, access: &mut Access) -> Result<(), Ending> {
        let now = Instant::now();
        if now >= access.expires_at {
            return Err(ApiError::TokenExpired.into());
        }
        if access.warn_at.is_some_and(|warn_at| now >= warn_at) {
            access.warn_at = None;
            let expires_in_ms = access.expires_in_ms();
            let frame = ServerFrame::TokenExpiring { expires_in_ms };
            self.socket.send_text(frame.to_json()).await?;
        }
        Ok(())
    }

    async fn on_client_frame(
        &mut self,
        text: &str,
        watcher: &mut Watcher,
        access: &mut Access,
    ) -> Result<(), Ending> {
        match serde_json::from_str(text).map_err(|_| Ending::invalid_frame())? {
            ClientFrame::Token { token } => {
                let credential = Credential::Token(token);
                let user = self.opener.app.authenticate_watcher(&credential).await?;
                if user.user_id != access.user.user_id {
                    return Err(ApiError::InvalidToken.into());
                }
                *access = Access::new(&self.opener.app, user);
                let expires_in_ms = access.expires_in_ms();
                let frame = ServerFrame::TokenAccepted { expires_in_ms };
                self.socket.send_text(frame.to_json()).await?;
            }
            ClientFrame::Filter { filter } => watcher.set_filter(parse_filter(filter)?),
            ClientFrame::Ping => self.socket.send_text(ServerFrame::Pong.to_json()).await?,
            ClientFrame::Hello { .. } | ClientFrame::Unknown => {}
        }
        Ok(())
    }
}

fn parse_filter(filter: Option<FilterBody>) -> Result<WatchFilter, Ending> {
    filter
        .unwrap_or_default()
        .parse()
        .map_err(|_| Ending::invalid_filter())
}
