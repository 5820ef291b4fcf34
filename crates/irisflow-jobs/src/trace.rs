//! The port for traces, which show how the parts of one job follow each other across processes.
//!
//! The trace of a job has the id of the job, and the id of its root span follows from it. So each process reports its
//! own part: no context of a trace is stored with the job or sent with a notification.

use std::str::FromStr;

use crate::clock::Timestamp;
use crate::event::{Event, EventKind};
use crate::id::{JobId, WorkerId};
use crate::step::Step;

/// Takes the spans of jobs. Called beside requests and attempts: it must not block.
pub trait JobTracer: Send + Sync + std::fmt::Debug {
    fn record(&self, span: JobSpan);
}

/// Discards all spans.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTraces;

impl JobTracer for NoTraces {
    fn record(&self, _: JobSpan) {}
}

/// One part of a job's way from the request to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSpan {
    pub job_id: JobId,
    pub begun: Timestamp,
    pub ended: Timestamp,
    pub part: JobPart,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobPart {
    /// The request that submitted the job, until its commit. The root of the trace.
    Submit { caller: Option<TraceParent> },
    /// From the moment at which the job was due until a worker claimed it.
    Wait { worker: WorkerId },
    /// The work of one claim.
    Attempt(Box<AttemptSpan>),
    /// From the commit of an event until it was sent over one connection, or a webhook accepted it.
    Deliver {
        kind: EventKind,
        seq: i64,
        transport: Transport,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptSpan {
    pub worker: WorkerId,
    /// Counts from 1; the next claim after a hand-back has the same number.
    pub number: u32,
    pub epoch: i64,
    /// The status of the job afterwards, or `retrying`, `handed_back`, `fenced`, `unknown`.
    pub outcome: &'static str,
    /// The code of the failure, if the attempt failed.
    pub error: Option<String>,
    pub steps: Vec<StepSpan>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepSpan {
    pub step: Step,
    pub begun: Timestamp,
    pub ended: Timestamp,
    /// The attempt ended within it.
    pub is_unfinished: bool,
}

/// How an event reached its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    ServerSentEvents,
    LongPoll,
    Webhook,
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::ServerSentEvents => "sse",
            Self::LongPoll => "long_poll",
            Self::Webhook => "webhook",
        }
    }
}

/// What a trace needs of an event that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracedEvent {
    pub job_id: JobId,
    pub kind: EventKind,
    pub seq: i64,
    pub at: Timestamp,
}

impl From<&Event> for TracedEvent {
    fn from(event: &Event) -> Self {
        Self {
            job_id: event.job_id,
            kind: event.kind,
            seq: event.seq,
            at: event.at,
        }
    }
}

impl TracedEvent {
    pub fn delivered(self, at: Timestamp, transport: Transport) -> JobSpan {
        JobSpan {
            job_id: self.job_id,
            begun: self.at,
            ended: at,
            part: JobPart::Deliver {
                kind: self.kind,
                seq: self.seq,
                transport,
            },
        }
    }
}

/// The caller's span, from a `traceparent` header (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    pub trace_id: u128,
    pub span_id: u64,
    pub flags: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no valid traceparent")]
pub struct InvalidTraceParent;

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
        let parts: Vec<&str> = text.splitn(5, '-').collect();
        let (&[version, trace_id, span_id, flags], true) = (&parts[..], text.bytes().all(is_hex))
        else {
            return Err(InvalidTraceParent);
        };
        let lengths = [version, trace_id, span_id, flags].map(str::len);
        let parsed = (
            u128::from_str_radix(trace_id, 16),
            u64::from_str_radix(span_id, 16),
            u8::from_str_radix(flags, 16),
        );
        match parsed {
            (Ok(trace_id @ 1..), Ok(span_id @ 1..), Ok(flags))
                if version == "00" && lengths == [2, 32, 16, 2] =>
            {
                Ok(Self {
                    trace_id,
                    span_id,
                    flags,
                })
            }
            _ => Err(InvalidTraceParent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse();
        let expected = TraceParent {
            trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
            span_id: 0xb7ad_6b71_6920_3331,
            flags: 1,
        };
        assert_eq!(parent, Ok(expected));
    }

    #[test]
    fn an_invalid_traceparent_is_none() {
        for text in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
        ] {
            assert_eq!(
                text.parse::<TraceParent>(),
                Err(InvalidTraceParent),
                "{text}"
            );
        }
    }
}
