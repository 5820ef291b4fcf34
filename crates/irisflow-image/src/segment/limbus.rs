//! The limbus: the outer border of the iris, as an ellipse on sub-pixel edges.
//!
//! The strongest edge on each of [`SPOKES`] rays near the disc that the network saw, then the robust fit
//! of `ellipse_fit.rs`, three times in ever narrower bands. An edge has full weight only where the
//! network sees the eye open and what lies beyond it looks like this eye's own sclera, so that lids,
//! lashes and the rims of reflections do not pull.

use super::closeup::Closeup;
use super::edges::{EdgeField, point_on_ray, summit};
use super::ellipse_fit::{EdgePoint, LIMBUS_PRIOR, fit_ellipse};
use super::float_image::{FloatImage, median};
use crate::geometry::Ellipse;

/// Rays from the centre, evenly over the full turn.
pub(super) const SPOKES: usize = 128;

/// What one ray from the centre of the iris meets around the limbus.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LimbusSpoke {
    /// Direction in radians, 0 to the right, growing clockwise on the screen.
    pub(super) theta: f32,
    /// Where the edge is, as a share of the ellipse's radius that way; none without a rising edge.
    pub(super) edge: Option<f32>,
    /// Mean colour just inside and just outside; none where the frame cuts them off.
    pub(super) inside: Option<Colour>,
    pub(super) outside: Option<Colour>,
}

/// Luma and chroma (chroma around 0, not 128).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Colour {
    pub(super) luma: f32,
    pub(super) cb: f32,
    pub(super) cr: f32,
}

impl Colour {
    /// Distance in units of luma; chroma counts double because its range is half as wide.
    pub(super) fn distance(self, other: Self) -> f32 {
        let (luma, cb, cr) = (
            self.luma - other.luma,
            self.cb - other.cb,
            self.cr - other.cr,
        );
        (luma * luma + 4.0 * (cb * cb + cr * cr)).sqrt()
    }

    /// The median of each channel; none of nothing.
    pub(super) fn median_of(colours: &[Self]) -> Option<Self> {
        let channel =
            |pick: fn(&Self) -> f32| median(&mut colours.iter().map(pick).collect::<Vec<_>>());
        Some(Self {
            luma: channel(|c| c.luma)?,
            cb: channel(|c| c.cb)?,
            cr: channel(|c| c.cr)?,
        })
    }
}

impl Closeup {
    pub(super) fn colour_at(&self, x: f32, y: f32) -> Option<Colour> {
        Some(Colour {
            luma: self.luma.sample(x, y)?,
            cb: self.cb.sample(x, y)? - 128.0,
            cr: self.cr.sample(x, y)? - 128.0,
        })
    }
}

/// Luma plus the redness that parts a light iris from the sclera beyond what luma does.
///
/// Blue and green irises are darkest in red while sclera and skin are brightest there; a brown iris
/// is dark in either. Half of the way to the red channel of BT.601 (R = Y + 1.402 Cr) serves both.
pub(super) fn search_channel(luma: &FloatImage, cr: &FloatImage) -> FloatImage {
    FloatImage {
        samples: luma
            .samples
            .iter()
            .zip(&cr.samples)
            .map(|(y, cr)| y + 0.7 * (cr - 128.0))
            .collect(),
        ..*luma
    }
}

/// The fitted border of the iris, with what lies around it.
#[derive(Debug)]
pub(super) struct Limbus {
    pub(super) ellipse: Ellipse,
    pub(super) spokes: Vec<LimbusSpoke>,
}

/// Finds the limbus near the disc that the network saw (pixels of the closeup). `open` says how surely
/// a point lies between the lids. Without enough edges it is the disc itself.
pub(super) fn find_limbus(
    closeup: &Closeup,
    seen: &Ellipse,
    open: &dyn Fn(f32, f32) -> f32,
) -> Limbus {
    let field = limbus_field(closeup, seen);
    let anchor = rounder(seen);
    let mut ellipse = anchor;
    for reach in [0.12, 0.08, 0.06] {
        let spokes = measure_spokes(closeup, &field, &ellipse, reach);
        let points = edge_points(&spokes, &ellipse, open);
        ellipse = fit_ellipse(&points, &anchor, LIMBUS_PRIOR).unwrap_or(ellipse);
    }
    let spokes = measure_spokes(closeup, &field, &ellipse, 0.12);
    Limbus { ellipse, spokes }
}

/// The ellipse with less elongation, by as much as a map of the network may be off: most irises are
/// seen from the front, and where lids cover much of the outline a map says little about its shape.
fn rounder(ellipse: &Ellipse) -> Ellipse {
    const UNSURE: f32 = 0.01;
    let (mean, half) = (
        0.5 * (ellipse.rx + ellipse.ry),
        0.5 * (ellipse.rx - ellipse.ry),
    );
    let half = half.signum() * (half.abs() - UNSURE * mean).max(0.0);
    Ellipse {
        rx: mean + half,
        ry: mean - half,
        ..*ellipse
    }
}

/// Nine tenths of an eye is smoother than its limbus, which is a few percent of the radius wide.
fn limbus_field(closeup: &Closeup, circle: &Ellipse) -> EdgeField {
    let image = search_channel(&closeup.luma, &closeup.cr);
    let radius = circle.mean_radius();
    EdgeField::around(
        &image,
        (circle.cx, circle.cy),
        1.5 * radius,
        0.025 * radius,
        0.9,
    )
}

fn measure_spokes(
    closeup: &Closeup,
    field: &EdgeField,
    ellipse: &Ellipse,
    reach: f32,
) -> Vec<LimbusSpoke> {
    (0..SPOKES)
        .map(|index| {
            let theta = index as f32 * std::f32::consts::TAU / SPOKES as f32;
            LimbusSpoke {
                theta,
                edge: strongest_edge(field, ellipse, theta, reach),
                inside: mean_colour(closeup, ellipse, theta, [0.80, 0.85, 0.90]),
                outside: mean_colour(closeup, ellipse, theta, [1.09, 1.14, 1.19]),
            }
        })
        .collect()
}

fn mean_colour(closeup: &Closeup, ellipse: &Ellipse, theta: f32, at: [f32; 3]) -> Option<Colour> {
    let mut sum = Colour::default();
    for share in at {
        let (x, y) = point_on_ray(ellipse, theta, share);
        let colour = closeup.colour_at(x, y)?;
        sum.luma += colour.luma / 3.0;
        sum.cb += colour.cb / 3.0;
        sum.cr += colour.cr / 3.0;
    }
    Some(sum)
}

/// The strongest rise within `reach` (in radii) of the ellipse, to a fraction of a step; the nearer to
/// it the likelier.
fn strongest_edge(field: &EdgeField, ellipse: &Ellipse, theta: f32, reach: f32) -> Option<f32> {
    const STEPS: usize = 31;
    let step = 2.0 * reach / (STEPS - 1) as f32;
    let from = 1.0 - reach;
    let (sin, cos) = theta.sin_cos();
    let mut rises = [0.0_f32; STEPS];
    for (index, rise) in rises.iter_mut().enumerate() {
        let share = from + step * index as f32;
        let (x, y) = point_on_ray(ellipse, theta, share);
        let off = (share - 1.0) / reach;
        *rise = field.gradient.along(x, y, (cos, sin))? / field.full_edge * (1.0 - 0.5 * off * off);
    }
    let (place, _) = summit(&rises)?;
    Some(from + step * place)
}

/// Whether a ray points left or right rather than at a lid.
pub(super) fn is_lateral(theta: f32) -> bool {
    let (sin, cos) = theta.sin_cos();
    let lowering = sin.atan2(cos.abs()).to_degrees();
    (-30.0..=45.0).contains(&lowering)
}

/// The colour beyond the limbus on left and right, where the edge is there.
pub(super) fn sclera_colour(spokes: &[LimbusSpoke]) -> Option<Colour> {
    let colours: Vec<Colour> = spokes
        .iter()
        .filter(|spoke| is_lateral(spoke.theta) && spoke.edge.is_some())
        .filter_map(|spoke| spoke.outside)
        .collect();
    Colour::median_of(&colours)
}

/// The colour just inside the limbus on left and right, where the edge is there.
pub(super) fn iris_colour(spokes: &[LimbusSpoke]) -> Option<Colour> {
    let colours: Vec<Colour> = spokes
        .iter()
        .filter(|spoke| is_lateral(spoke.theta) && spoke.edge.is_some())
        .filter_map(|spoke| spoke.inside)
        .collect();
    Colour::median_of(&colours)
}

fn edge_points(
    spokes: &[LimbusSpoke],
    ellipse: &Ellipse,
    open: &dyn Fn(f32, f32) -> f32,
) -> Vec<EdgePoint> {
    let colours = iris_colour(spokes).zip(sclera_colour(spokes));
    spokes
        .iter()
        .filter_map(|spoke| {
            let (x, y) = point_on_ray(ellipse, spoke.theta, spoke.edge?);
            let (beyond_x, beyond_y) = point_on_ray(ellipse, spoke.theta, 1.06);
            let floor = if is_lateral(spoke.theta) { 0.3 } else { 0.0 };
            let likeness = colours.map_or(0.5, |(iris, sclera)| likeness(spoke, iris, sclera));
            let weight = likeness.max(floor) * open(beyond_x, beyond_y);
            (weight > 0.01).then_some(EdgePoint { x, y, weight })
        })
        .collect()
}

/// 1 where both sides of the edge have their colour, 0 where one is as far from it as the other's.
fn likeness(spoke: &LimbusSpoke, iris: Colour, sclera: Colour) -> f32 {
    let (Some(inside), Some(outside)) = (spoke.inside, spoke.outside) else {
        return 0.0;
    };
    let step = iris.distance(sclera).max(8.0);
    let like =
        |is: Colour, should_be: Colour| (1.0 - is.distance(should_be) / step).clamp(0.0, 1.0);
    like(inside, iris) * like(outside, sclera)
}
