//! `irisflow work`: a process that works on jobs and serves no API, beside others on one database.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use irisflow_server::WorkerEndpoint;
use irisflow_worker::FaultPlan;
use tokio_util::sync::CancellationToken;

use crate::bus_args::BusArgs;
use crate::compose::{BackendChoice, Backends, WorkerChoice};
use crate::config_file::ConfigArgs;
use crate::database_args::{DatabaseArgs, SchemaArgs};
use crate::file_descriptors;
use crate::in_runtime;
use crate::job_args::{JobArgs, WorkerArgs};
use crate::listening::bind;
use crate::logging::LogArgs;
use crate::metrics;
use crate::running::{Running, print};
use crate::s3_args::S3Args;
use crate::stop_signals::StopSignals;
use crate::trace_args::TraceArgs;

#[derive(Debug, Clone, Args)]
pub(crate) struct WorkArgs {
    #[command(flatten)]
    _config: ConfigArgs,
    /// Address and port for /health, /health/ready and /metrics, by plain HTTP and without a token: anyone who can
    /// connect can read them.
    #[arg(long, env = "IRISFLOW_WORK_LISTEN", default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// Folder for the photos and the results, the one of all processes.
    #[arg(long, env = "IRISFLOW_DATA_DIR", default_value = "irisflow-data")]
    data_dir: PathBuf,
    #[command(flatten)]
    worker: WorkerArgs,
    #[command(flatten)]
    log: LogArgs,
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
    #[command(flatten)]
    jobs: JobArgs,
}

/// Works until SIGTERM or Ctrl-C, then shuts down gracefully.
pub(crate) fn run(arguments: WorkArgs) -> anyhow::Result<()> {
    arguments.log.start()?;
    let faults = FaultPlan::parse(&arguments.jobs.faults)?;
    in_runtime(work(arguments, faults))
}

async fn work(arguments: WorkArgs, faults: FaultPlan) -> anyhow::Result<()> {
    let jobs = &arguments.jobs;
    let choice = BackendChoice {
        data_dir: arguments.data_dir.clone(),
        database: arguments.database.choice(),
        objects: arguments.s3.choice(jobs.lease())?,
        bus: arguments.bus.choice()?,
        migrate: arguments.schema.migrate,
        secrets_file: None,
        traces: arguments.traces.choice("irisflow-worker")?,
    };
    if !choice.database.is_shared() {
        bail!("`irisflow work` needs --database-url: SQLite in the data folder serves one process");
    }
    file_descriptors::raise_limit();
    let listener = bind(arguments.listen, "--listen")?;
    let listen = listener.local_addr().context("reading the address")?;
    let mut settings = jobs.worker_settings(&arguments.worker);
    if let Some(interval) = jobs.poll_interval(choice.poll_interval()) {
        settings.poll_interval = interval;
    }
    let description = choice.description()?;

    let backends = Backends::open(&choice, jobs.policy()).await?;
    let worker = backends.worker(WorkerChoice {
        memory: jobs.read_memory(settings.slots),
        settings,
        photo_limits: jobs.photo_limits(),
        faults,
    });
    let shutdown = CancellationToken::new();
    let endpoint = WorkerEndpoint::new(
        backends.monitored_parts(metrics::start()?),
        jobs.min_free_bytes,
        shutdown.clone(),
    );
    let stop = StopSignals::listen()?;
    let worker = worker.start()?;
    print(&format!(
        "Irisflow is working; health and metrics are at http://{listen}\n{description}; stop with Ctrl-C.\n"
    ));
    let running = Running {
        worker: Some(worker),
        server: tokio::spawn(endpoint.serve(listener)),
        shutdown,
        backends,
    };
    running.until_stopped(stop).await
}
