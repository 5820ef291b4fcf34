//! The HTTP endpoint of a process that works on jobs and serves no API: `/health`, `/health/ready`, `/metrics`.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use axum_server::Handle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::MonitoredParts;
use crate::health::{self, Readiness};
use crate::metrics;
use crate::server::{serve_monitoring, shut_down_gracefully};
use crate::timeouts::Timeouts;

/// Health and metrics of one process, without authentication.
#[derive(Debug, Clone)]
pub struct WorkerEndpoint {
    parts: MonitoredParts,
    min_free_bytes: u64,
    readiness: Arc<Readiness>,
    shutdown: CancellationToken,
}

impl WorkerEndpoint {
    /// With less free space than `min_free_bytes` where the database or the photos are, the process is not ready.
    pub fn new(parts: MonitoredParts, min_free_bytes: u64, shutdown: CancellationToken) -> Self {
        Self {
            parts,
            min_free_bytes,
            readiness: Arc::default(),
            shutdown,
        }
    }

    /// Serves until the shutdown.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let metrics = metrics::listener_router(self.parts.clone(), listener.local_addr()?);
        let handle = Handle::new();
        let shutdown = &self.shutdown;
        tokio::spawn(shut_down_gracefully(handle.clone(), shutdown.clone()));
        tokio::spawn(metrics::run_upkeep(
            self.parts.metrics.clone(),
            shutdown.clone(),
        ));
        let router = Router::new()
            .route("/health", get(health::health))
            .route("/health/ready", get(ready))
            .with_state(self)
            .merge(metrics);
        serve_monitoring(listener, router, handle, Timeouts::default()).await
    }
}

async fn ready(State(endpoint): State<WorkerEndpoint>) -> impl IntoResponse {
    let (parts, min_free_bytes) = (&endpoint.parts, endpoint.min_free_bytes);
    let probed = endpoint.readiness.probed(parts, min_free_bytes);
    health::response(probed.await, endpoint.shutdown.is_cancelled())
}
