//! Composition root: chooses the implementations of the ports for each command. No other file names one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use irisflow_bus::{LocalBus, NatsBus};
use irisflow_image::load::Limits;
use irisflow_jobs::{
    AccountStore, Bus, Clock, JobPolicy, JobTracer, NoTraces, SteadyClock, Store, StoreError,
    StoreHealth, SystemClock, Timestamp, TokenBuckets,
};
use irisflow_messages::failures;
use irisflow_photos::{FileStore, LinkSigner, MemoryBudget, ObjectStore, UrlSigner};
use irisflow_postgres::PostgresStore;
use irisflow_s3::{S3LinkSigner, S3Store};
use irisflow_server::{MonitoredParts, Secrets, ServerParts};
use irisflow_sqlite::SqliteStore;
use irisflow_worker::{FaultPlan, ImagingPipeline, Worker, WorkerParts, WorkerSettings};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::data_folder::{DataFolder, FolderLock, FolderSecrets, secrets_of_file};
use crate::otlp::{OtlpSettings, OtlpTracer};

pub(crate) use irisflow_bus::{NatsSettings, NatsTls};
pub(crate) use irisflow_postgres::{
    Examination, Import, PartImport, PostgresSettings, digest_of_rows, examine as examine_postgres,
};
pub(crate) use irisflow_s3::{S3Credentials, S3Settings, S3Timeouts};
#[cfg(feature = "faults")]
pub(crate) use irisflow_sqlite::CommitPause;
pub(crate) use irisflow_sqlite::{Export, Snapshot};

/// Where jobs, events and accounts are kept.
#[derive(Debug, Clone)]
pub(crate) enum DatabaseChoice {
    /// SQLite in the data folder, which one process has for itself.
    Sqlite,
    /// For several processes.
    Postgres(PostgresSettings),
}

impl DatabaseChoice {
    pub(crate) fn postgres(url: String, max_connections: u32) -> Self {
        Self::Postgres(PostgresSettings {
            max_connections,
            ..PostgresSettings::of_url(url)
        })
    }

    /// Whether other processes may work on the same jobs.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

/// Where photos and results are kept.
#[derive(Debug, Clone)]
pub(crate) enum ObjectStoreChoice {
    /// Files in the data folder.
    Files,
    S3(Box<S3Settings>),
}

/// What carries notifications.
#[derive(Debug, Clone)]
pub(crate) enum BusChoice {
    /// Within this process.
    Local,
    /// Between the processes on one database.
    Nats(NatsSettings),
}

/// The backends of a service, as its settings choose them.
#[derive(Debug)]
pub(crate) struct BackendChoice {
    pub(crate) data_dir: PathBuf,
    pub(crate) database: DatabaseChoice,
    pub(crate) objects: ObjectStoreChoice,
    pub(crate) bus: BusChoice,
    /// Whether the start brings the schema of a shared database up to date.
    pub(crate) migrate: bool,
    pub(crate) secrets_file: Option<PathBuf>,
    /// The collector of traces, if any.
    pub(crate) traces: Option<OtlpSettings>,
}

/// How often a process looks for what others have done, while nothing but the database connects them.
const POLL_WITHOUT_BUS: Duration = Duration::from_millis(500);

impl BackendChoice {
    /// `None`: as rarely as notifications are lost.
    pub(crate) fn poll_interval(&self) -> Option<Duration> {
        match self.bus {
            BusChoice::Local => self.database.is_shared().then_some(POLL_WITHOUT_BUS),
            BusChoice::Nats(_) => None,
        }
    }

    /// Where the data is, for people; without credentials.
    pub(crate) fn description(&self) -> anyhow::Result<String> {
        let folder = self.data_dir.display();
        let photos = match &self.objects {
            ObjectStoreChoice::Files => folder.to_string(),
            ObjectStoreChoice::S3(settings) => settings.to_string(),
        };
        Ok(match (&self.database, &self.objects) {
            (DatabaseChoice::Sqlite, ObjectStoreChoice::Files) => {
                format!("Data is kept in {folder}")
            }
            (DatabaseChoice::Sqlite, ObjectStoreChoice::S3(_)) => {
                format!("Jobs and accounts are kept in {folder}, photos in {photos}")
            }
            (DatabaseChoice::Postgres(settings), _) => {
                let address = settings.address().context("reading --database-url")?;
                format!("Jobs and accounts are kept in PostgreSQL at {address}, photos in {photos}")
            }
        })
    }

    /// Nodes of the API need the same keys, so that none makes its own.
    pub(crate) fn check_secrets(&self) -> anyhow::Result<()> {
        if self.database.is_shared() && self.secrets_file.is_none() {
            bail!(
                "--database-url needs --secrets-file, the same file on all nodes; \
                 `irisflow make-secrets FILE` makes one"
            );
        }
        Ok(())
    }

    /// The keys that sign tokens and links.
    fn secrets(&self, folder: &DataFolder) -> anyhow::Result<FolderSecrets> {
        match &self.secrets_file {
            Some(path) => secrets_of_file(path),
            None => folder.secrets(),
        }
    }
}

/// The accounts of a service, for `irisflow user`.
pub(crate) struct Accounts {
    pub(crate) accounts: Arc<dyn AccountStore>,
    database: DatabaseHandle,
}

impl Accounts {
    pub(crate) async fn of_folder(folder: &DataFolder) -> anyhow::Result<Self> {
        let clock = Arc::new(SystemClock);
        let bus = Arc::new(LocalBus::new());
        let store = SqliteStore::open(&folder.database(), clock, JobPolicy::default(), bus)
            .await
            .context("opening the database")?;
        Ok(Self {
            accounts: Arc::new(store.clone()),
            database: DatabaseHandle::Sqlite(store),
        })
    }

    pub(crate) async fn of_postgres(settings: &PostgresSettings) -> anyhow::Result<Self> {
        prepare_schema(settings, false).await?;
        let bus = Arc::new(LocalBus::new());
        let store = connect(settings, JobPolicy::default(), bus).await?;
        Ok(Self {
            accounts: Arc::new(store.clone()),
            database: DatabaseHandle::Postgres(store),
        })
    }

    pub(crate) async fn close(self) {
        self.database.close().await;
    }
}

/// Brings the schema of a shared database up to date, for `irisflow migrate`. Returns the steps that were missing.
pub(crate) async fn migrate(choice: &DatabaseChoice) -> anyhow::Result<Vec<String>> {
    let DatabaseChoice::Postgres(settings) = choice else {
        bail!(
            "name the database with --database-url; that in a data folder is migrated when the server starts"
        );
    };
    let steps = irisflow_postgres::migrate(settings).await;
    let steps = steps.with_context(|| migrating(settings))?.into_iter();
    Ok(steps
        .map(|step| format!("{} {}", step.version, step.description))
        .collect())
}

/// The objects of a data folder that a server may be using, for commands that only read.
pub(crate) fn objects_of_other_process(files: &Path) -> Arc<dyn ObjectStore> {
    Arc::new(FileStore::of_other_process(files))
}

/// Gives a restored database new timeline epochs and ends its sessions.
pub(crate) async fn begin_new_history(database: &Path, now: Timestamp) -> anyhow::Result<()> {
    irisflow_sqlite::begin_new_history(database, now)
        .await
        .context("beginning a new history")
}

/// The opened backends of a service, of which nothing runs yet.
pub(crate) struct Backends {
    store: Arc<dyn Store>,
    files: Arc<dyn ObjectStore>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    folder: DataFolder,
    database: DatabaseHandle,
    lock: FolderLock,
    /// `None` without a collector.
    tracer: Option<Arc<OtlpTracer>>,
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

/// What a worker is put together with.
pub(crate) struct WorkerChoice {
    pub(crate) settings: WorkerSettings,
    pub(crate) photo_limits: Limits,
    pub(crate) memory: MemoryBudget,
    pub(crate) faults: FaultPlan,
}

impl Backends {
    /// Opens them, and repairs what a crash or a step of the clock left in the database.
    pub(crate) async fn open(choice: &BackendChoice, policy: JobPolicy) -> anyhow::Result<Self> {
        if matches!(choice.bus, BusChoice::Nats(_)) && !choice.database.is_shared() {
            bail!("--bus-url needs --database-url: SQLite in the data folder serves one process");
        }
        let tracer = choice.traces.as_ref().map(OtlpTracer::start).transpose()?;
        let data_dir = &choice.data_dir;
        let (folder, lock) = match choice.database.is_shared() {
            false => DataFolder::open(data_dir)?,
            true => DataFolder::open_shared(data_dir)?,
        };
        let bus: Arc<dyn Bus> = match &choice.bus {
            BusChoice::Local => Arc::new(LocalBus::new()),
            BusChoice::Nats(settings) => Arc::new(NatsBus::connect(settings.clone()).await),
        };
        let Database {
            store,
            clock,
            handle: database,
        } = open_database(choice, &folder, policy, Arc::clone(&bus)).await?;
        let files = open_files(choice, &folder)?;
        make_consistent(&*store).await?;
        if let DatabaseHandle::Sqlite(store) = &database {
            // Safe because this process holds the folder lock: any lease belongs to a process that has ended.
            continue_interrupted_jobs(store).await?;
        }
        Ok(Self {
            store,
            files,
            bus,
            clock,
            folder,
            database,
            lock,
            tracer: tracer.map(Arc::new),
        })
    }

    pub(crate) fn worker(&self, choice: WorkerChoice) -> ReadyWorker {
        let store = &self.store;
        let parts = WorkerParts {
            job_leases: store.clone(),
            sweep_queue: store.clone(),
            worker_registry: store.clone(),
            photos: store.clone(),
            retention: store.clone(),
            health: store.clone(),
            files: Arc::clone(&self.files),
            memory: choice.memory,
            bus: Arc::clone(&self.bus),
            clock: Arc::clone(&self.clock),
            faults: Arc::new(choice.faults),
            pipeline: Arc::new(ImagingPipeline {
                limits: choice.photo_limits,
            }),
            tracer: self.tracer(),
        };
        ReadyWorker {
            parts,
            settings: choice.settings,
        }
    }

    pub(crate) fn server_parts(
        &self,
        choice: &BackendChoice,
        longest_link_life: Duration,
        memory: MemoryBudget,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<ServerParts> {
        let secrets = choice.secrets(&self.folder)?;
        let own_links = UrlSigner::new(secrets.links);
        let (links, file_links): (Arc<dyn LinkSigner>, _) = match &choice.objects {
            ObjectStoreChoice::Files => (Arc::new(own_links.clone()), Some(own_links)),
            ObjectStoreChoice::S3(settings) => {
                let signer = S3LinkSigner::new(settings, longest_link_life);
                (Arc::new(signer.context("signing links to S3")?), None)
            }
        };
        let store = &self.store;
        Ok(ServerParts {
            accounts: store.clone(),
            photos: store.clone(),
            job_commands: store.clone(),
            job_reader: store.clone(),
            queue_reader: store.clone(),
            timeline: store.clone(),
            webhooks: store.clone(),
            statistics: store.clone(),
            privacy: store.clone(),
            health: store.clone(),
            token_buckets: self.database.token_buckets(),
            files: Arc::clone(&self.files),
            links,
            file_links,
            memory,
            bus: Arc::clone(&self.bus),
            clock: Arc::clone(&self.clock),
            secrets: Secrets {
                access_tokens: secrets.access_tokens,
                refresh_tokens: secrets.refresh_tokens,
                webhooks: secrets.webhooks,
            },
            metrics,
            tracer: self.tracer(),
        })
    }

    fn tracer(&self) -> Arc<dyn JobTracer> {
        match &self.tracer {
            Some(tracer) => Arc::clone(tracer) as Arc<dyn JobTracer>,
            None => Arc::new(NoTraces),
        }
    }

    pub(crate) fn monitored_parts(&self, metrics: PrometheusHandle) -> MonitoredParts {
        MonitoredParts {
            health: self.store.clone(),
            statistics: self.store.clone(),
            files: Arc::clone(&self.files),
            bus: Arc::clone(&self.bus),
            clock: Arc::clone(&self.clock),
            metrics,
        }
    }

    /// Sends the last spans, closes the database, then lets another process have the folder.
    pub(crate) async fn close(self) {
        if let Some(tracer) = self.tracer {
            tracer.close().await;
        }
        self.database.close().await;
        drop(self.lock);
    }
}

/// An opened database.
struct Database {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    handle: DatabaseHandle,
}

/// The connections of an opened database.
enum DatabaseHandle {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl DatabaseHandle {
    /// Of rate limits that hold over all nodes.
    fn token_buckets(&self) -> Option<Arc<dyn TokenBuckets>> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(store) => Some(Arc::new(store.clone())),
        }
    }

    async fn close(self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}

async fn open_database(
    choice: &BackendChoice,
    folder: &DataFolder,
    policy: JobPolicy,
    bus: Arc<dyn Bus>,
) -> anyhow::Result<Database> {
    match &choice.database {
        DatabaseChoice::Sqlite => {
            let clock: Arc<dyn Clock> = Arc::new(SteadyClock::start());
            let path = folder.database();
            let store = SqliteStore::open(&path, Arc::clone(&clock), policy, bus)
                .await
                .map_err(|error| open_error(error, &path))?;
            Ok(Database {
                store: Arc::new(store.clone()),
                clock,
                handle: DatabaseHandle::Sqlite(store),
            })
        }
        DatabaseChoice::Postgres(settings) => {
            prepare_schema(settings, choice.migrate).await?;
            let store = connect(settings, policy, bus).await?;
            let clock = store.start_clock().await;
            Ok(Database {
                store: Arc::new(store.clone()),
                clock: clock.context("asking the database for its time")?,
                handle: DatabaseHandle::Postgres(store),
            })
        }
    }
}

async fn prepare_schema(settings: &PostgresSettings, migrate: bool) -> anyhow::Result<()> {
    if migrate {
        let steps = irisflow_postgres::migrate(settings).await;
        for step in steps.with_context(|| migrating(settings))? {
            let (version, description) = (step.version, step.description);
            tracing::info!(version, description, "migrated the schema of the database");
        }
        return Ok(());
    }
    let missing = irisflow_postgres::missing_migrations(settings).await;
    match missing.with_context(|| connecting(settings))?.len() {
        0 => Ok(()),
        steps => bail!(
            "the schema of the database lacks {steps} migrations of this version; run `irisflow migrate`"
        ),
    }
}

async fn connect(
    settings: &PostgresSettings,
    policy: JobPolicy,
    bus: Arc<dyn Bus>,
) -> anyhow::Result<PostgresStore> {
    PostgresStore::connect(settings, policy, bus)
        .await
        .with_context(|| connecting(settings))
}

fn connecting(settings: &PostgresSettings) -> String {
    let address = settings.address();
    let address = address.unwrap_or_else(|_| "the address in --database-url".to_owned());
    format!("connecting to PostgreSQL at {address}")
}

fn migrating(settings: &PostgresSettings) -> String {
    let address = settings.address();
    let address = address.unwrap_or_else(|_| "the address in --database-url".to_owned());
    format!("bringing the schema of PostgreSQL at {address} up to date")
}

fn open_files(choice: &BackendChoice, folder: &DataFolder) -> anyhow::Result<Arc<dyn ObjectStore>> {
    if let ObjectStoreChoice::S3(settings) = &choice.objects {
        return Ok(Arc::new(bucket(settings)?));
    }
    let opened = match choice.database.is_shared() {
        false => FileStore::open(&folder.files()),
        true => FileStore::open_shared(&folder.files()),
    };
    Ok(Arc::new(opened.context("opening the photo storage")?))
}

fn bucket(settings: &S3Settings) -> anyhow::Result<S3Store> {
    S3Store::new(settings).context("reading the settings of S3")
}

/// A bucket, for `irisflow doctor` and `irisflow move`.
pub(crate) fn objects_on_s3(settings: &S3Settings) -> anyhow::Result<Arc<dyn ObjectStore>> {
    Ok(Arc::new(bucket(settings)?))
}

/// Whether NATS answers, for `irisflow doctor`.
pub(crate) async fn reaches_nats(settings: &NatsSettings) -> bool {
    NatsBus::connect(settings.clone()).await.is_connected()
}

/// Repairs what a crash or a step of the clock left in the database, before work begins.
async fn make_consistent(store: &dyn StoreHealth) -> anyhow::Result<()> {
    let repaired = store.repair_times().await;
    match repaired.context("looking for times ahead of the clock")? {
        0 => {}
        times => tracing::warn!(times, "corrected stored times that lay ahead of the clock"),
    }
    store
        .repair_counters()
        .await
        .context("checking the counters of the queue")?;
    Ok(())
}

async fn continue_interrupted_jobs(store: &SqliteStore) -> anyhow::Result<()> {
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
