//! How noisy the iris is.

use super::Seen;
use crate::plane::Plane;

/// More than this is texture, whatever the measure says.
const MOST: f32 = 7.0;

/// From this side on a rectified iris has more pixels than texture, and half of it tells about noise too.
const LARGE: u32 = 800;

/// Standard deviation of the noise on the seen pixels.
///
/// Cameras smooth their noise into blotches of a few pixels, which neighbouring pixels do not tell;
/// on large rectified irises a copy of half the size is asked as well. White noise is halved there.
pub(super) fn standard_deviation(luma: &Plane, seen: &Seen<'_>) -> f32 {
    let fine = deviation_of(luma, |x, y| seen.at(x, y));
    if luma.width < LARGE {
        return fine.min(MOST);
    }
    let coarse = deviation_of(&luma.halved(), |x, y| seen.at(2 * x, 2 * y));
    fine.max(1.5 * coarse).min(MOST)
}

/// Measured by the Laplacian difference of Immerkær (Fast Noise Variance Estimation, 1996), with a
/// median instead of the mean because irises have texture.
fn deviation_of(luma: &Plane, seen: impl Fn(usize, u32) -> bool) -> f32 {
    let mut counts = vec![0_u32; 8 * 255 + 1];
    for y in (1..luma.height.saturating_sub(1)).step_by(3) {
        let rows = [luma.row(y - 1), luma.row(y), luma.row(y + 1)];
        for x in (1..luma.width as usize - 1)
            .step_by(3)
            .filter(|&x| seen(x, y))
        {
            counts[response(rows, x).unsigned_abs() as usize] += 1;
        }
    }
    let total: u32 = counts.iter().sum();
    let mut below = 0;
    let median = counts.iter().position(|count| {
        below += count;
        below > total / 2
    });
    // The kernel multiplies a standard deviation by 6; 0.6745 leads from the median to it.
    median.unwrap_or(0) as f32 / (6.0 * 0.6745)
}

fn response(rows: [&[u8]; 3], x: usize) -> i32 {
    let [above, here, below] = rows.map(|row| [row[x - 1], row[x], row[x + 1]].map(i32::from));
    let corners = above[0] + above[2] + below[0] + below[2];
    let sides = above[1] + below[1] + here[0] + here[2];
    corners - 2 * sides + 4 * here[1]
}
