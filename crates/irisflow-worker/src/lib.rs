//! Claims jobs, runs the imaging pipeline on threads of its own, heartbeats, finishes.
//!
//! Each slot is one thread that works on one job at a time, so that the API's threads never wait for
//! pixels. A heartbeat thread renews the leases; periodic maintenance reclaims jobs with expired leases and
//! deletes unrecorded objects. The store refuses writes of a worker whose lease was lost.

mod attempt;
mod cancellation;
mod checkpoint_recorder;
mod fault_injection;
mod heartbeat;
mod maintenance;
mod metrics;
mod outage;
mod pipeline;
mod running_jobs;
mod slot;
mod supervision;
mod thread_priority;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use irisflow_image::threads::Threads;
use irisflow_jobs::{
    Bus, Clock, JobLeases, JobPolicy, JobTracer, PhotoStore, Retention, StoreHealth, SweepQueue,
    WorkerId, WorkerRegistry,
};
use irisflow_photos::{MemoryBudget, ObjectStore};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use attempt::{Attempt, Setback};
#[cfg(feature = "faults")]
pub use fault_injection::HeldPoint;
pub use fault_injection::{FaultPlan, FaultPlanError};
pub use pipeline::{ImagingPipeline, Pipeline};
use running_jobs::{RunningJobs, StopReason};
use supervision::Supervisor;
pub use thread_priority::lower_thread_priority;

/// What a worker works with.
#[derive(Debug, Clone)]
pub struct WorkerParts {
    pub job_leases: Arc<dyn JobLeases>,
    pub sweep_queue: Arc<dyn SweepQueue>,
    pub worker_registry: Arc<dyn WorkerRegistry>,
    pub photos: Arc<dyn PhotoStore>,
    pub retention: Arc<dyn Retention>,
    pub health: Arc<dyn StoreHealth>,
    pub files: Arc<dyn ObjectStore>,
    /// For photos that are read and decoded, in all of the process.
    pub memory: MemoryBudget,
    pub bus: Arc<dyn Bus>,
    pub clock: Arc<dyn Clock>,
    pub faults: Arc<FaultPlan>,
    pub pipeline: Arc<dyn Pipeline>,
    pub tracer: Arc<dyn JobTracer>,
}

#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// How many photos are worked on at once; each takes one core, and those of idle slots while there are any.
    pub slots: usize,
    /// The lease that the store gives; renewed three times within it.
    pub lease: Duration,
    /// An attempt that takes longer is ended as a timeout.
    pub max_runtime: Duration,
    /// How long an idle slot sleeps when no notification arrives.
    pub poll_interval: Duration,
    /// How long running jobs may go on after a stop is asked for; then they are handed back.
    pub drain_grace: Duration,
    /// Interval at which the counters that claims read are checked against the jobs.
    pub counter_check: Duration,
    /// Originals are deleted this long after they were announced; `None` keeps them.
    pub keep_originals: Option<Duration>,
    /// Jobs are deleted with their results this long after their end; `None` keeps them.
    pub keep_results: Option<Duration>,
    /// Sessions are deleted this long after they ended or ran out.
    pub keep_ended_sessions: Duration,
    /// Events are deleted this long after they were committed; clients that return later start from a snapshot.
    pub keep_events: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            slots: cores.saturating_sub(1).max(1),
            lease: JobPolicy::default().lease,
            max_runtime: Duration::from_secs(120),
            poll_interval: Duration::from_secs(2),
            drain_grace: Duration::from_secs(10),
            counter_check: Duration::from_secs(60),
            keep_originals: None,
            keep_results: None,
            keep_ended_sessions: Duration::from_secs(24 * 60 * 60),
            keep_events: Duration::from_secs(30 * 24 * 60 * 60),
        }
    }
}

/// What all threads of one worker share.
#[derive(Debug)]
struct Shared {
    /// Of this process: its slots claim with it.
    worker_id: WorkerId,
    parts: WorkerParts,
    settings: WorkerSettings,
    running: RunningJobs,
    supervisor: Supervisor,
    /// Cancelled: claim nothing more.
    draining: CancellationToken,
    /// Cancelled: shutdown is complete; the runtime may be dropped.
    over: CancellationToken,
    runtime: Handle,
    probe: outage::Probe,
    /// Slots whose thread was given up, and for which the system had no other.
    missing_slots: AtomicUsize,
}

impl Shared {
    /// Runs a future on a thread of the worker's own. `None` when the worker is over: the runtime may
    /// be gone, and with it all timers.
    fn block_on<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.over.cancelled() => None,
                done = future => Some(done),
            }
        })
    }

    /// A job's share of the cores, of those that run now.
    fn threads_per_job(&self) -> Threads {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Threads::new(cores / self.running.all().len().max(1))
    }
}

/// How long a drained worker waits for its threads, after the grace.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// How long it waits for claims that the database is slow to answer.
const CLAIM_WAIT: Duration = Duration::from_secs(10);

/// A worker at work. Dropping it does not stop it; see [`Worker::drain`].
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    /// Taken when it is waited for.
    heartbeat: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// Starts the slots, the heartbeat and the maintenance. Call within a tokio runtime, which serves the
    /// store's calls.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(parts: WorkerParts, settings: WorkerSettings) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            worker_id: WorkerId::generate(),
            parts,
            settings,
            running: RunningJobs::default(),
            supervisor: Supervisor::default(),
            draining: CancellationToken::new(),
            over: CancellationToken::new(),
            runtime: Handle::current(),
            probe: outage::Probe::default(),
            missing_slots: AtomicUsize::new(0),
        });
        for _ in 0..shared.settings.slots {
            slot::spawn(Arc::clone(&shared))?;
        }
        let heartbeat = heartbeat::spawn(Arc::clone(&shared))?;
        cancellation::spawn(&shared);
        maintenance::spawn(&shared);
        Ok(Self {
            shared,
            heartbeat: Mutex::new(Some(heartbeat)),
        })
    }

    /// Returns the name of the first essential thread or task that panicked.
    pub async fn failed(&self) -> &'static str {
        self.shared.supervisor.failed().await
    }

    /// Claims nothing more, lets running jobs finish within the grace, and hands the others back at
    /// once, unharmed.
    pub async fn drain(&self) {
        self.shared.draining.cancel();
        self.shared
            .running
            .until_idle(self.shared.settings.drain_grace)
            .await;
        // Concurrently, since each waits for its timeout when the database is unavailable.
        let mut handed_back = JoinSet::new();
        for job in self.shared.running.all() {
            if job.stop(StopReason::HandedBack) {
                let shared = Arc::clone(&self.shared);
                handed_back.spawn(async move { slot::hand_back(&shared, job.fence).await });
            }
        }
        handed_back.join_all().await;
        // Threads delete what they wrote when they come to their next checkpoint.
        self.shared.running.until_idle(LAST_WAIT).await;
        self.shared.running.until_no_claims(CLAIM_WAIT).await;
        self.end_heartbeat().await;
    }

    /// The thread must not ask the store any more when the runtime ends.
    async fn end_heartbeat(&self) {
        self.shared.over.cancel();
        let heartbeat = self
            .heartbeat
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(heartbeat) = heartbeat {
            heartbeat.thread().unpark();
            // The join result is not needed: a panic was already logged by the thread.
            let _ = tokio::task::spawn_blocking(|| heartbeat.join()).await;
        }
    }
}
