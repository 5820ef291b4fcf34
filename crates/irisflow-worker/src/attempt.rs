//! One attempt at one job: fetch the photo, run the pipeline, write the results, record the end.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use irisflow_image::coverage::Outline;
use irisflow_image::enhance::Preset;
use irisflow_image::finish::{Background, ResultSize};
use irisflow_image::load::Limits;
use irisflow_image::pipeline::{
    self, Observer, ProcessError, ProcessOptions, ProcessedIris, Stage, StageMark,
};
use irisflow_image::previews::Preview;
use irisflow_jobs::{
    AttemptSpan, Checkpoint, Failure, Fence, Job, JobPart, JobResult, JobSpan, JobState,
    PictureFormat, PictureOptions, PictureSize, StepSpan, StoreError, StoredPhoto, WriteOutcome,
};
use irisflow_messages::{Language, failures, photos};
use irisflow_photos::{JobObject, ObjectKey, Reservation, StorageError};

use crate::Shared;
use crate::checkpoint_recorder::CheckpointRecorder;
use crate::fault_injection::point;
use crate::metrics::{self, StepMeter};
use crate::running_jobs::{RunningJob, StopReason};

/// Number of refusals by the store after which recording the end of a job is given up, and the pause between
/// tries.
const MAX_REFUSALS: u32 = 20;
const END_PAUSE: Duration = Duration::from_millis(500);

/// Interval at which an attempt that waits for memory checks its stop flag.
const STOP_CHECK: Duration = Duration::from_millis(100);

/// How the work of an attempt ended.
enum Outcome {
    Finished(JobResult),
    Unfinished(Setback),
}

/// Why an attempt has no result.
#[derive(Debug)]
pub enum Setback {
    /// Asked to stop; the reason is on the running job.
    Stopped,
    /// Because of the photo or a bug; counts as a failed attempt.
    Failed(Failure),
    /// Because of the machine or a store; not counted.
    Trouble(Trouble),
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

#[derive(Debug)]
pub struct Trouble {
    what: String,
    /// It was met while reading this job's own photo.
    reading_photo: bool,
}

/// What the thread does after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextAction {
    ClaimNext,
    /// The job was handed back, but the probe found no outage: wait before the next claim.
    Pause,
    /// The thread was given up meanwhile, and another has taken its place.
    End,
}

/// Works on a claimed job to its end.
pub(crate) fn run(shared: &Arc<Shared>, job: &Job, running: &Arc<RunningJob>) -> NextAction {
    let recorder = CheckpointRecorder::start(Arc::clone(shared), job, Arc::clone(running));
    tracing::info!(job_id = %job.id, attempt = job.attempt_count, "job begun");

    let attempt = Attempt {
        shared,
        job,
        running,
        recorder: &recorder,
        meter: StepMeter::begin(shared.parts.clock.now()),
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| attempt.work())).unwrap_or_else(|_| {
        tracing::error!(job_id = %job.id, "a step panicked");
        Outcome::Unfinished(failures::step_failed().into())
    });
    running.work_has_ended();
    let meter = attempt.meter;
    let steps = meter.spans();
    let (mut is_trouble, mut error) = (false, None);
    let written = shared.block_on(async {
        recorder.finish().await;
        let outcome = reclassify_photo_trouble(shared, outcome).await;
        is_trouble = matches!(outcome, Outcome::Unfinished(Setback::Trouble(_)));
        error = error_code(running, &outcome);
        end(shared, job, running, outcome).await
    });
    let written = written.flatten();
    trace(shared, job, &meter, steps, error, written.as_ref());
    clean_up(shared, job, written);
    if running.is_abandoned() {
        NextAction::End
    } else if is_trouble && !shared.parts.bus.has_outage() {
        NextAction::Pause
    } else {
        NextAction::ClaimNext
    }
}

/// If reading the photo failed and the probe finds no outage, the failure counts against the job.
async fn reclassify_photo_trouble(shared: &Arc<Shared>, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Unfinished(Setback::Trouble(trouble))
            if !shared.probe_for_outage(&trouble.what).await && trouble.reading_photo =>
        {
            Outcome::Unfinished(failures::storage_unavailable().into())
        }
        outcome => outcome,
    }
}

/// Records how the attempt ended. `None` when that is not known.
async fn end(
    shared: &Arc<Shared>,
    job: &Job,
    running: &RunningJob,
    outcome: Outcome,
) -> Option<WriteOutcome> {
    if let Outcome::Unfinished(Setback::Failed(failure)) = &outcome {
        metrics::attempt_failed(failure);
    }
    match (running.stop_reason(), outcome) {
        // A finished job stays finished, even if a stop was requested meanwhile; the fence decides.
        (_, Outcome::Finished(result)) => {
            record_with_retries(shared, running, End::Finish(result)).await
        }
        (Some(StopReason::LeaseLost | StopReason::HandedBack), _) => Some(WriteOutcome::Fenced),
        (Some(StopReason::Cancelled), _) => {
            record_with_retries(shared, running, End::Stopped).await
        }
        (_, Outcome::Unfinished(Setback::Trouble(trouble))) => {
            tracing::warn!(job_id = %job.id, trouble = trouble.what, "giving a job back, uncounted");
            record_with_retries(shared, running, End::HandBack).await
        }
        (Some(StopReason::TimedOut), _) => {
            record_with_retries(shared, running, End::Fail(failures::timed_out())).await
        }
        (None, Outcome::Unfinished(Setback::Failed(failure))) => {
            record_with_retries(shared, running, End::Fail(failure)).await
        }
        (None, Outcome::Unfinished(Setback::Stopped)) => {
            record_with_retries(shared, running, End::Fail(failures::unexpected())).await
        }
    }
}

fn error_code(running: &RunningJob, outcome: &Outcome) -> Option<String> {
    match (running.stop_reason(), outcome) {
        (_, Outcome::Finished(_)) => None,
        (_, Outcome::Unfinished(Setback::Trouble(_))) => Some("outage".to_owned()),
        (Some(StopReason::TimedOut), _) => Some(failures::timed_out().code),
        (None, Outcome::Unfinished(Setback::Failed(failure))) => Some(failure.code.clone()),
        (None, Outcome::Unfinished(Setback::Stopped)) => Some(failures::unexpected().code),
        (Some(_), Outcome::Unfinished(_)) => None,
    }
}

/// Reports the attempt with its steps.
fn trace(
    shared: &Shared,
    job: &Job,
    meter: &StepMeter,
    steps: Vec<StepSpan>,
    error: Option<String>,
    written: Option<&WriteOutcome>,
) {
    let attempt = AttemptSpan {
        worker: shared.worker_id,
        number: job.attempt_count + 1,
        epoch: job.epoch,
        outcome: match written {
            Some(WriteOutcome::Recorded(now)) => outcome_name(job, now),
            Some(WriteOutcome::Fenced) => "fenced",
            None => "unknown",
        },
        error,
        steps,
    };
    shared.parts.tracer.record(JobSpan {
        job_id: job.id,
        begun: meter.begun_at(),
        ended: meter.now(),
        part: JobPart::Attempt(Box::new(attempt)),
    });
}

fn outcome_name(before: &Job, now: &Job) -> &'static str {
    match now.state {
        JobState::Waiting if now.attempt_count > before.attempt_count => "retrying",
        JobState::Pending | JobState::Waiting => "handed_back",
        _ => now.state.status(),
    }
}

/// Deletes what the attempt wrote, unless the result is recorded or may be.
fn clean_up(shared: &Shared, job: &Job, written: Option<WriteOutcome>) {
    match written {
        Some(WriteOutcome::Recorded(now)) => {
            log_end(job, &now);
            if !matches!(now.state, JobState::Completed(_)) {
                delete_own_objects(shared, job);
            }
        }
        Some(WriteOutcome::Fenced) => {
            tracing::info!(job_id = %job.id, "this attempt no longer owns its job");
            delete_own_objects(shared, job);
        }
        // The lease runs out, and what remains is swept.
        None => {}
    }
}

enum End {
    Finish(JobResult),
    Fail(Failure),
    HandBack,
    Stopped,
}

/// Records the end, however long an outage of the store takes. `None` when the store refuses it.
async fn record_with_retries(
    shared: &Arc<Shared>,
    running: &RunningJob,
    end: End,
) -> Option<WriteOutcome> {
    let mut refusals = 0;
    while refusals < MAX_REFUSALS {
        match record_once(shared, running.fence, &end).await {
            Ok(written) => return Some(written),
            Err(error) => {
                refusals += u32::from(!error.is_outage());
                let doing = "recording the end of a job";
                shared.wait_before_retry(&error, END_PAUSE, doing).await;
            }
        }
        if running.stop_reason() == Some(StopReason::LeaseLost) {
            break;
        }
    }
    None
}

async fn record_once(shared: &Shared, fence: Fence, end: &End) -> Result<WriteOutcome, StoreError> {
    let leases = &shared.parts.job_leases;
    match end {
        End::Finish(result) => leases.finish(fence, result.clone()).await,
        End::Fail(failure) => leases.fail_attempt(fence, failure.clone()).await,
        End::HandBack => leases.hand_back(fence).await,
        End::Stopped => leases.record_cancelled(fence).await,
    }
}

fn log_end(before: &Job, now: &Job) {
    let job_id = before.id;
    metrics::job_ended(now.state.status());
    match &now.state {
        JobState::Completed(result) => {
            tracing::info!(%job_id, ms = result.processing_time_ms, "job completed");
        }
        JobState::Failed(failure) => {
            let error_type = failure.error_type.name();
            tracing::warn!(%job_id, error_type, code = failure.code, "job failed");
        }
        JobState::Waiting if now.attempt_count > before.attempt_count => {
            tracing::warn!(%job_id, attempt = now.attempt_count, "job will be tried again");
        }
        JobState::Cancelled => tracing::info!(%job_id, "job cancelled"),
        JobState::Pending | JobState::Processing(_) | JobState::Waiting => {}
    }
}

fn delete_own_objects(shared: &Shared, job: &Job) {
    let keys = ObjectKey::of_attempt(job.user_id, job.id, job.epoch);
    let files = &shared.parts.files;
    let deleted = shared.block_on(async {
        for key in &keys {
            files.delete(key).await?;
        }
        Ok::<_, StorageError>(())
    });
    if let Some(Err(error)) = deleted {
        // A sweep was scheduled when the attempt ended.
        tracing::warn!(job_id = %job.id, %error, "the sweep will delete an attempt's objects");
    }
}

/// One attempt at a job, as a [`Pipeline`](crate::Pipeline) sees it.
#[derive(Debug)]
pub struct Attempt<'a> {
    shared: &'a Shared,
    job: &'a Job,
    running: &'a RunningJob,
    recorder: &'a CheckpointRecorder,
    meter: StepMeter,
}

impl Attempt<'_> {
    fn work(&self) -> Outcome {
        match self.try_work() {
            Ok(result) => Outcome::Finished(result),
            Err(setback) => Outcome::Unfinished(setback),
        }
    }

    fn try_work(&self) -> Result<JobResult, Setback> {
        self.reached(Checkpoint::LoadingBegun);
        self.strike(point::LOADING)?;
        self.shared.parts.pipeline.run(self)
    }

    /// Fetches the photo, finds and enhances its iris, and writes the results.
    pub(crate) fn run_imaging(&self, limits: Limits) -> Result<JobResult, Setback> {
        let fetching = Instant::now();
        let (photo, reserved) = self.fetch()?;
        let fetching = fetching.elapsed();
        let mut processed = self.process(&photo, limits)?;
        drop(photo);
        drop(reserved);
        let writing = Instant::now();
        let format = match self.job.options.background {
            irisflow_jobs::Background::Transparent => PictureFormat::Png,
            _ => PictureFormat::Jpeg,
        };
        let objects = take_objects(&mut processed, format);
        let stored_bytes = objects.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        self.write_results(objects)?;
        self.meter.saved();
        Ok(JobResult {
            epoch: self.job.epoch,
            width_px: processed.width,
            height_px: processed.height,
            processing_time_ms: elapsed_ms(self.running),
            step_ms: step_ms(&processed, fetching, writing.elapsed()),
            quality: quality_of(&processed),
            quality_score: Some(processed.judged.score()),
            quality_message: Some(
                photos::praise(&processed.judged, processed.eyes_seen)
                    .in_language(Language::PROGRAM),
            ),
            stored_bytes,
            has_thumbnail: true,
            format,
            outline: Some(outline_of(processed.outline)),
            alternative: processed
                .other
                .as_ref()
                .map(|other| outline_of(other.outline)),
        })
    }

    /// The job as it was claimed.
    pub fn job(&self) -> &Job {
        self.job
    }

    /// Records a checkpoint; the pixels do not wait for the store.
    pub fn reached(&self, checkpoint: Checkpoint) {
        self.meter.reached(checkpoint);
        self.recorder.reached(checkpoint);
    }

    /// The bytes of the photo, and the right to hold them and what they are decoded to.
    fn fetch(&self) -> Result<(Bytes, Reservation), Setback> {
        let stored = self.stored_photo()?;
        let reserved = self.reserve(stored.memory_bytes())?;
        Ok((self.read(&stored)?, reserved))
    }

    /// Waits for the memory, unless the job is to stop.
    fn reserve(&self, bytes: u64) -> Result<Reservation, Setback> {
        let turn = async {
            let reserved = self.shared.parts.memory.reserve(bytes);
            tokio::pin!(reserved);
            loop {
                tokio::select! {
                    reserved = &mut reserved => return Some(reserved),
                    () = tokio::time::sleep(STOP_CHECK) => {
                        if self.running.stop_reason().is_some() {
                            return None;
                        }
                    }
                }
            }
        };
        self.shared.block_on(turn).flatten().ok_or(Setback::Stopped)
    }

    fn stored_photo(&self) -> Result<StoredPhoto, Setback> {
        let (user_id, photo_id) = (self.job.user_id, self.job.photo_id);
        let read = self.shared.parts.photos.photo(user_id, photo_id);
        let photo = match self.shared.block_on(read) {
            Some(Ok(photo)) => photo,
            Some(Err(error)) if error.is_outage() || error.is_transient() => {
                return Err(Setback::Trouble(Trouble {
                    what: error.to_string(),
                    reading_photo: false,
                }));
            }
            Some(Err(error)) => {
                tracing::error!(job_id = %self.job.id, %error, "could not look a photo up");
                return Err(failures::unexpected().into());
            }
            None => return Err(Setback::Stopped),
        };
        let stored = photo.and_then(|photo| photo.stored);
        stored.ok_or_else(|| failures::unexpected().into())
    }

    fn read(&self, stored: &StoredPhoto) -> Result<Bytes, Setback> {
        let key = ObjectKey::of_original(self.job.user_id, self.job.photo_id, stored);
        match self.shared.block_on(self.shared.parts.files.get(&key)) {
            Some(Ok(Some(bytes))) => Ok(bytes),
            Some(Ok(None)) => Err(failures::unexpected().into()),
            Some(Err(error)) => Err(self.setback_of(&error, true)),
            None => Err(Setback::Stopped),
        }
    }

    /// What an error of the storage means for the attempt.
    fn setback_of(&self, error: &StorageError, reading_photo: bool) -> Setback {
        tracing::warn!(job_id = %self.job.id, %error, "the photo storage failed");
        if error.is_outage() {
            Setback::Trouble(Trouble {
                what: error.to_string(),
                reading_photo,
            })
        } else {
            failures::storage_unavailable().into()
        }
    }

    fn process(&self, photo: &[u8], limits: Limits) -> Result<ProcessedIris, Setback> {
        let options = ProcessOptions {
            limits,
            threads: self.shared.threads_per_job(),
            ..process_options(&self.job.options)
        };
        let mut observer = Reporting {
            attempt: self,
            planned_failure: None,
        };
        let processed = pipeline::process(photo, &options, &mut observer);
        match (processed, observer.planned_failure) {
            (_, Some(failure)) => Err(failure.into()),
            (Ok(processed), None) => Ok(processed),
            (Err(ProcessError::Stopped), None) => Err(Setback::Stopped),
            (Err(ProcessError::Rejected(rejection)), None) => {
                Err(failures::rejected(&rejection).into())
            }
            (Err(ProcessError::Internal(error)), None) => {
                tracing::error!(job_id = %self.job.id, error, "a step failed");
                Err(failures::step_failed().into())
            }
        }
    }

    fn write_results(&self, objects: Vec<(JobObject, Bytes)>) -> Result<(), Setback> {
        for (object, bytes) in objects {
            if self.running.stop_reason().is_some() {
                return Err(Setback::Stopped);
            }
            let key = ObjectKey::of_job(self.job.user_id, self.job.id, self.job.epoch, object);
            let written = self
                .shared
                .block_on(self.shared.parts.files.put(&key, bytes));
            let written = written.ok_or(Setback::Stopped)?;
            written.map_err(|error| self.setback_of(&error, false))?;
            if let Some(point) = point_after(object) {
                self.strike(point)?;
            }
        }
        Ok(())
    }

    fn strike(&self, point: &str) -> Result<(), Failure> {
        self.shared.parts.faults.strike(point, self.job)
    }
}

/// Who chose no outline gets both where both can be made.
fn process_options(options: &PictureOptions) -> ProcessOptions {
    ProcessOptions {
        outline: options.outline.map(|outline| match outline {
            irisflow_jobs::Outline::Round => Outline::Round,
            irisflow_jobs::Outline::Visible => Outline::Visible,
        }),
        both_outlines: options.outline.is_none(),
        size: match options.size {
            PictureSize::Pixels(pixels) => ResultSize::Pixels(pixels),
            PictureSize::Auto => ResultSize::Auto,
        },
        background: match options.background {
            irisflow_jobs::Background::Black => Background::Black,
            irisflow_jobs::Background::White => Background::White,
            irisflow_jobs::Background::Transparent => Background::Transparent,
            irisflow_jobs::Background::Photo => Background::Photo,
        },
        enhancement: match options.preset {
            irisflow_jobs::Preset::Natural => Preset::Natural.enhancement(),
            irisflow_jobs::Preset::Vivid => Preset::Vivid.enhancement(),
        },
        ..ProcessOptions::default()
    }
}

fn outline_of(outline: Outline) -> irisflow_jobs::Outline {
    match outline {
        Outline::Round => irisflow_jobs::Outline::Round,
        Outline::Visible => irisflow_jobs::Outline::Visible,
    }
}

/// Reports what the pipeline does, and stops it when the attempt is to stop.
struct Reporting<'a> {
    attempt: &'a Attempt<'a>,
    planned_failure: Option<Failure>,
}

impl Observer for Reporting<'_> {
    fn stage(&mut self, stage: Stage, mark: StageMark) -> ControlFlow<()> {
        let attempt = self.attempt;
        if let Some(checkpoint) = checkpoint_of(stage, mark) {
            attempt.reached(checkpoint);
        }
        if mark == StageMark::Begin
            && let Some(point) = point_of(stage)
            && let Err(failure) = attempt.strike(point)
        {
            self.planned_failure = Some(failure);
            return ControlFlow::Break(());
        }
        match attempt.running.stop_reason() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    fn wants_previews(&self) -> bool {
        true
    }

    fn preview(&mut self, preview: Preview) {
        self.attempt.recorder.preview(preview);
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

/// Where planned faults strike once an object is written.
fn point_after(object: JobObject) -> Option<&'static str> {
    match object {
        JobObject::Result | JobObject::ResultPng => Some(point::AFTER_RESULT),
        JobObject::Mask => Some(point::AFTER_MASK),
        JobObject::Before => Some(point::AFTER_BEFORE),
        JobObject::Thumbnail
        | JobObject::Alternative
        | JobObject::AlternativePng
        | JobObject::AlternativeMask
        | JobObject::Preview(_) => None,
    }
}

/// What is to be stored, in the order in which it is written.
fn take_objects(processed: &mut ProcessedIris, format: PictureFormat) -> Vec<(JobObject, Bytes)> {
    let mut objects = vec![
        (JobObject::result(format), &mut processed.result),
        (JobObject::Mask, &mut processed.mask_png),
        (JobObject::Before, &mut processed.before_jpeg),
        (JobObject::Thumbnail, &mut processed.thumbnail_jpeg),
    ];
    if let Some(other) = &mut processed.other {
        objects.push((JobObject::alternative(format), &mut other.result));
        objects.push((JobObject::AlternativeMask, &mut other.mask_png));
    }
    objects
        .into_iter()
        .map(|(object, bytes)| (object, std::mem::take(bytes).into()))
        .collect()
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
            ("filled_share", processed.filled_share),
        ])
        .map(|(name, value)| (name.to_owned(), serde_json::json!(value)))
        .collect()
}
