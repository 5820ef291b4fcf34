//! A fresh store with its time, and the steps that the cases are written in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::RecordingNotifier;
use crate::{
    AccountStore, Checkpoint, Confirmed, Enqueued, ErrorType, Event, EventKind, Failure, Fence,
    Job, JobCommands, JobId, JobLeases, JobPolicy, JobReader, JobResult, NewAccount, NewJob,
    NewPhoto, Outline, PhotoFormat, PhotoId, PhotoStore, PictureFormat, PictureOptions, Priority,
    Privacy, QueueReader, Retention, Statistics, Store, StoreHealth, StoredPhoto, Submission,
    Sweep, SweepQueue, SweepTarget, Timeline, Timestamp, UserId, WebhookStore, WorkerId,
    WorkerRegistry, WriteOutcome,
};

/// How much real time a case may take. A deadline is approached to within it, so that a store whose time
/// goes on by itself does not pass it early.
pub const SLACK: Duration = Duration::from_secs(60);

/// What a store is to be opened with.
#[derive(Debug, Clone)]
pub struct Setup {
    pub policy: JobPolicy,
    pub notifier: Arc<RecordingNotifier>,
}

impl Setup {
    pub fn fresh() -> Self {
        Self {
            policy: JobPolicy {
                // Much longer than the slack.
                lease: SLACK * 5,
                ageing: SLACK * 10,
                intake_limit: SLACK * 10,
                // Long enough that a random wait is not zero.
                backoff_base: Duration::from_secs(60 * 60),
                backoff_cap: Duration::from_secs(24 * 60 * 60),
                ..JobPolicy::default()
            },
            notifier: Arc::default(),
        }
    }
}

/// A fresh database of the store under test, and its time. It lives as long as this does.
#[async_trait(?Send)]
pub trait TestDatabase: Send + Sync + fmt::Debug {
    /// Opens the store on this database, as one more node does. All share the policy and the notifier.
    async fn open_node(&self) -> Arc<dyn Store>;

    /// The time by which the store writes and compares.
    async fn now(&self) -> Timestamp;

    /// Makes everything stored older by this much: moves the clock ahead, or all stored times back.
    async fn advance(&self, by: Duration);

    /// Makes everything stored younger by this much, as when a clock is set back.
    async fn step_back(&self, by: Duration);

    /// Returns when the time is at least a millisecond later. Changes no stored time.
    async fn tick(&self);
}

#[derive(Debug)]
pub struct StoreUnderTest {
    pub accounts: Arc<dyn AccountStore>,
    pub health: Arc<dyn StoreHealth>,
    pub job_commands: Arc<dyn JobCommands>,
    pub job_leases: Arc<dyn JobLeases>,
    pub job_reader: Arc<dyn JobReader>,
    pub photos: Arc<dyn PhotoStore>,
    pub privacy: Arc<dyn Privacy>,
    pub queue_reader: Arc<dyn QueueReader>,
    pub retention: Arc<dyn Retention>,
    pub statistics: Arc<dyn Statistics>,
    pub sweep_queue: Arc<dyn SweepQueue>,
    pub timeline: Arc<dyn Timeline>,
    pub webhooks: Arc<dyn WebhookStore>,
    pub worker_registry: Arc<dyn WorkerRegistry>,
    pub policy: JobPolicy,
    pub notifications: Arc<RecordingNotifier>,
    database: Box<dyn TestDatabase>,
}

impl StoreUnderTest {
    pub async fn fresh<D: TestDatabase + 'static>(create: impl AsyncFnOnce(Setup) -> D) -> Self {
        let setup = Setup::fresh();
        let database = Box::new(create(setup.clone()).await);
        let store = database.open_node().await;
        Self {
            accounts: store.clone(),
            health: store.clone(),
            job_commands: store.clone(),
            job_leases: store.clone(),
            job_reader: store.clone(),
            photos: store.clone(),
            privacy: store.clone(),
            queue_reader: store.clone(),
            retention: store.clone(),
            statistics: store.clone(),
            sweep_queue: store.clone(),
            timeline: store.clone(),
            webhooks: store.clone(),
            worker_registry: store,
            policy: setup.policy,
            notifications: setup.notifier,
            database,
        }
    }

    /// Another handle on the same database, as another node has one.
    pub async fn open_node(&self) -> Arc<dyn Store> {
        self.database.open_node().await
    }

    pub async fn now(&self) -> Timestamp {
        self.database.now().await
    }

    /// Lets time pass for all that is stored. Times that were read before may lie later than stored ones now:
    /// compare what was read before with what is read after by ids and states.
    pub async fn advance(&self, by: Duration) {
        self.database.advance(by).await;
    }

    /// Sets the clock back.
    pub async fn step_back(&self, by: Duration) {
        self.database.step_back(by).await;
    }

    /// What is written after this is later than what was written before.
    pub async fn tick(&self) {
        self.database.tick().await;
    }

    /// Fails unless `instant` lies between `begun` and now: exactly now, where the time stands still.
    pub async fn assert_between(&self, begun: Timestamp, instant: Timestamp) {
        let now = self.now().await;
        assert!(
            begun <= instant && instant <= now,
            "{instant:?} is not from {begun:?} to {now:?}"
        );
    }

    /// Moves past the end of every lease that was given or renewed until now.
    pub async fn let_leases_expire(&self) {
        self.advance(self.policy.lease + SLACK).await;
    }

    pub async fn user(&self) -> UserId {
        let id = UserId::generate();
        let new = NewAccount {
            id,
            email: format!("{id}@example.org"),
            password_hash: "not a hash".to_owned(),
        };
        let added = self.accounts.add_account(new).await;
        added.expect("the store works").expect("the address is new");
        id
    }

    pub async fn photo(&self, user_id: UserId) -> PhotoId {
        let new = NewPhoto {
            id: PhotoId::generate(),
            user_id,
            announced_type: "image/jpeg".to_owned(),
        };
        let added = self.photos.add_photo(new, u64::MAX).await;
        added
            .expect("the store works")
            .expect("there is no limit")
            .id
    }

    /// Confirms the upload of a photo with its first intake.
    pub async fn take_in(&self, user_id: UserId, photo_id: PhotoId) {
        let begun = self.photos.begin_intake(user_id, photo_id).await;
        let stored = StoredPhoto {
            intake: begun.expect("the store works"),
            ..stored_photo()
        };
        let confirmed = self
            .photos
            .confirm_photo(user_id, photo_id, stored, u64::MAX);
        let confirmed = confirmed.await.expect("the store works");
        assert!(matches!(confirmed, Confirmed::Photo(_)), "{confirmed:?}");
    }

    /// A job with a photo of its own, not queued yet.
    pub async fn new_job(&self, user_id: UserId, priority: Priority) -> NewJob {
        NewJob {
            id: JobId::generate(),
            user_id,
            photo_id: self.photo(user_id).await,
            batch_id: None,
            priority,
            options: PictureOptions::default(),
        }
    }

    /// Queues a job of high priority.
    pub async fn queue(&self, user_id: UserId) -> Job {
        self.queue_as(user_id, Priority::High).await
    }

    pub async fn queue_as(&self, user_id: UserId, priority: Priority) -> Job {
        let new = self.new_job(user_id, priority).await;
        let mut queued = self.queue_all(vec![new]).await;
        queued.pop().expect("one job was queued")
    }

    pub async fn queue_all(&self, new: Vec<NewJob>) -> Vec<Job> {
        let enqueued = self.job_commands.enqueue(Submission::of(new)).await;
        queued(enqueued.expect("the store works"))
    }

    /// The job after its owner has requested its cancellation.
    pub async fn cancel(&self, job: &Job) -> Option<Job> {
        let cancelled = self.job_commands.cancel(job.user_id, job.id).await;
        cancelled.expect("the store works")
    }

    pub async fn delete(&self, job: &Job) -> bool {
        let deleted = self.job_commands.delete_job(job.user_id, job.id).await;
        deleted.expect("the store works")
    }

    /// The job that a worker claims, if any is due.
    pub async fn try_claim(&self) -> Option<Job> {
        let claimed = self.job_leases.claim_next(WorkerId::generate()).await;
        claimed.expect("the store works")
    }

    pub async fn claim(&self) -> Job {
        self.try_claim().await.expect("a job is due")
    }

    /// A job of a new user that a worker has claimed.
    pub async fn running_job(&self) -> Job {
        let queued = self.queue(self.user().await).await;
        let claimed = self.claim().await;
        assert_eq!(claimed.id, queued.id, "no other job was waiting");
        claimed
    }

    pub async fn reach(&self, job: &Job, checkpoints: &[Checkpoint]) -> Job {
        recorded(
            self.job_leases
                .record_checkpoints(fence(job), &[], checkpoints)
                .await,
        )
    }

    pub async fn finish(&self, job: &Job) -> Job {
        recorded(self.job_leases.finish(fence(job), result_of(job)).await)
    }

    pub async fn fail(&self, job: &Job, failure: Failure) -> Job {
        recorded(self.job_leases.fail_attempt(fence(job), failure).await)
    }

    pub async fn hand_back(&self, job: &Job) -> Job {
        recorded(self.job_leases.hand_back(fence(job)).await)
    }

    pub async fn reap(&self) -> Option<Job> {
        self.job_leases
            .reap_one(worker_lost())
            .await
            .expect("the store works")
    }

    pub async fn delete_photo_of(&self, job: &Job) {
        let deleted = self.photos.delete_photo(job.user_id, job.photo_id).await;
        assert!(deleted.expect("the store works"), "there was a photo");
    }

    /// The job as its owner reads it.
    pub async fn read(&self, job: &Job) -> Option<Job> {
        let read = self.job_reader.job(job.user_id, job.id).await;
        read.expect("the store works")
    }

    pub async fn events(&self, job: &Job) -> Vec<Event> {
        self.events_after(job, 0).await
    }

    pub async fn events_after(&self, job: &Job, after: i64) -> Vec<Event> {
        let read = self.timeline.job_events_after(job.user_id, job.id, after);
        read.await.expect("the store works")
    }

    pub async fn kinds(&self, job: &Job) -> Vec<EventKind> {
        let events = self.events(job).await;
        events.into_iter().map(|event| event.kind).collect()
    }

    /// `None` for a user without a timeline.
    pub async fn last_seq(&self, user_id: UserId) -> Option<i64> {
        let read = self.timeline.last_seqs(&[user_id]).await;
        read.expect("the store works").pop().map(|(_, seq)| seq)
    }

    /// The sweeps that are due. Claims of no length leave them due.
    pub async fn due_sweeps(&self) -> Vec<Sweep> {
        self.sweep_queue
            .claim_sweeps(1000, Duration::ZERO)
            .await
            .expect("the store works")
    }

    pub async fn due_targets(&self) -> Vec<SweepTarget> {
        let due = self.due_sweeps().await;
        due.into_iter().map(|sweep| sweep.target).collect()
    }

    /// Completes every due sweep, as a sweeper does after deleting the objects.
    pub async fn sweep_all(&self) {
        for sweep in self.due_sweeps().await {
            let done = self.sweep_queue.complete_sweep(sweep.id).await;
            done.expect("the store works");
        }
    }
}

/// The right of the worker that claimed this job.
pub(crate) fn fence(job: &Job) -> Fence {
    Fence {
        job_id: job.id,
        epoch: job.epoch,
    }
}

pub(crate) fn result_of(job: &Job) -> JobResult {
    JobResult {
        epoch: job.epoch,
        width_px: 2048,
        height_px: 2048,
        processing_time_ms: 312,
        step_ms: [40, 60, 80, 100, 32],
        quality: serde_json::json!({ "sharpness": 0.75 }),
        quality_score: Some(83),
        quality_message: Some("A good photo.".to_owned()),
        stored_bytes: 923_521,
        has_thumbnail: true,
        format: PictureFormat::Jpeg,
        outline: Some(Outline::Round),
        alternative: Some(Outline::Visible),
    }
}

pub(crate) fn queued(enqueued: Enqueued) -> Vec<Job> {
    match enqueued {
        Enqueued::Now(jobs) => Some(jobs),
        _ => None,
    }
    .expect("the jobs are queued")
}

pub(crate) fn recorded(written: Result<WriteOutcome, crate::StoreError>) -> Job {
    match written.expect("the store works") {
        WriteOutcome::Recorded(job) => Some(*job),
        WriteOutcome::Fenced => None,
    }
    .expect("the worker owns the job")
}

pub(crate) fn storage_unavailable() -> Failure {
    Failure::new(
        ErrorType::TransientError,
        "storage_unavailable",
        "The photo storage did not answer.",
        "Try again.",
    )
}

pub(crate) fn timed_out() -> Failure {
    Failure::new(
        ErrorType::TransientError,
        "timed_out",
        "It took too long.",
        "Try again.",
    )
}

pub(crate) fn worker_lost() -> Failure {
    Failure::new(
        ErrorType::ServerError,
        "worker_lost",
        "The worker is gone.",
        "Try another photo.",
    )
}

pub(crate) fn quality_issue() -> Failure {
    Failure::new(
        ErrorType::QualityIssue,
        "too_blurry",
        "The photo is blurry.",
        "Hold the phone still.",
    )
}

pub(crate) fn stored_photo() -> StoredPhoto {
    StoredPhoto {
        format: PhotoFormat::Jpeg,
        width_px: 4032,
        height_px: 3024,
        size_bytes: 3_141_592,
        sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        intake: Some(1),
        thumbnail_bytes: Some(21_001),
        decode_bytes: Some(36_578_304),
    }
}
