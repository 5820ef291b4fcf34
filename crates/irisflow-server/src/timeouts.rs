//! No request takes for ever: neither its body on the way to us (408) nor our own work (504). Nor do
//! bodies take all memory (503).

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
use tokio::time::{Instant, Sleep};

use crate::app::App;
use crate::body_memory::ReservedBytes;
use crate::error::ApiError;
use crate::transfer_limits::is_transfer;

/// How long requests and answers may take. Sockets have limits of their own.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until a request's headers are complete; connections that say nothing are closed.
    pub headers: Duration,
    /// Between two pieces of a body, on the way to us or from us.
    pub pause: Duration,
    /// Until an answer that has begun is taken.
    pub answer: Duration,
    /// A whole upload of a photo.
    pub upload: Duration,
    /// Every other request.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(15),
            pause: Duration::from_secs(30),
            answer: Duration::from_secs(15 * 60),
            upload: Duration::from_secs(15 * 60),
            request: Duration::from_secs(60),
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

/// Ends a request that takes too long, and says whose turn it was.
pub(crate) async fn limit_time(State(app): State<App>, request: Request, next: Next) -> Response {
    let limits = app.settings.time_limits;
    let (limit, version) = (limits.of(&request), request.version());
    let progress = Arc::new(BodyProgress::default());
    // Photos go to the disk; everything else is in memory until it is answered.
    let held = (!is_transfer(&request)).then(|| Arc::new(app.body_budget.reserve()));
    let counted = held.clone();
    let request =
        request.map(|body| Body::new(BodyWithTimeout::new(body, limits.pause, &progress, counted)));
    match tokio::time::timeout(limit, next.run(request)).await {
        // Whatever the handler made of a body that broke off, this is why it did.
        Ok(_) if progress.is(BodyProgress::STALLED) => ApiError::BodyTooSlow.into_response(),
        Ok(_) if progress.is(BodyProgress::OVER_BUDGET) => {
            closing(ApiError::Unavailable.into_response(), version)
        }
        Ok(response) if progress.is(BodyProgress::UNDER_WAY) => closing(response, version),
        Ok(response) => response,
        Err(_) if progress.is(BodyProgress::UNDER_WAY) => ApiError::BodyTooSlow.into_response(),
        Err(_) => {
            tracing::error!(limit_ms = limit.as_millis(), "a request took too long");
            ApiError::TookTooLong.into_response()
        }
    }
}

/// An answer that did not wait for the body: the connection is not used again, and says so, or the
/// client's next request is lost on it.
fn closing(mut response: Response, version: Version) -> Response {
    if version == Version::HTTP_11 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// How far a body has come.
#[derive(Debug, Default)]
struct BodyProgress(AtomicU8);

impl BodyProgress {
    const UNDER_WAY: u8 = 1;
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

/// A body that must not pause for too long.
struct BodyWithTimeout {
    body: Body,
    pause: Duration,
    deadline: Pin<Box<Sleep>>,
    progress: Arc<BodyProgress>,
    held: Option<Arc<ReservedBytes>>,
}

impl BodyWithTimeout {
    fn new(
        body: Body,
        pause: Duration,
        progress: &Arc<BodyProgress>,
        held: Option<Arc<ReservedBytes>>,
    ) -> Self {
        if !body.is_end_stream() {
            progress.set(BodyProgress::UNDER_WAY);
        }
        Self {
            body,
            pause,
            deadline: Box::pin(tokio::time::sleep(pause)),
            progress: Arc::clone(progress),
            held,
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
                if let Some(held) = &self.held
                    && let Some(Ok(frame)) = &frame
                    && let Some(data) = frame.data_ref()
                    && let Err(over) = held.add(data.len())
                {
                    self.progress.set(BodyProgress::OVER_BUDGET);
                    return Poll::Ready(Some(Err(axum::Error::new(over))));
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
