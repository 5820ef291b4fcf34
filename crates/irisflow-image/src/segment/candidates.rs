//! Where an iris might be: dark discs with an edge on their left and on their right.
//!
//! A coarse, scale-free version of Daugman's integro-differential operator (Daugman 1993, "High
//! confidence visual recognition of persons"), evaluated for every centre and radius of a pyramid.
//! Only the left, right and lower arcs count, because the upper lid covers the top of nearly every
//! iris. Both sides must answer: a score is led by its weaker side, which is what separates a disc
//! from a line. Says nothing about eyes; see `evidence.rs`.

use super::float_image::{FloatImage, Gradient};

/// A circle in pixels of the picture that was searched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) cx: f32,
    pub(super) cy: f32,
    pub(super) radius: f32,
    pub(super) score: f32,
}

/// Radii tried on each pyramid level, in pixels of that level: an octave in steps of 12 %.
/// Eight pixels are the least at which a pupil inside can still be told from the iris.
const LEVEL_RADII: [f32; 6] = [8.0, 9.0, 10.1, 11.3, 12.7, 14.3];
/// How many circles of each octave are worth a closer look: small ones are found everywhere, and
/// must not crowd out the few large ones.
const KEPT_PER_LEVEL: usize = 7;
/// Directions of the arcs in degrees, 0 to the right, 90 down.
const RIGHT_ARC: [f32; 9] = [-32.0, -22.0, -12.0, -2.0, 8.0, 18.0, 28.0, 38.0, 48.0];
const LOWER_ARC: [f32; 5] = [66.0, 78.0, 90.0, 102.0, 114.0];
/// An edge of this many local standard deviations per pixel counts fully; stronger ones no more.
const FULL_EDGE: f32 = 0.22;

/// The most iris-like circles of each size, of those with at least `least_radius` pixels.
pub(super) fn find_candidates(luma: &FloatImage, least_radius: f32) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let mut level = luma.clone();
    let mut scale = 1.0;
    while level.width >= 16 && level.height >= 4 && level.width.max(level.height) >= 20 {
        let found = search_level(&level, scale, least_radius);
        candidates.extend(keep_distinct(found, KEPT_PER_LEVEL));
        level = level.halved();
        scale *= 2.0;
    }
    candidates
}

/// Best first; a circle that nearly repeats a better one is dropped.
fn keep_distinct(mut found: Vec<Candidate>, count: usize) -> Vec<Candidate> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in found {
        if kept.len() == count {
            break;
        }
        if !kept.iter().any(|better| nearly_same(better, &candidate)) {
            kept.push(candidate);
        }
    }
    kept
}

fn nearly_same(a: &Candidate, b: &Candidate) -> bool {
    let smaller = a.radius.min(b.radius);
    (a.cx - b.cx).hypot(a.cy - b.cy) < 0.25 * smaller
        && (a.radius - b.radius).abs() < 0.16 * smaller
}

/// Ring samples of one radius as offsets from the centre.
struct Ring {
    right: Vec<Spoke>,
    left: Vec<Spoke>,
    lower: Vec<Spoke>,
    radius: f32,
}

struct Spoke {
    dx: i32,
    dy: i32,
    cos: f32,
    sin: f32,
}

impl Ring {
    fn new(radius: f32) -> Self {
        let spoke = |degrees: f32| {
            let (sin, cos) = degrees.to_radians().sin_cos();
            Spoke {
                dx: (radius * cos).round() as i32,
                dy: (radius * sin).round() as i32,
                cos,
                sin,
            }
        };
        Self {
            right: RIGHT_ARC.map(spoke).into(),
            left: RIGHT_ARC.map(|degrees| spoke(180.0 - degrees)).into(),
            lower: LOWER_ARC.map(spoke).into(),
            radius,
        }
    }
}

fn search_level(level: &FloatImage, scale: f32, least_radius: f32) -> Vec<Candidate> {
    let mut found = Vec::new();
    let radii: Vec<f32> = LEVEL_RADII
        .into_iter()
        .filter(|radius| radius * scale >= least_radius)
        .collect();
    if radii.is_empty() {
        return found;
    }
    let normalised = locally_normalised(level, 18);
    let gradient = Gradient::of(&normalised.box_mean(1));
    let core = normalised.box_mean(2);
    for radius in radii {
        let map = score_map(&gradient, &core, &Ring::new(radius));
        collect_peaks(&map, radius, scale, &mut found);
    }
    found
}

/// Luma as standard deviations from the mean of its surroundings, so that dim and bright photos
/// are searched alike.
fn locally_normalised(level: &FloatImage, window: usize) -> FloatImage {
    /// Sensor noise: contrast below this (luma units) is not amplified.
    const NOISE: f32 = 4.0;
    let mean = level.box_mean(window);
    let squared = FloatImage {
        samples: level.samples.iter().map(|v| v * v).collect(),
        ..*level
    };
    let mean_of_squares = squared.box_mean(window);
    let samples = level
        .samples
        .iter()
        .zip(mean.samples.iter().zip(&mean_of_squares.samples))
        .map(|(value, (mean, square))| {
            let variance = (square - mean * mean).max(0.0);
            (value - mean) / (variance + NOISE * NOISE).sqrt()
        })
        .collect();
    FloatImage { samples, ..*level }
}

fn score_map(gradient: &Gradient, core: &FloatImage, ring: &Ring) -> FloatImage {
    let (width, height) = (core.width, core.height);
    let mut map = FloatImage::filled(width, height, 0.0);
    for y in 0..height {
        for x in 0..width {
            map.samples[y * width + x] = score_at(gradient, core, ring, x as i32, y as i32);
        }
    }
    map
}

fn score_at(gradient: &Gradient, core: &FloatImage, ring: &Ring, x: i32, y: i32) -> f32 {
    let Some(right) = arc_edge(gradient, &ring.right, x, y) else {
        return 0.0;
    };
    if right < 0.2 {
        return 0.0;
    }
    let Some(left) = arc_edge(gradient, &ring.left, x, y) else {
        return 0.0;
    };
    if left < 0.2 {
        return 0.0;
    }
    let lower = arc_edge(gradient, &ring.lower, x, y).unwrap_or(0.0);
    left.min(right)
        + 0.25 * (left + right)
        + 0.2 * lower.max(0.0)
        + 0.2 * dark_core(core, ring.radius, x, y)
}

/// Mean edge strength along an arc, -1 to 1; none when less than half of the arc is in the picture.
fn arc_edge(gradient: &Gradient, arc: &[Spoke], x: i32, y: i32) -> Option<f32> {
    let (width, height) = (gradient.gx.width as i32, gradient.gx.height as i32);
    let mut sum = 0.0;
    let mut count = 0;
    for spoke in arc {
        let (px, py) = (x + spoke.dx, y + spoke.dy);
        if px < 0 || py < 0 || px >= width || py >= height {
            continue;
        }
        let index = (py * width + px) as usize;
        let along = gradient.gx.samples[index] * spoke.cos + gradient.gy.samples[index] * spoke.sin;
        sum += (along / FULL_EDGE).clamp(-1.0, 1.0);
        count += 1;
    }
    (2 * count >= arc.len()).then(|| sum / count as f32)
}

/// How much darker the middle (a pupil) is than its surroundings at six tenths of the radius, 0 to 1.
fn dark_core(core: &FloatImage, radius: f32, x: i32, y: i32) -> f32 {
    let reach = (0.6 * radius).round() as i32;
    let at = |dx: i32, dy: i32| {
        let px = (x + dx).clamp(0, core.width as i32 - 1) as usize;
        let py = (y + dy).clamp(0, core.height as i32 - 1) as usize;
        core.at(px, py)
    };
    let around = (at(reach, 0) + at(-reach, 0) + at(0, reach)) / 3.0;
    (around - at(0, 0)).clamp(0.0, 1.0)
}

fn collect_peaks(map: &FloatImage, radius: f32, scale: f32, found: &mut Vec<Candidate>) {
    /// Both sides at 0.4 without anything else: below this nothing was an eye in any picture.
    const LEAST_SCORE: f32 = 0.6;
    for y in 0..map.height {
        for x in 0..map.width {
            let score = map.at(x, y);
            if score < LEAST_SCORE || !is_peak(map, x, y, score) {
                continue;
            }
            found.push(Candidate {
                cx: (x as f32 + 0.5) * scale,
                cy: (y as f32 + 0.5) * scale,
                radius: radius * scale,
                score,
            });
        }
    }
}

fn is_peak(map: &FloatImage, x: usize, y: usize, score: f32) -> bool {
    let (x0, x1) = (x.saturating_sub(1), (x + 1).min(map.width - 1));
    let (y0, y1) = (y.saturating_sub(1), (y + 1).min(map.height - 1));
    (y0..=y1).all(|py| (x0..=x1).all(|px| map.at(px, py) <= score))
}
