//! Pairs to train and to measure the separation of mirrored light from the iris: a rectified iris as
//! photographed, the same with every reflection switched off, and what each pixel is.
//!
//! Noise, sharpening, tone and compression are those of one camera in both, so that their difference in
//! linear light is what the reflection added.

use crate::camera::Camera;
use crate::canvas::{Canvas, label};
use crate::eyeball::iris_offset_mm;
use crate::ground_truth::TrueEllipse;
use crate::iris::Iris;
use crate::lighting::Lighting;
use crate::noise::Tiles;
use crate::person::Person;
use crate::portrait;
use crate::reflections::Mirrored;
use crate::rng::Rng;
use crate::view::View;

/// Width and height of a pair's pictures.
pub const PAIR_SIDE: usize = 256;
/// Share of half the side that the radius of the iris takes, as in the product's rectified iris.
const IRIS_FILL: f32 = 0.94;

/// Bits of a pixel.
pub mod pair_bits {
    /// The photo is clipped, or the light is so strong that nothing of the iris is left in it.
    pub const CLIPPED: u8 = 1;
    /// Mirrored lashes hide most of a light.
    pub const COMBED: u8 = 2;
    pub const IRIS: u8 = 4;
    pub const PUPIL: u8 = 8;
    /// Lashes or hair before the iris.
    pub const COVERED: u8 = 16;
    /// Inside the photo.
    pub const INSIDE: u8 = 32;
}

#[derive(Debug)]
pub struct LightPair {
    /// Linear light, rows of RGB triples; 65535 is white.
    pub photo: Vec<u16>,
    pub without_light: Vec<u16>,
    /// `pair_bits` per pixel.
    pub bits: Vec<u8>,
}

/// Renders pair `index` of the sequence `seed`.
pub fn render_light_pair(tiles: &Tiles, seed: u64, index: u64) -> LightPair {
    let mut rng = Rng::new(seed, index);
    let radius = rng.log_range(76.0, 180.0);
    let side = ((2.3 * radius) as usize).next_multiple_of(16);
    let mut view = View::of_iris(&mut rng, side, radius);
    let person = sample_open_eye(&mut rng);
    view.centre_on(iris_offset_mm(person.gaze));
    if rng.chance(0.06) {
        // A photo that ends within the iris.
        view.window.y0 = side as f32 * rng.range(0.05, 0.3);
    }
    let lighting = Lighting::sample(&mut rng);
    let mirrored = Mirrored::sample_varied(&mut rng);
    let mut canvas = Canvas::new(side);
    let eyes = portrait::paint(
        &mut canvas,
        tiles,
        &mut rng,
        &view,
        &person,
        &lighting,
        &mirrored,
    );
    let middle = (side as f32 * 0.5, side as f32 * 0.5);
    let camera = Camera::sample_for_iris(&mut rng, radius, middle);
    let gain = camera.measure_exposure(&mut canvas, &view.window);
    let photo = camera.develop(&canvas, &view.window, gain, tiles, true);
    let without_light = camera.develop(&canvas, &view.window, gain, tiles, false);
    camera.mark_covered(&mut canvas.labels);
    let away = |eye: &TrueEllipse| (eye.cx - middle.0).hypot(eye.cy - middle.1);
    let iris = eyes
        .iter()
        .map(|eye| eye.iris)
        .min_by(|a, b| away(a).total_cmp(&away(b)))
        .unwrap_or(TrueEllipse {
            cx: middle.0,
            cy: middle.1,
            rx: radius,
            ry: radius,
            angle_rad: 0.0,
        });
    let frame = Frame::sample(&mut rng, &iris);
    frame.rectify(&Shot {
        view: &view,
        photo: &photo,
        without_light: &without_light,
        labels: &canvas.labels,
    })
}

/// A person whose iris is mostly between the lids and looks about towards the camera.
fn sample_open_eye(rng: &mut Rng) -> Person {
    let mut person = Person::sample(rng, false);
    for _ in 0..12 {
        let aside = person.gaze.0.hypot(person.gaze.1);
        if person.open_share() > 0.62 && aside < 0.5 {
            break;
        }
        person = Person::sample(rng, false);
    }
    if rng.chance(0.3) {
        // Light irises, whose bright fibres are mistaken for mirrored light most easily.
        while person.iris.is_brown() {
            person.iris = Iris::sample(rng);
        }
    }
    person.glasses = person.glasses.filter(|_| rng.chance(0.15));
    person.strands /= 3;
    if rng.chance(0.5) {
        person.iris.strengthen(rng);
    }
    person
}

struct Shot<'a> {
    view: &'a View,
    photo: &'a [u8],
    without_light: &'a [u8],
    labels: &'a [u8],
}

/// The geometry of the rectified iris: photo pixels per rectified pixel, as a symmetric matrix.
struct Frame {
    centre: (f32, f32),
    xx: f32,
    xy: f32,
    yy: f32,
}

impl Frame {
    /// Of an outline that is off by as much as the product's fits are.
    fn sample(rng: &mut Rng, iris: &TrueEllipse) -> Self {
        let radius = iris.mean_radius();
        let (sin, cos) = (iris.angle_rad + 0.05 * rng.normal()).sin_cos();
        let size = 1.0 + 0.012 * rng.normal();
        let unit = PAIR_SIDE as f32 / 2.0 * IRIS_FILL;
        let sx = iris.rx * size * (1.0 + 0.008 * rng.normal()) / unit;
        let sy = iris.ry * size * (1.0 + 0.008 * rng.normal()) / unit;
        Self {
            centre: (
                iris.cx + 0.01 * radius * rng.normal(),
                iris.cy + 0.01 * radius * rng.normal(),
            ),
            xx: sx * cos * cos + sy * sin * sin,
            xy: (sx - sy) * sin * cos,
            yy: sx * sin * sin + sy * cos * cos,
        }
    }

    fn photo_point(&self, column: usize, row: usize) -> (f32, f32) {
        let half = PAIR_SIDE as f32 / 2.0;
        let (u, v) = (column as f32 + 0.5 - half, row as f32 + 0.5 - half);
        (
            self.centre.0 + self.xx * u + self.xy * v,
            self.centre.1 + self.xy * u + self.yy * v,
        )
    }

    fn rectify(&self, shot: &Shot<'_>) -> LightPair {
        let side = shot.view.side;
        let linear = linear_table();
        let count = PAIR_SIDE * PAIR_SIDE;
        let mut pair = LightPair {
            photo: vec![0; count * 3],
            without_light: vec![0; count * 3],
            bits: vec![0; count],
        };
        for index in 0..count {
            let (x, y) = self.photo_point(index % PAIR_SIDE, index / PAIR_SIDE);
            let (column, row) = (x.max(0.0) as usize, y.max(0.0) as usize);
            let is_inside = x >= 0.0
                && y >= 0.0
                && column < side
                && row < side
                && shot.view.window.contains(x, y);
            if !is_inside {
                continue;
            }
            let of = |picture| self.resampled(picture, side, x, y);
            // The product works on eight bits; the truth keeps what lies between.
            let seen = of(shot.photo).map(|value| linear[value.round() as usize * 16]);
            let clean = of(shot.without_light).map(|value| linear[(value * 16.0).round() as usize]);
            pair.photo[index * 3..][..3].copy_from_slice(&seen);
            pair.without_light[index * 3..][..3].copy_from_slice(&clean);
            pair.bits[index] = bits_of(shot.labels[row * side + column], seen, clean);
        }
        pair
    }

    /// Catmull-Rom where the picture grows, a small box of bilinear samples where it shrinks; 0 to 255.
    fn resampled(&self, picture: &[u8], side: usize, x: f32, y: f32) -> [f32; 3] {
        let step = self.xx.max(self.yy);
        if step < 1.2 {
            return interpolate(picture, side, x, y, catmull_rom);
        }
        let mut sum = [0.0; 3];
        for (dx, dy) in [(-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)] {
            let part = interpolate(picture, side, x + dx * step, y + dy * step, bilinear);
            for (sum, value) in sum.iter_mut().zip(part) {
                *sum += 0.25 * value;
            }
        }
        sum
    }
}

fn interpolate<const N: usize>(
    picture: &[u8],
    side: usize,
    x: f32,
    y: f32,
    weights: impl Fn(f32) -> [f32; N],
) -> [f32; 3] {
    let (x, y) = (x - 0.5, y - 0.5);
    let (x0, y0) = (x.floor(), y.floor());
    let (wx, wy) = (weights(x - x0), weights(y - y0));
    let first = N as i32 / 2 - 1;
    let last = side as i32 - 1;
    let mut sum = [0.0; 3];
    for (dy, wy) in wy.into_iter().enumerate() {
        let row = (y0 as i32 + dy as i32 - first).clamp(0, last) as usize * side;
        for (dx, wx) in wx.into_iter().enumerate() {
            let column = (x0 as i32 + dx as i32 - first).clamp(0, last) as usize;
            let pixel = &picture[(row + column) * 3..][..3];
            for (sum, &sample) in sum.iter_mut().zip(pixel) {
                *sum += wx * wy * f32::from(sample);
            }
        }
    }
    sum.map(|value| value.clamp(0.0, 255.0))
}

fn bilinear(t: f32) -> [f32; 2] {
    [1.0 - t, t]
}

fn catmull_rom(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        (2.0 * t2 - t3 - t) / 2.0,
        (3.0 * t3 - 5.0 * t2 + 2.0) / 2.0,
        (4.0 * t2 - 3.0 * t3 + t) / 2.0,
        (t3 - t2) / 2.0,
    ]
}

/// Linear light of sixteenths of an 8-bit sRGB level.
fn linear_table() -> Vec<u16> {
    (0..=255 * 16)
        .map(|sixteenths| {
            let value = sixteenths as f32 / (255.0 * 16.0);
            let light = if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            };
            (light * 65535.0 + 0.5) as u16
        })
        .collect()
}

/// Linear light between the 8-bit levels 248 and 249.
const CLIPPED_LIGHT: u16 = 61_580;
/// Luminance of a reflection that leaves nothing of the iris.
const OVERPOWERING: u32 = 65_535 / 2;

fn bits_of(labels: u8, seen: [u16; 3], clean: [u16; 3]) -> u8 {
    const VISIBLE_PUPIL: u8 = label::VISIBLE | label::PUPIL;
    let luminance = |rgb: [u16; 3]| {
        (u32::from(rgb[0]) * 54 + u32::from(rgb[1]) * 183 + u32::from(rgb[2]) * 19) >> 8
    };
    let added = luminance(seen).saturating_sub(luminance(clean));
    let is_clipped = seen.iter().any(|&channel| channel >= CLIPPED_LIGHT) && added > 65_535 / 25;
    let mut bits = pair_bits::INSIDE;
    let mut set = |bit: u8, is_set: bool| bits |= bit * u8::from(is_set);
    set(pair_bits::CLIPPED, is_clipped || added > OVERPOWERING);
    set(pair_bits::COMBED, labels & label::COMBED != 0);
    set(pair_bits::IRIS, labels & VISIBLE_PUPIL == label::VISIBLE);
    set(pair_bits::PUPIL, labels & VISIBLE_PUPIL == VISIBLE_PUPIL);
    set(pair_bits::COVERED, labels & label::COVERED != 0);
    bits
}

#[cfg(test)]
mod tests {
    use super::{PAIR_SIDE, linear_table, pair_bits, render_light_pair};
    use crate::noise::Tiles;

    #[test]
    fn a_pair_differs_only_where_light_was_added() {
        let tiles = Tiles::new();
        let mut lit = 0;
        for index in 0..6 {
            let pair = render_light_pair(&tiles, 7, index);
            assert_eq!(pair.photo.len(), PAIR_SIDE * PAIR_SIDE * 3);
            let visible = pair
                .bits
                .iter()
                .filter(|&&bits| bits & pair_bits::IRIS != 0);
            assert!(visible.count() > PAIR_SIDE * PAIR_SIDE / 10);
            let clipped = pair
                .bits
                .iter()
                .filter(|&&bits| bits & pair_bits::CLIPPED != 0);
            lit += clipped.count();
        }
        assert!(lit > 0);
    }

    #[test]
    fn a_seed_and_an_index_are_one_pair() {
        let tiles = Tiles::new();
        let (one, two) = (
            render_light_pair(&tiles, 3, 5),
            render_light_pair(&tiles, 3, 5),
        );
        assert!(one.photo == two.photo && one.without_light == two.without_light);
        assert!(one.bits == two.bits);
    }

    #[test]
    fn what_is_brighter_than_level_248_is_clipped() {
        let table = linear_table();
        assert!(table[248 * 16] < super::CLIPPED_LIGHT);
        assert!(table[249 * 16] >= super::CLIPPED_LIGHT);
    }
}
