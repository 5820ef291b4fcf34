//! `GET /metrics`: metrics of the process and of the queue in the Prometheus text format.
//!
//! They hold no ids, but show how a service is used. So they are served on a separate listener, which the operator
//! keeps private, or need a token. A loopback peer address is not sufficient for access, since requests through a
//! local reverse proxy have one, too.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics::gauge;
use metrics_exporter_prometheus::PrometheusHandle;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::app::{App, AppState, MonitoredParts};
use crate::error::{ApiError, ErrorBody, Missing};
use crate::public_url::names_loopback;

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How often histogram samples are aggregated, so that they do not accumulate between scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Metrics for Prometheus. Needs the operator's token, or the access token of an admin, as bearer token. Disabled
/// unless the operator has set a token.
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
        return Err(ApiError::NotFound(Missing::Path));
    };
    if !app.may_read_metrics(token, &headers).await {
        return Err(ApiError::MetricsForbidden);
    }
    render(&app.parts.monitored()).await
}

/// Router of the separate metrics listener, which needs no token.
pub(crate) fn listener_router(parts: MonitoredParts, listen: SocketAddr) -> Router {
    let read = get(
        async move |State(parts): State<MonitoredParts>,
                    headers: HeaderMap|
                    -> Result<_, ApiError> {
            // Against DNS rebinding: a web page in a local browser must not read metrics through its own host
            // name that resolves to loopback.
            if listen.ip().is_loopback() && !names_loopback(&headers) {
                return Err(ApiError::NotFound(Missing::Path));
            }
            render(&parts).await
        },
    );
    Router::new()
        .route("/metrics", read)
        .fallback(|| async { ApiError::NotFound(Missing::Path) })
        .with_state(parts)
}

async fn render(parts: &MonitoredParts) -> Result<impl IntoResponse + use<>, ApiError> {
    let queue = parts.statistics.queue().await?;
    let now = parts.clock.now();
    let age = queue
        .oldest_due_since
        .map_or(Duration::ZERO, |since| now.since(since));
    gauge!("irisflow_queue_jobs", "state" => "waiting").set(as_f64(queue.waiting));
    gauge!("irisflow_queue_jobs", "state" => "running").set(as_f64(queue.running));
    gauge!("irisflow_queue_oldest_seconds").set(age.as_secs_f64());
    gauge!("irisflow_bus_connected").set(f64::from(u8::from(parts.bus.is_connected())));
    let text = parts.metrics.render();
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text))
}

impl AppState {
    async fn may_read_metrics(&self, token: &str, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .unwrap_or_default()
            .trim();
        // Comparing digests leaks neither the length of the token nor a matching prefix by its timing.
        Sha256::digest(given) == Sha256::digest(token) || self.is_admin(given).await
    }

    async fn is_admin(&self, token: &str) -> bool {
        let authenticated = self.authenticate(token).await;
        authenticated.is_ok_and(|user| user.account.is_admin)
    }
}

/// Aggregates histogram samples periodically until the shutdown.
pub(crate) async fn run_upkeep(metrics: PrometheusHandle, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(UPKEEP_INTERVAL) => metrics.run_upkeep(),
            () = shutdown.cancelled() => return,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53, and no queue is that long"
)]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// Counts one open socket in the gauge until it is dropped.
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
