//! `GET /metrics`: the numbers of this process and of the queue, in Prometheus' text format.
//!
//! They hold no ids, but tell how a service is used: they are for the machine itself, or for who has
//! the token, or for admins.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use metrics::gauge;
use sha2::{Digest as _, Sha256};

use crate::app::{App, AppState};
use crate::client_address::ClientAddress;
use crate::error::{ApiError, ErrorBody};

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How often samples are folded into their buckets, so that they do not pile up between two scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Numbers for Prometheus. From this machine only, or with the operator's token or an admin's access
/// token as bearer.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses(
        (status = 200, description = "Prometheus text format", content_type = "text/plain", body = String),
        (status = 403, description = "`metrics_forbidden`", body = ErrorBody),
        (status = 503, description = "The queue cannot be read", body = ErrorBody),
    ))]
pub(crate) async fn metrics(
    State(app): State<App>,
    client: ClientAddress,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    if !app.may_read_metrics(&client, &headers).await {
        return Err(ApiError::MetricsForbidden);
    }
    let queue = app.parts.census.queue().await?;
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
    async fn may_read_metrics(&self, client: &ClientAddress, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .unwrap_or_default()
            .trim();
        let allowed = match self.settings.metrics_token.as_deref() {
            None => client.is_this_machine,
            // Digests have one length and say nothing of how much was right.
            Some(token) => Sha256::digest(given) == Sha256::digest(token),
        };
        allowed || self.is_admin(given).await
    }

    async fn is_admin(&self, token: &str) -> bool {
        let authenticated = self.authenticate(token).await;
        authenticated.is_ok_and(|(user, _)| user.account.is_admin)
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
