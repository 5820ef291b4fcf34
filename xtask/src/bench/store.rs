//! Stores on new databases, filled through their traits: SQLite in a temporary folder, or PostgreSQL and NATS on servers
//! of their own, durable as in production.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use irisflow_bus::{LocalBus, NatsBus};
use irisflow_jobs::{
    Bus, Enqueued, JobId, JobPolicy, NewAccount, NewJob, NewPhoto, Notifier, PhotoId,
    PictureOptions, Priority, Store, Submission, SystemClock, UserId,
};
use irisflow_postgres::{PostgresSettings, PostgresStore};
use irisflow_sqlite::SqliteStore;
use irisflow_test_servers::{NatsServer, PostgresServer};
use tokio::task::block_in_place;

use super::process_cpu::{cpu_of, cpu_of_tree};

/// What a node of the service works with.
pub(super) struct OpenStore {
    pub(super) jobs: Arc<dyn Store>,
    pub(super) bus: Arc<dyn Bus>,
}

/// A new store in a SQLite database below `parent`, or in the system's temporary folder.
pub(super) struct Sqlite {
    pub(super) folder: tempfile::TempDir,
}

impl Sqlite {
    pub(super) fn new(parent: Option<&Path>) -> anyhow::Result<Self> {
        let folder = match parent {
            Some(parent) => tempfile::tempdir_in(parent),
            None => tempfile::tempdir(),
        };
        let folder = folder.context("a temporary folder")?;
        Ok(Self { folder })
    }

    pub(super) async fn open(&self) -> anyhow::Result<OpenStore> {
        let bus = Arc::new(LocalBus::new());
        let path = self.folder.path().join("irisflow.sqlite");
        let policy = JobPolicy::default();
        let notifier: Arc<dyn Notifier> = bus.clone();
        let store = SqliteStore::open(&path, Arc::new(SystemClock), policy, notifier).await?;
        Ok(OpenStore {
            jobs: Arc::new(store),
            bus,
        })
    }
}

/// PostgreSQL and NATS of their own.
pub(super) struct Cluster {
    pub(super) postgres: PostgresServer,
    nats: NatsServer,
}

impl Cluster {
    /// # Errors
    /// When one of them is not installed or does not start.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let (postgres, nats) = block_in_place(|| {
            let postgres = PostgresServer::start_durable().context("starting PostgreSQL")?;
            let nats = NatsServer::start("").context("starting NATS")?;
            anyhow::Ok((postgres, nats))
        })?;
        let cluster = Self { postgres, nats };
        irisflow_postgres::migrate(&cluster.settings()).await?;
        Ok(cluster)
    }

    fn settings(&self) -> PostgresSettings {
        PostgresSettings::of_url(self.postgres.url("postgres"))
    }

    /// The store of one node, with its own connections.
    pub(super) async fn node(&self) -> anyhow::Result<OpenStore> {
        let bus = Arc::new(NatsBus::connect(self.nats.url().parse()?).await);
        let notifier: Arc<dyn Notifier> = bus.clone();
        let store =
            PostgresStore::connect(&self.settings(), JobPolicy::default(), notifier).await?;
        Ok(OpenStore {
            jobs: Arc::new(store),
            bus,
        })
    }

    /// CPU time of both servers until now.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        let postgres = self.postgres.process_id()?;
        let nats = self.nats.process_id().context("NATS runs")?;
        Ok(cpu_of_tree(postgres)? + cpu_of(nats)?)
    }
}

impl OpenStore {
    pub(super) async fn user_with_photo(&self) -> anyhow::Result<(UserId, PhotoId)> {
        let (user_id, photo_id) = (UserId::generate(), PhotoId::generate());
        let account = NewAccount {
            id: user_id,
            email: format!("{user_id}@example.com"),
            password_hash: String::new(),
        };
        self.jobs.add_account(account).await?;
        let photo = NewPhoto {
            id: photo_id,
            user_id,
            announced_type: "image/jpeg".to_owned(),
        };
        self.jobs.add_photo(photo, u64::MAX).await?;
        Ok((user_id, photo_id))
    }

    /// Queues `each` jobs of each of these photos, in one transaction.
    pub(super) async fn enqueue(
        &self,
        photos: &[(UserId, PhotoId)],
        each: usize,
        priority: Priority,
    ) -> anyhow::Result<()> {
        let jobs = photos
            .iter()
            .flat_map(|photo| std::iter::repeat_n(photo, each));
        let jobs = jobs.map(|&(user_id, photo_id)| NewJob {
            id: JobId::generate(),
            user_id,
            photo_id,
            batch_id: None,
            priority,
            options: PictureOptions::default(),
        });
        match self.jobs.enqueue(Submission::of(jobs.collect())).await? {
            Enqueued::Now(_) => Ok(()),
            refused => bail!("the jobs are not queued: {refused:?}"),
        }
    }
}
