//! What a job is: its ids, states, steps, failures, events and policy, and the ports that stores
//! and buses implement. No SQL, no HTTP, no pixels: those crates depend on this one.

mod account;
mod batch;
mod bus;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cursor;
mod estimate;
mod event;
mod failure;
mod id;
mod job;
mod moved_rows;
mod notifier;
mod options;
mod photo;
mod policy;
mod ports;
mod preview;
mod privacy;
mod queue_order;
mod statistics;
mod step;
mod submission;
mod sweep;
mod trace;
mod webhook;

pub use account::{
    Account, NewAccount, NewSession, NewSocketTicket, PasswordChange, RefreshOutcome, Session,
    SessionWithAccount, SpentTicket,
};
pub use batch::{Batch, BatchCounts};
pub use bus::{Bus, Delivery, Subscription, WorkWakeUp};
pub use clock::{Clock, ManualClock, SteadyClock, SystemClock, Timestamp};
pub use cursor::{Cursor, InvalidCursor, TimelineEpoch};
pub use estimate::{
    Estimate, EstimateInput, Estimator, Eta, JobPosition, QueuePlace, StepTimes, WaitingReason,
    WorkerCapacity,
};
pub use event::{Event, EventBody, EventKind};
pub use failure::{ErrorType, Failure, MissedLimit};
pub use id::{
    BatchId, ConsentId, DeliveryId, JobId, PhotoId, ReceiptId, SessionId, UserId, WebhookId,
    WorkerId,
};
pub use job::{
    Fence, Job, JobEvent, JobResult, JobState, Lease, LogEntry, NewJob, PictureFormat, Priority,
    Transition, TransitionError,
};
pub use moved_rows::{Cell, ColumnKind, MOVED_TABLES, MovedPart, MovedRow, MovedTable, RowOwner};
pub use notifier::{Notification, Notifier};
pub use options::{Background, Outline, PictureOptions, PictureSize, Preset};
pub use photo::{
    Confirmed, NewPhoto, Photo, PhotoFilter, PhotoFormat, Received, StoredPhoto, UploadStatus,
};
pub use policy::JobPolicy;
pub use ports::{
    AccountStore, BucketKey, BucketSize, Cause, EventPage, EventsAfter, GapReason, JobCommands,
    JobFilter, JobLeases, JobReader, JobSnapshot, MOST_CONSENTS, MOST_PENDING_DELIVERIES,
    MOST_SESSIONS, MOST_SPENT_TOKENS, Page, PageRequest, PhotoStore, Privacy, QueueReader,
    Redelivery, Renewal, Retention, Statistics, StatusFilter, Store, StoreError, StoreHealth,
    SweepQueue, TakenTokens, Timeline, TokenBuckets, UserSnapshot, WatchFilter, WebhookStore,
    WorkerRegistry, WriteOutcome,
};
pub use preview::{Preview, PreviewKind};
pub use privacy::{Consent, ConsentType, DeletionReceipt, Destroyed, Jurisdiction, NewConsent};
pub use queue_order::{OwnPlace, QueueOrder, QueuedUser, WaitingJob};
pub use statistics::{QueueStatistics, Usage};
pub use step::{Checkpoint, Step};
pub use submission::{Enqueued, QueueLimits, Submission, SubmissionKey};
pub use sweep::{Sweep, SweepTarget};
pub use trace::{
    AttemptSpan, InvalidTraceParent, JobPart, JobSpan, JobTracer, NoTraces, StepSpan, TraceParent,
    TracedEvent, Transport,
};
pub use webhook::{
    AttemptError, AttemptOutcome, ClaimedDelivery, DeadReason, DeliveryAttempt, DeliveryClaim,
    DeliveryMessage, DeliveryState, DeliveryStatus, DisabledReason, EventKinds, MAX_RETRY_WAIT,
    MOST_LOGGED_ATTEMPTS, NewWebhook, PreviousSecret, SealedSecret, Webhook, WebhookChange,
    WebhookDelivery, WebhookPolicy, WebhookState,
};
