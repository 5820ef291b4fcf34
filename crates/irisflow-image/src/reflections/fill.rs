//! What stands in for each highlight: texture of the same rings, and the light that hides the seam.
//!
//! For each region the angle is searched at which the rings continue best along its border; that
//! piece of iris is copied, and the difference along the border is spread smoothly over the region
//! (a membrane: Farbman et al., Coordinates for Instant Image Cloning, 2009, which is Poisson cloning
//! of Pérez et al., 2003, without gradients). Fibres run along the columns, so they stay whole.
//! Regions without such a piece, as in the middle of the pupil, get the membrane alone.

use super::detect::{Found, neighbours};
use super::unwrap::{ANGLES, RINGS, Unwrapped, index, turned};

/// Passes in which a region may borrow what an earlier pass has filled.
const PASSES: usize = 3;
/// Columns between the angles that are tried.
const TURN_STEP: usize = 4;
/// Places per region and border that are compared at most.
const MAX_COMPARED: usize = 500;

/// How every filled place is made.
pub(super) struct Patches {
    /// The angle to copy from, in columns, for filled places that have texture.
    offsets: Vec<Option<u16>>,
    /// What to add, or the colour itself without texture.
    corrections: Vec<[f32; 3]>,
    /// 0 as photographed, 1 filled.
    opacity: Vec<f32>,
    filled: Vec<bool>,
}

/// How one pixel is painted.
pub(super) struct Stroke {
    pub(super) opacity: f32,
    pub(super) offset: Option<f32>,
    /// Per channel.
    pub(super) correction: [f32; 3],
}

impl Patches {
    pub(super) fn reaches(&self, ring: usize, angle: usize) -> bool {
        self.filled[index(ring, angle)]
    }

    /// What to do at a place between rings and angles; `None` leaves it as photographed.
    pub(super) fn stroke(&self, ring: f32, angle: f32) -> Option<Stroke> {
        if ring > RINGS as f32 - 0.5 {
            return None;
        }
        let corners = Corners::around(ring, angle);
        let opacity = corners.mix(|at| self.opacity[at]);
        let nearest = corners.nearest();
        if opacity < 1.0 / 255.0 || !self.filled[nearest] {
            return None;
        }
        Some(Stroke {
            opacity,
            offset: self.offsets[nearest].map(f32::from),
            correction: [0, 1, 2].map(|channel| corners.mix(|at| self.corrections[at][channel])),
        })
    }
}

/// The four places around a point, with bilinear weights.
struct Corners([(usize, f32); 4]);

impl Corners {
    fn around(ring: f32, angle: f32) -> Self {
        let ring = ring.clamp(0.0, RINGS as f32 - 1.0);
        let (ring0, angle0) = (ring.floor(), angle.floor());
        let (fr, fa) = (ring - ring0, angle - angle0);
        let inner = ring0 as usize;
        let outer = (inner + 1).min(RINGS - 1);
        let left = (angle0 as i64).rem_euclid(ANGLES as i64) as usize;
        let right = (left + 1) % ANGLES;
        Self([
            (index(inner, left), (1.0 - fr) * (1.0 - fa)),
            (index(inner, right), (1.0 - fr) * fa),
            (index(outer, left), fr * (1.0 - fa)),
            (index(outer, right), fr * fa),
        ])
    }

    fn mix(&self, value: impl Fn(usize) -> f32) -> f32 {
        self.0.iter().map(|&(at, weight)| value(at) * weight).sum()
    }

    fn nearest(&self) -> usize {
        let heavier = |a: (usize, f32), b: (usize, f32)| if b.1 > a.1 { b } else { a };
        self.0.iter().copied().fold((0, -1.0), heavier).0
    }
}

pub(super) fn choose_patches(unwrapped: &Unwrapped, found: &Found) -> Patches {
    let highlights = &found.highlights;
    let mut work = Work::new(unwrapped, found);
    for _pass in 0..PASSES {
        let regions = work.open_regions();
        if regions.is_empty() {
            break;
        }
        for region in regions {
            work.copy_into(&region);
        }
    }
    for region in work.open_regions() {
        work.stretch_over(&region);
    }
    work.finish(unwrapped, highlights)
}

struct Work {
    /// Colours as far as known, a little smoothed so that noise on a border does not spread.
    smooth: Vec<[f32; 3]>,
    known: Vec<bool>,
    /// Known and fit to stand in for other places.
    sources: Vec<bool>,
    open: Vec<bool>,
    offsets: Vec<Option<u16>>,
    corrections: Vec<[f32; 3]>,
}

impl Work {
    fn new(unwrapped: &Unwrapped, found: &Found) -> Self {
        let highlights = &found.highlights;
        let known: Vec<bool> = (unwrapped.visible.iter().zip(highlights))
            .map(|(visible, highlight)| *visible && !highlight)
            .collect();
        let smooth = smoothed(&unwrapped.colours, &known);
        let sources = known
            .iter()
            .zip(&found.typical)
            .map(|(known, typical)| *known && *typical);
        Self {
            smooth,
            sources: sources.collect(),
            known,
            open: highlights.clone(),
            offsets: vec![None; highlights.len()],
            corrections: vec![[0.0; 3]; highlights.len()],
        }
    }

    fn open_regions(&self) -> Vec<Vec<usize>> {
        let mut seen = vec![false; self.open.len()];
        let mut regions = Vec::new();
        for start in (0..self.open.len()).filter(|&at| self.open[at]) {
            if seen[start] {
                continue;
            }
            seen[start] = true;
            let mut region = vec![start];
            let mut next = 0;
            while let Some(&at) = region.get(next) {
                next += 1;
                for neighbour in neighbours(at) {
                    if self.open[neighbour] && !seen[neighbour] {
                        seen[neighbour] = true;
                        region.push(neighbour);
                    }
                }
            }
            regions.push(region);
        }
        regions
    }

    /// Known places that touch the region.
    fn border_of(&self, region: &[usize]) -> Vec<usize> {
        let mut border: Vec<usize> = region
            .iter()
            .flat_map(|&at| neighbours(at))
            .filter(|&at| self.known[at])
            .collect();
        border.sort_unstable();
        border.dedup();
        border
    }

    /// Fills what of the region has a known counterpart at the best angle.
    fn copy_into(&mut self, region: &[usize]) {
        let border = self.border_of(region);
        let Some(turn) = self.best_turn(region, &border) else {
            return;
        };
        let copied: Vec<usize> = region
            .iter()
            .copied()
            .filter(|&at| self.sources[turned(at, turn)])
            .collect();
        let difference = |work: &Self, at: usize| {
            let source = turned(at, turn);
            work.sources[source].then(|| minus(work.smooth[at], work.smooth[source]))
        };
        let membrane = self.membrane(&copied, |at| difference(self, at));
        let filled: Vec<_> = copied
            .iter()
            .zip(membrane)
            .map(|(&at, added)| self.borrowed(at, turn, added))
            .collect();
        for (at, offset, correction, colour) in filled {
            self.offsets[at] = offset;
            self.corrections[at] = correction;
            self.smooth[at] = colour;
        }
        for at in copied {
            self.known[at] = true;
            self.sources[at] = true;
            self.open[at] = false;
        }
    }

    /// Offset, correction and colour of a place whose source may itself have been filled.
    fn borrowed(
        &self,
        at: usize,
        turn: usize,
        added: [f32; 3],
    ) -> (usize, Option<u16>, [f32; 3], [f32; 3]) {
        let source = turned(at, turn);
        let further = self.offsets[source].map_or(0, usize::from);
        let offset = ((turn + further) % ANGLES) as u16;
        let correction = plus(self.corrections[source], added);
        (
            at,
            Some(offset),
            correction,
            plus(self.smooth[source], added),
        )
    }

    /// Fills the region with the membrane alone.
    fn stretch_over(&mut self, region: &[usize]) {
        let membrane = self.membrane(region, |at| Some(self.smooth[at]));
        for (&at, colour) in region.iter().zip(membrane) {
            self.corrections[at] = colour;
            self.smooth[at] = colour;
        }
        for &at in region {
            self.known[at] = true;
            self.open[at] = false;
        }
    }

    /// The angle at which the rings continue the border best and are known for most of the region.
    fn best_turn(&self, region: &[usize], border: &[usize]) -> Option<usize> {
        let region = thinned(region);
        let border = thinned(border);
        let rate = |turn: usize| {
            self.mismatch(&region, &border, turn)
                .map(|cost| (turn, cost))
        };
        (TURN_STEP..ANGLES)
            .step_by(TURN_STEP)
            .filter_map(rate)
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(turn, _cost)| turn)
    }

    fn mismatch(&self, region: &[usize], border: &[usize], turn: usize) -> Option<f32> {
        let is_known = |at: &&usize| self.sources[turned(**at, turn)];
        let covered = region.iter().filter(is_known).count() as f32 / region.len() as f32;
        let compared = border.iter().filter(is_known).count() as f32;
        if covered < 0.4 || compared * 2.0 < border.len() as f32 {
            return None;
        }
        let (mut sum, mut squares) = ([0.0; 3], 0.0);
        for &at in border.iter().filter(is_known) {
            let difference = minus(self.smooth[at], self.smooth[turned(at, turn)]);
            sum = plus(sum, difference);
            squares += difference.iter().map(|d| d * d).sum::<f32>();
        }
        let count = compared.max(1.0);
        let mean_square: f32 = sum.iter().map(|s| (s / count) * (s / count)).sum();
        // A constant difference is easily hidden and counts a fifth; missing texture counts most.
        let cost = squares / count - 0.8 * mean_square;
        Some(cost + 4000.0 * (1.0 - covered) * (1.0 - covered))
    }

    /// Solves Laplace's equation over `places`, with `fixed` values on the known places around it.
    fn membrane(
        &self,
        places: &[usize],
        fixed: impl Fn(usize) -> Option<[f32; 3]>,
    ) -> Vec<[f32; 3]> {
        let mut number_of = vec![u32::MAX; self.open.len()];
        for (number, &at) in places.iter().enumerate() {
            number_of[at] = number as u32;
        }
        let mut cells: Vec<Cell> = Vec::with_capacity(places.len());
        for &at in places {
            let mut cell = Cell::default();
            for neighbour in neighbours(at) {
                if number_of[neighbour] != u32::MAX {
                    cell.neighbours[usize::from(cell.count)] = number_of[neighbour];
                    cell.count += 1;
                } else if let Some(value) =
                    self.known[neighbour].then(|| fixed(neighbour)).flatten()
                {
                    cell.fixed_sum = plus(cell.fixed_sum, value);
                    cell.fixed_count += 1;
                }
            }
            cells.push(cell);
        }
        relax(&cells)
    }

    fn finish(mut self, unwrapped: &Unwrapped, highlights: &[bool]) -> Patches {
        extend_beyond(&mut self.corrections, highlights);
        Patches {
            opacity: opacity(unwrapped, highlights),
            offsets: self.offsets,
            corrections: self.corrections,
            filled: highlights.to_vec(),
        }
    }
}

/// One unknown of the membrane: its unknown neighbours, and the sum of its fixed ones.
#[derive(Default, Clone)]
struct Cell {
    neighbours: [u32; 4],
    count: u8,
    fixed_sum: [f32; 3],
    fixed_count: u8,
}

/// Starts from values spread inwards from the border, then relaxes (successive over-relaxation).
fn relax(cells: &[Cell]) -> Vec<[f32; 3]> {
    const SWEEPS: usize = 60;
    const OVERSHOOT: f32 = 1.7;
    let mut values = spread_inwards(cells);
    for sweep in 0..SWEEPS {
        for step in 0..cells.len() {
            let number = if sweep % 2 == 0 {
                step
            } else {
                cells.len() - 1 - step
            };
            let cell = &cells[number];
            let total = f32::from(cell.count) + f32::from(cell.fixed_count);
            if total == 0.0 {
                continue;
            }
            let mut sum = cell.fixed_sum;
            for &neighbour in &cell.neighbours[..usize::from(cell.count)] {
                sum = plus(sum, values[neighbour as usize]);
            }
            for channel in 0..3 {
                let old = values[number][channel];
                values[number][channel] = old + OVERSHOOT * (sum[channel] / total - old);
            }
        }
    }
    values
}

fn spread_inwards(cells: &[Cell]) -> Vec<[f32; 3]> {
    let mut values = vec![[0.0; 3]; cells.len()];
    let mut reached = vec![false; cells.len()];
    let mut front: Vec<u32> = Vec::new();
    for (number, cell) in cells
        .iter()
        .enumerate()
        .filter(|(_, cell)| cell.fixed_count > 0)
    {
        values[number] = cell.fixed_sum.map(|sum| sum / f32::from(cell.fixed_count));
        reached[number] = true;
        front.push(number as u32);
    }
    let mut next = 0;
    while let Some(&number) = front.get(next) {
        next += 1;
        let cell = &cells[number as usize];
        for &neighbour in &cell.neighbours[..usize::from(cell.count)] {
            if !reached[neighbour as usize] {
                reached[neighbour as usize] = true;
                values[neighbour as usize] = values[number as usize];
                front.push(neighbour);
            }
        }
    }
    values
}

/// At most [`MAX_COMPARED`] of the places, evenly chosen.
fn thinned(places: &[usize]) -> Vec<usize> {
    let step = places.len().div_ceil(MAX_COMPARED).max(1);
    places.iter().copied().step_by(step).collect()
}

/// Mean over the known places of a 3 x 3 window.
fn smoothed(colours: &[[f32; 3]], known: &[bool]) -> Vec<[f32; 3]> {
    let mean = |at: usize| {
        let (ring, angle) = (at / ANGLES, at % ANGLES);
        let (mut sum, mut count) = ([0.0; 3], 0.0);
        for ring in ring.saturating_sub(1)..=(ring + 1).min(RINGS - 1) {
            for turn in ANGLES - 1..=ANGLES + 1 {
                let at = index(ring, (angle + turn) % ANGLES);
                if known[at] {
                    sum = plus(sum, colours[at]);
                    count += 1.0;
                }
            }
        }
        if count > 0.0 {
            sum.map(|s| s / count)
        } else {
            colours[at]
        }
    };
    (0..colours.len()).map(mean).collect()
}

/// Carries corrections two places beyond their region, for interpolation across its edge.
fn extend_beyond(corrections: &mut [[f32; 3]], highlights: &[bool]) {
    let mut has_value = highlights.to_vec();
    for _ in 0..2 {
        let had_value = has_value.clone();
        for at in (0..had_value.len()).filter(|&at| !had_value[at]) {
            let from: Vec<usize> = neighbours(at).filter(|&n| had_value[n]).collect();
            if from.is_empty() {
                continue;
            }
            let sum = from
                .iter()
                .fold([0.0; 3], |sum, &n| plus(sum, corrections[n]));
            corrections[at] = sum.map(|s| s / from.len() as f32);
            has_value[at] = true;
        }
    }
}

/// 1 inside a highlight, falling to 0 at its edge; towards lids it stays 1.
fn opacity(unwrapped: &Unwrapped, highlights: &[bool]) -> Vec<f32> {
    const REACH: usize = 2;
    let counts = |at: usize| highlights[at] || !unwrapped.visible[at];
    let share_around = |at: usize| {
        let (ring, angle) = (at / ANGLES, at % ANGLES);
        let (mut inside, mut all) = (0.0_f32, 0.0_f32);
        for ring in ring.saturating_sub(REACH)..=(ring + REACH).min(RINGS - 1) {
            for turn in ANGLES - REACH..=ANGLES + REACH {
                all += 1.0;
                inside += f32::from(u8::from(counts(index(ring, (angle + turn) % ANGLES))));
            }
        }
        inside / all
    };
    let fade = |at: usize| {
        if !highlights[at] {
            return 0.0;
        }
        let t = ((share_around(at) - 0.5) / 0.45).clamp(0.0, 1.0);
        t * t * (3.0 - 2.0 * t)
    };
    (0..highlights.len()).map(fade).collect()
}

fn plus(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

fn minus(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}
