//! Estimates of queue position and remaining time of a job, for responses and frames. They are computed when they are
//! sent, from data of the store, and never stored as events. The rules are in `irisflow_jobs::Estimator`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use irisflow_jobs::{
    Estimate, EstimateInput, Estimator, Event, EventKind, Job, JobId, JobPosition, JobState, Photo,
    PhotoId, QueuePlace, QueueReader, StoreError, Timestamp, UserId, WaitingReason, WorkerCapacity,
};
use irisflow_messages::{Language, progress, text};
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::app::AppState;

/// Number of finished jobs that estimates use: enough to be stable, few enough to follow the load of the machine.
const SAMPLE_JOBS: u32 = 100;
/// Maximum age of the cached step times.
const SAMPLE_MAX_AGE: Duration = Duration::from_secs(2);

/// Estimates for an unfinished job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct EstimateBody {
    /// Queue position, starting at 1; null for a job that does not wait.
    queue_position: Option<u32>,
    /// Null for a job that does not wait; in an outage every unfinished job waits for the service.
    waiting_because: Option<WaitingBody>,
    /// Time until the result. Null without finished jobs to estimate from, without a worker, and for a job that has
    /// ended.
    eta_ms: Option<EtaBody>,
    /// The current step takes much longer than it took for other jobs.
    slower_than_usual: bool,
    /// As in "Trying again, attempt 2"; null in the first attempt, and for a job that has ended.
    retrying: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct WaitingBody {
    /// `next`, `workers_busy`, `queue_ahead`, `own_jobs_ahead`, `fairness_turn`, `retry_backoff`,
    /// `no_worker_alive` or `service` (the service waits for a disk or a store to recover).
    code: &'static str,
    /// A sentence for the user.
    message: String,
}

/// A range in milliseconds: most likely not sooner than `low` and not later than `high`.
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
                message: progress::waiting(reason).in_language(Language::PROGRAM),
            }),
            eta_ms: estimate.eta.map(|eta| EtaBody {
                low: millis(eta.low),
                high: millis(eta.high),
            }),
            slower_than_usual: estimate.slower_than_usual,
            retrying: (attempt_count > 0).then(|| {
                text!("retrying", attempt = attempt_count + 1).in_language(Language::PROGRAM)
            }),
        }
    }

    /// Whether both have the same queue position, reason for waiting and `slower_than_usual`. The ETA is ignored,
    /// since it changes all the time.
    pub(crate) fn is_equivalent_to(&self, other: &Self) -> bool {
        self.waiting_because == other.waiting_because
            && self.queue_position == other.queue_position
            && self.slower_than_usual == other.slower_than_usual
    }
}

/// Cache of the step times of finished jobs. Concurrent callers share one read of the store.
#[derive(Debug, Default)]
pub(crate) struct EstimatorCache(Mutex<Option<(Instant, Arc<Estimator>)>>);

impl EstimatorCache {
    async fn read(&self, queue: &dyn QueueReader) -> Result<Arc<Estimator>, StoreError> {
        let mut cached = self.0.lock().await;
        if let Some((read_at, estimator)) = cached.as_ref()
            && read_at.elapsed() < SAMPLE_MAX_AGE
        {
            return Ok(Arc::clone(estimator));
        }
        let estimator = Arc::new(Estimator::of(queue.step_times(SAMPLE_JOBS).await?));
        *cached = Some((Instant::now(), Arc::clone(&estimator)));
        Ok(estimator)
    }
}

/// The fields of a job, or of one of its events, that an estimate needs.
#[derive(Debug, Clone)]
pub(crate) struct EstimateSubject {
    user_id: UserId,
    job_id: JobId,
    waits: bool,
    progress: u8,
    since: Timestamp,
    attempt_count: u32,
}

impl EstimateSubject {
    /// `None` when the job has ended.
    pub(crate) fn of_job(job: &Job) -> Option<Self> {
        (!job.state.is_final()).then_some(Self {
            user_id: job.user_id,
            job_id: job.id,
            waits: !matches!(job.state, JobState::Processing(_)),
            progress: job.progress,
            since: job.updated_at,
            attempt_count: job.attempt_count,
        })
    }

    /// `None` for the final event.
    pub(crate) fn of_event(event: &Event) -> Option<Self> {
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

impl AppState {
    pub(crate) async fn estimate_of_job(&self, job: &Job, photo: Option<&Photo>) -> EstimateBody {
        self.estimate_body(EstimateSubject::of_job(job), photo.and_then(pixels_of))
            .await
    }

    /// Estimates of jobs of one user, in the same order, from one read of the queue.
    pub(crate) async fn estimates_of_jobs(
        &self,
        user_id: UserId,
        jobs: &[Job],
        photos: &HashMap<PhotoId, Photo>,
    ) -> Vec<EstimateBody> {
        let mut queue = None;
        if jobs.iter().any(|job| job.state.is_claimable()) {
            let read = self
                .queue_cache
                .of_user(&*self.parts.queue_reader, user_id)
                .await;
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

    /// Estimates of unfinished jobs of one user for periodic checks, in the same order, from one read of the queue that
    /// may be a second old.
    pub(crate) async fn recent_estimates(
        &self,
        user_id: UserId,
        subjects: &[(EstimateSubject, Option<u64>)],
    ) -> Vec<EstimateBody> {
        let mut queue = None;
        if subjects.iter().any(|(subject, _)| subject.waits) {
            let reader = &*self.parts.queue_reader;
            let read = self.queue_cache.recent_of_user(reader, user_id).await;
            queue = read.inspect_err(could_not_estimate).ok();
        }
        let mut estimates = Vec::with_capacity(subjects.len());
        for (subject, pixels) in subjects {
            let place = queue.as_ref().filter(|_| subject.waits);
            let place = place.and_then(|queue| queue.place(subject.job_id, self.now()));
            let estimate = self.estimate(subject, *pixels, place).await;
            estimates.push(self.body_of(estimate, subject));
        }
        estimates
    }

    pub(crate) async fn estimate_of_event(
        &self,
        event: &Event,
        pixels: Option<u64>,
    ) -> EstimateBody {
        self.estimate_body(EstimateSubject::of_event(event), pixels)
            .await
    }

    async fn estimate_body(
        &self,
        subject: Option<EstimateSubject>,
        pixels: Option<u64>,
    ) -> EstimateBody {
        let Some(subject) = subject else {
            return EstimateBody::default();
        };
        let estimate = match self.place_of(&subject).await {
            Ok(place) => self.estimate(&subject, pixels, place).await,
            Err(error) => Err(error),
        };
        self.body_of(estimate, &subject)
    }

    /// `None` when the job does not wait, or was claimed in the meantime.
    async fn place_of(
        &self,
        subject: &EstimateSubject,
    ) -> Result<Option<(QueuePlace, WorkerCapacity)>, StoreError> {
        if !subject.waits {
            return Ok(None);
        }
        let (reader, now) = (&*self.parts.queue_reader, self.now());
        let (user_id, job_id) = (subject.user_id, subject.job_id);
        self.queue_cache.place(reader, user_id, job_id, now).await
    }

    /// Empty when the store failed, since a missing estimate must not fail the request. During an outage every
    /// unfinished job waits for the service.
    fn body_of(
        &self,
        estimate: Result<Estimate, StoreError>,
        subject: &EstimateSubject,
    ) -> EstimateBody {
        let mut estimate = estimate.inspect_err(could_not_estimate).unwrap_or_default();
        if self.parts.bus.has_outage() {
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
        let (position, worker_capacity) = match place {
            Some((place, worker_capacity)) => (JobPosition::Waiting(place), worker_capacity),
            None => {
                let (progress, since) = (subject.progress, subject.since);
                (
                    JobPosition::Running { progress, since },
                    WorkerCapacity::default(),
                )
            }
        };
        let input = EstimateInput {
            position,
            attempt_count: subject.attempt_count,
            pixels: pixels.unwrap_or(0),
            worker_capacity,
            now: self.now(),
        };
        let estimator = match pixels {
            Some(_) => self.estimator_cache.read(&*self.parts.queue_reader).await?,
            None => Arc::default(),
        };
        Ok(estimator.estimate(&input))
    }
}

fn could_not_estimate(error: &StoreError) {
    tracing::warn!(%error, "could not estimate the position and remaining time of a job");
}

/// Number of pixels of a photo; `None` before its upload is confirmed.
pub(crate) fn pixels_of(photo: &Photo) -> Option<u64> {
    let stored = photo.stored.as_ref()?;
    Some(u64::from(stored.width_px) * u64::from(stored.height_px))
}
