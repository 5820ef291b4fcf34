//! The ports: what a database must be able to do, one trait for each kind of caller, one file each.
//!
//! A method is one verb of the domain and one transaction. After its commit the store calls its
//! [`Notifier`](crate::Notifier). One type of a store's crate implements all of them ([`Store`]); callers
//! take only those that they use. `conformance` holds the suites that every implementation passes.

mod account_store;
mod job_commands;
mod job_leases;
mod job_reader;
mod paging;
mod photo_store;
mod privacy;
mod queue_reader;
mod retention;
mod statistics;
mod store_error;
mod store_health;
mod sweep_queue;
mod timeline;
mod token_buckets;
mod webhook_store;
mod worker_registry;

pub use account_store::{AccountStore, MOST_SESSIONS, MOST_SPENT_TOKENS};
pub use job_commands::JobCommands;
pub use job_leases::{JobLeases, Renewal, WriteOutcome};
pub use job_reader::JobReader;
pub use paging::{JobFilter, Page, PageRequest, StatusFilter};
pub use photo_store::PhotoStore;
pub use privacy::{MOST_CONSENTS, Privacy};
pub use queue_reader::QueueReader;
pub use retention::Retention;
pub use statistics::Statistics;
pub use store_error::{Cause, StoreError};
pub use store_health::StoreHealth;
pub use sweep_queue::SweepQueue;
pub use timeline::{
    EventPage, EventsAfter, GapReason, JobSnapshot, Timeline, UserSnapshot, WatchFilter,
};
pub use token_buckets::{BucketKey, BucketSize, TakenTokens, TokenBuckets};
pub use webhook_store::{MOST_PENDING_DELIVERIES, Redelivery, WebhookStore};
pub use worker_registry::WorkerRegistry;

type Result<T> = std::result::Result<T, StoreError>;

/// All ports of one database. Where a process is put together, an `Arc<dyn Store>` becomes the
/// `Arc<dyn _>` of each port.
pub trait Store:
    AccountStore
    + JobCommands
    + JobLeases
    + JobReader
    + PhotoStore
    + Privacy
    + QueueReader
    + Retention
    + Statistics
    + StoreHealth
    + SweepQueue
    + Timeline
    + WebhookStore
    + WorkerRegistry
{
}

impl<S> Store for S where
    S: AccountStore
        + JobCommands
        + JobLeases
        + JobReader
        + PhotoStore
        + Privacy
        + QueueReader
        + Retention
        + Statistics
        + StoreHealth
        + SweepQueue
        + Timeline
        + WebhookStore
        + WorkerRegistry
{
}
