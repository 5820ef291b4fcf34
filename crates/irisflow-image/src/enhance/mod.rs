//! Makes the clean rectified iris worth printing: less noise, more local contrast, crisper fibres.
//!
//! Everything is measured on the visible iris alone, so the black around it changes nothing, and
//! everything is gentle: a person must recognise their own eye. The pupil keeps its black.

mod contrast;
mod guided;
mod noise;

use std::ops::Range;

use multiversion::multiversion;

use crate::coverage::smoothstep;
use crate::filters::{Field, soft_blur};
use crate::geometry::Ellipse;
use crate::plane::Plane;
use crate::rectified::RectifiedIris;
use crate::resize::resized;
use crate::threads::Threads;
use contrast::{FRACTIONS, Histograms, ToneRows, Tones};
use guided::{Guided, SelfGuided};

/// How strongly each part works. Amounts are shares: 0 leaves the picture as it is.
#[derive(Debug, Clone, Copy)]
pub struct Enhancement {
    /// Variance that is smoothed away, in variances of the noise.
    pub denoise: f32,
    /// Share of the equalised luma in the picture.
    pub local_contrast: f32,
    /// Contrast of parts of about a twentieth of the iris.
    pub clarity: f32,
    /// Contrast of the finest parts that the photo holds.
    pub sharpness: f32,
    /// Median luma that a dark iris is raised half-way to.
    pub dark_target: f32,
    /// Factor on chroma.
    pub vibrance: f32,
}

/// How much is made of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preset {
    /// The person's own colours and light; fibres a little clearer.
    #[default]
    Natural,
    /// More contrast and colour.
    Vivid,
}

impl Preset {
    /// Set by eye on prints of light, dark and grey irises.
    pub fn enhancement(self) -> Enhancement {
        match self {
            Self::Natural => Enhancement {
                denoise: 3.0,
                local_contrast: 0.25,
                clarity: 0.16,
                sharpness: 0.65,
                dark_target: 45.0,
                vibrance: 1.04,
            },
            Self::Vivid => Enhancement {
                denoise: 3.0,
                local_contrast: 0.6,
                clarity: 0.3,
                sharpness: 0.85,
                dark_target: 110.0,
                vibrance: 1.25,
            },
        }
    }
}

impl Default for Enhancement {
    fn default() -> Self {
        Preset::default().enhancement()
    }
}

/// A rectified iris with fewer pixels per side is enlarged so much that sharpening would show the grid and the
/// compression of the photo; from the second on it is sharpened fully.
const SHARPENED_SIDES: (f32, f32) = (160.0, 800.0);

/// The share of sharpening that the photo's resolution bears.
fn bearable_sharpness(side: u32) -> f32 {
    const LEAST: f32 = 0.15;
    let (none, full) = SHARPENED_SIDES;
    LEAST + (1.0 - LEAST) * smoothstep(none, full, side as f32)
}

/// Rows that are made together, by one thread: with what their filters reach they stay in the cache.
const STRIP_ROWS: usize = 128;
/// A broad blur is computed with this many times fewer pixels per side.
const BROAD_STEP: usize = 4;

/// Enhances `rectified` in place, where `opacity` (of the size of its luma) shows it. `pupil` is in pixels of
/// the photo.
pub fn enhance(
    rectified: &mut RectifiedIris,
    pupil: &Ellipse,
    opacity: &Plane,
    enhancement: &Enhancement,
    threads: Threads,
) {
    let seen = Seen::new(rectified, pupil, opacity);
    let sigma = noise::standard_deviation(&rectified.luma, &seen);
    let (smooth, histograms) = smoothed(rectified, &seen, sigma, enhancement, threads);
    let mut tones = Tones::equalising(&histograms, enhancement.local_contrast);
    tones.raise_dark(
        &levels_with(&tones, &smooth, &seen),
        enhancement.dark_target,
    );
    let broad = broad_blur(&tones, &smooth);
    let work = Sharpening {
        smooth: &smooth,
        tones: &tones,
        broad: &broad,
        seen: &seen,
        sigma,
        enhancement,
    };
    let luma = work.all(threads);
    let sizes = (rectified.luma.width, rectified.chroma_side());
    let [before, after] = [&rectified.luma, &luma].map(|luma| match sizes {
        (luma_side, side) if luma_side == 2 * side => luma.halved(),
        (_, side) => resized(luma, side),
    });
    (rectified.cb, rectified.cr) =
        chroma(rectified, [&before, &after], sigma, enhancement, threads);
    rectified.luma = luma;
}

/// Luma in fractions of a level.
struct FineLuma {
    side: usize,
    samples: Vec<u16>,
}

impl FineLuma {
    fn row(&self, y: usize) -> &[u16] {
        &self.samples[y * self.side..][..self.side]
    }
}

/// Where the visible iris is in the luma of a rectified iris.
struct Seen<'a> {
    opacity: &'a Plane,
    /// Centre and radius of the pupil.
    pupil: (f32, f32, f32),
    /// Of the iris, which lies in the middle.
    iris_radius: f32,
}

impl<'a> Seen<'a> {
    /// Clearly visible: what statistics are taken of.
    const LEAST_OPACITY: u8 = 230;

    fn new(rectified: &RectifiedIris, pupil: &Ellipse, opacity: &'a Plane) -> Self {
        let view = &rectified.view;
        let (x0, y0) = view.view_point(pupil.cx, pupil.cy);
        let (x1, y1) = view.view_point(pupil.cx + pupil.mean_radius(), pupil.cy);
        Self {
            opacity,
            pupil: (x0, y0, (x1 - x0).hypot(y1 - y0).max(1.0)),
            iris_radius: view.iris_radius(),
        }
    }

    /// Whether a pixel is clearly visible and beside the pupil.
    fn at(&self, x: usize, y: u32) -> bool {
        self.opacity.row(y)[x] >= Self::LEAST_OPACITY && !self.pupil_columns(y, 1.0954).contains(&x)
    }

    /// The columns of a row within so many pupil radii.
    fn pupil_columns(&self, y: u32, radii: f32) -> Range<usize> {
        let (centre, cy, radius) = self.pupil;
        columns_within((centre, cy, radius * radii), y, self.opacity.width)
    }

    /// The columns of a row that the disc of the iris reaches, and some more for filters that look around.
    fn iris_columns(&self, y: u32) -> Range<usize> {
        let middle = self.opacity.width as f32 / 2.0;
        columns_within(
            (middle, middle, self.iris_radius + 5.0),
            y,
            self.opacity.width,
        )
    }
}

/// The columns of a row that a circle (centre and radius) covers.
fn columns_within((cx, cy, radius): (f32, f32, f32), y: u32, width: u32) -> Range<usize> {
    let dy = y as f32 + 0.5 - cy;
    let half = (radius * radius - dy * dy).max(0.0).sqrt();
    let limit = |x: f32| x.round().clamp(0.0, width as f32) as usize;
    limit(cx - half)..limit(cx + half)
}

/// Luma without its noise, and how often each level occurs in the visible iris.
fn smoothed(
    rectified: &RectifiedIris,
    seen: &Seen<'_>,
    sigma: f32,
    enhancement: &Enhancement,
    threads: Threads,
) -> (FineLuma, Histograms) {
    let side = rectified.view.side as usize;
    let filter = SelfGuided {
        input: &rectified.luma,
        radius: (side / 500).clamp(2, 4),
        epsilon: enhancement.denoise * sigma * sigma + 0.5,
    };
    let mut samples = vec![0; side * side];
    let strips = samples.chunks_mut(side * STRIP_ROWS).enumerate().collect();
    let counted = threads.map(strips, |(number, strip): (usize, &mut [u16])| {
        let mut histograms = Histograms::new(side);
        let first = number * STRIP_ROWS;
        filter.rows(first..first + strip.len() / side, |y, row| {
            let out = &mut strip[(y - first) * side..][..side];
            to_fractions(row, out);
            let opacity = seen.opacity.row(y as u32);
            let visible = |x: usize| opacity[x] >= Seen::LEAST_OPACITY;
            let pupil = seen.pupil_columns(y as u32, 1.0954);
            let iris = seen.iris_columns(y as u32);
            histograms.count(y, out, visible, iris.start..pupil.start);
            histograms.count(y, out, visible, pupil.end.max(iris.start)..iris.end);
        });
        histograms
    });
    let mut histograms = Histograms::new(side);
    counted.iter().for_each(|counts| histograms.add(counts));
    (FineLuma { side, samples }, histograms)
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn to_fractions(row: &[f32], out: &mut [u16]) {
    for (out, sample) in out.iter_mut().zip(row) {
        *out = (sample * FRACTIONS as f32 + 0.5).clamp(0.0, 255.0 * FRACTIONS as f32) as i32 as u16;
    }
}

/// How often each level occurs in the visible iris with these tones; some rows tell it.
fn levels_with(tones: &Tones, luma: &FineLuma, seen: &Seen<'_>) -> [f32; 256] {
    let mut levels = [0.0; 256];
    let mut rows = ToneRows::new(tones, luma.side);
    let mut row = vec![0.0; luma.side];
    for y in (0..luma.side).step_by(8) {
        let columns = seen.iris_columns(y as u32);
        rows.row(y, luma.row(y), columns.clone(), &mut row);
        let pupil = seen.pupil_columns(y as u32, 1.0954);
        let opacity = seen.opacity.row(y as u32);
        for x in columns.step_by(2) {
            if opacity[x] >= Seen::LEAST_OPACITY && !pupil.contains(&x) {
                levels[row[x].clamp(0.0, 255.0) as usize] += 1.0;
            }
        }
    }
    levels
}

/// A blur so broad that some of the pixels tell it, at a part of the size.
fn broad_blur(tones: &Tones, luma: &FineLuma) -> Field {
    let side = luma.side / BROAD_STEP;
    let mut rows = ToneRows::new(tones, side);
    let mut samples = vec![0.0; side * side];
    let mut means = vec![0; side];
    for (y, out) in samples.chunks_exact_mut(side).enumerate() {
        let above: [&[u16]; BROAD_STEP] = std::array::from_fn(|row| luma.row(y * BROAD_STEP + row));
        for (x, mean) in means.iter_mut().enumerate() {
            let of_row = |row: &&[u16]| {
                let part = row[x * BROAD_STEP..].first_chunk::<BROAD_STEP>();
                part.map_or(0, |part| {
                    part.iter().map(|&luma| u32::from(luma)).sum::<u32>()
                })
            };
            *mean =
                (above.iter().map(of_row).sum::<u32>() / (BROAD_STEP * BROAD_STEP) as u32) as u16;
        }
        rows.row(y, &means, 0..side, out);
    }
    let field = Field {
        width: side,
        height: side,
        samples,
    };
    soft_blur(&field, 0.022 * side as f32)
}

/// The way from smooth luma to the finished one.
struct Sharpening<'a> {
    smooth: &'a FineLuma,
    tones: &'a Tones,
    broad: &'a Field,
    seen: &'a Seen<'a>,
    sigma: f32,
    enhancement: &'a Enhancement,
}

impl Sharpening<'_> {
    /// How far the fine blur reaches.
    const REACH: usize = 2;

    fn all(&self, threads: Threads) -> Plane {
        let side = self.smooth.side;
        let mut out = Plane::filled(side as u32, side as u32, 0);
        let strips = out
            .samples
            .chunks_mut(side * STRIP_ROWS)
            .enumerate()
            .collect();
        threads.map(strips, |(number, strip)| {
            self.strip(number * STRIP_ROWS, strip);
        });
        out
    }

    fn strip(&self, first: usize, strip: &mut [u8]) {
        const WINDOW: usize = 2 * Sharpening::REACH + 1;
        let side = self.smooth.side;
        let mut tones = ToneRows::new(self.tones, side);
        // The last rows with their tones; row `y` is held at `y % WINDOW`.
        let mut held: [Vec<f32>; WINDOW] = std::array::from_fn(|_| vec![0.0; side]);
        let mut buffers = [(); 3].map(|()| vec![0.0; side]);
        let rows = strip.len() / side;
        for entering in first..first + rows + 2 * Self::REACH {
            let y = (entering.saturating_sub(Self::REACH)).min(side - 1);
            let columns = self.seen.iris_columns(y as u32);
            tones.row(y, self.smooth.row(y), columns, &mut held[entering % WINDOW]);
            let Some(y) = entering.checked_sub(first + 2 * Self::REACH) else {
                continue;
            };
            let window = std::array::from_fn(|row| &held[(entering + 1 + row) % WINDOW][..]);
            self.row(
                first + y,
                window,
                &mut buffers,
                &mut strip[y * side..][..side],
            );
        }
    }

    fn row(&self, y: usize, window: [&[f32]; 5], buffers: &mut [Vec<f32>; 3], out: &mut [u8]) {
        let columns = self.seen.iris_columns(y as u32);
        let reached = columns.start.saturating_sub(Self::REACH)
            ..(columns.end + Self::REACH).min(self.smooth.side);
        if columns.is_empty() {
            return;
        }
        let [weighted, broad, scratch] = buffers;
        blur_down(
            window.map(|row| &row[reached.clone()]),
            &mut weighted[reached],
        );
        self.broad_row(y, scratch, broad);
        let side = self.smooth.side as u32;
        let amounts = Amounts {
            noise: 0.6 * self.sigma + 0.3,
            sharpness: self.enhancement.sharpness * bearable_sharpness(side),
            clarity: self.enhancement.clarity,
        };
        let inner = columns.start.max(Self::REACH)..columns.end.min(self.smooth.side - Self::REACH);
        sharpen(
            &window[Self::REACH][inner.clone()],
            &weighted[inner.start - Self::REACH..inner.end + Self::REACH],
            &broad[inner.clone()],
            &amounts,
            &mut scratch[inner.clone()],
        );
        self.keep_pupil(y, scratch);
        to_bytes(&scratch[inner.clone()], &mut out[inner]);
    }

    /// Row `y` of the broad blur, between its own rows and columns.
    fn broad_row(&self, y: usize, between: &mut [f32], out: &mut [f32]) {
        let (width, last) = (self.broad.width, self.broad.height - 1);
        let place = ((y as f32 + 0.5) / BROAD_STEP as f32 - 0.5).clamp(0.0, last as f32);
        let (top, bottom) = (place as usize, (place as usize + 1).min(last));
        let row = |y: usize| &self.broad.samples[y * width..][..width];
        mix(
            row(top),
            row(bottom),
            place - top as f32,
            &mut between[..width],
        );
        enlarge(&between[..width], out);
    }

    /// The pupil stays as it was, and its border gets no bright rim.
    fn keep_pupil(&self, y: usize, row: &mut [f32]) {
        let (cx, cy, radius) = self.seen.pupil;
        let smooth = self.smooth.row(y);
        for x in self.seen.pupil_columns(y as u32, 1.2) {
            let (dx, dy) = (x as f32 + 0.5 - cx, y as f32 + 0.5 - cy);
            let outside = smoothstep(0.85, 1.2, (dx * dx + dy * dy).sqrt() / radius);
            let smooth = f32::from(smooth[x]) / FRACTIONS as f32;
            row[x] = smooth + (row[x] - smooth) * outside;
        }
    }
}

struct Amounts {
    noise: f32,
    sharpness: f32,
    clarity: f32,
}

/// Weights 1, 2, 3, 2, 1: a box of three pixels, twice.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn blur_down(rows: [&[f32]; 5], out: &mut [f32]) {
    let [a, b, c, d, e] = rows.map(|row| &row[..out.len()]);
    for x in 0..out.len() {
        out[x] = a[x] + e[x] + 2.0 * (b[x] + d[x]) + 3.0 * c[x];
    }
}

/// Unsharp masking at two scales; differences below the noise are left alone. `weighted` has two more pixels at
/// either end.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn sharpen(luma: &[f32], weighted: &[f32], broad: &[f32], amounts: &Amounts, out: &mut [f32]) {
    let length = out.len();
    let shifted = |by: usize| &weighted[by..by + length];
    let [a, b, c, d, e] = [shifted(0), shifted(1), shifted(2), shifted(3), shifted(4)];
    let (luma, broad) = (&luma[..length], &broad[..length]);
    for x in 0..length {
        let fine = (a[x] + e[x] + 2.0 * (b[x] + d[x]) + 3.0 * c[x]) * (1.0 / 81.0);
        let detail = luma[x] - fine;
        let cored = detail * detail.abs() / (detail.abs() + amounts.noise);
        let crisp = (amounts.sharpness * cored).clamp(-18.0, 18.0);
        let clear = ((luma[x] - broad[x]) * amounts.clarity).clamp(-22.0, 22.0);
        out[x] = luma[x] + crisp + clear;
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn mix(a: &[f32], b: &[f32], share: f32, out: &mut [f32]) {
    for (out, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
        *out = a + (b - a) * share;
    }
}

/// Between the samples of a row, [`BROAD_STEP`] for each.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn enlarge(row: &[f32], out: &mut [f32]) {
    let (first, last) = (row[0], row[row.len() - 1]);
    let half = BROAD_STEP / 2;
    out[..half].fill(first);
    out[row.len() * BROAD_STEP - half..].fill(last);
    let parts = out[half..].chunks_exact_mut(BROAD_STEP);
    for (part, pair) in parts.zip(row.windows(2)) {
        for (number, out) in part.iter_mut().enumerate() {
            let share = (number as f32 + 0.5) / BROAD_STEP as f32;
            *out = pair[0] + (pair[1] - pair[0]) * share;
        }
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn to_bytes(row: &[f32], out: &mut [u8]) {
    for (out, sample) in out.iter_mut().zip(row) {
        *out = (sample + 0.5).clamp(0.0, 255.0) as i32 as u8;
    }
}

/// Chroma without its noise, which is coarse and ugly, but not smoothed across the edges of luma; and scaled
/// with luma, so that brighter parts do not look washed out and darker ones not garish.
fn chroma(
    rectified: &RectifiedIris,
    [before, after]: [&Plane; 2],
    sigma: f32,
    enhancement: &Enhancement,
    threads: Threads,
) -> (Plane, Plane) {
    let side = rectified.chroma_side() as usize;
    let filter = Guided {
        inputs: [&rectified.cb, &rectified.cr],
        guide: before,
        radius: (side / 256).max(2),
        epsilon: 30.0 + 6.0 * sigma * sigma,
    };
    let gains = Gains::new(enhancement.vibrance);
    let [mut cb, mut cr] = [(); 2].map(|()| Plane::filled(side as u32, side as u32, 128));
    let strips = cb.samples.chunks_mut(side * STRIP_ROWS);
    let strips = strips
        .zip(cr.samples.chunks_mut(side * STRIP_ROWS))
        .enumerate();
    threads.map(
        strips.collect(),
        |(number, (cb, cr)): (usize, (&mut [u8], &mut [u8]))| {
            let first = number * STRIP_ROWS;
            filter.rows(first..first + cb.len() / side, |y, rows| {
                let luma = before.row(y as u32).iter().zip(after.row(y as u32));
                let out = cb[(y - first) * side..]
                    .iter_mut()
                    .zip(&mut cr[(y - first) * side..]);
                let smooth = rows[0].iter().zip(rows[1]);
                for (((&before, &after), (cb, cr)), (smooth_cb, smooth_cr)) in
                    luma.zip(out).zip(smooth)
                {
                    let gain = gains.of(before, after);
                    *cb = scaled(*smooth_cb, gain);
                    *cr = scaled(*smooth_cr, gain);
                }
            });
        },
    );
    (cb, cr)
}

/// What chroma is multiplied by.
struct Gains {
    /// For gains of luma from 0 to 2 in steps of 1/128; colour follows brightness less than fully.
    curve: [f32; 257],
    /// One over each level before, with a little added so that noise in black changes nothing.
    inverse: [f32; 256],
}

impl Gains {
    fn new(vibrance: f32) -> Self {
        Self {
            curve: std::array::from_fn(|step| {
                let gain = step as f32 / 128.0;
                gain.clamp(0.6, 2.0).powf(0.9) * vibrance
            }),
            inverse: std::array::from_fn(|level| 128.0 / (level as f32 + 12.0)),
        }
    }

    fn of(&self, before: u8, after: u8) -> f32 {
        let step = (f32::from(after) + 12.0) * self.inverse[usize::from(before)];
        self.curve[(step as i32 as usize).min(256)]
    }
}

fn scaled(chroma: f32, gain: f32) -> u8 {
    (128.5 + (chroma - 128.0) * gain).clamp(0.0, 255.0) as i32 as u8
}

#[cfg(test)]
mod tests;
