//! A SQLite store in a temporary folder, filled through the store traits.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use irisflow_bus::LocalBus;
use irisflow_jobs::{
    AccountStore as _, Enqueued, JobCommands as _, JobId, JobPolicy, NewAccount, NewJob, NewPhoto,
    PhotoId, PhotoStore as _, PictureOptions, Priority, Submission, SystemClock, UserId,
};
use irisflow_sqlite::SqliteStore;

pub(super) struct OpenStore {
    pub(super) jobs: Arc<SqliteStore>,
    pub(super) bus: Arc<LocalBus>,
    pub(super) folder: tempfile::TempDir,
}

/// A new store in a temporary folder, below `parent` if given.
pub(super) async fn open(parent: Option<&Path>) -> anyhow::Result<OpenStore> {
    let folder = match parent {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    };
    let folder = folder.context("a temporary folder")?;
    let bus = Arc::new(LocalBus::new());
    let path = folder.path().join("irisflow.sqlite");
    let policy = JobPolicy::default();
    let store = SqliteStore::open(&path, Arc::new(SystemClock), policy, bus.clone()).await?;
    Ok(OpenStore {
        jobs: Arc::new(store),
        bus,
        folder,
    })
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
