//! The one place that knows every crate and chooses implementations.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use irisflow_bus::LocalBus;
use irisflow_jobs::{Announcer, Clock, JobPolicy, JobStore as _, SystemClock};
use irisflow_photos::FileStore;
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

/// Everything in one process: SQLite, files, hints in memory.
pub(crate) async fn embedded(
    data_dir: &Path,
    policy: JobPolicy,
    worker_settings: WorkerSettings,
    faults: FaultPlan,
    metrics: PrometheusHandle,
) -> anyhow::Result<Service> {
    let (folder, lock) = DataFolder::open(data_dir)?;
    let secrets = folder.secrets()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let bus = Arc::new(LocalBus::new());
    let announcer: Arc<dyn Announcer> = bus.clone();
    let store = SqliteStore::open(&folder.database(), Arc::clone(&clock), policy, announcer)
        .await
        .context("opening the database")?;
    let files = FileStore::open(&folder.files()).context("opening the photo storage")?;

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
            jobs: stores.clone(),
            photos: stores.clone(),
            privacy: stores.clone(),
            files: files.clone(),
            bus: Arc::clone(&bus),
            clock: Arc::clone(&clock),
            faults: Arc::new(faults),
        },
        worker_settings,
    )
    .context("starting the worker")?;
    let parts = ServerParts {
        accounts: stores.clone(),
        photos: stores.clone(),
        jobs: stores.clone(),
        timeline: stores.clone(),
        census: stores.clone(),
        privacy: stores,
        files,
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
