//! The edges of a closeup, as limbus and pupil are sought in them: from dark to bright along rays from a
//! centre.

use super::float_image::{FloatImage, Gradient, percentile};
use crate::geometry::Ellipse;

/// The edge field in which limbus and pupil are sought.
#[derive(Debug)]
pub(super) struct EdgeField {
    pub(super) gradient: Gradient,
    /// An edge of this strength counts fully; stronger ones (reflections, lashes) no more.
    pub(super) full_edge: f32,
}

impl EdgeField {
    /// Smoothed by `sigma` pixels; a full edge is stronger than `strong_share` of what is within
    /// `reach` of the centre.
    pub(super) fn around(
        image: &FloatImage,
        centre: (f32, f32),
        reach: f32,
        sigma: f32,
        strong_share: f32,
    ) -> Self {
        let gradient = Gradient::of(&image.blurred(sigma));
        let mut strengths = Vec::new();
        // A quarter of the pixels says as much about the spread of strengths as all of them.
        for y in (0..image.height).step_by(2) {
            for x in (0..image.width).step_by(2) {
                let (dx, dy) = (x as f32 + 0.5 - centre.0, y as f32 + 0.5 - centre.1);
                if dx * dx + dy * dy < reach * reach {
                    let (gx, gy) = (gradient.gx.at(x, y), gradient.gy.at(x, y));
                    strengths.push((gx * gx + gy * gy).sqrt());
                }
            }
        }
        // The floor is sensor noise.
        let full_edge = percentile(&mut strengths, strong_share)
            .unwrap_or(0.0)
            .max(0.4);
        Self {
            gradient,
            full_edge,
        }
    }

    /// Strength of the dark-to-bright edge at `(x, y)` seen along a ray, -1 to 1.
    fn rise(&self, x: f32, y: f32, ray: (f32, f32)) -> Option<f32> {
        let along = self.gradient.along(x, y, ray)?;
        Some((along / self.full_edge).clamp(-1.0, 1.0))
    }

    /// Mean of the better `share` of the rises around a circle, for outlines that are partly covered.
    pub(super) fn best_rise(
        &self,
        circle: (f32, f32, f32),
        rays: &[(f32, f32)],
        share: f32,
    ) -> Option<f32> {
        let kept = (rays.len() as f32 * share) as usize;
        let mut rises: Vec<f32> = self.rises(circle, rays).collect();
        rises.sort_unstable_by(|a, b| b.total_cmp(a));
        (rises.len() >= kept.max(1)).then(|| rises[..kept].iter().sum::<f32>() / kept as f32)
    }

    fn rises<'a>(
        &'a self,
        (cx, cy, radius): (f32, f32, f32),
        rays: &'a [(f32, f32)],
    ) -> impl Iterator<Item = f32> + 'a {
        rays.iter()
            .filter_map(move |&ray| self.rise(cx + radius * ray.0, cy + radius * ray.1, ray))
    }
}

/// Unit vectors from `from` to `to` degrees.
pub(super) fn rays(from: f32, to: f32, step: f32) -> Vec<(f32, f32)> {
    let count = ((to - from) / step).round() as usize;
    (0..=count)
        .map(|index| {
            let (sin, cos) = (from + index as f32 * step).to_radians().sin_cos();
            (cos, sin)
        })
        .collect()
}

/// The point at `share` of the ellipse's radius in the direction `theta` (a true direction).
pub(super) fn point_on_ray(ellipse: &Ellipse, theta: f32, share: f32) -> (f32, f32) {
    let (sin, cos) = theta.sin_cos();
    let unit = ellipse.normalised_distance(ellipse.cx + cos, ellipse.cy + sin);
    (
        ellipse.cx + share / unit * cos,
        ellipse.cy + share / unit * sin,
    )
}

/// A weaker rise, of a full edge, is none.
const LEAST_RISE: f32 = 0.15;

/// The highest of evenly spaced rises: where, to a fraction of a step (parabola through three), and how
/// high. None at either end or where nothing rises.
pub(super) fn summit(rises: &[f32]) -> Option<(f32, f32)> {
    let inner = 1..rises.len().saturating_sub(1);
    let peak = inner.max_by(|&a, &b| rises[a].total_cmp(&rises[b]))?;
    let (before, top, after) = (rises[peak - 1], rises[peak], rises[peak + 1]);
    if top < LEAST_RISE || before > top || after > top || !before.is_finite() || !after.is_finite()
    {
        return None;
    }
    let curvature = before - 2.0 * top + after;
    let shift = if curvature < -1e-6 {
        0.5 * (before - after) / curvature
    } else {
        0.0
    };
    Some((peak as f32 + shift, top))
}

#[cfg(test)]
mod tests {
    use super::summit;

    #[test]
    fn a_summit_is_met_between_the_steps() {
        let parabola = |x: f32| 1.0 - 0.05 * (x - 3.3).powi(2);
        let rises: Vec<f32> = (0..8).map(|x| parabola(x as f32)).collect();
        let (place, _) = summit(&rises).expect("a summit");
        assert!((place - 3.3).abs() < 1e-3, "{place}");
    }

    #[test]
    fn a_slope_and_a_plain_have_no_summit() {
        assert_eq!(summit(&[0.1, 0.2, 0.3, 0.4]), None);
        assert_eq!(summit(&[0.0, 0.1, 0.0]), None);
        assert_eq!(summit(&[f32::NEG_INFINITY, 0.3, f32::NEG_INFINITY]), None);
        assert_eq!(summit(&[]), None);
    }
}
