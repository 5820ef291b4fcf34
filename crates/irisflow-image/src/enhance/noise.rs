//! How noisy the iris is.

use crate::filters::Field;

/// More than this is texture, whatever the measure says.
const MOST: f32 = 7.0;

/// Standard deviation of the noise on the seen pixels, by the Laplacian difference of Immerkær (Fast
/// Noise Variance Estimation, 1996), with a median instead of the mean because irises have texture.
pub(super) fn standard_deviation(luma: &Field, seen: &[bool]) -> f32 {
    let width = luma.width;
    let mut responses = Vec::new();
    for y in (1..luma.height.saturating_sub(1)).step_by(3) {
        for x in (1..width.saturating_sub(1)).step_by(3) {
            let at = y * width + x;
            if seen[at] {
                responses.push(response(&luma.samples, at, width).abs());
            }
        }
    }
    if responses.is_empty() {
        return 0.0;
    }
    let middle = responses.len() / 2;
    let median = *responses.select_nth_unstable_by(middle, f32::total_cmp).1;
    // The kernel multiplies a standard deviation by 6; 0.6745 leads from the median to it.
    (median / (6.0 * 0.6745)).min(MOST)
}

fn response(samples: &[f32], at: usize, width: usize) -> f32 {
    let (above, below) = (at - width, at + width);
    let corners = samples[above - 1] + samples[above + 1] + samples[below - 1] + samples[below + 1];
    let sides = samples[above] + samples[below] + samples[at - 1] + samples[at + 1];
    corners - 2.0 * sides + 4.0 * samples[at]
}
