//! The pupil: a dark, round hole near the middle of the iris, as an ellipse on sub-pixel edges.
//!
//! Daugman's integro-differential operator (1993) over the full turn and inside the limbus, times how
//! dark the disc is: the border of the collarette is round too, but what it encloses is not dark.

use super::closeup::Closeup;
use super::edges::{EdgeField, point_on_ray, rays, summit};
use super::ellipse_fit::{EdgePoint, PUPIL_PRIOR, fit_ellipse};
use super::float_image::percentile;

use crate::geometry::Ellipse;

/// Pupil radius over iris radius: the smallest and largest of living eyes, with some room.
const RATIO_RANGE: (f32, f32) = (0.12, 0.75);

pub(super) fn is_possible(ratio: f32) -> bool {
    (RATIO_RANGE.0..=RATIO_RANGE.1).contains(&ratio)
}

/// This much of a pupil's outline is free of lid, lashes and reflections, even in a dim, narrow eye.
const UNCOVERED: f32 = 0.65;
/// Of at most 1; a flat iris reaches a few hundredths by its grain.
const LEAST_SCORE: f32 = 0.04;
const OUTLINE_RAYS: usize = 72;

/// Where a pupil is to be expected, before looking: a circle, and how far off (in shares of the iris
/// radius) its centre and (in natural logarithms) its radius may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExpectedPupil {
    pub(super) circle: Ellipse,
    pub(super) centre_spread: f32,
    pub(super) radius_spread: f32,
}

impl ExpectedPupil {
    /// Of any eye: pupils lie within a tenth of the iris radius of its centre and most measure a fifth
    /// to a half of it.
    pub(super) fn of_any(limbus: &Ellipse) -> Self {
        Self {
            circle: Ellipse::circle(limbus.cx, limbus.cy, 0.35 * limbus.mean_radius()),
            centre_spread: 0.15,
            radius_spread: 0.7,
        }
    }

    /// Where the network saw it.
    pub(super) fn seen(circle: Ellipse) -> Self {
        Self {
            circle,
            centre_spread: 0.08,
            radius_spread: 0.25,
        }
    }

    /// 1 for a circle as expected, less for others.
    fn likeness(&self, limbus: &Ellipse, (cx, cy, radius): (f32, f32, f32)) -> f32 {
        let expected = &self.circle;
        let spread = self.centre_spread * limbus.mean_radius();
        let offset = (cx - expected.cx).hypot(cy - expected.cy) / spread;
        let size = (radius / expected.mean_radius()).ln() / self.radius_spread;
        (-0.5 * (offset * offset + size * size)).exp()
    }
}

/// Finds the pupil inside `limbus` (pixels of the closeup). Where nothing dark and round is there, as in
/// a dark brown iris, it is the expected one.
pub(super) fn find_pupil(closeup: &Closeup, limbus: &Ellipse, expected: &ExpectedPupil) -> Ellipse {
    fitted_pupil(closeup, limbus, expected).unwrap_or(expected.circle)
}

fn fitted_pupil(closeup: &Closeup, limbus: &Ellipse, expected: &ExpectedPupil) -> Option<Ellipse> {
    let radius = limbus.mean_radius();
    let field = EdgeField::around(
        &closeup.luma,
        (limbus.cx, limbus.cy),
        0.8 * radius,
        0.02 * radius,
        0.8,
    );
    let circle = best_circle(closeup, &field, limbus, expected)?;
    let points = outline_points(&field, &circle);
    let ellipse = fit_ellipse(&points, &circle, PUPIL_PRIOR)?;
    let ratio = ellipse.mean_radius() / radius;
    is_possible(ratio).then_some(ellipse)
}

fn best_circle(
    closeup: &Closeup,
    field: &EdgeField,
    limbus: &Ellipse,
    expected: &ExpectedPupil,
) -> Option<Ellipse> {
    let turn = rays(0.0, 345.0, 15.0);
    let radius = limbus.mean_radius();
    let darkness = Darkness::of(closeup, limbus)?;
    // None of the three factors is above 1: what cannot be more than `least` is not computed any further.
    let score_above = |circle: (f32, f32, f32), least: f32| {
        let likeness = expected.likeness(limbus, circle);
        let worth_a_look = likeness > least;
        let dark = worth_a_look.then(|| darkness.of_disc(closeup, circle))?;
        let worth_a_look = dark * likeness > least;
        let rise = worth_a_look.then(|| field.best_rise(circle, &turn, UNCOVERED))??;
        Some(rise * dark * likeness).filter(|&score| score > least)
    };
    let mut best: Option<((f32, f32, f32), f32)> = None;
    let consider = |circle: (f32, f32, f32), best: &mut Option<((f32, f32, f32), f32)>| {
        let least = best.map_or(f32::NEG_INFINITY, |(_, score)| score);
        if let Some(score) = score_above(circle, least) {
            *best = Some((circle, score));
        }
    };
    let mut ratio = 0.13;
    while ratio < 0.72 {
        for (ix, iy) in square(5) {
            let (dx, dy) = (ix as f32 * 0.045 * radius, iy as f32 * 0.045 * radius);
            consider((limbus.cx + dx, limbus.cy + dy, ratio * radius), &mut best);
        }
        ratio *= 1.09;
    }
    let (coarse, _) = best?;
    for (ix, iy) in square(2) {
        for ir in -2..=2 {
            let step = 0.015 * radius;
            let circle = (
                coarse.0 + ix as f32 * step,
                coarse.1 + iy as f32 * step,
                coarse.2 + ir as f32 * step,
            );
            consider(circle, &mut best);
        }
    }
    let ((cx, cy, pupil_radius), score) = best?;
    (score > LEAST_SCORE).then(|| Ellipse::circle(cx, cy, pupil_radius))
}

fn square(reach: i32) -> impl Iterator<Item = (i32, i32)> {
    (-reach..=reach).flat_map(move |x| (-reach..=reach).map(move |y| (x, y)))
}

/// What counts as dark inside this iris.
struct Darkness {
    darkest: f32,
    middle: f32,
}

impl Darkness {
    fn of(closeup: &Closeup, limbus: &Ellipse) -> Option<Self> {
        let mut lumas = Vec::new();
        for &(cos, sin) in &rays(0.0, 350.0, 10.0) {
            for step in 0..16 {
                let reach = step as f32 * 0.05 * limbus.mean_radius();
                lumas.extend(
                    closeup
                        .luma
                        .sample(limbus.cx + reach * cos, limbus.cy + reach * sin),
                );
            }
        }
        Some(Self {
            darkest: percentile(&mut lumas, 0.03)?,
            middle: percentile(&mut lumas, 0.6)?,
        })
    }

    /// 1 when the disc is as dark as the darkest part, 0 when it is as bright as the iris. The
    /// brightest third is not looked at: a reflection lies in front of many pupils.
    fn of_disc(&self, closeup: &Closeup, (cx, cy, radius): (f32, f32, f32)) -> f32 {
        let mut lumas = Vec::with_capacity(25);
        lumas.extend(closeup.luma.sample(cx, cy));
        for &(cos, sin) in &rays(0.0, 315.0, 45.0) {
            for share in [0.35, 0.6, 0.85] {
                let reach = share * radius;
                lumas.extend(closeup.luma.sample(cx + reach * cos, cy + reach * sin));
            }
        }
        let Some(luma) = percentile(&mut lumas, 0.66) else {
            return 0.0;
        };
        let range = (self.middle - self.darkest).max(4.0);
        (1.0 - (luma - self.darkest) / range).clamp(0.0, 1.0)
    }
}

/// The strongest dark-to-bright edge on each ray between 0.75 and 1.3 radii of the circle.
fn outline_points(field: &EdgeField, circle: &Ellipse) -> Vec<EdgePoint> {
    const FROM: f32 = 0.75;
    const STEP: f32 = 0.025;
    const STEPS: usize = 23;
    let mut points = Vec::new();
    for index in 0..OUTLINE_RAYS {
        let theta = index as f32 * std::f32::consts::TAU / OUTLINE_RAYS as f32;
        let (sin, cos) = theta.sin_cos();
        let mut rises = [f32::NEG_INFINITY; STEPS];
        for (step, rise) in rises.iter_mut().enumerate() {
            let (x, y) = point_on_ray(circle, theta, FROM + STEP * step as f32);
            if let Some(along) = field.gradient.along(x, y, (cos, sin)) {
                *rise = along / field.full_edge;
            }
        }
        let Some((place, top)) = summit(&rises) else {
            continue;
        };
        let (x, y) = point_on_ray(circle, theta, FROM + STEP * place);
        points.push(EdgePoint {
            x,
            y,
            weight: top.min(1.0),
        });
    }
    points
}
