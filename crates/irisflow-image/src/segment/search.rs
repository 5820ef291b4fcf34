//! Where eyes are: a network looks at the whole photo, then closely at each place it noticed; what it
//! takes for an eye is shown to the second network from nearer still.

use super::PhotoPixels;
use super::ellipse_fit::FitPrior;
use super::sight::{Region, Sight, Square};
use crate::geometry::Ellipse;
use crate::network::Look;

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
/// The same of the look that measures: as near as leaves some white beside the iris.
const NEAR_SIDE_RADII: f32 = 3.0;
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
    Sight::of(photo, square, Look::Whole)
        .map_or_else(Vec::new, |sight| sight.regions(&sight.maps.iris))
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
    /// Looks once more, so near that lashes show: the disc and what was seen. None beside the photo.
    pub(super) fn look_near(&self, photo: &dyn PhotoPixels) -> Option<Self> {
        let disc = self.disc;
        let square = framing(
            photo,
            (disc.cx, disc.cy),
            NEAR_SIDE_RADII * disc.mean_radius(),
        );
        let sight = Sight::of(photo, square, Look::Near)?;
        let disc = disc_in(&sight).unwrap_or(disc);
        Some(Self { disc, sight })
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
    let sight = Sight::of(photo, square, Look::Whole)?;
    let disc = disc_in(&sight)?;
    Some(Sighting { disc, sight })
}

/// The iris that most speaks for.
fn disc_in(sight: &Sight) -> Option<Ellipse> {
    let map = &sight.maps.iris;
    let regions = sight.regions(map);
    regions
        .iter()
        .find_map(|region| sight.outline(map, region, DISC_PRIOR))
}

/// Whether two looks ended at the same eye.
fn is_same(a: &Ellipse, b: &Ellipse) -> bool {
    (a.cx - b.cx).hypot(a.cy - b.cy) < 0.5 * a.mean_radius().max(b.mean_radius())
}
