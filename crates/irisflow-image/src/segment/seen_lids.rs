//! The lids as the network sees them: where the eye opening ends, as parabolas.

use super::closeup::Closeup;
use super::lids::{LidCurve, Lids};
use super::sight::Sight;
use crate::geometry::Ellipse;

/// Columns that are asked, from edge to edge of the iris.
const COLUMNS: usize = 41;
/// A margin that stays this far (in radii) outside the limbus hides nothing.
const CLEAR: f32 = 0.03;
/// How far from the middle of the iris a margin is sought, in radii.
const REACH: f32 = 1.6;

/// Both lids around the iris (pixels of the closeup).
pub(super) fn seen_lids(closeup: &Closeup, iris: &Ellipse, sight: &Sight) -> Lids {
    Lids {
        upper: margin(closeup, iris, sight, -1.0),
        lower: margin(closeup, iris, sight, 1.0),
    }
}

/// Where the opening ends above (`outward` -1) or below (+1) the iris's middle. `None` when the whole
/// iris is open on that side.
fn margin(closeup: &Closeup, iris: &Ellipse, sight: &Sight, outward: f32) -> Option<LidCurve> {
    let mut points = Vec::with_capacity(COLUMNS);
    let mut nearest = f32::MAX;
    for column in 0..COLUMNS {
        let u = (column as f32 / (COLUMNS - 1) as f32 - 0.5) * 2.0;
        let height = opening_end(closeup, iris, sight, u, outward);
        let limbus = outward * (1.0 - u * u).max(0.0).sqrt();
        nearest = nearest.min(outward * (height - limbus));
        points.push((u, height));
    }
    (nearest < CLEAR).then(|| LidCurve::fitted(iris, &points))?
}

/// The height (in radii from the middle of the iris, down positive) at which the opening ends in the
/// column `u`, going outward from the middle; the reach when it does not end.
fn opening_end(closeup: &Closeup, iris: &Ellipse, sight: &Sight, u: f32, outward: f32) -> f32 {
    let radius = iris.mean_radius();
    // Where the frame ends no lid is seen, so none is claimed.
    let open = |height: f32| {
        let (x, y) = closeup.point_to_photo((iris.cx + u * radius, iris.cy + height * radius));
        if sight.is_seen(x, y) { sight.at(&sight.maps.opening, x, y) } else { 1.0 }
    };
    let step = 0.5 * sight.cell() / (closeup.scale * radius);
    let (mut reach, mut before) = (0.0, open(0.0));
    while reach < REACH {
        let next = open(outward * (reach + step));
        if next < 0.5 {
            let share = ((before - 0.5) / (before - next).max(1e-3)).clamp(0.0, 1.0);
            return outward * (reach + share * step);
        }
        (reach, before) = (reach + step, next);
    }
    outward * REACH
}
