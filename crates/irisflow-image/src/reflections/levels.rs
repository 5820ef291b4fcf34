//! What each ring looks like without highlights: its light across the eye, its spread, its colour.

use multiversion::multiversion;

use super::percentile::{Counted, percentile};
use super::unwrap::{ANGLES, BORDER_RINGS, PUPIL_RINGS, RINGS, Unwrapped, directions, index};
use crate::threads::Threads;

/// What a ring looks like without highlights.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RingLevel {
    /// Luma round the ring: a constant, and the slope of the light across the eye (cosine, sine).
    pub(super) light: [f32; 3],
    /// How far dark parts of the ring lie below it: upwards there may be highlights.
    pub(super) spread: f32,
    pub(super) saturation: f32,
    /// How far its colour leans to orange: pigment does, highlights do not.
    pub(super) warmth: f32,
    /// The least of red, green and blue: as `light` and `spread`.
    least: [f32; 3],
    pub(super) least_spread: f32,
}

impl RingLevel {
    pub(super) fn luma(&self, angle: usize) -> f32 {
        across(self.light, directions()[angle])
    }

    pub(super) fn least(&self, angle: usize) -> f32 {
        across(self.least, directions()[angle])
    }
}

#[inline(always)]
fn across(light: [f32; 3], (cos, sin): (f32, f32)) -> f32 {
    light[0] + light[1] * cos + light[2] * sin
}

/// Whiter than any iris.
pub(super) fn is_burnt(colour: [f32; 3]) -> bool {
    least_of(colour) >= 238.0
}

/// The least of red, green and blue.
pub(super) fn least_of([luma, cb, cr]: [f32; 3]) -> f32 {
    let (cb, cr) = (cb - 128.0, cr - 128.0);
    luma + (1.402 * cr)
        .min(1.772 * cb)
        .min(-0.344_136 * cb - 0.714_136 * cr)
}

pub(super) fn saturation_of([_, cb, cr]: [f32; 3]) -> f32 {
    ((cb - 128.0) * (cb - 128.0) + (cr - 128.0) * (cr - 128.0)).sqrt()
}

pub(super) fn warmth_of([_, cb, cr]: [f32; 3]) -> f32 {
    (cr - cb) * std::f32::consts::FRAC_1_SQRT_2
}

/// Rings that share one level, and those around them that are looked at for it.
const STEP: usize = 4;
const REACH: usize = 5;

/// The levels of all rings.
#[derive(Debug, Clone)]
pub(super) struct RingLevels {
    /// Of each group of rings; none where hardly anything of them is seen.
    groups: Vec<Option<RingLevel>>,
    pub(super) rings: Vec<RingLevel>,
}

impl RingLevels {
    pub(super) fn of(unwrapped: &Unwrapped, threads: Threads) -> Self {
        let none = vec![None; RINGS / STEP];
        Self::with_groups(unwrapped, none, |_| true, threads)
    }

    /// The levels after `hidden` places are no longer visible.
    pub(super) fn without(&self, hidden: &[bool], unwrapped: &Unwrapped, threads: Threads) -> Self {
        let has_changed = |rings: std::ops::Range<usize>| {
            hidden[index(rings.start, 0)..index(rings.end, 0)].contains(&true)
        };
        Self::with_groups(unwrapped, self.groups.clone(), has_changed, threads)
    }

    /// Of `groups` only those whose rings have changed are measured.
    fn with_groups(
        unwrapped: &Unwrapped,
        mut groups: Vec<Option<RingLevel>>,
        has_changed: impl Fn(std::ops::Range<usize>) -> bool,
        threads: Threads,
    ) -> Self {
        let places = groups.iter_mut().enumerate();
        let changed = places.filter_map(|(number, group)| {
            let window = window_of(number * STEP);
            has_changed(window.clone()).then_some((window, group))
        });
        threads.map(changed.collect(), |(window, group)| {
            *group = ring_level(unwrapped, window);
        });
        Self {
            rings: of_rings(groups.clone()),
            groups,
        }
    }
}

/// The rings that are looked at for the level of a group.
fn window_of(ring: usize) -> std::ops::Range<usize> {
    // A flash often covers the middle rings of the pupil whole: all of it shares one level.
    if ring < BORDER_RINGS.start {
        0..BORDER_RINGS.start
    } else if ring < PUPIL_RINGS {
        BORDER_RINGS.start..PUPIL_RINGS
    } else {
        ring.saturating_sub(REACH).max(PUPIL_RINGS)..(ring + STEP + REACH).min(RINGS)
    }
}

fn of_rings(mut groups: Vec<Option<RingLevel>>) -> Vec<RingLevel> {
    // Where a light covers a ring whole, the level is that of the nearest ring that is seen.
    for group in 1..groups.len() {
        groups[group] = groups[group].or(groups[group - 1]);
    }
    for group in (1..groups.len()).rev() {
        groups[group - 1] = groups[group - 1].or(groups[group]);
    }
    let levels = groups.into_iter().map(Option::unwrap_or_default);
    let mut levels: Vec<RingLevel> = levels.flat_map(|level| [level; STEP]).collect();
    // A pupil that is as bright as the iris lies under a light whole.
    let brightest = (0.8 * levels[BORDER_RINGS.end + STEP].light[0]).clamp(15.0, 70.0);
    for level in &mut levels[..BORDER_RINGS.start] {
        if level.light[0] > brightest {
            level.light = [brightest, 0.0, 0.0];
        }
    }
    levels
}

/// None when hardly anything of the rings is seen.
fn ring_level(unwrapped: &Unwrapped, rings: std::ops::Range<usize>) -> Option<RingLevel> {
    const LEAST_PLACES: usize = 60;
    let places = (index(rings.start, 0)..index(rings.end, 0)).step_by(5);
    let visible: Vec<usize> = places
        .filter(|&at| unwrapped.visible[at] && !is_burnt(unwrapped.colours[at]))
        .collect();
    if visible.len() < LEAST_PLACES {
        return None;
    }
    let directions = directions();
    let towards = visible.iter().map(|&at| directions[at % ANGLES]);
    let (cosines, sines): (Vec<f32>, Vec<f32>) = towards.unzip();
    let colours: Vec<[f32; 3]> = visible.iter().map(|&at| unwrapped.colours[at]).collect();
    let along = |values: &[f32]| light_and_spread(values, &cosines, &sines);
    let (light, spread) = along(&values(&colours, |colour| colour[0]));
    let (least, least_spread) = along(&values(&colours, least_of));
    Some(RingLevel {
        light,
        spread,
        saturation: percentile(&values(&colours, saturation_of), 0.5),
        warmth: percentile(&values(&colours, warmth_of), 0.5),
        least,
        least_spread,
    })
}

fn values(colours: &[[f32; 3]], value: impl Fn([f32; 3]) -> f32) -> Vec<f32> {
    colours.iter().copied().map(value).collect()
}

/// How bright the places are without highlights, and how far dark ones lie below that.
fn light_and_spread(values: &[f32], cosines: &[f32], sines: &[f32]) -> ([f32; 3], f32) {
    let mut light = light_across(values, cosines, sines);
    let mut residuals = vec![0.0; values.len()];
    subtract_light(values, cosines, sines, light, &mut residuals);
    let Some(residuals) = Counted::of(&residuals) else {
        return (light, 5.0);
    };
    let middle = residuals.percentile(0.4);
    light[0] += middle;
    let spread = middle - residuals.percentile(0.14);
    (light, spread.clamp(5.0, 30.0))
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn subtract_light(
    values: &[f32],
    cosines: &[f32],
    sines: &[f32],
    light: [f32; 3],
    residuals: &mut [f32],
) {
    let places = values.iter().zip(cosines).zip(sines);
    for (residual, ((value, cos), sin)) in residuals.iter_mut().zip(places) {
        *residual = value - across(light, (*cos, *sin));
    }
}

/// Fits constant, cosine and sine to values, leaving out what lies well above (highlights) or far below
/// (lashes) the last fit.
fn light_across(values: &[f32], cosines: &[f32], sines: &[f32]) -> [f32; 3] {
    const ROUNDS: usize = 4;
    let Some(counted) = Counted::of(values) else {
        return [0.0; 3];
    };
    let middle = counted.percentile(0.4);
    let reach = (middle - counted.percentile(0.14)).clamp(6.0, 30.0);
    let mut light = [middle, 0.0, 0.0];
    for _round in 0..ROUNDS {
        let mut fit = Fit::default();
        fit.add_near(values, cosines, sines, (light, reach));
        let steepest = 0.4 * middle;
        let before = light;
        light = match fit.solve() {
            Some([mean, cos, sin]) if cos.hypot(sin) <= steepest => [mean, cos, sin],
            _ => return light,
        };
        if light == before {
            break;
        }
    }
    light
}

/// Least squares for a constant, a cosine and a sine by the normal equations: for each of some lanes the count, the
/// sums of cosines and sines, of their squares, and of both multiplied; then those of the values, and of
/// them times cosines and sines.
#[derive(Default)]
struct Fit([[f64; LANES]; SUMS]);

const LANES: usize = 4;
const SUMS: usize = 9;

impl Fit {
    /// Adds the values that lie near a light.
    fn add_near(
        &mut self,
        values: &[f32],
        cosines: &[f32],
        sines: &[f32],
        light_and_reach: ([f32; 3], f32),
    ) {
        let (values, last_values) = values.as_chunks::<LANES>();
        let (cosines, last_cosines) = cosines.as_chunks::<LANES>();
        let (sines, last_sines) = sines.as_chunks::<LANES>();
        add_near(values, cosines, sines, light_and_reach, &mut self.0);
        // The last few, beside values so far off that they do not count.
        let padded = |last: &[f32], with: f32| {
            let mut lanes = [with; LANES];
            lanes[..last.len()].copy_from_slice(last);
            [lanes]
        };
        add_near(
            &padded(last_values, f32::INFINITY),
            &padded(last_cosines, 0.0),
            &padded(last_sines, 0.0),
            light_and_reach,
            &mut self.0,
        );
    }

    /// `None` when too little of the circle was seen to tell.
    fn solve(&self) -> Option<[f32; 3]> {
        let sums = self.0.map(|lanes| lanes.iter().sum::<f64>());
        let [count, cos, sin, cos_cos, sin_sin, cos_sin, right @ ..] = sums;
        let [a, b, c] = [
            [count, cos, sin],
            [cos, cos_cos, cos_sin],
            [sin, cos_sin, sin_sin],
        ];
        let determinant = dot(a, cross(b, c));
        let scale = a[0] * b[1].max(1e-9) * c[2].max(1e-9);
        if determinant < 0.05 * scale {
            return None;
        }
        // The matrix is symmetric, so its rows are its columns (Cramer's rule).
        let solution = [
            dot(right, cross(b, c)),
            dot(a, cross(right, c)),
            dot(a, cross(b, right)),
        ];
        Some(solution.map(|value| (value / determinant) as f32))
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn add_near(
    values: &[[f32; LANES]],
    cosines: &[[f32; LANES]],
    sines: &[[f32; LANES]],
    light_and_reach: ([f32; 3], f32),
    sums: &mut [[f64; LANES]; SUMS],
) {
    let (light, reach) = light_and_reach;
    let mut all = *sums;
    for ((values, cosines), sines) in values.iter().zip(cosines).zip(sines) {
        for lane in 0..LANES {
            let (value, cos, sin) = (values[lane], cosines[lane], sines[lane]);
            let residual = value - across(light, (cos, sin));
            let counts = residual < 1.5 * reach && residual > -3.0 * reach;
            let weight = if counts { 1.0 } else { 0.0 };
            let value = if counts { f64::from(value) } else { 0.0 };
            let (cos, sin) = (f64::from(cos), f64::from(sin));
            all[0][lane] += weight;
            all[1][lane] += weight * cos;
            all[2][lane] += weight * sin;
            all[3][lane] += weight * cos * cos;
            all[4][lane] += weight * sin * sin;
            all[5][lane] += weight * cos * sin;
            all[6][lane] += value;
            all[7][lane] += value * cos;
            all[8][lane] += value * sin;
        }
    }
    *sums = all;
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[cfg(test)]
mod tests {
    use super::light_across;
    use crate::reflections::unwrap::directions;

    #[test]
    fn the_light_across_a_ring_is_found_beside_highlights_and_lashes() {
        let (cosines, sines): (Vec<f32>, Vec<f32>) = directions().iter().copied().unzip();
        let places = cosines.iter().zip(&sines).enumerate();
        let values = places.map(|(angle, (cos, sin))| match angle % 16 {
            0 => 250.0,
            7 => 4.0,
            _ => 100.0 + 12.0 * cos - 7.0 * sin + (angle % 5) as f32 - 2.0,
        });
        // Not a whole number of lanes.
        let values: Vec<f32> = values.take(1022).collect();
        let light = light_across(&values, &cosines[..1022], &sines[..1022]);
        for (found, expected) in light.iter().zip([100.0, 12.0, -7.0]) {
            assert!((found - expected).abs() < 0.3, "{light:?}");
        }
    }
}
