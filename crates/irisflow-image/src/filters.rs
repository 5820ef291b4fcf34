//! Small filters on planes of `f32`, written plainly: the box mean, what is built of it, and the plain form of
//! the guided filter.

#[cfg(test)]
use crate::plane::Plane;

/// A plane of `f32` samples in row order, on the scale of 8-bit samples.
#[derive(Clone)]
pub(crate) struct Field {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) samples: Vec<f32>,
}

#[cfg(test)]
impl Field {
    pub(crate) fn of(plane: &Plane) -> Self {
        Self {
            width: plane.width as usize,
            height: plane.height as usize,
            samples: plane.samples.iter().map(|&s| f32::from(s)).collect(),
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
    box_mean_of(field, radius, |sample| sample)
}

/// The box mean of what `map` makes of the samples.
///
/// Row means are kept only as long as windows hold them, so that no field besides the result is
/// touched: fresh memory costs more than the sums.
fn box_mean_of(field: &Field, radius: usize, map: impl Fn(f32) -> f32) -> Field {
    let (width, height) = (field.width, field.height);
    let radius = radius.min(width.min(height).saturating_sub(1));
    let length = 2 * radius + 1;
    let mut padded = vec![0.0; width + length];
    let mut row_means = vec![0.0; (length + 1) * width];
    let slot = |y: usize| (y % (length + 1)) * width..(y % (length + 1) + 1) * width;
    let mut sums = vec![0.0; width];
    let mut samples = Vec::with_capacity(field.samples.len());
    let scale = 1.0 / length as f32;
    // Windows slide over rows counted from `radius` above the picture to `radius` below it.
    for entering in 0..height + 2 * radius {
        let y = entering.saturating_sub(radius).min(height - 1);
        let row = field.samples[y * width..][..width]
            .iter()
            .map(|&sample| map(sample));
        row_mean(row, radius, &mut padded, &mut row_means[slot(entering)]);
        let entered = &row_means[slot(entering)];
        sums.iter_mut()
            .zip(entered)
            .for_each(|(sum, sample)| *sum += sample);
        if entering + 1 >= length {
            samples.extend(sums.iter().map(|sum| sum * scale));
            let leaving = &row_means[slot(entering + 1 - length)];
            sums.iter_mut()
                .zip(leaving)
                .for_each(|(sum, sample)| *sum -= sample);
        }
    }
    Field { samples, ..*field }
}

fn row_mean(
    row: impl ExactSizeIterator<Item = f32>,
    radius: usize,
    padded: &mut [f32],
    out: &mut [f32],
) {
    let (width, length) = (row.len(), 2 * radius + 1);
    padded[radius..]
        .iter_mut()
        .zip(row)
        .for_each(|(padded, sample)| *padded = sample);
    let (first, last) = (padded[radius], padded[radius + width - 1]);
    padded[..radius].fill(first);
    padded[radius + width..].fill(last);
    if length <= 9 {
        direct_mean(padded, length, out);
    } else {
        running_mean(padded, length, out);
    }
}

/// Close to a Gaussian of the given standard deviation: three box means (Wells, 1986).
pub(crate) fn soft_blur(field: &Field, sigma: f32) -> Field {
    let radius = ((4.0 * sigma * sigma + 1.0).sqrt() / 2.0).round().max(1.0) as usize;
    let once = box_mean(field, radius);
    box_mean(&box_mean(&once, radius), radius)
}

/// Means of all windows of a few samples: many at a time, where a running sum goes one by one.
fn direct_mean(padded: &[f32], length: usize, out: &mut [f32]) {
    let scale = 1.0 / length as f32;
    out.fill(0.0);
    for shift in 0..length {
        for (out, sample) in out.iter_mut().zip(&padded[shift..]) {
            *out += sample * scale;
        }
    }
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

/// The plain form that `enhance/guided.rs` is held to. Smooths `input` but keeps the edges that `guide` has (He, Sun, Tang: Guided Image Filtering, 2010).
///
/// `epsilon` is a variance: what varies less than that in a window is smoothed away.
#[cfg(test)]
pub(crate) fn guided(input: &Field, guide: &Field, radius: usize, epsilon: f32) -> Field {
    let mean_guide = box_mean(guide, radius);
    let mean_input = box_mean(input, radius);
    let mean_product = box_mean(&guide.zip(input, |g, i| g * i), radius);
    let mean_square = box_mean_of(guide, radius, |sample| sample * sample);
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
            level + if (x + y).is_multiple_of(2) { 2.0 } else { -2.0 }
        };
        let samples: Vec<f32> = (0..256).map(|i| noisy_step(i % 16, i / 16)).collect();
        let input = field(16, &samples);
        let smooth = guided(&input, &input, 2, 100.0);
        let middle = &smooth.samples[8 * 16..9 * 16];
        assert!((middle[3] - 50.0).abs() < 0.5 && (middle[12] - 200.0).abs() < 0.5);
        assert!(middle[8] - middle[7] > 130.0);
    }
}
