//! `irisflow serve`: command line arguments, conversion into settings, start and graceful shutdown.
//!
//! Defaults are those of `ServerSettings`, `WorkerSettings` and `JobPolicy`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use irisflow_image::load::Limits;
use irisflow_jobs::JobPolicy;
use irisflow_photos::MemoryBudget;
use irisflow_server::{
    ConnectionLimits, Listeners, Origin, Registration, ServerSettings, Timeouts, TlsFiles,
    UsageLimits,
};
use irisflow_worker::{FaultPlan, Worker, WorkerSettings};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::compose::{self, OpenDatabase, ServiceSettings};
use crate::consent_args::ConsentArgs;
use crate::file_descriptors;
use crate::logging::{self, LogFormat};
use crate::metrics;
use crate::own_addresses;
use crate::sign_in_args::{SignInArgs, in_ms};
use crate::stop_signals::StopSignals;
use crate::webhook_args::WebhookArgs;

#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    /// Address and port to listen on.
    #[arg(long, env = "IRISFLOW_LISTEN", default_value_t = ServerSettings::default().listen)]
    listen: SocketAddr,
    /// Folder for the database, the photos and the results.
    #[arg(long, env = "IRISFLOW_DATA_DIR", default_value = "irisflow-data")]
    data_dir: PathBuf,
    /// How clients reach the server, as in `https://iris.example.com`. Links are made from it; without it,
    /// from the address that a client has used, when that is one of this machine or of a private network.
    #[arg(long, env = "IRISFLOW_PUBLIC_URL")]
    public_url: Option<String>,
    /// Whether new accounts may be made.
    #[arg(
        long,
        env = "IRISFLOW_REGISTRATION",
        value_enum,
        default_value = "open"
    )]
    registration: RegistrationArg,
    #[command(flatten)]
    consent: ConsentArgs,
    /// Web origins other than our own whose pages may call, as in `https://app.example.com`, separated by
    /// commas.
    #[arg(long, env = "IRISFLOW_ALLOWED_ORIGINS", value_delimiter = ',')]
    allowed_origins: Vec<Origin>,
    /// Photos processed at once. Default: one less than the number of cores, at least 1.
    #[arg(long, env = "IRISFLOW_WORKERS")]
    workers: Option<usize>,
    /// What to log, as in info or irisflow_worker=debug.
    #[arg(long, env = "IRISFLOW_LOG", default_value = "info,memory_serve=warn")]
    log: String,
    #[arg(long, env = "IRISFLOW_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
    /// Certificate chain for HTTPS, as PEM. Taken up anew when it changes, and at SIGHUP.
    #[arg(
        long,
        env = "IRISFLOW_TLS_CERT",
        requires = "tls_key",
        value_name = "FILE"
    )]
    tls_cert: Option<PathBuf>,
    /// Its private key, as PEM.
    #[arg(
        long,
        env = "IRISFLOW_TLS_KEY",
        requires = "tls_cert",
        value_name = "FILE"
    )]
    tls_key: Option<PathBuf>,
    /// Bearer token for /metrics. Without it, that route is off.
    #[arg(long, env = "IRISFLOW_METRICS_TOKEN", hide_env_values = true,
        value_parser = clap::builder::NonEmptyStringValueParser::new())]
    metrics_token: Option<String>,
    /// Address and port for /metrics alone, by plain HTTP and without a token: anyone who can connect can
    /// read it.
    #[arg(long, env = "IRISFLOW_METRICS_LISTEN", value_name = "ADDRESS")]
    metrics_listen: Option<SocketAddr>,
    /// How many proxies in front of this server append to X-Forwarded-For. Without any, that header is
    /// ignored.
    #[arg(long, env = "IRISFLOW_TRUSTED_PROXIES", default_value_t = ServerSettings::default().trusted_proxies)]
    trusted_proxies: usize,
    #[command(flatten)]
    sign_in: SignInArgs,
    #[command(flatten)]
    webhooks: WebhookArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Durations and limits. The defaults suit production; tests shorten them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Largest photo, bytes.
    #[arg(long, env = "IRISFLOW_MAX_PHOTO_BYTES", default_value_t = Limits::default().max_bytes)]
    max_photo_bytes: usize,
    /// Largest photo, pixels.
    #[arg(long, env = "IRISFLOW_MAX_PHOTO_PIXELS", default_value_t = Limits::default().max_pixels)]
    max_photo_pixels: u64,
    /// Photos in a batch.
    #[arg(long, env = "IRISFLOW_BATCH_LIMIT", default_value_t = ServerSettings::default().batch_limit)]
    batch_limit: usize,
    /// How long a worker owns a job without renewing.
    #[arg(long, env = "IRISFLOW_LEASE_MS", default_value_t = in_ms(JobPolicy::default().lease))]
    lease_ms: u64,
    /// How long one attempt may take.
    #[arg(long, env = "IRISFLOW_MAX_RUNTIME_MS", default_value_t = in_ms(WorkerSettings::default().max_runtime))]
    max_runtime_ms: u64,
    /// Maximum number of retries after failed attempts.
    #[arg(long, env = "IRISFLOW_MAX_RETRIES", default_value_t = JobPolicy::default().max_retries)]
    max_retries: u32,
    /// The first retry waits up to this long, each further one up to twice as long.
    #[arg(long, env = "IRISFLOW_BACKOFF_MS", default_value_t = in_ms(JobPolicy::default().backoff_base))]
    backoff_ms: u64,
    /// How long running jobs may go on after a stop is asked for.
    #[arg(long, env = "IRISFLOW_DRAIN_GRACE_MS", default_value_t = in_ms(WorkerSettings::default().drain_grace))]
    drain_grace_ms: u64,
    /// Interval at which the counters of waiting and running jobs are checked against the jobs, and repaired.
    #[arg(long, env = "IRISFLOW_COUNTER_CHECK_MS", default_value_t = in_ms(WorkerSettings::default().counter_check))]
    counter_check_ms: u64,
    /// Whether sockets and event streams accept access tokens in their URL, which proxies may log: on or off.
    #[arg(
        long,
        env = "IRISFLOW_TOKENS_IN_URLS",
        default_value = "on",
        value_parser = clap::builder::BoolishValueParser::new(),
        action = clap::ArgAction::Set,
        value_name = "ON|OFF"
    )]
    tokens_in_urls: bool,
    /// Life of an access token.
    #[arg(long, env = "IRISFLOW_ACCESS_TOKEN_MS", default_value_t = in_ms(ServerSettings::default().access_token_life))]
    access_token_ms: u64,
    /// How long a job's socket may stay open.
    #[arg(long, env = "IRISFLOW_SOCKET_LIMIT_MS", default_value_t = in_ms(ServerSettings::default().socket_limit))]
    socket_limit_ms: u64,
    /// Interval at which an open socket looks up its session, which another process may have ended.
    #[arg(long, env = "IRISFLOW_SESSION_CHECK_MS", default_value_t = in_ms(ServerSettings::default().session_check))]
    session_check_ms: u64,
    /// How long a submission that is sent again with its Idempotency-Key is answered as the first was.
    #[arg(
        long,
        env = "IRISFLOW_IDEMPOTENCY_KEY_MS",
        default_value_t = in_ms(JobPolicy::default().idempotency_key_life)
    )]
    idempotency_key_ms: u64,
    /// How long an upload URL works.
    #[arg(long, env = "IRISFLOW_UPLOAD_URL_MS", default_value_t = in_ms(JobPolicy::default().upload_url_life))]
    upload_url_ms: u64,
    /// How long a download URL works.
    #[arg(long, env = "IRISFLOW_DOWNLOAD_URL_MS", default_value_t = in_ms(ServerSettings::default().download_url_life))]
    download_url_ms: u64,
    /// Delete originals this long after they were announced. Kept when left out.
    #[arg(long, env = "IRISFLOW_KEEP_ORIGINALS_MS")]
    keep_originals_ms: Option<u64>,
    /// Delete jobs with their results this long after their end. Kept when left out.
    #[arg(long, env = "IRISFLOW_KEEP_RESULTS_MS")]
    keep_results_ms: Option<u64>,
    /// Delete sessions this long after they ended or ran out.
    #[arg(
        long,
        env = "IRISFLOW_KEEP_ENDED_SESSIONS_MS",
        default_value_t = in_ms(WorkerSettings::default().keep_ended_sessions)
    )]
    keep_ended_sessions_ms: u64,
    /// Delete events this long after they were committed. A client that returns later starts from a snapshot.
    #[arg(long, env = "IRISFLOW_KEEP_EVENTS_MS", default_value_t = in_ms(WorkerSettings::default().keep_events))]
    keep_events_ms: u64,
    /// Requests a second of one account, on the long run.
    #[arg(long, env = "IRISFLOW_USER_RATE", default_value_t = UsageLimits::default().user_rate)]
    user_rate: u32,
    /// Requests of one account at once.
    #[arg(long, env = "IRISFLOW_USER_BURST", default_value_t = UsageLimits::default().user_burst)]
    user_burst: u32,
    /// Requests a second of one address, on the long run.
    #[arg(long, env = "IRISFLOW_ADDRESS_RATE", default_value_t = UsageLimits::default().address_rate)]
    address_rate: u32,
    /// Requests of one address at once.
    #[arg(long, env = "IRISFLOW_ADDRESS_BURST", default_value_t = UsageLimits::default().address_burst)]
    address_burst: u32,
    /// Photos, unconfirmed uploads and results of one account, bytes.
    #[arg(long, env = "IRISFLOW_STORAGE_QUOTA_BYTES", default_value_t = UsageLimits::default().stored_bytes)]
    storage_quota_bytes: u64,
    /// With less free space than this where the database or the photos are, /health/ready answers 503,
    /// bytes.
    #[arg(long, env = "IRISFLOW_MIN_FREE_BYTES", default_value_t = ServerSettings::default().min_free_bytes)]
    min_free_bytes: u64,
    /// Photos of one account that were announced and are not confirmed.
    #[arg(long, env = "IRISFLOW_UNCONFIRMED_LIMIT", default_value_t = UsageLimits::default().unconfirmed_photos)]
    unconfirmed_limit: u64,
    /// Memory for photos that are read and decoded, bytes, of requests and workers together; one account's
    /// requests may take half. When left out, 336 MiB and 64 MiB more for each worker after the first.
    #[arg(long, env = "IRISFLOW_READ_MEMORY_BYTES")]
    read_memory_bytes: Option<u64>,
    /// How long a request waits for that memory before it is rejected with 503.
    #[arg(long, env = "IRISFLOW_READ_WAIT_MS", default_value_t = in_ms(ServerSettings::default().decode_limits.max_wait))]
    read_wait_ms: u64,
    /// Unfinished jobs of one account.
    #[arg(long, env = "IRISFLOW_USER_QUEUE_LIMIT", default_value_t = UsageLimits::default().user_jobs)]
    user_queue_limit: u64,
    /// Waiting jobs of all accounts.
    #[arg(long, env = "IRISFLOW_QUEUE_LIMIT", default_value_t = UsageLimits::default().queue_jobs)]
    queue_limit: u64,
    /// Connections at once. Half of the limit of open files, 4096 at most, when left out.
    #[arg(long, env = "IRISFLOW_MAX_CONNECTIONS")]
    max_connections: Option<usize>,
    /// Connections of one address at once; does not hold behind trusted proxies. Half of all when left
    /// out.
    #[arg(long, env = "IRISFLOW_MAX_ADDRESS_CONNECTIONS")]
    max_address_connections: Option<usize>,
    /// Open sockets of one account at once. A quarter of all connections when left out.
    #[arg(long, env = "IRISFLOW_MAX_USER_SOCKETS")]
    max_user_sockets: Option<usize>,
    /// Open sockets of one address at once. Three eighths of all connections when left out.
    #[arg(long, env = "IRISFLOW_MAX_ADDRESS_SOCKETS")]
    max_address_sockets: Option<usize>,
    /// Interval at which the peer of a socket is pinged; one that has not answered by the next ping is
    /// disconnected.
    #[arg(long, env = "IRISFLOW_SOCKET_PING_MS", default_value_t = in_ms(ServerSettings::default().socket_ping))]
    socket_ping_ms: u64,
    /// How long the headers of a request may take; idle connections are closed after this, too.
    #[arg(long, env = "IRISFLOW_HEADER_LIMIT_MS", default_value_t = in_ms(Timeouts::default().headers))]
    header_limit_ms: u64,
    /// How long the body of a request may pause, and a peer may take nothing of an answer.
    #[arg(long, env = "IRISFLOW_BODY_PAUSE_MS", default_value_t = in_ms(Timeouts::default().pause))]
    body_pause_ms: u64,
    /// How long a download may take.
    #[arg(long, env = "IRISFLOW_DOWNLOAD_LIMIT_MS", default_value_t = in_ms(Timeouts::default().answer))]
    download_limit_ms: u64,
    /// How long the upload of a photo may take.
    #[arg(long, env = "IRISFLOW_UPLOAD_LIMIT_MS", default_value_t = in_ms(Timeouts::default().upload))]
    upload_limit_ms: u64,
    /// How long any other request may take.
    #[arg(long, env = "IRISFLOW_REQUEST_LIMIT_MS", default_value_t = in_ms(Timeouts::default().request))]
    request_limit_ms: u64,
    /// Failures to plan, as in segmenting:transient:1; needs a build with the feature `faults`.
    #[arg(long, env = "IRISFLOW_FAULTS", default_value = "", hide = true)]
    faults: String,
    /// A pause in every commit, as in before:80, during:80 or after:80.
    #[cfg(feature = "faults")]
    #[arg(long, env = "IRISFLOW_COMMIT_PAUSE", hide = true)]
    commit_pause: Option<compose::CommitPause>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RegistrationArg {
    Open,
    Closed,
}

impl ServeArgs {
    fn job_policy(&self) -> JobPolicy {
        JobPolicy {
            lease: Duration::from_millis(self.limits.lease_ms),
            max_retries: self.limits.max_retries,
            backoff_base: Duration::from_millis(self.limits.backoff_ms),
            upload_url_life: Duration::from_millis(self.limits.upload_url_ms),
            upload_limit: Duration::from_millis(self.limits.upload_limit_ms),
            intake_limit: Duration::from_millis(self.limits.request_limit_ms),
            idempotency_key_life: Duration::from_millis(self.limits.idempotency_key_ms),
            ..JobPolicy::default()
        }
    }

    fn worker_settings(&self) -> WorkerSettings {
        let defaults = WorkerSettings::default();
        WorkerSettings {
            slots: self.workers.unwrap_or(defaults.slots).max(1),
            lease: Duration::from_millis(self.limits.lease_ms),
            max_runtime: Duration::from_millis(self.limits.max_runtime_ms),
            drain_grace: Duration::from_millis(self.limits.drain_grace_ms),
            counter_check: Duration::from_millis(self.limits.counter_check_ms),
            keep_originals: self.limits.keep_originals_ms.map(Duration::from_millis),
            keep_results: self.limits.keep_results_ms.map(Duration::from_millis),
            keep_ended_sessions: Duration::from_millis(self.limits.keep_ended_sessions_ms),
            keep_events: Duration::from_millis(self.limits.keep_events_ms),
            ..defaults
        }
    }

    /// By default enough to decode the largest photo, and a common one in each further worker.
    fn read_memory(&self, workers: usize) -> MemoryBudget {
        const FIRST_BYTES: u64 = 336 << 20;
        const WORKER_BYTES: u64 = 64 << 20;
        let further = workers.saturating_sub(1) as u64;
        let default = FIRST_BYTES + further * WORKER_BYTES;
        MemoryBudget::new(self.limits.read_memory_bytes.unwrap_or(default))
    }

    fn tls_files(&self) -> Option<TlsFiles> {
        let (cert, key) = (self.tls_cert.clone()?, self.tls_key.clone()?);
        Some(TlsFiles { cert, key })
    }

    /// Limits derived from the number of file descriptors, overridden by explicit settings.
    fn connection_limits(&self, descriptors: u64) -> ConnectionLimits {
        let mut limits = ConnectionLimits::for_descriptors(descriptors);
        if let Some(connections) = self.limits.max_connections {
            limits = limits.with_connections(connections);
        }
        let set = |limit: &mut usize, setting: Option<usize>| {
            *limit = setting.map_or(*limit, |setting| setting.max(1));
        };
        set(
            &mut limits.connections_of_address,
            self.limits.max_address_connections,
        );
        set(&mut limits.sockets_of_user, self.limits.max_user_sockets);
        set(
            &mut limits.sockets_of_address,
            self.limits.max_address_sockets,
        );
        limits
    }

    /// `listen` is the bound address, with the actual port.
    fn server_settings(&self, listen: SocketAddr, descriptors: u64) -> ServerSettings {
        let mut settings = ServerSettings {
            listen,
            public_url: self.public_url.clone(),
            own_hosts: own_addresses::own_hosts(),
            connection_limits: self.connection_limits(descriptors),
            socket_ping: Duration::from_millis(self.limits.socket_ping_ms.max(1)),
            registration: match self.registration {
                RegistrationArg::Open => Registration::Open,
                RegistrationArg::Closed => Registration::Closed,
            },
            consent_required: self.consent.consent_required,
            allowed_origins: self.allowed_origins.clone(),
            access_token_life: Duration::from_millis(self.limits.access_token_ms),
            tokens_in_urls: self.limits.tokens_in_urls,
            socket_limit: Duration::from_millis(self.limits.socket_limit_ms),
            session_check: Duration::from_millis(self.limits.session_check_ms),
            upload_url_life: Duration::from_millis(self.limits.upload_url_ms),
            download_url_life: Duration::from_millis(self.limits.download_url_ms),
            batch_limit: self.limits.batch_limit,
            timeouts: Timeouts {
                headers: Duration::from_millis(self.limits.header_limit_ms),
                pause: Duration::from_millis(self.limits.body_pause_ms),
                answer: Duration::from_millis(self.limits.download_limit_ms),
                upload: Duration::from_millis(self.limits.upload_limit_ms),
                request: Duration::from_millis(self.limits.request_limit_ms),
            },
            usage_limits: UsageLimits {
                user_rate: self.limits.user_rate,
                user_burst: self.limits.user_burst,
                address_rate: self.limits.address_rate,
                address_burst: self.limits.address_burst,
                stored_bytes: self.limits.storage_quota_bytes,
                unconfirmed_photos: self.limits.unconfirmed_limit,
                user_jobs: self.limits.user_queue_limit,
                queue_jobs: self.limits.queue_limit,
            },
            min_free_bytes: self.limits.min_free_bytes,
            tls: self.tls_files(),
            sign_in_limits: self.sign_in.limits(),
            webhooks: self.webhooks.settings(),
            metrics_token: self.metrics_token.clone(),
            trusted_proxies: self.trusted_proxies,
            ..ServerSettings::default()
        };
        settings.decode_limits.max_wait = Duration::from_millis(self.limits.read_wait_ms);
        settings.photo_limits.max_bytes = self.limits.max_photo_bytes;
        settings.photo_limits.max_pixels = self.limits.max_photo_pixels;
        settings
    }
}

/// Serves until SIGTERM or Ctrl-C, then shuts down gracefully.
pub(crate) fn run(arguments: ServeArgs) -> anyhow::Result<()> {
    logging::start(&arguments.log, arguments.log_format)?;
    let faults = FaultPlan::parse(&arguments.limits.faults)?;
    #[cfg(feature = "faults")]
    if let Some(pause) = arguments.limits.commit_pause {
        pause.plan();
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?
        .block_on(serve(arguments, faults))
}

async fn serve(arguments: ServeArgs, faults: FaultPlan) -> anyhow::Result<()> {
    let descriptors = file_descriptors::raise_limit();
    if descriptors < file_descriptors::RECOMMENDED_MIN {
        tracing::warn!(
            limit = descriptors,
            "few files may be open at once, so few connections are taken; raise the limit (ulimit -n)"
        );
    }
    let listeners = Listeners {
        api: bind(arguments.listen, "--listen")?,
        metrics: match arguments.metrics_listen {
            Some(address) => Some(bind(address, "--metrics-listen")?),
            None => None,
        },
    };
    let listen = listeners.api.local_addr().context("reading the address")?;
    let settings = ServerSettings {
        consent_text: arguments.consent.text()?,
        ..arguments.server_settings(listen, descriptors)
    };
    let announcement = announcement(&arguments, &settings, &listeners)?;
    let worker_settings = arguments.worker_settings();

    let service = compose::embedded(
        &arguments.data_dir,
        ServiceSettings {
            policy: arguments.job_policy(),
            memory: arguments.read_memory(worker_settings.slots),
            worker: worker_settings,
            photo_limits: settings.photo_limits,
            faults,
            metrics: metrics::start()?,
        },
    )
    .await?;
    let shutdown = CancellationToken::new();
    let server =
        irisflow_server::prepare(listeners, service.parts.clone(), settings, shutdown.clone())
            .await
            .context("preparing to serve")?;
    // From the first claim on, a stop that is asked for must drain.
    let stop = StopSignals::listen()?;
    // No job is claimed, and no address printed, before nothing can prevent serving any more.
    let worker = service.worker.start()?;
    print(&announcement);
    let server = tokio::spawn(server.serve());
    run_until_stopped(worker, service.database, server, shutdown, stop).await
}

/// Listen backlog. When it is full, the kernel drops the SYN of a new connection, and the client retries after 1,
/// 3 and 7 s: with a small backlog a flood of connections would delay all clients.
const BACKLOG: u32 = 4096;

fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    listen(address)
        .with_context(|| format!("listening on {address}; choose another address with {setting}"))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not fail because of connections of the previous process in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Runs until a stop is requested or a part of the service fails, then shuts everything down.
async fn run_until_stopped(
    worker: Worker,
    database: OpenDatabase,
    mut server: JoinHandle<std::io::Result<()>>,
    shutdown: CancellationToken,
    mut stop: StopSignals,
) -> anyhow::Result<()> {
    let mut server_ended = false;
    let failure = tokio::select! {
        () = stop.requested() => None,
        ended = &mut server => {
            server_ended = true;
            let by_itself = || anyhow::anyhow!("the server has ended by itself");
            Some(server_result(ended).err().unwrap_or_else(by_itself))
        }
        part = worker.failed() => Some(anyhow::anyhow!("the worker's {part} has failed")),
    };
    match &failure {
        None => tracing::info!("shutting down: draining running jobs"),
        Some(failure) => tracing::error!("shutting down because a part has failed: {failure:#}"),
    }
    // Drain the worker before the server, so that the last frames still reach the WebSockets.
    worker.drain().await;
    shutdown.cancel();
    let ended = if server_ended {
        Ok(())
    } else {
        match tokio::time::timeout(Duration::from_secs(10), server).await {
            Ok(ended) => server_result(ended),
            Err(_) => {
                tracing::warn!("some connections did not close within the shutdown timeout");
                Ok(())
            }
        }
    };
    database.close().await;
    failure.map_or(ended, Err)
}

fn server_result(
    server: Result<std::io::Result<()>, tokio::task::JoinError>,
) -> anyhow::Result<()> {
    server.context("the server's task")?.context("serving")
}

/// The text printed at the start: the URLs of the service, and where its data is.
fn announcement(
    arguments: &ServeArgs,
    settings: &ServerSettings,
    listeners: &Listeners,
) -> anyhow::Result<String> {
    let scheme = settings.tls.as_ref().map_or("http", |_| "https");
    let reachable = own_addresses::reachable(scheme, settings.listen, &settings.own_hosts);
    let mut lines = match (&settings.public_url, reachable.split_first()) {
        (Some(url), _) => format!("Irisflow is running at {url}\n"),
        (None, Some((here, elsewhere))) => {
            let mut lines = format!("Irisflow is running at {here}\n");
            if !elsewhere.is_empty() {
                lines += &format!("From other machines: {}\n", elsewhere.join(", "));
            }
            if settings.listen.ip().is_loopback() {
                lines += "Only this machine reaches it; others do with --listen 0.0.0.0:PORT.\n";
            } else {
                lines +=
                    "Links follow the address that a client uses; a name needs --public-url.\n";
            }
            lines
        }
        (None, None) => String::new(),
    };
    if let Some(metrics) = &listeners.metrics {
        let address = metrics.local_addr().context("reading the address")?;
        lines += &format!("Metrics are at http://{address}/metrics\n");
    }
    let folder = arguments.data_dir.display();
    lines += &format!("Data is kept in {folder}; stop with Ctrl-C.\n");
    Ok(lines)
}

/// Prints to stdout; a closed pipe is ignored.
fn print(announcement: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(announcement.as_bytes())
        .and_then(|()| stdout.flush());
}
