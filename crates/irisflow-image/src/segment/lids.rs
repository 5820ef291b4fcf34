//! The margins of the lids where they come near the iris, as parabolas.
//!
//! Each lid is sought like the limbus, by an integro-differential operator (Daugman 1993 uses it with
//! parabolic arcs for lids): over height, tilt and bend, the mean change across the arc from
//! colours of this eye (its sclera, iris and pupil) to colours of the skin around it.

use super::closeup::Closeup;
use super::float_image::FloatImage;
use super::limbus::{Colour, Limbus, LimbusSpoke, is_lateral, point_on_ray};
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

#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Upper,
    Lower,
}

impl Side {
    /// The direction away from the eye, down being positive.
    fn outward(self) -> f32 {
        match self {
            Self::Upper => -1.0,
            Self::Lower => 1.0,
        }
    }
}

/// Both lids; none where no margin is seen within reach of the iris.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lids {
    pub(super) upper: Option<LidCurve>,
    pub(super) lower: Option<LidCurve>,
}

/// Per pixel, 0 where the eye would have that colour, 1 where the skin around it has.
struct NotEye {
    skin: FloatImage,
    luma: FloatImage,
}

impl NotEye {
    fn of(closeup: &Closeup, eye: &ExpectedEye, skin: &[Colour]) -> Self {
        let radius = eye.limbus.mean_radius();
        let [luma, cb, cr] =
            [&closeup.luma, &closeup.cb, &closeup.cr].map(|plane| plane.blurred(0.025 * radius));
        let mut likeness = luma.clone();
        for (index, value) in likeness.samples.iter_mut().enumerate() {
            let colour = Colour {
                luma: luma.samples[index],
                cb: cb.samples[index] - 128.0,
                cr: cr.samples[index] - 128.0,
            };
            let x = (index % luma.width) as f32 + 0.5;
            let y = (index / luma.width) as f32 + 0.5;
            let lead = nearest(colour, eye.colours_at(x, y)) - nearest(colour, skin);
            *value = (0.5 + lead / SURE_LEAD).clamp(0.0, 1.0);
        }
        Self {
            skin: likeness,
            luma,
        }
    }
}

/// A pixel this much nearer to one kind than to the other surely is of that kind.
const SURE_LEAD: f32 = 30.0;

fn nearest(colour: Colour, known: &[Colour]) -> f32 {
    known
        .iter()
        .map(|&known| colour.distance(known))
        .fold(f32::MAX, f32::min)
}

/// Finds the lids of the eye with this limbus and pupil (pixels of the closeup).
pub(super) fn find_lids(closeup: &Closeup, limbus: &Limbus, pupil: &Ellipse) -> Lids {
    Lids {
        upper: find_lid(closeup, limbus, pupil, Side::Upper),
        lower: find_lid(closeup, limbus, pupil, Side::Lower),
    }
}

fn find_lid(closeup: &Closeup, limbus: &Limbus, pupil: &Ellipse, side: Side) -> Option<LidCurve> {
    let eye = ExpectedEye::of(closeup, limbus, pupil, side);
    let skin = colours_of_skin(closeup, limbus, &eye, side);
    if skin.is_empty() {
        return None;
    }
    let not_eye = NotEye::of(closeup, &eye, &skin);
    best_curve(&not_eye, &limbus.ellipse, side)
}

/// The colours this eye would have without lids: an iris is much the same all around at the same
/// distance from its centre, and beyond it there is sclera.
struct ExpectedEye {
    limbus: Ellipse,
    /// Colours of [`RINGS`] rings from the centre to the limbus.
    rings: Vec<Vec<Colour>>,
    sclera: Vec<Colour>,
}

const RINGS: usize = 10;

impl ExpectedEye {
    fn of(closeup: &Closeup, limbus: &Limbus, pupil: &Ellipse, side: Side) -> Self {
        let ellipse = limbus.ellipse;
        let is_to = |spoke: &LimbusSpoke, right: bool| {
            is_lateral(spoke.theta) && (spoke.theta.cos() > 0.0) == right
        };
        let pupil_colour = closeup.colour_at(pupil.cx, pupil.cy);
        let ring = |index: usize| {
            let share = (index as f32 + 0.5) / RINGS as f32;
            let median_where = |wanted: &dyn Fn(&LimbusSpoke) -> bool| {
                let colours: Vec<Colour> = limbus
                    .spokes
                    .iter()
                    .filter(|spoke| wanted(spoke))
                    .map(|spoke| point_on_ray(&ellipse, spoke.theta, share))
                    .filter(|&(x, y)| !pupil.contains(x, y))
                    .filter_map(|(x, y)| closeup.colour_at(x, y))
                    .collect();
                Colour::median_of(&colours)
            };
            // The lower lid hardly covers iris, so the far side may speak for the upper one only.
            let far = |spoke: &LimbusSpoke| side == Side::Upper && spoke.theta.sin() > 0.75;
            let parts = [
                median_where(&|spoke| is_to(spoke, false)),
                median_where(&|spoke| is_to(spoke, true)),
                median_where(&far),
            ];
            parts
                .into_iter()
                .flatten()
                .chain(pupil_colour.filter(|_| share < 0.7))
                .collect()
        };
        let sclera = [false, true].into_iter().filter_map(|right| {
            let beyond: Vec<Colour> = limbus
                .spokes
                .iter()
                .filter(|spoke| is_to(spoke, right))
                .filter_map(|spoke| spoke.outside)
                .collect();
            Colour::median_of(&beyond)
        });
        Self {
            limbus: ellipse,
            rings: (0..RINGS).map(ring).collect(),
            sclera: sclera.collect(),
        }
    }

    fn colours_at(&self, x: f32, y: f32) -> &[Colour] {
        let ring = (self.limbus.normalised_distance(x, y) * RINGS as f32) as usize;
        self.rings.get(ring).unwrap_or(&self.sclera)
    }
}

/// Colours above (below) the eye that it has not itself; empty when the frame ends before.
fn colours_of_skin(
    closeup: &Closeup,
    limbus: &Limbus,
    eye: &ExpectedEye,
    side: Side,
) -> Vec<Colour> {
    let mut skin = Vec::new();
    for share in [1.25, 1.4, 1.55, 1.7, 1.85] {
        for group in [-1.0_f32, 0.0, 1.0] {
            let colours: Vec<Colour> = limbus
                .spokes
                .iter()
                .filter(|spoke| {
                    side.outward() * spoke.theta.sin() > 0.75
                        && (spoke.theta.cos() * 3.0 / 1.33).round() == group
                })
                .filter_map(|spoke| {
                    let (x, y) = point_on_ray(&limbus.ellipse, spoke.theta, share);
                    closeup.colour_at(x, y)
                })
                .collect();
            skin.extend(
                Colour::median_of(&colours).filter(|&colour| nearest(colour, &eye.sclera) > 12.0),
            );
        }
    }
    skin
}

fn best_curve(not_eye: &NotEye, limbus: &Ellipse, side: Side) -> Option<LidCurve> {
    let outward = side.outward();
    let mut best: Option<(LidCurve, f32)> = None;
    for height_step in 0..34 {
        // From a lid over the pupil's edge to one well clear of the iris.
        let height = outward * (0.15 + 0.035 * height_step as f32);
        for tilt in [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3] {
            for bend in [0.0, 0.08, 0.16, 0.24, 0.32, 0.42] {
                let curve = LidCurve {
                    cx: limbus.cx,
                    cy: limbus.cy,
                    radius: limbus.mean_radius(),
                    height,
                    tilt,
                    bend: -outward * bend,
                };
                let Some(change) = change_across(not_eye, &curve, outward) else {
                    continue;
                };
                let score = change - 0.2 * (height.abs() - usual_height(side)).abs();
                if best.is_none_or(|(_, most)| score > most) {
                    best = Some((curve, score));
                }
            }
        }
    }
    best.filter(|(_, score)| *score > LEAST_CHANGE)
        .map(|(curve, _)| curve)
}

/// Less change than this across an arc is the iris' own texture.
const LEAST_CHANGE: f32 = 0.15;

/// Where a relaxed lid rests, in iris radii from the centre: the upper one covers the top of the
/// iris by a millimetre or two of its six, the lower one touches the limbus.
fn usual_height(side: Side) -> f32 {
    match side {
        Side::Upper => 0.75,
        Side::Lower => 1.0,
    }
}

/// How much more like skin it is beyond the arc than within, plus a little for a crisp edge.
/// None when most of the arc lies outside the picture.
fn change_across(not_eye: &NotEye, curve: &LidCurve, outward: f32) -> Option<f32> {
    const OFFSETS: [f32; 3] = [0.05, 0.13, 0.22];
    let (mut change, mut crispness, mut count) = (0.0, 0.0, 0);
    for step in -11..=11 {
        let x = curve.cx + step as f32 * 0.11 * curve.radius;
        let y = curve.y_at(x);
        let mean_towards = |direction: f32| {
            let mut sum = 0.0;
            for offset in OFFSETS {
                sum += not_eye
                    .skin
                    .sample(x, y + direction * offset * curve.radius)?;
            }
            Some(sum / OFFSETS.len() as f32)
        };
        let near = 0.04 * curve.radius * outward;
        let (Some(within), Some(beyond), Some(luma_within), Some(luma_beyond)) = (
            mean_towards(-outward),
            mean_towards(outward),
            not_eye.luma.sample(x, y - near),
            not_eye.luma.sample(x, y + near),
        ) else {
            continue;
        };
        change += beyond - within;
        crispness += ((luma_beyond - luma_within).abs() / 30.0).min(1.0);
        count += 1;
    }
    (count >= 12).then(|| (change + 0.25 * crispness) / count as f32)
}
