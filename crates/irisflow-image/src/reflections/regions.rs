//! Which marked places are connected: round a ring and across rings, by runs of marks.

use std::ops::Range;

use super::marks::Marks;
use super::unwrap::{ANGLES, RINGS, Rings, index};

/// Connected places, in the order of their places.
pub(super) struct Region {
    pub(super) runs: Vec<Run>,
}

/// Places in turn on one ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) ring: usize,
    pub(super) angles: Range<usize>,
}

impl Region {
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        let runs = self.runs.iter();
        runs.flat_map(|run| run.angles.clone().map(|angle| index(run.ring, angle)))
    }

    /// What it covers, in shares of the iris's disc.
    pub(super) fn area(&self, rings: &Rings) -> f32 {
        let area = |run: &Run| run.angles.len() as f32 * rings.area(run.ring);
        self.runs.iter().map(area).sum()
    }
}

/// The regions of marks, in the order of their first places.
pub(super) fn regions(marks: &Marks) -> Vec<Region> {
    let runs: Vec<Vec<Range<usize>>> = (0..RINGS).map(|ring| marks.runs(ring)).collect();
    let mut joined = Joined::of(runs.iter().map(Vec::len).sum());
    let mut first = 0;
    for (ring, row) in runs.iter().enumerate() {
        if let ([Range { start: 0, .. }, ..], Some(last)) = (&row[..], row.last())
            && last.end == ANGLES
        {
            joined.join(first, first + row.len() - 1);
        }
        if ring > 0 {
            let above = &runs[ring - 1];
            join_overlapping(&mut joined, (above, first - above.len()), (row, first));
        }
        first += row.len();
    }
    let all = runs.into_iter().enumerate().flat_map(|(ring, row)| {
        let runs = row.into_iter();
        runs.map(move |angles| Run { ring, angles })
    });
    joined.regions(all)
}

/// Joins the runs of two rings that have an angle in common. Each row comes with the number of its first run.
fn join_overlapping(
    joined: &mut Joined,
    (above, first_above): (&[Range<usize>], usize),
    (row, first): (&[Range<usize>], usize),
) {
    let (mut a, mut b) = (0, 0);
    while let (Some(upper), Some(lower)) = (above.get(a), row.get(b)) {
        if upper.start < lower.end && lower.start < upper.end {
            joined.join(first_above + a, first + b);
        }
        if upper.end < lower.end {
            a += 1;
        } else {
            b += 1;
        }
    }
}

/// Numbers that are joined with each other: each leads to a lower one of its group, the lowest to itself.
struct Joined(Vec<usize>);

impl Joined {
    fn of(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn lowest(&mut self, mut number: usize) -> usize {
        while self.0[number] != number {
            self.0[number] = self.0[self.0[number]];
            number = self.0[number];
        }
        number
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.lowest(a), self.lowest(b));
        self.0[a.max(b)] = a.min(b);
    }

    fn regions(mut self, runs: impl Iterator<Item = Run>) -> Vec<Region> {
        let mut regions: Vec<Region> = Vec::new();
        let mut region_of = vec![0; self.0.len()];
        for (number, run) in runs.enumerate() {
            let lowest = self.lowest(number);
            if lowest == number {
                region_of[number] = regions.len();
                regions.push(Region { runs: Vec::new() });
            }
            regions[region_of[lowest]].runs.push(run);
        }
        regions
    }
}

#[cfg(test)]
mod tests {
    use super::regions;
    use crate::reflections::marks::Marks;
    use crate::reflections::unwrap::{ANGLES, RINGS, index};

    #[test]
    fn places_are_connected_round_the_first_angle_and_across_rings_but_not_by_corners() {
        let mut places = vec![false; RINGS * ANGLES];
        let mut mark = |ring: usize, angles: std::ops::Range<usize>| {
            angles.for_each(|angle| places[index(ring, angle)] = true);
        };
        // A bow whose ends meet below, over the first angle.
        mark(3, 0..4);
        mark(3, 1000..ANGLES);
        mark(4, 3..5);
        mark(5, 4..6);
        // Touches the bow at a corner only.
        mark(4, 5..7);
        mark(6, 6..9);
        // A "U": two arms that are joined by a later ring.
        mark(9, 10..12);
        mark(9, 14..16);
        mark(10, 10..16);
        let found = regions(&Marks::of(&places));
        let sizes: Vec<usize> = found.iter().map(|region| region.places().count()).collect();
        assert_eq!(sizes, [4 + 24 + 2 + 2 + 2, 3, 2 + 2 + 6]);
    }

    #[test]
    fn every_marked_place_is_in_one_region() {
        let places: Vec<bool> = (0..RINGS * ANGLES).map(|at| at * at % 7 < 3).collect();
        let mut seen = vec![false; places.len()];
        for region in regions(&Marks::of(&places)) {
            for at in region.places() {
                assert!(!std::mem::replace(&mut seen[at], true));
            }
        }
        assert!(seen == places);
    }
}
