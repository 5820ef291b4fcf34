//! Find the iris: limbus and pupil as ellipses, lids as curves, a label per pixel, and a confidence.

mod candidates;
mod closeup;
mod ellipse_fit;
mod evidence;
mod float_image;
mod labels;
mod learned_lids;
mod lids;
mod limbus;
mod pupil;
mod quality;
#[cfg(test)]
mod tests;
mod verdict;

use crate::geometry::{Ellipse, PixelRect, Polyline};
use crate::plane::{Plane, ReducedPhoto, YCbCr};
use crate::rejection::Rejection;

use candidates::find_candidates;
use closeup::Closeup;
use float_image::FloatImage;
use labels::{draw_labels, label_rect};
use learned_lids::learned_lids;
use lids::{LidCurve, Lids, find_lids};
use limbus::{Limbus, find_limbus, search_channel};
use pupil::find_pupil;
use quality::measure_quality;

pub use evidence::Evidence;

/// What `segment_iris` needs of a photo: a reduced copy of all of it, and full resolution where asked.
pub trait PhotoPixels {
    /// Width and height of the upright photo.
    fn size(&self) -> (u32, u32);
    /// The whole photo, reduced so that its longer side has at most `max_side` pixels (never enlarged).
    fn reduced(&self, max_side: u32) -> ReducedPhoto;
    /// The pixels of `rect` at full resolution; `rect` lies within the photo.
    fn crop(&self, rect: PixelRect) -> YCbCr;
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
    /// 0 to 1: how well limbus, pupil and photometry agree.
    pub confidence: f32,
    pub quality: Quality,
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

/// Numbers that say how usable the iris is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quality {
    /// Mean radius of the limbus, pixels of the upright photo.
    pub iris_radius_px: f32,
    /// Pupil radius divided by iris radius.
    pub pupil_ratio: f32,
    /// Visible share of the iris ring, 0 to 1 (reflections count as visible).
    pub visible_share: f32,
    /// Share of the iris ring under specular highlights, 0 to 1.
    pub reflection_share: f32,
    /// How crisp the iris is, 0 (blurred) to about 0.5: the share of its edges that a slight blur takes.
    pub sharpness: f32,
    /// Mean luma of the visible iris ring, 0 to 255.
    pub mean_luma: f32,
    /// Mean luma step across the limbus from iris to sclera, 0 to 255.
    pub limbus_contrast: f32,
}

/// Finds the iris that can be used best.
///
/// # Errors
/// A rejection when there is no iris, or none worth processing. There is no fallback mask.
pub fn segment_iris(photo: &dyn PhotoPixels) -> Result<IrisSegmentation, Rejection> {
    let reduced = photo.reduced(search_side(photo.size()));
    let examined = examine_candidates(photo, &reduced);
    let nothing_found = |confidence| verdict::nothing_found(&reduced.planes.y, confidence);
    let best = examined.first().ok_or_else(|| nothing_found(0.0))?;
    if best.confidence < verdict::LEAST_CONFIDENCE {
        return Err(nothing_found(best.confidence));
    }
    let segmentation =
        segment_closely(photo, best).ok_or_else(|| nothing_found(best.confidence))?;
    let share_in_frame = quality::share_in_frame(&segmentation.labels, &segmentation.iris);
    verdict::judge(&segmentation.quality, share_in_frame)?;
    Ok(segmentation)
}

/// A place that was looked at closely, with what spoke for and against it.
#[derive(Debug, Clone)]
pub struct Examined {
    pub iris: Ellipse,
    pub pupil: Ellipse,
    pub evidence: Evidence,
    pub confidence: f32,
}

impl Examined {
    /// An iris that is large enough goes before one that is not.
    fn rank(&self) -> f32 {
        let usable = self.confidence >= verdict::LEAST_CONFIDENCE
            && self.iris.mean_radius() >= verdict::LEAST_RADIUS_PX;
        self.confidence + if usable { 1.0 } else { 0.0 }
    }

    /// What each kind of evidence says (0 to 1) and how much its say counts.
    pub fn says(&self) -> Vec<(&'static str, f32, f32)> {
        verdict::says(&self.evidence)
    }
}

/// Every candidate with its evidence, best first: for the developers' tools.
pub fn explain(photo: &dyn PhotoPixels) -> Vec<Examined> {
    let reduced = photo.reduced(search_side(photo.size()));
    examine_candidates(photo, &reduced)
}

/// The longer side of the copy that is searched: about 480 x 400 pixels, whatever the shape.
fn search_side((width, height): (u32, u32)) -> u32 {
    const SEARCH_PIXELS: f64 = 192_000.0;
    let (longer, shorter) = (f64::from(width.max(height)), f64::from(width.min(height)));
    (SEARCH_PIXELS * longer / shorter.max(1.0)).sqrt().round() as u32
}

fn examine_candidates(photo: &dyn PhotoPixels, reduced: &ReducedPhoto) -> Vec<Examined> {
    let channel = search_channel(
        &FloatImage::from_plane(&reduced.planes.y),
        &FloatImage::from_plane(&reduced.planes.cr),
    );
    let mut seen: Vec<Ellipse> = Vec::new();
    let mut examined = Vec::new();
    for candidate in find_candidates(&channel, LEAST_KNOWABLE_RADIUS_PX / reduced.scale) {
        let circle = Ellipse::circle(
            candidate.cx * reduced.scale,
            candidate.cy * reduced.scale,
            candidate.radius * reduced.scale,
        );
        let Some((closeup, limbus)) = approach(photo, reduced, &circle) else {
            continue;
        };
        let iris = closeup.to_photo(&limbus.ellipse);
        if seen.iter().any(|known| is_same(known, &iris)) {
            continue;
        }
        seen.push(iris);
        if !evidence::has_both_sides(&limbus) {
            continue;
        }
        examined.extend(examine(&closeup, &limbus));
    }
    examined.sort_by(|a, b| b.rank().total_cmp(&a.rank()));
    examined
}

/// Whether two starts led to the same place.
fn is_same(a: &Ellipse, b: &Ellipse) -> bool {
    let near = 0.03 * a.mean_radius().max(b.mean_radius());
    (a.cx - b.cx).hypot(a.cy - b.cy) < near && (a.mean_radius() - b.mean_radius()).abs() < near
}

/// Radius in the closeup, pixels: enough to judge, and enough to measure.
const JUDGING_RADIUS: f32 = 32.0;
const MEASURING_RADIUS: f32 = 90.0;
/// An iris of fewer pixels of the photo than this cannot be told from any other dark dot.
const LEAST_KNOWABLE_RADIUS_PX: f32 = 20.0;

/// Steps up to a circle (pixels of the photo) and fits the limbus there.
fn approach(
    photo: &dyn PhotoPixels,
    reduced: &ReducedPhoto,
    circle: &Ellipse,
) -> Option<(Closeup, Limbus)> {
    let enough = circle.rx >= JUDGING_RADIUS * reduced.scale || reduced.scale <= 1.0;
    let closeup = if enough {
        Closeup::of_reduced(reduced, circle, JUDGING_RADIUS)?
    } else {
        Closeup::of_photo(photo, circle, JUDGING_RADIUS)?
    };
    let limbus = find_limbus(&closeup, &closeup.to_local(circle))?;
    Some((closeup, limbus))
}

fn examine(closeup: &Closeup, limbus: &Limbus) -> Option<Examined> {
    let pupil = find_pupil(closeup, &limbus.ellipse)?;
    let evidence = evidence::gather(closeup, limbus, &pupil)?;
    Some(Examined {
        iris: closeup.to_photo(&limbus.ellipse),
        pupil: closeup.to_photo(&pupil.ellipse),
        confidence: verdict::confidence(&evidence),
        evidence,
    })
}

/// The lids as colours and, where it sees this iris, the network tell them. Each overlooks an upper
/// lid at times (a dim one over a dark iris; lashes over a dark rim) and neither makes one up, so the
/// one that hides more is believed. The lower lid hardly hides any iris.
fn agreed_lids(closeup: &Closeup, limbus: &Limbus, pupil: &Ellipse) -> Lids {
    let by_colour = find_lids(closeup, limbus, pupil);
    let Some(learned) = learned_lids(closeup, &limbus.ellipse) else {
        return by_colour;
    };
    let height = |lid: &LidCurve| lid.y_at(limbus.ellipse.cx);
    Lids {
        upper: [learned.upper, by_colour.upper]
            .into_iter()
            .flatten()
            .max_by(|a, b| height(a).total_cmp(&height(b))),
        lower: learned.lower,
    }
}

fn segment_closely(photo: &dyn PhotoPixels, found: &Examined) -> Option<IrisSegmentation> {
    let (width, height) = photo.size();
    let closeup = Closeup::of_photo(photo, &found.iris, MEASURING_RADIUS)?;
    let limbus = find_limbus(&closeup, &closeup.to_local(&found.iris))?;
    let pupil = find_pupil(&closeup, &limbus.ellipse)?.ellipse;
    let lids = agreed_lids(&closeup, &limbus, &pupil);
    let (iris, pupil) = (closeup.to_photo(&limbus.ellipse), closeup.to_photo(&pupil));
    let rect = label_rect(&iris, width, height)?;
    let labels = draw_labels(rect, &iris, &pupil, &lids, &closeup);
    let polyline =
        |lid: Option<LidCurve>| lid.map_or_else(Vec::new, |lid| lid.to_polyline(&closeup));
    Some(IrisSegmentation {
        iris,
        pupil,
        upper_lid: polyline(lids.upper),
        lower_lid: polyline(lids.lower),
        rect,
        quality: measure_quality(&closeup, &limbus, &iris, &pupil, &labels),
        labels,
        confidence: found.confidence,
    })
}
