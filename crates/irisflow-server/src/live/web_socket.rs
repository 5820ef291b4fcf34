//! A WebSocket as all sockets here use it: small buffers, bounded sends, and an end that the client can read.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, header};
use tokio::time::{Instant, timeout};

use crate::app::AppState;
use crate::metrics::OpenSocket;

/// Read and write buffer in bytes. Small, since a frame has a few hundred bytes and there may be many sockets.
const BUFFER_BYTES: usize = 512;
/// Timeout for sending one message, after which a slow client is disconnected.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Close code for a client that reads too slowly (4000 to 4999 are for private use, RFC 6455 section 7.4.2).
const CLOSE_CODE_TOO_SLOW: u16 = 4408;

/// Limits the buffers of a socket and the messages of its client.
pub(crate) fn with_small_buffers(
    upgrade: WebSocketUpgrade,
    max_client_message_bytes: usize,
) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        // Frames that are too large are rejected by their header, before their payload is buffered.
        .max_frame_size(max_client_message_bytes)
        .max_message_size(max_client_message_bytes)
}

/// When sockets are pinged: at common moments, so that very many idle sockets wake the process a few times a second
/// and not once each.
#[derive(Debug)]
pub(crate) struct PingSchedule {
    begun: Instant,
    interval: Duration,
}

impl PingSchedule {
    /// The common moments are this far apart, or a tenth of the interval where that is less.
    const GRID: Duration = Duration::from_millis(250);

    pub(crate) fn new(interval: Duration) -> Self {
        let begun = Instant::now();
        Self { begun, interval }
    }

    /// The first common moment that is at least an interval away.
    pub(crate) fn next(&self) -> Instant {
        let grid = Self::GRID.min(self.interval / 10).as_millis().max(1);
        let due = (self.begun.elapsed() + self.interval).as_millis();
        let moment = due.next_multiple_of(grid);
        self.begun + Duration::from_millis(u64::try_from(moment).unwrap_or(u64::MAX))
    }
}

/// An open socket.
pub(crate) struct LiveSocket {
    socket: WebSocket,
    /// The client has not answered the last ping.
    awaits_pong: bool,
    _open_sockets_gauge: OpenSocket,
}

/// How a socket ends; `F` is the last frame, which gives the reason.
pub(crate) enum Ending<F> {
    /// Sends the frame, if any, then a close frame with this code and reason.
    Close {
        frame: Option<F>,
        code: u16,
        reason: &'static str,
    },
    /// The client has disconnected: nothing is sent.
    Disconnected,
}

impl<F> Ending<F> {
    pub(crate) fn map<G>(self, change: impl FnOnce(F) -> G) -> Ending<G> {
        match self {
            Self::Close {
                frame,
                code,
                reason,
            } => Ending::Close {
                frame: frame.map(change),
                code,
                reason,
            },
            Self::Disconnected => Ending::Disconnected,
        }
    }
}

impl<F> From<SendError> for Ending<F> {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Timeout => Self::Close {
                frame: None,
                code: CLOSE_CODE_TOO_SLOW,
                reason: "too slow",
            },
            SendError::Disconnected => Self::Disconnected,
        }
    }
}

/// What a client has sent.
pub(crate) enum Received {
    Text(Utf8Bytes),
    /// A pong, or a message without a meaning.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendError {
    /// The client did not read.
    Timeout,
    Disconnected,
}

impl LiveSocket {
    pub(crate) fn new(socket: WebSocket, open: OpenSocket) -> Self {
        Self {
            socket,
            awaits_pong: false,
            _open_sockets_gauge: open,
        }
    }

    /// The next message; `None` once the client has disconnected. Cancel safe.
    pub(crate) async fn receive(&mut self) -> Option<Received> {
        let message = self.socket.recv().await?.ok()?;
        self.awaits_pong = false;
        match message {
            Message::Text(text) => Some(Received::Text(text)),
            // The library answers pings.
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => Some(Received::Other),
            Message::Close(_) => None,
        }
    }

    pub(crate) async fn send_text(&mut self, text: impl Into<Utf8Bytes>) -> Result<(), SendError> {
        self.send(Message::Text(text.into())).await
    }

    /// Sends a ping. Fails when the one before was not answered.
    pub(crate) async fn ping(&mut self) -> Result<(), SendError> {
        if self.awaits_pong {
            return Err(SendError::Disconnected);
        }
        self.awaits_pong = true;
        self.send(Message::Ping(bytes::Bytes::new())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), SendError> {
        match timeout(SEND_TIMEOUT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SendError::Disconnected),
            Err(_) => Err(SendError::Timeout),
        }
    }

    /// Sends the last frame, if any, and the close frame, then waits for the close frame of the client.
    pub(crate) async fn end(&mut self, ending: Ending<String>) {
        let Ending::Close {
            frame,
            code,
            reason,
        } = ending
        else {
            return;
        };
        if let Some(frame) = frame
            && self.send_text(frame).await.is_err()
        {
            return;
        }
        let close = CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        };
        // Closing the TCP connection while data of the client is unread resets it, and the client may then lose
        // the last frame: wait for its close frame first.
        let _ = timeout(CLOSE_TIMEOUT, async {
            self.send(Message::Close(Some(close))).await?;
            while let Some(Ok(message)) = self.socket.recv().await {
                if matches!(message, Message::Close(_)) {
                    break;
                }
            }
            Ok::<(), SendError>(())
        })
        .await;
    }
}

impl AppState {
    /// Whether the `Origin` of the request may open a socket. It protects users against pages of other sites
    /// (cross-site WebSocket hijacking). Clients that are not browsers send no `Origin` and are allowed.
    pub(crate) fn origin_allowed(&self, headers: &HeaderMap) -> bool {
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
