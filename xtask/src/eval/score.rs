//! One answer of the product against the truth.

use irisflow_image::geometry::Ellipse;
use irisflow_image::load::{EyePhoto, Limits, load_photo};
use irisflow_image::plane::Plane;
use irisflow_image::segment::{
    Evidence, IrisSegmentation, Label, Quality, find_candidates, segment_iris,
};

/// What the product says to a photo.
#[derive(Debug)]
pub(super) struct Answer {
    pub found: Result<IrisSegmentation, Refusal>,
    pub milliseconds: f64,
}

/// Why a photo was turned down, with the figure and the limit it was held against.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub code: &'static str,
    pub value: Option<f64>,
    pub threshold: Option<f64>,
}

/// The figures thresholds are put on: of the best candidate, whatever the verdict on it.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub confidence: f32,
    pub evidence: Evidence,
    pub quality: Quality,
    /// Against the truth, where there is one.
    pub accuracy: Option<Accuracy>,
}

/// From the bytes of a file to the verdict, as in the product.
pub(super) fn ask(bytes: &[u8]) -> anyhow::Result<(EyePhoto, Answer)> {
    let photo = load_photo(bytes, &Limits::default())?;
    let started = std::time::Instant::now();
    let found = segment_iris(&photo);
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    let found = found.map_err(|rejection| Refusal {
        code: rejection.code.as_str(),
        value: rejection.measured.map(|measured| measured.value),
        threshold: rejection.measured.map(|measured| measured.threshold),
    });
    Ok((
        photo,
        Answer {
            found,
            milliseconds,
        },
    ))
}

/// The figures behind an answer; `accuracy` compares what was found with the truth.
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

/// The truth of one photo.
pub(super) struct Truth<'a> {
    pub iris: Ellipse,
    pub pupil: Option<Ellipse>,
    /// Whether a pixel shows iris or pupil, be it under a reflection.
    pub visible: &'a dyn Fn(u32, u32) -> bool,
    pub width: u32,
    pub height: u32,
}

/// Errors are in per cent of the true iris radius.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accuracy {
    /// Intersection over union of what shows of iris and pupil.
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
            let ours = is_shown(found, x, y);
            both += u64::from(there && ours);
            either += u64::from(there || ours);
        }
    }
    both as f64 / either.max(1) as f64
}

/// Whether we call a pixel of the photo visible iris, pupil, or a reflection on them.
pub(super) fn is_shown(found: &IrisSegmentation, x: u32, y: u32) -> bool {
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

/// An 8-bit plane: 1 visible iris, 2 pupil, 3 hidden.
pub(super) fn mask_shows(mask: &Plane, x: u32, y: u32) -> bool {
    matches!(mask.at(x, y), 1 | 2)
}
