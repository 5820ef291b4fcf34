//! The order of the steps, and nothing more: it reports the step it enters and asks whether to stop.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::coverage::{Coverage, Outline};
use crate::encode::{self, EncodeError, Finished};
use crate::enhance::{Enhancement, enhance};
use crate::finish::{self, Background, ResultSize};
use crate::geometry::QuarterTurn;
use crate::load::{ColourProfile, Limits, load_photo};
use crate::memory;
use crate::plane::Plane;
use crate::previews::{self, Preview};
use crate::rectified::{RectifiedIris, RectifiedView, rectify_iris};
use crate::reflections::{Sensitivity, WithoutReflections, remove_reflections};
use crate::rejection::Rejection;
use crate::segment::{IrisSegmentation, PhotoPixels, Quality};
use crate::threads::Threads;
use crate::thumbnail;
use crate::upright::{Judged, judge_either_way_up};

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

    /// Whether previews are made.
    fn wants_previews(&self) -> bool {
        false
    }

    /// Takes a small picture of the work so far: between the end of the stage that it shows and the next stage.
    fn preview(&mut self, _preview: Preview) {}
}

impl<F: FnMut(Stage, StageMark) -> ControlFlow<()>> Observer for F {
    fn stage(&mut self, stage: Stage, mark: StageMark) -> ControlFlow<()> {
        self(stage, mark)
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessOptions {
    pub limits: Limits,
    /// None: round where enough of the iris is seen to complete the rest, else what is visible. A round outline
    /// that cannot be completed becomes the visible one.
    pub outline: Option<Outline>,
    /// Also make the picture with the other outline, where there is one: it costs only its encoding.
    pub both_outlines: bool,
    pub size: ResultSize,
    pub background: Background,
    pub sensitivity: Sensitivity,
    pub enhancement: Enhancement,
    /// How many may work on the photo at a time.
    pub threads: Threads,
}

/// The finished picture with one outline.
#[derive(Clone)]
pub struct OutlinedIris {
    pub outline: Outline,
    /// JPEG; PNG on a transparent background.
    pub result: Vec<u8>,
    /// See [`finish::MaskValue`].
    pub mask_png: Vec<u8>,
    /// The result, small, for lists; JPEG, on black where the result is transparent.
    pub thumbnail_jpeg: Vec<u8>,
    /// Share of the iris ring that was filled in: under reflections, and with a round outline behind lids.
    pub filled_share: f32,
}

impl std::fmt::Debug for OutlinedIris {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutlinedIris({:?})", self.outline)
    }
}

/// The result of the pipeline. All three pictures show the same place, edge to edge.
#[derive(Clone)]
pub struct ProcessedIris {
    /// Which outline the result has.
    pub outline: Outline,
    /// The iris, round and centred: JPEG, or PNG on a transparent background.
    pub result: Vec<u8>,
    /// See [`finish::MaskValue`].
    pub mask_png: Vec<u8>,
    /// The same part of the photo, untouched and not masked, with as many pixels as the photo has of it.
    pub before_jpeg: Vec<u8>,
    /// The result, small, for lists.
    pub thumbnail_jpeg: Vec<u8>,
    /// Share of the iris ring that was filled in: under reflections, and with a round outline behind lids.
    pub filled_share: f32,
    /// The picture with the other outline, when it was asked for and there is one.
    pub other: Option<OutlinedIris>,
    /// Whether the pupil can be told from the iris; if not, it is as photographed.
    pub pupil_certain: bool,
    pub width: u32,
    pub height: u32,
    /// The size of the upright photo, as its file says.
    pub photo_size: (u32, u32),
    /// How that photo had to be turned for its eye to be upright.
    pub turn: Option<QuarterTurn>,
    /// As found on the turned photo, with reflections marked.
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
    let photo_size = photo.size();
    let (photo, turn, before, mut segmentation, eyes_seen) =
        stages.run(Stage::Segmenting, || {
            let Judged {
                photo,
                verdict,
                turn,
            } = judge_either_way_up(photo);
            let eyes_seen = verdict.eyes_seen;
            let segmentation = verdict.into_usable()?;
            let side = options.size.largest();
            let rectified = rectify_iris(&photo, &segmentation.iris, side, options.threads);
            Ok((photo, turn, rectified, segmentation, eyes_seen))
        })?;
    stages.preview(|| previews::outline(&photo, &segmentation));
    let profile = photo.profile().cloned();
    drop(photo); // The full frame is by far the largest thing held.
    let judged = segmentation.quality;
    let mut cleaned = stages.run(Stage::RemovingReflections, || {
        let sensitivity = &options.sensitivity;
        Ok(remove_reflections(
            &before,
            &mut segmentation,
            sensitivity,
            options.threads,
        ))
    })?;
    stages.preview(|| previews::light(&before, &cleaned, &segmentation));
    let outlines = Outlines::of(options, cleaned.completed);
    let coverage = stages.run(Stage::Enhancing, || {
        let coverage = Coverage::with(
            outlines.first,
            &segmentation,
            &before.view,
            cleaned.clear_limbus,
        );
        let opacity = coverage.opacity(before.view.side, options.threads);
        enhance(
            &mut cleaned.rectified,
            &segmentation.pupil,
            &opacity,
            &options.enhancement,
            options.threads,
        );
        Ok(coverage)
    })?;
    stages.preview(|| {
        let (enhanced, background) = (&cleaned.rectified, options.background);
        previews::result(enhanced, &coverage, background, profile.as_ref())
    });
    let side = options.size.of(&before.view);
    let (pupil_certain, clear_limbus) = (cleaned.pupil_certain, cleaned.clear_limbus);
    let (first, other, before_jpeg) = stages.run(Stage::Saving, || {
        let saving = Saving::new(
            cleaned,
            before,
            side,
            &segmentation,
            profile.as_ref(),
            options,
        );
        let first = saving.picture(outlines.first, &coverage)?;
        let other = outlines.other.map(|outline| {
            let coverage = Coverage::with(outline, &segmentation, &saving.view, clear_limbus);
            saving.picture(outline, &coverage)
        });
        Ok((first, other.transpose()?, saving.before()?))
    })?;
    Ok(ProcessedIris {
        outline: first.outline,
        result: first.result,
        mask_png: first.mask_png,
        before_jpeg,
        thumbnail_jpeg: first.thumbnail_jpeg,
        filled_share: first.filled_share,
        other,
        pupil_certain,
        width: side,
        height: side,
        photo_size,
        turn,
        segmentation,
        judged,
        eyes_seen,
        stage_ms: stages.stage_ms,
    })
}

/// The outlines of the pictures that are made.
struct Outlines {
    first: Outline,
    other: Option<Outline>,
}

impl Outlines {
    fn of(options: &ProcessOptions, completed: bool) -> Self {
        if !completed {
            return Self {
                first: Outline::Visible,
                other: None,
            };
        }
        let first = options.outline.unwrap_or(Outline::Round);
        Self {
            first,
            other: options.both_outlines.then(|| first.other()),
        }
    }
}

/// What the pictures of all outlines have in common.
struct Saving<'a> {
    /// The enhanced iris at the size of the result.
    full: Finished,
    before: RectifiedIris,
    filled: Plane,
    view: RectifiedView,
    hidden_share: f32,
    side: u32,
    segmentation: &'a IrisSegmentation,
    profile: Option<&'a ColourProfile>,
    options: &'a ProcessOptions,
}

impl<'a> Saving<'a> {
    fn new(
        cleaned: WithoutReflections,
        before: RectifiedIris,
        side: u32,
        segmentation: &'a IrisSegmentation,
        profile: Option<&'a ColourProfile>,
        options: &'a ProcessOptions,
    ) -> Self {
        Self {
            view: cleaned.rectified.view,
            full: finish::at_size(cleaned.rectified, side, options.threads),
            before,
            filled: cleaned.filled,
            hidden_share: cleaned.hidden_share,
            side,
            segmentation,
            profile,
            options,
        }
    }

    fn picture(&self, outline: Outline, coverage: &Coverage) -> Result<OutlinedIris, ProcessError> {
        const QUALITY: u8 = 95;
        let threads = self.options.threads;
        let opacity = coverage.opacity(self.side, threads);
        let mask = finish::mask(
            self.segmentation,
            &self.view,
            &opacity,
            &self.filled,
            threads,
        );
        let background = self.options.background;
        let shown = finish::on_background(&self.full, &opacity, background, &self.before, threads);
        let result = match background {
            Background::Transparent => encode::rgba_png(&self.full, &opacity, self.profile)?,
            _ => encode::jpeg(&shown, QUALITY, self.profile, threads)?,
        };
        let reflections = self.segmentation.quality.reflection_share;
        Ok(OutlinedIris {
            outline,
            result,
            mask_png: encode::grey_png(&mask)?,
            thumbnail_jpeg: thumbnail::of_result(&shown, self.profile)?,
            filled_share: match outline {
                Outline::Round => self.hidden_share + (1.0 - self.hidden_share) * reflections,
                Outline::Visible => reflections,
            },
        })
    }

    fn before(self) -> Result<Vec<u8>, ProcessError> {
        const QUALITY: u8 = 90;
        let before = finish::unmasked(self.before);
        Ok(encode::jpeg(
            &before,
            QUALITY,
            self.profile,
            self.options.threads,
        )?)
    }
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

    /// Passes a preview to the observer. One that cannot be made is left out.
    fn preview(&mut self, make: impl FnOnce() -> Option<Preview>) {
        if !self.observer.wants_previews() {
            return;
        }
        if let Ok(Some(preview)) = catch_unwind(AssertUnwindSafe(make)) {
            self.observer.preview(preview);
        }
    }

    fn report(&mut self, stage: Stage, mark: StageMark) -> Result<(), ProcessError> {
        match self.observer.stage(stage, mark) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ProcessError::Stopped),
        }
    }
}
