//! How crisp an eye is, whatever its size in pixels: the share of its edges that one more slight blur
//! takes away. Much where fine structure is crisp, little where the photo is blurred already (Crete et
//! al. 2007, "The blur effect"). What sensor noise adds to the edges is taken off first, or a grainy
//! blurred photo would pass as crisp.

use super::edges::point_on_ray;
use super::float_image::{FloatImage, Gradient, percentile};
use crate::geometry::Ellipse;

/// The blurs before and between, as shares of the radius of the iris.
const BEFORE: f32 = 0.012;
const BETWEEN: f32 = 0.04;
/// A ring with fewer of its points in view says nothing.
const LEAST_SHARE_OF_RING: f32 = 0.1;
/// Root mean square edges, in luma per pixel, under which there is nothing to be crisp: a dark brown
/// iris in poor light.
const LEAST_EDGES: f32 = 0.3;

/// The edges around an iris, as they are and after a blur.
#[derive(Debug)]
pub(super) struct Edges {
    seen: Gradient,
    blurred: Gradient,
    /// Mean squares of what noise alone would add to each.
    noise: [f32; 2],
}

impl Edges {
    /// Of a picture in which the iris has this radius.
    pub(super) fn of(luma: &FloatImage, radius: f32) -> Self {
        let blurs = |image: &FloatImage| {
            let seen = image.blurred(BEFORE * radius);
            let blurred = seen.blurred(BETWEEN * radius);
            [seen, blurred].map(|image| Gradient::of(&image))
        };
        let variance = noise_deviation(luma).powi(2);
        let noise = blurs(&impulse()).map(|response| variance * total_square(&response));
        let [seen, blurred] = blurs(luma);
        Self {
            seen,
            blurred,
            noise,
        }
    }

    /// 0 (blurred) to about 0.5, over the points of a ring (in shares of the limbus) that are `in_view`.
    /// None where too few are, or where they show next to no edges.
    pub(super) fn sharpness(
        &self,
        limbus: &Ellipse,
        (from, to): (f32, f32),
        in_view: impl Fn(f32, f32) -> bool,
    ) -> Option<f32> {
        const RAYS: usize = 128;
        const STEPS: usize = 20;
        let (mut sums, mut count) = ([0.0_f32; 2], 0);
        for ray in 0..RAYS {
            let theta = ray as f32 * std::f32::consts::TAU / RAYS as f32;
            for step in 0..STEPS {
                let share = from + (to - from) * step as f32 / (STEPS - 1) as f32;
                let (x, y) = point_on_ray(limbus, theta, share);
                let squares = [&self.seen, &self.blurred].map(|edges| square_at(edges, x, y));
                if let [Some(seen), Some(blurred)] = squares
                    && in_view(x, y)
                {
                    sums = [sums[0] + seen, sums[1] + blurred];
                    count += 1;
                }
            }
        }
        if (count as f32) < LEAST_SHARE_OF_RING * (RAYS * STEPS) as f32 {
            return None;
        }
        let edges = |of: usize| (sums[of] / count as f32 - self.noise[of]).max(0.0).sqrt();
        (edges(0) >= LEAST_EDGES).then(|| (1.0 - edges(1) / edges(0)).clamp(0.0, 1.0))
    }
}

fn square_at(edges: &Gradient, x: f32, y: f32) -> Option<f32> {
    Some(edges.gx.sample(x, y)?.powi(2) + edges.gy.sample(x, y)?.powi(2))
}

/// One bright pixel in the middle of a picture that holds all the filters make of it, which is what they
/// make of noise.
fn impulse() -> FloatImage {
    const SIDE: usize = 65;
    let mut image = FloatImage::filled(SIDE, SIDE, 0.0);
    image.samples[SIDE / 2 * SIDE + SIDE / 2] = 1.0;
    image
}

fn total_square(edges: &Gradient) -> f32 {
    let samples = edges.gx.samples.iter().chain(&edges.gy.samples);
    samples.map(|value| value * value).sum()
}

/// Standard deviation of the noise, in luma: from what is no plane within 3 x 3 pixels (Immerkær 1996,
/// "Fast noise variance estimation"), in the calmest quarter of the blocks, where little else is.
fn noise_deviation(luma: &FloatImage) -> f32 {
    const BLOCK: usize = 8;
    let mut deviations = Vec::new();
    for top in (1..luma.height.saturating_sub(BLOCK)).step_by(BLOCK) {
        for left in (1..luma.width.saturating_sub(BLOCK)).step_by(BLOCK) {
            let (mut deviation, mut light) = (0.0, 0.0);
            for y in top..top + BLOCK {
                for x in left..left + BLOCK {
                    let at = |dx: usize, dy: usize| luma.at(x + dx - 1, y + dy - 1);
                    let corners = at(0, 0) + at(2, 0) + at(0, 2) + at(2, 2);
                    let sides = at(1, 0) + at(0, 1) + at(2, 1) + at(1, 2);
                    deviation += (corners - 2.0 * sides + 4.0 * at(1, 1)).abs();
                    light += at(1, 1);
                }
            }
            let pixels = (BLOCK * BLOCK) as f32;
            // Where light is cut off, so is its noise.
            if (8.0..247.0).contains(&(light / pixels)) {
                deviations.push(std::f32::consts::FRAC_PI_2.sqrt() / 6.0 * deviation / pixels);
            }
        }
    }
    percentile(&mut deviations, 0.25).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RADIUS: f32 = 50.0;

    /// Bright and dark sectors, blurred by a share of its radius, then with noise.
    fn iris(blur: f32, noise: f32) -> FloatImage {
        let mut image = FloatImage::filled(200, 200, 0.0);
        for y in 0..200 {
            for x in 0..200 {
                let theta = (y as f32 - 100.0).atan2(x as f32 - 100.0);
                image.samples[y * 200 + x] = 90.0 + 30.0 * (5.0 * theta).sin().signum();
            }
        }
        let mut image = image.blurred(blur * RADIUS);
        let mut state = 7_u32;
        for sample in &mut image.samples {
            // Twelve uniform numbers add up to nearly a Gaussian of deviation 1.
            let sum: f32 = (0..12)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 8) as f32 / (1 << 24) as f32
                })
                .sum();
            *sample += noise * (sum - 6.0);
        }
        image
    }

    fn sharpness(image: &FloatImage) -> f32 {
        let limbus = Ellipse::circle(100.0, 100.0, RADIUS);
        Edges::of(image, RADIUS)
            .sharpness(&limbus, (0.4, 0.9), |_, _| true)
            .expect("a whole ring")
    }

    #[test]
    fn blur_takes_sharpness_away() {
        let steps = [0.0, 0.03, 0.06].map(|blur| sharpness(&iris(blur, 0.0)));
        assert!(
            steps[0] > steps[1] + 0.1 && steps[1] > steps[2] + 0.05,
            "{steps:?}"
        );
    }

    #[test]
    fn noise_makes_no_blurred_iris_crisp() {
        let (calm, grainy) = (sharpness(&iris(0.08, 0.0)), sharpness(&iris(0.08, 6.0)));
        assert!((calm - grainy).abs() < 0.08, "{calm} {grainy}");
    }

    #[test]
    fn noise_is_measured_beside_edges() {
        let measured = noise_deviation(&iris(0.0, 5.0));
        assert!((4.0..6.0).contains(&measured), "{measured}");
    }

    #[test]
    fn nothing_is_said_of_a_ring_that_is_out_of_view() {
        let image = iris(0.0, 0.0);
        let limbus = Ellipse::circle(100.0, 100.0, RADIUS);
        let edges = Edges::of(&image, RADIUS);
        assert_eq!(edges.sharpness(&limbus, (0.4, 0.9), |_, _| false), None);
    }
}
