//! The margins of the lids where they come near the iris: where the eye opening that the network sees
//! ends, as parabolas.

use super::closeup::Closeup;
use super::sight::Sight;
use crate::geometry::{Ellipse, Polyline};

/// A lid's margin: `y = cy + radius * (height + tilt * u + bend * u * u)`, `u = (x - cx) / radius`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LidCurve {
    cx: f32,
    cy: f32,
    radius: f32,
    height: f32,
    tilt: f32,
    bend: f32,
}

impl LidCurve {
    pub(super) fn y_at(&self, x: f32) -> f32 {
        let u = (x - self.cx) / self.radius;
        self.cy + self.radius * (self.height + self.tilt * u + self.bend * u * u)
    }

    /// The parabola nearest to `points` (`u` and height, in radii from the centre of `iris`), by least
    /// squares; points far off the first fit are left out of a second.
    pub(super) fn fitted(iris: &Ellipse, points: &[(f32, f32)]) -> Option<Self> {
        let mut kept = points.to_vec();
        let mut curve = Self::least_squares(iris, &kept)?;
        kept.retain(|&(u, height)| (curve.height_at(u) - height).abs() < 0.12);
        if kept.len() * 2 > points.len() {
            curve = Self::least_squares(iris, &kept)?;
        }
        Some(curve)
    }

    fn height_at(&self, u: f32) -> f32 {
        self.height + self.tilt * u + self.bend * u * u
    }

    /// Normal equations of `h = a + b u + c u^2`, by Cramer's rule.
    fn least_squares(iris: &Ellipse, points: &[(f32, f32)]) -> Option<Self> {
        let mut powers = [0.0_f32; 5];
        let mut sums = [0.0_f32; 3];
        for &(u, height) in points {
            let mut power = 1.0;
            for (order, total) in powers.iter_mut().enumerate() {
                *total += power;
                if let Some(sum) = sums.get_mut(order) {
                    *sum += power * height;
                }
                power *= u;
            }
        }
        let [s0, s1, s2, s3, s4] = powers;
        let column = |k: usize| {
            let mut m = [[s0, s1, s2], [s1, s2, s3], [s2, s3, s4]];
            for (row, sum) in m.iter_mut().zip(sums) {
                row[k] = sum;
            }
            determinant(m)
        };
        let whole = determinant([[s0, s1, s2], [s1, s2, s3], [s2, s3, s4]]);
        (whole.abs() > 1e-6).then(|| Self {
            cx: iris.cx,
            cy: iris.cy,
            radius: iris.mean_radius(),
            height: column(0) / whole,
            tilt: column(1) / whole,
            bend: column(2) / whole,
        })
    }

    /// Points from left to right over the width of the iris and a little more.
    pub(super) fn to_polyline(self, closeup: &Closeup) -> Polyline {
        (-12..=12)
            .map(|step| {
                let x = self.cx + step as f32 * 0.1 * self.radius;
                closeup.point_to_photo((x, self.y_at(x)))
            })
            .collect()
    }
}

fn determinant([[a, b, c], [d, e, f], [g, h, i]]: [[f32; 3]; 3]) -> f32 {
    a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
}

/// Both lids; none where no margin is seen within reach of the iris.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lids {
    pub(super) upper: Option<LidCurve>,
    pub(super) lower: Option<LidCurve>,
}

/// Columns that are asked, from edge to edge of the iris.
const COLUMNS: usize = 41;
/// A margin that stays this far (in radii) outside the limbus hides nothing.
const CLEAR: f32 = 0.03;
/// How far from the middle of the iris a margin is sought, in radii.
const REACH: f32 = 1.6;

/// Finds both lids around the iris (pixels of the closeup).
pub(super) fn find_lids(closeup: &Closeup, iris: &Ellipse, sight: &Sight) -> Lids {
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
        if sight.is_seen(x, y) {
            sight.at(&sight.maps.opening, x, y)
        } else {
            1.0
        }
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
