//! The vocabulary of these tests: a data folder with a manual clock, and workers on it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use irisflow_bus::LocalBus;
use irisflow_image::load::Limits;
use irisflow_jobs::{
    AccountStore as _, Clock, Enqueued, Event, EventKind, Job, JobCommands as _, JobId,
    JobLeases as _, JobPolicy, JobReader as _, ManualClock, NewAccount, NewJob, NewPhoto, NoTraces,
    PhotoFormat, PhotoId, PhotoStore as _, PictureOptions, Priority, Statistics as _, StoredPhoto,
    Submission, Timeline as _, Timestamp, UserId,
};
use irisflow_photos::{FileStore, MemoryBudget, ObjectKey, ObjectStore};
use irisflow_sqlite::SqliteStore;
use irisflow_worker::{FaultPlan, HeldPoint, ImagingPipeline, Worker, WorkerParts, WorkerSettings};

use crate::unconfirmed::UnconfirmedPreviews;

/// Longer than anything here takes on a busy machine.
const HANG_LIMIT: Duration = Duration::from_secs(60);

/// A small photo whose iris is found.
pub(crate) fn eye() -> Vec<u8> {
    let photos = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../irisflow-image/tests/photos"
    );
    std::fs::read(format!("{photos}/pixabay_eye_2154384.jpg")).expect("a test photo")
}

/// One slot, and an eager reaper. A worker that stops hands back at once.
pub(crate) fn usual() -> WorkerSettings {
    WorkerSettings {
        slots: 1,
        lease: Duration::from_millis(200),
        poll_interval: Duration::from_millis(10),
        drain_grace: Duration::ZERO,
        ..WorkerSettings::default()
    }
}

/// No heartbeat and no reaper comes in the time of a test.
pub(crate) fn no_renewals() -> WorkerSettings {
    WorkerSettings {
        lease: Duration::from_secs(3600),
        ..usual()
    }
}

pub(crate) async fn until_reached(held: &HeldPoint) {
    let held = held.clone();
    let reached = tokio::task::spawn_blocking(move || held.wait_until_reached(HANG_LIMIT));
    assert!(reached.await.expect("no panic"), "an attempt comes there");
}

/// A data folder, and the clock of everything on it.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    policy: JobPolicy,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            clock: Arc::new(ManualClock::at(Timestamp::from_millis(1_770_653_765_123))),
            policy: JobPolicy::default(),
        }
    }

    /// The stores on this folder, without a worker yet.
    pub(crate) async fn open(&self) -> Node {
        let bus = Arc::new(LocalBus::new());
        let path = self.folder.path().join("irisflow.sqlite");
        let store = SqliteStore::open(&path, self.clock.clone(), self.policy, bus.clone()).await;
        Node {
            clock: self.clock.clone(),
            store: Arc::new(store.expect("a database")),
            bus,
            files: Arc::new(FileStore::open(&self.storage()).expect("a storage")),
        }
    }

    /// Moves past the end of every lease that was given or renewed until now.
    pub(crate) fn let_leases_expire(&self) {
        self.clock
            .advance(self.policy.lease + Duration::from_millis(1));
    }

    fn storage(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    pub(crate) fn take_storage_away(&self) {
        std::fs::rename(self.storage(), self.folder.path().join("away")).expect("renamed");
    }

    pub(crate) fn bring_storage_back(&self) {
        std::fs::rename(self.folder.path().join("away"), self.storage()).expect("renamed");
    }
}

/// What workers share.
pub(crate) struct Node {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) bus: Arc<LocalBus>,
    clock: Arc<ManualClock>,
    files: Arc<dyn ObjectStore>,
}

impl Node {
    /// The same on a storage that answers with an error after it stored a preview.
    pub(crate) fn with_unconfirmed_previews(self) -> Self {
        let files = Arc::new(UnconfirmedPreviews(self.files));
        Self { files, ..self }
    }

    /// A worker on the runtime of the caller. It works until it is drained or its runtime ends.
    pub(crate) fn start_worker(&self, plan: FaultPlan, settings: WorkerSettings) -> Worker {
        let parts = WorkerParts {
            job_leases: self.store.clone(),
            sweep_queue: self.store.clone(),
            worker_registry: self.store.clone(),
            photos: self.store.clone(),
            retention: self.store.clone(),
            health: self.store.clone(),
            files: self.files.clone(),
            memory: MemoryBudget::new(1 << 30),
            bus: self.bus.clone(),
            clock: self.clock.clone(),
            faults: Arc::new(plan),
            pipeline: Arc::new(ImagingPipeline {
                limits: Limits::default(),
            }),
            tracer: Arc::new(NoTraces),
        };
        Worker::start(parts, settings).expect("threads")
    }

    /// Takes a photo of a new user in, and submits it.
    pub(crate) async fn submit(&self, photo: Vec<u8>) -> Job {
        let (user_id, photo_id) = (UserId::generate(), PhotoId::generate());
        let account = NewAccount {
            id: user_id,
            email: format!("{user_id}@example.org"),
            password_hash: "not a hash".to_owned(),
        };
        let added = self.store.add_account(account).await;
        added.expect("the store works").expect("a new address");
        let announced = NewPhoto {
            id: photo_id,
            user_id,
            announced_type: "image/jpeg".to_owned(),
        };
        let added = self.store.add_photo(announced, u64::MAX).await;
        added.expect("the store works").expect("no limit");
        let intake = self.store.begin_intake(user_id, photo_id).await;
        let stored = StoredPhoto {
            format: PhotoFormat::Jpeg,
            width_px: 400,
            height_px: 400,
            size_bytes: photo.len() as u64,
            sha256: String::new(),
            intake: intake.expect("the store works"),
            thumbnail_bytes: None,
            decode_bytes: None,
        };
        let key = ObjectKey::of_original(user_id, photo_id, &stored);
        let put = self.files.put(&key, photo.into()).await;
        put.expect("stored");
        let confirmed = self
            .store
            .confirm_photo(user_id, photo_id, stored, u64::MAX);
        confirmed.await.expect("the store works");
        self.enqueue(user_id, photo_id).await
    }

    async fn enqueue(&self, user_id: UserId, photo_id: PhotoId) -> Job {
        let new = NewJob {
            id: JobId::generate(),
            user_id,
            photo_id,
            batch_id: None,
            priority: Priority::High,
            options: PictureOptions::default(),
        };
        let enqueued = self.store.enqueue(Submission::of(vec![new])).await;
        let Enqueued::Now(mut jobs) = enqueued.expect("the store works") else {
            panic!("the queue has room");
        };
        jobs.pop().expect("one job was queued")
    }

    /// Waits until no job is under way or waits; the clock goes on to the next one that is due.
    pub(crate) async fn run_until_idle(&self) {
        self.until("all jobs have ended", async || {
            let due = self.store.next_due().await.expect("the store works");
            if let Some(due) = due.filter(|due| *due > self.clock.now()) {
                self.clock.set(due);
            }
            let queue = self.store.queue().await.expect("the store works");
            queue.waiting + queue.running == 0
        })
        .await;
    }

    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !holds().await {
            assert!(begun.elapsed() < HANG_LIMIT, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn job(&self, job: &Job) -> Job {
        let read = self.store.job(job.user_id, job.id).await;
        read.expect("the store works").expect("it is there")
    }

    async fn events_of(&self, job: &Job) -> Vec<Event> {
        let read = self.store.job_events_after(job.user_id, job.id, 0).await;
        read.expect("the store works")
    }

    pub(crate) async fn kinds_of(&self, job: &Job) -> Vec<EventKind> {
        let events = self.events_of(job).await;
        events.into_iter().map(|event| event.kind).collect()
    }

    pub(crate) async fn progress_of(&self, job: &Job) -> Vec<u8> {
        let events = self.events_of(job).await;
        events
            .into_iter()
            .map(|event| event.body.progress)
            .collect()
    }

    /// The epoch of each object that is stored for a job, in order.
    pub(crate) async fn epochs_of_objects(&self, job: &Job) -> Vec<i64> {
        let prefix = ObjectKey::prefix_of_job(job.user_id, job.id);
        let keys = self.files.list(&prefix).await.expect("a listing");
        let mut epochs: Vec<i64> = keys.iter().filter_map(ObjectKey::version).collect();
        epochs.sort_unstable();
        epochs
    }
}
