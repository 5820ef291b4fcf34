//! Corneal reflections of windows, panels, ring lights, flashes, screens, the sky, and soft veils.
//!
//! The position of a light source is given in stereographic coordinates of the surface normal,
//! `(nx, ny) / nz`: `(0, 0)` is the camera itself, and the limbus lies near 1.

use std::f32::consts::TAU;

use crate::colour::{Rgb, bell, length, luminance, mix, scale, smoothstep, srgb};
use crate::foreground::Foreground;
use crate::noise::Tiles;
use crate::rng::Rng;

#[derive(Debug, Clone, Copy)]
enum Shape {
    /// A window with `columns` x `rows` panes between bars.
    Window {
        columns: f32,
        rows: f32,
        bar: f32,
    },
    Panel {
        roundness: f32,
    },
    Ring {
        hole: f32,
    },
    Disc,
    /// The sky above a wavy horizon, with lashes hanging into it.
    Sky {
        lashes: f32,
        /// Half width of the photographer's dark silhouette.
        figure: f32,
    },
    /// A wide, soft veil without an edge.
    Veil,
    /// A cloth with a lamp behind it: brighter in the middle, with `sides` straight edges.
    Softbox {
        sides: f32,
        falloff: f32,
    },
    /// A ring of single lamps.
    LedRing {
        hole: f32,
        lamps: f32,
    },
    /// The edge of a contact lens: a fine arc around `bearing`.
    LensRim {
        hole: f32,
        bearing: f32,
        spread: f32,
    },
}

#[derive(Debug, Clone)]
struct Light {
    shape: Shape,
    at: (f32, f32),
    half: (f32, f32),
    turn: (f32, f32),
    colour: Rgb,
    softness: f32,
    scene: f32,
    offset: f32,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Mirrored {
    lights: Vec<Light>,
    foreground: Option<Foreground>,
}

/// What the cornea reflects at a position.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reflected {
    pub(crate) light: Rgb,
    /// Lashes hide most of a noticeable light here.
    pub(crate) is_combed: bool,
}

impl Mirrored {
    pub(crate) fn sample(rng: &mut Rng) -> Self {
        let count = rng.weighted(&[0.1, 0.42, 0.28, 0.12, 0.06, 0.02]);
        let mut lights: Vec<Light> = (0..count).map(|_| Light::sample(rng)).collect();
        if rng.chance(0.18) {
            // The same lamp a second time, a little offset: two bulbs, or a double flash.
            if let Some(first) = lights.first().cloned() {
                let at = (
                    first.at.0 + rng.range(-0.3, 0.3),
                    first.at.1 + rng.range(-0.3, 0.3),
                );
                lights.push(Light { at, ..first });
            }
        }
        Self {
            lights,
            foreground: None,
        }
    }

    /// The lights of studios, rooms and the open air, with lashes, phones and fingers in front of them.
    pub(crate) fn sample_varied(rng: &mut Rng) -> Self {
        let count = rng.weighted(&[0.16, 0.38, 0.26, 0.12, 0.05, 0.03]);
        let mut lights: Vec<Light> = (0..count)
            .map(|_| {
                if rng.chance(0.3) {
                    Light::sample_studio(rng)
                } else {
                    Light::sample(rng)
                }
            })
            .collect();
        if count > 0 && rng.chance(0.2) {
            lights.push(Light::sample_veil(rng));
        }
        if rng.chance(0.08) {
            lights.push(Light::sample_lens_rim(rng));
        }
        Self {
            lights,
            foreground: Some(Foreground::sample(rng)),
        }
    }

    /// Kind of the largest light source.
    pub(crate) fn main_kind(&self) -> Option<&'static str> {
        let area = |light: &Light| light.half.0 * light.half.1;
        let largest = self
            .lights
            .iter()
            .max_by(|a, b| area(a).total_cmp(&area(b)))?;
        Some(match largest.shape {
            Shape::Window { .. } => "window",
            Shape::Panel { .. } | Shape::Softbox { .. } => "panel",
            Shape::Ring { .. } | Shape::LedRing { .. } => "ring",
            Shape::LensRim { .. } => "lens",
            Shape::Disc => "lamp",
            Shape::Sky { .. } => "sky",
            Shape::Veil => "veil",
        })
    }

    /// Light reflected towards the camera at the normal `(x, y)` (stereographic).
    pub(crate) fn at(&self, tiles: &Tiles, x: f32, y: f32) -> Reflected {
        let mut sum = [0.0; 3];
        for light in &self.lights {
            let (strength, patch) = light.strength(tiles, x, y);
            if strength > 0.0 {
                let colour = scale(light.colour, strength * patch);
                sum = [sum[0] + colour[0], sum[1] + colour[1], sum[2] + colour[2]];
            }
        }
        let Some(foreground) = self.foreground.as_ref().filter(|_| luminance(sum) > 0.0) else {
            return Reflected {
                light: sum,
                is_combed: false,
            };
        };
        let (lashes, left) = foreground.shade(x, y);
        Reflected {
            light: scale(sum, left),
            is_combed: lashes > 0.4 && luminance(sum) > 0.02,
        }
    }
}

impl Light {
    /// A lamp of a photographer, mostly from the front or from the side.
    fn sample_studio(rng: &mut Rng) -> Self {
        let mut light = Self::sample(rng);
        if rng.chance(0.65) {
            let half = rng.log_range(0.06, 0.4);
            light.shape = Shape::Softbox {
                sides: rng.pick(&[4.0, 4.0, 4.0, 8.0, 8.0, 16.0]),
                falloff: rng.range(0.0, 0.9),
            };
            light.half = (half, half * rng.log_range(0.5, 2.5));
            light.colour = scale(light.colour, rng.log_range(0.5, 6.0));
            light.softness = rng.log_range(0.008, 0.06);
        } else {
            let half = rng.log_range(0.1, 0.6);
            light.shape = Shape::LedRing {
                hole: rng.range(0.6, 0.93),
                lamps: 6.0 + rng.below(42) as f32,
            };
            light.half = (half, half);
            light.at = (rng.normal() * 0.1, rng.normal() * 0.1);
            light.colour = scale(light.colour, rng.log_range(1.0, 8.0));
            light.softness = rng.log_range(0.006, 0.04);
        }
        light
    }

    fn sample_veil(rng: &mut Rng) -> Self {
        Self {
            shape: Shape::Veil,
            half: (rng.range(0.3, 1.2), rng.range(0.3, 1.2)),
            colour: scale(srgb(225.0, 238.0, 255.0), rng.log_range(0.02, 0.25)),
            ..Self::sample(rng)
        }
    }

    fn sample_lens_rim(rng: &mut Rng) -> Self {
        let half = rng.range(0.6, 1.25);
        Self {
            shape: Shape::LensRim {
                hole: rng.range(0.955, 0.985),
                bearing: rng.range(0.0, TAU),
                spread: rng.range(0.3, 2.5),
            },
            at: (rng.normal() * 0.1, rng.normal() * 0.1),
            half: (half, half),
            colour: scale([1.0; 3], rng.log_range(0.02, 0.6)),
            softness: 0.01,
            ..Self::sample(rng)
        }
    }

    fn sample(rng: &mut Rng) -> Self {
        let kind = rng.weighted(&[0.3, 0.14, 0.08, 0.24, 0.1, 0.14]);
        let warm = rng.pick(&[
            srgb(255.0, 255.0, 255.0),
            srgb(225.0, 238.0, 255.0),
            srgb(190.0, 215.0, 255.0),
            srgb(255.0, 240.0, 215.0),
            srgb(255.0, 222.0, 175.0),
        ]);
        let distance = rng.range(0.0, 0.85).sqrt() * 0.9;
        let bearing = rng.range(0.0, TAU);
        let mut at = (distance * bearing.cos(), distance * bearing.sin() - 0.1);
        let angle = rng.normal() * 0.25;
        let (shape, half, brightness, softness) = match kind {
            0 => (
                Shape::Window {
                    columns: rng.pick(&[1.0, 1.0, 2.0, 2.0, 3.0]),
                    rows: rng.pick(&[1.0, 1.0, 2.0, 2.0, 3.0, 4.0]),
                    bar: rng.range(0.04, 0.2),
                },
                if rng.chance(0.25) {
                    (rng.range(0.25, 0.8), rng.range(0.3, 0.9))
                } else {
                    (rng.log_range(0.04, 0.42), rng.log_range(0.05, 0.5))
                },
                rng.log_range(0.08, 2.5),
                rng.log_range(0.01, 0.08),
            ),
            1 => (
                Shape::Panel {
                    roundness: rng.range(2.0, 8.0),
                },
                (rng.log_range(0.05, 0.45), rng.log_range(0.05, 0.35)),
                rng.log_range(0.08, 3.0),
                rng.log_range(0.01, 0.1),
            ),
            2 => {
                let radius = rng.log_range(0.12, 0.75);
                at = (rng.normal() * 0.08, rng.normal() * 0.08);
                (
                    Shape::Ring {
                        hole: rng.range(0.55, 0.88),
                    },
                    (radius, radius),
                    rng.log_range(0.4, 5.0),
                    rng.log_range(0.01, 0.05),
                )
            }
            3 => {
                let radius = rng.log_range(0.015, 0.16);
                if rng.chance(0.5) {
                    at = (rng.normal() * 0.12, rng.normal() * 0.12);
                }
                (
                    Shape::Disc,
                    (radius, radius),
                    rng.log_range(0.6, 12.0),
                    rng.log_range(0.01, 0.06),
                )
            }
            4 => (
                Shape::Sky {
                    lashes: if rng.chance(0.7) {
                        rng.range(0.4, 1.0)
                    } else {
                        0.0
                    },
                    figure: if rng.chance(0.4) {
                        rng.range(0.12, 0.4)
                    } else {
                        0.0
                    },
                },
                (rng.range(0.5, 1.6), rng.range(0.4, 1.2)),
                rng.log_range(0.03, 0.35),
                rng.range(0.02, 0.15),
            ),
            _ => (
                Shape::Veil,
                (rng.range(0.2, 0.9), rng.range(0.2, 0.9)),
                rng.log_range(0.02, 0.3),
                1.0,
            ),
        };
        if matches!(shape, Shape::Sky { .. }) {
            at = (rng.range(-0.6, 0.6), rng.range(-0.9, 0.0));
        }
        Self {
            shape,
            at,
            half,
            turn: (angle.cos(), angle.sin()),
            colour: scale(warm, brightness),
            softness,
            scene: if rng.chance(0.5) {
                rng.range(0.0, 0.6)
            } else {
                0.0
            },
            offset: rng.range(0.0, 512.0),
        }
    }

    /// Brightness of the light source at a position, 0 to 1, and its texture.
    fn strength(&self, tiles: &Tiles, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = (x - self.at.0, y - self.at.1);
        let u = (dx * self.turn.0 + dy * self.turn.1) / self.half.0;
        let v = (dy * self.turn.0 - dx * self.turn.1) / self.half.1;
        if u.abs() > 2.5 || v.abs() > 2.5 {
            return (0.0, 1.0);
        }
        let soft = self.softness / self.half.0.min(self.half.1);
        let edge = |d: f32| smoothstep(soft, -soft, d);
        let share = match self.shape {
            Shape::Window { columns, rows, bar } => {
                let outline = edge(u.abs().max(v.abs()) - 1.0);
                if outline <= 0.0 {
                    return (0.0, 1.0);
                }
                let cell = |c: f32, count: f32| {
                    let t = ((c + 1.0) * 0.5 * count).fract();
                    let gap = t.min(1.0 - t);
                    if count > 1.0 {
                        smoothstep(0.5 * bar, bar, gap * 2.0 / count + 0.3 * bar)
                    } else {
                        1.0
                    }
                };
                outline * cell(u, columns) * cell(v, rows)
            }
            Shape::Panel { roundness } => {
                let d = (u.abs().powf(roundness) + v.abs().powf(roundness)).powf(1.0 / roundness);
                edge(d - 1.0)
            }
            Shape::Ring { hole } => {
                let d = length(u, v);
                edge(d - 1.0) * (1.0 - edge(d - hole))
            }
            Shape::Disc => edge(length(u, v) - 1.0),
            Shape::Sky { lashes, figure } => {
                let wave = 0.15 * tiles.cloud.at(x * 60.0 + self.offset, self.offset);
                let inside = edge((v - 0.9 + wave).max(u.abs() - 1.6));
                let strand = tiles
                    .rough
                    .at((x + 0.25 * x * y) * 55.0 + self.offset, y * 5.0);
                let dark = smoothstep(0.3, 1.0, strand) * smoothstep(0.9, -0.6, v);
                // The photographer's head and shoulders, in the middle of the reflection.
                let body = length(x, y * 0.8 + 0.05).min((x.abs() - 0.6 * y).max(0.2 - y));
                let before = smoothstep(figure + 0.03, figure - 0.03, body);
                inside * (1.0 - lashes * dark) * (1.0 - 0.9 * before)
            }
            Shape::Veil => bell(length(u, v) * 1.4),
            Shape::Softbox { sides, falloff } => {
                let step = TAU / sides;
                let bearing = v.atan2(u) + 0.5 * step;
                let corner = bearing - (bearing / step).round() * step;
                let d = length(u, v) * corner.cos();
                edge(d - 1.0) * (1.0 - falloff * (d * d).min(1.0))
            }
            Shape::LedRing { hole, lamps } => {
                let d = length(u, v);
                let ring = edge(d - 1.0) * (1.0 - edge(d - hole));
                ring * (0.15 + 0.85 * smoothstep(-0.2, 0.6, (v.atan2(u) * lamps).cos()))
            }
            Shape::LensRim {
                hole,
                bearing,
                spread,
            } => {
                let d = length(u, v);
                let off = (v.atan2(u) - bearing).abs();
                let ring = edge(d - 1.0) * (1.0 - edge(d - hole));
                ring * bell(off.min(TAU - off) / spread)
            }
        };
        let patch = if self.scene > 0.0 && share > 0.0 {
            let seen = tiles.cloud.at(x * 90.0 + self.offset, y * 90.0);
            mix(
                [1.0; 3],
                [(1.0 + 0.5 * seen).clamp(0.1, 1.8); 3],
                self.scene,
            )[0]
        } else {
            1.0
        };
        (share, patch)
    }
}
