//! A job's life: one enum of states, one function that changes them. Stores choose which row is
//! changed, never to which state; they persist what [`Job::apply`] returns.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::{EventBody, EventKind};
use crate::failure::Failure;
use crate::id::{BatchId, JobId, PhotoId, UserId, WorkerId};
use crate::options::{Outline, PictureOptions};
use crate::policy::JobPolicy;
use crate::preview::Preview;
use crate::step::{Checkpoint, Step};

#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub id: JobId,
    pub user_id: UserId,
    pub photo_id: PhotoId,
    pub batch_id: Option<BatchId>,
    pub priority: Priority,
    pub options: PictureOptions,
    pub state: JobState,
    /// The furthest step reached in any attempt.
    pub step: Option<Step>,
    /// The highest progress reached in any attempt, in per cent: it never goes back.
    pub progress: u8,
    /// Restarts after an error or a lost worker; 0 in the first attempt.
    pub attempt_count: u32,
    /// Restarts after an error alone; held against `max_retries`.
    pub retries: u32,
    /// Lost workers; held against `max_crashes`.
    pub crashes: u32,
    /// The fencing token: grows by one at each claim.
    pub epoch: i64,
    /// Not claimed before this moment.
    pub run_at: Timestamp,
    /// Of the running or the successful attempt, in the order in which they were made. Those of other attempts are
    /// deleted with their objects.
    pub previews: Vec<Preview>,
    pub cancel_requested: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub enum JobState {
    /// It waits for its first attempt.
    Pending,
    /// A worker owns it.
    Processing(Lease),
    /// It was begun and waits for its next attempt: after an error, a lost worker or a hand-back.
    Waiting,
    Completed(JobResult),
    Failed(Failure),
    Cancelled,
}

impl JobState {
    /// The status in the API. A job between two attempts is still being processed for its owner.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing(_) | Self::Waiting => "processing",
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn is_final(&self) -> bool {
        match self {
            Self::Completed(_) | Self::Failed(_) | Self::Cancelled => true,
            Self::Pending | Self::Processing(_) | Self::Waiting => false,
        }
    }

    /// Waits for a worker, now or at its `run_at`.
    pub fn is_claimable(&self) -> bool {
        match self {
            Self::Pending | Self::Waiting => true,
            Self::Processing(_) | Self::Completed(_) | Self::Failed(_) | Self::Cancelled => false,
        }
    }
}

/// A worker's right to a job, until it runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub worker: WorkerId,
    pub until: Timestamp,
}

/// Names one attempt. Every write of a worker carries it; a write with an old one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    pub job_id: JobId,
    pub epoch: i64,
}

/// What a finished job made. The keys of its objects follow from user, job and epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// The epoch under whose keys the objects lie.
    pub epoch: i64,
    pub width_px: u32,
    pub height_px: u32,
    /// From the claim of the successful attempt to its last written object.
    pub processing_time_ms: u64,
    /// What each step took, in the order of [`Step::WORKING`]; zeros when not measured.
    #[serde(default)]
    pub step_ms: [u32; 5],
    /// The numbers that say how usable the iris was.
    #[serde(default)]
    pub quality: serde_json::Value,
    /// 0 to 100; none of a job that ended before there was a score.
    #[serde(default)]
    pub quality_score: Option<u8>,
    /// The same in words, for the person who took the photo.
    #[serde(default)]
    pub quality_message: Option<String>,
    /// Of all its objects.
    #[serde(default)]
    pub stored_bytes: u64,
    /// Whether there is a small copy for lists.
    #[serde(default)]
    pub has_thumbnail: bool,
    #[serde(default)]
    pub format: PictureFormat,
    /// What of the iris the picture shows; none of a job that ended before outlines were told apart.
    #[serde(default)]
    pub outline: Option<Outline>,
    /// The outline of the second picture, when one is kept.
    #[serde(default)]
    pub alternative: Option<Outline>,
}

/// The file format of a finished picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureFormat {
    #[default]
    Jpeg,
    /// Of a picture on a transparent background.
    Png,
}

/// Interactive jobs go before batches of the same user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Priority {
    High,
    Default,
}

impl Priority {
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Default => "default",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "high" => Some(Self::High),
            "default" => Some(Self::Default),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    pub id: JobId,
    pub user_id: UserId,
    pub photo_id: PhotoId,
    pub batch_id: Option<BatchId>,
    pub priority: Priority,
    pub options: PictureOptions,
}

/// Everything that can happen to a job after it was queued.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEvent {
    /// A worker takes it.
    Claimed { worker: WorkerId },
    /// The worker is alive.
    Renewed { fence: Fence },
    /// The worker has come to a checkpoint.
    Reached {
        fence: Fence,
        checkpoint: Checkpoint,
    },
    /// The worker has stored a preview.
    Previewed { fence: Fence, preview: Preview },
    /// The worker has written all results.
    Finished { fence: Fence, result: JobResult },
    /// The attempt failed. `jitter` in 0..1 spreads the retry.
    AttemptFailed {
        fence: Fence,
        failure: Failure,
        jitter: f64,
    },
    /// The worker gives the job back unharmed, because it is asked to stop.
    HandedBack { fence: Fence },
    /// The worker has stopped because the owner requested the cancellation.
    Stopped { fence: Fence },
    /// The lease expired: the worker is lost.
    LeaseLost { failure: Failure },
    /// The owner cancels it.
    CancelRequested,
}

impl JobEvent {
    /// The attempt that writes it; `None` for events that no worker writes.
    fn fence(&self) -> Option<Fence> {
        match *self {
            Self::Renewed { fence }
            | Self::Reached { fence, .. }
            | Self::Previewed { fence, .. }
            | Self::Finished { fence, .. }
            | Self::AttemptFailed { fence, .. }
            | Self::HandedBack { fence }
            | Self::Stopped { fence } => Some(fence),
            Self::Claimed { .. } | Self::LeaseLost { .. } | Self::CancelRequested => None,
        }
    }
}

/// The job after an event, and what its owner's timeline says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    pub job: Job,
    pub log: Option<LogEntry>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    pub kind: EventKind,
    pub body: EventBody,
}

/// Why an event does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// The writer's attempt is over: another has begun, or the job has ended.
    #[error("this attempt no longer owns the job")]
    Fenced,
    /// The event has no meaning in this state.
    #[error("the job is not in a state in which this can happen")]
    InvalidTransition,
}

impl Job {
    /// A job as it enters the queue, with its first event.
    pub fn queued(new: NewJob, now: Timestamp) -> Transition {
        let job = Self {
            id: new.id,
            user_id: new.user_id,
            photo_id: new.photo_id,
            batch_id: new.batch_id,
            priority: new.priority,
            options: new.options,
            state: JobState::Pending,
            step: None,
            progress: 0,
            attempt_count: 0,
            retries: 0,
            crashes: 0,
            epoch: 0,
            run_at: now,
            previews: Vec::new(),
            cancel_requested: false,
            created_at: now,
            updated_at: now,
        };
        job.logged(EventKind::Queued)
    }

    /// The job as it entered the queue.
    pub fn as_queued(&self) -> Self {
        let new = NewJob {
            id: self.id,
            user_id: self.user_id,
            photo_id: self.photo_id,
            batch_id: self.batch_id,
            priority: self.priority,
            options: self.options,
        };
        Self::queued(new, self.created_at).job
    }

    /// Its `deleted` event, which contains no data of the photo.
    pub fn deleted(&self) -> LogEntry {
        let body = EventBody {
            status: "deleted".to_owned(),
            result: None,
            previews: Vec::new(),
            ..self.body()
        };
        LogEntry {
            kind: EventKind::Deleted,
            body,
        }
    }

    /// Whether the attempt named by `fence` owns the job at the moment.
    pub fn is_held_by(&self, fence: Fence) -> bool {
        let current = fence.job_id == self.id && fence.epoch == self.epoch;
        current && matches!(self.state, JobState::Processing(_))
    }

    /// The one place where a state changes.
    ///
    /// # Errors
    /// [`TransitionError::Fenced`] for a worker that no longer owns the job, [`TransitionError::InvalidTransition`]
    /// for an event that has no meaning now. The job is unchanged then.
    pub fn apply(
        mut self,
        event: JobEvent,
        now: Timestamp,
        policy: &JobPolicy,
    ) -> Result<Transition, TransitionError> {
        use JobState::{Cancelled, Completed, Failed, Pending, Processing, Waiting};

        if event.fence().is_some_and(|fence| !self.is_held_by(fence)) {
            return Err(TransitionError::Fenced);
        }
        let updated_at = std::mem::replace(&mut self.updated_at, now);
        match (&self.state, event) {
            (Pending | Waiting, JobEvent::Claimed { worker }) => {
                self.epoch += 1;
                Ok(self.leased(worker, now + policy.lease))
            }
            (Processing(lease), JobEvent::Renewed { .. }) => {
                let worker = lease.worker;
                // A heartbeat is not progress: `updated_at` says when the present step began.
                self.updated_at = updated_at;
                Ok(self.leased(worker, now + policy.lease))
            }
            (Processing(_), JobEvent::Reached { checkpoint, .. }) => Ok(self.reach(checkpoint)),
            (Processing(_), JobEvent::Previewed { preview, .. }) => Ok(self.show(preview)),
            (Processing(_), JobEvent::Finished { result, .. }) => Ok(self.finish(result)),
            (
                Processing(_),
                JobEvent::AttemptFailed {
                    failure, jitter, ..
                },
            ) => Ok(self.after_failure(failure, jitter, now, policy)),
            (Processing(_), JobEvent::HandedBack { .. }) => Ok(self.again_at(now)),
            (Processing(_), JobEvent::Stopped { .. }) => Ok(self.cancel()),
            (Processing(_), JobEvent::LeaseLost { failure }) => {
                Ok(self.after_crash(failure, now, policy))
            }
            (Pending | Waiting, JobEvent::CancelRequested) => Ok(self.cancel()),
            (Processing(_), JobEvent::CancelRequested) => {
                self.cancel_requested = true;
                Ok(self.unlogged())
            }
            // States are listed by name, so that a new one is a compile error here.
            (Pending | Processing(_) | Waiting | Completed(_) | Failed(_) | Cancelled, _) => {
                Err(TransitionError::InvalidTransition)
            }
        }
    }

    fn leased(mut self, worker: WorkerId, until: Timestamp) -> Transition {
        self.state = JobState::Processing(Lease { worker, until });
        self.unlogged()
    }

    /// Logged with the next checkpoint.
    fn show(mut self, preview: Preview) -> Transition {
        self.previews.retain(|shown| shown.kind != preview.kind);
        self.previews.push(preview);
        self.unlogged()
    }

    fn finish(mut self, mut result: JobResult) -> Transition {
        let sizes = self.previews.iter().map(|preview| preview.size_bytes);
        result.stored_bytes += sizes.sum::<u64>();
        self.step = Some(Step::Completed);
        self.progress = Checkpoint::Completed.progress();
        self.state = JobState::Completed(result);
        self.logged(EventKind::Completed)
    }

    /// Checkpoints that an earlier attempt has reached are not logged again: progress never goes back, and
    /// each checkpoint is logged once.
    fn reach(mut self, checkpoint: Checkpoint) -> Transition {
        if checkpoint.progress() <= self.progress {
            return self.unlogged();
        }
        self.progress = checkpoint.progress();
        self.step = Some(checkpoint.step());
        self.logged(EventKind::Progress)
    }

    fn after_failure(
        mut self,
        failure: Failure,
        jitter: f64,
        now: Timestamp,
        policy: &JobPolicy,
    ) -> Transition {
        self.previews.clear();
        if self.cancel_requested {
            return self.cancel();
        }
        if !failure.error_type.may_be_retried() || self.retries >= policy.max_retries {
            return self.fail(failure);
        }
        let wait = policy.backoff(self.retries, jitter);
        self.retries += 1;
        self.attempt_count += 1;
        self.run_at = now + wait;
        self.state = JobState::Waiting;
        self.logged_with(EventKind::Retrying, Some(failure))
    }

    fn after_crash(mut self, failure: Failure, now: Timestamp, policy: &JobPolicy) -> Transition {
        self.previews.clear();
        if self.cancel_requested {
            return self.cancel();
        }
        self.crashes += 1;
        if self.crashes >= policy.max_crashes {
            return self.fail(failure);
        }
        self.attempt_count += 1;
        self.run_at = now;
        self.state = JobState::Waiting;
        self.logged_with(EventKind::Retrying, Some(failure))
    }

    fn again_at(mut self, run_at: Timestamp) -> Transition {
        self.previews.clear();
        if self.cancel_requested {
            return self.cancel();
        }
        self.run_at = run_at;
        self.state = JobState::Waiting;
        self.unlogged()
    }

    fn cancel(mut self) -> Transition {
        self.previews.clear();
        self.state = JobState::Cancelled;
        self.logged(EventKind::Cancelled)
    }

    fn fail(mut self, failure: Failure) -> Transition {
        self.state = JobState::Failed(failure.clone());
        self.logged_with(EventKind::Failed, Some(failure))
    }

    fn unlogged(self) -> Transition {
        Transition {
            job: self,
            log: None,
        }
    }

    fn logged(self, kind: EventKind) -> Transition {
        self.logged_with(kind, None)
    }

    fn logged_with(self, kind: EventKind, failure: Option<Failure>) -> Transition {
        let body = EventBody {
            failure,
            ..self.body()
        };
        Transition {
            job: self,
            log: Some(LogEntry { kind, body }),
        }
    }

    fn body(&self) -> EventBody {
        EventBody {
            status: self.state.status().to_owned(),
            step: self.step,
            progress: self.progress,
            attempt_count: self.attempt_count,
            failure: None,
            result: match &self.state {
                JobState::Completed(result) => Some(result.clone()),
                _ => None,
            },
            previews: self.previews.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::preview::PreviewKind;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn policy() -> JobPolicy {
        JobPolicy {
            max_retries: 1,
            max_crashes: 3,
            ..JobPolicy::default()
        }
    }

    fn pending() -> Job {
        let new = NewJob {
            id: JobId::generate(),
            user_id: UserId::generate(),
            photo_id: PhotoId::generate(),
            batch_id: None,
            priority: Priority::High,
            options: PictureOptions::default(),
        };
        Job::queued(new, NOW).job
    }

    fn claimed(job: Job) -> (Job, Fence) {
        let job = apply(
            job,
            JobEvent::Claimed {
                worker: WorkerId::generate(),
            },
        )
        .job;
        let fence = Fence {
            job_id: job.id,
            epoch: job.epoch,
        };
        (job, fence)
    }

    fn apply(job: Job, event: JobEvent) -> Transition {
        job.apply(event, NOW, &policy()).expect("the event applies")
    }

    fn failed_attempt(fence: Fence, failure: Failure) -> JobEvent {
        JobEvent::AttemptFailed {
            fence,
            failure,
            jitter: 0.5,
        }
    }

    fn storage_unavailable() -> Failure {
        Failure::new(
            crate::ErrorType::TransientError,
            "storage_unavailable",
            "m",
            "s",
        )
    }

    fn worker_lost() -> Failure {
        Failure::new(crate::ErrorType::ServerError, "worker_lost", "m", "s")
    }

    fn lease_lost() -> JobEvent {
        JobEvent::LeaseLost {
            failure: worker_lost(),
        }
    }

    fn result(epoch: i64) -> JobResult {
        JobResult {
            epoch,
            width_px: 2048,
            height_px: 2048,
            processing_time_ms: 300,
            step_ms: [60; 5],
            quality: serde_json::Value::Null,
            quality_score: None,
            quality_message: None,
            stored_bytes: 0,
            has_thumbnail: false,
            format: PictureFormat::Jpeg,
            outline: None,
            alternative: None,
        }
    }

    fn logged(transition: &Transition) -> Option<EventKind> {
        transition.log.as_ref().map(|entry| entry.kind)
    }

    #[test]
    fn every_checkpoint_is_logged_once_and_in_order() {
        let (mut job, fence) = claimed(pending());
        let mut seen = Vec::new();
        for checkpoint in Checkpoint::ALL.into_iter().take(9) {
            let transition = apply(job, JobEvent::Reached { fence, checkpoint });
            seen.push(
                transition
                    .log
                    .expect("a new checkpoint is logged")
                    .body
                    .progress,
            );
            job = transition.job;
        }
        assert_eq!(seen, [5, 10, 20, 40, 50, 60, 70, 90, 95]);
    }

    #[test]
    fn the_previews_are_those_of_the_attempt() {
        let (job, fence) = claimed(pending());
        let preview = |fence: Fence| Preview {
            kind: PreviewKind::Outline,
            epoch: fence.epoch,
            width_px: 512,
            height_px: 384,
            size_bytes: 30_000,
        };
        let show = |fence: Fence| JobEvent::Previewed {
            fence,
            preview: preview(fence),
        };
        let reach = |fence: Fence, checkpoint| JobEvent::Reached { fence, checkpoint };

        let shown = apply(job, show(fence));
        assert!(shown.log.is_none(), "the next checkpoint logs it");
        let reached = apply(shown.job, reach(fence, Checkpoint::SegmentingDone));
        assert_eq!(reached.log.expect("logged").body.previews, [preview(fence)]);
        let failed = apply(reached.job, failed_attempt(fence, storage_unavailable()));
        assert_eq!(failed.log.expect("logged").body.previews, []);

        let (job, second) = claimed(failed.job);
        let job = apply(job, show(second)).job;
        let finished = apply(
            job,
            JobEvent::Finished {
                fence: second,
                result: result(second.epoch),
            },
        );
        assert_eq!(finished.job.previews, [preview(second)]);
        let JobState::Completed(result) = finished.job.state else {
            panic!("it is finished");
        };
        assert_eq!(result.stored_bytes, 30_000, "they count as stored");
    }

    #[test]
    fn a_second_attempt_never_takes_progress_back() {
        let (job, fence) = claimed(pending());
        let reached = JobEvent::Reached {
            fence,
            checkpoint: Checkpoint::EnhancingBegun,
        };
        let job = apply(job, reached).job;
        let job = apply(job, failed_attempt(fence, storage_unavailable())).job;
        let (job, fence) = claimed(job);

        let again = apply(
            job,
            JobEvent::Reached {
                fence,
                checkpoint: Checkpoint::LoadingBegun,
            },
        );

        assert_eq!(again.job.progress, 70);
        assert_eq!(again.job.step, Some(Step::Enhancing));
        assert_eq!(logged(&again), None);
    }

    #[test]
    fn a_transient_error_is_retried_once_and_the_attempt_is_visible() {
        let (job, fence) = claimed(pending());

        let first = apply(job, failed_attempt(fence, storage_unavailable()));
        assert_eq!(logged(&first), Some(EventKind::Retrying));
        assert_eq!(first.job.attempt_count, 1);
        assert_eq!(first.job.state.status(), "processing");
        assert_eq!(
            first.job.run_at,
            NOW + Duration::from_secs(1),
            "half of the 2 s backoff"
        );

        let (job, fence) = claimed(first.job);
        let second = apply(job, failed_attempt(fence, storage_unavailable()));
        assert_eq!(logged(&second), Some(EventKind::Failed));
        assert_eq!(second.job.state, JobState::Failed(storage_unavailable()));
    }

    #[test]
    fn a_quality_issue_is_never_retried() {
        let (job, fence) = claimed(pending());
        let blurred = Failure::new(crate::ErrorType::QualityIssue, "too_blurry", "m", "s");
        let failed = apply(job, failed_attempt(fence, blurred.clone()));
        assert_eq!(failed.job.state, JobState::Failed(blurred));
        assert_eq!(failed.job.attempt_count, 0);
    }

    #[test]
    fn an_expired_lease_returns_the_job_to_the_queue_until_the_crash_limit() {
        let mut job = pending();
        for crash in 1..=2 {
            let lost = apply(claimed(job).0, lease_lost());
            assert_eq!(lost.job.state, JobState::Waiting);
            assert_eq!(lost.job.attempt_count, crash);
            job = lost.job;
        }
        let last = apply(claimed(job).0, lease_lost());
        assert_eq!(last.job.state, JobState::Failed(worker_lost()));
    }

    #[test]
    fn a_hand_back_does_not_count_as_an_attempt() {
        let (job, fence) = claimed(pending());
        let back = apply(job, JobEvent::HandedBack { fence });
        assert_eq!((back.job.attempt_count, back.job.crashes), (0, 0));
        assert!(back.job.state.is_claimable());
    }

    #[test]
    fn a_worker_of_an_earlier_epoch_is_fenced_off() {
        let (job, old) = claimed(pending());
        let (job, _) = claimed(apply(job, lease_lost()).job);
        let late = job.apply(
            JobEvent::Finished {
                fence: old,
                result: result(1),
            },
            NOW,
            &policy(),
        );
        assert_eq!(late, Err(TransitionError::Fenced));
    }

    #[test]
    fn a_finished_job_stays_finished() {
        let (job, fence) = claimed(pending());
        let done = apply(
            job,
            JobEvent::Finished {
                fence,
                result: result(fence.epoch),
            },
        )
        .job;
        assert_eq!(done.progress, 100);
        for event in [
            JobEvent::Claimed {
                worker: WorkerId::generate(),
            },
            lease_lost(),
            JobEvent::CancelRequested,
        ] {
            let refused = done.clone().apply(event, NOW, &policy());
            assert_eq!(refused, Err(TransitionError::InvalidTransition));
        }
    }

    #[test]
    fn cancelling_a_running_job_waits_for_its_worker_or_for_its_lease() {
        let (job, fence) = claimed(pending());
        let asked = apply(job, JobEvent::CancelRequested);
        assert_eq!(
            (logged(&asked), asked.job.state.status()),
            (None, "processing")
        );

        let stopped = apply(asked.job.clone(), JobEvent::Stopped { fence });
        assert_eq!(stopped.job.state, JobState::Cancelled);
        let lost = apply(asked.job, lease_lost());
        assert_eq!(lost.job.state, JobState::Cancelled);
    }
}
