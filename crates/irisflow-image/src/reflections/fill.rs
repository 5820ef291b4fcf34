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
    /// The opacity (0 as photographed, 1 filled), then for each channel what to add, or the colour itself
    /// without texture.
    strokes: Vec<[f32; 4]>,
    filled: Vec<bool>,
}

/// How one pixel is painted.
pub(super) struct Stroke {
    pub(super) opacity: f32,
    /// In angles.
    pub(super) offset: Option<u16>,
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
        let nearest = corners.nearest();
        if !self.filled[nearest] {
            return None;
        }
        let [opacity, luma, cb, cr] = corners.mix(&self.strokes);
        (opacity >= 1.0 / 255.0).then(|| Stroke {
            opacity,
            offset: self.offsets[nearest],
            correction: [luma, cb, cr],
        })
    }
}

/// The four places around a point, with bilinear weights.
struct Corners([(usize, f32); 4]);

impl Corners {
    fn around(ring: f32, angle: f32) -> Self {
        let ring = ring.clamp(0.0, RINGS as f32 - 1.0);
        // Never below -1; so far up, rounding towards zero is a floor.
        let angle = angle + ANGLES as f32;
        let (inner, left) = (ring as usize, angle as usize);
        let (fr, fa) = (ring - inner as f32, angle - left as f32);
        let outer = (inner + 1).min(RINGS - 1);
        let (left, right) = (left % ANGLES, (left + 1) % ANGLES);
        Self([
            (index(inner, left), (1.0 - fr) * (1.0 - fa)),
            (index(inner, right), (1.0 - fr) * fa),
            (index(outer, left), fr * (1.0 - fa)),
            (index(outer, right), fr * fa),
        ])
    }

    fn mix(&self, values: &[[f32; 4]]) -> [f32; 4] {
        let mut sum = [0.0; 4];
        for &(at, weight) in &self.0 {
            for (sum, value) in sum.iter_mut().zip(values[at]) {
                *sum += value * weight;
            }
        }
        sum
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
    /// Of the places of a region while its membrane is made.
    number_of: Vec<u32>,
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
            number_of: vec![u32::MAX; highlights.len()],
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
        let membrane = self.membrane(&copied, |work, at| {
            let source = turned(at, turn);
            work.sources[source].then(|| minus(work.smooth[at], work.smooth[source]))
        });
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
        let membrane = self.membrane(region, |work, at| Some(work.smooth[at]));
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
        &mut self,
        places: &[usize],
        fixed: impl Fn(&Self, usize) -> Option<[f32; 3]>,
    ) -> Vec<[f32; 3]> {
        for (number, &at) in places.iter().enumerate() {
            self.number_of[at] = number as u32;
        }
        let cells: Vec<Cell> = places
            .iter()
            .map(|&at| self.cell(at, places.len(), &fixed))
            .collect();
        places.iter().for_each(|&at| self.number_of[at] = u32::MAX);
        relax(&cells)
    }

    fn cell(
        &self,
        at: usize,
        outside: usize,
        fixed: &impl Fn(&Self, usize) -> Option<[f32; 3]>,
    ) -> Cell {
        let mut cell = Cell {
            neighbours: [outside as u32; 4],
            fixed_sum: [0.0; 4],
            fixed_count: 0,
            share: 0.0,
        };
        let mut count = 0;
        for neighbour in neighbours(at) {
            if self.number_of[neighbour] != u32::MAX {
                cell.neighbours[count] = self.number_of[neighbour];
                count += 1;
            } else if let Some([luma, cb, cr]) = self.known[neighbour]
                .then(|| fixed(self, neighbour))
                .flatten()
            {
                cell.fixed_sum = added(cell.fixed_sum, [luma, cb, cr, 0.0]);
                cell.fixed_count += 1;
            }
        }
        cell.share = 1.0 / (count as f32 + f32::from(cell.fixed_count)).max(1.0);
        cell
    }

    fn finish(mut self, unwrapped: &Unwrapped, highlights: &[bool]) -> Patches {
        extend_beyond(&mut self.corrections, highlights);
        let strokes = opacity(unwrapped, highlights)
            .into_iter()
            .zip(self.corrections);
        Patches {
            strokes: strokes
                .map(|(opacity, [luma, cb, cr])| [opacity, luma, cb, cr])
                .collect(),
            offsets: self.offsets,
            filled: highlights.to_vec(),
        }
    }
}

/// One unknown of the membrane. Colours have a fourth lane, which says nothing, so that a register holds one.
struct Cell {
    /// The numbers of its unknown neighbours; that of no cell in place of others.
    neighbours: [u32; 4],
    /// Of its fixed neighbours.
    fixed_sum: [f32; 4],
    fixed_count: u8,
    /// One over the number of all its neighbours.
    share: f32,
}

/// Starts from values spread inwards from the border, then relaxes (successive over-relaxation).
fn relax(cells: &[Cell]) -> Vec<[f32; 3]> {
    const SWEEPS: usize = 60;
    let mut values = spread_inwards(cells);
    for sweep in 0..SWEEPS {
        if sweep % 2 == 0 {
            (0..cells.len()).for_each(|number| relax_one(cells, number, &mut values));
        } else {
            (0..cells.len())
                .rev()
                .for_each(|number| relax_one(cells, number, &mut values));
        }
    }
    values.truncate(cells.len());
    values
        .into_iter()
        .map(|[luma, cb, cr, _]| [luma, cb, cr])
        .collect()
}

#[inline]
fn relax_one(cells: &[Cell], number: usize, values: &mut [[f32; 4]]) {
    const OVERSHOOT: f32 = 1.7;
    let cell = &cells[number];
    let [a, b, c, d] = cell.neighbours.map(|neighbour| values[neighbour as usize]);
    let sum = added(added(cell.fixed_sum, added(a, b)), added(c, d));
    for (value, sum) in values[number].iter_mut().zip(sum) {
        *value += OVERSHOOT * (sum * cell.share - *value);
    }
}

/// A value for each cell, and zero in the end for what is none.
fn spread_inwards(cells: &[Cell]) -> Vec<[f32; 4]> {
    let mut values = vec![[0.0; 4]; cells.len() + 1];
    let mut reached = vec![false; cells.len()];
    let mut front: Vec<u32> = Vec::new();
    let at_border = cells
        .iter()
        .enumerate()
        .filter(|(_, cell)| cell.fixed_count > 0);
    for (number, cell) in at_border {
        values[number] = cell.fixed_sum.map(|sum| sum / f32::from(cell.fixed_count));
        reached[number] = true;
        front.push(number as u32);
    }
    let mut next = 0;
    while let Some(&number) = front.get(next) {
        next += 1;
        for &neighbour in &cells[number as usize].neighbours {
            if let Some(reached) = reached
                .get_mut(neighbour as usize)
                .filter(|reached| !**reached)
            {
                *reached = true;
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
    // Colours and a count, added along each ring and then across three of them.
    let along: Vec<[f32; 4]> = (0..colours.len())
        .map(|at| {
            let (ring, angle) = (at / ANGLES * ANGLES, at % ANGLES);
            let near = [(angle + ANGLES - 1) % ANGLES, angle, (angle + 1) % ANGLES];
            near.iter()
                .map(|angle| ring + angle)
                .fold([0.0; 4], |sum, at| {
                    let [luma, cb, cr] = colours[at];
                    let share = f32::from(u8::from(known[at]));
                    added(sum, [luma * share, cb * share, cr * share, share])
                })
        })
        .collect();
    let mean = |at: usize| {
        let (ring, angle) = (at / ANGLES, at % ANGLES);
        let rings = ring.saturating_sub(1)..=(ring + 1).min(RINGS - 1);
        let [luma, cb, cr, count] =
            rings.fold([0.0; 4], |sum, ring| added(sum, along[index(ring, angle)]));
        if count > 0.0 {
            [luma / count, cb / count, cr / count]
        } else {
            colours[at]
        }
    };
    (0..colours.len()).map(mean).collect()
}

fn added(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
    std::array::from_fn(|lane| a[lane] + b[lane])
}

/// Carries corrections two places beyond their region, for interpolation across its edge.
fn extend_beyond(corrections: &mut [[f32; 3]], highlights: &[bool]) {
    let mut has_value = highlights.to_vec();
    let mut edge: Vec<usize> = (0..highlights.len()).filter(|&at| highlights[at]).collect();
    for _ in 0..2 {
        let mut beyond: Vec<usize> = edge
            .iter()
            .flat_map(|&at| neighbours(at))
            .filter(|&at| !has_value[at])
            .collect();
        beyond.sort_unstable();
        beyond.dedup();
        for &at in &beyond {
            let from = neighbours(at).filter(|&near| has_value[near]);
            let (sum, count) = from.fold(([0.0; 3], 0.0), |(sum, count), near| {
                (plus(sum, corrections[near]), count + 1.0)
            });
            corrections[at] = sum.map(|s| s / count);
        }
        beyond.iter().for_each(|&at| has_value[at] = true);
        edge = beyond;
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
