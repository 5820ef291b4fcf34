//! The life of the server: prepared, so that what cannot serve is known before anybody is told of it;
//! then serving, until it is to stop or a part of it fails.

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
use crate::{live, metrics, router};

/// How long requests under way may go on when the server is to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(8);
/// Who scrapes metrics opens one or two.
const METRICS_CONNECTIONS: usize = 16;
/// Requests that an HTTP/2 connection may have under way; browsers send more than this one by one.
const HTTP2_STREAMS: u32 = 64;
/// What is kept in memory of an answer, or of a header, that its peer is slow to take or to send.
const BUFFER_BYTES: usize = 32 * 1024;
/// How often a peer with requests under way on HTTP/2 is asked whether it is there.
const HTTP2_PING: Duration = Duration::from_secs(20);
/// A listener that fails fails often; it is logged this often.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Where the server listens.
#[derive(Debug)]
pub struct Listeners {
    pub api: TcpListener,
    /// For `/metrics` alone, without a credential.
    pub metrics: Option<TcpListener>,
}

/// A server that has everything it needs.
#[derive(Debug)]
pub struct PreparedServer {
    app: App,
    listeners: Listeners,
    tls: Option<(TlsFiles, RustlsConfig)>,
    shutdown: CancellationToken,
}

/// Prepares to serve until `shutdown` is cancelled.
///
/// # Errors
/// When the certificate files cannot be used.
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

/// Parts of the server, by name; each runs until the shutdown.
type Tasks = JoinSet<(&'static str, io::Result<()>)>;

impl PreparedServer {
    /// Serves, then lets requests under way finish.
    ///
    /// # Errors
    /// When a part of the server ends before the shutdown. Whatever it was, the server is not whole
    /// without it.
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
        tasks.spawn(named("re-reading of events", {
            let app = Arc::clone(&app);
            async move { live::resync_watchers(app).await }
        }));
        tasks.spawn(named(
            "upkeep of metrics",
            metrics::keep_up(Arc::clone(&app)),
        ));
        tasks.spawn(named("shutdown", {
            let (handle, shutdown) = (handle.clone(), shutdown.clone());
            async move {
                shutdown.cancelled().await;
                handle.graceful_shutdown(Some(LAST_REQUESTS));
            }
        }));
        if let Some(listener) = listeners.metrics {
            let address = listener.local_addr()?;
            let server = configured(listener, handle.clone(), &app.settings.time_limits)?;
            let acceptor = GuardedAcceptor::new(
                METRICS_CONNECTIONS,
                None,
                stream_limits(&app.settings.time_limits),
                true,
            );
            let service = service(metrics::listener_router(&app, address));
            let serving = server.acceptor(acceptor).serve(service);
            tasks.spawn(async { ("listener for metrics", serving.await) });
        }
        let acceptor = acceptor(&app.settings, tls.is_none());
        let service = service(router::router(&app));
        let server = configured(listeners.api, handle, &app.settings.time_limits)?;
        match tls {
            None => {
                let serving = server.acceptor(acceptor).serve(service);
                tasks.spawn(async { ("listener", serving.await) });
            }
            Some((files, config)) => {
                let fresh = files.keep_fresh(config.clone(), shutdown);
                tasks.spawn(named("renewal of certificates", fresh));
                let acceptor = RustlsAcceptor::new(config).acceptor(acceptor);
                let serving = server.acceptor(acceptor).serve(service);
                tasks.spawn(async { ("listener", serving.await) });
            }
        }
        Ok(tasks)
    }
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
    // A trusted proxy brings all clients from one address.
    let of_address = (settings.trusted_proxies == 0).then_some(limits.connections_of_address);
    GuardedAcceptor::new(
        limits.connections,
        of_address,
        stream_limits(&settings.time_limits),
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
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(limits.pause);
    Ok(server)
}

/// Says when connections cannot be taken, as when there are no descriptors. One connection that fails,
/// by its peer's or our own will, is nothing to speak of.
fn log_accept_errors() -> impl Fn(Option<&SocketAddr>, &io::Error) + Send + Sync + 'static {
    let (begun, said) = (std::time::Instant::now(), AtomicI64::new(i64::MIN));
    move |peer, error| {
        if peer.is_some() {
            return;
        }
        let now = i64::try_from(begun.elapsed().as_secs()).unwrap_or(i64::MAX);
        let last = said.load(Ordering::Relaxed);
        if now.saturating_sub(last) >= ACCEPT_LOG_INTERVAL.as_secs().cast_signed() {
            said.store(now, Ordering::Relaxed);
            tracing::error!(%error, "connections cannot be accepted; trying again");
        }
    }
}
