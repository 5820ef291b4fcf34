//! What a job is: its ids, states, steps, rejections, events and policy, and the ports that stores
//! implement. No SQL, no HTTP, no pixels: those crates depend on this one.

mod account;
mod announce;
mod batch;
mod census;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod event;
mod failure;
mod id;
mod job;
mod outlook;
mod photo;
mod policy;
mod ports;
mod privacy;
mod queue_order;
mod step;
mod submission;
mod sweep;

pub use account::{
    Account, NewAccount, NewSession, PasswordChange, RefreshOutcome, Session, SessionWithAccount,
};
pub use announce::{Announcer, Hint};
pub use batch::{Batch, BatchCounts};
pub use census::{QueueStanding, Usage};
pub use clock::{Clock, ManualClock, SteadyClock, SystemClock, Timestamp};
pub use event::{Event, EventBody, EventKind};
pub use failure::{ErrorType, Failure, Measured};
pub use id::{BatchId, ConsentId, JobId, PhotoId, ReceiptId, SessionId, UserId, WorkerId};
pub use job::{
    Fence, Job, JobEvent, JobResult, JobState, Lease, LogEntry, NewJob, Priority, Refusal,
    Transition,
};
pub use outlook::{
    Eta, Fleet, History, Outlook, Question, QueuePlace, Stage, StepTimes, WaitingReason,
    trying_again,
};
pub use photo::{
    Confirmed, NewPhoto, Photo, PhotoFilter, PhotoFormat, Received, StoredPhoto, UploadStatus,
};
pub use policy::JobPolicy;
pub use ports::{
    AccountStore, Census, JobFilter, JobSnapshot, JobStore, MOST_CONSENTS, MOST_SESSIONS,
    MOST_SPENT_TOKENS, Page, PageRequest, PhotoStore, Privacy, Renewal, StatusFilter, StoreError,
    StoreHealth, Timeline, Written,
};
pub use privacy::{Consent, ConsentType, DeletionReceipt, Destroyed, Jurisdiction, NewConsent};
pub use queue_order::{OwnPlace, QueueOrder, QueuedUser, WaitingJob};
pub use step::{Checkpoint, Step, shown_step};
pub use submission::{Enqueued, QueueLimits, Submission, SubmissionKey};
pub use sweep::{Sweep, SweepTarget};
