//! Which texture of the same iris continues it where nothing is known: image quilting on the rings.
//!
//! Open places are covered with overlapping tiles (Efros and Freeman, Image Quilting for Texture Synthesis and
//! Transfer, 2001). A tile comes from the angle, among all, and from a few rings further in or out, at which
//! its detail continues best what is known or placed already. Where tiles overlap, they are cut along the
//! path of least difference (dynamic programming). Tiles are neither turned over nor mirrored, so fibres keep
//! their direction. A tile may not repeat what another one shows nearby.

use super::detect::neighbours;
use super::texture::{Colour, Texture, minus, widened};
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
const TURN_STEP: usize = 4;
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
        let ring = at / ANGLES;
        let from = ring as i64 + i64::from(self.shift);
        let kept = self.shift == 0 || ring >= UNSHIFTED_RING && from >= UNSHIFTED_RING as i64;
        (kept && (0..RINGS as i64).contains(&from))
            .then(|| index(from as usize, (at + usize::from(self.turn)) % ANGLES))
    }
}

/// The first place of a tile, and its size.
#[derive(Debug, Clone, Copy)]
struct Window {
    ring: usize,
    angle: usize,
    rings: usize,
    angles: usize,
}

impl Window {
    /// Row, column and place of everything in the tile.
    fn places(self) -> impl Iterator<Item = (usize, usize, usize)> {
        let rings = self.ring..(self.ring + self.rings).min(RINGS);
        rings.flat_map(move |ring| {
            (0..self.angles).map(move |column| {
                let at = index(ring, (self.angle + column) % ANGLES);
                (ring - self.ring, column, at)
            })
        })
    }
}

/// What tiles may be taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// The nearest angle that anything is copied from, in columns.
    pub(super) least_turn: usize,
}

/// Chooses a source for every open place for which one is found.
pub(super) fn quilt(texture: &Texture, open: &[bool], rules: Rules) -> Vec<Option<Offset>> {
    let mut quilt = Quilt {
        texture,
        open,
        rules,
        context: context_of(texture, open),
        offsets: vec![None; open.len()],
        placed: Vec::new(),
    };
    let regions = regions(open);
    for scale in &SCALES {
        for region in &regions {
            quilt.cover(region, scale);
        }
    }
    quilt.offsets
}

/// Known places around open ones.
fn context_of(texture: &Texture, open: &[bool]) -> Vec<bool> {
    let near = widened(open, CONTEXT_REACH);
    let pairs = near.iter().zip(&texture.known);
    pairs.map(|(near, known)| *near && *known).collect()
}

/// The extent of connected open places.
struct Region {
    first_ring: usize,
    end_ring: usize,
    first_angle: usize,
    columns: usize,
}

fn regions(open: &[bool]) -> Vec<Region> {
    let is_open = |at: usize| open[at] && at >= index(FIRST_RING, 0);
    let mut seen = vec![false; open.len()];
    let mut regions = Vec::new();
    for start in index(FIRST_RING, 0)..open.len() {
        if seen[start] || !is_open(start) {
            continue;
        }
        seen[start] = true;
        let mut region = vec![start];
        let mut next = 0;
        while let Some(&at) = region.get(next) {
            next += 1;
            for near in neighbours(at) {
                if is_open(near) && !seen[near] {
                    seen[near] = true;
                    region.push(near);
                }
            }
        }
        regions.push(Region::around(&region));
    }
    regions
}

impl Region {
    fn around(places: &[usize]) -> Self {
        let mut used = [false; ANGLES];
        let (mut first, mut last) = (RINGS, 0);
        for &at in places {
            used[at % ANGLES] = true;
            first = first.min(at / ANGLES);
            last = last.max(at / ANGLES);
        }
        let (start, gap) = widest_gap(&used);
        Self {
            first_ring: first,
            end_ring: last + 1,
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
    open: &'a [bool],
    rules: Rules,
    /// Known places that tiles should continue.
    context: Vec<bool>,
    offsets: Vec<Option<Offset>>,
    placed: Vec<(Window, Offset)>,
}

/// A place with what the tile should show there.
type Context = Vec<(usize, Colour)>;

impl Quilt<'_> {
    fn cover(&mut self, region: &Region, scale: &Scale) {
        let first = region.first_ring.saturating_sub(LEAD_RINGS).max(FIRST_RING);
        let reach = region.columns + LEAD_ANGLES;
        for ring in (first..region.end_ring).step_by(scale.rings / 2) {
            for column in (0..reach).step_by(scale.angles / 2) {
                let window = Window {
                    ring,
                    angle: (region.first_angle + ANGLES - LEAD_ANGLES + column) % ANGLES,
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
            let is_left = |at: usize| self.open[at] && self.offsets[at].is_none();
            let left: Vec<usize> = (window.places())
                .filter_map(|(_, _, at)| is_left(at).then_some(at))
                .collect();
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
        if self.context[at] {
            return Some(self.texture.detail(at));
        }
        let source = self.offsets[at]?.source(at)?;
        Some(self.texture.detail(source))
    }

    fn best_offset(&self, window: Window, left: &[usize], scale: &Scale) -> Option<Offset> {
        /// Candidates that are looked at closely.
        const CLOSELY: usize = 16;
        let context: Context = (window.places().step_by(3))
            .filter_map(|(_, _, at)| Some((at, self.shown(at)?)))
            .collect();
        let rough = (thinned(&context, 48), thinned(left, 32));
        let close = (thinned(&context, 240), thinned(left, 120));
        let least = self.rules.least_turn;
        let mismatch = |offset, tried| self.mismatch(offset, tried, scale.least_covered);
        let candidates = (least..=ANGLES - least)
            .step_by(TURN_STEP)
            .flat_map(|turn| {
                let turn = turn as u16;
                scale
                    .shifts
                    .iter()
                    .map(move |&shift| Offset { turn, shift })
            })
            .filter_map(|offset| Some((mismatch(offset, &rough)?, offset)));
        let around = self.least_costly(candidates.collect(), window, CLOSELY);
        let around = around.into_iter().flat_map(|offset| {
            (0..TURN_STEP as u16).map(move |more| Offset {
                turn: offset.turn + more,
                ..offset
            })
        });
        let candidates = around
            .filter(|offset| usize::from(offset.turn) <= ANGLES - least)
            .filter_map(|offset| Some((mismatch(offset, &close)?, offset)));
        self.least_costly(candidates.collect(), window, 1)
            .first()
            .copied()
    }

    /// The `count` offsets that cost least: their mismatch, and what they repeat, which is looked up only where
    /// it can matter.
    fn least_costly(
        &self,
        mut candidates: Vec<(f32, Offset)>,
        window: Window,
        count: usize,
    ) -> Vec<Offset> {
        const REPEATED: f32 = 600.0;
        candidates.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut best: Vec<(f32, Offset)> = Vec::with_capacity(count + 1);
        for (mismatch, offset) in candidates {
            if best.len() == count && best[count - 1].0 <= mismatch {
                break;
            }
            let cost = mismatch + REPEATED * self.repeats(window, offset);
            let place = best.partition_point(|better| better.0 <= cost);
            best.insert(place, (cost, offset));
            best.truncate(count);
        }
        best.into_iter().map(|(_, offset)| offset).collect()
    }

    /// How badly a tile continues the context. None when it has little of what is missing.
    fn mismatch(
        &self,
        offset: Offset,
        tried: &(Context, Vec<usize>),
        least_covered: f32,
    ) -> Option<f32> {
        const UNCOVERED: f32 = 1500.0;
        let (context, left) = tried;
        let source = |at: usize| offset.source(at).filter(|&from| self.texture.sources[from]);
        let covered = left.iter().filter(|&&at| source(at).is_some()).count();
        let covered = covered as f32 / left.len().max(1) as f32;
        if covered < least_covered {
            return None;
        }
        let (mut sum, mut count) = (0.0, 4.0);
        for (at, shown) in context {
            if let Some(from) = source(*at) {
                let [l, cb, cr] = minus(*shown, self.texture.detail(from));
                sum += l * l + 0.5 * (cb * cb + cr * cr);
                count += 1.0;
            }
        }
        Some(sum / count + UNCOVERED * (1.0 - covered))
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
        /// Cuts run where both tiles have something to show.
        const FREE: f32 = 1e4;
        let mut differences = vec![vec![0.0; window.angles]; window.rings];
        let texture = self.texture;
        let source = |at: usize| offset.source(at).filter(|&from| texture.sources[from]);
        for (row, column, at) in window.places() {
            if !self.open[at] {
                continue;
            }
            if self.offsets[at].is_none() {
                differences[row][column] = FREE;
                continue;
            }
            if let (Some(shown), Some(from)) = (self.shown(at), source(at)) {
                let [l, cb, cr] = minus(shown, texture.detail(from));
                differences[row][column] = l * l + 0.5 * (cb * cb + cr * cr);
            }
        }
        let down = cut_down(&differences);
        let across = cut_across(&differences);
        for (row, column, at) in window.places() {
            let is_beyond = column >= down[row] && row >= across[column];
            let is_free = self.offsets[at].is_none() || is_beyond;
            if self.open[at] && is_free && source(at).is_some() {
                self.offsets[at] = Some(offset);
            }
        }
    }
}

/// For each row the column from which on the new tile shows: the cheapest path from top to bottom through the
/// left half.
fn cut_down(differences: &[Vec<f32>]) -> Vec<usize> {
    let width = differences[0].len() / 2;
    let rows: Vec<&[f32]> = differences.iter().map(|row| &row[..width]).collect();
    cheapest_path(&rows)
}

/// For each column the row from which on the new tile shows.
fn cut_across(differences: &[Vec<f32>]) -> Vec<usize> {
    let height = differences.len() / 2;
    let column = |column: usize| -> Vec<f32> {
        differences[..height]
            .iter()
            .map(|row| row[column])
            .collect()
    };
    let columns: Vec<Vec<f32>> = (0..differences[0].len()).map(column).collect();
    let rows: Vec<&[f32]> = columns.iter().map(|column| &column[..]).collect();
    cheapest_path(&rows)
}

/// The cheapest path through rows of costs, one place to the side per row at most.
fn cheapest_path(rows: &[&[f32]]) -> Vec<usize> {
    let mut path = vec![0; rows.len()];
    let width = rows[0].len();
    let mut costs: Vec<Vec<f32>> = vec![rows[0].to_vec()];
    for row in &rows[1..] {
        let above = &costs[costs.len() - 1];
        let cheapest = |at: usize| {
            let near = at.saturating_sub(1)..=(at + 1).min(width - 1);
            near.map(|near| above[near]).fold(f32::INFINITY, f32::min)
        };
        costs.push((0..width).map(|at| row[at] + cheapest(at)).collect());
    }
    let least = |costs: &[f32], near: std::ops::RangeInclusive<usize>| {
        near.min_by(|&a, &b| costs[a].total_cmp(&costs[b]))
            .unwrap_or(0)
    };
    let mut at = least(&costs[costs.len() - 1], 0..=width - 1);
    for (place, costs) in path.iter_mut().zip(&costs).rev() {
        at = least(costs, at.saturating_sub(1)..=(at + 1).min(width - 1));
        *place = at;
    }
    path
}

/// At most about `most` of the values, evenly chosen.
fn thinned<T: Clone>(values: &[T], most: usize) -> Vec<T> {
    let step = values.len().div_ceil(most).max(1);
    values.iter().step_by(step).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::{cheapest_path, widest_gap};
    use crate::reflections::unwrap::ANGLES;

    #[test]
    fn a_cut_follows_the_valley() {
        let rows: [&[f32]; 3] = [&[9.0, 1.0, 9.0], &[9.0, 9.0, 1.0], &[9.0, 1.0, 9.0]];
        assert_eq!(cheapest_path(&rows), [1, 2, 1]);
    }

    #[test]
    fn a_gap_may_go_round_the_first_angle() {
        let mut used = [false; ANGLES];
        used[100..900].fill(true);
        assert_eq!(widest_gap(&used), (900, 224));
    }
}
