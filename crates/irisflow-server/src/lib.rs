//! The API: HTTP, WebSocket, accounts, signed files, the embedded web app.
//!
//! `router.rs` is the table of contents; one endpoint is one file. Wire types live here and are
//! converted: no row of a database reaches a client. Rules of a job's life are in `irisflow-jobs`,
//! pixels in `irisflow-image`.

mod app;
mod auth;
mod buckets;
mod client_address;
mod error;
mod extract;
mod files;
mod health;
mod limits;
mod live;
mod metrics;
mod observe;
mod openapi;
mod outlook;
mod photos;
mod privacy;
mod processing;
mod public_url;
mod quality;
mod request_id;
mod router;
mod settings;
mod time_limits;
mod tls;
mod web;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsAcceptor;
use axum_server::{Handle, Server};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use app::{Secrets, ServerParts};
/// What the operator's commands share with the API: the rules for addresses and passwords.
pub mod accounts {
    pub use crate::auth::passwords::{NewPasswordError, hash_new_password};
    pub use crate::auth::register::parse_email;
}

pub use router::openapi;
pub use settings::{CheckLimits, Registration, ServerSettings, TimeLimits, TlsFiles, UseLimits};

/// How long requests under way may go on when the server is to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(8);

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
    let (limits, tls) = (settings.time_limits, settings.tls.clone());
    let app = Arc::new(app::AppState::new(parts, settings, shutdown.clone()));
    let service = router::router(&app).into_make_service_with_connect_info::<SocketAddr>();
    let handle = Handle::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(live::resync_watchers(Arc::clone(&app)));
    tasks.spawn(metrics::keep_up(Arc::clone(&app)));
    tasks.spawn({
        let (handle, shutdown) = (handle.clone(), shutdown.clone());
        async move {
            shutdown.cancelled().await;
            handle.graceful_shutdown(Some(LAST_REQUESTS));
        }
    });

    // Dropping the tasks at the end aborts them.
    let server = axum_server::from_tcp(listener.into_std()?)?;
    match tls {
        None => configure(server, handle, &limits).serve(service).await,
        Some(files) => {
            let config = files.load().await?;
            let server = server.acceptor(RustlsAcceptor::new(config.clone()));
            tasks.spawn(files.keep_fresh(config, shutdown));
            configure(server, handle, &limits).serve(service).await
        }
    }
}

fn configure<A>(
    server: Server<SocketAddr, A>,
    handle: Handle<SocketAddr>,
    limits: &TimeLimits,
) -> Server<SocketAddr, A> {
    let mut server = server.handle(handle).first_request_timeout(limits.headers);
    server
        .http_builder()
        .http1()
        .header_read_timeout(limits.headers);
    server
}
