//! From 8 x 8 samples to quantised coefficients: the float DCT of Arai, Agui and Nakajima (1988), eight
//! columns at a time, with its scale factors in the quantisation.

use multiversion::multiversion;

/// Coefficients in zigzag order.
pub(super) type Block = [i16; 64];

/// Natural index (row by row, vertical frequency first) of each coefficient in zigzag order.
pub(super) const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Blocks that are transformed together, so that loops over them are long enough to be vectorised.
const TOGETHER: usize = 16;
const WIDTH: usize = 8 * TOGETHER;

/// Eight rows of samples, or of frequencies.
type Rows<T> = [[T; WIDTH]; 8];

/// A quantisation table, as written and as divided by.
pub(super) struct Quantisation {
    /// In zigzag order.
    pub(super) table: [u8; 64],
    /// One over the table times the scale of the transform, for each of the blocks side by side: a row per
    /// horizontal frequency, as the transform leaves its coefficients.
    factors: Rows<f32>,
}

impl Quantisation {
    /// `base` is a table for quality 50 in natural order; quality scales it as libjpeg does.
    pub(super) fn new(base: &[u8; 64], quality: u8) -> Self {
        let quality = u32::from(quality.clamp(1, 100));
        let percent = if quality < 50 {
            5000 / quality
        } else {
            200 - 2 * quality
        };
        let scaled = base.map(|step| ((u32::from(step) * percent + 50) / 100).clamp(1, 255) as u8);
        let scale = |frequency: usize| match frequency {
            0 => 1.0,
            _ => std::f64::consts::SQRT_2 * (frequency as f64 * std::f64::consts::PI / 16.0).cos(),
        };
        let factor = |across: usize, down: usize| {
            let step = f64::from(scaled[down * 8 + across]);
            (1.0 / (step * scale(across) * scale(down) * 8.0)) as f32
        };
        Self {
            table: ZIGZAG.map(|natural| scaled[natural]),
            factors: std::array::from_fn(|across| std::array::from_fn(|at| factor(across, at % 8))),
        }
    }
}

/// Transforms the blocks side by side in eight rows of `stride` samples.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
pub(super) fn transform_row(
    samples: &[u8],
    stride: usize,
    quantisation: &Quantisation,
    blocks: &mut [Block],
) {
    let mut values: Rows<f32> = [[0.0; WIDTH]; 8];
    let mut other: Rows<f32> = [[0.0; WIDTH]; 8];
    let mut coefficients = [0_i16; 8 * WIDTH];
    for (number, blocks) in blocks.chunks_mut(TOGETHER).enumerate() {
        for (y, row) in values.iter_mut().enumerate() {
            let from = &samples[y * stride + number * WIDTH..][..blocks.len() * 8];
            for (value, &sample) in row.iter_mut().zip(from) {
                *value = f32::from(sample) - 128.0;
            }
        }
        down_columns(&values, &mut other);
        transpose(&other, &mut values);
        down_columns(&values, &mut other);
        quantise(&other, &quantisation.factors, &mut coefficients);
        for (number, block) in blocks.iter_mut().enumerate() {
            for (value, place) in block.iter_mut().zip(PLACES) {
                *value = coefficients[(usize::from(place) + number * 8) % (8 * WIDTH)];
            }
        }
    }
}

/// Where the coefficients of the first block lie, in zigzag order, as `quantise` leaves them: rows and columns
/// of each block are exchanged by then.
const PLACES: [u16; 64] = {
    let mut places = [0; 64];
    let mut at = 0;
    while at < 64 {
        places[at] = (ZIGZAG[at] % 8 * WIDTH + ZIGZAG[at] / 8) as u16;
        at += 1;
    }
    places
};

/// Exchanges rows and columns of each block.
#[inline(always)]
fn transpose(rows: &Rows<f32>, columns: &mut Rows<f32>) {
    for block in 0..TOGETHER {
        for (y, row) in rows.iter().enumerate() {
            for (x, column) in columns.iter_mut().enumerate() {
                column[block * 8 + y] = row[block * 8 + x];
            }
        }
    }
}

#[inline(always)]
fn quantise(values: &Rows<f32>, factors: &Rows<f32>, out: &mut [i16; 8 * WIDTH]) {
    /// Added, it leaves a value rounded in the low bits of the sum.
    const ROUNDING: f32 = 12_582_912.0;
    let values = values.as_flattened().iter().zip(factors.as_flattened());
    for (out, (value, factor)) in out.iter_mut().zip(values) {
        *out = (value * factor + ROUNDING).to_bits() as i16;
    }
}

/// The transform of each column of eight values.
#[inline(always)]
fn down_columns(from: &Rows<f32>, to: &mut Rows<f32>) {
    const HALF_ROOT: f32 = std::f32::consts::FRAC_1_SQRT_2;
    let [r0, r1, r2, r3, r4, r5, r6, r7] = from;
    let [f0, f1, f2, f3, f4, f5, f6, f7] = to;
    for at in 0..WIDTH {
        let (s07, d07) = (r0[at] + r7[at], r0[at] - r7[at]);
        let (s16, d16) = (r1[at] + r6[at], r1[at] - r6[at]);
        let (s25, d25) = (r2[at] + r5[at], r2[at] - r5[at]);
        let (s34, d34) = (r3[at] + r4[at], r3[at] - r4[at]);

        let (outer, outer_difference) = (s07 + s34, s07 - s34);
        let (inner, inner_difference) = (s16 + s25, s16 - s25);
        let turned = (inner_difference + outer_difference) * HALF_ROOT;
        f0[at] = outer + inner;
        f4[at] = outer - inner;
        f2[at] = outer_difference + turned;
        f6[at] = outer_difference - turned;

        let (a, b, c) = (d34 + d25, (d25 + d16) * HALF_ROOT, d16 + d07);
        let common = (a - c) * 0.382_683_43;
        let (low, high) = (a * 0.541_196_1 + common, c * 1.306_563 + common);
        let (near, far) = (d07 + b, d07 - b);
        f5[at] = far + low;
        f3[at] = far - low;
        f1[at] = near + high;
        f7[at] = near - high;
    }
}
