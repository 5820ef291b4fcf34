//! Find the iris: limbus and pupil as ellipses, lids as curves, a label per pixel, and a confidence.

mod closeup;
mod ellipse_fit;
mod evidence;
mod float_image;
mod labels;
mod lids;
mod limbus;
mod pupil;
mod quality;
mod search;
mod seen_lids;
mod sight;
#[cfg(test)]
mod tests;
mod verdict;

use crate::geometry::{Ellipse, PixelRect, Polyline};
use crate::plane::{Plane, ReducedPhoto, YCbCr};
use crate::rejection::Rejection;

use closeup::Closeup;
use labels::{draw_labels, label_rect};
use lids::{LidCurve, Lids, find_lids};
use limbus::{Limbus, find_limbus};
use pupil::find_pupil;
use quality::measure_quality;
use search::{Sighting, search};
use seen_lids::seen_lids;

pub use evidence::Evidence;

/// What `segment_iris` needs of a photo: a reduced copy of all of it, and full resolution where asked.
pub trait PhotoPixels {
    /// Width and height of the upright photo.
    fn size(&self) -> (u32, u32);
    /// The whole photo, reduced so that its longer side has at most `max_side` pixels (never enlarged).
    fn reduced(&self, max_side: u32) -> ReducedPhoto;
    /// The pixels of `rect` at full resolution; `rect` lies within the photo.
    fn crop(&self, rect: PixelRect) -> YCbCr;
    /// `rect`, which lies within the photo, as `size` (width, height) pixels, without aliasing.
    fn scaled(&self, rect: PixelRect, size: (u32, u32)) -> YCbCr;
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
    let examined = explain(photo);
    let nothing_found = |confidence| {
        verdict::nothing_found(&photo.reduced(LIGHT_SIDE).planes.y, confidence)
    };
    let best = examined.first().ok_or_else(|| nothing_found(0.0))?;
    if best.confidence < verdict::LEAST_CONFIDENCE {
        return Err(nothing_found(best.confidence));
    }
    let segmentation = segment_closely(photo, best).ok_or_else(|| nothing_found(best.confidence))?;
    let share_in_frame = quality::share_in_frame(&segmentation.labels, &segmentation.iris);
    verdict::judge(&segmentation.quality, share_in_frame)?;
    Ok(segmentation)
}

/// The longer side of the copy that is asked whether the photo is simply too dark.
const LIGHT_SIDE: u32 = 256;

/// An eye that was looked at closely, with what spoke for and against it.
#[derive(Debug)]
pub struct Examined {
    pub iris: Ellipse,
    pub pupil: Ellipse,
    pub evidence: Evidence,
    pub confidence: f32,
    sighting: Sighting,
    closeup: Closeup,
    limbus: Limbus,
    /// Pixels of the closeup.
    local_pupil: Ellipse,
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

/// Every eye with its evidence, best first.
pub fn explain(photo: &dyn PhotoPixels) -> Vec<Examined> {
    let sightings = search(photo).into_iter();
    let mut examined: Vec<Examined> = sightings
        .filter_map(|sighting| examine(photo, sighting))
        .collect();
    examined.sort_by(|a, b| b.rank().total_cmp(&a.rank()));
    examined
}

/// Radius in the closeup, pixels.
const MEASURING_RADIUS: f32 = 110.0;

fn examine(photo: &dyn PhotoPixels, sighting: Sighting) -> Option<Examined> {
    let closeup = Closeup::of_photo(photo, &sighting.disc, MEASURING_RADIUS)?;
    let sight = &sighting.sight;
    let open = |x: f32, y: f32| {
        let (x, y) = closeup.point_to_photo((x, y));
        sight.at(&sight.maps.opening, x, y)
    };
    let limbus = find_limbus(&closeup, &closeup.to_local(&sighting.disc), &open)?;
    let pupil = find_pupil(&closeup, &limbus.ellipse)?;
    let evidence = evidence::gather(&closeup, &limbus, &pupil)?;
    Some(Examined {
        iris: closeup.to_photo(&limbus.ellipse),
        pupil: closeup.to_photo(&pupil.ellipse),
        confidence: verdict::confidence(&evidence),
        evidence,
        local_pupil: pupil.ellipse,
        sighting,
        closeup,
        limbus,
    })
}

/// The lids as colours and as the network tell them. Each overlooks an upper lid at times (a dim one
/// over a dark iris; lashes over a dark rim) and neither makes one up, so the one that hides more is
/// believed. The lower lid hardly hides any iris.
fn agreed_lids(found: &Examined) -> Lids {
    let limbus = &found.limbus.ellipse;
    let by_colour = find_lids(&found.closeup, &found.limbus, &found.local_pupil);
    let seen = seen_lids(&found.closeup, limbus, &found.sighting.sight);
    let height = |lid: &LidCurve| lid.y_at(limbus.cx);
    if std::env::var("LIDS").as_deref() == Ok("seen") { return seen; }
    if std::env::var("LIDS").as_deref() == Ok("colour") { return Lids { upper: by_colour.upper, lower: seen.lower }; }
    if std::env::var("LIDS").as_deref() == Ok("colour2") { return by_colour; }
    Lids {
        upper: [seen.upper, by_colour.upper]
            .into_iter()
            .flatten()
            .max_by(|a, b| height(a).total_cmp(&height(b))),
        lower: seen.lower,
    }
}

fn segment_closely(photo: &dyn PhotoPixels, found: &Examined) -> Option<IrisSegmentation> {
    let (width, height) = photo.size();
    let (iris, pupil, closeup) = (found.iris, found.pupil, &found.closeup);
    let lids = agreed_lids(found);
    let rect = label_rect(&iris, width, height)?;
    let labels = draw_labels(rect, &iris, &pupil, &lids, closeup);
    let polyline =
        |lid: Option<LidCurve>| lid.map_or_else(Vec::new, |lid| lid.to_polyline(closeup));
    Some(IrisSegmentation {
        iris,
        pupil,
        upper_lid: polyline(lids.upper),
        lower_lid: polyline(lids.lower),
        rect,
        quality: measure_quality(closeup, &found.limbus, &iris, &pupil, &labels),
        labels,
        confidence: found.confidence,
    })
}
