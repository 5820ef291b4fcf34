//! Random parameters of a person: skin, make-up, lashes, iris, gaze, hair, glasses.

use crate::animal::Fur;
use crate::colour::{Rgb, luminance, mix, scale, srgb};
use crate::eyeball::iris_offset_mm;
use crate::iris::Iris;
use crate::lids::{Fold, Lids};
use crate::rng::Rng;
use crate::view::IRIS_RADIUS_MM;

#[derive(Debug, Clone)]
pub(crate) struct Skin {
    pub colour: Rgb,
    /// 0 the lightest, 1 the darkest.
    pub depth: f32,
    pub blotches: f32,
    pub pores: f32,
    pub freckles: f32,
    /// About the number of freckles per millimetre.
    pub freckle_scale: f32,
    pub wrinkles: f32,
    pub shine: f32,
    /// Brightness of the lid between margin and crease, relative to the rest of the skin.
    pub lid_gain: f32,
    /// Share of the sclera's colour in the lid between margin and crease.
    pub lid_pallor: f32,
    /// Depth of the shading in the socket, between lid and brow, and beside the nose.
    pub socket: f32,
    pub offset: (f32, f32),
}

#[derive(Debug, Clone)]
pub(crate) struct Makeup {
    pub shadow: Option<(Rgb, f32, f32)>,
    /// Darkness and width (mm) of the line along the upper and lower margin.
    pub liner_upper: (f32, f32),
    pub liner_lower: (f32, f32),
}

#[derive(Debug, Clone)]
pub(crate) struct Sclera {
    pub colour: Rgb,
    pub vessels: f32,
    pub redness: f32,
    /// Darkness of the lids' shadow, and its extent (mm).
    pub shade: f32,
    pub shade_mm: f32,
    /// Darkening towards the corners.
    pub corner_shade: f32,
    pub gloss: f32,
}

#[derive(Debug, Clone)]
pub(crate) struct Lashes {
    pub colour: Rgb,
    pub upper_count: usize,
    pub lower_count: usize,
    pub upper_mm: f32,
    pub lower_mm: f32,
    /// Above 0 they curl upwards, below 0 they hang in front of the eye.
    pub curl: f32,
    pub width_mm: f32,
    pub clumping: f32,
    pub opacity: f32,
}

#[derive(Debug, Clone)]
pub(crate) struct Mouth {
    pub lips: Rgb,
    pub half_mm: f32,
    /// Half the height of the opening.
    pub open_mm: f32,
    /// Lift of the corners.
    pub smile_mm: f32,
    /// Brightness of the teeth; none at 0.
    pub teeth: f32,
}

#[derive(Debug, Clone)]
pub(crate) struct Glasses {
    pub frame: Rgb,
    pub half: (f32, f32),
    pub roundness: f32,
    pub rim_mm: f32,
    pub centre: (f32, f32),
    pub tint: f32,
}

#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub skin: Skin,
    pub makeup: Makeup,
    pub sclera: Sclera,
    pub lashes: Lashes,
    pub iris: Iris,
    pub lids: Lids,
    /// Gaze: x right in the picture plane, y down; with z of unit length.
    pub gaze: (f32, f32),
    pub hair: Rgb,
    pub brow: Rgb,
    pub brow_density: f32,
    pub brow_lift: f32,
    pub brow_shape: f32,
    pub brow_thick_mm: f32,
    pub glasses: Option<Glasses>,
    pub strands: usize,
    pub eye_distance: f32,
    pub face_half: (f32, f32),
    pub mouth: Mouth,
    pub beard: f32,
    pub hairline: f32,
    /// Fur, when the face is an animal's.
    pub fur: Option<Fur>,
}

const SKIN_TONES: [(f32, f32, f32); 9] = [
    (250.0, 222.0, 206.0),
    (240.0, 204.0, 182.0),
    (232.0, 190.0, 165.0),
    (218.0, 172.0, 142.0),
    (200.0, 150.0, 118.0),
    (172.0, 122.0, 92.0),
    (140.0, 95.0, 70.0),
    (104.0, 70.0, 52.0),
    (68.0, 45.0, 36.0),
];

impl Person {
    pub(crate) fn sample(rng: &mut Rng, closed: bool) -> Self {
        let fold = Fold::sample(rng);
        let single = fold == Fold::Single;
        let depth = if single {
            rng.range(0.08, 0.55)
        } else {
            rng.unit()
        };
        let colour = sample_skin_colour(rng, depth);
        let gaze = sample_gaze(rng);
        let iris = sample_iris(rng, single, depth);
        let hair = sample_hair(rng, single, depth);
        let made_up = rng.chance(0.35);
        Self {
            skin: Skin::sample(rng, colour, depth),
            makeup: Makeup::sample(rng, made_up),
            sclera: Sclera::sample(rng),
            lashes: Lashes::sample(rng, hair, made_up, single),
            lids: Lids::sample(rng, gaze.1, fold, closed),
            iris,
            gaze,
            brow: scale(hair, rng.range(0.4, 1.0)),
            hair,
            brow_density: if rng.chance(0.08) {
                0.05
            } else {
                rng.range(0.3, 1.0)
            },
            brow_lift: rng.range(14.0, 24.0),
            brow_shape: rng.range(0.0, 6.0),
            brow_thick_mm: rng.range(4.0, 10.0),
            glasses: rng.chance(0.12).then(|| sample_glasses(rng)),
            strands: if rng.chance(0.15) {
                1 + rng.below(16)
            } else {
                0
            },
            eye_distance: rng.range(58.0, 68.0),
            face_half: (rng.range(66.0, 78.0), rng.range(92.0, 112.0)),
            mouth: Mouth::sample(rng, colour),
            beard: if rng.chance(0.2) {
                rng.range(0.2, 0.9)
            } else {
                0.0
            },
            hairline: rng.range(58.0, 82.0),
            fur: None,
        }
    }

    /// Share of the iris' vertical diameter between the lids.
    pub(crate) fn open_share(&self) -> f32 {
        let (x, y) = iris_offset_mm(self.gaze);
        let margin = self.lids.margin(x);
        let seen = margin.lower.min(y + IRIS_RADIUS_MM) - margin.upper.max(y - IRIS_RADIUS_MM);
        seen / (2.0 * IRIS_RADIUS_MM)
    }

    /// Averts the gaze far to one side; the lids stay unchanged.
    pub(crate) fn avert_gaze(&mut self, rng: &mut Rng) {
        self.gaze.0 = rng.sign() * rng.range(0.35, 0.75);
    }
}

/// `depth` is 0 for the lightest, 1 for the darkest.
fn sample_skin_colour(rng: &mut Rng, depth: f32) -> Rgb {
    let position = depth * (SKIN_TONES.len() - 1) as f32;
    let low = (position as usize).min(SKIN_TONES.len() - 2);
    let tone = |i: usize| srgb(SKIN_TONES[i].0, SKIN_TONES[i].1, SKIN_TONES[i].2);
    let mut colour = mix(tone(low), tone(low + 1), position - low as f32);
    colour[0] *= rng.log_range(0.9, 1.05);
    colour[2] *= rng.log_range(0.85, 1.2);
    mix(colour, [luminance(colour); 3], rng.range(0.0, 0.5))
}

/// Correlated with skin and lids: dark skin or lids without a crease mostly have brown irises.
fn sample_iris(rng: &mut Rng, single: bool, depth: f32) -> Iris {
    let mut iris = Iris::sample(rng);
    if single || depth > 0.55 && rng.chance(0.7) {
        for _ in 0..6 {
            if matches!(
                iris.colour,
                crate::iris::IrisColour::DarkBrown | crate::iris::IrisColour::Brown
            ) {
                break;
            }
            iris = Iris::sample(rng);
        }
    }
    iris
}

fn sample_hair(rng: &mut Rng, single: bool, depth: f32) -> Rgb {
    if single || depth > 0.5 || rng.chance(0.55) {
        scale(srgb(45.0, 34.0, 28.0), rng.log_range(0.2, 1.6))
    } else {
        rng.pick(&[
            srgb(96.0, 66.0, 44.0),
            srgb(150.0, 112.0, 70.0),
            srgb(205.0, 172.0, 122.0),
            srgb(126.0, 60.0, 34.0),
            srgb(150.0, 148.0, 146.0),
        ])
    }
}

fn sample_gaze(rng: &mut Rng) -> (f32, f32) {
    match rng.weighted(&[0.5, 0.3, 0.2]) {
        0 => (rng.normal() * 0.06, rng.normal() * 0.05),
        1 => (rng.normal() * 0.2, rng.normal() * 0.12),
        _ if rng.chance(0.35) => (rng.sign() * rng.range(0.45, 0.8), rng.normal() * 0.12),
        _ if rng.chance(0.15) => (rng.normal() * 0.12, -rng.range(0.3, 0.6)),
        _ => (rng.range(-0.66, 0.66), rng.range(-0.4, 0.45)),
    }
}

fn sample_glasses(rng: &mut Rng) -> Glasses {
    Glasses {
        frame: rng.pick(&[
            [0.01, 0.01, 0.012],
            srgb(90.0, 55.0, 35.0),
            srgb(160.0, 150.0, 140.0),
            srgb(190.0, 150.0, 90.0),
            srgb(120.0, 30.0, 40.0),
            srgb(40.0, 60.0, 110.0),
        ]),
        half: (rng.range(22.0, 29.0), rng.range(14.0, 24.0)),
        roundness: rng.range(2.0, 5.0),
        rim_mm: rng.log_range(0.6, 3.5),
        centre: (rng.range(-2.0, 3.0), rng.range(0.0, 6.0)),
        tint: if rng.chance(0.12) {
            rng.range(0.1, 0.5)
        } else {
            0.0
        },
    }
}

impl Skin {
    fn sample(rng: &mut Rng, colour: Rgb, depth: f32) -> Self {
        Self {
            colour,
            depth,
            blotches: rng.range(0.02, 0.14),
            pores: if rng.chance(0.12) {
                rng.range(0.14, 0.5)
            } else {
                rng.range(0.0, 0.14)
            },
            freckles: if rng.chance(0.2) {
                rng.range(0.2, 1.0)
            } else {
                0.0
            },
            freckle_scale: rng.log_range(2.0, 7.0),
            wrinkles: rng.range(0.0, 0.7) * rng.unit(),
            shine: rng.range(0.0, 0.5) * rng.unit(),
            lid_gain: rng.log_range(0.7, 1.5),
            lid_pallor: if rng.chance(0.18) {
                rng.range(0.3, 0.95)
            } else {
                0.0
            },
            socket: rng.range(0.0, 1.0),
            offset: (rng.range(0.0, 512.0), rng.range(0.0, 512.0)),
        }
    }
}

impl Makeup {
    fn sample(rng: &mut Rng, made_up: bool) -> Self {
        Self {
            shadow: (made_up && rng.chance(0.6)).then(|| {
                let tint = rng.pick(&[
                    srgb(60.0, 40.0, 40.0),
                    srgb(120.0, 70.0, 90.0),
                    srgb(70.0, 80.0, 140.0),
                    srgb(180.0, 130.0, 90.0),
                    srgb(30.0, 30.0, 34.0),
                    srgb(60.0, 130.0, 120.0),
                    srgb(220.0, 180.0, 190.0),
                    srgb(225.0, 220.0, 215.0),
                    srgb(200.0, 215.0, 225.0),
                ]);
                (tint, rng.range(0.2, 0.9), rng.range(2.0, 9.0))
            }),
            liner_upper: if made_up && rng.chance(0.7) {
                (rng.range(0.5, 1.0), rng.range(0.4, 1.8))
            } else {
                (rng.range(0.0, 0.8), rng.range(0.3, 0.8))
            },
            liner_lower: if made_up && rng.chance(0.5) {
                (rng.range(0.3, 1.0), rng.range(0.4, 1.3))
            } else {
                (rng.range(0.0, 0.2), 0.4)
            },
        }
    }
}

impl Sclera {
    fn sample(rng: &mut Rng) -> Self {
        Self {
            colour: scale(
                mix(
                    srgb(226.0, 220.0, 216.0),
                    rng.pick(&[
                        srgb(222.0, 198.0, 188.0),
                        srgb(216.0, 190.0, 184.0),
                        srgb(206.0, 196.0, 168.0),
                        srgb(196.0, 206.0, 220.0),
                    ]),
                    rng.unit(),
                ),
                rng.range(0.38, 0.92),
            ),
            vessels: rng.range(0.15, 1.0) * rng.unit(),
            redness: rng.range(0.0, 0.35) * rng.unit(),
            shade: rng.range(0.3, 0.95),
            shade_mm: rng.log_range(0.9, 4.2),
            corner_shade: rng.range(0.05, 0.7),
            gloss: rng.range(0.0, 1.0),
        }
    }
}

impl Lashes {
    fn sample(rng: &mut Rng, hair: Rgb, made_up: bool, single: bool) -> Self {
        // `single`: lids without a crease, which have shorter and straighter lashes.
        Self {
            colour: scale(hair, if made_up { 0.15 } else { rng.range(0.2, 1.0) }),
            upper_count: if rng.chance(0.07) {
                rng.below(20)
            } else {
                60 + rng.below(130)
            },
            lower_count: if rng.chance(0.2) {
                rng.below(15)
            } else {
                20 + rng.below(60)
            },
            upper_mm: rng.range(5.5, 12.5) * if single { 0.7 } else { 1.0 },
            lower_mm: rng.range(2.5, 6.5) * if single { 0.7 } else { 1.0 },
            curl: if single {
                rng.range(-0.7, 0.4)
            } else {
                rng.range(-0.6, 1.1)
            },
            width_mm: rng.range(0.06, 0.16) * if made_up { 1.4 } else { 1.0 },
            clumping: rng.unit(),
            opacity: rng.range(0.45, 1.0),
        }
    }
}

impl Mouth {
    fn sample(rng: &mut Rng, skin: Rgb) -> Self {
        Self {
            lips: mix(skin, srgb(170.0, 70.0, 75.0), rng.range(0.2, 0.9)),
            half_mm: rng.range(21.0, 33.0),
            open_mm: if rng.chance(0.45) {
                rng.log_range(1.0, 14.0)
            } else {
                0.0
            },
            smile_mm: rng.range(-3.0, 10.0),
            teeth: rng.range(0.0, 0.8),
        }
    }
}
