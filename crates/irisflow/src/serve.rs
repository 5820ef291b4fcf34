//! `irisflow serve`: command line arguments, conversion into settings, start and graceful shutdown.
//!
//! Defaults are those of `ServerSettings`. What it has in common with `irisflow work` is in `job_args.rs`,
//! `database_args.rs` and `running.rs`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use irisflow_server::{
    ConnectionLimits, Listeners, Origin, Registration, ServerSettings, Timeouts, TlsFiles,
    UsageLimits,
};
use irisflow_worker::FaultPlan;
use tokio_util::sync::CancellationToken;

use crate::bus_args::BusArgs;
use crate::compose::{BackendChoice, Backends, ReadyWorker, WorkerChoice};
use crate::config_file::ConfigArgs;
use crate::consent_args::ConsentArgs;
use crate::database_args::{DatabaseArgs, SchemaArgs};
use crate::file_descriptors;
use crate::in_runtime;
use crate::job_args::{JobArgs, WorkerArgs};
use crate::listening::bind;
use crate::logging::LogArgs;
use crate::metrics;
use crate::own_addresses;
use crate::running::{Running, print};
use crate::s3_args::S3Args;
use crate::sign_in_args::{SignInArgs, in_ms};
use crate::stop_signals::StopSignals;
use crate::trace_args::TraceArgs;
use crate::webhook_args::WebhookArgs;

#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    _config: ConfigArgs,
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
    #[command(flatten)]
    worker: WorkerArgs,
    /// Process no photos: `irisflow work` does, in other processes. Needs --database-url.
    #[arg(long, env = "IRISFLOW_NO_WORK")]
    no_work: bool,
    #[command(flatten)]
    log: LogArgs,
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
    database: DatabaseArgs,
    #[command(flatten)]
    s3: S3Args,
    #[command(flatten)]
    bus: BusArgs,
    #[command(flatten)]
    traces: TraceArgs,
    #[command(flatten)]
    schema: SchemaArgs,
    /// The keys that sign tokens and links and encrypt secrets of webhooks, the same file on all nodes; made by
    /// `irisflow make-secrets`. Needed with --database-url; without, it is secrets.json in the data folder.
    #[arg(
        long,
        env = "IRISFLOW_SECRETS_FILE",
        value_name = "FILE",
        help_heading = "Database"
    )]
    secrets_file: Option<PathBuf>,
    #[command(flatten)]
    sign_in: SignInArgs,
    #[command(flatten)]
    webhooks: WebhookArgs,
    #[command(flatten)]
    jobs: JobArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Durations and limits of the server. The defaults suit production; tests shorten them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Photos in a batch.
    #[arg(long, env = "IRISFLOW_BATCH_LIMIT", default_value_t = ServerSettings::default().batch_limit)]
    batch_limit: usize,
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
    /// How long a download URL works.
    #[arg(long, env = "IRISFLOW_DOWNLOAD_URL_MS", default_value_t = in_ms(ServerSettings::default().download_url_life))]
    download_url_ms: u64,
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
    /// Photos of one account that were announced and are not confirmed.
    #[arg(long, env = "IRISFLOW_UNCONFIRMED_LIMIT", default_value_t = UsageLimits::default().unconfirmed_photos)]
    unconfirmed_limit: u64,
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
    /// A pause in every commit, as in before:80, during:80 or after:80.
    #[cfg(feature = "faults")]
    #[arg(long, env = "IRISFLOW_COMMIT_PAUSE", hide = true)]
    commit_pause: Option<crate::compose::CommitPause>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RegistrationArg {
    Open,
    Closed,
}

impl ServeArgs {
    fn backends(&self) -> anyhow::Result<BackendChoice> {
        Ok(BackendChoice {
            data_dir: self.data_dir.clone(),
            database: self.database.choice(),
            objects: self.s3.choice(self.jobs.lease())?,
            bus: self.bus.choice()?,
            migrate: self.schema.migrate,
            secrets_file: self.secrets_file.clone(),
            traces: self.traces.choice("irisflow")?,
        })
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
            upload_url_life: Duration::from_millis(self.jobs.upload_url_ms),
            download_url_life: Duration::from_millis(self.limits.download_url_ms),
            batch_limit: self.limits.batch_limit,
            timeouts: Timeouts {
                headers: Duration::from_millis(self.limits.header_limit_ms),
                pause: Duration::from_millis(self.limits.body_pause_ms),
                answer: Duration::from_millis(self.limits.download_limit_ms),
                upload: Duration::from_millis(self.jobs.upload_limit_ms),
                request: Duration::from_millis(self.jobs.request_limit_ms),
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
            min_free_bytes: self.jobs.min_free_bytes,
            tls: self.tls_files(),
            sign_in_limits: self.sign_in.limits(),
            webhooks: self.webhooks.settings(),
            metrics_token: self.metrics_token.clone(),
            trusted_proxies: self.trusted_proxies,
            ..ServerSettings::default()
        };
        settings.decode_limits.max_wait = Duration::from_millis(self.limits.read_wait_ms);
        settings.photo_limits = self.jobs.photo_limits();
        settings
    }
}

/// Serves until SIGTERM or Ctrl-C, then shuts down gracefully.
pub(crate) fn run(arguments: ServeArgs) -> anyhow::Result<()> {
    arguments.log.start()?;
    let faults = FaultPlan::parse(&arguments.jobs.faults)?;
    #[cfg(feature = "faults")]
    if let Some(pause) = arguments.limits.commit_pause {
        pause.plan();
    }
    in_runtime(serve(arguments, faults))
}

async fn serve(arguments: ServeArgs, faults: FaultPlan) -> anyhow::Result<()> {
    let choice = arguments.backends()?;
    if arguments.no_work && !choice.database.is_shared() {
        bail!("--no-work needs --database-url: SQLite in the data folder serves one process");
    }
    choice.check_secrets()?;
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
    let mut settings = ServerSettings {
        consent_text: arguments.consent.text()?,
        ..arguments.server_settings(listen, descriptors)
    };
    let mut worker_settings = arguments.jobs.worker_settings(&arguments.worker);
    if let Some(interval) = arguments.jobs.poll_interval(choice.poll_interval()) {
        settings.resync_interval = interval;
        worker_settings.poll_interval = interval;
    }
    let announcement = announcement(&choice, &settings, &listeners)?;

    let backends = Backends::open(&choice, arguments.jobs.policy()).await?;
    let memory = arguments.jobs.read_memory(worker_settings.slots);
    let (links_live, metrics) = (settings.longest_link_life(), metrics::start()?);
    let parts = backends.server_parts(&choice, links_live, memory.clone(), metrics)?;
    let worker = (!arguments.no_work).then(|| {
        backends.worker(WorkerChoice {
            settings: worker_settings,
            photo_limits: settings.photo_limits,
            memory,
            faults,
        })
    });
    let shutdown = CancellationToken::new();
    let server = irisflow_server::prepare(listeners, parts, settings, shutdown.clone())
        .await
        .context("preparing to serve")?;
    // From the first claim on, a stop that is asked for must drain.
    let stop = StopSignals::listen()?;
    // No job is claimed, and no address printed, before nothing can prevent serving any more.
    let worker = worker.map(ReadyWorker::start).transpose()?;
    print(&announcement);
    let running = Running {
        worker,
        server: tokio::spawn(server.serve()),
        shutdown,
        backends,
    };
    running.until_stopped(stop).await
}

/// The text printed at the start: the URLs of the service, and where its data is.
fn announcement(
    choice: &BackendChoice,
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
    lines += &format!("{}; stop with Ctrl-C.\n", choice.description()?);
    Ok(lines)
}
