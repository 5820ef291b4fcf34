//! Things that look a little like an eye and are none: round objects, animals' eyes, drawings, and
//! bare textures.

use std::f32::consts::TAU;

use crate::canvas::Canvas;
use crate::colour::{Rgb, bell, length, luminance, mix, scale, smoothstep};
use crate::noise::Tiles;
use crate::reflections::Mirrored;
use crate::rng::Rng;

#[derive(Debug, Clone, Copy)]
enum Kind {
    Rings,
    Button,
    Wheel,
    Flower,
    Ball,
    Gem,
    SlitEye,
    AnimalEye,
    Lens,
    Hole,
    DrawnEye,
    Coin,
    Jewel,
    FingerRing,
    Snout,
    Spectacles,
    Mouth,
    Plate,
    Googly,
}

const KINDS: [Kind; 31] = [
    Kind::Googly,
    Kind::Googly,
    Kind::DrawnEye,
    Kind::DrawnEye,
    Kind::FingerRing,
    Kind::FingerRing,
    Kind::Snout,
    Kind::Snout,
    Kind::Spectacles,
    Kind::Spectacles,
    Kind::Mouth,
    Kind::Mouth,
    Kind::Plate,
    Kind::Rings,
    Kind::Ball,
    Kind::Flower,
    Kind::Jewel,
    Kind::Jewel,
    Kind::Rings,
    Kind::Button,
    Kind::Wheel,
    Kind::Flower,
    Kind::Ball,
    Kind::Gem,
    Kind::SlitEye,
    Kind::AnimalEye,
    Kind::Lens,
    Kind::Hole,
    Kind::DrawnEye,
    Kind::Coin,
    Kind::Jewel,
];

impl Kind {
    /// How far it goes beyond its disc, in radii.
    fn reach(self) -> f32 {
        match self {
            Self::DrawnEye
            | Self::SlitEye
            | Self::AnimalEye
            | Self::Snout
            | Self::Spectacles
            | Self::Mouth => 2.2,
            Self::FingerRing => 1.5,
            _ => 1.05,
        }
    }
}

#[derive(Debug)]
struct Thing {
    kind: Kind,
    centre: (f32, f32),
    radius: f32,
    flat: f32,
    turn: (f32, f32),
    colours: [Rgb; 4],
    radii: [f32; 5],
    count: f32,
    light: (f32, f32),
    offset: f32,
    mirrored: Option<Mirrored>,
}

fn any_colour(rng: &mut Rng) -> Rgb {
    let value = rng.log_range(0.01, 0.9);
    match rng.weighted(&[0.4, 0.35, 0.25]) {
        0 => [
            value * rng.log_range(0.85, 1.2),
            value,
            value * rng.log_range(0.8, 1.2),
        ],
        1 => [
            value * rng.log_range(1.1, 3.0),
            value,
            value * rng.log_range(0.2, 0.9),
        ],
        _ => [
            value * rng.log_range(0.2, 4.0),
            value * rng.log_range(0.4, 2.0),
            value * rng.log_range(0.2, 4.0),
        ],
    }
    .map(|c| c.min(1.0))
}

impl Thing {
    fn sample(rng: &mut Rng, side: f32, kind: Kind, single: bool) -> Self {
        let mut radii: [f32; 5] = std::array::from_fn(|_| rng.range(0.12, 0.97));
        radii.sort_by(f32::total_cmp);
        let turn = rng.range(0.0, TAU);
        let radius = if single {
            rng.log_range(0.12, 0.6)
        } else {
            rng.log_range(0.03, 0.25)
        } * side;
        let light = rng.range(0.0, TAU);
        Self {
            kind,
            centre: if single {
                (
                    side * (0.5 + 0.12 * rng.normal()),
                    side * (0.5 + 0.12 * rng.normal()),
                )
            } else {
                (rng.range(0.0, side), rng.range(0.0, side))
            },
            radius,
            flat: if rng.chance(0.5) {
                rng.range(0.45, 1.0)
            } else {
                1.0
            },
            turn: (turn.cos(), turn.sin()),
            colours: std::array::from_fn(|_| any_colour(rng)),
            radii,
            count: (3 + rng.below(22)) as f32,
            light: (light.cos() * 0.6, light.sin() * 0.6),
            offset: rng.range(0.0, 512.0),
            mirrored: rng.chance(0.6).then(|| Mirrored::sample(rng)),
        }
    }

    /// Colour and coverage at a pixel; `None` outside.
    fn at(&self, tiles: &Tiles, x: f32, y: f32) -> Option<(Rgb, Rgb, f32)> {
        let (dx, dy) = (
            (x - self.centre.0) / self.radius,
            (y - self.centre.1) / self.radius,
        );
        let u = dx * self.turn.0 + dy * self.turn.1;
        let v = (dy * self.turn.0 - dx * self.turn.1) / self.flat;
        let r = length(u, v);
        let reach = self.kind.reach();
        if r > reach {
            return None;
        }
        let aa = 0.8 / self.radius;
        let disc = |edge: f32| smoothstep(edge + aa, edge - aa, r);
        let [a, b, c, d] = self.colours;
        let angle = v.atan2(u);
        let around = angle * 0.159_155 * 512.0 + self.offset;
        let shade = 1.0 + 0.5 * (u * self.light.0 + v * self.light.1);
        let mut cover = disc(1.0);
        let mut glow = [0.0; 3];
        let colour = match self.kind {
            Kind::Rings => {
                let mut colour = a;
                for (i, &edge) in self.radii.iter().rev().enumerate() {
                    colour = mix(colour, [b, c, d, a, b][i], disc(edge));
                }
                colour
            }
            Kind::Button => {
                let mut colour = mix(a, scale(a, 0.55), bell((r - 0.78) / 0.06));
                for k in 0..4 {
                    let hole = (u - 0.2 * [1.0, -1.0, 1.0, -1.0][k])
                        .hypot(v - 0.2 * [1.0, 1.0, -1.0, -1.0][k]);
                    colour = mix(
                        colour,
                        scale(b, 0.2),
                        smoothstep(0.11 + aa, 0.11 - aa, hole),
                    );
                }
                scale(colour, shade)
            }
            Kind::Wheel => {
                let spoke = smoothstep(0.2, 0.4, (angle * self.count * 0.5).sin().abs());
                let inner = mix(b, scale(c, 0.3), spoke);
                let rim = mix(scale(a, 0.2), inner, disc(self.radii[3].max(0.5)));
                scale(mix(rim, d, disc(0.15)), shade)
            }
            Kind::Flower => {
                let layer = (r * (2.0 + self.count * 0.2)).floor();
                let petal = (angle * self.count * 0.5 + layer * 1.3).sin().abs();
                cover = smoothstep(1.0 + aa, 1.0 - aa, r / (0.75 + 0.25 * petal));
                let body = scale(
                    mix(a, b, r),
                    0.5 + 0.7 * petal - 0.3 * (r * (2.0 + self.count * 0.2)).fract(),
                );
                mix(body, c, disc(self.radii[0]))
            }
            Kind::Ball => {
                let z = (1.0 - r * r).max(0.0).sqrt();
                let lit = (0.5 + 0.5 * z + 0.5 * (u * self.light.0 + v * self.light.1)).max(0.05);
                let skin = 1.0 + 0.15 * tiles.rough.at(u * 60.0 + self.offset, v * 60.0);
                let stem = mix(a, b, bell((u - 0.2).hypot(v + 0.1) / 0.16));
                if let Some(mirrored) = &self.mirrored {
                    let z = z.max(0.15);
                    glow = mirrored.at(tiles, u / z, v / z);
                }
                scale(stem, lit * skin)
            }
            Kind::Gem => {
                let facet = ((angle * 1.6 + self.offset).sin() * 2.0
                    + (r * 3.5).floor() * 1.7
                    + (angle * 2.5).floor())
                .sin();
                let shine = 0.6 + 0.6 * facet;
                let stone = scale(a, shine.max(0.1));
                mix(scale(b, shade), stone, disc(0.72))
            }
            Kind::SlitEye | Kind::AnimalEye => {
                let slit = if matches!(self.kind, Kind::SlitEye) {
                    0.18 + 0.25 * self.radii[0]
                } else {
                    1.0
                };
                let pupil_size = if matches!(self.kind, Kind::SlitEye) {
                    0.75
                } else {
                    0.25 + 0.65 * self.radii[1]
                };
                let inside = length(u / slit, v) / pupil_size;
                let strand = tiles.rough.at(around, r * 20.0);
                let texture = scale(
                    mix(a, b, smoothstep(0.3, 1.0, r)),
                    (1.0 + 0.35 * strand).max(0.1),
                );
                let eye = mix(texture, [0.004; 3], smoothstep(1.06, 0.94, inside));
                if let Some(mirrored) = &self.mirrored
                    && r < 1.0
                {
                    let z = (1.0 - 0.5 * r * r).max(0.2).sqrt();
                    glow = mirrored.at(tiles, u * 0.8 / z, v * 0.8 / z);
                }
                // A dark rim, then fur radiating away.
                let lid = smoothstep(0.92, 1.05, r) * smoothstep(1.5, 1.15, r);
                let hair = tiles.rough.at(around * 3.0, r * 6.0);
                let fur = scale(c, (1.0 + 0.5 * hair).max(0.1));
                cover = smoothstep(2.2, 1.2, r);
                mix(
                    mix(eye, fur, smoothstep(1.0 - aa, 1.1, r)),
                    [0.006, 0.005, 0.005],
                    0.85 * lid,
                )
            }
            Kind::Lens => {
                let mut colour = scale(mix(a, [0.02; 3], 0.8), 1.0);
                for &edge in &self.radii {
                    colour = mix(colour, scale(b, 0.25), bell((r - edge) / 0.015));
                }
                if let Some(mirrored) = &self.mirrored {
                    let z = (1.2 - r * r).max(0.15).sqrt();
                    glow = scale(mirrored.at(tiles, u / z, v / z), disc(0.8));
                }
                mix(colour, [0.003; 3], disc(self.radii[1]))
            }
            Kind::Hole => mix(scale(a, shade), [0.003, 0.003, 0.003], disc(self.radii[2])),
            Kind::DrawnEye => {
                let corner = (1.0 - (u / 2.0).powi(2)).max(0.0);
                let high = 0.8 + 0.5 * self.radii[3];
                // An almond or an ellipse; the line above is often the thicker one.
                let line = v.abs()
                    - high
                        * if self.count > 14.0 {
                            corner
                        } else {
                            corner.sqrt()
                        };
                let pen = 0.03 + 0.12 * self.radii[0] * if v < 0.0 { 1.0 } else { 0.5 };
                let ink = bell(line / pen);
                cover = if line < pen { 1.0 } else { ink };
                let white = mix([0.85; 3], d, if self.count > 12.0 { 0.6 } else { 0.0 });
                let crayon =
                    1.0 + 0.5 * self.radii[1] * tiles.rough.at(u * 90.0 + self.offset, v * 90.0);
                let size = 0.55 + 0.4 * self.radii[4];
                let mut colour = mix(white, scale(a, crayon.max(0.1)), disc(size));
                colour = mix(
                    colour,
                    scale(a, 0.2),
                    bell((r - size) / 0.04) * self.radii[2],
                );
                colour = mix(
                    colour,
                    [0.004; 3],
                    disc(size * (0.35 + 0.4 * self.radii[2])),
                );
                let gleam =
                    (u - 0.3 * self.light.0).hypot(v - 0.35) / (0.08 + 0.15 * self.radii[1]);
                colour = mix(colour, [0.9; 3], smoothstep(1.1, 0.9, gleam));
                mix(colour, [0.004; 3], ink)
            }
            Kind::FingerRing => {
                let inner = 0.62 + 0.28 * self.radii[3];
                cover *= 1.0 - disc(inner);
                let across = ((r - inner) / (1.0 - inner) * 2.0 - 1.0).clamp(-1.0, 1.0);
                let facing = (angle * 2.0 + 3.0 * across + self.offset).sin();
                let metal = 0.25 + 0.35 * (1.0 - across * across) + 0.5 * facing.max(0.0).powi(3);
                let stone = (u - 0.85).hypot(v) / (0.15 + 0.4 * self.radii[1]);
                cover = cover.max(smoothstep(1.05, 0.95, stone));
                let gem = scale(b, 0.3 + 0.8 * (1.0 - stone).max(0.0) + 0.3 * facing.abs());
                mix(scale(a, metal), gem, smoothstep(1.05, 0.95, stone))
            }
            Kind::Snout => {
                let hair = tiles.rough.at(around * 3.0, r * 6.0);
                let fur = scale(c, (1.0 + 0.5 * hair).max(0.1));
                let leather = tiles.spots.at(u * 60.0 + self.offset, v * 60.0);
                let nose = scale(mix(a, c, 0.4), (0.6 - 0.3 * v + 0.12 * leather).max(0.05));
                cover = smoothstep(2.2, 1.3, r);
                let bare = (u / 0.95).hypot(v / 0.7);
                let hole =
                    ((u.abs() - 0.45) / 0.26).hypot((v - 0.1 + 0.3 * (u.abs() - 0.45)) / 0.17);
                let groove = bell(u / 0.04) * smoothstep(0.1, 0.4, v);
                let colour = mix(fur, nose, smoothstep(1.1, 0.85, bare));
                scale(
                    colour,
                    1.0 - 0.95 * smoothstep(1.15, 0.8, hole) - 0.5 * groove.min(0.8),
                )
                .map(|v| v.max(0.002))
            }
            Kind::Spectacles => {
                let half = 0.85;
                let power = 2.0 + 3.0 * self.radii[2];
                let lens = (((u.abs() - 1.1) / half).abs().powf(power)
                    + (v / (0.5 + 0.4 * self.radii[3])).abs().powf(power))
                .powf(1.0 / power);
                let rim = 0.04 + 0.1 * self.radii[1];
                let on_rim = smoothstep(rim + aa, rim - aa, (lens - 1.0).abs() * half);
                let bridge = smoothstep(0.07, 0.05, (v + 0.25 - 0.3 * u * u).abs())
                    * smoothstep(0.36, 0.33, u.abs());
                cover = on_rim.max(bridge);
                if lens < 1.0 {
                    cover = cover.max(0.25 * self.radii[0]);
                    if let Some(mirrored) = &self.mirrored {
                        glow = scale(mirrored.at(tiles, u - u.signum() * 1.1, v), 0.4);
                    }
                }
                scale(mix(b, a, cover), shade)
            }
            Kind::Mouth => {
                let corner = (1.0 - (u / 1.9).powi(2)).max(0.0);
                let dip = 1.0 - 0.3 * bell(u / 0.3);
                let open = 0.5 * self.radii[0] * corner;
                let (top, bottom) = (-0.62 * corner.sqrt() * dip, 0.8 * corner.sqrt());
                cover = smoothstep(top - 0.05, top + 0.02, v)
                    * smoothstep(bottom + 0.05, bottom - 0.02, v);
                let value = luminance(a).max(0.02);
                let crinkle = 1.0 + 0.2 * tiles.rough.at(u * 70.0 + self.offset, v * 12.0);
                let lips = scale(
                    [1.7 * value, 0.62 * value, 0.6 * value],
                    crinkle * (1.1 - 0.5 * v.abs()),
                );
                let teeth = if self.count > 12.0 && v < open * 0.2 {
                    scale([0.6, 0.57, 0.5], 1.0 - 0.5 * bell((u * 3.5).sin() / 0.2))
                } else {
                    [0.02, 0.008, 0.008]
                };
                mix(lips, teeth, smoothstep(open + 0.02, open - 0.02, v.abs()))
            }
            Kind::Googly => {
                // A loose black disc in a white one, and how toys are sewn or painted.
                let loose = 0.5 * (1.0 - self.radii[3]);
                let (du, dv) = (u - loose * self.light.0, v - loose * self.light.1);
                let black = length(du, dv) / (0.25 + 0.5 * self.radii[3]);
                let white = mix([0.8; 3], d, if self.count > 16.0 { 0.7 } else { 0.05 });
                let mut colour = scale(white, shade * (1.0 - 0.4 * r * r));
                let ring = if self.count > 12.0 { a } else { [0.004; 3] };
                colour = mix(colour, ring, smoothstep(1.0 + aa, 1.0 - aa, black));
                colour = mix(colour, [0.004; 3], smoothstep(0.7, 0.62, black));
                let rim = bell((r - 0.97) / 0.03) * self.radii[1];
                if let Some(mirrored) = &self.mirrored {
                    let z = (1.1 - r * r).max(0.2).sqrt();
                    glow = scale(mirrored.at(tiles, u / z, v / z), 0.5 * disc(1.0));
                }
                mix(colour, [0.01; 3], rim)
            }
            Kind::Plate => {
                let well = 0.5 + 0.25 * self.radii[2];
                let slope = bell((r - well) / 0.06) - bell((r - 0.97) / 0.03);
                let lit = shade + 0.6 * slope * (u * self.light.0 + v * self.light.1);
                let border =
                    smoothstep(0.2, 0.6, (angle * self.count).sin()) * bell((r - 0.8) / 0.08);
                let glaze = mix(a, b, disc(well * self.radii[4]) * self.radii[1]);
                scale(mix(glaze, c, border * self.radii[0]), lit.max(0.1))
            }
            Kind::Jewel => {
                // A smooth stone in a setting of dots or claws.
                let edge = 0.55 + 0.35 * self.radii[2];
                let z = (1.0 - (r / edge).powi(2)).max(0.0).sqrt();
                let lit = 0.25 + 0.6 * z + 0.5 * (u * self.light.0 + v * self.light.1) / edge;
                let cloudy = 1.0 + 0.2 * tiles.cloud.at(u * 50.0 + self.offset, v * 50.0);
                let stone = scale(
                    mix(a, scale(a, 0.2), smoothstep(0.6, 1.0, r / edge)),
                    lit.max(0.05) * cloudy,
                );
                if let Some(mirrored) = &self.mirrored
                    && r < edge
                {
                    glow = mirrored.at(tiles, u / edge / z.max(0.3), v / edge / z.max(0.3));
                }
                let beads = (angle * self.count * 2.0).sin() * bell((r - edge - 0.1) / 0.08);
                let metal = scale(b, (shade * 0.7 + 0.6 * beads).max(0.05));
                mix(metal, stone, disc(edge))
            }
            Kind::Coin => {
                let relief = tiles.cloud.at(u * 40.0 + self.offset, v * 40.0)
                    - tiles.cloud.at(u * 40.0 + self.offset + 2.0, v * 40.0 + 2.0);
                let edge = bell((r - 0.92) / 0.04);
                scale(a, (shade + 2.0 * relief + 0.5 * edge).max(0.05))
            }
        };
        Some((colour, glow, cover))
    }
}

/// Paints a scene without a human eye.
pub(crate) fn paint(canvas: &mut Canvas, tiles: &Tiles, rng: &mut Rng) {
    let side = canvas.side as f32;
    let (one, two) = (any_colour(rng), any_colour(rng));
    let (stretch_x, stretch_y) = (rng.log_range(0.05, 3.0), rng.log_range(0.05, 3.0));
    let turn = rng.range(0.0, TAU);
    let (cos, sin) = (turn.cos(), turn.sin());
    let (offset_x, offset_y) = (rng.range(0.0, 512.0), rng.range(0.0, 512.0));
    let pick = rng.below(5);
    // Cloth, smoke, walls: large, soft and often dark.
    let drape = rng.log_range(0.08, 0.5);
    let (one, two) = if pick == 4 && rng.chance(0.6) {
        (scale(one, 0.15), scale(two, 0.15))
    } else {
        (one, two)
    };
    let strength = rng.range(0.1, 1.0);
    for y in 0..canvas.side {
        for x in 0..canvas.side {
            let (px, py) = (x as f32, y as f32);
            let (u, v) = (
                (px * cos + py * sin) * stretch_x + offset_x,
                (py * cos - px * sin) * stretch_y + offset_y,
            );
            let value = match pick {
                0 => tiles.cloud.at(u, v),
                1 => tiles.rough.at(u, v),
                2 => tiles.spots.at(u, v),
                4 => {
                    let bent = 60.0
                        * tiles
                            .cloud
                            .at(px * drape * 0.5, py * drape * 0.5 + offset_y);
                    (((px * cos + py * sin) * drape * 2.0 + bent) * 0.05).sin() * 1.2
                }
                _ => tiles.grain.at(u, v) * 0.6,
            };
            canvas.base[y * canvas.side + x] =
                mix(one, two, (0.5 + 0.5 * strength * value).clamp(0.0, 1.0));
        }
    }
    let single = rng.chance(0.6);
    let count = if rng.chance(0.1) {
        0
    } else if single {
        1 + rng.below(2)
    } else {
        2 + rng.below(24)
    };
    let same = rng.chance(0.6).then(|| KINDS[rng.below(KINDS.len())]);
    for _ in 0..count {
        let kind = same.unwrap_or(KINDS[rng.below(KINDS.len())]);
        let thing = Thing::sample(rng, side, kind, single);
        let reach = thing.radius * 2.3;
        let clamp = |v: f32| v.clamp(0.0, side) as usize;
        for y in clamp(thing.centre.1 - reach)..clamp(thing.centre.1 + reach) {
            for x in clamp(thing.centre.0 - reach)..clamp(thing.centre.0 + reach) {
                if let Some((colour, glow, cover)) = thing.at(tiles, x as f32 + 0.5, y as f32 + 0.5)
                {
                    let index = y * canvas.side + x;
                    canvas.cover(index, colour, cover);
                    let sum = canvas.glow[index];
                    canvas.glow[index] = [
                        sum[0] + glow[0] * cover,
                        sum[1] + glow[1] * cover,
                        sum[2] + glow[2] * cover,
                    ];
                }
            }
        }
    }
}
