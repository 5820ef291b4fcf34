//! Find the iris: limbus and pupil as ellipses, lids as curves, a label per pixel, and a confidence.

mod advice;
mod closeup;
mod detail;
mod detection;
mod edges;
mod ellipse_fit;
mod evidence;
mod float_image;
mod inference;
mod labels;
mod lids;
mod limbus;
mod photo_side;
mod pupil;
mod quality;
mod ring_light;
mod sharpness;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod verdict;

use crate::geometry::{Ellipse, PixelRect, Polyline};
use crate::plane::{Plane, ReducedPhoto, YCbCr};
use crate::rejection::Rejection;

use closeup::Closeup;
use detection::{Detection, Overview, detect, detect_in_small_parts, shows_eye};
use ellipse_fit::PUPIL_PRIOR;
use inference::Inference;
use labels::{draw_labels, hide_covered, label_rect};
use lids::Opening;
use limbus::{Limbus, find_limbus};
use pupil::{ExpectedPupil, find_pupil};
use quality::measure_quality;
use ring_light::RingLight;

pub use advice::{Praise, Tip};
pub use evidence::Evidence;
pub use photo_side::Side;
pub use quality::{Quality, Worth};
pub use verdict::LIMITS;

/// What `segment_iris` needs of a photo: a reduced copy of all of it, and full resolution where asked.
pub trait PhotoPixels {
    /// Width and height of the upright photo.
    fn size(&self) -> (u32, u32);
    /// The whole photo, reduced so that its longer side has at most `max_side` pixels (never enlarged).
    fn reduced(&self, max_side: u32) -> ReducedPhoto;
    /// The pixels of `rect` at full resolution; `rect` lies within the photo.
    fn crop(&self, rect: PixelRect) -> YCbCr;
    /// The same, with chroma at half its size; an odd last row or column of it is dropped.
    fn crop_with_half_chroma(&self, rect: PixelRect) -> YCbCr {
        with_half_chroma(self.crop(rect))
    }
    /// `rect`, which lies within the photo, as `size` (width, height) pixels, without aliasing.
    fn scaled(&self, rect: PixelRect, size: (u32, u32)) -> YCbCr;
}

/// Planes with chroma at half its size.
pub(crate) fn with_half_chroma(planes: YCbCr) -> YCbCr {
    YCbCr {
        y: planes.y,
        cb: planes.cb.halved(),
        cr: planes.cr.halved(),
    }
}

/// Where the iris is, in pixels of the upright photo.
#[derive(Debug, Clone)]
pub struct IrisSegmentation {
    /// The limbus: the outer border of the iris, also where lids or the frame hide it.
    pub iris: Ellipse,
    /// The pupil.
    pub pupil: Ellipse,
    /// Margin of the upper lid, left to right; empty when no lid comes near the iris.
    pub upper_lid: Polyline,
    /// Margin of the lower lid, left to right; empty when no lid comes near the iris.
    pub lower_lid: Polyline,
    /// The part of the photo that `labels` covers.
    pub rect: PixelRect,
    /// One [`Label`] per pixel of `rect`.
    pub labels: Plane,
    /// The probability, 0 to 1, that this is an iris and was measured rightly.
    pub confidence: f32,
    /// Share of the iris ring between the lids, 0 to 1, whatever hangs before it there.
    pub open_share: f32,
    pub quality: Quality,
    /// Where the light comes from that is mirrored most; none without a large reflection.
    pub light_from: Option<Side>,
}

/// The values of a label plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Label {
    Nothing = 0,
    VisibleIris = 1,
    Pupil = 2,
    /// Inside the limbus, but behind a lid or lashes.
    Hidden = 3,
    /// A specular highlight on iris or pupil.
    Reflection = 4,
}

/// The result of judging a photo, before any work on it.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// How many eyes were seen, usable or not.
    pub eyes_seen: usize,
    /// The iris that can be used best, also when it is not good enough.
    pub iris: Option<IrisSegmentation>,
    /// Why the photo cannot be used; none when it can.
    pub rejection: Option<Rejection>,
}

impl Verdict {
    /// Of a photo that cannot even be decoded.
    pub fn unreadable(rejection: Rejection) -> Self {
        Self {
            eyes_seen: 0,
            iris: None,
            rejection: Some(rejection),
        }
    }

    /// The iris, when it can be used.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn into_usable(self) -> Result<IrisSegmentation, Rejection> {
        match (self.rejection, self.iris) {
            (Some(rejection), _) => Err(rejection),
            (None, Some(iris)) => Ok(iris),
            (None, None) => Err(verdict::no_iris_found(0.0, true)),
        }
    }
}

/// Looks for eyes and says whether the best of them can be used.
pub fn judge_photo(photo: &dyn PhotoPixels) -> Verdict {
    judge_candidates(photo, &find_candidates(photo))
}

/// The same, with the likeliest iris, be it one of an eye or not.
pub(crate) fn judge_with_likeliest(photo: &dyn PhotoPixels) -> (Verdict, Option<Ellipse>) {
    let overview = Overview::of(photo);
    let candidates = overview.as_ref().map(|seen| candidates_in(photo, seen));
    let verdict = judge_candidates(photo, &candidates.unwrap_or_default());
    (verdict, overview.and_then(|seen| seen.likeliest_iris()))
}

/// Without a search of small parts: an eye that fills little of the photo is missed. None where neither the photo from
/// afar nor the surroundings of `likeliest` show an eye, which costs little to find out.
pub(crate) fn judge_at_first_sight(
    photo: &dyn PhotoPixels,
    likeliest: Option<&Ellipse>,
) -> Option<Verdict> {
    if !shows_eye(photo, likeliest) {
        return None;
    }
    let candidates = measure_all(photo, detect(photo, &Overview::of(photo)?));
    Some(judge_candidates(photo, &candidates))
}

fn judge_candidates(photo: &dyn PhotoPixels, candidates: &[Candidate]) -> Verdict {
    let eyes = candidates.iter().filter(|candidate| candidate.is_eye());
    let judged = eyes.clone().filter_map(|eye| {
        let segmentation = eye.segmentation(photo)?;
        let rejection = verdict::judge(&segmentation, photo.size()).err();
        Some((segmentation, rejection))
    });
    // A usable one before an unusable one, then by quality.
    let rank = |(iris, rejection): &(IrisSegmentation, Option<Rejection>)| {
        (rejection.is_none(), iris.quality.score())
    };
    match judged.max_by_key(rank) {
        Some((iris, rejection)) => Verdict {
            eyes_seen: eyes.count(),
            iris: Some(iris),
            rejection,
        },
        None => {
            let unclear = candidates.iter().find(|seen| seen.is_unclear());
            let confidence = candidates.first().map_or(0.0, |best| best.confidence);
            let tip = |eye: &Candidate| eye.segmentation(photo)?.quality.tip();
            let rejection = match unclear {
                Some(eye) => verdict::iris_unclear(eye.confidence, tip(eye)),
                None => verdict::nothing_found(&photo.reduced(LIGHT_SIDE).planes.y, confidence),
            };
            Verdict {
                eyes_seen: 0,
                iris: None,
                rejection: Some(rejection),
            }
        }
    }
}

/// Finds the iris that can be used best.
///
/// # Errors
/// A rejection when there is no iris, or none worth processing. There is no fallback mask.
pub fn segment_iris(photo: &dyn PhotoPixels) -> Result<IrisSegmentation, Rejection> {
    judge_photo(photo).into_usable()
}

/// The longer side of the copy whose brightness is measured when no iris was found.
const LIGHT_SIDE: u32 = 256;

/// A detection that was measured, with the evidence for and against an eye.
#[derive(Debug)]
pub struct Candidate {
    pub iris: Ellipse,
    pub pupil: Ellipse,
    pub evidence: Evidence,
    pub confidence: f32,
    /// By the detection network: decides whether it is an eye.
    detection: Detection,
    /// By the measurement network, from closer: shows where iris, pupil and lids end.
    near: Detection,
    closeup: Closeup,
    limbus: Limbus,
}

impl Candidate {
    /// Whether this is an eye, be it one that cannot be used.
    fn is_eye(&self) -> bool {
        verdict::is_eye(self.confidence, self.iris.mean_radius())
    }

    /// Whether it is an eye for the network, though its measures are not to be trusted.
    fn is_unclear(&self) -> bool {
        verdict::is_unclear(&self.evidence, self.confidence)
    }

    /// Its segmentation whatever the verdict, for the developers' tools.
    pub fn segmentation(&self, photo: &dyn PhotoPixels) -> Option<IrisSegmentation> {
        segment_closely(photo, self)
    }
}

/// All candidates, the most certain first. Small parts of the photo are searched when no eye was found
/// otherwise.
pub fn find_candidates(photo: &dyn PhotoPixels) -> Vec<Candidate> {
    let overview = Overview::of(photo);
    overview.map_or_else(Vec::new, |overview| candidates_in(photo, &overview))
}

fn candidates_in(photo: &dyn PhotoPixels, overview: &Overview) -> Vec<Candidate> {
    let mut candidates = measure_all(photo, detect(photo, overview));
    if !candidates.iter().any(Candidate::is_eye) {
        candidates.extend(measure_all(photo, detect_in_small_parts(photo, overview)));
    }
    candidates.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    candidates
}

fn measure_all(photo: &dyn PhotoPixels, detections: Vec<Detection>) -> Vec<Candidate> {
    detections
        .into_iter()
        .filter_map(|detection| measure_candidate(photo, detection))
        .collect()
}

/// Radius in the closeup, pixels.
const MEASURING_RADIUS: f32 = 110.0;

fn measure_candidate(photo: &dyn PhotoPixels, detection: Detection) -> Option<Candidate> {
    let closeup = Closeup::of_photo(photo, &detection.disc, MEASURING_RADIUS)?;
    let near = detection.measure(photo)?;
    let open = |x: f32, y: f32| {
        let (x, y) = closeup.point_to_photo((x, y));
        near.inference.at(&near.inference.maps.opening, x, y)
    };
    let limbus = find_limbus(&closeup, &closeup.to_local(&near.disc), &open);
    let expected = expected_pupil(&closeup, &near.inference, &limbus.ellipse);
    let pupil = find_pupil(&closeup, &limbus.ellipse, &expected);
    let (iris, outlined) = (closeup.to_photo(&limbus.ellipse), closeup.to_photo(&pupil));
    let inferences = (&detection.inference, &near.inference);
    let evidence = evidence::gather(&closeup, &limbus, inferences, &iris, &outlined);
    Some(Candidate {
        iris,
        pupil: outlined,
        confidence: verdict::confidence(&evidence),
        evidence,
        detection,
        near,
        closeup,
        limbus,
    })
}

/// The pupil as the network sees it, or an ordinary one.
fn expected_pupil(closeup: &Closeup, inference: &Inference, limbus: &Ellipse) -> ExpectedPupil {
    let map = &inference.maps.pupil;
    let seen = inference.regions(map).into_iter().find_map(|region| {
        let ellipse = inference.outline(map, &region, PUPIL_PRIOR)?;
        let ellipse = closeup.to_local(&ellipse);
        let circle = Ellipse::circle(ellipse.cx, ellipse.cy, ellipse.mean_radius());
        let ratio = circle.rx / limbus.mean_radius();
        let within = limbus.normalised_distance(circle.cx, circle.cy) < 0.35;
        (region.peak >= 0.5 && within && pupil::is_possible(ratio)).then_some(circle)
    });
    seen.map_or_else(|| ExpectedPupil::of_any(limbus), ExpectedPupil::seen)
}

fn segment_closely(photo: &dyn PhotoPixels, found: &Candidate) -> Option<IrisSegmentation> {
    let (width, height) = photo.size();
    let (iris, pupil, closeup) = (found.iris, found.pupil, &found.closeup);
    let (near, far) = (&found.near.inference, &found.detection.inference);
    let opening = Opening::over(&iris, near, far, found.evidence.opening_overlap);
    let rect = label_rect(&iris, width, height)?;
    let mut labels = draw_labels(rect, &iris, &pupil, &opening);
    let open_share = quality::visible_share(&labels);
    hide_covered(&mut labels, rect, near);
    let light = RingLight::of(
        closeup,
        far,
        &found.limbus.ellipse,
        &closeup.to_local(&pupil),
    );
    let quality = measure_quality(
        photo,
        closeup,
        far,
        &found.limbus,
        (&iris, &pupil),
        (&labels, rect),
        &light,
    );
    Some(IrisSegmentation {
        iris,
        pupil,
        upper_lid: opening.upper_lid(),
        lower_lid: opening.lower_lid(),
        rect,
        labels,
        open_share,
        quality,
        light_from: light.from,
        confidence: found.confidence,
    })
}
