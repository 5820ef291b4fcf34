//! The runs of Irisflow: nodes in this process, each with connections of its own, and their servers beside it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use irisflow_jobs::{Checkpoint, JobResult, NoTraces, PictureFormat, Priority, SystemClock};
use irisflow_photos::{FileStore, MemoryBudget};
use irisflow_worker::{Attempt, FaultPlan, Pipeline, Setback, Worker, WorkerParts, WorkerSettings};
use tokio::task::JoinSet;

use super::{QueueArgs, Run};
use crate::bench::process_cpu::cpu_of;
use crate::bench::store::{Cluster, OpenStore, Sqlite};

/// Jobs of one user change its timeline one after another.
const USERS: usize = 16;

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

pub(super) async fn on_sqlite(arguments: &QueueArgs) -> anyhow::Result<Run> {
    let database = Sqlite::new(arguments.folder.as_deref())?;
    let node = Arc::new(database.open().await?);
    let workers = [Arc::clone(&node)];
    measure(arguments, &[node], &workers, || Ok(Duration::ZERO)).await
}

pub(super) async fn on_cluster(
    arguments: &QueueArgs,
    cluster: &Cluster,
    api_nodes: usize,
    workers: usize,
) -> anyhow::Result<Run> {
    let mut nodes = Vec::new();
    for _ in 0..api_nodes + workers {
        nodes.push(Arc::new(cluster.node().await?));
    }
    let (api_nodes, workers) = nodes.split_at(api_nodes);
    measure(arguments, api_nodes, workers, || cluster.cpu()).await
}

async fn measure(
    arguments: &QueueArgs,
    api_nodes: &[Arc<OpenStore>],
    worker_nodes: &[Arc<OpenStore>],
    cpu_of_servers: impl Fn() -> anyhow::Result<Duration>,
) -> anyhow::Result<Run> {
    let files = tempfile::tempdir()?;
    let mut workers = Vec::new();
    for node in worker_nodes {
        let files = FileStore::open(files.path())?;
        workers.push(start_worker(node, files, arguments.slots)?);
    }
    let (begun, own, servers) = (
        Instant::now(),
        cpu_of(std::process::id())?,
        cpu_of_servers()?,
    );
    let jobs = submit(arguments, api_nodes).await?;
    for node in api_nodes.iter().take(1) {
        loop {
            let queue = node.jobs.queue().await?;
            if queue.waiting + queue.running == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let wall = begun.elapsed();
    let servers = cpu_of_servers()?.saturating_sub(servers);
    let cpu = cpu_of(std::process::id())?.saturating_sub(own) + servers;
    for worker in workers {
        worker.drain().await;
    }
    Ok(Run {
        jobs,
        wall,
        cpu,
        servers,
    })
}

/// Each client of each node submits its part of the jobs, one after another. Returns how many there are in all.
async fn submit(arguments: &QueueArgs, nodes: &[Arc<OpenStore>]) -> anyhow::Result<usize> {
    let mut photos = Vec::new();
    for node in nodes.iter().cycle().take(USERS) {
        photos.push(node.user_with_photo().await?);
    }
    let photos = Arc::new(photos);
    let clients = nodes.len() * arguments.clients;
    let each = arguments.jobs.div_ceil(clients);
    let mut running = JoinSet::new();
    for (number, node) in nodes.iter().cycle().take(clients).enumerate() {
        let (node, photos) = (Arc::clone(node), Arc::clone(&photos));
        running.spawn(async move {
            for photo in photos.iter().cycle().skip(number).take(each) {
                node.enqueue(&[*photo], 1, Priority::High).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(outcome) = running.join_next().await {
        outcome??;
    }
    Ok(each * clients)
}

fn start_worker(node: &OpenStore, files: FileStore, slots: usize) -> anyhow::Result<Worker> {
    let store = &node.jobs;
    let worker = Worker::start(
        WorkerParts {
            job_leases: store.clone(),
            sweep_queue: store.clone(),
            worker_registry: store.clone(),
            photos: store.clone(),
            retention: store.clone(),
            health: store.clone(),
            files: Arc::new(files),
            bus: node.bus.clone(),
            memory: MemoryBudget::new(1 << 30),
            clock: Arc::new(SystemClock),
            faults: Arc::new(FaultPlan::default()),
            pipeline: Arc::new(EmptyPipeline),
            tracer: Arc::new(NoTraces),
        },
        WorkerSettings {
            slots,
            ..WorkerSettings::default()
        },
    )?;
    Ok(worker)
}
