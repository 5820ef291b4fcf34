//! The margins of the lids where they come near the iris, as parabolas.
//!
//! Each lid is sought like the limbus, by an integro-differential operator (Daugman 1993 uses it with
//! parabolic arcs for lids): over height, tilt and bend, the mean change across the arc from
//! colours of this eye (its sclera, iris and pupil) to colours of the skin around it.

use super::closeup::Closeup;
use super::float_image::FloatImage;
use super::limbus::{Colour, Limbus, is_lateral, point_on_ray};
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

/// Per pixel, 0 where it has a colour of this eye, 1 where it has one of the skin around it.
struct NotEye {
    skin: FloatImage,
    luma: FloatImage,
}

impl NotEye {
    fn of(closeup: &Closeup, limbus: &Limbus, eye: &[Colour], skin: &[Colour]) -> Self {
        let radius = limbus.ellipse.mean_radius();
        let [luma, cb, cr] =
            [&closeup.luma, &closeup.cb, &closeup.cr].map(|plane| plane.blurred(0.025 * radius));
        let mut likeness = luma.clone();
        for (index, value) in likeness.samples.iter_mut().enumerate() {
            let colour = Colour {
                luma: luma.samples[index],
                cb: cb.samples[index] - 128.0,
                cr: cr.samples[index] - 128.0,
            };
            let lead = nearest(colour, eye) - nearest(colour, skin);
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
    let eye = colours_of_eye(closeup, limbus, pupil, side);
    let skin = colours_of_skin(closeup, limbus, &eye, side);
    if skin.is_empty() {
        return None;
    }
    let not_eye = NotEye::of(closeup, limbus, &eye, &skin);
    best_curve(&not_eye, &limbus.ellipse, side)
}

/// Sclera on either side, rings of the iris from rim to pupil, and the pupil. The far side of the
/// iris counts too: no lid of this side reaches it.
fn colours_of_eye(closeup: &Closeup, limbus: &Limbus, pupil: &Ellipse, side: Side) -> Vec<Colour> {
    let beyond = [false, true].map(|to_right| {
        let beyond: Vec<Colour> = limbus
            .spokes
            .iter()
            .filter(|spoke| is_lateral(spoke.theta) && (spoke.theta.cos() > 0.0) == to_right)
            .filter_map(|spoke| spoke.outside)
            .collect();
        Colour::median_of(&beyond)
    });
    let inner = (pupil.mean_radius() / limbus.ellipse.mean_radius() + 0.08).min(0.8);
    let ring = |share: f32, on_far_side: bool| {
        let at = inner + (0.94 - inner) * share;
        let ring: Vec<Colour> = limbus
            .spokes
            .iter()
            .filter(|spoke| {
                let far = -side.outward() * spoke.theta.sin();
                if on_far_side {
                    far > 0.75
                } else {
                    is_lateral(spoke.theta)
                }
            })
            .filter_map(|spoke| {
                let (x, y) = point_on_ray(&limbus.ellipse, spoke.theta, at);
                closeup.colour_at(x, y)
            })
            .collect();
        Colour::median_of(&ring)
    };
    const SHARES: [f32; 5] = [0.0, 0.3, 0.6, 0.85, 1.0];
    let lateral = SHARES.map(|share| ring(share, false));
    // Only the upper lid regularly covers iris; the top of the iris says nothing of the lower one.
    let far = SHARES.map(|share| (side == Side::Upper).then(|| ring(share, true)).flatten());
    let middle = closeup.colour_at(pupil.cx, pupil.cy);
    beyond
        .into_iter()
        .chain(lateral)
        .chain(far)
        .chain([middle])
        .flatten()
        .collect()
}

/// Colours above (below) the eye that it has not itself; empty when the frame ends before.
fn colours_of_skin(closeup: &Closeup, limbus: &Limbus, eye: &[Colour], side: Side) -> Vec<Colour> {
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
            skin.extend(Colour::median_of(&colours).filter(|&colour| nearest(colour, eye) > 12.0));
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
                let score = change - 0.1 * (height.abs() - usual_height(side)).abs();
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
