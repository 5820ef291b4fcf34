//! Composition root: chooses the implementations of the ports for each command. No other file names one.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use irisflow_bus::LocalBus;
use irisflow_image::load::Limits;
use irisflow_jobs::{
    AccountStore, Bus, Clock, JobPolicy, SteadyClock, StoreError, StoreHealth as _, SystemClock,
    Timestamp,
};
use irisflow_messages::failures;
use irisflow_photos::{FileStore, MemoryBudget, ObjectStore, UrlSigner};
use irisflow_server::{Secrets, ServerParts};
use irisflow_sqlite::SqliteStore;
use irisflow_worker::{FaultPlan, ImagingPipeline, Worker, WorkerParts, WorkerSettings};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::data_folder::{DataFolder, FolderLock};

#[cfg(feature = "faults")]
pub(crate) use irisflow_sqlite::CommitPause;
pub(crate) use irisflow_sqlite::Snapshot;

/// The accounts of a data folder, for `irisflow user`.
pub(crate) struct Accounts {
    pub(crate) accounts: Arc<dyn AccountStore>,
    store: SqliteStore,
}

impl Accounts {
    pub(crate) async fn open(folder: &DataFolder) -> anyhow::Result<Self> {
        let clock = Arc::new(SystemClock);
        let bus = Arc::new(LocalBus::new());
        let store = SqliteStore::open(&folder.database(), clock, JobPolicy::default(), bus)
            .await
            .context("opening the database")?;
        Ok(Self {
            accounts: Arc::new(store.clone()),
            store,
        })
    }

    pub(crate) async fn close(self) {
        self.store.close().await;
    }
}

/// The objects of a data folder that a server may be using, for `irisflow backup`.
pub(crate) fn objects_to_back_up(folder: &DataFolder) -> Arc<dyn ObjectStore> {
    Arc::new(FileStore::of_other_process(&folder.files()))
}

/// Gives a restored database new timeline epochs and ends its sessions.
pub(crate) async fn begin_new_history(database: &Path, now: Timestamp) -> anyhow::Result<()> {
    irisflow_sqlite::begin_new_history(database, now)
        .await
        .context("beginning a new history")
}

/// An assembled service, of which nothing runs yet.
pub(crate) struct Service {
    pub(crate) parts: ServerParts,
    pub(crate) worker: ReadyWorker,
    pub(crate) database: OpenDatabase,
}

/// A worker that claims no jobs yet.
pub(crate) struct ReadyWorker {
    parts: WorkerParts,
    settings: WorkerSettings,
}

impl ReadyWorker {
    pub(crate) fn start(self) -> anyhow::Result<Worker> {
        Worker::start(self.parts, self.settings).context("starting the worker")
    }
}

/// The database of a service, and the lock on its folder.
pub(crate) struct OpenDatabase {
    store: SqliteStore,
    lock: FolderLock,
}

impl OpenDatabase {
    /// Closes it, then lets another process have the folder.
    pub(crate) async fn close(self) {
        self.store.close().await;
        drop(self.lock);
    }
}

/// What a service is put together with.
pub(crate) struct ServiceSettings {
    pub(crate) policy: JobPolicy,
    pub(crate) worker: WorkerSettings,
    pub(crate) photo_limits: Limits,
    pub(crate) memory: MemoryBudget,
    pub(crate) faults: FaultPlan,
    pub(crate) metrics: PrometheusHandle,
}

/// The embedded configuration, everything in one process: SQLite, files, in-memory bus.
pub(crate) async fn embedded(
    data_dir: &Path,
    settings: ServiceSettings,
) -> anyhow::Result<Service> {
    let (folder, lock) = DataFolder::open(data_dir)?;
    let secrets = folder.secrets()?;
    let clock: Arc<dyn Clock> = Arc::new(SteadyClock::start());
    let bus: Arc<dyn Bus> = Arc::new(LocalBus::new());
    let (database, policy) = (folder.database(), settings.policy);
    let store = SqliteStore::open(&database, Arc::clone(&clock), policy, bus.clone())
        .await
        .map_err(|error| open_error(error, &database))?;
    let files = FileStore::open(&folder.files()).context("opening the photo storage")?;
    let files: Arc<dyn ObjectStore> = Arc::new(files);
    make_consistent(&store).await?;

    let stores = Arc::new(store.clone());
    let worker = ReadyWorker {
        parts: WorkerParts {
            job_leases: stores.clone(),
            sweep_queue: stores.clone(),
            worker_registry: stores.clone(),
            photos: stores.clone(),
            retention: stores.clone(),
            health: stores.clone(),
            files: Arc::clone(&files),
            memory: settings.memory.clone(),
            bus: Arc::clone(&bus),
            clock: Arc::clone(&clock),
            faults: Arc::new(settings.faults),
            pipeline: Arc::new(ImagingPipeline {
                limits: settings.photo_limits,
            }),
        },
        settings: settings.worker,
    };
    let links = UrlSigner::new(secrets.links);
    let parts = ServerParts {
        accounts: stores.clone(),
        photos: stores.clone(),
        job_commands: stores.clone(),
        job_reader: stores.clone(),
        queue_reader: stores.clone(),
        timeline: stores.clone(),
        webhooks: stores.clone(),
        statistics: stores.clone(),
        privacy: stores.clone(),
        health: stores,
        files,
        links: Arc::new(links.clone()),
        file_links: Some(links),
        memory: settings.memory,
        bus,
        clock,
        secrets: Secrets {
            access_tokens: secrets.access_tokens,
            refresh_tokens: secrets.refresh_tokens,
            webhooks: secrets.webhooks,
        },
        metrics: settings.metrics,
    };
    Ok(Service {
        parts,
        worker,
        database: OpenDatabase { store, lock },
    })
}

/// Repairs what a crash or a step of the clock left in the database, before work begins.
async fn make_consistent(store: &SqliteStore) -> anyhow::Result<()> {
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
    Ok(())
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
