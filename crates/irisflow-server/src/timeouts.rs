//! Timeouts of requests, for receiving the body (408) and for the whole request (504), and the memory budget of
//! buffered bodies (503).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use irisflow_jobs::JobPolicy;
use tokio::time::{Instant, Sleep};

use crate::app::App;
use crate::body_memory::ReservedBytes;
use crate::error::ApiError;
use crate::transfer_limits::is_transfer;

/// Timeouts of requests and responses. Sockets have their own limits.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For receiving the headers of a request, and for idle connections.
    pub headers: Duration,
    /// Between two parts of a body, received or sent.
    pub pause: Duration,
    /// For sending a whole response.
    pub answer: Duration,
    /// For a request that uploads a photo or downloads a file.
    pub upload: Duration,
    /// For every other request.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let policy = JobPolicy::default();
        Self {
            headers: Duration::from_secs(30),
            pause: Duration::from_secs(30),
            answer: Duration::from_secs(15 * 60),
            upload: policy.upload_limit,
            request: policy.intake_limit,
        }
    }
}

impl Timeouts {
    fn of(&self, request: &Request) -> Duration {
        if is_transfer(request) {
            self.upload
        } else {
            self.request
        }
    }
}

/// Middleware that ends a request after its timeout: with 408 while the body is being received, else with 504.
pub(crate) async fn limit_time(State(app): State<App>, request: Request, next: Next) -> Response {
    let limits = app.settings.timeouts;
    let (limit, version) = (limits.of(&request), request.version());
    let progress = Arc::new(BodyProgress::default());
    // Photos are streamed to disk; all other bodies are buffered in memory until the request is answered.
    let reserved = (!is_transfer(&request)).then(|| Arc::new(app.body_memory.reserve()));
    let reserved_by_body = reserved.clone();
    let request = request.map(|body| {
        Body::new(BodyWithTimeout::new(
            body,
            limits.pause,
            &progress,
            reserved_by_body,
        ))
    });
    match tokio::time::timeout(limit, next.run(request)).await {
        // The handler has returned its own error for the aborted body; replace it by the cause.
        Ok(_) if progress.is(BodyProgress::STALLED) => ApiError::BodyTooSlow.into_response(),
        Ok(_) if progress.is(BodyProgress::OVER_BUDGET) => {
            closing(ApiError::Unavailable.into_response(), version)
        }
        Ok(response) if progress.is(BodyProgress::RECEIVING) => closing(response, version),
        Ok(response) => response,
        Err(_) if progress.is(BodyProgress::RECEIVING) => ApiError::BodyTooSlow.into_response(),
        Err(_) => {
            tracing::error!(limit_ms = limit.as_millis(), "a request timed out");
            ApiError::TookTooLong.into_response()
        }
    }
}

/// Adds `Connection: close` to a response that is sent before the request body was received. The connection cannot
/// be reused then, and a client that does not know it would lose its next request.
fn closing(mut response: Response, version: Version) -> Response {
    if version == Version::HTTP_11 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// The state of receiving a body; 0 for a request without one.
#[derive(Debug, Default)]
struct BodyProgress(AtomicU8);

impl BodyProgress {
    const RECEIVING: u8 = 1;
    const COMPLETE: u8 = 2;
    const STALLED: u8 = 3;
    const OVER_BUDGET: u8 = 4;

    fn is(&self, state: u8) -> bool {
        self.0.load(Ordering::Relaxed) == state
    }

    fn set(&self, state: u8) {
        self.0.store(state, Ordering::Relaxed);
    }
}

/// A body that fails when it stalls or exceeds the memory budget.
struct BodyWithTimeout {
    body: Body,
    pause: Duration,
    deadline: Pin<Box<Sleep>>,
    progress: Arc<BodyProgress>,
    reserved: Option<Arc<ReservedBytes>>,
}

impl BodyWithTimeout {
    fn new(
        body: Body,
        pause: Duration,
        progress: &Arc<BodyProgress>,
        reserved: Option<Arc<ReservedBytes>>,
    ) -> Self {
        if !body.is_end_stream() {
            progress.set(BodyProgress::RECEIVING);
        }
        Self {
            body,
            pause,
            deadline: Box::pin(tokio::time::sleep(pause)),
            progress: Arc::clone(progress),
            reserved,
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly")]
struct BodyStalled;

impl HttpBody for BodyWithTimeout {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(None) => {
                self.progress.set(BodyProgress::COMPLETE);
                Poll::Ready(None)
            }
            Poll::Ready(frame) => {
                if let Some(reserved) = &self.reserved
                    && let Some(Ok(frame)) = &frame
                    && let Some(data) = frame.data_ref()
                    && let Err(exceeded) = reserved.add(data.len())
                {
                    self.progress.set(BodyProgress::OVER_BUDGET);
                    return Poll::Ready(Some(Err(axum::Error::new(exceeded))));
                }
                if self.body.is_end_stream() {
                    self.progress.set(BodyProgress::COMPLETE);
                }
                let next = Instant::now() + self.pause;
                self.deadline.as_mut().reset(next);
                Poll::Ready(frame)
            }
            Poll::Pending => {
                std::task::ready!(self.deadline.as_mut().poll(context));
                self.progress.set(BodyProgress::STALLED);
                Poll::Ready(Some(Err(axum::Error::new(BodyStalled))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
