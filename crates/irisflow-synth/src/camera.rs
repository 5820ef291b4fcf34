//! Camera model, from linear light to an 8-bit sRGB photo: exposure, white balance, lens, sensor,
//! processing, JPEG compression.

use std::f32::consts::PI;

use crate::canvas::{Canvas, label};
use crate::colour::{Rgb, luminance};
use crate::jpeg;
use crate::noise::Tiles;
use crate::rng::Rng;
use crate::view::Window;

/// The letterbox around a photo that is not square.
pub(crate) const LETTERBOX: [u8; 3] = [128, 128, 128];

#[derive(Debug, Clone)]
pub(crate) struct Camera {
    target: f32,
    /// Upper limit of the sclera's luminance: automatic exposure protects highlights.
    white_cap: f32,
    white: Rgb,
    blur_px: f32,
    motion: Option<(f32, f32)>,
    contrast: f32,
    second_contrast: f32,
    lift: f32,
    saturation: f32,
    grey: bool,
    shrink: Option<f32>,
    noise: f32,
    noise_chroma: f32,
    noise_blur: bool,
    /// Standard deviation of the noise reduction's blur, in sensor pixels.
    smoothing: f32,
    sharpen: Option<(f32, f32)>,
    jpeg_quality: Option<f32>,
    vignette: f32,
    /// Centre of the vignette in pixels; `None` is the middle of the picture.
    vignette_centre: Option<(f32, f32)>,
    /// Radius at which the vignette reaches full strength, in half diagonals.
    vignette_reach: f32,
    bloom: f32,
    noise_seed: u64,
    local_tone: Option<LocalTone>,
}

/// Local tone mapping, as phones do: dark surroundings are lifted, bright ones lowered.
#[derive(Debug, Clone, Copy)]
struct LocalTone {
    strength: f32,
    /// Standard deviation of the surroundings, in pixels.
    reach: f32,
    /// The light that stays as it is.
    pivot: f32,
}

impl Camera {
    /// `iris_px` is the radius of the iris, which limits the blur; `eye` is its position in pixels, on
    /// which a spot of light may fall; `unit` is the picture's side in units of 256 pixels.
    pub(crate) fn sample(rng: &mut Rng, iris_px: f32, eye: (f32, f32), unit: f32) -> Self {
        let blur_cap = (0.13 * iris_px).max(0.35);
        // A higher resolution of the same optics spreads blur over more pixels; better optics do not.
        let more = rng.log_range(1.0, unit.max(1.0));
        let warmth = if rng.chance(0.15) {
            rng.range(-0.5, 0.5)
        } else {
            0.13 * rng.normal()
        };
        let green = 0.05 * rng.normal();
        let grey = rng.chance(0.19);
        let spot = rng.chance(if grey { 0.3 } else { 0.07 });
        let vignette = match rng.weighted(&[0.72, 0.2, 0.08]) {
            _ if spot => rng.range(0.8, 1.0),
            0 => 0.0,
            1 => rng.range(0.1, 0.7),
            _ => rng.range(0.7, 0.99),
        };
        let target = match rng.weighted(&[0.66, 0.24, 0.1]) {
            0 => rng.log_range(0.1, 0.34),
            1 => rng.log_range(0.03, 0.1),
            _ => rng.log_range(0.34, 0.7),
        };
        let dim = target < 0.1;
        let mut camera = Self {
            target,
            white_cap: if rng.chance(0.88) {
                rng.log_range(0.18, 0.75)
            } else {
                4.0
            },
            white: [
                (warmth + 0.5 * green).exp(),
                (-green).exp(),
                (-warmth).exp(),
            ],
            blur_px: match rng.weighted(&[0.5, 0.32, 0.18]) {
                0 => 0.0,
                1 => (more * rng.range(0.4, 1.6)).min(blur_cap),
                _ => (more * rng.log_range(1.2, 7.0)).min(blur_cap),
            },
            motion: rng.chance(0.08).then(|| {
                let length = (more * rng.range(1.0, 8.0)).min(2.0 * blur_cap);
                let bearing = rng.range(0.0, PI);
                (length * bearing.cos(), length * bearing.sin())
            }),
            contrast: rng.range(-0.25, 0.9),
            second_contrast: if rng.chance(if grey { 0.6 } else { 0.15 }) {
                rng.range(0.2, 0.9)
            } else {
                0.0
            },
            lift: if rng.chance(0.25) {
                rng.range(0.0, 0.12)
            } else {
                0.0
            },
            saturation: if rng.chance(0.12) {
                rng.range(0.15, 0.7)
            } else {
                rng.range(0.6, 1.3)
            },
            grey,
            shrink: rng
                .chance(0.22)
                .then(|| rng.log_range(1.3, 13.0).min((iris_px / 4.5).max(1.0))),
            noise: if rng.chance(if dim { 0.6 } else { 0.25 }) {
                rng.log_range(0.01, 0.07)
            } else {
                rng.log_range(0.001, 0.015)
            },
            noise_chroma: rng.unit(),
            noise_blur: rng.chance(0.35),
            smoothing: if rng.chance(0.15) {
                rng.range(0.4, 1.2)
            } else {
                0.0
            },
            sharpen: rng
                .chance(0.35)
                .then(|| (rng.range(0.6, 1.8), rng.range(0.3, 1.8))),
            jpeg_quality: rng.chance(0.4).then(|| rng.range(22.0, 95.0)),
            vignette,
            vignette_centre: spot.then(|| {
                (
                    eye.0 + 0.6 * iris_px * rng.normal(),
                    eye.1 + 0.6 * iris_px * rng.normal(),
                )
            }),
            vignette_reach: if spot {
                iris_px * rng.range(2.2, 6.0) / 181.0
            } else {
                rng.range(0.59, 1.0)
            },
            bloom: if rng.chance(0.3) {
                rng.range(0.02, 0.15)
            } else {
                0.0
            },
            noise_seed: u64::from(rng.next_u32()),
            local_tone: None,
        };
        if rng.chance(0.1) {
            camera.become_webcam(rng, iris_px);
        }
        camera
    }

    /// The camera of a photo that was taken for the iris: sharper, seldom black-and-white or seen through a
    /// spot, often processed by a phone.
    pub(crate) fn sample_for_iris(rng: &mut Rng, iris_px: f32, eye: (f32, f32)) -> Self {
        let mut camera = Self::sample(rng, iris_px, eye, 1.0);
        camera.grey &= rng.chance(0.3);
        if rng.chance(0.7) {
            camera.vignette = camera.vignette.min(0.4);
        }
        if rng.chance(0.7) {
            camera.motion = None;
        }
        camera.blur_px = camera.blur_px.min(0.03 * iris_px);
        camera.shrink = camera.shrink.map(|factor| factor.min(3.0));
        camera.noise = camera.noise.min(0.03);
        camera.target = camera.target.max(0.06);
        if camera.sharpen.is_none() && rng.chance(0.4) {
            // A wide halo around glints.
            camera.sharpen = Some((rng.log_range(0.7, 5.0), rng.range(0.2, 1.6)));
        }
        if camera.jpeg_quality.is_none() && rng.chance(0.4) {
            camera.jpeg_quality = Some(rng.range(60.0, 97.0));
        }
        camera.local_tone = rng.chance(0.35).then(|| LocalTone {
            strength: rng.range(0.15, 0.6),
            reach: iris_px * rng.range(0.15, 0.6),
            pivot: rng.log_range(0.08, 0.4),
        });
        camera
    }

    /// A webcam: low resolution, flat contrast, noise reduction with sharpening, strong compression.
    fn become_webcam(&mut self, rng: &mut Rng, iris_px: f32) {
        let seen_px = rng.log_range(4.5, 22.0);
        self.shrink = (iris_px > 1.2 * seen_px).then(|| (iris_px / seen_px).min(13.0));
        self.blur_px = self.blur_px.min(0.1 * iris_px);
        self.noise = rng.log_range(0.006, 0.04);
        self.noise_blur = rng.chance(0.6);
        self.smoothing = rng.range(0.4, 1.1);
        self.sharpen = Some((rng.range(0.7, 1.4), rng.range(0.5, 2.2)));
        self.jpeg_quality = Some(rng.range(18.0, 75.0));
        self.contrast = rng.range(-0.3, 0.4);
        self.lift = rng.range(0.0, 0.1);
    }

    /// Standard deviation of the total blur in pixels: lens, motion, upscaling and noise reduction.
    pub(crate) fn softness_px(&self) -> f32 {
        let enlarged = 0.5 * (self.enlarged() - 1.0);
        let smoothed = self.smoothing * self.enlarged();
        self.blur_px
            .hypot(0.29 * self.motion_px())
            .hypot(enlarged)
            .hypot(smoothed)
    }

    /// Length of the motion blur in pixels; 0 without any.
    pub(crate) fn motion_px(&self) -> f32 {
        self.motion.map_or(0.0, |(x, y)| x.hypot(y))
    }

    /// Upscaling factor between sensor and photo; 1 without any.
    pub(crate) fn enlarged(&self) -> f32 {
        self.shrink.unwrap_or(1.0)
    }

    pub(crate) fn is_grey(&self) -> bool {
        self.grey
    }

    /// Standard deviation of the noise; full scale is 1.
    pub(crate) fn noise(&self) -> f32 {
        self.noise
    }

    /// Exposure metering: returns the gain, and labels the pixels in which reflections are noticeable
    /// at that gain.
    pub(crate) fn measure_exposure(&self, canvas: &mut Canvas, window: &Window) -> f32 {
        let mut sum = 0.0;
        let mut count = 0.0f32;
        for y in (0..canvas.side).step_by(3) {
            for x in (0..canvas.side).step_by(3) {
                if window.contains(x as f32, y as f32) {
                    sum += luminance(canvas.base[y * canvas.side + x])
                        .max(1e-4)
                        .powf(0.6);
                    count += 1.0;
                }
            }
        }
        let mean = (sum / count.max(1.0)).powf(1.0 / 0.6);
        let white = sclera_luminance(canvas).unwrap_or(0.0);
        let gain = (self.target / mean.max(0.004)).min(self.white_cap / white.max(1e-4));
        for index in 0..canvas.labels.len() {
            let glow = luminance(canvas.glow[index]) * gain;
            canvas.labels[index] &= !label::REFLECTION;
            if glow > 0.012 {
                let below = luminance(canvas.base[index]) * gain;
                let before = below.clamp(0.0, 1.0).powf(0.4545);
                let after = (below + glow).clamp(0.0, 1.0).powf(0.4545);
                if after - before > 0.1 {
                    canvas.labels[index] |= label::REFLECTION;
                }
            }
        }
        gain
    }

    /// Labels iris pixels between the lids that are occluded (by lashes, hair, frames), after applying
    /// the photo's blur to the occlusion.
    pub(crate) fn mark_covered(&self, labels: &mut [u8]) {
        const OPEN_IRIS: u8 = label::OPENING | label::IRIS;
        let is_open = |bits: u8| bits & OPEN_IRIS == OPEN_IRIS;
        let hidden = |bits: u8| is_open(bits) && bits & label::VISIBLE == 0;
        if !labels.iter().any(|&bits| hidden(bits)) {
            return;
        }
        let side = labels.len().isqrt();
        let mut cover: Vec<f32> = labels
            .iter()
            .map(|&bits| f32::from(u8::from(hidden(bits))))
            .collect();
        let softness = self.softness_px();
        if softness > 0.3 {
            blur(&mut cover, side, softness);
        }
        for (bits, cover) in labels.iter_mut().zip(cover) {
            if cover > 0.5 && is_open(*bits) {
                *bits |= label::COVERED;
            }
        }
    }

    /// Renders the canvas to 8-bit sRGB, with or without reflections (`with_glow`).
    pub(crate) fn develop(
        &self,
        canvas: &Canvas,
        window: &Window,
        gain: f32,
        tiles: &Tiles,
        with_glow: bool,
    ) -> Vec<u8> {
        let side = canvas.side;
        let mut planes = Planes::new(side);
        let share = if with_glow { 1.0 } else { 0.0 };
        let half = side as f32 * 0.5;
        let centre = self.vignette_centre.unwrap_or((half, half));
        let reach = self.vignette_reach * half * std::f32::consts::SQRT_2;
        let off_unit = 1.0 / (reach * reach);
        let [red, green, blue] = &mut planes.of;
        let exposure = self.white.map(|white| white * gain);
        for y in 0..side {
            let row = y * side..(y + 1) * side;
            let down = y as f32 - centre.1;
            let light = canvas.base[row.clone()]
                .iter()
                .zip(&canvas.glow[row.clone()]);
            let planes = red[row.clone()]
                .iter_mut()
                .zip(&mut green[row.clone()])
                .zip(&mut blue[row]);
            for (x, ((base, glow), ((r, g), b))) in light.zip(planes).enumerate() {
                let across = x as f32 - centre.0;
                let off_centre = (across * across + down * down) * off_unit;
                let fall = 1.0 - self.vignette * off_centre.min(1.0);
                let of = |c: usize| ((base[c] + share * glow[c]) * exposure[c] * fall).min(4.0);
                (*r, *g, *b) = (of(0), of(1), of(2));
            }
        }
        if let Some(local) = self.local_tone {
            local.apply(&mut planes, canvas, gain);
        }
        if self.bloom > 0.0 {
            let halo = planes.shrunk(4);
            for c in 0..3 {
                let mut soft = halo.of[c]
                    .iter()
                    .map(|v| (v - 0.7).max(0.0))
                    .collect::<Vec<f32>>();
                blur(&mut soft, halo.side, 2.5);
                let grown = upscale(&soft, halo.side, side);
                for (value, more) in planes.of[c].iter_mut().zip(&grown) {
                    *value += more * self.bloom * 4.0;
                }
            }
        }
        if self.blur_px > 0.25 {
            for plane in &mut planes.of {
                blur(plane, side, self.blur_px);
            }
        }
        if let Some((dx, dy)) = self.motion {
            for plane in &mut planes.of {
                motion_blur(plane, side, dx, dy);
            }
        }
        self.tone(&mut planes);
        let reduced = self.shrink.map(|factor| {
            // An upscaled photo: noise and compression were applied at the sensor's resolution.
            let small = (((side as f32 / factor) as usize).next_multiple_of(16)).clamp(16, side);
            for plane in &mut planes.of {
                blur(plane, side, 0.35 * factor);
            }
            Planes {
                side: small,
                of: std::array::from_fn(|c| upscale(&planes.of[c], side, small)),
            }
        });
        if let Some(mut reduced) = reduced {
            self.process(&mut reduced, tiles);
            let small = reduced.side;
            planes.of = std::array::from_fn(|c| upscale(&reduced.of[c], small, side));
        } else {
            self.process(&mut planes, tiles);
        }
        let mut photo = Vec::with_capacity(side * side * 3);
        let [red, green, blue] = &planes.of;
        let byte = |value: f32| (value * 255.0 + 0.5) as u8;
        for y in 0..side {
            for x in 0..side {
                photo.extend_from_slice(&if window.contains(x as f32 + 0.5, y as f32 + 0.5) {
                    let index = y * side + x;
                    [byte(red[index]), byte(green[index]), byte(blue[index])]
                } else {
                    LETTERBOX
                });
            }
        }
        photo
    }

    /// Sensor noise and the phone's processing, at the resolution of the sensor.
    fn process(&self, planes: &mut Planes, tiles: &Tiles) {
        self.add_noise(planes, tiles);
        if self.smoothing > 0.0 {
            for plane in &mut planes.of {
                blur(plane, planes.side, self.smoothing);
            }
        }
        if let Some((radius, amount)) = self.sharpen {
            for plane in &mut planes.of {
                let mut smooth = plane.clone();
                blur(&mut smooth, planes.side, radius);
                for (value, low) in plane.iter_mut().zip(&smooth) {
                    *value += amount * (*value - low);
                }
            }
        }
        if self.grey {
            let [red, green, blue] = &mut planes.of;
            for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
                let y = 0.3 * *r + 0.59 * *g + 0.11 * *b;
                (*r, *g, *b) = (y, y, y);
            }
        }
        if let Some(quality) = self.jpeg_quality {
            jpeg::degrade(&mut planes.of, planes.side, quality);
        }
    }

    fn tone(&self, planes: &mut Planes) {
        let curve: Vec<f32> = (0..=2048)
            .map(|i| {
                let root = i as f32 / 2048.0 * 2.0;
                let light = root * root;
                // A highlight shoulder, then gamma, then an S-curve of the sampled strength.
                let shouldered = if light < 0.8 {
                    light
                } else {
                    0.8 + 0.2 * (1.0 - (-(light - 0.8) / 0.2).exp())
                };
                let value = shouldered.powf(0.4545);
                let bend = |v: f32, by: f32| v + by * (v * v * (3.0 - 2.0 * v) - v);
                let bent = bend(bend(value, self.contrast), self.second_contrast);
                self.lift + (1.0 - self.lift) * bent
            })
            .collect();
        let look = |v: f32| curve[((v.max(0.0).sqrt() * 1024.0) as usize).min(2048)];
        let [red, green, blue] = &mut planes.of;
        for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
            let (x, y, z) = (look(*r), look(*g), look(*b));
            let grey = 0.3 * x + 0.59 * y + 0.11 * z;
            *r = grey + (x - grey) * self.saturation;
            *g = grey + (y - grey) * self.saturation;
            *b = grey + (z - grey) * self.saturation;
        }
    }

    fn add_noise(&self, planes: &mut Planes, tiles: &Tiles) {
        let mut rng = Rng::new(self.noise_seed, 77);
        let side = planes.side;
        if self.noise_blur {
            // Noise after the phone's noise reduction: grain a few pixels wide.
            let stretch = rng.range(0.8, 1.6);
            for plane in &mut planes.of {
                let (ox, oy) = (rng.range(0.0, 512.0), rng.range(0.0, 512.0));
                for (index, value) in plane.iter_mut().enumerate() {
                    let (x, y) = (
                        (index % side) as f32 * stretch,
                        (index / side) as f32 * stretch,
                    );
                    *value += self.noise * tiles.grain.at(x + ox, y + oy);
                }
            }
            return;
        }
        let chroma = self.noise_chroma;
        let [red, green, blue] = &mut planes.of;
        let mut spread = || {
            let bits = rng.next_u32();
            ((bits & 0xff) + (bits >> 8 & 0xff) + (bits >> 16 & 0xff) + (bits >> 24)) as f32 / 147.0
                - 3.47
        };
        for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
            let strength = self.noise * (0.6 + 0.7 * (*g).clamp(0.0, 1.0).sqrt());
            let common = spread();
            *r += strength * (common + chroma * spread());
            *g += strength * common;
            *b += strength * (common + chroma * spread());
        }
    }
}

impl LocalTone {
    /// The surroundings are measured with reflections, also for the photo without them: both get the same
    /// gain.
    fn apply(&self, planes: &mut Planes, canvas: &Canvas, gain: f32) {
        const CELL: usize = 8;
        let side = canvas.side;
        let cells = side / CELL;
        let mut light = vec![0.0; cells * cells];
        for (index, (&base, &glow)) in canvas.base.iter().zip(&canvas.glow).enumerate() {
            let cell = (index / side / CELL) * cells + index % side / CELL;
            let seen = ((luminance(base) + luminance(glow)) * gain).min(1.0);
            light[cell] += seen / (CELL * CELL) as f32;
        }
        blur(&mut light, cells, self.reach / CELL as f32);
        for value in &mut light {
            let lift = (self.pivot / (*value + 0.02)).powf(self.strength);
            *value = lift.clamp(0.4, 2.5);
        }
        let gains = upscale(&light, cells, side);
        for plane in &mut planes.of {
            for (value, gain) in plane.iter_mut().zip(&gains) {
                *value *= gain;
            }
        }
    }
}

/// Mean luminance of the visible sclera; `None` when no sclera is visible.
fn sclera_luminance(canvas: &Canvas) -> Option<f32> {
    let pixels = canvas.labels.iter().zip(&canvas.base).step_by(3);
    let (mut sum, mut count) = (0.0, 0.0f32);
    for (&bits, &colour) in pixels {
        if bits & (label::OPENING | label::IRIS) == label::OPENING {
            sum += luminance(colour);
            count += 1.0;
        }
    }
    (count > 4.0).then(|| sum / count)
}

struct Planes {
    side: usize,
    of: [Vec<f32>; 3],
}

impl Planes {
    fn new(side: usize) -> Self {
        Self {
            side,
            of: std::array::from_fn(|_| vec![0.0; side * side]),
        }
    }

    fn shrunk(&self, factor: usize) -> Self {
        let small = self.side / factor;
        let mut planes = Self::new(small);
        for (from, to) in self.of.iter().zip(&mut planes.of) {
            for y in 0..small * factor {
                for x in 0..small * factor {
                    to[(y / factor) * small + x / factor] +=
                        from[y * self.side + x] / (factor * factor) as f32;
                }
            }
        }
        planes
    }
}

/// Gaussian blur, edges repeated.
fn blur(plane: &mut [f32], side: usize, sigma: f32) {
    let reach = ((sigma * 2.6).ceil() as usize).clamp(1, side / 2);
    let mut kernel: Vec<f32> = (0..=2 * reach)
        .map(|i| {
            let d = (i as f32 - reach as f32) / sigma;
            (-0.5 * d * d).exp()
        })
        .collect();
    let total: f32 = kernel.iter().sum();
    kernel.iter_mut().for_each(|k| *k /= total);
    let mut padded = vec![0.0; side + 2 * reach];
    for row in plane.chunks_exact_mut(side) {
        padded[..reach].fill(row[0]);
        padded[reach..reach + side].copy_from_slice(row);
        padded[reach + side..].fill(row[side - 1]);
        row.fill(0.0);
        for (offset, k) in kernel.iter().enumerate() {
            for (to, from) in row.iter_mut().zip(&padded[offset..offset + side]) {
                *to += k * from;
            }
        }
    }
    let source = plane.to_vec();
    for (y, row) in plane.chunks_exact_mut(side).enumerate() {
        row.fill(0.0);
        for (offset, k) in kernel.iter().enumerate() {
            let from_y = (y + offset).saturating_sub(reach).min(side - 1);
            for (to, from) in row
                .iter_mut()
                .zip(&source[from_y * side..(from_y + 1) * side])
            {
                *to += k * from;
            }
        }
    }
}

/// Motion blur: averages the plane along the line (`dx`, `dy`).
fn motion_blur(plane: &mut Vec<f32>, side: usize, dx: f32, dy: f32) {
    let steps = (dx.hypot(dy).ceil() as i32).max(2);
    let source = std::mem::take(plane);
    *plane = vec![0.0; source.len()];
    for step in 0..=steps {
        let t = step as f32 / steps as f32 - 0.5;
        let (ox, oy) = ((dx * t).round() as i32, (dy * t).round() as i32);
        let last = side as i32 - 1;
        for y in 0..side as i32 {
            let from = (y + oy).clamp(0, last) as usize * side;
            for x in 0..side as i32 {
                plane[(y * (last + 1) + x) as usize] +=
                    source[from + (x + ox).clamp(0, last) as usize];
            }
        }
    }
    let share = 1.0 / (steps + 1) as f32;
    plane.iter_mut().for_each(|v| *v *= share);
}

/// Bilinear upscaling of a square plane.
fn upscale(source: &[f32], from: usize, to: usize) -> Vec<f32> {
    let ratio = from as f32 / to as f32;
    let place = |i: usize| {
        let p = ((i as f32 + 0.5) * ratio - 0.5).clamp(0.0, from as f32 - 1.0);
        let low = (p as usize).min(from - 1);
        (low, (low + 1).min(from - 1), p - low as f32)
    };
    let columns: Vec<(usize, usize, f32)> = (0..to).map(place).collect();
    let mut out = Vec::with_capacity(to * to);
    for y in 0..to {
        let (y0, y1, fy) = place(y);
        let (top, bottom) = (
            &source[y0 * from..(y0 + 1) * from],
            &source[y1 * from..(y1 + 1) * from],
        );
        for &(x0, x1, fx) in &columns {
            let a = top[x0] + (top[x1] - top[x0]) * fx;
            let b = bottom[x0] + (bottom[x1] - bottom[x0]) * fx;
            out.push(a + (b - a) * fy);
        }
    }
    out
}
