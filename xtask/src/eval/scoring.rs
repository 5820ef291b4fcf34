//! Runs the product's segmenter on one photo and compares the result with the ground truth.

use irisflow_image::geometry::Ellipse;
use irisflow_image::load::{EyePhoto, Limits, load_photo};
use irisflow_image::plane::Plane;
use irisflow_image::segment::PhotoPixels as _;
use irisflow_image::segment::{Evidence, IrisSegmentation, Label, Quality, find_candidates};
use irisflow_image::upright::{Judged, judge_either_way_up, turned};

/// The product's result for a photo.
#[derive(Debug)]
pub(super) struct SegmentationOutcome {
    pub found: Result<IrisSegmentation, Rejection>,
    /// Whether it was found only after a turn of the photo.
    pub turned: bool,
    pub milliseconds: f64,
}

/// Why a photo was rejected, with the measured value and its limit.
#[derive(Debug, Clone)]
pub(super) struct Rejection {
    pub code: &'static str,
    pub value: Option<f64>,
    pub threshold: Option<f64>,
}

/// The figures that have limits, of the best candidate, whether it was accepted or rejected.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub confidence: f32,
    pub evidence: Evidence,
    pub quality: Quality,
    /// Comparison with the ground truth, where there is one.
    pub accuracy: Option<Accuracy>,
}

/// Decodes and segments a photo as the product does; the time does not include the decoding.
pub(super) fn segment_bytes(bytes: &[u8]) -> anyhow::Result<(EyePhoto, SegmentationOutcome)> {
    let photo = load_photo(bytes, &Limits::default())?;
    let started = std::time::Instant::now();
    let Judged {
        mut photo,
        mut verdict,
        turn,
    } = judge_either_way_up(photo);
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    if let (Some(iris), Some(turn)) = (&mut verdict.iris, turn) {
        *iris = turned(iris, turn.reversed(), photo.size());
        photo.turn(turn.reversed());
    }
    let found = verdict.into_usable().map_err(|rejection| Rejection {
        code: rejection.code().as_str(),
        value: rejection.missed_limit().map(|missed| missed.value),
        threshold: rejection.missed_limit().map(|missed| missed.threshold),
    });
    Ok((
        photo,
        SegmentationOutcome {
            found,
            turned: turn.is_some(),
            milliseconds,
        },
    ))
}

/// The figures of the best candidate; `accuracy` compares its segmentation with the ground truth.
pub(super) fn figures(
    photo: &EyePhoto,
    accuracy: impl FnOnce(&IrisSegmentation) -> Option<Accuracy>,
) -> Option<Figures> {
    let examined = find_candidates(photo);
    let best = examined.first()?;
    let segmentation = best.segmentation(photo)?;
    Some(Figures {
        confidence: best.confidence,
        evidence: best.evidence,
        quality: segmentation.quality,
        accuracy: accuracy(&segmentation),
    })
}

/// Ground truth of one photo.
pub(super) struct Truth<'a> {
    pub iris: Ellipse,
    pub pupil: Option<Ellipse>,
    /// Whether a pixel is visible iris or pupil, reflections included.
    pub visible: &'a dyn Fn(u32, u32) -> bool,
    pub width: u32,
    pub height: u32,
}

/// Errors are in per cent of the true iris radius.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accuracy {
    /// Intersection over union of the visible iris and pupil.
    pub overlap: f64,
    pub centre_error: f64,
    pub radius_error: f64,
    pub pupil_error: Option<f64>,
    pub confidence: f32,
}

pub(super) fn accuracy(found: &IrisSegmentation, truth: &Truth<'_>) -> Accuracy {
    let radius = f64::from(truth.iris.mean_radius());
    let percent_of_radius = |distance: f32| 100.0 * f64::from(distance) / radius;
    let offset = |a: &Ellipse, b: &Ellipse| (a.cx - b.cx).hypot(a.cy - b.cy);
    let growth = |a: &Ellipse, b: &Ellipse| a.mean_radius() - b.mean_radius();
    Accuracy {
        overlap: visible_overlap(found, truth),
        centre_error: percent_of_radius(offset(&found.iris, &truth.iris)),
        radius_error: percent_of_radius(growth(&found.iris, &truth.iris)),
        pupil_error: truth.pupil.map(|pupil| {
            let growth = growth(&found.pupil, &pupil).abs();
            percent_of_radius(offset(&found.pupil, &pupil).max(growth))
        }),
        confidence: found.confidence,
    }
}

fn visible_overlap(found: &IrisSegmentation, truth: &Truth<'_>) -> f64 {
    let (mut both, mut either) = (0_u64, 0_u64);
    for y in 0..truth.height {
        for x in 0..truth.width {
            let there = (truth.visible)(x, y);
            let ours = is_visible(found, x, y);
            both += u64::from(there && ours);
            either += u64::from(there || ours);
        }
    }
    both as f64 / either.max(1) as f64
}

/// Whether the segmentation labels a pixel of the photo as visible iris, pupil, or a reflection on them.
pub(super) fn is_visible(found: &IrisSegmentation, x: u32, y: u32) -> bool {
    const SHOWN: [u8; 3] = [
        Label::VisibleIris as u8,
        Label::Pupil as u8,
        Label::Reflection as u8,
    ];
    let rect = found.rect;
    let inside =
        (rect.x..rect.x + rect.width).contains(&x) && (rect.y..rect.y + rect.height).contains(&y);
    inside && SHOWN.contains(&found.labels.at(x - rect.x, y - rect.y))
}

/// Whether a pixel of an annotation mask (1 visible iris, 2 pupil, 3 occluded) is visible iris or pupil.
pub(super) fn is_iris_or_pupil(mask: &Plane, x: u32, y: u32) -> bool {
    matches!(mask.at(x, y), 1 | 2)
}
