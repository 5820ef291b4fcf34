//! Where eyes are: the network looks at the whole photo, then closely at each place it noticed.

use super::PhotoPixels;
use super::ellipse_fit::FitPrior;
use super::sight::{Region, Sight, Square};
use crate::geometry::Ellipse;

/// An eye as the network sees it from close by.
#[derive(Debug)]
pub(super) struct Sighting {
    /// The whole disc of the iris, pixels of the photo.
    pub(super) disc: Ellipse,
    /// What was seen from close by.
    pub(super) sight: Sight,
}

/// The side of the square of the closer look, in radii of the iris: the middle of what the network
/// was trained on.
const CLOSE_SIDE_RADII: f32 = 4.0;
/// The same of the look that tells where the lids end: as close as leaves some white beside the iris.
const CLOSEST_SIDE_RADII: f32 = 2.6;
/// At most this many places get a closer look: two eyes, and two mistakes.
const MOST_PLACES: usize = 4;
/// A region with a lower peak than this is not worth a closer look.
const LEAST_PEAK: f32 = 0.1;
/// A first look with a peak of at least this has seen what there is.
const SURE_PEAK: f32 = 0.5;
/// A place much fainter than the best one is not looked at.
const LEAST_SHARE_OF_BEST: f32 = 0.1;

/// The network's map is this far off, as shares of the radius, and gaze makes a disc an ellipse.
const DISC_PRIOR: FitPrior = FitPrior {
    scatter: 0.03,
    elongation: 0.06,
    start: 0.2,
};

/// Every eye the network sees, the most conspicuous first.
pub(super) fn search(photo: &dyn PhotoPixels) -> Vec<Sighting> {
    let mut found: Vec<Sighting> = Vec::new();
    for region in places(photo) {
        let Some(sighting) = look_closely(photo, &region) else {
            continue;
        };
        if !found
            .iter()
            .any(|known| is_same(&known.disc, &sighting.disc))
        {
            found.push(sighting);
        }
    }
    found
}

/// Where the network notices an iris, the most conspicuous first: in the whole photo, or, when it is
/// not sure of any there, in parts of it.
fn places(photo: &dyn PhotoPixels) -> Vec<Region> {
    let whole = Square::around_photo(photo.size());
    let mut regions = regions_in(photo, whole);
    if regions.first().is_none_or(|best| best.peak < SURE_PEAK) {
        for part in parts(photo.size()) {
            regions.extend(regions_in(photo, part));
        }
        regions.sort_by(|a, b| b.peak.total_cmp(&a.peak));
    }
    let best = regions.first().map_or(0.0, |region| region.weight);
    regions
        .retain(|region| region.peak >= LEAST_PEAK && region.weight >= LEAST_SHARE_OF_BEST * best);
    regions.truncate(MOST_PLACES);
    regions
}

fn regions_in(photo: &dyn PhotoPixels, square: Square) -> Vec<Region> {
    Sight::of(photo, square).map_or_else(Vec::new, |sight| sight.regions(&sight.maps.iris))
}

/// Overlapping squares of 0.6 of the shorter side that cover the photo; none of a small photo, which
/// has no more to show than the first look saw.
fn parts((width, height): (u32, u32)) -> Vec<Square> {
    const SHARE: f32 = 0.6;
    const LEAST_SIDE: f32 = 200.0;
    const MOST_PARTS: usize = 8;
    let side = SHARE * width.min(height) as f32;
    if side < LEAST_SIDE {
        return Vec::new();
    }
    let starts = |length: u32| {
        let room = length as f32 - side;
        let steps = (room / (0.75 * side)).ceil().max(1.0) as usize;
        (0..=steps).map(move |step| room * step as f32 / steps as f32)
    };
    let mut squares: Vec<Square> = starts(height)
        .flat_map(|top| starts(width).map(move |left| Square { left, top, side }))
        .collect();
    squares.truncate(MOST_PARTS);
    squares
}

fn look_closely(photo: &dyn PhotoPixels, region: &Region) -> Option<Sighting> {
    let square = framing(photo, region.centre, CLOSE_SIDE_RADII * region.radius);
    let sighting = look_at(photo, square)?;
    let disc = sighting.disc;
    let better = framing(
        photo,
        (disc.cx, disc.cy),
        CLOSE_SIDE_RADII * disc.mean_radius(),
    );
    if square.is_about(&better) {
        return Some(sighting);
    }
    Some(look_at(photo, better).unwrap_or(sighting))
}

impl Sighting {
    /// Looks once more, as closely as shows best where the lids end. None where this look was that close.
    pub(super) fn look_more_closely(
        &self,
        photo: &dyn PhotoPixels,
        iris: &Ellipse,
    ) -> Option<Sight> {
        let side = CLOSEST_SIDE_RADII * iris.mean_radius();
        let square = framing(photo, (iris.cx, iris.cy), side);
        if self.sight.square.is_about(&square) {
            return None;
        }
        Sight::of(photo, square)
    }
}

/// A square of this side, but not more than the whole photo: where the frame cuts the iris, grey around
/// it would say nothing.
fn framing(photo: &dyn PhotoPixels, centre: (f32, f32), side: f32) -> Square {
    let whole = Square::around_photo(photo.size());
    if side < whole.side {
        Square::around(centre, side)
    } else {
        whole
    }
}

fn look_at(photo: &dyn PhotoPixels, square: Square) -> Option<Sighting> {
    let sight = Sight::of(photo, square)?;
    let regions = sight.regions(&sight.maps.iris);
    let disc = regions
        .iter()
        .find_map(|region| sight.outline(&sight.maps.iris, region, DISC_PRIOR))?;
    Some(Sighting { disc, sight })
}

/// Whether two looks ended at the same eye.
fn is_same(a: &Ellipse, b: &Ellipse) -> bool {
    (a.cx - b.cx).hypot(a.cy - b.cy) < 0.5 * a.mean_radius().max(b.mean_radius())
}
