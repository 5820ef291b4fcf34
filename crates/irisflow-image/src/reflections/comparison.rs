//! How badly tiles from many angles continue what is shown.
//!
//! Of the angles that are tried first every fourth one counts. The texture is kept in that order, so that one place
//! is compared with its sources at all of them at once. [`Tried::mismatch`] is the plain form, of one offset.

use multiversion::multiversion;

use super::quilt::{Offset, TURN_STEP, source_ring};
use super::texture::{Colour, Texture, difference};
use super::unwrap::{ANGLES, RINGS};

/// Angles of a ring that are tried together.
const COUNT: usize = ANGLES / TURN_STEP;
/// Added to the mismatch of a tile that has nothing of what is missing.
const UNCOVERED: f32 = 1500.0;
/// Counted beside the places that are compared, so that few of them do not decide.
const FEW: f32 = 4.0;

/// What a tile is tried with.
pub(super) struct Tried {
    /// Places with what the tile should show there.
    pub(super) context: Vec<(usize, Colour)>,
    /// Places that it should fill.
    pub(super) left: Vec<usize>,
    /// The share of these that it must fill.
    pub(super) least_covered: f32,
}

impl Tried {
    /// How badly a tile continues the context. None when it has little of what is missing, or when the mismatch is
    /// certain to be above `most`.
    pub(super) fn mismatch(&self, texture: &Texture, offset: Offset, most: f32) -> Option<f32> {
        /// Places between two looks at what is certain.
        const BETWEEN_LOOKS: usize = 24;
        let source = |at: usize| offset.source(at).filter(|&from| texture.sources[from]);
        let covered = self.left.iter().filter(|&&at| source(at).is_some()).count();
        let penalty = self.penalty(covered as f32)?;
        let at_most = FEW + self.context.len() as f32;
        let (mut sum, mut count) = (0.0, FEW);
        for context in self.context.chunks(BETWEEN_LOOKS) {
            if sum / at_most + penalty > most {
                return None;
            }
            for &(at, shown) in context {
                if let Some(from) = source(at) {
                    sum += difference(shown, texture.detail(from));
                    count += 1.0;
                }
            }
        }
        Some(sum / count + penalty)
    }

    /// What is added for missing places that are not covered. None when those are too many.
    fn penalty(&self, covered: f32) -> Option<f32> {
        let covered = covered / self.left.len().max(1) as f32;
        (covered >= self.least_covered).then_some(UNCOVERED * (1.0 - covered))
    }
}

/// The detail of every fourth angle of a ring, and 1 where it is fit to be copied, else 0.
struct Row {
    luma: [f32; COUNT],
    cb: [f32; COUNT],
    cr: [f32; COUNT],
    fit: [f32; COUNT],
}

/// The texture in the order of comparison.
pub(super) struct Comparison {
    /// For each ring the angles 0, 4, 8 ..., then 1, 5, 9 ... and so on.
    rows: Vec<Row>,
}

impl Comparison {
    pub(super) fn of(texture: &Texture) -> Self {
        let rows = (0..RINGS).flat_map(|ring| {
            (0..TURN_STEP).map(move |phase| {
                let at = |number: usize| ring * ANGLES + number * TURN_STEP + phase;
                let channel = |channel: usize| {
                    std::array::from_fn(|number| texture.detail(at(number))[channel])
                };
                Row {
                    luma: channel(0),
                    cb: channel(1),
                    cr: channel(2),
                    fit: std::array::from_fn(|number| {
                        f32::from(u8::from(texture.sources[at(number)]))
                    }),
                }
            })
        });
        Self {
            rows: rows.collect(),
        }
    }

    /// The mismatch of each turn with each shift, without those that have too little of what is missing. `turns`
    /// are [`TURN_STEP`] apart.
    pub(super) fn of_turns(
        &self,
        tried: &Tried,
        turns: impl ExactSizeIterator<Item = usize> + Clone,
        shifts: &[i8],
    ) -> Vec<(f32, Offset)> {
        let first = turns.clone().next().unwrap_or_default();
        let count = turns.len();
        let by_shift: Vec<Vec<Option<f32>>> = shifts
            .iter()
            .map(|&shift| self.of_shift(tried, first, count, shift))
            .collect();
        let mut found = Vec::with_capacity(count * shifts.len());
        for (number, turn) in turns.enumerate() {
            for (&shift, mismatches) in shifts.iter().zip(&by_shift) {
                let turn = turn as u16;
                found.extend(mismatches[number].map(|found| (found, Offset { turn, shift })));
            }
        }
        found
    }

    /// The mismatches of `count` turns from the first one on.
    fn of_shift(&self, tried: &Tried, first: usize, count: usize, shift: i8) -> Vec<Option<f32>> {
        let (mut covered, mut counts, mut sums) = ([0.0; COUNT], [FEW; COUNT], [0.0; COUNT]);
        for &at in &tried.left {
            self.each_part(at, first, count, shift, |row, from, to| {
                add(&row.fit[from], &mut covered[to]);
            });
        }
        let penalties = covered[..count].iter();
        let penalties: Vec<_> = penalties.map(|&covered| tried.penalty(covered)).collect();
        if penalties.iter().all(Option::is_none) {
            return penalties;
        }
        for &(at, shown) in &tried.context {
            self.each_part(at, first, count, shift, |row, from, to| {
                add(&row.fit[from.clone()], &mut counts[to.clone()]);
                let detail = [&row.luma, &row.cb, &row.cr, &row.fit];
                let detail = detail.map(|values| &values[from.clone()]);
                add_differences(shown, detail, &mut sums[to]);
            });
        }
        let mismatches = sums.iter().zip(&counts).zip(penalties);
        mismatches
            .map(|((sum, count), penalty)| Some(sum / count + penalty?))
            .collect()
    }

    /// Calls `act` with the row of a place's sources, and which of it belongs to which turns: in two parts where
    /// they go round the first angle.
    fn each_part(
        &self,
        at: usize,
        first: usize,
        count: usize,
        shift: i8,
        mut act: impl FnMut(&Row, std::ops::Range<usize>, std::ops::Range<usize>),
    ) {
        let Some(ring) = source_ring(at / ANGLES, shift) else {
            return;
        };
        let angle = (at + first) % ANGLES;
        let row = &self.rows[ring * TURN_STEP + angle % TURN_STEP];
        let start = angle / TURN_STEP;
        let before = count.min(COUNT - start);
        act(row, start..start + before, 0..before);
        if before < count {
            act(row, 0..count - before, before..count);
        }
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn add(values: &[f32], sums: &mut [f32]) {
    sums.iter_mut()
        .zip(values)
        .for_each(|(sum, value)| *sum += value);
}

/// Adds how much `shown` differs from each detail that is fit to be copied.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn add_differences(shown: Colour, detail: [&[f32]; 4], sums: &mut [f32]) {
    let [luma, cb, cr, fit] = detail;
    let details = luma.iter().zip(cb).zip(cr).zip(fit);
    for (sum, (((luma, cb), cr), fit)) in sums.iter_mut().zip(details) {
        *sum += fit * difference(shown, [*luma, *cb, *cr]);
    }
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Tried};
    use crate::reflections::quilt::{Offset, TURN_STEP};
    use crate::reflections::texture::Texture;
    use crate::reflections::unwrap::{ANGLES, RINGS, index};
    use crate::threads::Threads;

    fn texture() -> Texture {
        let colours: Vec<[f32; 3]> = (0..RINGS * ANGLES)
            .map(|at| {
                let noise = (at * 7919 % 251) as f32 / 10.0;
                [100.0 + noise, 128.0 - noise / 3.0, 120.0 + noise / 5.0]
            })
            .collect();
        let known = (0..colours.len()).map(|at| at % 1709 > 90).collect();
        let typical = vec![true; colours.len()];
        Texture::of(&colours, known, &typical, Threads::default())
    }

    #[test]
    fn all_turns_together_have_the_mismatches_of_each_alone() {
        let texture = texture();
        let places =
            |count: usize| (0..count).map(|number| index(60 + number * 5, number * 31 % ANGLES));
        let tried = Tried {
            context: places(37).map(|at| (at, texture.detail(at + 1))).collect(),
            left: places(20).map(|at| at + 300).collect(),
            least_covered: 0.5,
        };
        let turns = (85..ANGLES - 84).step_by(TURN_STEP);
        let together = Comparison::of(&texture).of_turns(&tried, turns.clone(), &[0, -6, 6]);
        let offsets = turns.flat_map(|turn| {
            let turn = turn as u16;
            [0, -6, 6].map(|shift| Offset { turn, shift })
        });
        let alone: Vec<(f32, Offset)> = offsets
            .filter_map(|offset| {
                let mismatch = tried.mismatch(&texture, offset, f32::INFINITY)?;
                Some((mismatch, offset))
            })
            .collect();
        assert!(alone.len() > 100);
        assert_eq!(together, alone);
    }

    #[test]
    fn a_comparison_ends_early_only_above_the_limit() {
        let texture = texture();
        let context = (0..200).map(|number| index(80 + number % 90, number * 5));
        let tried = Tried {
            context: context.map(|at| (at, texture.detail(at + 3))).collect(),
            left: vec![],
            least_covered: 0.0,
        };
        let offset = Offset {
            turn: 200,
            shift: 3,
        };
        let mismatch = |most| tried.mismatch(&texture, offset, most);
        let found = mismatch(f32::INFINITY).expect("a mismatch");
        assert_eq!(mismatch(found), Some(found));
        assert_eq!(mismatch(found / 10.0), None);
    }
}
