//! Watching a job over a WebSocket until it ends, with automatic reconnection.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::error::{ApiError, ClientError};
use crate::ids::JobId;
use crate::jobs::{Preview, Status};
use crate::retry_policy::Backoff;
use crate::socket::Socket;

/// The status of a job, as sent over the WebSocket.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Frame {
    pub job_id: JobId,
    pub status: Status,
    /// In per cent; never decreases.
    pub progress: u8,
    /// A text to show to the user, such as "Finding your iris...".
    pub step: String,
    /// RFC 3339, UTC.
    pub timestamp: String,
    /// Restarts after an error or a lost worker.
    #[serde(default)]
    pub attempt_count: u32,
    /// Position in the queue, counted from 1, while the job waits.
    #[serde(default)]
    pub queue_position: Option<u32>,
    /// Why the job waits, while it does.
    #[serde(default, deserialize_with = "lenient")]
    pub waiting_because: Option<Waiting>,
    /// Estimated time until the result, while an estimate is possible.
    #[serde(default, deserialize_with = "lenient")]
    pub eta_ms: Option<Eta>,
    /// The present step takes far longer than it usually does.
    #[serde(default)]
    pub slower_than_usual: bool,
    /// Of a completed job. Presigned URLs expire; [`Client::job`] returns fresh ones.
    pub result_url: Option<String>,
    pub mask_url: Option<String>,
    pub before_url: Option<String>,
    /// Of the work so far; a new attempt replaces them.
    #[serde(default)]
    pub previews: Vec<Preview>,
    /// Of a failed job: `quality_issue`, `transient_error` or `server_error`.
    pub error_type: Option<String>,
    pub code: Option<String>,
    pub message: Option<String>,
    pub suggestion: Option<String>,
    /// The measured value behind a `quality_issue`.
    #[serde(default)]
    pub measured: Option<MissedLimit>,
}

/// A quality figure measured in a photo, and the limit that it missed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct MissedLimit {
    /// Stable name of the figure, such as `sharpness`.
    pub figure: String,
    pub value: f64,
    pub threshold: f64,
}

/// Why a job waits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Waiting {
    /// A stable code, such as `workers_busy`.
    pub code: String,
    /// A sentence to show to the user.
    pub message: String,
}

/// An estimated range in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Eta {
    pub low: u64,
    pub high: u64,
}

impl Frame {
    /// On the wire a cancelled job has status `failed` and code `cancelled`, for the sake of clients
    /// that do not have the state `cancelled`.
    fn with_cancelled_status(mut self) -> Self {
        if self.status == Status::Failed && self.code.as_deref() == Some("cancelled") {
            self.status = Status::Cancelled;
        }
        self
    }
}

/// Deserializes an optional field leniently: an unknown form, sent by a later version of the server,
/// becomes `None` instead of making the whole frame invalid.
pub(crate) fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// An item of [`Watch`].
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    Frame(Box<Frame>),
    /// The connection was lost; a reconnect follows after `wait`. The job is not affected.
    Lost {
        reason: String,
        wait: Duration,
    },
}

/// The last message of a connection that the server closes because of an error.
#[derive(Deserialize)]
struct ErrorFrame {
    error: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    code: String,
    /// A sentence to show to the user, where there is one.
    message: Option<String>,
    suggestion: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ServerMessage {
    Error(ErrorFrame),
    Frame(Box<Frame>),
}

/// A watched job. Ends after the final frame, and does not reconnect after it.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    job_id: JobId,
    connection: Connection,
    backoff: Backoff,
    /// Access token of the latest connection.
    token: String,
    /// An access token that was rejected since the last frame; a second rejection in a row is final.
    rejected_token: Option<String>,
    last_frame: Option<Frame>,
}

#[derive(Debug)]
enum Connection {
    /// To be opened at this time.
    ReconnectAt(Instant),
    Open(Box<Socket>),
    Ended,
}

/// What [`Watch::next`] does after an event.
enum Reaction {
    Yield(Result<Update, ClientError>),
    Continue,
}

impl Watch {
    pub(crate) fn new(client: Client, job_id: JobId) -> Self {
        let backoff = client.backoff();
        Self {
            client,
            job_id,
            connection: Connection::ReconnectAt(Instant::now()),
            backoff,
            token: String::new(),
            rejected_token: None,
            last_frame: None,
        }
    }

    /// The next update; `None` after the final frame or an error. Cancel safe: the future may be
    /// dropped and `next` called again.
    ///
    /// # Errors
    /// An error ends the watch: the job does not exist, the session is over, or the server was
    /// unreachable for longer than the retry policy allows.
    pub async fn next(&mut self) -> Option<Result<Update, ClientError>> {
        loop {
            let reaction = match &mut self.connection {
                Connection::Ended => return None,
                Connection::ReconnectAt(when) => {
                    sleep_until(*when).await;
                    self.connect().await
                }
                Connection::Open(socket) => match socket.next_text().await {
                    Ok(text) => self.on_message(&text),
                    Err(error) => self.on_connection_lost(error),
                },
            };
            if let Reaction::Yield(update) = reaction {
                return Some(update);
            }
        }
    }

    async fn connect(&mut self) -> Reaction {
        let token = match &self.rejected_token {
            Some(rejected) => self.client.renew(rejected).await,
            None => self.client.access_token().await,
        };
        self.token = match token {
            Ok(token) => token,
            Err(error) => return self.end(error),
        };
        let route = format!("ws/jobs/{}?token={}", self.job_id, self.token);
        match Socket::open(&self.client, &route).await {
            Ok(socket) => {
                self.connection = Connection::Open(Box::new(socket));
                Reaction::Continue
            }
            Err(error) => self.on_connection_lost(error),
        }
    }

    fn on_message(&mut self, text: &str) -> Reaction {
        match serde_json::from_str(text) {
            Ok(ServerMessage::Frame(frame)) => self.on_frame(frame.with_cancelled_status()),
            Ok(ServerMessage::Error(error)) => self.on_error(error),
            // A message type of a later version of the server.
            Err(_) => Reaction::Continue,
        }
    }

    fn on_frame(&mut self, frame: Frame) -> Reaction {
        self.backoff.reset();
        self.rejected_token = None;
        if frame.status.is_final()
            && let Connection::Open(socket) =
                std::mem::replace(&mut self.connection, Connection::Ended)
        {
            tokio::spawn(socket.close());
        }
        // Each connection begins with the present status, which may have been yielded already.
        if self.last_frame.as_ref() == Some(&frame) {
            return Reaction::Continue;
        }
        self.last_frame = Some(frame.clone());
        Reaction::Yield(Ok(Update::Frame(Box::new(frame))))
    }

    fn on_error(&mut self, frame: ErrorFrame) -> Reaction {
        let ErrorFrame {
            error,
            detail,
            code,
            message,
            suggestion,
        } = frame;
        match code.as_str() {
            // The server limits the lifetime of a connection.
            "connection_timeout" => {
                self.connection = Connection::ReconnectAt(Instant::now());
                Reaction::Continue
            }
            "internal" => self.on_connection_lost(ClientError::Unreachable(detail)),
            "token_expired" | "invalid_token" if self.rejected_token.is_none() => {
                self.rejected_token = Some(self.token.clone());
                self.connection = Connection::ReconnectAt(Instant::now());
                Reaction::Continue
            }
            // Retried like the same error over HTTP.
            "rate_limited" | "too_many_sockets" => {
                self.on_connection_lost(api_error(429, code, detail, suggestion))
            }
            _ => {
                let message = message.unwrap_or_else(|| format!("{error}: {detail}"));
                self.end(api_error(0, code, message, suggestion))
            }
        }
    }

    fn on_connection_lost(&mut self, error: ClientError) -> Reaction {
        match self.backoff.after(&error) {
            Some(wait) => {
                self.connection = Connection::ReconnectAt(Instant::now() + wait);
                let reason = error.to_string();
                Reaction::Yield(Ok(Update::Lost { reason, wait }))
            }
            None => self.end(error),
        }
    }

    fn end(&mut self, error: ClientError) -> Reaction {
        self.connection = Connection::Ended;
        Reaction::Yield(Err(error))
    }
}

fn api_error(
    status: u16,
    code: String,
    message: String,
    suggestion: Option<String>,
) -> ClientError {
    ClientError::Refused(Box::new(ApiError {
        status,
        code,
        message,
        suggestion,
        retry_after: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ServerMessage {
        serde_json::from_str(text).expect("a known message")
    }

    #[test]
    fn a_message_with_the_field_error_is_an_error_and_every_other_a_frame() {
        let frame =
            r#"{"job_id":"j","status":"processing","progress":40,"step":"s","timestamp":"t"}"#;
        let error = r#"{"error":"Token expired","detail":"d","code":"token_expired","job_id":"j",
            "status":"processing","progress":40,"step":"s","timestamp":"t"}"#;
        assert!(matches!(parse(frame), ServerMessage::Frame(frame) if frame.progress == 40));
        assert!(
            matches!(parse(error), ServerMessage::Error(error) if error.code == "token_expired")
        );
    }

    #[test]
    fn a_failed_frame_with_code_cancelled_has_status_cancelled() {
        for (code, status) in [
            ("cancelled", Status::Cancelled),
            ("too_dark", Status::Failed),
        ] {
            let text = format!(
                r#"{{"job_id":"j","status":"failed","progress":40,"step":"s","timestamp":"t",
                "error_type":"transient_error","code":"{code}","message":"m","suggestion":"s"}}"#
            );
            let ServerMessage::Frame(frame) = parse(&text) else {
                panic!("a frame");
            };
            assert_eq!(frame.with_cancelled_status().status, status);
        }
    }

    #[test]
    fn unknown_fields_and_values_of_a_later_server_are_ignored() {
        let text = r#"{"job_id":"j","status":"resting","progress":0,"step":"s","timestamp":"t",
            "queue_position":3,"waiting_because":"the moon is full",
            "eta_ms":{"low":1000,"high":4000},"slower_than_usual":false,"mood":"good"}"#;
        let ServerMessage::Frame(frame) = parse(text) else {
            panic!("a frame");
        };
        assert_eq!(frame.status, Status::Unknown);
        assert_eq!(frame.waiting_because, None);
        assert_eq!(
            frame.eta_ms,
            Some(Eta {
                low: 1000,
                high: 4000
            })
        );
    }
}
