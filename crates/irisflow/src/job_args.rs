//! Arguments about jobs, which `serve` and `work` have in common. All processes on one database need the same durations:
//! what one of them deletes depends on how long another may still write.
//!
//! Defaults are those of `WorkerSettings` and `JobPolicy`.

use std::time::Duration;

use clap::Args;
use irisflow_image::load::Limits;
use irisflow_jobs::JobPolicy;
use irisflow_photos::MemoryBudget;
use irisflow_server::{ServerSettings, Timeouts};
use irisflow_worker::WorkerSettings;

use crate::sign_in_args::in_ms;

#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerArgs {
    /// Photos processed at once. Default: one less than the number of cores, at least 1.
    #[arg(long, env = "IRISFLOW_WORKERS")]
    workers: Option<usize>,
}

/// Durations and limits. The defaults suit production; tests shorten them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct JobArgs {
    /// Largest photo, bytes.
    #[arg(long, env = "IRISFLOW_MAX_PHOTO_BYTES", default_value_t = Limits::default().max_bytes)]
    max_photo_bytes: usize,
    /// Largest photo, pixels.
    #[arg(long, env = "IRISFLOW_MAX_PHOTO_PIXELS", default_value_t = Limits::default().max_pixels)]
    max_photo_pixels: u64,
    /// How long a worker owns a job without renewing.
    #[arg(long, env = "IRISFLOW_LEASE_MS", default_value_t = in_ms(JobPolicy::default().lease))]
    lease_ms: u64,
    /// How long one attempt may take.
    #[arg(long, env = "IRISFLOW_MAX_RUNTIME_MS", default_value_t = in_ms(WorkerSettings::default().max_runtime))]
    max_runtime_ms: u64,
    /// Maximum number of retries after failed attempts.
    #[arg(long, env = "IRISFLOW_MAX_RETRIES", default_value_t = JobPolicy::default().max_retries)]
    max_retries: u32,
    /// The first retry waits up to this long, each further one up to twice as long.
    #[arg(long, env = "IRISFLOW_BACKOFF_MS", default_value_t = in_ms(JobPolicy::default().backoff_base))]
    backoff_ms: u64,
    /// How long running jobs may go on after a stop is asked for.
    #[arg(long, env = "IRISFLOW_DRAIN_GRACE_MS", default_value_t = in_ms(WorkerSettings::default().drain_grace))]
    drain_grace_ms: u64,
    /// Interval at which the counters of waiting and running jobs are checked against the jobs, and repaired.
    #[arg(long, env = "IRISFLOW_COUNTER_CHECK_MS", default_value_t = in_ms(WorkerSettings::default().counter_check))]
    counter_check_ms: u64,
    /// How long a submission that is sent again with its Idempotency-Key is answered as the first was.
    #[arg(
        long,
        env = "IRISFLOW_IDEMPOTENCY_KEY_MS",
        default_value_t = in_ms(JobPolicy::default().idempotency_key_life)
    )]
    idempotency_key_ms: u64,
    /// How long an upload URL works.
    #[arg(long, env = "IRISFLOW_UPLOAD_URL_MS", default_value_t = in_ms(JobPolicy::default().upload_url_life))]
    pub(crate) upload_url_ms: u64,
    /// Delete originals this long after they were announced. Kept when left out.
    #[arg(long, env = "IRISFLOW_KEEP_ORIGINALS_MS")]
    keep_originals_ms: Option<u64>,
    /// Delete jobs with their results this long after their end. Kept when left out.
    #[arg(long, env = "IRISFLOW_KEEP_RESULTS_MS")]
    keep_results_ms: Option<u64>,
    /// Delete sessions this long after they ended or ran out.
    #[arg(
        long,
        env = "IRISFLOW_KEEP_ENDED_SESSIONS_MS",
        default_value_t = in_ms(WorkerSettings::default().keep_ended_sessions)
    )]
    keep_ended_sessions_ms: u64,
    /// Delete events this long after they were committed. A client that returns later starts from a snapshot.
    #[arg(long, env = "IRISFLOW_KEEP_EVENTS_MS", default_value_t = in_ms(WorkerSettings::default().keep_events))]
    keep_events_ms: u64,
    /// With less free space than this where the database or the photos are, /health/ready answers 503,
    /// bytes.
    #[arg(long, env = "IRISFLOW_MIN_FREE_BYTES", default_value_t = ServerSettings::default().min_free_bytes)]
    pub(crate) min_free_bytes: u64,
    /// Memory for photos that are read and decoded, bytes, of requests and workers together; one account's
    /// requests may take half. When left out, 336 MiB and 64 MiB more for each worker after the first.
    #[arg(long, env = "IRISFLOW_READ_MEMORY_BYTES")]
    read_memory_bytes: Option<u64>,
    /// How long the upload of a photo may take.
    #[arg(long, env = "IRISFLOW_UPLOAD_LIMIT_MS", default_value_t = in_ms(Timeouts::default().upload))]
    pub(crate) upload_limit_ms: u64,
    /// How long any other request may take.
    #[arg(long, env = "IRISFLOW_REQUEST_LIMIT_MS", default_value_t = in_ms(Timeouts::default().request))]
    pub(crate) request_limit_ms: u64,
    /// Failures to plan, as in segmenting:transient:1; needs a build with the feature `faults`.
    #[arg(long, env = "IRISFLOW_FAULTS", default_value = "", hide = true)]
    pub(crate) faults: String,
    /// How often idle workers and watchers look for what other processes did. When left out, 500 with --database-url;
    /// without it 2000 and 3000, since one process notifies itself.
    #[arg(long, env = "IRISFLOW_POLL_MS", value_parser = clap::value_parser!(u64).range(1..))]
    poll_ms: Option<u64>,
}

impl JobArgs {
    pub(crate) fn policy(&self) -> JobPolicy {
        JobPolicy {
            lease: Duration::from_millis(self.lease_ms),
            max_retries: self.max_retries,
            backoff_base: Duration::from_millis(self.backoff_ms),
            upload_url_life: Duration::from_millis(self.upload_url_ms),
            upload_limit: Duration::from_millis(self.upload_limit_ms),
            intake_limit: Duration::from_millis(self.request_limit_ms),
            idempotency_key_life: Duration::from_millis(self.idempotency_key_ms),
            ..JobPolicy::default()
        }
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    pub(crate) fn worker_settings(&self, worker: &WorkerArgs) -> WorkerSettings {
        let defaults = WorkerSettings::default();
        WorkerSettings {
            slots: worker.workers.unwrap_or(defaults.slots).max(1),
            lease: Duration::from_millis(self.lease_ms),
            max_runtime: Duration::from_millis(self.max_runtime_ms),
            drain_grace: Duration::from_millis(self.drain_grace_ms),
            counter_check: Duration::from_millis(self.counter_check_ms),
            keep_originals: self.keep_originals_ms.map(Duration::from_millis),
            keep_results: self.keep_results_ms.map(Duration::from_millis),
            keep_ended_sessions: Duration::from_millis(self.keep_ended_sessions_ms),
            keep_events: Duration::from_millis(self.keep_events_ms),
            ..defaults
        }
    }

    /// `default` unless it is set.
    pub(crate) fn poll_interval(&self, default: Option<Duration>) -> Option<Duration> {
        self.poll_ms.map(Duration::from_millis).or(default)
    }

    pub(crate) fn photo_limits(&self) -> Limits {
        Limits {
            max_bytes: self.max_photo_bytes,
            max_pixels: self.max_photo_pixels,
            ..ServerSettings::default().photo_limits
        }
    }

    /// By default enough to decode the largest photo, and a common one in each further worker.
    pub(crate) fn read_memory(&self, workers: usize) -> MemoryBudget {
        const FIRST_BYTES: u64 = 336 << 20;
        const WORKER_BYTES: u64 = 64 << 20;
        let further = workers.saturating_sub(1) as u64;
        let default = FIRST_BYTES + further * WORKER_BYTES;
        MemoryBudget::new(self.read_memory_bytes.unwrap_or(default))
    }
}
