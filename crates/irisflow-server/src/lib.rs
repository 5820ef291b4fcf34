//! The API: HTTP, WebSocket, accounts, signed files, the embedded web app.
//!
//! `router.rs` is the table of contents; one endpoint is one file. Wire types live here and are
//! converted: no row of a database reaches a client. Rules of a job's life are in `irisflow-jobs`,
//! pixels in `irisflow-image`.

mod app;
mod auth;
mod error;
mod extract;
mod files;
mod health;
mod live;
mod openapi;
mod photos;
mod processing;
mod public_url;
mod router;
mod settings;
mod web;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use app::{Secrets, ServerParts};
pub use router::openapi;
pub use settings::{Registration, ServerSettings};

/// Serves until `shutdown` is cancelled, then lets requests under way finish.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    parts: ServerParts,
    settings: ServerSettings,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let app = Arc::new(app::AppState::new(parts, settings, shutdown.clone()));
    let resync = tokio::spawn(live::resync_watchers(Arc::clone(&app)));
    let service = router::router(&app).into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await;
    resync.abort();
    served
}
