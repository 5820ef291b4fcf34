//! `cargo xtask bench queue`: throughput of the queue with an empty pipeline: submit, claim, nine checkpoints,
//! completion, on SQLite, and on PostgreSQL with NATS for growing numbers of nodes. Baseline: a minimal app on Celery,
//! Redis and PostgreSQL with the same empty work.

mod celery;
mod nodes;

use std::path::PathBuf;
use std::time::Duration;

use super::store::Cluster;

#[derive(Debug, clap::Args)]
pub(crate) struct QueueArgs {
    /// Number of jobs of each run of Irisflow.
    #[arg(long, default_value_t = 3_000)]
    jobs: usize,
    /// Number of jobs for the baseline.
    #[arg(long, default_value_t = 1_000)]
    baseline_jobs: usize,
    /// Slots of each worker, and processes of the baseline's worker.
    #[arg(long, default_value_t = 2)]
    slots: usize,
    /// Requests that each API node answers at once, and threads of the baseline's client.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// A Python with `celery[redis]` and `psycopg[binary]`.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Parent folder of the SQLite database; the system's temp folder by default.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// API nodes and workers of a run.
const SHAPES: [(usize, usize); 5] = [(1, 1), (1, 2), (1, 4), (2, 4), (3, 4)];

/// Time of a run.
struct Run {
    jobs: usize,
    wall: Duration,
    /// CPU time of all processes involved, those of databases too.
    cpu: Duration,
    /// The part of the servers.
    servers: Duration,
}

impl Run {
    fn per_second(&self) -> f64 {
        self.jobs as f64 / self.wall.as_secs_f64()
    }

    fn per_core(&self) -> f64 {
        self.jobs as f64 / self.cpu.as_secs_f64()
    }
}

pub(super) async fn run(arguments: QueueArgs) -> anyhow::Result<()> {
    println!("| what | jobs | jobs/s | jobs per second of a core | of it servers |");
    println!("|---|---|---|---|---|");
    let sqlite = nodes::on_sqlite(&arguments).await?;
    report("SQLite, one process", &sqlite);
    let cluster = Cluster::start().await?;
    let mut first = None;
    for (api_nodes, workers) in SHAPES {
        let run = nodes::on_cluster(&arguments, &cluster, api_nodes, workers).await?;
        let name = format!("PostgreSQL and NATS, {api_nodes} API nodes, {workers} workers");
        report(&name, &run);
        first.get_or_insert(run);
    }
    if let Some(missing) = celery::missing_requirement(&arguments.python) {
        println!("SKIPPED: the baseline on Celery, Redis and PostgreSQL ({missing})");
        return Ok(());
    }
    let baseline = celery::run(&arguments, &cluster.postgres)?;
    report("baseline: Celery, Redis and PostgreSQL", &baseline);
    for (name, run) in [("SQLite", Some(sqlite)), ("PostgreSQL and NATS", first)] {
        let Some(run) = run else { continue };
        println!(
            "{name} against the baseline: {:.1} in jobs/s, {:.1} per core",
            run.per_second() / baseline.per_second(),
            run.per_core() / baseline.per_core()
        );
    }
    Ok(())
}

fn report(name: &str, run: &Run) {
    println!(
        "| {name} | {} | {:.0} | {:.0} | {:.0} % |",
        run.jobs,
        run.per_second(),
        run.per_core(),
        100.0 * run.servers.as_secs_f64() / run.cpu.as_secs_f64()
    );
}
