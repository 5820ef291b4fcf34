//! Negative examples that resemble an eye: round objects, animals' eyes, drawings, and plain textures.

mod creatures;
mod objects;

use std::f32::consts::TAU;

use crate::canvas::Canvas;
use crate::colour::{Rgb, length, mix, scale, smoothstep};
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
    /// Extent of the painted area, in radii of the disc.
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

    /// Colour at a pixel; `None` outside the object.
    fn at(&self, tiles: &Tiles, x: f32, y: f32) -> Option<Painted> {
        let (dx, dy) = (
            (x - self.centre.0) / self.radius,
            (y - self.centre.1) / self.radius,
        );
        let u = dx * self.turn.0 + dy * self.turn.1;
        let v = (dy * self.turn.0 - dx * self.turn.1) / self.flat;
        let r = length(u, v);
        if r > self.kind.reach() {
            return None;
        }
        let angle = v.atan2(u);
        let spot = Spot {
            u,
            v,
            r,
            aa: 0.8 / self.radius,
            angle,
            around: angle * 0.159_155 * 512.0 + self.offset,
            shade: 1.0 + 0.5 * (u * self.light.0 + v * self.light.1),
        };
        Some(self.paint(tiles, &spot))
    }

    fn paint(&self, tiles: &Tiles, spot: &Spot) -> Painted {
        match self.kind {
            Kind::Rings => self.rings(spot),
            Kind::Button => self.button(spot),
            Kind::Wheel => self.wheel(spot),
            Kind::Flower => self.flower(spot),
            Kind::Ball => self.ball(tiles, spot),
            Kind::Gem => self.gem(spot),
            Kind::SlitEye | Kind::AnimalEye => self.animal_eye(tiles, spot),
            Kind::Lens => self.lens(tiles, spot),
            Kind::Hole => self.hole(spot),
            Kind::DrawnEye => self.drawn_eye(tiles, spot),
            Kind::FingerRing => self.finger_ring(spot),
            Kind::Snout => self.snout(tiles, spot),
            Kind::Spectacles => self.spectacles(tiles, spot),
            Kind::Mouth => self.mouth(tiles, spot),
            Kind::Googly => self.googly(tiles, spot),
            Kind::Plate => self.plate(spot),
            Kind::Jewel => self.jewel(tiles, spot),
            Kind::Coin => self.coin(tiles, spot),
        }
    }
}

/// A pixel in the object's own coordinates.
#[derive(Debug, Clone, Copy)]
struct Spot {
    /// In radii, along and across the rotated object.
    u: f32,
    v: f32,
    r: f32,
    /// Antialiasing width, in radii.
    aa: f32,
    angle: f32,
    /// The angle as a texture coordinate.
    around: f32,
    /// Diffuse shading.
    shade: f32,
}

impl Spot {
    /// 1 inside a disc of this radius, 0 outside.
    fn disc(&self, edge: f32) -> f32 {
        smoothstep(edge + self.aa, edge - self.aa, self.r)
    }
}

/// Colour of an object at one pixel, in linear light.
#[derive(Debug)]
struct Painted {
    colour: Rgb,
    /// Reflected light.
    glow: Rgb,
    /// Opacity, 0 to 1.
    cover: f32,
}

impl Painted {
    /// A matte disc.
    fn on_disc(spot: &Spot, colour: Rgb) -> Self {
        Self {
            colour,
            glow: [0.0; 3],
            cover: spot.disc(1.0),
        }
    }
}

/// Paints a scene of look-alikes without a human eye.
pub(crate) fn paint(canvas: &mut Canvas, tiles: &Tiles, rng: &mut Rng) {
    paint_backdrop(canvas, tiles, rng);
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
        let thing = Thing::sample(rng, canvas.side as f32, kind, single);
        paint_thing(canvas, tiles, &thing);
    }
}

/// Background of cloth, walls or plain textures.
fn paint_backdrop(canvas: &mut Canvas, tiles: &Tiles, rng: &mut Rng) {
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
}

fn paint_thing(canvas: &mut Canvas, tiles: &Tiles, thing: &Thing) {
    let side = canvas.side as f32;
    let reach = thing.radius * 2.3;
    let clamp = |v: f32| v.clamp(0.0, side) as usize;
    for y in clamp(thing.centre.1 - reach)..clamp(thing.centre.1 + reach) {
        for x in clamp(thing.centre.0 - reach)..clamp(thing.centre.0 + reach) {
            if let Some(Painted {
                colour,
                glow,
                cover,
            }) = thing.at(tiles, x as f32 + 0.5, y as f32 + 0.5)
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
