//! Small filters on planes of `f32`, written plainly: box mean, and the guided filter built of it.

use crate::plane::Plane;
use crate::resize::resized;

/// A plane of `f32` samples in row order, on the scale of 8-bit samples.
#[derive(Clone)]
pub(crate) struct Field {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) samples: Vec<f32>,
}

impl Field {
    pub(crate) fn of(plane: &Plane) -> Self {
        Self {
            width: plane.width as usize,
            height: plane.height as usize,
            samples: plane.samples.iter().map(|&s| f32::from(s)).collect(),
        }
    }

    pub(crate) fn to_plane(&self) -> Plane {
        let round = |sample: &f32| (sample + 0.5).clamp(0.0, 255.0) as u8;
        Plane {
            width: self.width as u32,
            height: self.height as u32,
            samples: self.samples.iter().map(round).collect(),
        }
    }

    /// A field of the same size, each sample made of the two at its place.
    pub(crate) fn zip(&self, other: &Self, combine: impl Fn(f32, f32) -> f32) -> Self {
        let pairs = self.samples.iter().zip(&other.samples);
        Self {
            samples: pairs.map(|(&a, &b)| combine(a, b)).collect(),
            ..*self
        }
    }
}

/// Mean over a window of `2 * radius + 1` pixels squared, clamped to the border.
pub(crate) fn box_mean(field: &Field, radius: usize) -> Field {
    let across = mean_across(field, radius);
    mean_down(&across, radius)
}

/// A blur so broad that a quarter of the pixels tell it: `soft_blur` of a small copy of a square.
pub(crate) fn broad_blur(field: &Field, sigma: f32) -> Field {
    let side = field.width as u32;
    let small_side = (side / 4).max(1);
    let small = Field::of(&resized(&field.to_plane(), small_side));
    let blurred = soft_blur(&small, sigma * small_side as f32 / side as f32);
    Field::of(&resized(&blurred.to_plane(), side))
}

/// Close to a Gaussian of the given standard deviation: three box means (Wells, 1986).
pub(crate) fn soft_blur(field: &Field, sigma: f32) -> Field {
    let radius = ((4.0 * sigma * sigma + 1.0).sqrt() / 2.0).round().max(1.0) as usize;
    let once = box_mean(field, radius);
    box_mean(&box_mean(&once, radius), radius)
}

fn mean_across(field: &Field, radius: usize) -> Field {
    let width = field.width;
    let radius = radius.min(width.saturating_sub(1));
    let mut samples = vec![0.0; field.samples.len()];
    let mut padded = vec![0.0; width + 2 * radius + 1];
    let rows = field.samples.chunks_exact(width);
    for (row, out) in rows.zip(samples.chunks_exact_mut(width)) {
        padded[..radius].fill(row[0]);
        padded[radius..radius + width].copy_from_slice(row);
        padded[radius + width..].fill(row[width - 1]);
        running_mean(&padded, 2 * radius + 1, out);
    }
    Field { samples, ..*field }
}

/// Means of all windows of `length` samples.
fn running_mean(padded: &[f32], length: usize, out: &mut [f32]) {
    let scale = 1.0 / length as f32;
    let mut sum: f32 = padded[..length].iter().sum();
    let changes = padded[length..].iter().zip(padded);
    for (out, (entering, leaving)) in out.iter_mut().zip(changes) {
        *out = sum * scale;
        sum += entering - leaving;
    }
}

fn mean_down(field: &Field, radius: usize) -> Field {
    let (width, height) = (field.width, field.height);
    let radius = radius.min(height.saturating_sub(1)) as isize;
    let scale = 1.0 / (2 * radius + 1) as f32;
    let row =
        |y: isize| &field.samples[y.clamp(0, height as isize - 1) as usize * width..][..width];
    let mut sums = vec![0.0; width];
    for y in -radius..=radius {
        sums.iter_mut()
            .zip(row(y))
            .for_each(|(sum, sample)| *sum += sample);
    }
    let mut samples = vec![0.0; field.samples.len()];
    for (y, out) in samples.chunks_exact_mut(width).enumerate() {
        let y = y as isize;
        let (entering, leaving) = (row(y + radius + 1), row(y - radius));
        let changes = entering.iter().zip(leaving);
        for ((out, sum), (entering, leaving)) in out.iter_mut().zip(&mut sums).zip(changes) {
            *out = *sum * scale;
            *sum += entering - leaving;
        }
    }
    Field { samples, ..*field }
}

/// Smooths `input` but keeps the edges that `guide` has (He, Sun, Tang: Guided Image Filtering, 2010).
///
/// `epsilon` is a variance: what varies less than that in a window is smoothed away.
pub(crate) fn guided(input: &Field, guide: &Field, radius: usize, epsilon: f32) -> Field {
    let mean_guide = box_mean(guide, radius);
    let mean_input = box_mean(input, radius);
    let mean_product = box_mean(&guide.zip(input, |g, i| g * i), radius);
    let mean_square = box_mean(&guide.zip(guide, |g, h| g * h), radius);
    let covariance = mean_product.zip(&mean_guide.zip(&mean_input, |g, i| g * i), |p, m| p - m);
    let variance = mean_square.zip(&mean_guide, |square, mean| square - mean * mean);
    let slope = covariance.zip(&variance, |c, v| c / (v.max(0.0) + epsilon));
    let offset = mean_input.zip(&slope.zip(&mean_guide, |s, g| s * g), |i, sg| i - sg);
    let (slope, offset) = (box_mean(&slope, radius), box_mean(&offset, radius));
    slope.zip(guide, |s, g| s * g).zip(&offset, |sg, o| sg + o)
}

#[cfg(test)]
mod tests {
    use super::{Field, box_mean, guided};

    fn field(width: usize, samples: &[f32]) -> Field {
        Field {
            width,
            height: samples.len() / width,
            samples: samples.to_vec(),
        }
    }

    #[test]
    fn a_box_mean_spreads_a_dot_over_its_window() {
        let mut dot = field(5, &[0.0; 25]);
        dot.samples[12] = 9.0;
        let mean = box_mean(&dot, 1);
        #[rustfmt::skip]
        let expected = [
            0.0, 0.0, 0.0, 0.0, 0.0,
            0.0, 1.0, 1.0, 1.0, 0.0,
            0.0, 1.0, 1.0, 1.0, 0.0,
            0.0, 1.0, 1.0, 1.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0,
        ];
        for (found, expected) in mean.samples.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn a_guided_filter_flattens_noise_and_keeps_a_step() {
        let noisy_step = |x: usize, y: usize| {
            let level = if x < 8 { 50.0 } else { 200.0 };
            level + if (x + y) % 2 == 0 { 2.0 } else { -2.0 }
        };
        let samples: Vec<f32> = (0..256).map(|i| noisy_step(i % 16, i / 16)).collect();
        let input = field(16, &samples);
        let smooth = guided(&input, &input, 2, 100.0);
        let middle = &smooth.samples[8 * 16..9 * 16];
        assert!((middle[3] - 50.0).abs() < 0.5 && (middle[12] - 200.0).abs() < 0.5);
        assert!(middle[8] - middle[7] > 130.0);
    }
}
