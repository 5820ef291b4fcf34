//! What a store must be able to do. A method is one verb of the domain and one transaction; after its
//! commit the store tells its [`Notifier`](crate::Notifier). `conformance` holds the suites that
//! every implementation passes.

use async_trait::async_trait;

use crate::account::{
    Account, NewAccount, NewSession, PasswordChange, RefreshOutcome, Session, SessionWithAccount,
};
use crate::batch::Batch;
use crate::clock::Timestamp;
use crate::estimate::{StepTimes, WorkerCapacity};
use crate::event::Event;
use crate::failure::Failure;
use crate::id::{BatchId, ConsentId, JobId, PhotoId, ReceiptId, SessionId, UserId, WorkerId};
use crate::job::{Fence, Job, JobResult};
use crate::photo::{Confirmed, NewPhoto, Photo, PhotoFilter, Received, StoredPhoto};
use crate::privacy::{Consent, ConsentType, DeletionReceipt, NewConsent};
use crate::queue_order::{OwnPlace, QueuedUser, WaitingJob};
use crate::statistics::{QueueStatistics, Usage};
use crate::step::Checkpoint;
use crate::submission::{Enqueued, Submission, SubmissionKey};
use crate::sweep::Sweep;

/// Why a store did not do its work. "Not found" is not an error but `None`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is full, locked or read-only, or its disk fails: it passes.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The change contradicts what is stored: it names something that is gone, or that there may be once
    /// only. Trying the same again does not help.
    #[error("the change contradicts what the database holds: {0}")]
    Conflict(String),
    /// A row does not say what this program writes: trying again does not help.
    #[error("the database holds something unreadable: {0}")]
    Corrupt(String),
    /// The file of the database is damaged: only a backup helps.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The database refuses the statement itself, by a fault of ours: trying again does not help.
    #[error("the database refused a statement: {0}")]
    Refused(String),
}

impl StoreError {
    /// Whether the database is in trouble, rather than this one row or statement.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Damaged(_) => true,
            Self::Conflict(_) | Self::Corrupt(_) | Self::Refused(_) => false,
        }
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// Which part of a list, counted from page 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    pub page: u32,
    pub page_size: u32,
}

impl PageRequest {
    /// How many rows come before this page.
    pub fn offset(self) -> i64 {
        i64::from(self.page.saturating_sub(1)) * i64::from(self.page_size)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Of all pages.
    pub total: u64,
}

/// Which jobs to list. `None` is all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobFilter {
    pub status: Option<StatusFilter>,
    pub batch_id: Option<BatchId>,
}

/// A status as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    Pending,
    Processing,
    Completed,
    Failed,
    Cancelled,
}

/// What became of a worker's write.
#[derive(Debug, Clone, PartialEq)]
pub enum WriteOutcome {
    /// It is recorded; this is the job now.
    Recorded(Box<Job>),
    /// The attempt no longer owns the job: stop, and delete what it wrote.
    Fenced,
}

/// What a worker learns when it renews its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    Held,
    /// Held, but the owner wants the job cancelled.
    CancelRequested,
    Lost,
}

#[async_trait]
pub trait JobStore: Send + Sync + std::fmt::Debug {
    /// Queues jobs, all or none: each photo must be its user's. The key is recorded with the jobs.
    async fn enqueue(&self, submission: Submission) -> Result<Enqueued>;

    /// What was answered to the submission with this key, without submitting anything: its first answer
    /// or that the key stands for something else. `None` for a key that is not known (any more).
    async fn answered(&self, key: &SubmissionKey) -> Result<Option<Enqueued>>;

    /// Gives the fairest due job to a worker, by the rule of [`QueueOrder`](crate::QueueOrder), and
    /// remembers that its user was served. A user whose counters promise a job that is not there has them
    /// repaired on the way.
    async fn claim_next(&self, worker: WorkerId) -> Result<Option<Job>>;

    /// When the next job that waits will be due; `None` when none waits.
    async fn next_due(&self) -> Result<Option<Timestamp>>;

    async fn renew(&self, fence: Fence) -> Result<Renewal>;

    /// Records checkpoints, in order, in one transaction.
    async fn reach(&self, fence: Fence, checkpoints: &[Checkpoint]) -> Result<WriteOutcome>;

    /// Records the result and the end of the job together.
    async fn finish(&self, fence: Fence, result: JobResult) -> Result<WriteOutcome>;

    /// Ends the attempt: the job is retried later or fails for good, as the policy says. Leaves a
    /// sweep for what the attempt wrote.
    async fn fail_attempt(&self, fence: Fence, failure: Failure) -> Result<WriteOutcome>;

    /// Returns the job to the queue at once; not an attempt.
    async fn hand_back(&self, fence: Fence) -> Result<WriteOutcome>;

    /// Ends a job whose worker stopped because its owner wished it.
    async fn stopped(&self, fence: Fence) -> Result<WriteOutcome>;

    /// Takes one job whose lease ran out from its worker. `None` when there is none.
    async fn reap_one(&self) -> Result<Option<Job>>;

    /// Ends a job that waits, and asks the worker of a running one to stop. A job that has ended
    /// stays as it is. Returns the job as it stands now; `None` for unknown and foreign ones.
    async fn cancel(&self, user_id: UserId, job_id: JobId) -> Result<Option<Job>>;

    /// The jobs that were submitted together. `None` for unknown and foreign batches.
    async fn batch(&self, user_id: UserId, batch_id: BatchId) -> Result<Option<Batch>>;

    /// Cancels every job of a batch that has not ended, in one transaction.
    async fn cancel_batch(&self, user_id: UserId, batch_id: BatchId) -> Result<Option<Batch>>;

    /// Deletes the job and all it left, fences its worker off, and leaves sweeps for its objects: at
    /// once, and again when leases have run out. Its timeline keeps one event that says so until the
    /// last of them is done. `false` when there is no such job.
    async fn delete_job(&self, user_id: UserId, job_id: JobId) -> Result<bool>;

    /// A job of this user. `None` for unknown and foreign ones alike.
    async fn job(&self, user_id: UserId, job_id: JobId) -> Result<Option<Job>>;

    /// Newest first.
    async fn jobs(
        &self,
        user_id: UserId,
        filter: JobFilter,
        page: PageRequest,
    ) -> Result<Page<Job>>;

    /// Which epoch's objects of this job are to be kept, if any: the recorded one, or the one that
    /// a worker is writing under.
    async fn epoch_to_keep(&self, job_id: JobId) -> Result<Option<i64>>;

    /// The users with waiting jobs.
    async fn queued_users(&self) -> Result<Vec<QueuedUser>>;

    /// The user's waiting jobs, in the order in which they will be claimed.
    async fn waiting_jobs(&self, user_id: UserId) -> Result<Vec<WaitingJob>>;

    /// The place of one job in [`waiting_jobs`](Self::waiting_jobs), without reading them all. `None` when
    /// it does not wait, or is unknown or foreign.
    async fn own_place(&self, user_id: UserId, job_id: JobId) -> Result<Option<OwnPlace>>;

    /// Counts the waiting and running jobs of each user anew, and repairs counters that are wrong, which
    /// would hold jobs up. Logs what it repaired, and returns of how many users.
    async fn repair_counters(&self) -> Result<u64>;

    /// The workers that were heard of within two leases.
    async fn worker_capacity(&self) -> Result<WorkerCapacity>;

    /// A worker process is alive and works on so many jobs at once.
    async fn report_worker(&self, worker: WorkerId, slots: u32) -> Result<()>;

    /// A worker process claims nothing more.
    async fn worker_gone(&self, worker: WorkerId) -> Result<()>;

    /// What the steps of the jobs took that finished last, newest first.
    async fn step_times(&self, limit: u32) -> Result<Vec<StepTimes>>;

    /// Sweeps that are due, oldest first.
    async fn due_sweeps(&self, limit: u32) -> Result<Vec<Sweep>>;

    /// The objects are gone. The last sweep of a deleted job takes with it what still named the job;
    /// that of an upload that was never confirmed takes the photo along.
    async fn sweep_done(&self, sweep_id: i64) -> Result<()>;

    /// The objects could not be deleted. The sweep comes again later, each time after a longer wait,
    /// so that it holds no other one up.
    async fn sweep_failed(&self, sweep_id: i64) -> Result<()>;
}

#[async_trait]
pub trait Timeline: Send + Sync + std::fmt::Debug {
    /// The job and its recent events, read in one transaction. `None` for unknown and foreign jobs.
    async fn job_snapshot(
        &self,
        user_id: UserId,
        job_id: JobId,
        recent_since: Timestamp,
    ) -> Result<Option<JobSnapshot>>;

    /// The job's events with a `seq` above `after`, in order. They outlive the job itself.
    async fn job_events_after(
        &self,
        user_id: UserId,
        job_id: JobId,
        after: i64,
    ) -> Result<Vec<Event>>;

    /// The user's jobs that have events with a `seq` above `after`.
    async fn jobs_with_events_after(&self, user_id: UserId, after: i64) -> Result<Vec<JobId>>;

    /// The last `seq` of each of these users; users without a timeline are left out.
    async fn last_seqs(&self, users: &[UserId]) -> Result<Vec<(UserId, i64)>>;
}

/// A job and what its watcher should be told first.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSnapshot {
    pub job: Job,
    /// The job's newest event that is older than the recent ones.
    pub newest_older: Option<Event>,
    /// The job's events since the moment asked for, in order.
    pub recent: Vec<Event>,
}

#[async_trait]
pub trait PhotoStore: Send + Sync + std::fmt::Debug {
    /// Records that an upload is expected, and a sweep of what may be left of it: a photo that is not
    /// confirmed by then goes with it. `None` when the user has `unconfirmed_limit` such photos.
    async fn add_photo(&self, photo: NewPhoto, unconfirmed_limit: u64) -> Result<Option<Photo>>;

    /// Counts an upload that is complete, if all that the user stores stays within `quota_bytes`.
    /// Comes before the upload becomes visible.
    async fn receive_photo(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
        size_bytes: u64,
        quota_bytes: u64,
    ) -> Result<Received>;

    /// Gives a number to an intake that is about to write its objects, and leaves a sweep for them.
    /// `None` when the photo was taken in before, or is unknown, foreign or deleted.
    async fn begin_intake(&self, user_id: UserId, photo_id: PhotoId) -> Result<Option<i64>>;

    /// Gives up the intakes of a photo that are under way, and tells which one is recorded: its
    /// objects are to be kept.
    async fn end_intakes(&self, photo_id: PhotoId) -> Result<Option<i64>>;

    /// Records what the newest intake wrote, if all that the user stores stays within `quota_bytes`.
    /// Gives the photo unchanged when it was taken in before.
    async fn confirm_photo(
        &self,
        user_id: UserId,
        photo_id: PhotoId,
        stored: StoredPhoto,
        quota_bytes: u64,
    ) -> Result<Confirmed>;

    /// Records that the upload cannot be used and is gone. A later upload to the same photo still may
    /// be.
    async fn photo_failed(&self, user_id: UserId, photo_id: PhotoId) -> Result<()>;

    async fn photo(&self, user_id: UserId, photo_id: PhotoId) -> Result<Option<Photo>>;

    /// Those of these photos that are the user's, in no order.
    async fn photos_by_id(&self, user_id: UserId, ids: &[PhotoId]) -> Result<Vec<Photo>>;

    /// Newest first.
    async fn photos(
        &self,
        user_id: UserId,
        filter: PhotoFilter,
        page: PageRequest,
    ) -> Result<Page<Photo>>;

    /// Deletes the photo and its jobs, fences their workers off, and leaves sweeps for everything
    /// made from it: at once, and again when leases and upload URLs have run out. `false` when there
    /// is none.
    async fn delete_photo(&self, user_id: UserId, photo_id: PhotoId) -> Result<bool>;
}

/// Consents of one account, withdrawn ones too: they are kept, so they must not grow without end.
pub const MOST_CONSENTS: u32 = 200;
/// Live sessions of one account.
pub const MOST_SESSIONS: u32 = 100;
/// Spent refresh tokens of one session whose reuse is still detected.
pub const MOST_SPENT_TOKENS: u32 = 200;

#[async_trait]
pub trait AccountStore: Send + Sync + std::fmt::Debug {
    /// `None` when the address is taken.
    async fn add_account(&self, account: NewAccount) -> Result<Option<Account>>;

    async fn account_by_email(&self, email: &str) -> Result<Option<Account>>;

    /// Records a session, if the account is still active and has the password that was verified. Of an
    /// account with [`MOST_SESSIONS`] others, the one that was used least lately ends. `false` when
    /// nothing was recorded.
    async fn add_session(&self, new: NewSession) -> Result<bool>;

    /// A session that has neither ended nor run out, with its account.
    async fn session(&self, session_id: SessionId) -> Result<Option<SessionWithAccount>>;

    /// Spends a refresh token for its successor. A token that was spent no longer than `grace` ago
    /// gives the same successor again; one spent before that ends its session. The session lives on
    /// until `expires_at`. Of a session's spent tokens the newest [`MOST_SPENT_TOKENS`] are kept.
    async fn rotate_refresh(
        &self,
        refresh_hash: [u8; 32],
        successor_hash: [u8; 32],
        grace: std::time::Duration,
        expires_at: Timestamp,
    ) -> Result<RefreshOutcome>;

    /// Ends a session. `false` when it had ended before.
    async fn end_session(&self, user_id: UserId, session_id: SessionId) -> Result<bool>;

    /// Ends all sessions of the user but this one. Returns how many.
    async fn end_other_sessions(&self, user_id: UserId, kept: SessionId) -> Result<u64>;

    /// The user's live sessions, newest first.
    async fn sessions(&self, user_id: UserId) -> Result<Vec<Session>>;

    /// Replaces the password's hash, if it is still the old one, and ends all sessions but this one.
    /// `false` when another change came first.
    async fn change_password(
        &self,
        user_id: UserId,
        change: PasswordChange,
        kept: SessionId,
    ) -> Result<bool>;

    /// Replaces the password's hash and ends all sessions.
    async fn reset_password(&self, user_id: UserId, password_hash: String) -> Result<()>;

    /// Lets the account sign in again.
    async fn enable(&self, user_id: UserId) -> Result<()>;

    /// Keeps the account from signing in and ends its sessions.
    async fn disable(&self, user_id: UserId) -> Result<()>;

    async fn set_admin(&self, user_id: UserId, is_admin: bool) -> Result<()>;

    /// All accounts, by address.
    async fn accounts(&self) -> Result<Vec<Account>>;
}

#[async_trait]
pub trait Statistics: Send + Sync + std::fmt::Debug {
    async fn queue(&self) -> Result<QueueStatistics>;

    /// Nothing at all for an unknown user.
    async fn usage(&self, user_id: UserId) -> Result<Usage>;
}

/// What people agreed to, and the deletion of what is theirs.
#[async_trait]
pub trait Privacy: Send + Sync + std::fmt::Debug {
    /// `None` when the user has [`MOST_CONSENTS`] on record.
    async fn add_consent(&self, consent: NewConsent) -> Result<Option<Consent>>;

    /// The user's, newest first, withdrawn ones too.
    async fn consents(&self, user_id: UserId) -> Result<Vec<Consent>>;

    /// Whether the user has given this consent and not withdrawn it.
    async fn has_consent(&self, user_id: UserId, consent_type: ConsentType) -> Result<bool>;

    /// Withdraws a consent, and with it every other of the same type that the user has given: after that
    /// there is none. The rows are kept. `None` for unknown and foreign ones.
    async fn withdraw_consent(
        &self,
        user_id: UserId,
        consent_id: ConsentId,
    ) -> Result<Option<Consent>>;

    /// Deletes the account with everything that hangs on it, ends its sessions, fences its workers
    /// off, and leaves sweeps for its objects: at once, and again when leases and upload URLs have run
    /// out. `None` when there is none.
    async fn delete_account(&self, user_id: UserId) -> Result<Option<DeletionReceipt>>;

    /// Adds to the receipt how many objects went.
    async fn note_destroyed_objects(&self, receipt_id: ReceiptId, objects: u64) -> Result<()>;

    /// Expires originals that were announced before this moment and that no unfinished job needs;
    /// photos to which no job refers are deleted altogether. Returns how many, up to `limit`.
    async fn expire_originals(&self, announced_before: Timestamp, limit: u32) -> Result<u32>;

    /// Deletes jobs with their results that ended before this moment, and photos that had expired and
    /// to which no job refers any more. Returns how many jobs, up to `limit`.
    async fn expire_jobs(&self, ended_before: Timestamp, limit: u32) -> Result<u32>;

    /// Deletes sessions, with their refresh tokens, that ended or ran out before this moment. Returns how
    /// many, up to `limit`.
    async fn prune_sessions(&self, ended_before: Timestamp, limit: u32) -> Result<u32>;

    /// Deletes refresh tokens that were spent before this moment: their reuse ends no session any more.
    /// Returns how many, up to `limit`.
    async fn prune_refresh_tokens(&self, spent_before: Timestamp, limit: u32) -> Result<u32>;
}

/// How the store itself stands.
#[async_trait]
pub trait StoreHealth: Send + Sync + std::fmt::Debug {
    /// Commits a tiny row: for readiness, and for workers that wait for the end of an outage.
    /// [`StoreError::Damaged`] once damage of the file was met, also by other calls.
    async fn check_writable(&self) -> Result<()>;

    /// How many bytes are free where the database is; `u64::MAX` when that is not known.
    async fn free_bytes(&self) -> Result<u64>;

    /// Brings stored times back that lie further ahead than any rule puts them, as after the clock was
    /// set back: what waits for them would wait for ever. Returns how many.
    async fn repair_times(&self) -> Result<u64>;
}
