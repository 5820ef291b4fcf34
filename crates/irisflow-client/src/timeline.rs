//! Following all jobs of an account over one WebSocket, `GET /ws`, with resumption by cursor.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::error::{ApiError, ClientError};
use crate::ids::JobId;
use crate::jobs::{JobStatus, Preview};
use crate::retry_policy::Backoff;
use crate::socket::Socket;
use crate::watch::{Eta, Waiting, lenient};

/// A change of a job.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct JobEvent {
    /// Position in the account's timeline.
    pub seq: i64,
    pub kind: EventKind,
    pub job_id: JobId,
    /// A text to show to the user, such as "Finding your iris...".
    pub step: String,
    /// In per cent; never decreases.
    pub progress: u8,
    /// Restarts after an error or a lost worker.
    #[serde(default)]
    pub attempt_count: u32,
    pub error_type: Option<String>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub suggestion: Option<String>,
    /// Of a completed job. Presigned URLs expire; [`Client::job`] returns fresh ones.
    pub result_url: Option<String>,
    pub mask_url: Option<String>,
    pub before_url: Option<String>,
    /// Of the work so far; a new attempt replaces them.
    #[serde(default)]
    pub previews: Vec<Preview>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Queued,
    Progress,
    Retrying,
    Completed,
    Failed,
    Cancelled,
    Deleted,
    /// A kind added by a later version of the server.
    #[serde(other)]
    Unknown,
}

impl EventKind {
    /// Whether nothing follows of the job.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled | Self::Deleted => true,
            Self::Queued | Self::Progress | Self::Retrying | Self::Unknown => false,
        }
    }
}

/// The queue position and remaining time of a job.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct JobEstimate {
    pub job_id: JobId,
    #[serde(default)]
    pub queue_position: Option<u32>,
    #[serde(default, deserialize_with = "lenient")]
    pub waiting_because: Option<Waiting>,
    #[serde(default, deserialize_with = "lenient")]
    pub eta_ms: Option<Eta>,
    #[serde(default)]
    pub slower_than_usual: bool,
}

/// An item of [`Timeline`].
#[derive(Debug, Clone, PartialEq)]
pub enum TimelineUpdate {
    /// The unfinished jobs and the newest finished ones. First, and again when events were missed that the server no
    /// longer has; replaces what was received before.
    Snapshot(Vec<JobStatus>),
    Event(Box<JobEvent>),
    Estimate(Box<JobEstimate>),
    /// The connection was lost; a reconnect follows after `wait`. No event is missed.
    Lost {
        reason: String,
        wait: Duration,
    },
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ServerFrame {
    Snapshot {
        cursor: String,
        jobs: Vec<JobStatus>,
    },
    Resumed {
        cursor: String,
    },
    Event {
        cursor: String,
        prev: String,
        event: Box<JobEvent>,
    },
    Estimate(Box<JobEstimate>),
    TokenExpiring,
    Closing {
        reconnect_in_ms: u64,
    },
    Error {
        error: String,
        #[serde(default)]
        detail: String,
        #[serde(default)]
        code: String,
        message: Option<String>,
        suggestion: Option<String>,
        #[serde(default)]
        retry_in_ms: u64,
    },
    /// `gap`, which a snapshot follows, and types of a later version of the server.
    #[serde(other)]
    Unknown,
}

/// All jobs of an account. Does not end by itself.
#[derive(Debug)]
pub struct Timeline {
    client: Client,
    connection: Connection,
    backoff: Backoff,
    /// The position after the frame received last.
    cursor: Option<String>,
    /// Access token of the present connection.
    token: String,
    /// An access token that was rejected since the last frame; a second rejection in a row is final.
    rejected_token: Option<String>,
}

#[derive(Debug)]
enum Connection {
    /// To be opened at this time.
    ReconnectAt(Instant),
    Open(Box<Socket>),
    Ended,
}

type Update = Result<TimelineUpdate, ClientError>;

impl Timeline {
    pub(crate) fn new(client: Client) -> Self {
        let backoff = client.backoff();
        Self {
            client,
            connection: Connection::ReconnectAt(Instant::now()),
            backoff,
            cursor: None,
            token: String::new(),
            rejected_token: None,
        }
    }

    /// The next update; `None` after an error. Cancel safe: the future may be dropped and `next` called again.
    ///
    /// # Errors
    /// An error ends the timeline: the session is over, or the server was unreachable for longer than the retry
    /// policy allows.
    pub async fn next(&mut self) -> Option<Update> {
        loop {
            let update = match &mut self.connection {
                Connection::Ended => return None,
                Connection::ReconnectAt(when) => {
                    sleep_until(*when).await;
                    self.connect().await
                }
                Connection::Open(socket) => match socket.next_text().await {
                    Ok(text) => self.on_message(&text).await,
                    Err(error) => self.on_connection_lost(error),
                },
            };
            if update.is_some() {
                return update;
            }
        }
    }

    async fn connect(&mut self) -> Option<Update> {
        let token = match &self.rejected_token {
            Some(rejected) => self.client.renew(rejected).await,
            None => self.client.access_token().await,
        };
        self.token = match token {
            Ok(token) => token,
            Err(error) => return self.end(error),
        };
        match self.open_socket().await {
            Ok(socket) => {
                self.connection = Connection::Open(Box::new(socket));
                None
            }
            Err(error) => self.on_connection_lost(error),
        }
    }

    /// Borrows mutably, since a socket cannot be shared between threads: the future of `next` may be sent to another.
    async fn open_socket(&mut self) -> Result<Socket, ClientError> {
        let mut socket = Socket::open(&self.client, "ws").await?;
        // In the first frame and not in the URL, which proxies may log.
        let hello = json!({ "type": "hello", "token": self.token, "cursor": self.cursor });
        socket.send_text(hello.to_string()).await?;
        Ok(socket)
    }

    async fn on_message(&mut self, text: &str) -> Option<Update> {
        // A frame that does not parse is of a later version of the server.
        let frame = serde_json::from_str(text).unwrap_or(ServerFrame::Unknown);
        match frame {
            ServerFrame::Snapshot { cursor, jobs } => {
                self.advance(cursor);
                Some(Ok(TimelineUpdate::Snapshot(jobs)))
            }
            ServerFrame::Resumed { cursor } => {
                self.advance(cursor);
                None
            }
            ServerFrame::Event {
                cursor,
                prev,
                event,
            } => {
                if self.cursor.as_ref() != Some(&prev) {
                    // A frame is missing: the server sends it again from the cursor.
                    self.connection = Connection::ReconnectAt(Instant::now());
                    return None;
                }
                self.advance(cursor);
                Some(Ok(TimelineUpdate::Event(event)))
            }
            ServerFrame::Estimate(estimate) => Some(Ok(TimelineUpdate::Estimate(estimate))),
            ServerFrame::TokenExpiring => self.send_fresh_token().await,
            ServerFrame::Closing { reconnect_in_ms } => {
                let wait = Duration::from_millis(reconnect_in_ms);
                self.reconnect_after(wait, "the server restarts".to_owned())
            }
            ServerFrame::Error {
                error,
                detail,
                code,
                message,
                suggestion,
                retry_in_ms,
            } => {
                let text = message.unwrap_or_else(|| format!("{error}: {detail}"));
                let wait = Duration::from_millis(retry_in_ms);
                self.on_error(code, text, suggestion, wait)
            }
            ServerFrame::Unknown => None,
        }
    }

    fn advance(&mut self, cursor: String) {
        self.cursor = Some(cursor);
        self.backoff.reset();
        self.rejected_token = None;
    }

    async fn send_fresh_token(&mut self) -> Option<Update> {
        self.token = match self.client.renew(&self.token).await {
            Ok(token) => token,
            Err(error) => return self.end(error),
        };
        let frame = json!({ "type": "token", "token": self.token });
        let Connection::Open(socket) = &mut self.connection else {
            return None;
        };
        match socket.send_text(frame.to_string()).await {
            Ok(()) => None,
            Err(error) => self.on_connection_lost(error),
        }
    }

    fn on_error(
        &mut self,
        code: String,
        message: String,
        suggestion: Option<String>,
        wait: Duration,
    ) -> Option<Update> {
        // Those with status 429 are retried like the same errors over HTTP.
        let status = match code.as_str() {
            "token_expired" | "invalid_token" if self.rejected_token.is_none() => {
                self.rejected_token = Some(self.token.clone());
                self.connection = Connection::ReconnectAt(Instant::now());
                return None;
            }
            "internal" => return self.on_connection_lost(ClientError::Unreachable(message)),
            "rate_limited" | "too_many_connections" => 429,
            _ => 0,
        };
        self.on_connection_lost(ClientError::Refused(Box::new(ApiError {
            status,
            code,
            message,
            suggestion,
            retry_after: Some(wait),
        })))
    }

    fn on_connection_lost(&mut self, error: ClientError) -> Option<Update> {
        match self.backoff.after(&error) {
            Some(wait) => self.reconnect_after(wait, error.to_string()),
            None => self.end(error),
        }
    }

    fn reconnect_after(&mut self, wait: Duration, reason: String) -> Option<Update> {
        self.connection = Connection::ReconnectAt(Instant::now() + wait);
        Some(Ok(TimelineUpdate::Lost { reason, wait }))
    }

    fn end(&mut self, error: ClientError) -> Option<Update> {
        self.connection = Connection::Ended;
        Some(Err(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_may_be_followed_in_a_task_of_its_own() {
        fn is_send<T: Send>(_: T) {}
        let client = Client::new("http://127.0.0.1:1").expect("a client");
        let mut timeline = client.timeline();
        is_send(timeline.next());
    }

    #[test]
    fn frames_of_a_later_server_are_ignored() {
        for text in [
            r#"{"type":"moon","phase":"full"}"#,
            r#"{"type":"gap","reason":"pruned"}"#,
        ] {
            let frame: ServerFrame = serde_json::from_str(text).expect("an unknown frame");
            assert!(matches!(frame, ServerFrame::Unknown), "{text}");
        }
    }

    #[test]
    fn an_event_keeps_the_fields_that_it_has() {
        let text = r#"{"type":"event","cursor":"e:2","prev":"e:1","event":{"seq":2,"kind":"failed",
            "job_id":"j","photo_id":"p","batch_id":null,"status":"failed","step":"s","progress":40,
            "timestamp":"t","error_type":"quality_issue","error_code":"too_dark","mood":"good"}}"#;
        let Ok(ServerFrame::Event { event, .. }) = serde_json::from_str(text) else {
            panic!("an event");
        };
        assert!(event.kind.is_final());
        assert_eq!(event.error_code.as_deref(), Some("too_dark"));
        assert_eq!(event.result_url, None);
    }
}
