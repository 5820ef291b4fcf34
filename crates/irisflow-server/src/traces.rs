//! This server's part in the traces of jobs: the request that submits one, and the events that are sent.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use irisflow_jobs::{Job, JobPart, JobSpan, Timestamp, TraceParent, TracedEvent, Transport};

use crate::app::{App, AppState};

const TRACEPARENT: &str = "traceparent";

/// Older events are history that a client reads later, and no part of the job's way to it.
const LIVE: Duration = Duration::from_secs(10 * 60);

/// When a request that submits jobs was received, and the span of its caller. As an extractor before the others, it
/// includes their time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SubmitTrace {
    received: Timestamp,
    caller: Option<TraceParent>,
}

impl FromRequestParts<App> for SubmitTrace {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let caller = parts.headers.get(TRACEPARENT);
        Ok(Self {
            received: app.now(),
            caller: caller.and_then(|value| value.to_str().ok()?.parse().ok()),
        })
    }
}

impl AppState {
    /// The jobs are committed.
    pub(crate) fn trace_submitted(&self, trace: SubmitTrace, jobs: &[Job]) {
        let ended = self.now();
        for job in jobs {
            self.parts.tracer.record(JobSpan {
                job_id: job.id,
                begun: trace.received,
                ended,
                part: JobPart::Submit {
                    caller: trace.caller,
                },
            });
        }
    }

    pub(crate) fn trace_delivered(&self, event: TracedEvent, transport: Transport) {
        let now = self.now();
        if now.since(event.at) < LIVE {
            self.parts.tracer.record(event.delivered(now, transport));
        }
    }
}
