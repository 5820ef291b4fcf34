//! Estimates for answers and frames: worked out when they are told, from what the store knows, and
//! never logged. The rules are in `irisflow_jobs::Estimator`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use irisflow_jobs::{
    Estimate, EstimateInput, Estimator, Event, EventKind, Job, JobId, JobPosition, JobState,
    JobStore, Photo, PhotoId, QueuePlace, StoreError, Timestamp, UserId, WaitingReason,
    WorkerCapacity, trying_again,
};
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::app::AppState;

/// How many finished jobs are looked at: enough to be steady, few enough to follow the machine's load.
const HISTORY: u32 = 100;
/// How long what was read of them is good for.
const HISTORY_LIFE: Duration = Duration::from_secs(2);

/// What can be said to someone who waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct EstimateBody {
    /// Place in the queue, counted from 1; null for a job that does not wait.
    queue_position: Option<u32>,
    /// Null for a job that does not wait; in an outage every unfinished job waits for the service.
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
    /// `next`, `workers_busy`, `queue_ahead`, `own_jobs_ahead`, `fairness_turn`, `retry_backoff`,
    /// `no_worker_alive` or `service` (the service waits for a disk or a store to recover).
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

impl EstimateBody {
    fn new(estimate: Estimate, attempt_count: u32) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            queue_position: estimate.queue_position,
            waiting_because: estimate.waiting_because.map(|reason| WaitingBody {
                code: reason.code(),
                message: reason.message(),
            }),
            eta_ms: estimate.eta.map(|eta| EtaBody {
                low: millis(eta.low),
                high: millis(eta.high),
            }),
            slower_than_usual: estimate.slower_than_usual,
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

/// What finished jobs took, read anew every now and then, once for all who ask.
#[derive(Debug, Default)]
pub(crate) struct EstimatorCache(Mutex<Option<(Instant, Arc<Estimator>)>>);

impl EstimatorCache {
    async fn read(&self, jobs: &dyn JobStore) -> Result<Arc<Estimator>, StoreError> {
        let mut kept = self.0.lock().await;
        if let Some((read_at, history)) = kept.as_ref()
            && read_at.elapsed() < HISTORY_LIFE
        {
            return Ok(Arc::clone(history));
        }
        let history = Arc::new(Estimator::of(jobs.step_times(HISTORY).await?));
        *kept = Some((Instant::now(), Arc::clone(&history)));
        Ok(history)
    }
}

/// A job, or what an event said of it.
struct EstimateSubject {
    user_id: UserId,
    job_id: JobId,
    waits: bool,
    progress: u8,
    since: Timestamp,
    attempt_count: u32,
}

impl EstimateSubject {
    /// `None` when the job has ended.
    fn of_job(job: &Job) -> Option<Self> {
        (!job.state.is_final()).then_some(Self {
            user_id: job.user_id,
            job_id: job.id,
            waits: !matches!(job.state, JobState::Processing(_)),
            progress: job.progress,
            since: job.updated_at,
            attempt_count: job.attempt_count,
        })
    }

    /// `None` for the last event.
    fn of_event(event: &Event) -> Option<Self> {
        (!event.kind.is_final()).then_some(Self {
            user_id: event.user_id,
            job_id: event.job_id,
            waits: matches!(event.kind, EventKind::Queued | EventKind::Retrying),
            progress: event.body.progress,
            since: event.at,
            attempt_count: event.body.attempt_count,
        })
    }
}

/// How exactly the queue is to be known.
enum QueueFreshness {
    /// As it is at this moment.
    Now,
    /// As it was within the last second: shared by all who look whether something has changed.
    Recent,
}

impl AppState {
    pub(crate) async fn estimate_of_job(&self, job: &Job, photo: Option<&Photo>) -> EstimateBody {
        self.estimate_body(
            EstimateSubject::of_job(job),
            photo.and_then(pixels_of),
            QueueFreshness::Now,
        )
        .await
    }

    /// Of jobs of one user, in their order, from one reading of the queue.
    pub(crate) async fn estimates_of_jobs(
        &self,
        user_id: UserId,
        jobs: &[Job],
        photos: &HashMap<PhotoId, Photo>,
    ) -> Vec<EstimateBody> {
        let mut queue = None;
        if jobs.iter().any(|job| job.state.is_claimable()) {
            let read = self.queue_view.of_user(&*self.parts.jobs, user_id).await;
            queue = read.inspect_err(could_not_estimate).ok();
        }
        let mut estimates = Vec::with_capacity(jobs.len());
        for job in jobs {
            let Some(subject) = EstimateSubject::of_job(job) else {
                estimates.push(EstimateBody::default());
                continue;
            };
            let place = queue
                .as_ref()
                .and_then(|queue| queue.place(job.id, self.now()));
            let pixels = photos.get(&job.photo_id).and_then(pixels_of);
            let estimate = self.estimate(&subject, pixels, place).await;
            estimates.push(self.body_of(estimate, &subject));
        }
        estimates
    }

    pub(crate) async fn estimate_of_event(
        &self,
        event: &Event,
        pixels: Option<u64>,
    ) -> EstimateBody {
        self.estimate_body(
            EstimateSubject::of_event(event),
            pixels,
            QueueFreshness::Now,
        )
        .await
    }

    /// For those who look again and again.
    pub(crate) async fn recent_estimate_of_event(
        &self,
        event: &Event,
        pixels: Option<u64>,
    ) -> EstimateBody {
        self.estimate_body(
            EstimateSubject::of_event(event),
            pixels,
            QueueFreshness::Recent,
        )
        .await
    }

    async fn estimate_body(
        &self,
        subject: Option<EstimateSubject>,
        pixels: Option<u64>,
        freshness: QueueFreshness,
    ) -> EstimateBody {
        let Some(subject) = subject else {
            return EstimateBody::default();
        };
        let estimate = match self.place_of(&subject, freshness).await {
            Ok(place) => self.estimate(&subject, pixels, place).await,
            Err(error) => Err(error),
        };
        self.body_of(estimate, &subject)
    }

    /// `None` when the job does not wait, or was claimed a moment ago.
    async fn place_of(
        &self,
        subject: &EstimateSubject,
        freshness: QueueFreshness,
    ) -> Result<Option<(QueuePlace, WorkerCapacity)>, StoreError> {
        if !subject.waits {
            return Ok(None);
        }
        let (jobs, now) = (&*self.parts.jobs, self.now());
        let (user_id, job_id) = (subject.user_id, subject.job_id);
        if let QueueFreshness::Recent = freshness {
            let queue = self.queue_view.recent_of_user(jobs, user_id).await?;
            let place = queue.place(job_id, now);
            if place.is_some() {
                return Ok(place);
            }
        }
        self.queue_view.place(jobs, user_id, job_id, now).await
    }

    /// Says less when the store did not answer: an estimate is no reason to fail. In an outage every
    /// job waits for its end.
    fn body_of(
        &self,
        estimate: Result<Estimate, StoreError>,
        subject: &EstimateSubject,
    ) -> EstimateBody {
        let mut estimate = estimate.inspect_err(could_not_estimate).unwrap_or_default();
        if self.parts.bus.outage().is_on() {
            estimate.waiting_because = Some(WaitingReason::Service);
            estimate.eta = None;
        }
        EstimateBody::new(estimate, subject.attempt_count)
    }

    async fn estimate(
        &self,
        subject: &EstimateSubject,
        pixels: Option<u64>,
        place: Option<(QueuePlace, WorkerCapacity)>,
    ) -> Result<Estimate, StoreError> {
        let (stage, worker_capacity) = match place {
            Some((place, worker_capacity)) => (JobPosition::Waiting(place), worker_capacity),
            None => {
                let (progress, since) = (subject.progress, subject.since);
                (
                    JobPosition::Running { progress, since },
                    WorkerCapacity::default(),
                )
            }
        };
        let question = EstimateInput {
            stage,
            attempt_count: subject.attempt_count,
            pixels: pixels.unwrap_or(0),
            worker_capacity,
            now: self.now(),
        };
        let history = match pixels {
            Some(_) => self.history.read(&*self.parts.jobs).await?,
            None => Arc::default(),
        };
        Ok(history.estimate(&question))
    }
}

fn could_not_estimate(error: &StoreError) {
    tracing::warn!(%error, "could not estimate how long a job will take");
}

pub(crate) fn pixels_of(photo: &Photo) -> Option<u64> {
    let stored = photo.stored.as_ref()?;
    Some(u64::from(stored.width_px) * u64::from(stored.height_px))
}
