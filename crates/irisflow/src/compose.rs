//! Composition root: wires the crates together and chooses the implementations.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use irisflow_bus::LocalBus;
use irisflow_jobs::{Clock, JobPolicy, Notifier, SteadyClock, StoreError, StoreHealth as _};
use irisflow_messages::failures;
use irisflow_photos::{FileStore, MemoryBudget};
use irisflow_server::ServerParts;
use irisflow_sqlite::SqliteStore;
use irisflow_worker::{FaultPlan, Worker, WorkerParts, WorkerSettings};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::data_folder::{DataFolder, FolderLock};

/// An assembled service: its worker runs, but the server does not listen yet.
pub(crate) struct Service {
    pub(crate) parts: ServerParts,
    pub(crate) worker: Worker,
    pub(crate) store: SqliteStore,
    pub(crate) lock: FolderLock,
}

/// The embedded configuration, everything in one process: SQLite, files, in-memory bus.
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
        .map_err(|error| open_error(error, &folder.database()))?;
    let files = FileStore::open(&folder.files()).context("opening the photo storage")?;

    let repaired = store.repair_times().await;
    match repaired.context("looking for times ahead of the clock")? {
        0 => {}
        times => tracing::warn!(times, "corrected stored times that lay ahead of the clock"),
    }
    store
        .repair_counters()
        .await
        .context("checking the counters of the queue")?;
    // Safe because this process holds the folder lock: any lease belongs to a process that has ended.
    let voided = store
        .void_leases(&failures::worker_lost())
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

/// Error message for a database that cannot be opened; for a damaged one with the steps to restore it.
fn open_error(error: StoreError, path: &Path) -> anyhow::Error {
    match error {
        StoreError::Damaged(damage) => anyhow::anyhow!(
            "the database {} is damaged ({damage}) and is not served. Keep its folder, make a new one \
             from your last backup with `irisflow restore --data-dir NEW_FOLDER BACKUP`, and serve that",
            path.display()
        ),
        error => anyhow::Error::new(error).context("opening the database"),
    }
}
