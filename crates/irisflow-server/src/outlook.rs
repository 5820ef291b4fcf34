//! Estimates for answers and frames: worked out when they are told, from what the store knows, and
//! never logged. The rules are in `irisflow_jobs::History`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use irisflow_jobs::{
    Event, EventKind, Fleet, History, Job, JobId, JobState, Outlook, Photo, Question, Stage,
    StoreError, Timestamp, UserId, trying_again,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AppState;

/// How many finished jobs are looked at: enough to be steady, few enough to follow the machine's load.
const HISTORY: u32 = 100;
/// How long what was read of them is good for.
const HISTORY_LIFE: Duration = Duration::from_secs(2);

/// What can be said to someone who waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct OutlookBody {
    /// Place in the queue, counted from 1; null for a job that does not wait.
    queue_position: Option<u32>,
    /// Null for a job that does not wait.
    waiting_because: Option<WaitingBody>,
    /// Until the result. Null without finished jobs to judge by, without a worker, and at the end.
    eta_ms: Option<EtaBody>,
    /// The present step takes far longer than it did for others.
    slower_than_usual: bool,
    /// As in "Trying again, attempt 2"; null in the first attempt, and at the end.
    retrying: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct WaitingBody {
    /// `next`, `workers_busy`, `queue_ahead`, `own_jobs_ahead`, `fairness_turn`, `retry_backoff` or
    /// `no_worker_alive`.
    code: &'static str,
    /// A sentence for people.
    message: String,
}

/// Milliseconds: most likely not sooner than `low` and not later than `high`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct EtaBody {
    low: u64,
    high: u64,
}

impl OutlookBody {
    fn new(outlook: Outlook, attempt_count: u32) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            queue_position: outlook.queue_position,
            waiting_because: outlook.waiting_because.map(|reason| WaitingBody {
                code: reason.code(),
                message: reason.message(),
            }),
            eta_ms: outlook.eta.map(|eta| EtaBody {
                low: millis(eta.low),
                high: millis(eta.high),
            }),
            slower_than_usual: outlook.slower_than_usual,
            retrying: (attempt_count > 0).then(|| trying_again(attempt_count)),
        }
    }

    /// The same but for the time that has passed.
    pub(crate) fn says_the_same_as(&self, other: &Self) -> bool {
        self.waiting_because == other.waiting_because
            && self.queue_position == other.queue_position
            && self.slower_than_usual == other.slower_than_usual
    }
}

/// What finished jobs took, read anew every now and then.
#[derive(Debug, Default)]
pub(crate) struct RecentHistory(Mutex<Option<(Instant, Arc<History>)>>);

impl RecentHistory {
    fn fresh(&self) -> Option<Arc<History>> {
        let read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, history) = read.as_ref()?;
        (at.elapsed() < HISTORY_LIFE).then(|| Arc::clone(history))
    }

    fn keep(&self, history: History) -> Arc<History> {
        let history = Arc::new(history);
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *read = Some((Instant::now(), Arc::clone(&history)));
        history
    }
}

/// A job, or what an event said of it.
struct Standing {
    user_id: UserId,
    job_id: JobId,
    waits: bool,
    progress: u8,
    since: Timestamp,
    attempt_count: u32,
}

impl AppState {
    pub(crate) async fn outlook_of_job(&self, job: &Job, photo: Option<&Photo>) -> OutlookBody {
        if job.state.is_final() {
            return OutlookBody::default();
        }
        let standing = Standing {
            user_id: job.user_id,
            job_id: job.id,
            waits: !matches!(job.state, JobState::Processing(_)),
            progress: job.progress,
            since: job.updated_at,
            attempt_count: job.attempt_count,
        };
        self.outlook(standing, photo.and_then(pixels_of)).await
    }

    pub(crate) async fn outlook_of_event(&self, event: &Event, pixels: Option<u64>) -> OutlookBody {
        if event.kind.is_final() {
            return OutlookBody::default();
        }
        let standing = Standing {
            user_id: event.user_id,
            job_id: event.job_id,
            waits: matches!(event.kind, EventKind::Queued | EventKind::Retrying),
            progress: event.body.progress,
            since: event.at,
            attempt_count: event.body.attempt_count,
        };
        self.outlook(standing, pixels).await
    }

    /// Says less when the store does not answer: an estimate is no reason to fail.
    async fn outlook(&self, standing: Standing, pixels: Option<u64>) -> OutlookBody {
        let attempt_count = standing.attempt_count;
        let outlook = self.look_ahead(&standing, pixels).await;
        let outlook = outlook.unwrap_or_else(|error| {
            tracing::warn!(job_id = %standing.job_id, %error, "could not estimate");
            Outlook::default()
        });
        OutlookBody::new(outlook, attempt_count)
    }

    async fn look_ahead(
        &self,
        standing: &Standing,
        pixels: Option<u64>,
    ) -> Result<Outlook, StoreError> {
        let jobs = &self.parts.jobs;
        let (place, fleet) = if standing.waits {
            let place = jobs.queue_place(standing.user_id, standing.job_id).await?;
            (place, jobs.fleet().await?)
        } else {
            (None, Fleet::default())
        };
        // A job that was claimed a moment ago has no place any more.
        let running = Stage::Running {
            progress: standing.progress,
            since: standing.since,
        };
        let question = Question {
            stage: place.map_or(running, Stage::Waiting),
            attempt_count: standing.attempt_count,
            pixels: pixels.unwrap_or(0),
            fleet,
            now: self.now(),
        };
        let history = match pixels {
            Some(_) => self.recent_history().await?,
            None => Arc::default(),
        };
        Ok(history.outlook(&question))
    }

    async fn recent_history(&self) -> Result<Arc<History>, StoreError> {
        if let Some(history) = self.history.fresh() {
            return Ok(history);
        }
        let times = self.parts.jobs.step_times(HISTORY).await?;
        Ok(self.history.keep(History::of(times)))
    }
}

pub(crate) fn pixels_of(photo: &Photo) -> Option<u64> {
    let stored = photo.stored.as_ref()?;
    Some(u64::from(stored.width_px) * u64::from(stored.height_px))
}
