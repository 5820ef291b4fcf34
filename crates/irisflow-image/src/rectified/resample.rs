//! Shows a plane of the photo in a view, as two separable passes of a Lanczos kernel (three lobes, wider when
//! the picture shrinks), also for a tilted ellipse (the two-pass method of Catmull and Smith, 1980).
//!
//! For each row of the view, first the source's columns are read where that row crosses them: along a row
//! the crossing climbs so slowly that many columns in turn read the same source rows, and the loop over
//! them runs on contiguous memory. Then the view's pixels are read from this one line.

use std::ops::Range;

use multiversion::multiversion;

use super::RectifiedView;
use crate::geometry::PixelRect;
use crate::plane::Plane;
use crate::threads::Threads;

/// Positions between two samples that kernels are made for.
const PHASES: usize = 64;
const LOBES: f32 = 3.0;
/// The line between both passes holds samples times this.
const LINE_SCALE: f32 = 64.0;
/// Weights of the second pass add up to this.
const WEIGHT_SCALE: f32 = 16_384.0;
/// Rows of the view that are made together, by one thread.
const STRIP_ROWS: usize = 64;

/// Shows `source`, the part `rect` of the photo, in `view`; `outside` fills what it does not reach.
pub(super) fn resample(
    source: &Plane,
    rect: PixelRect,
    view: &RectifiedView,
    outside: u8,
    threads: Threads,
) -> Plane {
    let passes = Passes::new(source, rect, view);
    let mut picture = Plane::filled(view.side, view.side, 0);
    let side = view.side as usize;
    let strips = picture.samples.chunks_mut(side * STRIP_ROWS).enumerate();
    threads.map(strips.collect(), |(number, strip): (usize, &mut [u8])| {
        let mut line = passes.second.empty_line(source.width as usize);
        for (row, out) in strip.chunks_exact_mut(side).enumerate() {
            let v = (number * STRIP_ROWS + row) as f32 + 0.5;
            passes.row(v, &mut line, out);
            blank_outside(out, v, rect, view, outside);
        }
    });
    picture
}

/// A square plane enlarged to `side` pixels per side.
pub(crate) fn enlarged(source: &Plane, side: u32, threads: Threads) -> Plane {
    let step = source.width as f32 / side as f32;
    let passes = Passes {
        source,
        first: Crossings::new(&Kernels::for_step(step), 0.0),
        second: Across::new(&Kernels::for_step(step), step),
        x_start: (0.0, 0.0),
        y_start: (0.0, step),
    };
    let mut picture = Plane::filled(side, side, 0);
    let strips = picture
        .samples
        .chunks_mut(side as usize * STRIP_ROWS)
        .enumerate();
    threads.map(strips.collect(), |(number, strip): (usize, &mut [u8])| {
        let mut line = passes.second.empty_line(source.width as usize);
        for (row, out) in strip.chunks_exact_mut(side as usize).enumerate() {
            passes.row((number * STRIP_ROWS + row) as f32 + 0.5, &mut line, out);
        }
    });
    picture
}

/// Both passes over one source.
struct Passes<'a> {
    source: &'a Plane,
    first: Crossings,
    second: Across,
    /// Where a row of the view begins in the source: at its first column, and how that moves from row to row.
    x_start: (f32, f32),
    y_start: (f32, f32),
}

impl<'a> Passes<'a> {
    fn new(source: &'a Plane, rect: PixelRect, view: &RectifiedView) -> Self {
        // x = x0 + xx u + xy v and y = y0 + xy u + yy v; at a given x therefore
        // y = y0 + xy / xx (x - x0) + (yy - xy xy / xx) v.
        let (x0, y0) = view.photo_point(0.0, 0.0);
        let (x0, y0) = (x0 - rect.x as f32, y0 - rect.y as f32);
        let slope = view.xy / view.xx;
        let step_down = view.yy - view.xy * slope;
        Self {
            source,
            first: Crossings::new(&Kernels::for_step(step_down), slope),
            second: Across::new(&Kernels::for_step(view.xx), view.xx),
            x_start: (x0, view.xy),
            y_start: (y0 + slope * (0.5 - x0), step_down),
        }
    }

    fn row(&self, v: f32, line: &mut [i16], out: &mut [u8]) {
        let margin = self.second.margin;
        let inner = &mut line[margin..margin + self.source.width as usize];
        self.first
            .read(self.source, self.y_start.0 + self.y_start.1 * v, inner);
        let (first, last) = (inner[0], inner[inner.len() - 1]);
        let after = margin + inner.len();
        line[..margin].fill(first);
        line[after..].fill(last);
        self.second
            .read(line, self.x_start.0 + self.x_start.1 * v, out);
    }
}

/// Lanczos kernels for each of [`PHASES`] positions between two samples.
struct Kernels {
    taps: usize,
    weights: Vec<f32>,
}

impl Kernels {
    /// `step` is the distance between output samples in source samples.
    fn for_step(step: f32) -> Self {
        let stretch = step.max(1.0);
        let taps = (2.0 * LOBES * stretch).ceil() as usize;
        let mut weights = Vec::with_capacity(taps * PHASES);
        for phase in 0..PHASES {
            let offset = (phase as f32 + 0.5) / PHASES as f32;
            let first = 1.0 - (taps / 2) as f32 - offset;
            let kernel: Vec<f32> = (0..taps)
                .map(|tap| lanczos((first + tap as f32) / stretch))
                .collect();
            let sum: f32 = kernel.iter().sum();
            weights.extend(kernel.iter().map(|weight| weight / sum));
        }
        Self { taps, weights }
    }

    fn of_phase(&self, phase: usize) -> &[f32] {
        &self.weights[phase * self.taps..][..self.taps]
    }

    /// From the sample at or before a position to the first of its kernel.
    fn reach(&self) -> i32 {
        1 - (self.taps / 2) as i32
    }
}

fn phase_of(fraction: f32) -> usize {
    ((fraction * PHASES as f32) as usize).min(PHASES - 1)
}

fn lanczos(x: f32) -> f32 {
    let x = x.abs();
    if x < 1e-4 {
        return 1.0;
    }
    if x >= LOBES {
        return 0.0;
    }
    let pi_x = std::f32::consts::PI * x;
    LOBES * pi_x.sin() * (pi_x / LOBES).sin() / (pi_x * pi_x)
}

/// The first pass: where a row of the view crosses the source's columns.
struct Crossings {
    kernels: Kernels,
    /// How far the crossing climbs from column to column.
    slope: f64,
    /// Weights of columns in turn; none where many in turn have the same.
    climb: Option<Climb>,
}

/// The weights of columns in turn while the crossing climbs from one source row to the next.
struct Climb {
    /// The number of fractions of a phase at which a climb can begin, less than a column apart.
    starts: usize,
    /// Columns per climb, with some to spare.
    columns: usize,
    /// For each start and tap the weight at each column.
    weights: Vec<f32>,
}

impl Crossings {
    fn new(kernels: &Kernels, slope: f32) -> Self {
        /// Fewer columns with the same weights are read faster with a weight for each.
        const LEAST_COLUMNS: f32 = 32.0;
        let is_gentle = slope.abs() * PHASES as f32 * LEAST_COLUMNS < 1.0;
        let weights = kernels.weights.iter().map(|weight| weight * LINE_SCALE);
        let kernels = Kernels {
            taps: kernels.taps,
            weights: weights.collect(),
        };
        Self {
            climb: (!is_gentle).then(|| Climb::new(&kernels, slope)),
            slope: f64::from(slope),
            kernels,
        }
    }

    /// `y` is the crossing at the first column, in pixel coordinates (centres at `+0.5`).
    fn read(&self, source: &Plane, y: f32, line: &mut [i16]) {
        let mut column = 0;
        let mut rows = Vec::with_capacity(self.kernels.taps);
        while column < line.len() {
            let here = f64::from(y) - 0.5 + self.slope * column as f64;
            let (row, fraction) = (here.floor(), here - here.floor());
            let phase = phase_of(fraction as f32);
            // As long as the kernel, or with weights for each column its rows, stay the same.
            let (lower, upper) = match self.climb {
                Some(_) => (0.0, 1.0),
                None => (
                    phase as f64 / PHASES as f64,
                    (phase + 1) as f64 / PHASES as f64,
                ),
            };
            let end = column + self.columns_within(fraction, lower, upper);
            let end = end.min(line.len());
            self.rows_at(source, row as i32, column..end, &mut rows);
            let out = &mut line[column..end];
            match &self.climb {
                Some(climb) => climb.add_rows(&rows, fraction, self.slope, out),
                None => add_rows(&rows, self.kernels.of_phase(phase), out),
            }
            column = end;
        }
    }

    /// How many columns from here on the fraction stays between two bounds; at least one.
    fn columns_within(&self, fraction: f64, lower: f64, upper: f64) -> usize {
        /// No plane has more.
        const ALL: f64 = 1e6;
        let columns = if self.slope > 0.0 {
            ((upper - fraction) / self.slope).ceil()
        } else if self.slope < 0.0 {
            ((fraction - lower) / -self.slope).floor() + 1.0
        } else {
            ALL
        };
        columns.clamp(1.0, ALL) as usize
    }

    /// Parts of the source rows of the kernel at `row`, clamped to the border.
    fn rows_at<'a>(
        &self,
        source: &'a Plane,
        row: i32,
        columns: Range<usize>,
        rows: &mut Vec<&'a [u8]>,
    ) {
        let first = row + self.kernels.reach();
        let last = source.height as i32 - 1;
        let taps = 0..self.kernels.taps as i32;
        let clamped = taps.map(|tap| (first + tap).clamp(0, last) as u32);
        rows.clear();
        rows.extend(clamped.map(|row| &source.row(row)[columns.clone()]));
    }
}

impl Climb {
    fn new(kernels: &Kernels, slope: f32) -> Self {
        let rate = slope.abs();
        let starts = (rate * PHASES as f32).ceil().max(1.0) as usize;
        let columns = (1.0 / rate).ceil() as usize + 2;
        let mut weights = Vec::with_capacity(starts * kernels.taps * columns);
        for start in 0..starts {
            let first = (start as f32 + 0.5) / starts as f32 * rate;
            for tap in 0..kernels.taps {
                weights.extend((0..columns).map(|column| {
                    let climbed = (first + rate * column as f32).min(1.0);
                    let fraction = if slope > 0.0 { climbed } else { 1.0 - climbed };
                    kernels.of_phase(phase_of(fraction))[tap]
                }));
            }
        }
        Self {
            starts,
            columns,
            weights,
        }
    }

    fn add_rows(&self, rows: &[&[u8]], fraction: f64, slope: f64, line: &mut [i16]) {
        let climbed = if slope > 0.0 {
            fraction
        } else {
            1.0 - fraction
        };
        // So many columns ago the climb began, or would have.
        let ago = climbed / slope.abs();
        let first = (ago as usize).min(self.columns - line.len());
        let start = ((ago - ago.floor()) * self.starts as f64) as usize;
        let start = start.min(self.starts - 1) * rows.len() * self.columns;
        add_rows_by_column(rows, &self.weights[start + first..], self.columns, line);
    }
}

/// Sums of rows, each times its weight.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn add_rows(rows: &[&[u8]], weights: &[f32], line: &mut [i16]) {
    const TOGETHER: usize = 32;
    in_parts(line.len(), TOGETHER, |from, columns| {
        let mut sums = [0.0_f32; TOGETHER];
        for (row, &weight) in rows.iter().zip(weights) {
            let row = &row[from..from + columns];
            if let Some(row) = row.first_chunk::<TOGETHER>() {
                for (sum, &sample) in sums.iter_mut().zip(row) {
                    *sum += f32::from(sample) * weight;
                }
            } else {
                for (sum, &sample) in sums.iter_mut().zip(row) {
                    *sum += f32::from(sample) * weight;
                }
            }
        }
        write_rounded(&sums, &mut line[from..from + columns]);
    });
}

/// The same with a weight for each column; the weights of the next row begin `stride` further on.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn add_rows_by_column(rows: &[&[u8]], weights: &[f32], stride: usize, line: &mut [i16]) {
    const TOGETHER: usize = 16;
    in_parts(line.len(), TOGETHER, |from, columns| {
        let mut sums = [0.0_f32; TOGETHER];
        for (number, row) in rows.iter().enumerate() {
            let row = &row[from..from + columns];
            let weights = &weights[number * stride + from..][..columns];
            if let (Some(row), Some(weights)) =
                (row.first_chunk::<TOGETHER>(), weights.first_chunk())
            {
                add_products(&mut sums, row, weights);
            } else {
                for ((sum, &sample), weight) in sums.iter_mut().zip(row).zip(weights) {
                    *sum += f32::from(sample) * weight;
                }
            }
        }
        write_rounded(&sums, &mut line[from..from + columns]);
    });
}

#[inline(always)]
fn add_products<const N: usize>(sums: &mut [f32; N], row: &[u8; N], weights: &[f32; N]) {
    for at in 0..N {
        sums[at] += f32::from(row[at]) * weights[at];
    }
}

/// Calls `work` with beginning and length of parts of `together` that cover `0..length`. The last one begins
/// before the end of the one before it, so that all are whole; only a short line is one part that is not.
#[inline(always)]
fn in_parts(length: usize, together: usize, mut work: impl FnMut(usize, usize)) {
    if length < together {
        return work(0, length);
    }
    let mut from = 0;
    while from + together < length {
        work(from, together);
        from += together;
    }
    work(length - together, together);
}

#[inline(always)]
fn write_rounded(sums: &[f32], out: &mut [i16]) {
    /// Added, it leaves a value rounded in the low bits of the sum.
    const ROUNDING: f32 = 12_582_912.0;
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = (sum + ROUNDING).to_bits() as i16;
    }
}

/// The second pass: the view's pixels, evenly spaced on a line.
struct Across {
    step: f32,
    /// Weights of each phase, filled up with zeros to a multiple of eight.
    weights: Vec<i16>,
    taps: usize,
    /// From the sample at or before a position to the first of its kernel.
    reach: i32,
    /// What a line has before and after the source's samples.
    margin: usize,
}

impl Across {
    fn new(kernels: &Kernels, step: f32) -> Self {
        let taps = kernels.taps.next_multiple_of(8);
        let mut weights = vec![0; taps * PHASES];
        for (phase, out) in weights.chunks_exact_mut(taps).enumerate() {
            for (out, weight) in out.iter_mut().zip(kernels.of_phase(phase)) {
                *out = (weight * WEIGHT_SCALE).round() as i16;
            }
        }
        Self {
            step,
            weights,
            taps,
            reach: kernels.reach(),
            margin: 2 * taps,
        }
    }

    fn empty_line(&self, width: usize) -> Vec<i16> {
        vec![0; width + 2 * self.margin]
    }

    /// `x` is where the view's first column begins, in pixel coordinates of the source.
    fn read(&self, line: &[i16], x: f32, out: &mut [u8]) {
        // In 1/2^32 of a sample, from the beginning of the line.
        const ONE: f64 = 4_294_967_296.0;
        let begin = f64::from(x) + 0.5 * f64::from(self.step) - 0.5
            + self.margin as f64
            + f64::from(self.reach);
        let position = (begin * ONE) as i64;
        let step = (f64::from(self.step) * ONE) as i64;
        match self.taps {
            8 => read_line::<8>(line, &self.weights, position, step, out),
            16 => read_line::<16>(line, &self.weights, position, step, out),
            24 => read_line::<24>(line, &self.weights, position, step, out),
            _ => read_line_of(self.taps, line, &self.weights, position, step, out),
        }
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn read_line<const TAPS: usize>(
    line: &[i16],
    weights: &[i16],
    mut position: i64,
    step: i64,
    out: &mut [u8],
) {
    let (kernels, _) = weights.as_chunks::<TAPS>();
    let last = (line.len() - TAPS) as i64;
    for out in out {
        let first = (position >> 32).clamp(0, last) as usize;
        let phase = (position >> 26) as usize % PHASES;
        position += step;
        if let Some(samples) = line[first..].first_chunk::<TAPS>() {
            *out = finished(products(samples, &kernels[phase]));
        }
    }
}

#[inline(always)]
fn products<const TAPS: usize>(samples: &[i16; TAPS], kernel: &[i16; TAPS]) -> i32 {
    let products = samples.iter().zip(kernel);
    products
        .map(|(&sample, &weight)| i32::from(sample) * i32::from(weight))
        .sum()
}

/// The same for kernels of any width.
fn read_line_of(
    taps: usize,
    line: &[i16],
    weights: &[i16],
    mut position: i64,
    step: i64,
    out: &mut [u8],
) {
    let last = (line.len() - taps) as i64;
    for out in out {
        let first = (position >> 32).clamp(0, last) as usize;
        let phase = (position >> 26) as usize % PHASES;
        position += step;
        let products = line[first..first + taps]
            .iter()
            .zip(&weights[phase * taps..]);
        *out = finished(
            products
                .map(|(&sample, &weight)| i32::from(sample) * i32::from(weight))
                .sum(),
        );
    }
}

#[inline(always)]
fn finished(sum: i32) -> u8 {
    const SCALE: i32 = (LINE_SCALE * WEIGHT_SCALE) as i32;
    ((sum + SCALE / 2) / SCALE).clamp(0, 255) as u8
}

/// Fills what of row `v` of the view lies outside the source.
fn blank_outside(out: &mut [u8], v: f32, rect: PixelRect, view: &RectifiedView, outside: u8) {
    let (x, y) = view.photo_point(0.5, v);
    let across = columns_between(x, view.xx, rect.x, rect.width);
    let down = columns_between(y, view.xy, rect.y, rect.height);
    let from = across.0.max(down.0).clamp(0.0, out.len() as f32) as usize;
    let to = across.1.min(down.1).clamp(from as f32, out.len() as f32) as usize;
    out[..from].fill(outside);
    out[to..].fill(outside);
}

/// The columns `u` for which `at + u * step` lies within `length` from `start`: from the first to beyond the
/// last.
fn columns_between(at: f32, step: f32, start: u32, length: u32) -> (f32, f32) {
    let (start, end) = (start as f32, (start + length) as f32);
    if step.abs() < 1e-6 {
        return if at >= start && at <= end {
            (0.0, f32::MAX)
        } else {
            (0.0, 0.0)
        };
    }
    let (a, b) = ((start - at) / step, (end - at) / step);
    (a.min(b).ceil(), a.max(b).floor() + 1.0)
}

#[cfg(test)]
mod tests {
    use super::{Kernels, enlarged, phase_of, resample};
    use crate::geometry::{Ellipse, PixelRect};
    use crate::plane::Plane;
    use crate::rectified::RectifiedView;
    use crate::threads::Threads;

    fn source() -> (Plane, PixelRect) {
        let rect = PixelRect {
            x: 40,
            y: 20,
            width: 300,
            height: 260,
        };
        let mut plane = Plane::filled(rect.width, rect.height, 0);
        for y in 0..rect.height {
            for (x, sample) in plane.row_mut(y).iter_mut().enumerate() {
                *sample = (120.0 + 70.0 * (x as f32 * 0.21).sin() * (y as f32 * 0.17).cos()) as u8
                    + (x as u32 * 37 + y * 11) as u8 % 40;
            }
        }
        (plane, rect)
    }

    /// The weighted samples around a position, one by one.
    fn sampled(kernels: &Kernels, position: f32, sample: impl Fn(i32) -> f32) -> f32 {
        let floor = (position - 0.5).floor();
        let first = floor as i32 + kernels.reach();
        let weights = kernels.of_phase(phase_of(position - 0.5 - floor)).iter();
        (first..)
            .zip(weights)
            .map(|(at, weight)| sample(at) * weight)
            .sum()
    }

    /// Both passes as they are defined, a pixel at a time.
    fn plain(source: &Plane, rect: PixelRect, view: &RectifiedView, u: u32, v: u32) -> f32 {
        let slope = view.xy / view.xx;
        let down = Kernels::for_step(view.yy - view.xy * slope);
        let (x, y) = view.photo_point(u as f32 + 0.5, v as f32 + 0.5);
        let (x, y) = (x - rect.x as f32, y - rect.y as f32);
        let limit = |at: i32, length: u32| at.clamp(0, length as i32 - 1);
        sampled(&Kernels::for_step(view.xx), x, |column| {
            let column = limit(column, source.width);
            let crossing = y + slope * (column as f32 + 0.5 - x);
            sampled(&down, crossing, |row| {
                f32::from(source.at(column as u32, limit(row, source.height) as u32))
            })
        })
    }

    #[test]
    fn fast_passes_agree_with_plain_ones_to_a_level() {
        let (source, rect) = source();
        for angle_deg in [0.0, 0.4, 30.0, 80.0, 135.0, 179.8] {
            for (rx, side) in [(92.0, 200), (100.0, 64), (88.0, 128), (80.0, 300)] {
                let iris = Ellipse {
                    cx: 187.3,
                    cy: 148.8,
                    rx,
                    ry: 84.0,
                    angle_deg,
                };
                let view = RectifiedView::new(&iris, side);
                let fast = resample(&source, rect, &view, 0, Threads::new(2));
                let mut far_off = 0;
                for v in (2..side - 2).step_by(3) {
                    for u in (2..side - 2).step_by(5) {
                        let plain = plain(&source, rect, &view, u, v).clamp(0.0, 255.0);
                        let difference = (f32::from(fast.at(u, v)) - plain).abs();
                        // Neighbouring phases differ by up to some levels where the texture is finest.
                        assert!(
                            difference < 6.0,
                            "{difference} at ({u}, {v}), {angle_deg} degrees, {side}"
                        );
                        far_off += u32::from(difference > 1.0);
                    }
                }
                assert!(
                    far_off * 20 < side * side / 15,
                    "{far_off} of {side}, {angle_deg} degrees"
                );
            }
        }
    }

    #[test]
    fn an_even_plane_stays_even_when_enlarged() {
        let plane = Plane::filled(70, 70, 93);
        let large = enlarged(&plane, 333, Threads::default());
        assert!(large.samples.iter().all(|&sample| sample == 93));
    }
}
