//! Which places of the unwrapped iris are specular highlights.
//!
//! A highlight is brighter than its own ring, not than one number: a soft window on a brown iris is
//! darker than the plain iris of a blue one. Light that lies over the iris also washes its colour
//! out, so a loss of saturation counts for it, and a gain (an orange fleck) against it. Seeds must
//! stand out clearly; from them a region grows to where it fades (hysteresis), and a little beyond,
//! because lenses blur.

use super::unwrap::{ANGLES, IRIS_RINGS, PUPIL_RINGS, RINGS, Rings, Unwrapped, index};

/// How far something must stand out to be a highlight. Levels are on the 8-bit scale.
#[derive(Debug, Clone, Copy)]
pub struct Sensitivity {
    /// Seeds on the iris stand out by at least this many levels ...
    pub iris_seed: f32,
    /// ... and by this many times the spread of their ring.
    pub iris_seed_spreads: f32,
    /// What grows from them stands out by at least this many levels ...
    pub iris_grow: f32,
    /// ... and by this share of the seed.
    pub grow_share: f32,
    pub pupil_seed: f32,
    pub pupil_grow: f32,
    /// Levels per level of lost saturation.
    pub saturation_weight: f32,
    /// How far beyond its visible edge a highlight reaches, in shares of the iris's radius.
    pub halo: f32,
}

impl Default for Sensitivity {
    /// Set by eye on photos of blue, brown and grey irises with windows, flashes and ring lights.
    fn default() -> Self {
        Self {
            iris_seed: 55.0,
            iris_seed_spreads: 4.0,
            iris_grow: 20.0,
            grow_share: 0.28,
            pupil_seed: 30.0,
            pupil_grow: 12.0,
            saturation_weight: 0.8,
            halo: 0.014,
        }
    }
}

/// Rings near the pupil's border hold both pupil and iris when the pupil is not quite round.
const BORDER_RINGS: std::ops::Range<usize> =
    PUPIL_RINGS - PUPIL_RINGS / 6..PUPIL_RINGS + IRIS_RINGS / 20;
/// Beyond this ring a bright place is as likely sclera.
const LAST_SEED_RING: usize = PUPIL_RINGS + IRIS_RINGS * 88 / 100;

pub(super) fn find_highlights(
    unwrapped: &Unwrapped,
    rings: &Rings,
    sensitivity: &Sensitivity,
) -> Vec<bool> {
    let levels = ring_levels(unwrapped);
    let scores = scores(unwrapped, &levels, sensitivity);
    let mut highlights = unwrapped.marked.clone();
    let mut seen = vec![false; scores.len()];
    for start in 0..scores.len() {
        let is_seed = |at: usize| scores[at] > seed_threshold(at, &levels, sensitivity);
        if seen[start] || !is_seed(start) {
            continue;
        }
        let seeds = connected(start, &mut seen, is_seed);
        let peak = seeds.iter().map(|&at| scores[at]).fold(0.0, f32::max);
        let region = grow(seeds, |at| {
            scores[at] > grow_threshold(at, &levels, sensitivity).max(peak * sensitivity.grow_share)
        });
        if !is_sclera(&region) {
            region.iter().for_each(|&at| highlights[at] = true);
        }
    }
    let mut highlights = with_halo(&highlights, rings, sensitivity.halo);
    for (highlight, visible) in highlights.iter_mut().zip(&unwrapped.visible) {
        *highlight &= *visible;
    }
    highlights
}

/// What a ring looks like without highlights.
#[derive(Debug, Clone, Copy)]
struct RingLevel {
    luma: f32,
    /// Distance from the median down to the 16th percentile: upwards there may be highlights.
    spread: f32,
    saturation: f32,
}

fn ring_levels(unwrapped: &Unwrapped) -> Vec<RingLevel> {
    const REACH: usize = 6;
    let window = |ring: usize| {
        let (first, end) = if ring < PUPIL_RINGS {
            (0, PUPIL_RINGS)
        } else {
            (PUPIL_RINGS, RINGS)
        };
        ring.saturating_sub(REACH).max(first)..(ring + REACH + 1).min(end)
    };
    (0..RINGS)
        .map(|ring| ring_level(unwrapped, window(ring)))
        .collect()
}

fn ring_level(unwrapped: &Unwrapped, rings: std::ops::Range<usize>) -> RingLevel {
    let places = index(rings.start, 0)..index(rings.end, 0);
    let visible = places.step_by(3).filter(|&at| unwrapped.visible[at]);
    let (mut luma, mut saturation): (Vec<f32>, Vec<f32>) = visible
        .map(|at| {
            (
                unwrapped.colours[at][0],
                saturation_of(unwrapped.colours[at]),
            )
        })
        .unzip();
    let middle = percentile(&mut luma, 0.45);
    RingLevel {
        luma: middle,
        spread: (middle - percentile(&mut luma, 0.16)).clamp(5.0, 30.0),
        saturation: percentile(&mut saturation, 0.5),
    }
}

fn saturation_of([_, cb, cr]: [f32; 3]) -> f32 {
    (cb - 128.0).hypot(cr - 128.0)
}

fn percentile(values: &mut [f32], share: f32) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let at = ((values.len() - 1) as f32 * share) as usize;
    *values.select_nth_unstable_by(at, f32::total_cmp).1
}

fn scores(unwrapped: &Unwrapped, levels: &[RingLevel], sensitivity: &Sensitivity) -> Vec<f32> {
    let score = |at: usize| {
        if !unwrapped.visible[at] {
            return f32::NEG_INFINITY;
        }
        let level = levels[at / ANGLES];
        let colour = unwrapped.colours[at];
        let lost = (level.saturation - saturation_of(colour)).clamp(-30.0, 30.0);
        let excess = colour[0] - level.luma;
        if at / ANGLES < BORDER_RINGS.start {
            return excess;
        }
        excess + sensitivity.saturation_weight * lost
    };
    (0..unwrapped.visible.len()).map(score).collect()
}

fn seed_threshold(at: usize, levels: &[RingLevel], sensitivity: &Sensitivity) -> f32 {
    let ring = at / ANGLES;
    if BORDER_RINGS.contains(&ring) || ring > LAST_SEED_RING {
        return f32::INFINITY;
    }
    if ring < PUPIL_RINGS {
        return sensitivity.pupil_seed.max(3.0 * levels[ring].spread);
    }
    sensitivity
        .iris_seed
        .max(sensitivity.iris_seed_spreads * levels[ring].spread)
}

fn grow_threshold(at: usize, levels: &[RingLevel], sensitivity: &Sensitivity) -> f32 {
    let ring = at / ANGLES;
    if ring < BORDER_RINGS.start {
        return sensitivity.pupil_grow.max(1.5 * levels[ring].spread);
    }
    let on_border = if BORDER_RINGS.contains(&ring) {
        2.0
    } else {
        1.0
    };
    on_border * sensitivity.iris_grow.max(1.5 * levels[ring].spread)
}

/// A region that lies nearly all at the limbus is sclera inside a slightly large limbus.
fn is_sclera(region: &[usize]) -> bool {
    let outer = region
        .iter()
        .filter(|&&at| at / ANGLES > LAST_SEED_RING)
        .count();
    outer * 10 > region.len() * 7
}

fn connected(start: usize, seen: &mut [bool], belongs: impl Fn(usize) -> bool) -> Vec<usize> {
    seen[start] = true;
    let mut region = vec![start];
    let mut next = 0;
    while let Some(&at) = region.get(next) {
        next += 1;
        for neighbour in neighbours(at) {
            if !seen[neighbour] && belongs(neighbour) {
                seen[neighbour] = true;
                region.push(neighbour);
            }
        }
    }
    region
}

fn grow(seeds: Vec<usize>, belongs: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut inside = vec![false; RINGS * ANGLES];
    seeds.iter().for_each(|&at| inside[at] = true);
    let mut region = seeds;
    let mut next = 0;
    while let Some(&at) = region.get(next) {
        next += 1;
        for neighbour in neighbours(at) {
            if !inside[neighbour] && belongs(neighbour) {
                inside[neighbour] = true;
                region.push(neighbour);
            }
        }
    }
    region
}

/// The places beside, within and without.
pub(super) fn neighbours(at: usize) -> impl Iterator<Item = usize> {
    let (ring, angle) = (at / ANGLES, at % ANGLES);
    let beside = [
        index(ring, (angle + 1) % ANGLES),
        index(ring, (angle + ANGLES - 1) % ANGLES),
    ];
    let within = (ring > 0).then(|| at - ANGLES);
    let without = (ring + 1 < RINGS).then(|| at + ANGLES);
    beside.into_iter().chain(within).chain(without)
}

/// Widens highlights by `halo` (in shares of the iris's radius) in all directions.
fn with_halo(highlights: &[bool], rings: &Rings, halo: f32) -> Vec<bool> {
    let mut wide = highlights.to_vec();
    for at in (0..highlights.len()).filter(|&at| highlights[at]) {
        let (ring, angle) = (at / ANGLES, at % ANGLES);
        let reach = (halo / rings.ring_step(ring)).ceil() as usize;
        for ring in ring.saturating_sub(reach)..=(ring + reach).min(RINGS - 1) {
            wide[index(ring, angle)] = true;
        }
    }
    let narrow = wide.clone();
    for at in (0..narrow.len()).filter(|&at| narrow[at]) {
        let (ring, angle) = (at / ANGLES, at % ANGLES);
        let step = rings.radius(ring as f32) * std::f32::consts::TAU / ANGLES as f32;
        let reach = ((halo / step).ceil() as usize).min(ANGLES / 2);
        for turn in ANGLES - reach..=ANGLES + reach {
            wide[index(ring, (angle + turn) % ANGLES)] = true;
        }
    }
    wide
}
