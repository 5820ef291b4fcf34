//! Watching a job to its end, over as many connections as it takes.

use std::time::Duration;

use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::error::{ApiError, ClientError};
use crate::ids::JobId;
use crate::jobs::Status;
use crate::retry_policy::Backoff;
use crate::socket::Socket;

/// How a job stands, or how it ended.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Frame {
    pub job_id: JobId,
    pub status: Status,
    /// Per cent. The server never takes it back.
    pub progress: u8,
    /// What a person reads, as in "Finding your iris...".
    pub step: String,
    /// RFC 3339, UTC.
    pub timestamp: String,
    /// Restarts after an error or a lost worker.
    #[serde(default)]
    pub attempt_count: u32,
    /// Place in the queue, counted from 1, while it waits.
    #[serde(default)]
    pub queue_position: Option<u32>,
    /// Why it waits, while it does.
    #[serde(default, deserialize_with = "if_understood")]
    pub waiting_because: Option<Waiting>,
    /// Until the result, where that can be told.
    #[serde(default, deserialize_with = "if_understood")]
    pub eta_ms: Option<Eta>,
    /// The present step takes far longer than it did for others.
    #[serde(default)]
    pub slower_than_usual: bool,
    /// Of a completed job. Links end after a while; [`Client::job`] gives fresh ones.
    pub result_url: Option<String>,
    pub mask_url: Option<String>,
    pub before_url: Option<String>,
    /// Of a failed job: `quality_issue`, `transient_error` or `server_error`.
    pub error_type: Option<String>,
    pub code: Option<String>,
    pub message: Option<String>,
    pub suggestion: Option<String>,
    /// The number behind a `quality_issue`.
    #[serde(default)]
    pub measured: Option<MissedLimit>,
}

/// A number that was measured in a photo, and the limit that it missed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct MissedLimit {
    /// Its stable name, as in `sharpness`.
    pub figure: String,
    pub value: f64,
    pub threshold: f64,
}

/// Why a job waits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Waiting {
    /// A stable name, as in `workers_busy`.
    pub code: String,
    /// A sentence, for people.
    pub message: String,
}

/// An estimate in milliseconds: most likely not sooner than `low` and not later than `high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Eta {
    pub low: u64,
    pub high: u64,
}

impl Frame {
    /// On the wire a cancelled job ends as `failed`, which every client knows; its code has the state.
    fn with_true_status(mut self) -> Self {
        if self.status == Status::Failed && self.code.as_deref() == Some("cancelled") {
            self.status = Status::Cancelled;
        }
        self
    }
}

/// What is only there for comfort must not cost a frame when a later server says it differently.
fn if_understood<'de, D, T>(said: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let said = serde_json::Value::deserialize(said)?;
    Ok(serde_json::from_value(said).ok())
}

/// What a watcher is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    Frame(Box<Frame>),
    /// The connection was lost; the job goes on, and the next one is tried after `wait`.
    Lost {
        reason: String,
        wait: Duration,
    },
}

/// Instead of a frame: why there will be no more on this connection.
#[derive(Deserialize)]
struct ErrorFrame {
    error: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    code: String,
    /// For people, where the server has such words.
    message: Option<String>,
    suggestion: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Heard {
    Error(ErrorFrame),
    Frame(Box<Frame>),
}

/// A job being watched. Ends after the final frame, and never connects again after it.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    job_id: JobId,
    connection: Connection,
    backoff: Backoff,
    /// The token of the newest connection.
    token: String,
    /// A token that was refused since the last frame; when its successor is refused too, that is final.
    refused_token: Option<String>,
    last: Option<Frame>,
}

#[derive(Debug)]
enum Connection {
    /// Not before this time.
    Due(Instant),
    Open(Box<Socket>),
    Ended,
}

/// What follows from something heard.
enum Next {
    Tell(Result<Update, ClientError>),
    Listen,
}

impl Watch {
    pub(crate) fn begin(client: Client, job_id: JobId) -> Self {
        let backoff = client.backoff();
        Self {
            client,
            job_id,
            connection: Connection::Due(Instant::now()),
            backoff,
            token: String::new(),
            refused_token: None,
            last: None,
        }
    }

    /// What happens next; `None` after the final frame or an error that ends the watch. May be dropped
    /// and called again at any time.
    ///
    /// An error ends the watch: the job is unknown, the session over, or the server away for longer
    /// than the client's retry_policy.
    pub async fn next(&mut self) -> Option<Result<Update, ClientError>> {
        loop {
            let next = match &mut self.connection {
                Connection::Ended => return None,
                Connection::Due(when) => {
                    sleep_until(*when).await;
                    self.connect().await
                }
                Connection::Open(socket) => match socket.next_text().await {
                    Ok(text) => self.hear(&text),
                    Err(error) => self.lost(error),
                },
            };
            if let Next::Tell(update) = next {
                return Some(update);
            }
        }
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Update, ClientError>> {
        stream::unfold(self, async |mut watch| {
            let update = watch.next().await?;
            Some((update, watch))
        })
    }

    async fn connect(&mut self) -> Next {
        let token = match &self.refused_token {
            Some(refused) => self.client.renew(refused).await,
            None => self.client.access_token().await,
        };
        self.token = match token {
            Ok(token) => token,
            Err(error) => return self.end(error),
        };
        match Socket::open(&self.client, &self.job_id, &self.token).await {
            Ok(socket) => {
                self.connection = Connection::Open(Box::new(socket));
                Next::Listen
            }
            Err(error) => self.lost(error),
        }
    }

    fn hear(&mut self, text: &str) -> Next {
        match serde_json::from_str(text) {
            Ok(Heard::Frame(frame)) => self.tell(frame.with_true_status()),
            Ok(Heard::Error(refusal)) => self.refused(refusal),
            // A later server may say more than we understand.
            Err(_) => Next::Listen,
        }
    }

    fn tell(&mut self, frame: Frame) -> Next {
        self.backoff.reset();
        self.refused_token = None;
        if frame.status.is_final()
            && let Connection::Open(socket) =
                std::mem::replace(&mut self.connection, Connection::Ended)
        {
            tokio::spawn(socket.close());
        }
        // A new connection begins with how the job stands, which we may know already.
        if self.last.as_ref() == Some(&frame) {
            return Next::Listen;
        }
        self.last = Some(frame.clone());
        Next::Tell(Ok(Update::Frame(Box::new(frame))))
    }

    fn refused(&mut self, refusal: ErrorFrame) -> Next {
        let ErrorFrame {
            error,
            detail,
            code,
            message,
            suggestion,
        } = refusal;
        match code.as_str() {
            // The server limits how long one socket lives.
            "connection_timeout" => {
                self.connection = Connection::Due(Instant::now());
                Next::Listen
            }
            "internal" => self.lost(ClientError::Unreachable(detail)),
            "token_expired" | "invalid_token" if self.refused_token.is_none() => {
                self.refused_token = Some(self.token.clone());
                self.connection = Connection::Due(Instant::now());
                Next::Listen
            }
            // As over HTTP: a later try may find a free place.
            "rate_limited" | "too_many_sockets" => {
                self.lost(refused_with(429, code, detail, suggestion))
            }
            _ => {
                let message = message.unwrap_or_else(|| format!("{error}: {detail}"));
                self.end(refused_with(0, code, message, suggestion))
            }
        }
    }

    fn lost(&mut self, error: ClientError) -> Next {
        match self.backoff.after(&error) {
            Some(wait) => {
                self.connection = Connection::Due(Instant::now() + wait);
                let reason = error.to_string();
                Next::Tell(Ok(Update::Lost { reason, wait }))
            }
            None => self.end(error),
        }
    }

    fn end(&mut self, error: ClientError) -> Next {
        self.connection = Connection::Ended;
        Next::Tell(Err(error))
    }
}

fn refused_with(
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

    fn heard(text: &str) -> Heard {
        serde_json::from_str(text).expect("understood")
    }

    #[test]
    fn a_frame_is_told_from_a_refusal_by_its_error() {
        let frame =
            r#"{"job_id":"j","status":"processing","progress":40,"step":"s","timestamp":"t"}"#;
        let refusal = r#"{"error":"Token expired","detail":"d","code":"token_expired","job_id":"j",
            "status":"processing","progress":40,"step":"s","timestamp":"t"}"#;
        assert!(matches!(heard(frame), Heard::Frame(frame) if frame.progress == 40));
        assert!(matches!(heard(refusal), Heard::Error(error) if error.code == "token_expired"));
    }

    #[test]
    fn a_cancelled_job_is_told_from_a_failed_one_by_its_code() {
        for (code, status) in [
            ("cancelled", Status::Cancelled),
            ("too_dark", Status::Failed),
        ] {
            let text = format!(
                r#"{{"job_id":"j","status":"failed","progress":40,"step":"s","timestamp":"t",
                "error_type":"transient_error","code":"{code}","message":"m","suggestion":"s"}}"#
            );
            let Heard::Frame(frame) = heard(&text) else {
                panic!("a frame");
            };
            assert_eq!(frame.with_true_status().status, status);
        }
    }

    #[test]
    fn what_a_later_server_adds_does_no_harm() {
        let text = r#"{"job_id":"j","status":"resting","progress":0,"step":"s","timestamp":"t",
            "queue_position":3,"waiting_because":"the moon is full",
            "eta_ms":{"low":1000,"high":4000},"slower_than_usual":false,"mood":"good"}"#;
        let Heard::Frame(frame) = heard(text) else {
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
