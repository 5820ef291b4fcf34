//! The one place that knows every crate and chooses implementations.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use irisflow_bus::LocalBus;
use irisflow_jobs::{Clock, JobPolicy, Notifier, SteadyClock, StoreError, StoreHealth as _};
use irisflow_photos::{FileStore, MemoryBudget};
use irisflow_server::ServerParts;
use irisflow_sqlite::SqliteStore;
use irisflow_worker::{FaultPlan, Worker, WorkerParts, WorkerSettings};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::data_folder::{DataFolder, FolderLock};

/// A service that is put together and at work, but not yet listening.
pub(crate) struct Service {
    pub(crate) parts: ServerParts,
    pub(crate) worker: Worker,
    pub(crate) store: SqliteStore,
    pub(crate) lock: FolderLock,
}

/// Everything in one process: SQLite, files, notifications in memory.
pub(crate) async fn embedded(
    data_dir: &Path,
    policy: JobPolicy,
    worker_settings: WorkerSettings,
    memory: MemoryBudget,
    faults: FaultPlan,
    metrics: PrometheusHandle,
) -> anyhow::Result<Service> {
    let (folder, lock) = DataFolder::open(data_dir)?;
    let secrets = folder.secrets()?;
    let clock: Arc<dyn Clock> = Arc::new(SteadyClock::start());
    let bus = Arc::new(LocalBus::new());
    let notifier: Arc<dyn Notifier> = bus.clone();
    let store = SqliteStore::open(&folder.database(), Arc::clone(&clock), policy, notifier)
        .await
        .map_err(|error| not_opened(error, &folder.database()))?;
    let files = FileStore::open(&folder.files()).context("opening the photo storage")?;

    let repaired = store.repair_times().await;
    match repaired.context("looking for times ahead of the clock")? {
        0 => {}
        times => tracing::warn!(times, "set times right that lay ahead of the clock"),
    }
    store
        .repair_counters()
        .await
        .context("checking the counters of the queue")?;
    // We hold the folder's lock, so whoever held a lease is dead.
    let voided = store
        .void_leases()
        .await
        .context("looking for interrupted jobs")?;
    if voided > 0 {
        tracing::warn!(
            jobs = voided,
            "continuing jobs that an earlier process left unfinished"
        );
    }

    let stores = Arc::new(store.clone());
    let worker = Worker::start(
        WorkerParts {
            job_leases: stores.clone(),
            sweep_queue: stores.clone(),
            worker_registry: stores.clone(),
            photos: stores.clone(),
            retention: stores.clone(),
            health: stores.clone(),
            files: files.clone(),
            memory: memory.clone(),
            bus: bus.clone(),
            clock: Arc::clone(&clock),
            faults: Arc::new(faults),
        },
        worker_settings,
    )
    .context("starting the worker")?;
    let parts = ServerParts {
        accounts: stores.clone(),
        photos: stores.clone(),
        job_commands: stores.clone(),
        job_reader: stores.clone(),
        queue_reader: stores.clone(),
        timeline: stores.clone(),
        statistics: stores.clone(),
        privacy: stores.clone(),
        health: stores,
        files,
        memory,
        bus,
        clock,
        secrets,
        metrics,
    };
    Ok(Service {
        parts,
        worker,
        store,
        lock,
    })
}

/// Says what to do about a database that cannot be used.
fn not_opened(error: StoreError, path: &Path) -> anyhow::Error {
    match error {
        StoreError::Damaged(damage) => anyhow::anyhow!(
            "the database {} is damaged ({damage}) and is not served. Keep its folder, make a new one \
             from your last backup with `irisflow restore --data-dir NEW_FOLDER BACKUP`, and serve that",
            path.display()
        ),
        error => anyhow::Error::new(error).context("opening the database"),
    }
}
