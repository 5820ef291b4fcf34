//! Which places of the unwrapped iris are specular highlights.
//!
//! A highlight is brighter than its own ring, not than one number: a soft window on a brown iris is
//! darker than the plain iris of a blue one. Light that lies over the iris also washes its colour
//! out, so a loss of saturation counts for it, and a gain (an orange fleck) against it. Mirrored light is
//! nearly white, so it raises the least of red, green and blue, which pigment and fibres of a coloured iris
//! leave low (the dark channel of He, Sun, Tang: Single Image Haze Removal, 2009). Seeds must stand out
//! clearly; from them a region grows to where it fades (hysteresis). Lashes that are mirrored in a light
//! comb its edge: what lies between the teeth belongs to it. In the end it grows as far beyond as the
//! measured brightness around it shows that the lens has spread it.

use multiversion::multiversion;

use super::levels::{RingLevel, is_burnt, least_of, saturation_of, warmth_of};
use super::marks::Marks;
use super::percentile::Counted;
use super::regions::regions;
use super::unwrap::{
    ANGLES, BORDER_RINGS, IRIS_RINGS, PUPIL_RINGS, RINGS, Rings, Unwrapped, for_places, index,
};
use crate::threads::Threads;

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
    /// Levels per level of orange that the ring does not have.
    pub pigment_weight: f32,
    /// Gaps up to twice this wide inside a highlight belong to it: lashes are mirrored there.
    pub bridge: f32,
    /// The same for large highlights, which mirror whole combs of lashes.
    pub comb_bridge: f32,
    /// How far beyond its visible edge a highlight reaches, in shares of the iris's radius.
    pub halo: f32,
}

impl Default for Sensitivity {
    /// Set by eye on photos of blue, brown and grey irises with windows, flashes and ring lights.
    fn default() -> Self {
        Self {
            iris_seed: 58.0,
            iris_seed_spreads: 4.0,
            iris_grow: 20.0,
            grow_share: 0.25,
            pupil_seed: 30.0,
            pupil_grow: 12.0,
            saturation_weight: 0.8,
            pigment_weight: 1.5,
            bridge: 0.02,
            comb_bridge: 0.07,
            halo: 0.014,
        }
    }
}

/// Beyond this ring a bright place is as likely sclera.
const LAST_SEED_RING: usize = PUPIL_RINGS + IRIS_RINGS * 88 / 100;

/// What detection found, place by place.
pub(super) struct Found {
    pub(super) highlights: Vec<bool>,
    /// Iris like the rest of its ring: fit to stand in for others. Lid skin that segmentation took
    /// for iris is not, nor are flecks.
    pub(super) typical: Vec<bool>,
}

pub(super) fn find_highlights(
    unwrapped: &Unwrapped,
    levels: &[RingLevel],
    rings: &Rings,
    sensitivity: &Sensitivity,
    threads: Threads,
) -> Found {
    let iris = IrisTone::of(unwrapped);
    let scores = scores(unwrapped, levels, iris, sensitivity, threads);
    let mut highlights = unwrapped.marked.clone();
    let mut seen = vec![false; scores.len()];
    let mut growth = Growth::new();
    for start in 0..scores.len() {
        let is_seed = |at: usize| scores[at] > seed_threshold(at, levels, sensitivity);
        if seen[start] || !is_seed(start) {
            continue;
        }
        let seeds = connected(start, &mut seen, is_seed);
        if highlights[start] {
            continue; // A brighter neighbour's region has taken it in.
        }
        let peak = Peak::of(&seeds, unwrapped, &scores);
        let base = if start / ANGLES < PUPIL_RINGS {
            0.0
        } else {
            iris.middle
        };
        let dimmest = base + (peak.luma - base) * sensitivity.grow_share;
        let region = growth.grow(seeds, |at| {
            let least = grow_threshold(at, levels, sensitivity);
            scores[at] > least.max(peak.score * sensitivity.grow_share)
                && unwrapped.colours[at][0] > dimmest
        });
        if !is_sclera(&region) && stands_out(&region, &peak, iris, rings) {
            region.iter().for_each(|&at| highlights[at] = true);
        }
    }
    let pieces = closed(&highlights, rings, 1.5 * sensitivity.bridge);
    let large = large_bright_regions(&pieces, unwrapped, rings);
    let near = with_halo(&large, rings, sensitivity.comb_bridge);
    add_comb(
        &mut highlights,
        &near,
        unwrapped,
        (&scores, levels),
        sensitivity,
    );
    let (combed, bridged) = threads.both(
        || closed(&large, rings, sensitivity.comb_bridge),
        || closed(&highlights, rings, sensitivity.bridge),
    );
    let whole: Vec<bool> = bridged.iter().zip(combed).map(|(a, b)| *a || b).collect();
    let halo = sensitivity.halo + 2.5 * rings.pixel();
    let mut highlights = with_skirt(&with_halo(&whole, rings, halo), unwrapped, levels, rings);
    for (highlight, visible) in highlights.iter_mut().zip(&unwrapped.visible) {
        *highlight &= *visible;
    }
    Found {
        highlights,
        typical: typical_places(unwrapped, levels, threads),
    }
}

/// Fills gaps of up to twice `reach`: widens, then narrows again.
pub(super) fn closed(places: &[bool], rings: &Rings, reach: f32) -> Vec<bool> {
    if !places.contains(&true) {
        return places.to_vec();
    }
    let around: Vec<bool> = with_halo(places, rings, reach)
        .iter()
        .map(|wide| !wide)
        .collect();
    let around = with_halo(&around, rings, reach);
    around.iter().map(|around| !around).collect()
}

/// Open places with the small visible islands between them: lashes that are mirrored in a light.
pub(super) fn without_islands(open: &[bool], visible: &[bool], rings: &Rings) -> Vec<bool> {
    const ISLAND: f32 = 0.012;
    let mut whole = open.to_vec();
    if !open.contains(&true) {
        return whole;
    }
    let closed = Marks::of(visible).without(&Marks::of(open));
    let regions = regions(&closed).into_iter();
    for island in regions.filter(|region| region.area(rings) < ISLAND) {
        island.places().for_each(|at| whole[at] = true);
    }
    whole
}

/// The highlights that are large and bright enough to mirror lashes.
fn large_bright_regions(highlights: &[bool], unwrapped: &Unwrapped, rings: &Rings) -> Vec<bool> {
    const LARGE: f32 = 0.002;
    const BRIGHT: f32 = 200.0;
    let is_bright = |at: usize| unwrapped.colours[at][0] > BRIGHT;
    let mut large = vec![false; highlights.len()];
    for region in regions(&Marks::of(highlights)) {
        if region.area(rings) > LARGE && region.places().any(is_bright) {
            region.places().for_each(|at| large[at] = true);
        }
    }
    large
}

/// Adds what stands out beside a large highlight, lighter or darker: mirrored lashes cut its edge into pieces.
fn add_comb(
    highlights: &mut [bool],
    near: &[bool],
    unwrapped: &Unwrapped,
    (scores, levels): (&[f32], &[RingLevel]),
    sensitivity: &Sensitivity,
) {
    const DARKER: f32 = 1.6;
    for at in (index(BORDER_RINGS.end, 0)..index(RINGS, 0)).filter(|&at| near[at]) {
        let level = levels[at / ANGLES];
        let excess = unwrapped.colours[at][0] - level.luma(at % ANGLES);
        let is_lash = excess < -DARKER * level.spread;
        let is_light = scores[at] > grow_threshold(at, levels, sensitivity);
        highlights[at] |= is_lash || is_light;
    }
}

/// Widens highlights over the light that the lens has spread around them: shell by shell, while a shell is
/// brighter than what lies further out.
fn with_skirt(
    highlights: &[bool],
    unwrapped: &Unwrapped,
    levels: &[RingLevel],
    rings: &Rings,
) -> Vec<bool> {
    const SHELL: f32 = 0.012;
    const SHELLS: usize = 4;
    const FAINT: f32 = 4.0;
    if !highlights.contains(&true) {
        return highlights.to_vec();
    }
    let mut shells = vec![highlights.to_vec()];
    for shell in 0..SHELLS + 2 {
        shells.push(with_halo(&shells[shell], rings, SHELL));
    }
    let excess = |inner: usize, outer: usize| {
        let (mut sum, mut count) = (0.0, 0.0);
        for at in (index(BORDER_RINGS.end, 0)..index(RINGS, 0)).step_by(3) {
            if shells[outer][at] && !shells[inner][at] && unwrapped.visible[at] {
                let level = levels[at / ANGLES].luma(at % ANGLES);
                sum += (unwrapped.colours[at][0] - level).clamp(-40.0, 60.0);
                count += 1.0;
            }
        }
        sum / f32::max(count, 1.0)
    };
    let ground = excess(SHELLS, SHELLS + 2);
    let reach = (0..SHELLS).find(|&shell| excess(shell, shell + 1) - ground < FAINT);
    shells.swap_remove(reach.unwrap_or(SHELLS))
}

fn typical_places(unwrapped: &Unwrapped, levels: &[RingLevel], threads: Threads) -> Vec<bool> {
    const WARMER: f32 = 16.0;
    let is_typical = |at: usize| {
        let level = levels[at / ANGLES];
        let colour = unwrapped.colours[at];
        let is_warmer = warmth_of(colour) - level.warmth.max(0.0) > WARMER;
        let reach = 5.0 * level.spread;
        unwrapped.visible[at] && !is_warmer && (colour[0] - level.luma(at % ANGLES)).abs() < reach
    };
    for_places(threads, is_typical)
}

/// The luma of the whole visible iris.
#[derive(Debug, Clone, Copy)]
struct IrisTone {
    middle: f32,
    /// The brightest twentieth begins here.
    bright: f32,
}

impl IrisTone {
    fn of(unwrapped: &Unwrapped) -> Self {
        let places = (index(PUPIL_RINGS, 0)..index(RINGS, 0)).step_by(7);
        let visible = places.filter(|&at| unwrapped.visible[at]);
        let lumas: Vec<f32> = visible.map(|at| unwrapped.colours[at][0]).collect();
        let lumas = Counted::of(&lumas);
        let percentile = |share| lumas.as_ref().map_or(0.0, |lumas| lumas.percentile(share));
        Self {
            middle: percentile(0.5),
            bright: percentile(0.95),
        }
    }
}

/// The brightest of a highlight's seeds.
#[derive(Debug, Clone, Copy)]
struct Peak {
    luma: f32,
    score: f32,
}

impl Peak {
    fn of(seeds: &[usize], unwrapped: &Unwrapped, scores: &[f32]) -> Self {
        let most =
            |value: &dyn Fn(usize) -> f32| seeds.iter().map(|&at| value(at)).fold(0.0, f32::max);
        Self {
            luma: most(&|at| unwrapped.colours[at][0]),
            score: most(&|at| scores[at].min(255.0)),
        }
    }
}

/// Light flecks of the iris are small and not much brighter than its other light parts; highlights
/// are nearly white, or far brighter than anything the iris has, or large.
fn stands_out(region: &[usize], peak: &Peak, iris: IrisTone, rings: &Rings) -> bool {
    const NEARLY_WHITE: f32 = 212.0;
    const LARGE: f32 = 0.015;
    let is_on_pupil = region.iter().all(|&at| at / ANGLES < BORDER_RINGS.start);
    is_on_pupil
        || peak.luma > NEARLY_WHITE
        || peak.score > 2.0 * (iris.bright - iris.middle)
        || region
            .iter()
            .map(|&at| rings.area(at / ANGLES))
            .sum::<f32>()
            > LARGE
}

fn scores(
    unwrapped: &Unwrapped,
    levels: &[RingLevel],
    iris: IrisTone,
    sensitivity: &Sensitivity,
    threads: Threads,
) -> Vec<f32> {
    /// An overexposed iris is as white as a light.
    const OVEREXPOSED: f32 = 150.0;

    let score = |at: usize| {
        if !unwrapped.visible[at] {
            return f32::NEG_INFINITY;
        }
        let level = levels[at / ANGLES];
        let colour = unwrapped.colours[at];
        let excess = colour[0] - level.luma(at % ANGLES);
        if at / ANGLES < BORDER_RINGS.start {
            return excess;
        }
        if is_burnt(colour) && iris.middle < OVEREXPOSED {
            return f32::MAX;
        }
        let lost = (level.saturation - saturation_of(colour)).clamp(-30.0, 30.0);
        let pigment = (warmth_of(colour) - level.warmth.max(0.0) - 6.0).clamp(0.0, 50.0);
        let by_luma =
            excess + sensitivity.saturation_weight * lost - sensitivity.pigment_weight * pigment;
        // In the units of luma: what is as clear in its own spread is as clear.
        let unit = seed_threshold_of(level.spread, sensitivity)
            / seed_threshold_of(level.least_spread, sensitivity);
        by_luma.max((least_of(colour) - level.least(at % ANGLES)) * unit)
    };
    for_places(threads, score)
}

fn seed_threshold(at: usize, levels: &[RingLevel], sensitivity: &Sensitivity) -> f32 {
    let ring = at / ANGLES;
    if BORDER_RINGS.contains(&ring) || ring > LAST_SEED_RING {
        return f32::INFINITY;
    }
    if ring < PUPIL_RINGS {
        return sensitivity.pupil_seed.max(3.0 * levels[ring].spread);
    }
    seed_threshold_of(levels[ring].spread, sensitivity)
}

fn seed_threshold_of(spread: f32, sensitivity: &Sensitivity) -> f32 {
    sensitivity
        .iris_seed
        .max(sensitivity.iris_seed_spreads * spread)
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

/// Grows regions one after the other over the same plane of marks.
struct Growth {
    /// The number of the region that reached a place last.
    reached_by: Vec<u32>,
    regions: u32,
}

impl Growth {
    fn new() -> Self {
        Self {
            reached_by: vec![0; RINGS * ANGLES],
            regions: 0,
        }
    }

    fn grow(&mut self, seeds: Vec<usize>, belongs: impl Fn(usize) -> bool) -> Vec<usize> {
        self.regions += 1;
        let number = self.regions;
        seeds.iter().for_each(|&at| self.reached_by[at] = number);
        let mut region = seeds;
        let mut next = 0;
        while let Some(&at) = region.get(next) {
            next += 1;
            for neighbour in neighbours(at) {
                if self.reached_by[neighbour] != number && belongs(neighbour) {
                    self.reached_by[neighbour] = number;
                    region.push(neighbour);
                }
            }
        }
        region
    }
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

/// Widens places by `halo` (in shares of the iris's radius) in all directions.
pub(super) fn with_halo(highlights: &[bool], rings: &Rings, halo: f32) -> Vec<bool> {
    let mut wide = highlights.to_vec();
    if !highlights.contains(&true) || !highlights.contains(&false) {
        return wide;
    }
    // How many rings further each angle is still reached: outwards, then inwards.
    let mut widen = |ring: usize, left: &mut [u8; ANGLES]| {
        let reach = (halo / rings.ring_step(ring)).ceil().min(255.0) as u8;
        let row = index(ring, 0)..index(ring + 1, 0);
        widen_across(&mut wide[row.clone()], &highlights[row], reach, left);
    };
    let mut left = [0; ANGLES];
    (0..RINGS).for_each(|ring| widen(ring, &mut left));
    left.fill(0);
    (0..RINGS).rev().for_each(|ring| widen(ring, &mut left));
    for (ring, row) in wide.chunks_exact_mut(ANGLES).enumerate() {
        let step = rings.radius(ring as f32) * std::f32::consts::TAU / ANGLES as f32;
        widen_round(row, (halo / step).ceil() as usize);
    }
    wide
}

/// Widens `wide` by what earlier rings reach, and takes in what this ring reaches.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn widen_across(wide: &mut [bool], highlights: &[bool], reach: u8, left: &mut [u8; ANGLES]) {
    let marks = wide.iter_mut().zip(highlights);
    for ((wide, &highlight), left) in marks.zip(left) {
        *wide |= *left > 0;
        *left = left
            .saturating_sub(1)
            .max(if highlight { reach } else { 0 });
    }
}

/// Widens what is `true` on a ring by `reach` places both ways: over windows of one place, then of twice as many,
/// and so on.
fn widen_round(row: &mut [bool], reach: usize) {
    if !row.contains(&true) || !row.contains(&false) {
        return;
    }
    let window = 2 * reach + 1;
    if window >= ANGLES {
        row.fill(true);
        return;
    }
    let (mut marks, mut wider) = ([false; 2 * ANGLES], [false; 2 * ANGLES]);
    // The ring twice, from `reach` places before its start on.
    for part in marks.chunks_exact_mut(ANGLES) {
        part[..reach].copy_from_slice(&row[ANGLES - reach..]);
        part[reach..].copy_from_slice(&row[..ANGLES - reach]);
    }
    let mut covered = 1;
    while 2 * covered <= window {
        either(
            &marks[..2 * ANGLES - covered],
            &marks[covered..],
            &mut wider,
        );
        std::mem::swap(&mut marks, &mut wider);
        covered *= 2;
    }
    either(&marks[..ANGLES], &marks[window - covered..], row);
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn either(a: &[bool], b: &[bool], out: &mut [bool]) {
    for (out, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
        *out = *a | *b;
    }
}
