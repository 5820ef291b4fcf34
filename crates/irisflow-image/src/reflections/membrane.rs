//! Solves Poisson's equation over places of the rings by successive over-relaxation.
//!
//! Places are coloured like a chequerboard. Those of one colour have neighbours of the other one only, so that
//! a whole row of them is relaxed at once: for each colour, ring and channel the values lie in turn.

use std::ops::Range;

use multiversion::multiversion;

use super::texture::Colour;
use super::unwrap::ANGLES;

/// Places of one colour on a ring, with one more at both ends: the last and the first one again.
const ROW: usize = ANGLES / 2 + 2;
/// So many places that are not solved for are relaxed with those around them: their values stay 0.
const SHORT_GAP: usize = 8;

/// One unknown: its value is `share` times the sum of `fixed` and of the unknowns beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Equation {
    pub(super) fixed: Colour,
    pub(super) share: f32,
    /// The first guess.
    pub(super) start: Colour,
}

/// The values of the unknowns.
pub(super) struct Membrane {
    first_ring: usize,
    colours: [Rows; 2],
}

/// All places of one colour, a row of zeros before and after the rings.
struct Rows {
    values: [Vec<f32>; 3],
    fixed: [Vec<f32>; 3],
    shares: Vec<f32>,
    /// The parts of rows in which there are unknowns.
    spans: Vec<Range<usize>>,
}

impl Membrane {
    /// Solves the equations of some places in ascending order.
    pub(super) fn solve(equations: &[(usize, Equation)]) -> Self {
        const SWEEPS: usize = 36;
        let ring = |equation: Option<&(usize, Equation)>| equation.map_or(0, |(at, _)| at / ANGLES);
        let first_ring = ring(equations.first());
        let rings = ring(equations.last()) + 1 - first_ring;
        let mut membrane = Self {
            first_ring,
            colours: [Rows::of(rings), Rows::of(rings)],
        };
        for (at, equation) in equations {
            let (colour, place) = membrane.place(*at);
            membrane.colours[colour].set(place, equation);
        }
        for rows in &mut membrane.colours {
            (1..=rings).for_each(|row| rows.close(row));
        }
        for _ in 0..SWEEPS {
            let [first, second] = &mut membrane.colours;
            first.relax(second, first_ring % 2);
            second.relax(first, 1 - first_ring % 2);
        }
        membrane
    }

    /// The value of an unknown.
    pub(super) fn at(&self, at: usize) -> Colour {
        let (colour, place) = self.place(at);
        let rows = &self.colours[colour];
        std::array::from_fn(|channel| rows.values[channel][place])
    }

    /// The colour of a place, and where it lies among those.
    fn place(&self, at: usize) -> (usize, usize) {
        let (ring, angle) = (at / ANGLES, at % ANGLES);
        let row = ring - self.first_ring + 1;
        ((ring + angle) % 2, row * ROW + 1 + angle / 2)
    }
}

impl Rows {
    fn of(rings: usize) -> Self {
        let zeros = || vec![0.0; (rings + 2) * ROW];
        Self {
            values: std::array::from_fn(|_| zeros()),
            fixed: std::array::from_fn(|_| zeros()),
            shares: zeros(),
            spans: Vec::new(),
        }
    }

    fn set(&mut self, place: usize, equation: &Equation) {
        for channel in 0..3 {
            self.values[channel][place] = equation.start[channel];
            self.fixed[channel][place] = equation.fixed[channel];
        }
        self.shares[place] = equation.share;
        match self.spans.last_mut() {
            Some(span) if span.end / ROW == place / ROW && place <= span.end + SHORT_GAP => {
                span.end = place + 1;
            }
            _ => self.spans.push(place..place + 1),
        }
    }

    /// Repeats the first and the last value of a row at its ends.
    fn close(&mut self, row: usize) {
        for values in &mut self.values {
            let row = &mut values[row * ROW..][..ROW];
            row[0] = row[ROW - 2];
            row[ROW - 1] = row[1];
        }
    }

    /// Relaxes all places once. `parity` is that of the angles on an even row counted from the first ring's.
    fn relax(&mut self, others: &Self, parity: usize) {
        for number in 0..self.spans.len() {
            let span = self.spans[number].clone();
            let row = span.start / ROW;
            // Angles of even parity have the other neighbour before them, odd ones after them.
            let is_even = (row - 1 + parity).is_multiple_of(2);
            let shifted = if is_even {
                span.start - 1
            } else {
                span.start + 1
            };
            for channel in 0..3 {
                let others = &others.values[channel];
                let around = [span.start, shifted, span.start - ROW, span.start + ROW];
                relax_span(
                    &mut self.values[channel][span.clone()],
                    &self.fixed[channel][span.clone()],
                    &self.shares[span.clone()],
                    around.map(|start| &others[start..][..span.len()]),
                );
            }
            if span.start % ROW == 1 || span.end % ROW == ROW - 1 {
                self.close(row);
            }
        }
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn relax_span(values: &mut [f32], fixed: &[f32], shares: &[f32], around: [&[f32]; 4]) {
    const OVERSHOOT: f32 = 1.85;
    let [beside, shifted, within, without] = around;
    let equations = values.iter_mut().zip(fixed).zip(shares);
    let around = beside.iter().zip(shifted).zip(within.iter().zip(without));
    for (((value, fixed), share), ((a, b), (c, d))) in equations.zip(around) {
        let sum = (fixed + (a + b)) + (c + d);
        *value += OVERSHOOT * (sum * share - *value);
    }
}

#[cfg(test)]
mod tests {
    use super::{Equation, Membrane};
    use crate::reflections::unwrap::{ANGLES, index};

    /// A patch round the first angle, whose border has the values of a plane: inside it the plane goes on.
    #[test]
    fn a_membrane_goes_on_as_a_plane_between_its_borders() {
        const RINGS: std::ops::Range<usize> = 41..54;
        let angles = || (0..9).chain(ANGLES - 8..ANGLES);
        let plane = |ring: usize, turn: i64| 2.0 * ring as f32 - 3.0 * turn as f32;
        let turn = |angle: usize| (angle + 100) as i64 % ANGLES as i64 - 100;
        let mut equations = Vec::new();
        for ring in RINGS {
            for angle in angles() {
                let around = [(ring, 1), (ring, -1), (ring - 1, 0), (ring + 1, 0)];
                let known = around.map(|(near, step)| {
                    let near_turn = turn(angle) + step;
                    let is_known = !RINGS.contains(&near) || !(-8..9).contains(&near_turn);
                    if is_known {
                        plane(near, near_turn)
                    } else {
                        0.0
                    }
                });
                let equation = Equation {
                    fixed: [known.iter().sum(), 0.0, 1.0],
                    share: 0.25,
                    start: [50.0, 0.0, 0.0],
                };
                equations.push((index(ring, angle), equation));
            }
        }
        let membrane = Membrane::solve(&equations);
        for (at, _) in &equations {
            let [found, zero, positive] = membrane.at(*at);
            let expected = plane(at / ANGLES, turn(at % ANGLES));
            assert!((found - expected).abs() < 1.0, "{found} for {expected}");
            assert!(zero.abs() < 1e-6 && positive > 0.5);
        }
    }
}
