//! Iris texture and pupil: colours, fibres, crypts, collarette, freckles, limbal ring.

use std::f32::consts::TAU;

use crate::colour::{Rgb, bell, length, mix, scale, smoothstep, srgb};
use crate::noise::{TILE, Tiles};
use crate::rng::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IrisColour {
    DarkBrown,
    Brown,
    Hazel,
    Amber,
    Green,
    Grey,
    Blue,
    Vivid,
}

impl IrisColour {
    pub const ALL: [Self; 8] = [
        Self::DarkBrown,
        Self::Brown,
        Self::Hazel,
        Self::Amber,
        Self::Green,
        Self::Grey,
        Self::Blue,
        Self::Vivid,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::DarkBrown => "dark_brown",
            Self::Brown => "brown",
            Self::Hazel => "hazel",
            Self::Amber => "amber",
            Self::Green => "green",
            Self::Grey => "grey",
            Self::Blue => "blue",
            Self::Vivid => "vivid",
        }
    }

    /// Colours of the outer zone, the zone around the pupil, and the fibres.
    fn palette(self, rng: &mut Rng) -> (Rgb, Rgb, Rgb) {
        match self {
            Self::DarkBrown => (
                srgb(42.0, 26.0, 20.0),
                srgb(54.0, 33.0, 24.0),
                srgb(66.0, 42.0, 30.0),
            ),
            Self::Brown => (
                srgb(92.0, 56.0, 34.0),
                srgb(110.0, 68.0, 38.0),
                srgb(150.0, 98.0, 58.0),
            ),
            Self::Hazel => (
                srgb(104.0, 98.0, 62.0),
                srgb(132.0, 88.0, 46.0),
                srgb(160.0, 140.0, 92.0),
            ),
            Self::Amber => (
                srgb(146.0, 96.0, 44.0),
                srgb(160.0, 100.0, 40.0),
                srgb(196.0, 140.0, 70.0),
            ),
            Self::Green => (
                srgb(96.0, 114.0, 88.0),
                srgb(140.0, 118.0, 66.0),
                srgb(160.0, 172.0, 130.0),
            ),
            Self::Grey => (
                srgb(118.0, 126.0, 132.0),
                srgb(140.0, 136.0, 120.0),
                srgb(186.0, 192.0, 196.0),
            ),
            Self::Blue => (
                srgb(92.0, 122.0, 152.0),
                srgb(128.0, 142.0, 146.0),
                srgb(176.0, 200.0, 216.0),
            ),
            Self::Vivid => {
                let outer = rng.pick(&[
                    srgb(10.0, 130.0, 150.0),
                    srgb(40.0, 90.0, 190.0),
                    srgb(30.0, 140.0, 80.0),
                    srgb(110.0, 80.0, 170.0),
                    srgb(150.0, 170.0, 190.0),
                ]);
                (
                    outer,
                    srgb(190.0, 130.0, 60.0),
                    mix(outer, [0.8, 0.85, 0.85], 0.45),
                )
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Iris {
    pub colour: IrisColour,
    /// Pupil radius in iris radii.
    pub pupil: f32,
    /// Offset of the pupil's centre in iris radii.
    pub pupil_shift: (f32, f32),
    /// Width of the pupil as a share of its height: 1 in people.
    pub pupil_width: f32,
    /// Half width of the blend into the sclera, in iris radii.
    pub limbus_softness: f32,
    outer: Rgb,
    inner: Rgb,
    fibre: Rgb,
    pupil_colour: Rgb,
    contrast: f32,
    inner_amount: f32,
    collarette: f32,
    collarette_wave: f32,
    crypts: f32,
    furrows: f32,
    ring_depth: f32,
    ring_width: f32,
    arcus: f32,
    freckles: Vec<(f32, f32, f32)>,
    turns: [f32; 2],
    offset: (f32, f32),
}

impl Iris {
    pub(crate) fn sample(rng: &mut Rng) -> Self {
        let colour =
            IrisColour::ALL[rng.weighted(&[0.26, 0.24, 0.10, 0.06, 0.09, 0.07, 0.13, 0.05])];
        let (outer, inner, fibre) = colour.palette(rng);
        let dark = colour == IrisColour::DarkBrown;
        let brightness = if dark {
            rng.log_range(0.2, 1.6)
        } else {
            rng.log_range(0.6, 1.6)
        };
        let tint = [rng.log_range(0.85, 1.18), 1.0, rng.log_range(0.82, 1.2)];
        let vary = |c: Rgb| {
            [
                c[0] * tint[0] * brightness,
                c[1] * brightness,
                c[2] * tint[2] * brightness,
            ]
        };
        let pupil = match rng.weighted(&[0.75, 0.25]) {
            0 => (0.36 + 0.09 * rng.normal()).clamp(0.16, 0.66),
            _ => rng.range(0.15, 0.74),
        };
        let freckle_count = if rng.chance(0.4) { rng.below(12) } else { 0 };
        Self {
            colour,
            pupil,
            pupil_shift: (rng.range(-0.05, 0.05), rng.range(-0.04, 0.04)),
            pupil_width: 1.0,
            limbus_softness: rng.log_range(0.012, 0.075),
            outer: vary(outer),
            inner: vary(inner),
            fibre: vary(fibre),
            pupil_colour: match rng.weighted(&[0.93, 0.02, 0.05]) {
                0 => scale([0.004, 0.004, 0.005], rng.log_range(0.3, 2.5)),
                1 => scale([0.35, 0.04, 0.03], rng.range(0.3, 1.2)),
                _ => scale([0.03, 0.032, 0.036], rng.range(0.3, 1.2)),
            },
            contrast: if dark {
                rng.range(0.1, 0.4)
            } else {
                rng.range(0.25, 1.15)
            },
            inner_amount: rng.range(0.1, 1.0),
            collarette: rng.range(0.18, 0.5),
            collarette_wave: rng.range(0.01, 0.07),
            crypts: rng.range(0.0, 0.7),
            furrows: rng.range(0.0, 0.2),
            ring_depth: rng.range(0.05, 0.9),
            ring_width: rng.range(0.06, 0.32),
            arcus: if rng.chance(0.07) {
                rng.range(0.2, 0.6)
            } else {
                0.0
            },
            freckles: (0..freckle_count)
                .map(|_| {
                    (
                        rng.unit(),
                        rng.range(0.1, 0.95),
                        rng.log_range(0.008, 0.045),
                    )
                })
                .collect(),
            turns: [rng.pick(&[1.0, 2.0]), rng.pick(&[2.0, 3.0])],
            offset: (rng.range(0.0, 512.0), rng.range(0.0, 512.0)),
        }
    }

    /// Colour at polar position: `turn` in `[0, 1)` around, `r` in iris radii from the iris centre,
    /// `p` in iris radii from the pupil's centre. `detail` fades texture that a pixel cannot show.
    pub(crate) fn colour_at(&self, tiles: &Tiles, turn: f32, r: f32, p: f32, detail: f32) -> Rgb {
        let rho = ((p - self.pupil) / (1.0 - self.pupil)).clamp(-0.2, 1.1);
        let around = turn * TILE as f32 + self.offset.0;
        let wave = tiles.cloud.at(around, self.offset.1);
        let sway = tiles.drift.at(around, rho * 26.0 + self.offset.1) * 5.0;
        let fine = tiles.rough.at(around * self.turns[0] + sway, rho * 16.0);
        let broad = tiles
            .cloud
            .at(around * self.turns[1] + sway, rho * 30.0 + self.offset.1);
        let edge = self.collarette + self.collarette_wave * wave;
        let inside = 1.0 - smoothstep(edge - 0.06, edge + 0.16, rho);
        let mut colour = mix(
            self.outer,
            self.inner,
            (inside * self.inner_amount + 0.12 * broad).clamp(0.0, 1.0),
        );
        let strands = 0.55 * fine + 0.6 * broad;
        let lift = self.contrast * detail * strands;
        colour = if lift > 0.0 {
            mix(colour, self.fibre, (lift * 0.8).min(0.95))
        } else {
            scale(colour, 1.0 / (1.0 - 1.2 * lift))
        };
        let ridge =
            bell((rho - edge) / 0.06) * (0.3 + 0.25 * fine).max(0.0) * self.contrast * detail;
        colour = mix(colour, self.fibre, ridge);
        let pit = tiles.drift.at(around, rho * 60.0 + self.offset.0);
        let crypt =
            smoothstep(0.9, 1.7, pit) * bell((rho - edge - 0.15) / 0.28) * self.crypts * detail;
        colour = scale(colour, 1.0 - 0.7 * crypt);
        let furrow =
            ((rho * 34.0 + wave).sin() * smoothstep(0.45, 0.7, rho)) * self.furrows * detail;
        colour = scale(colour, 1.0 + 0.5 * furrow);
        for &(at_turn, at_rho, size) in &self.freckles {
            let off = turn - at_turn;
            let wraps = f32::from(i8::from(off > 0.5) - i8::from(off < -0.5));
            let across = (off - wraps) * TAU * r;
            let far = length(across, (rho - at_rho) * (1.0 - self.pupil)) / size;
            if far < 2.0 {
                colour = mix(colour, [0.035, 0.018, 0.01], 0.7 * bell(far));
            }
        }
        let ring = smoothstep(1.0 - self.ring_width, 1.0, r);
        colour = scale(colour, 1.0 - self.ring_depth * ring * ring);
        let haze = bell((r - 0.97) / 0.07) * self.arcus;
        colour = mix(colour, [0.4, 0.42, 0.44], haze);
        let ruff = bell((rho - 0.01) / 0.03) * 0.5 * detail;
        mix(colour, [0.02, 0.012, 0.008], ruff)
    }

    pub(crate) fn is_brown(&self) -> bool {
        matches!(self.colour, IrisColour::DarkBrown | IrisColour::Brown)
    }

    /// Stronger structure, as in studio photos: bright fibres, deep crypts, a bright collarette.
    pub(crate) fn strengthen(&mut self, rng: &mut Rng) {
        self.contrast *= rng.range(1.0, 2.0);
        self.crypts = rng.range(0.2, 1.0);
        self.furrows = rng.range(0.0, 0.4);
        self.turns = [rng.pick(&[1.0, 2.0, 3.0]), rng.pick(&[2.0, 3.0, 5.0])];
        if rng.chance(0.3) {
            self.fibre = mix(self.fibre, [0.75, 0.75, 0.72], rng.range(0.1, 0.6));
        }
    }

    /// An animal's iris: yellow, green, blue or nearly black, with a large or slit pupil.
    pub(crate) fn make_animal(&mut self, rng: &mut Rng) {
        let colours = [
            srgb(190.0, 150.0, 60.0),
            srgb(150.0, 160.0, 80.0),
            srgb(110.0, 150.0, 170.0),
            srgb(160.0, 90.0, 40.0),
            srgb(80.0, 50.0, 30.0),
            srgb(30.0, 20.0, 16.0),
        ];
        self.outer = scale(rng.pick(&colours), rng.log_range(0.5, 1.4));
        self.inner = scale(rng.pick(&colours), rng.log_range(0.5, 1.4));
        self.fibre = mix(self.outer, self.inner, 0.5);
        self.pupil_colour = scale([0.004, 0.005, 0.006], rng.log_range(0.3, 4.0));
        (self.pupil, self.pupil_width) = if rng.chance(0.3) {
            (rng.range(0.5, 0.9), rng.range(0.12, 0.6))
        } else {
            (rng.range(0.3, 0.9), 1.0)
        };
    }

    pub(crate) fn pupil_colour(&self) -> Rgb {
        self.pupil_colour
    }
}
