//! The order of the steps, and nothing more: it reports the step it enters and asks whether to stop.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::coverage::Coverage;
use crate::encode::{self, EncodeError};
use crate::enhance::{Enhancement, enhance};
use crate::finish;
use crate::load::{ColourProfile, Limits, load_photo};
use crate::memory;
use crate::plane::Plane;
use crate::rectified::{RESULT_SIDE, RectifiedIris, rectify_iris};
use crate::reflections::{Sensitivity, WithoutReflections, remove_reflections};
use crate::rejection::Rejection;
use crate::segment::{IrisSegmentation, PhotoPixels, Quality, judge_photo};
use crate::threads::Threads;
use crate::thumbnail;

/// The steps a photo goes through, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    Loading,
    Segmenting,
    RemovingReflections,
    Enhancing,
    Saving,
}

impl Stage {
    pub const ALL: [Self; 5] = [
        Self::Loading,
        Self::Segmenting,
        Self::RemovingReflections,
        Self::Enhancing,
        Self::Saving,
    ];

    /// The stable name that files and events carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Segmenting => "segmenting",
            Self::RemovingReflections => "removing_reflections",
            Self::Enhancing => "enhancing",
            Self::Saving => "saving",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StageMark {
    Begin,
    End,
}

/// Called at the beginning and end of every stage; may stop the work there.
pub trait Observer {
    fn stage(&mut self, stage: Stage, mark: StageMark) -> ControlFlow<()>;
}

impl<F: FnMut(Stage, StageMark) -> ControlFlow<()>> Observer for F {
    fn stage(&mut self, stage: Stage, mark: StageMark) -> ControlFlow<()> {
        self(stage, mark)
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessOptions {
    pub limits: Limits,
    pub sensitivity: Sensitivity,
    pub enhancement: Enhancement,
    /// How many may work on the photo at a time.
    pub threads: Threads,
}

/// The result of the pipeline. All three pictures show the same place, edge to edge.
#[derive(Clone)]
pub struct ProcessedIris {
    /// The iris, round and centred on black.
    pub result_jpeg: Vec<u8>,
    /// See [`finish::MaskValue`].
    pub mask_png: Vec<u8>,
    /// The same part of the photo, untouched and not masked, with as many pixels as the photo has of it.
    pub before_jpeg: Vec<u8>,
    /// The result, small, for lists.
    pub thumbnail_jpeg: Vec<u8>,
    pub width: u32,
    pub height: u32,
    /// The size of the upright photo.
    pub photo_size: (u32, u32),
    /// As found, with reflections marked.
    pub segmentation: IrisSegmentation,
    /// The quality of the photo as it came, on which the verdict rests; that of `segmentation` knows the
    /// reflections better, which were measured when they were taken away.
    pub judged: Quality,
    /// How many eyes were seen in the photo, usable or not.
    pub eyes_seen: usize,
    /// Milliseconds per stage, in the order of [`Stage::ALL`].
    pub stage_ms: [f64; 5],
}

impl std::fmt::Debug for ProcessedIris {
    /// Says sizes only: pixels of an eye identify its owner and never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProcessedIris({} x {})", self.width, self.height)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The person who took the photo can act.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The observer asked for it.
    #[error("stopped on request")]
    Stopped,
    /// A bug of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<EncodeError> for ProcessError {
    fn from(error: EncodeError) -> Self {
        Self::Internal(error.to_string())
    }
}

/// Takes the bytes of a photo to a picture of its iris.
///
/// # Errors
/// [`ProcessError::Rejected`] when the photo cannot be used, [`ProcessError::Stopped`] when the
/// observer asked for it, [`ProcessError::Internal`] when a step failed or panicked.
pub fn process(
    bytes: &[u8],
    options: &ProcessOptions,
    observer: &mut dyn Observer,
) -> Result<ProcessedIris, ProcessError> {
    memory::keep_freed_memory();
    let mut stages = Stages {
        observer,
        stage_ms: [0.0; 5],
    };
    let photo = stages.run(Stage::Loading, || Ok(load_photo(bytes, &options.limits)?))?;
    let (before, mut segmentation, eyes_seen) = stages.run(Stage::Segmenting, || {
        let verdict = judge_photo(&photo);
        let eyes_seen = verdict.eyes_seen;
        let segmentation = verdict.into_usable()?;
        let rectified = rectify_iris(&photo, &segmentation.iris, options.threads);
        Ok((rectified, segmentation, eyes_seen))
    })?;
    let photo_size = photo.size();
    let profile = photo.profile().cloned();
    drop(photo); // The full frame is by far the largest thing held.
    let judged = segmentation.quality;
    let WithoutReflections {
        mut rectified,
        filled,
    } = stages.run(Stage::RemovingReflections, || {
        let sensitivity = &options.sensitivity;
        Ok(remove_reflections(
            &before,
            &mut segmentation,
            sensitivity,
            options.threads,
        ))
    })?;
    let (coverage, opacity) = stages.run(Stage::Enhancing, || {
        let coverage = Coverage::of(&segmentation, &rectified.view);
        let opacity = coverage.opacity(rectified.view.side, options.threads);
        enhance(
            &mut rectified,
            &segmentation.pupil,
            &opacity,
            &options.enhancement,
            options.threads,
        );
        Ok((coverage, opacity))
    })?;
    let saved = stages.run(Stage::Saving, || {
        let opacity = match rectified.view.side {
            RESULT_SIDE => opacity,
            _ => coverage.opacity(RESULT_SIDE, options.threads),
        };
        let view = &rectified.view;
        let mask = finish::mask(&segmentation, view, &opacity, &filled, options.threads);
        drop(filled);
        save(
            rectified,
            before,
            &opacity,
            &mask,
            profile.as_ref(),
            options.threads,
        )
    })?;
    Ok(ProcessedIris {
        result_jpeg: saved.result_jpeg,
        mask_png: saved.mask_png,
        before_jpeg: saved.before_jpeg,
        thumbnail_jpeg: saved.thumbnail_jpeg,
        width: RESULT_SIDE,
        height: RESULT_SIDE,
        photo_size,
        segmentation,
        judged,
        eyes_seen,
        stage_ms: stages.stage_ms,
    })
}

struct Saved {
    result_jpeg: Vec<u8>,
    mask_png: Vec<u8>,
    before_jpeg: Vec<u8>,
    thumbnail_jpeg: Vec<u8>,
}

fn save(
    rectified: RectifiedIris,
    before: RectifiedIris,
    opacity: &Plane,
    mask: &Plane,
    profile: Option<&ColourProfile>,
    threads: Threads,
) -> Result<Saved, ProcessError> {
    const RESULT_QUALITY: u8 = 95;
    const BEFORE_QUALITY: u8 = 90;
    let result = finish::on_black(rectified, opacity, threads);
    Ok(Saved {
        result_jpeg: encode::jpeg(&result, RESULT_QUALITY, profile, threads)?,
        mask_png: encode::grey_png(mask)?,
        before_jpeg: encode::jpeg(&finish::unmasked(before), BEFORE_QUALITY, profile, threads)?,
        thumbnail_jpeg: thumbnail::of_result(&result, profile)?,
    })
}

/// Runs stages: calls the observer, measures time, and turns a panic into an error.
struct Stages<'a> {
    observer: &'a mut dyn Observer,
    stage_ms: [f64; 5],
}

impl Stages<'_> {
    fn run<T>(
        &mut self,
        stage: Stage,
        work: impl FnOnce() -> Result<T, ProcessError>,
    ) -> Result<T, ProcessError> {
        self.report(stage, StageMark::Begin)?;
        let started = Instant::now();
        // What a panicking step leaves half-done is dropped with this call, so it is never used.
        let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_panic| {
            let name = stage.as_str();
            Err(ProcessError::Internal(format!("the step {name} panicked")))
        })?;
        self.stage_ms[stage as usize] = started.elapsed().as_secs_f64() * 1000.0;
        self.report(stage, StageMark::End)?;
        Ok(done)
    }

    fn report(&mut self, stage: Stage, mark: StageMark) -> Result<(), ProcessError> {
        match self.observer.stage(stage, mark) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ProcessError::Stopped),
        }
    }
}
