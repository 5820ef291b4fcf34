//! One attempt at one job: fetch the photo, run the pipeline, write the results, record the end.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use irisflow_image::pipeline::{
    self, ProcessError, ProcessOptions, ProcessedIris, Stage, StageMark,
};
use irisflow_image::rejection::Rejection;
use irisflow_jobs::{
    Checkpoint, ErrorType, Failure, Fence, Job, JobResult, Measured, StoreError, Written,
};
use irisflow_photos::ObjectKey;

use crate::fault::point;
use crate::meter::{self, StepMeter};
use crate::recorder::Recorder;
use crate::running::{RunningJob, StopReason};
use crate::{Shared, Work};

/// How often the end of a job is offered to a store that is away, and the pause between.
const END_TRIES: u32 = 20;
const END_PAUSE: Duration = Duration::from_millis(500);

/// How the work of an attempt ended.
enum Outcome {
    Finished(JobResult),
    Failed(Failure),
    /// Asked to stop; the reason is on the running job.
    Stopped,
}

/// Works on a claimed job to its end. `false` when this thread was given up meanwhile and another has
/// taken its place.
pub(crate) fn run(shared: &Arc<Shared>, job: &Job) -> bool {
    let fence = Fence {
        job_id: job.id,
        epoch: job.epoch,
    };
    let running = shared.running.begin(fence);
    let recorder = Recorder::start(Arc::clone(shared), Arc::clone(&running));
    tracing::info!(job_id = %job.id, attempt = job.attempt_count, "job begun");

    let attempt = Attempt {
        shared,
        job,
        running: &running,
        recorder: &recorder,
        meter: StepMeter::default(),
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| attempt.work())).unwrap_or_else(|_| {
        tracing::error!(job_id = %job.id, "a step panicked");
        Outcome::Failed(Failure::step_failed())
    });
    shared.runtime.block_on(async {
        recorder.finish().await;
        end(shared, job, &running, outcome).await;
    });
    shared.running.end(fence);
    !running.is_abandoned()
}

/// Records how the attempt ended, and deletes what it wrote unless the result is recorded.
async fn end(shared: &Shared, job: &Job, running: &RunningJob, outcome: Outcome) {
    if let Outcome::Failed(failure) = &outcome {
        meter::attempt_failed(failure);
    }
    let written = match (running.stop_reason(), outcome) {
        // A finished job stays finished, whatever was wished meanwhile; the fence decides.
        (_, Outcome::Finished(result)) => offer(shared, running, End::Finish(result)).await,
        (Some(StopReason::LeaseLost | StopReason::HandedBack), _) => Some(Written::Fenced),
        (Some(StopReason::Cancelled), _) => offer(shared, running, End::Stopped).await,
        (Some(StopReason::TimedOut), _) => {
            offer(shared, running, End::Fail(Failure::timed_out())).await
        }
        (None, Outcome::Failed(failure)) => offer(shared, running, End::Fail(failure)).await,
        (None, Outcome::Stopped) => offer(shared, running, End::Fail(Failure::unexpected())).await,
    };
    let recorded_result = match written {
        Some(Written::Recorded(now)) => {
            log_end(job, &now);
            matches!(now.state, irisflow_jobs::JobState::Completed(_))
        }
        Some(Written::Fenced) => {
            tracing::info!(job_id = %job.id, "this attempt no longer owns its job");
            false
        }
        // Whether the end was recorded is unknown: the lease runs out, and what remains is swept.
        None => true,
    };
    if !recorded_result {
        delete_own_objects(shared, job).await;
    }
}

enum End {
    Finish(JobResult),
    Fail(Failure),
    Stopped,
}

/// Records the end, patiently: the database may be away for a moment. `None` when it stays away.
async fn offer(shared: &Shared, running: &RunningJob, end: End) -> Option<Written> {
    for _ in 0..END_TRIES {
        match write_end(shared, running.fence, &end).await {
            Ok(written) => return Some(written),
            Err(error) => {
                let job_id = running.fence.job_id;
                tracing::warn!(%job_id, %error, "could not record the end of a job");
            }
        }
        if running.stop_reason() == Some(StopReason::LeaseLost) {
            break;
        }
        tokio::time::sleep(END_PAUSE).await;
    }
    None
}

async fn write_end(shared: &Shared, fence: Fence, end: &End) -> Result<Written, StoreError> {
    let jobs = &shared.parts.jobs;
    match end {
        End::Finish(result) => jobs.finish(fence, result.clone()).await,
        End::Fail(failure) => jobs.fail_attempt(fence, failure.clone()).await,
        End::Stopped => jobs.stopped(fence).await,
    }
}

fn log_end(before: &Job, now: &Job) {
    use irisflow_jobs::JobState;
    let job_id = before.id;
    meter::job_ended(now.state.status());
    match &now.state {
        JobState::Completed(result) => {
            tracing::info!(%job_id, ms = result.processing_time_ms, "job completed");
        }
        JobState::Failed(failure) => {
            let error_type = failure.error_type.name();
            tracing::warn!(%job_id, error_type, code = failure.code, "job failed");
        }
        JobState::Waiting => {
            tracing::warn!(%job_id, attempt = now.attempt_count, "job will be tried again");
        }
        JobState::Cancelled => tracing::info!(%job_id, "job cancelled"),
        JobState::Pending | JobState::Processing(_) => {}
    }
}

async fn delete_own_objects(shared: &Shared, job: &Job) {
    let (files, job_id) = (shared.parts.files.clone(), job.id);
    let keys = ObjectKey::of_attempt(job.user_id, job.id, job.epoch);
    let deleted =
        tokio::task::spawn_blocking(move || keys.iter().try_for_each(|key| files.delete(key)))
            .await;
    if !matches!(deleted, Ok(Ok(()))) {
        // A sweep was left when the attempt ended.
        tracing::warn!(%job_id, "could not delete an attempt's objects; the sweep will");
    }
}

struct Attempt<'a> {
    shared: &'a Shared,
    job: &'a Job,
    running: &'a RunningJob,
    recorder: &'a Recorder,
    meter: StepMeter,
}

impl Attempt<'_> {
    fn work(&self) -> Outcome {
        match self.try_work() {
            Ok(result) => Outcome::Finished(result),
            Err(ControlFlow::Break(())) => Outcome::Stopped,
            Err(ControlFlow::Continue(failure)) => Outcome::Failed(failure),
        }
    }

    /// `Err(Break)` when asked to stop, `Err(Continue(failure))` when the attempt failed.
    fn try_work(&self) -> Result<JobResult, ControlFlow<(), Failure>> {
        self.reached(Checkpoint::LoadingBegun);
        self.strike(point::LOADING)?;
        if self.shared.settings.work == Work::Nothing {
            return Ok(self.do_nothing());
        }
        let fetching = Instant::now();
        let photo = self.fetch().map_err(ControlFlow::Continue)?;
        let fetching = fetching.elapsed();
        let processed = self.process(&photo)?;
        drop(photo);
        let writing = Instant::now();
        self.write_results(&processed)?;
        self.meter.saved();
        Ok(JobResult {
            epoch: self.job.epoch,
            width_px: processed.width,
            height_px: processed.height,
            processing_time_ms: elapsed_ms(self.running),
            step_ms: step_ms(&processed, fetching, writing.elapsed()),
            quality: quality_of(&processed),
            quality_score: Some(processed.judged.score()),
            quality_message: Some(processed.headline.clone()),
            stored_bytes: objects_of(&processed)
                .map(|bytes| bytes.len() as u64)
                .iter()
                .sum(),
            has_thumbnail: true,
        })
    }

    fn do_nothing(&self) -> JobResult {
        for checkpoint in Checkpoint::ALL.into_iter().skip(1) {
            if checkpoint != Checkpoint::Completed {
                self.reached(checkpoint);
            }
        }
        JobResult {
            epoch: self.job.epoch,
            width_px: 0,
            height_px: 0,
            processing_time_ms: elapsed_ms(self.running),
            step_ms: [0; 5],
            quality: serde_json::Value::Null,
            quality_score: None,
            quality_message: None,
            stored_bytes: 0,
            has_thumbnail: false,
        }
    }

    fn reached(&self, checkpoint: Checkpoint) {
        self.meter.reached(checkpoint);
        self.recorder.reached(checkpoint);
    }

    /// The bytes of the photo.
    fn fetch(&self) -> Result<Vec<u8>, Failure> {
        let (user_id, photo_id) = (self.job.user_id, self.job.photo_id);
        let photo = self
            .shared
            .runtime
            .block_on(self.shared.parts.photos.photo(user_id, photo_id))
            .map_err(|_| Failure::storage_unavailable())?;
        let Some(stored) = photo.and_then(|photo| photo.stored) else {
            return Err(Failure::unexpected());
        };
        let key = ObjectKey::Original {
            user_id,
            photo_id,
            format: stored.format,
        };
        match self.shared.parts.files.get(&key) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(Failure::unexpected()),
            Err(error) => {
                tracing::warn!(job_id = %self.job.id, %error, "could not read a photo");
                Err(Failure::storage_unavailable())
            }
        }
    }

    fn process(&self, photo: &[u8]) -> Result<ProcessedIris, ControlFlow<(), Failure>> {
        let mut planned = None;
        let options = ProcessOptions {
            limits: self.shared.settings.limits,
            ..ProcessOptions::default()
        };
        let mut observer = |stage: Stage, mark: StageMark| {
            if let Some(checkpoint) = checkpoint_of(stage, mark) {
                self.reached(checkpoint);
            }
            if mark == StageMark::Begin
                && let Some(point) = point_of(stage)
                && let Err(failure) = self.shared.parts.faults.strike(point, self.job)
            {
                planned = Some(failure);
                return ControlFlow::Break(());
            }
            match self.running.stop_reason() {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            }
        };
        let processed = pipeline::process(photo, &options, &mut observer);
        match (processed, planned) {
            (_, Some(failure)) => Err(ControlFlow::Continue(failure)),
            (Ok(processed), None) => Ok(processed),
            (Err(ProcessError::Stopped), None) => Err(ControlFlow::Break(())),
            (Err(ProcessError::Rejected(rejection)), None) => {
                Err(ControlFlow::Continue(failure_of(rejection)))
            }
            (Err(ProcessError::Internal(error)), None) => {
                tracing::error!(job_id = %self.job.id, error, "a step failed");
                Err(ControlFlow::Continue(Failure::step_failed()))
            }
        }
    }

    fn write_results(&self, processed: &ProcessedIris) -> Result<(), ControlFlow<(), Failure>> {
        let keys = ObjectKey::of_attempt(self.job.user_id, self.job.id, self.job.epoch);
        let points = [
            Some(point::AFTER_RESULT),
            Some(point::AFTER_MASK),
            Some(point::AFTER_BEFORE),
            None,
        ];
        for ((key, bytes), point) in keys.iter().zip(objects_of(processed)).zip(points) {
            if self.running.stop_reason().is_some() {
                return Err(ControlFlow::Break(()));
            }
            self.shared.parts.files.put(key, bytes).map_err(|error| {
                tracing::warn!(job_id = %self.job.id, %error, "could not write a result");
                ControlFlow::Continue(Failure::storage_unavailable())
            })?;
            if let Some(point) = point {
                self.strike(point)?;
            }
        }
        Ok(())
    }

    fn strike(&self, point: &str) -> Result<(), ControlFlow<(), Failure>> {
        self.shared
            .parts
            .faults
            .strike(point, self.job)
            .map_err(ControlFlow::Continue)
    }
}

/// Fetching is part of loading and writing part of saving, so their begin and end are reported here.
fn checkpoint_of(stage: Stage, mark: StageMark) -> Option<Checkpoint> {
    match (stage, mark) {
        (Stage::Loading, StageMark::Begin) | (Stage::Saving, StageMark::End) => None,
        (Stage::Loading, StageMark::End) => Some(Checkpoint::LoadingDone),
        (Stage::Segmenting, StageMark::Begin) => Some(Checkpoint::SegmentingBegun),
        (Stage::Segmenting, StageMark::End) => Some(Checkpoint::SegmentingDone),
        (Stage::RemovingReflections, StageMark::Begin) => {
            Some(Checkpoint::RemovingReflectionsBegun)
        }
        (Stage::RemovingReflections, StageMark::End) => Some(Checkpoint::RemovingReflectionsDone),
        (Stage::Enhancing, StageMark::Begin) => Some(Checkpoint::EnhancingBegun),
        (Stage::Enhancing, StageMark::End) => Some(Checkpoint::EnhancingDone),
        (Stage::Saving, StageMark::Begin) => Some(Checkpoint::SavingBegun),
    }
}

/// Where planned faults strike; loading has its own place, before the photo is fetched.
fn point_of(stage: Stage) -> Option<&'static str> {
    match stage {
        Stage::Loading => None,
        Stage::Segmenting => Some(point::SEGMENTING),
        Stage::RemovingReflections => Some(point::REMOVING_REFLECTIONS),
        Stage::Enhancing => Some(point::ENHANCING),
        Stage::Saving => Some(point::SAVING),
    }
}

fn failure_of(rejection: Rejection) -> Failure {
    let measured = rejection.measured.map(|measured| Measured {
        figure: measured.figure.to_owned(),
        value: measured.value,
        threshold: measured.threshold,
    });
    Failure {
        measured,
        ..Failure::new(
            ErrorType::QualityIssue,
            rejection.code.as_str(),
            rejection.message,
            rejection.suggestion,
        )
    }
}

/// In the order of [`ObjectKey::of_attempt`].
fn objects_of(processed: &ProcessedIris) -> [&[u8]; 4] {
    [
        &processed.result_jpeg,
        &processed.mask_png,
        &processed.before_jpeg,
        &processed.thumbnail_jpeg,
    ]
}

fn elapsed_ms(running: &RunningJob) -> u64 {
    u64::try_from(running.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// What each step took as its owner saw it: fetching is part of loading, writing of saving.
fn step_ms(processed: &ProcessedIris, fetching: Duration, writing: Duration) -> [u32; 5] {
    let mut ms = processed.stage_ms;
    ms[Stage::Loading as usize] += fetching.as_secs_f64() * 1000.0;
    ms[Stage::Saving as usize] += writing.as_secs_f64() * 1000.0;
    ms.map(|ms| ms.round() as u32)
}

fn quality_of(processed: &ProcessedIris) -> serde_json::Value {
    let segmentation = &processed.segmentation;
    let named = processed.judged.named().into_iter();
    named
        .chain([
            ("confidence", segmentation.confidence),
            ("filled_share", segmentation.quality.reflection_share),
        ])
        .map(|(name, value)| (name.to_owned(), serde_json::json!(value)))
        .collect()
}
