//! Start and shutdown of the server. `prepare` checks what it needs, so that errors show before the service reports
//! that it is ready; `serve` then runs its tasks until the shutdown, or until one of them fails.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{App, AppState, ServerParts};
use crate::connections::{GuardedAcceptor, StreamLimits};
use crate::settings::{ServerSettings, Timeouts, TlsFiles};
use crate::{live, metrics, request_rates, router, webhooks};

/// How long requests in flight may take to complete during a graceful shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(8);
/// Maximum number of connections to the metrics listener; a scraper opens one or two.
const METRICS_CONNECTIONS: usize = 16;
/// Maximum number of concurrent streams of an HTTP/2 connection. Browsers queue requests beyond it.
const HTTP2_STREAMS: u32 = 64;
/// Send and receive buffer of a connection, which bounds the memory for a peer that reads or writes slowly.
const BUFFER_BYTES: usize = 32 * 1024;
/// Interval of keep-alive pings on HTTP/2 connections with open streams.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
/// Minimum interval between log lines about a listener that cannot accept, which fails many times a second.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The sockets that the server listens on.
#[derive(Debug)]
pub struct Listeners {
    pub api: TcpListener,
    /// Serves `/metrics` only, without authentication.
    pub metrics: Option<TcpListener>,
}

/// A server that is ready to serve.
#[derive(Debug)]
pub struct PreparedServer {
    app: App,
    listeners: Listeners,
    tls: Option<(TlsFiles, RustlsConfig)>,
    shutdown: CancellationToken,
}

/// Loads the TLS certificate and builds the state of a server that serves until `shutdown` is cancelled.
///
/// # Errors
/// The certificate files cannot be read or are not valid.
pub async fn prepare(
    listeners: Listeners,
    parts: ServerParts,
    settings: ServerSettings,
    shutdown: CancellationToken,
) -> io::Result<PreparedServer> {
    let tls = match settings.tls.clone() {
        None => None,
        Some(files) => {
            let config = files.load().await?;
            Some((files, config))
        }
    };
    let app = Arc::new(AppState::new(parts, settings, shutdown.clone()));
    Ok(PreparedServer {
        app,
        listeners,
        tls,
        shutdown,
    })
}

/// Tasks of the server with their names. Each runs until the shutdown.
type Tasks = JoinSet<(&'static str, io::Result<()>)>;

impl PreparedServer {
    /// Serves until the shutdown, then waits for requests in flight, up to `SHUTDOWN_GRACE`.
    ///
    /// # Errors
    /// A task of the server failed, or ended before the shutdown. The server cannot go on without any of them.
    pub async fn serve(self) -> io::Result<()> {
        let shutdown = self.shutdown.clone();
        let mut tasks = self.start()?;
        while let Some(ended) = tasks.join_next().await {
            let (name, result) = ended.map_err(|error| {
                io::Error::other(format!("a part of the server has failed: {error}"))
            })?;
            result.map_err(|error| io::Error::other(format!("the {name} has failed: {error}")))?;
            if !shutdown.is_cancelled() {
                return Err(io::Error::other(format!("the {name} has ended by itself")));
            }
        }
        Ok(())
    }

    fn start(self) -> io::Result<Tasks> {
        let Self {
            app,
            listeners,
            tls,
            shutdown,
        } = self;
        let handle = Handle::new();
        let mut tasks = Tasks::new();
        tasks.spawn(named("resync of events", {
            let app = Arc::clone(&app);
            async move { live::resync_watchers(app).await }
        }));
        tasks.spawn(named(
            "check of sessions",
            live::check_sessions(Arc::clone(&app)),
        ));
        tasks.spawn(named(
            "upkeep of metrics",
            metrics::run_upkeep(app.parts.metrics.clone(), app.draining.clone()),
        ));
        tasks.spawn(named(
            "delivery of webhooks",
            webhooks::deliver(Arc::clone(&app)),
        ));
        tasks.spawn(named(
            "pruning of webhook deliveries",
            webhooks::prune_deliveries(Arc::clone(&app)),
        ));
        tasks.spawn(named(
            "sharing of request rates",
            request_rates::share_rates(Arc::clone(&app)),
        ));
        let ending = shut_down_gracefully(handle.clone(), shutdown.clone());
        tasks.spawn(named("shutdown", ending));
        if let Some(listener) = listeners.metrics {
            let router = metrics::listener_router(app.parts.monitored(), listener.local_addr()?);
            let limits = app.settings.timeouts;
            let serving = serve_monitoring(listener, router, handle.clone(), limits);
            tasks.spawn(async { ("listener for metrics", serving.await) });
        }
        let acceptor = acceptor(&app.settings, tls.is_none());
        let service = service(router::router(&app));
        let server = configured(listeners.api, handle, &app.settings.timeouts)?;
        match tls {
            None => {
                let serving = server.acceptor(acceptor).serve(service);
                tasks.spawn(async { ("listener", serving.await) });
            }
            Some((files, config)) => {
                let reload = files.reload_on_change(config.clone(), shutdown);
                tasks.spawn(named("reload of certificates", reload));
                let acceptor = RustlsAcceptor::new(config).acceptor(acceptor);
                let serving = server.acceptor(acceptor).serve(service);
                tasks.spawn(async { ("listener", serving.await) });
            }
        }
        Ok(tasks)
    }
}

/// Serves a router that only operators' programs use.
pub(crate) async fn serve_monitoring(
    listener: TcpListener,
    router: Router,
    handle: Handle<SocketAddr>,
    limits: Timeouts,
) -> io::Result<()> {
    let server = configured(listener, handle, &limits)?;
    let acceptor = GuardedAcceptor::new(METRICS_CONNECTIONS, None, stream_limits(&limits), true);
    server.acceptor(acceptor).serve(service(router)).await
}

/// Ends connections at the shutdown, after a grace.
pub(crate) async fn shut_down_gracefully(handle: Handle<SocketAddr>, shutdown: CancellationToken) {
    shutdown.cancelled().await;
    handle.graceful_shutdown(Some(SHUTDOWN_GRACE));
}

async fn named(
    name: &'static str,
    task: impl Future<Output = ()>,
) -> (&'static str, io::Result<()>) {
    task.await;
    (name, Ok(()))
}

fn service(
    router: Router,
) -> axum::extract::connect_info::IntoMakeServiceWithConnectInfo<Router, SocketAddr> {
    router.into_make_service_with_connect_info::<SocketAddr>()
}

fn stream_limits(limits: &Timeouts) -> StreamLimits {
    StreamLimits {
        idle: limits.headers,
        pause: limits.pause,
        answer: limits.answer,
    }
}

fn acceptor(settings: &ServerSettings, is_plain: bool) -> GuardedAcceptor {
    let limits = settings.connection_limits;
    // Behind a trusted proxy all connections come from the address of the proxy.
    let of_address = (settings.trusted_proxies == 0).then_some(limits.connections_of_address);
    GuardedAcceptor::new(
        limits.connections,
        of_address,
        stream_limits(&settings.timeouts),
        is_plain,
    )
}

fn configured(
    listener: TcpListener,
    handle: Handle<SocketAddr>,
    limits: &Timeouts,
) -> io::Result<Server<SocketAddr>> {
    let mut server = axum_server::from_tcp(listener.into_std()?)?
        .handle(handle)
        .first_request_timeout(limits.headers)
        .accept_error_handler(log_accept_errors());
    server
        .http_builder()
        .http1()
        .header_read_timeout(limits.headers)
        .max_buf_size(BUFFER_BYTES);
    server
        .http_builder()
        .http2()
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_send_buf_size(BUFFER_BYTES)
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(limits.pause);
    Ok(server)
}

/// Logs errors of the listener, for example when the process has no file descriptors left. Errors of a single
/// connection (`peer` is set), which its client or admission control causes, are not logged.
fn log_accept_errors() -> impl Fn(Option<&SocketAddr>, &io::Error) + Send + Sync + 'static {
    let (started_at, last_logged_s) = (std::time::Instant::now(), AtomicI64::new(i64::MIN));
    move |peer, error| {
        if peer.is_some() {
            return;
        }
        let now = i64::try_from(started_at.elapsed().as_secs()).unwrap_or(i64::MAX);
        let last = last_logged_s.load(Ordering::Relaxed);
        if now.saturating_sub(last) >= ACCEPT_LOG_INTERVAL.as_secs().cast_signed() {
            last_logged_s.store(now, Ordering::Relaxed);
            tracing::error!(%error, "connections cannot be accepted; trying again");
        }
    }
}
