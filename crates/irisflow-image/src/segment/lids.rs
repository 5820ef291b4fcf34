//! The margins of the lids where they come near the iris, as parabolas.
//!
//! Each lid is sought like the limbus, by an integro-differential operator (Daugman 1993 uses it with
//! parabolic arcs for lids): over height, tilt and bend, the mean change of colour across the arc.
//! Beyond the limbus that change must lead from sclera-like to something else.

use super::closeup::Closeup;
use super::float_image::FloatImage;
use super::limbus::{Colour, LimbusSpoke, sclera_colour};
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

/// Both lids; none where no margin is seen within reach of the iris.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lids {
    pub(super) upper: Option<LidCurve>,
    pub(super) lower: Option<LidCurve>,
}

pub(super) fn find_lids(closeup: &Closeup, limbus: &Ellipse, spokes: &[LimbusSpoke]) -> Lids {
    let Some(sclera) = sclera_colour(spokes) else {
        return Lids::default();
    };
    let smooth = smoothed(closeup, limbus.mean_radius());
    Lids {
        upper: best_curve(&smooth, limbus, sclera, Side::Upper),
        lower: best_curve(&smooth, limbus, sclera, Side::Lower),
    }
}

fn smoothed(closeup: &Closeup, radius: f32) -> [FloatImage; 3] {
    [&closeup.luma, &closeup.cb, &closeup.cr].map(|plane| plane.blurred(0.035 * radius))
}

fn best_curve(
    smooth: &[FloatImage; 3],
    limbus: &Ellipse,
    sclera: Colour,
    side: Side,
) -> Option<LidCurve> {
    let mut best: Option<(LidCurve, f32)> = None;
    let outward = if side == Side::Upper { -1.0 } else { 1.0 };
    for height_step in 0..34 {
        // From a lid over the pupil's edge to one well clear of the iris.
        let height = outward * (0.15 + 0.035 * height_step as f32);
        for tilt in [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3] {
            for bend in [0.0, 0.1, 0.2, 0.3, 0.42] {
                let curve = LidCurve {
                    cx: limbus.cx,
                    cy: limbus.cy,
                    radius: limbus.mean_radius(),
                    height,
                    tilt,
                    bend: -outward * bend,
                };
                let score = curve_score(smooth, &curve, limbus, sclera, outward)
                    - 0.25 * (height.abs() - usual_height(side)).abs();
                if best.is_none_or(|(_, least)| score > least) {
                    best = Some((curve, score));
                }
            }
        }
    }
    best.filter(|(_, score)| *score > 0.12)
        .map(|(curve, _)| curve)
}

/// Where a relaxed lid rests, in iris radii from the centre: the upper one covers the top of the
/// iris by a millimetre or two of its six, the lower one touches the limbus.
fn usual_height(side: Side) -> f32 {
    match side {
        Side::Upper => 0.75,
        Side::Lower => 1.0,
    }
}

/// Mean change across the arc, 0 to 1, the part over the sclera counting as much as that over the iris.
fn curve_score(
    smooth: &[FloatImage; 3],
    curve: &LidCurve,
    limbus: &Ellipse,
    sclera: Colour,
    outward: f32,
) -> f32 {
    let (mut over_iris, mut iris_count) = (0.0, 0);
    let (mut over_sclera, mut sclera_count) = (0.0, 0);
    let gap = 0.07 * curve.radius;
    for step in -14..=14 {
        let x = curve.cx + step as f32 * 0.1 * curve.radius;
        let y = curve.y_at(x);
        let (Some(within), Some(beyond)) = (
            colour_of(smooth, x, y - outward * gap),
            colour_of(smooth, x, y + outward * gap),
        ) else {
            continue;
        };
        if limbus.contains(x, y) {
            over_iris += (within.distance(beyond) / 40.0).min(1.0);
            iris_count += 1;
        } else {
            let leaving = beyond.distance(sclera) - within.distance(sclera);
            over_sclera += (leaving / 40.0).clamp(-1.0, 1.0);
            sclera_count += 1;
        }
    }
    if iris_count + sclera_count < 12 {
        return 0.0;
    }
    (over_iris + over_sclera) / (iris_count + sclera_count) as f32
}

fn colour_of(smooth: &[FloatImage; 3], x: f32, y: f32) -> Option<Colour> {
    Some(Colour {
        luma: smooth[0].sample(x, y)?,
        cb: smooth[1].sample(x, y)? - 128.0,
        cr: smooth[2].sample(x, y)? - 128.0,
    })
}
