//! Which texture of the same iris continues it where nothing is known: image quilting on the rings.
//!
//! Open places are covered with overlapping tiles (Efros and Freeman, Image Quilting for Texture Synthesis and
//! Transfer, 2001). A tile comes from the angle, among all, and from a few rings further in or out, at which
//! its detail continues best what is known or placed already. Where tiles overlap, they are cut along the
//! path of least difference (dynamic programming). Tiles are neither turned over nor mirrored, so fibres keep
//! their direction. A tile may not repeat what another one shows nearby.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::comparison::{Comparison, Tried};
use super::cuts::Cuts;
use super::marks::{Marks, Window};
use super::regions::{Region, regions};
use super::texture::{Colour, Texture, difference};
use super::unwrap::{ANGLES, PUPIL_RINGS, RINGS, index};

/// The size of tiles, and what is asked of them.
#[derive(Debug)]
struct Scale {
    rings: usize,
    angles: usize,
    /// Share of what is missing in the tile that it must have.
    least_covered: f32,
    /// Rings further out that are tried. Nothing is moved across the border of the pupil.
    shifts: &'static [i8],
}

const SHIFTS: [i8; 5] = [0, -3, 3, -6, 6];
/// Where a light covers rings whole.
const FAR_SHIFTS: [i8; 6] = [-16, 16, -32, 32, -60, 60];

/// Large pieces first, since one piece of iris needs no cut; then what they leave open.
const SCALES: [Scale; 5] = [
    Scale {
        rings: RINGS,
        angles: 320,
        least_covered: 0.88,
        shifts: &[0, -4, 4],
    },
    Scale {
        rings: 96,
        angles: 176,
        least_covered: 0.88,
        shifts: &SHIFTS,
    },
    Scale {
        rings: 56,
        angles: 96,
        least_covered: 0.75,
        shifts: &SHIFTS,
    },
    Scale {
        rings: 32,
        angles: 64,
        least_covered: 0.3,
        shifts: &SHIFTS,
    },
    Scale {
        rings: 32,
        angles: 64,
        least_covered: 0.3,
        shifts: &FAR_SHIFTS,
    },
];
/// What tiles show of the known iris before the first open place.
const LEAD_RINGS: usize = 8;
const LEAD_ANGLES: usize = 14;
/// How far around the open places the known ones are compared.
const CONTEXT_REACH: usize = 7;
/// Angles between those that are tried first.
pub(super) const TURN_STEP: usize = 4;
/// Inside this ring nothing is quilted.
pub(super) const FIRST_RING: usize = PUPIL_RINGS - PUPIL_RINGS / 4;
/// Inside this ring tiles keep their distance from the pupil.
const UNSHIFTED_RING: usize = PUPIL_RINGS + 12;

/// Where the texture of a place comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset {
    /// Angles further round.
    pub(super) turn: u16,
    /// Rings further out.
    pub(super) shift: i8,
}

impl Offset {
    /// The source of a place; none outside the rings.
    pub(super) fn source(self, at: usize) -> Option<usize> {
        let ring = source_ring(at / ANGLES, self.shift)?;
        Some(index(ring, (at + usize::from(self.turn)) % ANGLES))
    }
}

/// The ring that a place has its source on.
pub(super) fn source_ring(ring: usize, shift: i8) -> Option<usize> {
    let from = ring as i64 + i64::from(shift);
    let kept = shift == 0 || ring >= UNSHIFTED_RING && from >= UNSHIFTED_RING as i64;
    (kept && (0..RINGS as i64).contains(&from)).then_some(from as usize)
}

/// What tiles may be taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// The nearest angle that anything is copied from, in columns.
    pub(super) least_turn: usize,
}

/// Chooses a source for every open place for which one is found.
pub(super) fn quilt(texture: &Texture, open: &[bool], rules: Rules) -> Vec<Option<Offset>> {
    let open = Marks::of(open);
    let quilted = open.clone().on_rings(FIRST_RING..RINGS);
    let extents: Vec<Extent> = regions(&quilted).iter().map(Extent::of).collect();
    let context = open.widened(CONTEXT_REACH).and(&Marks::of(&texture.known));
    let mut quilt = Quilt {
        texture,
        rules,
        comparison: Comparison::of(texture),
        left: open.clone(),
        shown: context.clone(),
        offsets: vec![None; RINGS * ANGLES],
        placed: Vec::new(),
        cuts: Cuts::default(),
        open,
        context,
    };
    for scale in &SCALES {
        for extent in &extents {
            quilt.cover(extent, scale);
        }
    }
    quilt.offsets
}

/// The extent of connected open places.
struct Extent {
    first_ring: usize,
    end_ring: usize,
    first_angle: usize,
    columns: usize,
}

impl Extent {
    fn of(region: &Region) -> Self {
        let mut used = [false; ANGLES];
        for run in &region.runs {
            used[run.angles.clone()].fill(true);
        }
        let rings = || region.runs.iter().map(|run| run.ring);
        let (start, gap) = widest_gap(&used);
        Self {
            first_ring: rings().min().unwrap_or(RINGS),
            end_ring: rings().max().unwrap_or(0) + 1,
            first_angle: (start + gap) % ANGLES,
            columns: ANGLES - gap,
        }
    }
}

/// Start and length of the longest run of unused angles.
fn widest_gap(used: &[bool; ANGLES]) -> (usize, usize) {
    let (mut best, mut length) = ((0, 0), 0);
    for at in 0..2 * ANGLES {
        length = if used[at % ANGLES] {
            0
        } else {
            (length + 1).min(ANGLES)
        };
        if length > best.1 {
            best = ((at + 1 + ANGLES - length) % ANGLES, length);
        }
    }
    best
}

struct Quilt<'a> {
    texture: &'a Texture,
    comparison: Comparison,
    open: Marks,
    rules: Rules,
    /// Known places around open ones, which tiles should continue.
    context: Marks,
    /// What is open and has no source yet.
    left: Marks,
    /// The context and what has a source.
    shown: Marks,
    offsets: Vec<Option<Offset>>,
    placed: Vec<(Window, Offset)>,
    cuts: Cuts,
}

impl Quilt<'_> {
    fn cover(&mut self, extent: &Extent, scale: &Scale) {
        let first = extent.first_ring.saturating_sub(LEAD_RINGS).max(FIRST_RING);
        let reach = extent.columns + LEAD_ANGLES;
        for ring in (first..extent.end_ring).step_by(scale.rings / 2) {
            for column in (0..reach).step_by(scale.angles / 2) {
                let window = Window {
                    ring,
                    angle: (extent.first_angle + ANGLES - LEAD_ANGLES + column) % ANGLES,
                    rings: scale.rings,
                    angles: scale.angles,
                };
                self.place(window, scale);
            }
        }
    }

    /// Covers what is open in the window; again with what is left, as long as that helps.
    fn place(&mut self, window: Window, scale: &Scale) {
        const ROUNDS: usize = 2;
        for _ in 0..ROUNDS {
            let left = self.left.places_in(window);
            if left.is_empty() {
                return;
            }
            let Some(offset) = self.best_offset(window, &left, scale) else {
                return;
            };
            self.lay(window, offset);
            self.placed.push((window, offset));
        }
    }

    /// What a place shows so far beside what is broad.
    fn shown(&self, at: usize) -> Option<Colour> {
        if self.context.contains(at) {
            return Some(self.texture.detail(at));
        }
        let source = self.offsets[at]?.source(at)?;
        Some(self.texture.detail(source))
    }

    fn best_offset(&self, window: Window, left: &[usize], scale: &Scale) -> Option<Offset> {
        /// Candidates that are looked at closely.
        const CLOSELY: usize = 16;
        let mut shown = Vec::new();
        self.shown.each_in(window, |row, column, at| {
            if (row * window.angles + column).is_multiple_of(3) {
                shown.push(at);
            }
        });
        let tried = |most_shown: usize, most_left: usize| Tried {
            context: thinned(&shown, most_shown)
                .filter_map(|at| Some((at, self.shown(at)?)))
                .collect(),
            left: thinned(left, most_left).collect(),
            least_covered: scale.least_covered,
        };
        let least = self.rules.least_turn;
        let turns = (least..ANGLES + 1 - least).step_by(TURN_STEP);
        let candidates = (self.comparison).of_turns(&tried(48, 32), turns, scale.shifts);
        let around = self.least_costly(&candidates, window, CLOSELY);
        let around = around.into_iter().flat_map(|offset| {
            (0..TURN_STEP as u16).map(move |more| Offset {
                turn: offset.turn + more,
                ..offset
            })
        });
        let around = around.filter(|offset| usize::from(offset.turn) <= ANGLES - least);
        self.best_of(around, &tried(240, 120), window)
    }

    /// The offset that costs least. The comparison of one ends when it is certain to cost more than another.
    fn best_of(
        &self,
        offsets: impl Iterator<Item = Offset>,
        tried: &Tried,
        window: Window,
    ) -> Option<Offset> {
        let mut most = f32::INFINITY;
        let mut candidates = Vec::new();
        for offset in offsets {
            if let Some(mismatch) = tried.mismatch(self.texture, offset, most) {
                candidates.push((mismatch, offset));
                if mismatch < most {
                    most = most.min(self.cost(mismatch, window, offset));
                }
            }
        }
        self.least_costly(&candidates, window, 1).first().copied()
    }

    /// The `count` offsets that cost least: their mismatch, and what they repeat, which is looked up only where
    /// it can matter.
    fn least_costly(
        &self,
        candidates: &[(f32, Offset)],
        window: Window,
        count: usize,
    ) -> Vec<Offset> {
        // In ascending order as far as needed; the bits of numbers from 0 on have the order of the numbers.
        let keys = candidates.iter().enumerate();
        let keys = keys.map(|(number, (mismatch, _))| Reverse((mismatch.to_bits(), number)));
        let mut keys: BinaryHeap<_> = keys.collect();
        let mut best: Vec<(f32, Offset)> = Vec::with_capacity(count + 1);
        while let Some(Reverse((_, number))) = keys.pop() {
            let (mismatch, offset) = candidates[number];
            if best.len() == count && best[count - 1].0 <= mismatch {
                break;
            }
            let cost = self.cost(mismatch, window, offset);
            let place = best.partition_point(|better| better.0 <= cost);
            best.insert(place, (cost, offset));
            best.truncate(count);
        }
        best.into_iter().map(|(_, offset)| offset).collect()
    }

    fn cost(&self, mismatch: f32, window: Window, offset: Offset) -> f32 {
        const REPEATED: f32 = 600.0;
        mismatch + REPEATED * self.repeats(window, offset)
    }

    /// The largest share of the tile that another tile shows too, from another offset.
    fn repeats(&self, window: Window, offset: Offset) -> f32 {
        let ring = |window: Window, offset: Offset| window.ring as i64 + i64::from(offset.shift);
        let overlap = |&(other, from): &(Window, Offset)| {
            if from == offset {
                return 0.0;
            }
            let turned = (other.angle + usize::from(from.turn) + 2 * ANGLES
                - window.angle
                - usize::from(offset.turn))
                % ANGLES;
            let angles = window
                .angles
                .min(turned + other.angles)
                .saturating_sub(turned)
                + (turned + other.angles)
                    .saturating_sub(ANGLES)
                    .min(window.angles);
            let (here, there) = (ring(window, offset), ring(other, from));
            let end = (here + window.rings as i64).min(there + other.rings as i64);
            let rings = (end - here.max(there)).max(0);
            let smaller = (window.rings * window.angles).min(other.rings * other.angles);
            angles as f32 * rings as f32 / smaller as f32
        };
        self.placed.iter().map(overlap).fold(0.0, f32::max).min(1.0)
    }

    /// Lays a tile over what is open; over other tiles only beyond the best cut.
    fn lay(&mut self, window: Window, offset: Offset) {
        let texture = self.texture;
        let has_source = |at: usize| {
            let source = offset.source(at);
            source.is_some_and(|from| texture.sources[from])
        };
        let mut taken = self.left.places_in(window);
        let mut covered = false;
        (self.open).each_in(window, |_, _, at| covered |= !self.left.contains(at));
        if covered {
            self.cut(window, offset);
            let cuts = &self.cuts;
            self.open.each_in(window, |row, column, at| {
                if !self.left.contains(at) && cuts.is_beyond(row, column) {
                    taken.push(at);
                }
            });
        }
        for at in taken.into_iter().filter(|&at| has_source(at)) {
            self.offsets[at] = Some(offset);
            self.left.remove(at);
            self.shown.insert(at);
        }
    }

    /// Finds the best cuts between a new tile and what is shown.
    fn cut(&mut self, window: Window, offset: Offset) {
        /// Cuts run where both tiles have something to show.
        const FREE: f32 = 1e4;
        let texture = self.texture;
        let source = |at: usize| offset.source(at).filter(|&from| texture.sources[from]);
        let mut cuts = std::mem::take(&mut self.cuts);
        cuts.begin(window.rings, window.angles);
        self.open.each_in(window, |row, column, at| {
            if self.left.contains(at) {
                cuts.set(row, column, FREE);
            } else if let (Some(shown), Some(from)) = (self.shown(at), source(at)) {
                cuts.set(row, column, difference(shown, texture.detail(from)));
            }
        });
        cuts.find();
        self.cuts = cuts;
    }
}

/// At most about `most` of the values, evenly chosen.
fn thinned(values: &[usize], most: usize) -> impl Iterator<Item = usize> {
    let step = values.len().div_ceil(most).max(1);
    values.iter().step_by(step).copied()
}

#[cfg(test)]
mod tests {
    use super::widest_gap;
    use crate::reflections::unwrap::ANGLES;

    #[test]
    fn a_gap_may_go_round_the_first_angle() {
        let mut used = [false; ANGLES];
        used[100..900].fill(true);
        assert_eq!(widest_gap(&used), (900, 224));
    }
}
