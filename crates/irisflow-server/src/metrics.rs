//! `GET /metrics`: the numbers of this process and of the queue, in Prometheus' text format.
//!
//! They hold no ids, but tell how a service is used. They are on a listener of their own, which the
//! operator keeps to himself, or need a token; where a request comes from says nothing, since a reverse
//! proxy comes from this machine, too.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics::gauge;
use sha2::{Digest as _, Sha256};

use crate::app::{App, AppState};
use crate::error::{ApiError, ErrorBody};
use crate::public_url::names_loopback;

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How often samples are folded into their buckets, so that they do not pile up between two scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Numbers for Prometheus, with the operator's token or an admin's access token as bearer. Off, unless the
/// operator has set a token.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses(
        (status = 200, description = "Prometheus text format", content_type = "text/plain", body = String),
        (status = 403, description = "`metrics_forbidden`", body = ErrorBody),
        (status = 404, description = "Metrics are off here", body = ErrorBody),
        (status = 503, description = "The queue cannot be read", body = ErrorBody),
    ))]
pub(crate) async fn metrics(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    let Some(token) = app.settings.metrics_token.as_deref() else {
        return Err(ApiError::NotFound("Not found"));
    };
    if !app.may_read_metrics(token, &headers).await {
        return Err(ApiError::MetricsForbidden);
    }
    render(&app).await
}

/// What the listener for metrics answers: who reaches it may read.
pub(crate) fn listener_router(app: &App, listen: SocketAddr) -> Router {
    let read = get(
        async move |State(app): State<App>, headers: HeaderMap| -> Result<_, ApiError> {
            // A page that a browser on this machine has open must not read it under a name of its own.
            if listen.ip().is_loopback() && !names_loopback(&headers) {
                return Err(ApiError::NotFound("Not found"));
            }
            render(&app).await
        },
    );
    Router::new()
        .route("/metrics", read)
        .fallback(|| async { ApiError::NotFound("Not found") })
        .with_state(app.clone())
}

async fn render(app: &AppState) -> Result<impl IntoResponse + use<>, ApiError> {
    let queue = app.parts.statistics.queue().await?;
    let age = queue
        .oldest_due_since
        .map_or(Duration::ZERO, |since| app.now().since(since));
    gauge!("irisflow_queue_jobs", "state" => "waiting").set(as_f64(queue.waiting));
    gauge!("irisflow_queue_jobs", "state" => "running").set(as_f64(queue.running));
    gauge!("irisflow_queue_oldest_seconds").set(age.as_secs_f64());
    let text = app.parts.metrics.render();
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text))
}

impl AppState {
    async fn may_read_metrics(&self, token: &str, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .unwrap_or_default()
            .trim();
        // Digests have one length and say nothing of how much was right.
        Sha256::digest(given) == Sha256::digest(token) || self.is_admin(given).await
    }

    async fn is_admin(&self, token: &str) -> bool {
        let authenticated = self.authenticate(token).await;
        authenticated.is_ok_and(|user| user.account.is_admin)
    }
}

/// Runs until the server drains.
pub(crate) async fn keep_up(app: App) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(UPKEEP_INTERVAL) => app.parts.metrics.run_upkeep(),
            () = app.draining.cancelled() => return,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no queue is long enough to tell"
)]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// One open socket, counted while this lives.
#[derive(Debug)]
pub(crate) struct OpenSocket(());

impl OpenSocket {
    pub(crate) fn counted() -> Self {
        gauge!("irisflow_sockets_open").increment(1.0);
        Self(())
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        gauge!("irisflow_sockets_open").decrement(1.0);
    }
}
