//! How noisy the iris is.

use crate::filters::Field;
use crate::plane::Plane;

/// More than this is texture, whatever the measure says.
const MOST: f32 = 7.0;

/// From this side on a rectified iris has more pixels than texture, and half of it tells about noise too.
const LARGE: u32 = 800;

/// Standard deviation of the noise on the seen pixels.
///
/// Cameras smooth their noise into blotches of a few pixels, which neighbouring pixels do not tell;
/// on large rectified irises a copy of half the size is asked as well. White noise is halved there.
pub(super) fn standard_deviation(luma: &Plane, seen: &[bool]) -> f32 {
    let fine = deviation_of(&Field::of(luma), seen);
    if luma.width < LARGE {
        return fine.min(MOST);
    }
    let half = luma.halved();
    let rows = seen
        .chunks_exact(luma.width as usize)
        .step_by(2)
        .take(half.height as usize);
    let width = half.width as usize;
    let half_seen: Vec<bool> = rows
        .flat_map(|row| row.iter().copied().step_by(2).take(width))
        .collect();
    let coarse = deviation_of(&Field::of(&half), &half_seen);
    fine.max(1.5 * coarse).min(MOST)
}

/// Measured by the Laplacian difference of Immerkær (Fast Noise Variance Estimation, 1996), with a
/// median instead of the mean because irises have texture.
fn deviation_of(luma: &Field, seen: &[bool]) -> f32 {
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
    median / (6.0 * 0.6745)
}

fn response(samples: &[f32], at: usize, width: usize) -> f32 {
    let (above, below) = (at - width, at + width);
    let corners = samples[above - 1] + samples[above + 1] + samples[below - 1] + samples[below + 1];
    let sides = samples[above] + samples[below] + samples[at - 1] + samples[at + 1];
    corners - 2.0 * sides + 4.0 * samples[at]
}
