//! The pupil: its true outline on the rings, and an even, neutral dark disc inside it.
//!
//! The outline is where luma rises from pupil to iris, angle by angle, smoothed by a short Fourier series that
//! leaves out highlights, lashes and outliers. Where no such rise is found, as in a dark brown iris in dim
//! light, the pupil cannot be told from the iris, and stays as photographed.

use std::f32::consts::TAU;

use super::unwrap::{ANGLES, PUPIL_RINGS, Places, Rings, TOGETHER, Unwrapped, index};
use crate::rectified::RectifiedIris;
use crate::threads::Threads;

/// Rings in which the outline is looked for.
const SEARCHED: std::ops::Range<usize> = PUPIL_RINGS - 18..PUPIL_RINGS + 34;
/// Orders of the series: a constant, and cosine and sine of each up to this.
const ORDERS: usize = 5;
const TERMS: usize = 2 * ORDERS + 1;
/// Angles of which one is looked at.
const STEP: usize = 4;
/// The least rise of luma that is an outline.
const LEAST_RISE: f32 = 3.0;
/// Share of the seen angles that must show the outline.
const LEAST_SHOWN: f32 = 0.6;
/// An outline that leaves its mean circle by so many rings is the edge of something else.
const MOST_UNROUND: f32 = 9.0;
/// An angle whose rise lies further off the series, in rings, does not show it.
const OFF: f32 = 5.0;

/// The pupil as it is made even.
#[derive(Debug, Clone)]
pub(super) struct PupilDisc {
    /// The ring of the outline, angle by angle.
    outline: Vec<f32>,
    /// Rings over which luma rises from a quarter to three quarters.
    softness: f32,
    /// Luma of the disc.
    pub(super) luma: f32,
}

impl PupilDisc {
    /// None when pupil and iris cannot be told apart. `open` places are not as photographed.
    pub(super) fn find(unwrapped: &Unwrapped, open: &[bool]) -> Option<Self> {
        let is_seen = |at: usize| unwrapped.visible[at] && !open[at];
        let dark = pupil_luma(unwrapped, &is_seen)?;
        let rises: Vec<(usize, Rise)> = (0..ANGLES)
            .step_by(STEP)
            .filter_map(|angle| Some((angle, Rise::at(unwrapped, angle, dark, &is_seen)?)))
            .collect();
        let shown: Vec<(usize, f32)> = rises
            .iter()
            .filter(|(_, rise)| rise.height >= LEAST_RISE)
            .map(|(angle, rise)| (*angle, rise.ring))
            .collect();
        if rises.len() < ANGLES / STEP / 5 {
            return None;
        }
        let (series, kept) = fit(&shown)?;
        let outline: Vec<f32> = (0..ANGLES).map(|angle| value(&series, angle)).collect();
        let is_round = outline
            .iter()
            .all(|ring| (ring - series[0]).abs() < MOST_UNROUND);
        if (kept as f32) < LEAST_SHOWN * rises.len() as f32 || !is_round {
            return None;
        }
        let mut widths: Vec<f32> = rises.iter().map(|(_, rise)| rise.width).collect();
        Some(Self {
            outline,
            softness: middle(&mut widths).clamp(0.8, 12.0),
            luma: dark.min(14.0),
        })
    }

    /// The pupil as it was fitted, where nearly all of it lies under a light: none of the light may stay.
    pub(super) fn under_light(open: &[bool]) -> Option<Self> {
        const LEAST: f32 = 0.85;
        let inner = &open[..index(PUPIL_RINGS - 6, 0)];
        let covered = inner.iter().filter(|open| **open).count();
        (covered as f32 > LEAST * inner.len() as f32).then(|| Self {
            outline: vec![PUPIL_RINGS as f32; ANGLES],
            softness: 3.0,
            luma: 12.0,
        })
    }

    /// The ring that the disc ends within at every angle.
    fn last_ring(&self) -> f32 {
        self.outline.iter().copied().fold(0.0, f32::max)
    }

    /// Makes the pupil even, dark and without colour.
    pub(super) fn darken(&self, rectified: &mut RectifiedIris, rings: &Rings, threads: Threads) {
        let side = rectified.view.side as usize;
        let luma = rectified.luma.samples.chunks_mut(side).enumerate();
        let luma = luma.map(|(row, luma)| (row, [(luma, self.luma)]));
        self.darken_rows(side, luma, rings, threads);
        let side = rectified.chroma_side() as usize;
        let cb = rectified.cb.samples.chunks_mut(side);
        let cr = rectified.cr.samples.chunks_mut(side);
        let chroma = cb.zip(cr).enumerate();
        let chroma = chroma.map(|(row, (cb, cr))| (row, [(cb, 128.0), (cr, 128.0)]));
        self.darken_rows(side, chroma, rings, threads);
    }

    /// Rows of planes of this side, each with its number, and what the samples of each plane become.
    fn darken_rows<'a, const PLANES: usize>(
        &self,
        side: usize,
        rows: impl Iterator<Item = (usize, [(&'a mut [u8], f32); PLANES])>,
        rings: &Rings,
        threads: Threads,
    ) {
        const ROWS_TOGETHER: usize = 64;
        let (with_pupil, columns) = rings.square_around(self.last_ring() + 1.0, side);
        let mut rows = rows.skip(with_pupil.start).take(with_pupil.len());
        let strips = std::iter::from_fn(|| {
            let strip: Vec<_> = rows.by_ref().take(ROWS_TOGETHER).collect();
            (!strip.is_empty()).then_some(strip)
        });
        threads.map(strips.collect(), |strip: Vec<_>| {
            for (row, planes) in strip {
                self.darken_row((row, columns.clone()), planes, side, rings);
            }
        });
    }

    fn darken_row<const PLANES: usize>(
        &self,
        (row, columns): (usize, std::ops::Range<usize>),
        mut planes: [(&mut [u8], f32); PLANES],
        side: usize,
        rings: &Rings,
    ) {
        let scale = 1.0 / side as f32;
        let v = (row as f32 + 0.5) * scale;
        for first in columns.clone().step_by(TOGETHER) {
            let places = rings.places((first as f32 + 0.5) * scale, scale, v);
            let shares = self.shares(&places);
            let pixels = first..(first + TOGETHER).min(columns.end);
            for (samples, target) in &mut planes {
                for (sample, share) in samples[pixels.clone()].iter_mut().zip(&shares) {
                    let old = f32::from(*sample);
                    *sample = (old + (*target - old) * share + 0.5) as i32 as u8;
                }
            }
        }
    }

    /// How much of each place is disc, 0 to 1.
    fn shares(&self, places: &Places) -> [f32; TOGETHER] {
        std::array::from_fn(|at| {
            let angle = (places.angles[at] + ANGLES as f32) as i32 as usize % ANGLES;
            let inside = self.outline[angle] - places.rings[at];
            // From the middle of the rise to where the photo is as dark as the pupil.
            let t = (inside - 0.35 * self.softness) / (1.5 * self.softness + 1.0);
            let t = t.clamp(0.0, 1.0);
            t * t * (3.0 - 2.0 * t)
        })
    }
}

/// Luma of the dark part of the pupil.
fn pupil_luma(unwrapped: &Unwrapped, is_seen: &impl Fn(usize) -> bool) -> Option<f32> {
    let places = (0..index(PUPIL_RINGS - 12, 0)).step_by(7);
    let mut lumas: Vec<f32> = places
        .filter(|&at| is_seen(at))
        .map(|at| unwrapped.colours[at][0])
        .collect();
    if lumas.len() < 60 {
        return None;
    }
    let at = lumas.len() * 3 / 10;
    Some(*lumas.select_nth_unstable_by(at, f32::total_cmp).1)
}

/// Where luma rises on a ray.
struct Rise {
    /// Where it has risen half-way.
    ring: f32,
    /// From a quarter to three quarters.
    width: f32,
    height: f32,
}

impl Rise {
    /// None where the ray is not seen.
    fn at(
        unwrapped: &Unwrapped,
        angle: usize,
        dark: f32,
        is_seen: &impl Fn(usize) -> bool,
    ) -> Option<Self> {
        let profile: Vec<f32> = SEARCHED
            .map(|ring| {
                let turns = [ANGLES - 2, 0, 2].map(|turn| index(ring, (angle + turn) % ANGLES));
                let seen = turns.iter().all(|&at| is_seen(at));
                let sum: f32 = turns.iter().map(|&at| unwrapped.colours[at][0]).sum();
                seen.then_some(sum / 3.0)
            })
            .collect::<Option<_>>()?;
        let mut beyond = profile[profile.len() / 2..].to_vec();
        let bright = middle(&mut beyond);
        let crossing = |share: f32| {
            let level = dark + share * (bright - dark);
            let at = profile
                .windows(2)
                .position(|pair| pair[0] < level && pair[1] >= level)?;
            let step = (profile[at + 1] - profile[at]).max(1e-3);
            Some(SEARCHED.start as f32 + at as f32 + (level - profile[at]) / step)
        };
        let (quarter, half, most) = (crossing(0.25), crossing(0.5), crossing(0.75));
        Some(match (quarter, half, most) {
            (Some(quarter), Some(half), Some(most)) => Self {
                ring: half,
                width: (most - quarter).max(0.0),
                height: bright - dark,
            },
            _ => Self {
                ring: 0.0,
                width: 0.0,
                height: 0.0,
            },
        })
    }
}

fn basis(angle: usize) -> [f32; TERMS] {
    let angle = (angle as f32 + 0.5) / ANGLES as f32 * TAU;
    std::array::from_fn(|term| {
        let order = term.div_ceil(2) as f32;
        match term {
            0 => 1.0,
            _ if term % 2 == 1 => (order * angle).cos(),
            _ => (order * angle).sin(),
        }
    })
}

fn value(series: &[f32; TERMS], angle: usize) -> f32 {
    let terms = basis(angle);
    series
        .iter()
        .zip(terms)
        .map(|(share, term)| share * term)
        .sum()
}

/// The series through the points, without those far off, and how many agree with it.
fn fit(points: &[(usize, f32)]) -> Option<([f32; TERMS], usize)> {
    const ROUNDS: usize = 4;
    let mut rings: Vec<f32> = points.iter().map(|point| point.1).collect();
    if rings.is_empty() {
        return None;
    }
    let mut series = [0.0; TERMS];
    series[0] = middle(&mut rings);
    let mut reach = 3.0 * OFF;
    for _ in 0..ROUNDS {
        let near: Vec<(usize, f32)> = points
            .iter()
            .copied()
            .filter(|&(angle, ring)| (ring - value(&series, angle)).abs() < reach)
            .collect();
        series = least_squares(&near)?;
        reach = (reach * 0.6).max(OFF);
    }
    let agrees = |&&(angle, ring): &&(usize, f32)| (ring - value(&series, angle)).abs() < OFF;
    Some((series, points.iter().filter(agrees).count()))
}

/// By the normal equations, with a little weight on a plain circle so that gaps do not swing.
fn least_squares(points: &[(usize, f32)]) -> Option<[f32; TERMS]> {
    let mut rows = [[0.0_f64; TERMS + 1]; TERMS];
    for &(angle, ring) in points {
        let terms = basis(angle);
        for (row, &a) in rows.iter_mut().zip(&terms) {
            for (cell, b) in row.iter_mut().zip(terms.iter().chain([&ring])) {
                *cell += f64::from(a) * f64::from(*b);
            }
        }
    }
    for (term, row) in rows.iter_mut().enumerate().skip(1) {
        row[term] += 0.02 * points.len() as f64 * (term.div_ceil(2) as f64).powi(2) + 1e-6;
    }
    solve(rows)
}

/// Gauss's elimination of a symmetric positive matrix with its right side in the last column.
fn solve(mut rows: [[f64; TERMS + 1]; TERMS]) -> Option<[f32; TERMS]> {
    for pivot in 0..TERMS {
        let by = rows[pivot][pivot];
        if by.abs() < 1e-9 {
            return None;
        }
        let top = rows[pivot].map(|cell| cell / by);
        rows[pivot] = top;
        for (_, row) in rows.iter_mut().enumerate().filter(|(row, _)| *row != pivot) {
            let share = row[pivot];
            row.iter_mut()
                .zip(top)
                .for_each(|(cell, top)| *cell -= share * top);
        }
    }
    Some(rows.map(|row| row[TERMS] as f32))
}

fn middle(values: &mut [f32]) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let at = values.len() / 2;
    *values.select_nth_unstable_by(at, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::{fit, value};
    use crate::reflections::unwrap::ANGLES;

    #[test]
    fn an_outline_bridges_a_gap_and_ignores_outliers() {
        let truth = |angle: usize| 48.0 + 3.0 * (angle as f32 / ANGLES as f32 * 12.566).cos();
        let points: Vec<(usize, f32)> = (0..ANGLES)
            .step_by(4)
            .filter(|angle| !(300..420).contains(angle))
            .map(|angle| (angle, if angle % 40 == 0 { 75.0 } else { truth(angle) }))
            .collect();
        let (series, kept) = fit(&points).expect("enough points");
        assert!(kept > 200);
        for angle in (0..ANGLES).step_by(16) {
            let off = value(&series, angle) - truth(angle);
            assert!(off.abs() < 1.2, "{off} at {angle}");
        }
    }
}
