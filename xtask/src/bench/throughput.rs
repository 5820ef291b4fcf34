//! `cargo xtask bench throughput`: throughput of the queue with an empty pipeline: submit, claim, nine checkpoints,
//! completion. Baseline: a minimal app on Celery, Redis and SQLite with the same empty work.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use irisflow_jobs::{
    Checkpoint, JobFilter, JobReader as _, JobResult, PageRequest, PictureFormat, Priority,
    StatusFilter, SystemClock,
};
use irisflow_photos::{FileStore, MemoryBudget};
use irisflow_worker::{Attempt, FaultPlan, Pipeline, Setback, Worker, WorkerParts, WorkerSettings};

use super::store;
use crate::test::workspace_root;

#[derive(Debug, clap::Args)]
pub(crate) struct ThroughputArgs {
    /// Number of jobs for Irisflow.
    #[arg(long, default_value_t = 2_000)]
    jobs: usize,
    /// Number of jobs for the baseline.
    #[arg(long, default_value_t = 1_000)]
    baseline_jobs: usize,
    /// Slots of the worker, and processes of the baseline's worker.
    #[arg(long, default_value_t = 2)]
    slots: usize,
    /// A Python with `celery[redis]`.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Parent folder of the databases; the system's temp folder by default.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Time of a run.
struct Run {
    jobs: usize,
    wall: Duration,
    /// CPU time of all processes involved.
    cpu: Duration,
}

pub(super) async fn run(arguments: ThroughputArgs) -> anyhow::Result<()> {
    let ours = ours(&arguments).await?;
    println!("| what | jobs | jobs/s | jobs per second of a core |");
    println!("|---|---|---|---|");
    report("irisflow worker on SQLite", &ours);
    if let Some(missing) = missing_requirement(&arguments.python) {
        println!("SKIPPED: the baseline on Celery, Redis and SQLite ({missing})");
        return Ok(());
    }
    let baseline = baseline(&arguments)?;
    report("baseline: Celery, Redis and SQLite", &baseline);
    println!(
        "ours against the baseline: {:.1} in jobs/s, {:.1} per core",
        per_second(&ours, ours.wall) / per_second(&baseline, baseline.wall),
        per_second(&ours, ours.cpu) / per_second(&baseline, baseline.cpu)
    );
    Ok(())
}

fn report(name: &str, run: &Run) {
    let (by_wall, by_cpu) = (per_second(run, run.wall), per_second(run, run.cpu));
    println!("| {name} | {} | {by_wall:.0} | {by_cpu:.0} |", run.jobs);
}

fn per_second(run: &Run, time: Duration) -> f64 {
    run.jobs as f64 / time.as_secs_f64()
}

/// Passes all checkpoints and does nothing else.
#[derive(Debug)]
struct EmptyPipeline;

impl Pipeline for EmptyPipeline {
    fn run(&self, attempt: &Attempt<'_>) -> Result<JobResult, Setback> {
        let later = Checkpoint::ALL.into_iter().skip(1);
        for checkpoint in later.filter(|checkpoint| *checkpoint != Checkpoint::Completed) {
            attempt.reached(checkpoint);
        }
        Ok(JobResult {
            epoch: attempt.job().epoch,
            width_px: 0,
            height_px: 0,
            processing_time_ms: 0,
            step_ms: [0; 5],
            quality: serde_json::Value::Null,
            quality_score: None,
            quality_message: None,
            stored_bytes: 0,
            has_thumbnail: false,
            format: PictureFormat::Jpeg,
            outline: None,
            alternative: None,
        })
    }
}

async fn ours(arguments: &ThroughputArgs) -> anyhow::Result<Run> {
    let store = store::open(arguments.folder.as_deref()).await?;
    let photo = store.user_with_photo().await?;
    let worker = Worker::start(
        WorkerParts {
            job_leases: store.jobs.clone(),
            sweep_queue: store.jobs.clone(),
            worker_registry: store.jobs.clone(),
            photos: store.jobs.clone(),
            retention: store.jobs.clone(),
            health: store.jobs.clone(),
            files: Arc::new(FileStore::open(&store.folder.path().join("files"))?),
            bus: store.bus.clone(),
            memory: MemoryBudget::new(1 << 30),
            clock: Arc::new(SystemClock),
            faults: Arc::new(FaultPlan::default()),
            pipeline: Arc::new(EmptyPipeline),
        },
        WorkerSettings {
            slots: arguments.slots,
            ..WorkerSettings::default()
        },
    )?;
    let (begun, cpu) = (Instant::now(), cpu_of(std::process::id())?);
    for _ in 0..arguments.jobs {
        store.enqueue(&[photo], 1, Priority::High).await?;
    }
    let completed = JobFilter {
        status: Some(StatusFilter::Completed),
        ..JobFilter::default()
    };
    let page = PageRequest {
        page: 1,
        page_size: 1,
    };
    let wanted = arguments.jobs as u64;
    while store.jobs.jobs(photo.0, completed, page).await?.total < wanted {
        // Poll seldom, because counting gets slower with the number of jobs.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let run = Run {
        jobs: arguments.jobs,
        wall: begun.elapsed(),
        cpu: cpu_of(std::process::id())?.saturating_sub(cpu),
    };
    worker.drain().await;
    Ok(run)
}

/// A missing requirement of the baseline, if any.
fn missing_requirement(python: &Path) -> Option<&'static str> {
    let runs = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !runs(Path::new("redis-server"), &["--version"]) {
        return Some("no redis-server; `apt-get install redis-server`");
    }
    if !runs(python, &["-c", "import celery, redis"]) {
        return Some(
            "no Celery; `pip install 'celery[redis]'`, and name that Python with --python",
        );
    }
    None
}

/// Child processes, terminated on drop.
struct ChildProcesses(Vec<Child>);

impl Drop for ChildProcesses {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // SIGTERM, so that the Celery worker ends its own processes; it may have ended already.
            let _ = Command::new("kill")
                .args(["-TERM", &child.id().to_string()])
                .status();
            let _ = child.wait();
        }
    }
}

fn baseline(arguments: &ThroughputArgs) -> anyhow::Result<Run> {
    let folder = match &arguments.folder {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    };
    let folder = folder.context("a temporary folder")?;
    let port = TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port()
        .to_string();
    let redis = format!("redis://127.0.0.1:{port}/0");
    let python = |arguments_of: &[&str]| {
        let mut command = Command::new(&arguments.python);
        command
            .args(arguments_of)
            .current_dir(workspace_root().unwrap_or_default().join("xtask/baselines"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("BASELINE_REDIS", &redis)
            .env("BASELINE_DATABASE", folder.path().join("baseline.sqlite"))
            .stderr(Stdio::null());
        command
    };
    let mut running = ChildProcesses(Vec::new());
    let started = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port, "--save", ""])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn();
    running.0.push(started.context("starting Redis")?);
    let slots = arguments.slots.to_string();
    let worker = [
        "-m",
        "celery",
        "-A",
        "celery_bookkeeping",
        "worker",
        "--concurrency",
        &slots,
    ];
    let started = python(&worker).stdout(Stdio::null()).spawn();
    running.0.insert(0, started.context("starting Celery")?);

    // A first run without jobs waits for the worker's start, which is not measured.
    let jobs = arguments.baseline_jobs.to_string();
    submit(&mut python(&["celery_bookkeeping.py", "0"]))?;
    let before = cpu_of_all(&running)?;
    let (wall, client_cpu) = submit(&mut python(&["celery_bookkeeping.py", &jobs]))?;
    let cpu = cpu_of_all(&running)?.saturating_sub(before) + client_cpu;
    Ok(Run {
        jobs: arguments.baseline_jobs,
        wall,
        cpu,
    })
}

/// Runs the client. Returns the time it prints, and its own CPU time.
fn submit(client: &mut Command) -> anyhow::Result<(Duration, Duration)> {
    let children = cpu_of_children()?;
    let output = client.output().context("running the baseline's client")?;
    if !output.status.success() {
        bail!("the baseline's client failed");
    }
    let seconds: f64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    let cpu = cpu_of_children()?.saturating_sub(children);
    Ok((Duration::from_secs_f64(seconds), cpu))
}

fn cpu_of_all(running: &ChildProcesses) -> anyhow::Result<Duration> {
    let mut cpu = Duration::ZERO;
    for child in &running.0 {
        cpu += cpu_of_tree(child.id())?;
    }
    Ok(cpu)
}

/// CPU time of a process and its running descendants.
fn cpu_of_tree(id: u32) -> anyhow::Result<Duration> {
    let mut cpu = cpu_of(id)?;
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(child) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let parent = fields_of(child)
            .ok()
            .and_then(|f| f.get(PARENT)?.parse::<u32>().ok());
        if parent == Some(id) {
            cpu += cpu_of_tree(child)?;
        }
    }
    Ok(cpu)
}

/// Field positions after the process name in `/proc/PID/stat`; see proc(5).
const PARENT: usize = 1;
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const CHILDREN_USER_TICKS: usize = 13;
const CHILDREN_SYSTEM_TICKS: usize = 14;
/// `sysconf(_SC_CLK_TCK)` is 100 on all common Linux systems.
const TICK: Duration = Duration::from_millis(10);

fn cpu_of(id: u32) -> anyhow::Result<Duration> {
    ticks(id, [USER_TICKS, SYSTEM_TICKS])
}

/// CPU time of this process's children that have ended.
fn cpu_of_children() -> anyhow::Result<Duration> {
    ticks(
        std::process::id(),
        [CHILDREN_USER_TICKS, CHILDREN_SYSTEM_TICKS],
    )
}

fn ticks(id: u32, positions: [usize; 2]) -> anyhow::Result<Duration> {
    let fields = fields_of(id)?;
    let mut ticks = 0;
    for position in positions {
        ticks += fields.get(position).context("a field")?.parse::<u32>()?;
    }
    Ok(TICK * ticks)
}

fn fields_of(id: u32) -> anyhow::Result<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("the name of the process")?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}
