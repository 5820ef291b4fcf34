//! Places of the rings as bits, a word for 64 angles: whole rings are widened at once, and places without a mark
//! are passed over at once.

use std::ops::Range;

use super::unwrap::{ANGLES, RINGS, index};

const WORD: usize = u64::BITS as usize;
const WORDS: usize = ANGLES / WORD;

/// The marks of one ring.
type Row = [u64; WORDS];

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Marks {
    rows: Vec<Row>,
}

/// A part of the rings: its first place, and its size. It may go round the first angle, and beyond the last ring,
/// where there are no places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) ring: usize,
    pub(super) angle: usize,
    pub(super) rings: usize,
    pub(super) angles: usize,
}

impl Marks {
    pub(super) fn of(places: &[bool]) -> Self {
        let word = |places: &[bool; WORD]| {
            let (bytes, _) = places.as_chunks::<8>();
            let highest_first = bytes.iter().rev();
            highest_first.fold(0, |word, byte| word << 8 | u64::from(packed(byte)))
        };
        let row = |places: &[bool]| {
            let (words, _) = places.as_chunks::<WORD>();
            std::array::from_fn(|number| word(&words[number]))
        };
        Self {
            rows: places.chunks_exact(ANGLES).map(row).collect(),
        }
    }

    /// Every place is marked.
    pub(super) fn all() -> Self {
        Self {
            rows: vec![[u64::MAX; WORDS]; RINGS],
        }
    }

    pub(super) fn places(&self) -> Vec<bool> {
        let mut places = Vec::with_capacity(RINGS * ANGLES);
        for word in self.rows.as_flattened() {
            for byte in word.to_le_bytes() {
                places.extend_from_slice(&UNPACKED[usize::from(byte)]);
            }
        }
        places
    }

    pub(super) fn contains(&self, at: usize) -> bool {
        self.rows[at / ANGLES][at % ANGLES / WORD] >> (at % WORD) & 1 == 1
    }

    pub(super) fn insert(&mut self, at: usize) {
        self.rows[at / ANGLES][at % ANGLES / WORD] |= 1 << (at % WORD);
    }

    pub(super) fn remove(&mut self, at: usize) {
        self.rows[at / ANGLES][at % ANGLES / WORD] &= !(1 << (at % WORD));
    }

    /// What is marked in both.
    pub(super) fn and(&self, other: &Self) -> Self {
        self.combined(other, |a, b| a & b)
    }

    /// What is marked here and not there.
    pub(super) fn without(&self, other: &Self) -> Self {
        self.combined(other, |a, b| a & !b)
    }

    fn combined(&self, other: &Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        let rows = self.rows.iter().zip(&other.rows);
        let row = |(a, b): (&Row, &Row)| std::array::from_fn(|word| combine(a[word], b[word]));
        Self {
            rows: rows.map(row).collect(),
        }
    }

    /// Widens marks by so many places to all sides, over a square window.
    pub(super) fn widened(&self, reach: usize) -> Self {
        let round: Vec<Row> = (self.rows.iter())
            .map(|row| widened_round(row, reach))
            .collect();
        let around = |ring: usize| {
            let rings = ring.saturating_sub(reach)..=(ring + reach).min(RINGS - 1);
            round[rings]
                .iter()
                .fold([0; WORDS], |sum, row| either(&sum, row))
        };
        Self {
            rows: (0..RINGS).map(around).collect(),
        }
    }

    /// The marks on some rings.
    pub(super) fn on_rings(mut self, rings: Range<usize>) -> Self {
        self.rows[..rings.start].fill([0; WORDS]);
        self.rows[rings.end..].fill([0; WORDS]);
        self
    }

    /// The runs of marks on a ring; none goes round the first angle.
    pub(super) fn runs(&self, ring: usize) -> Vec<Range<usize>> {
        let row = &self.rows[ring];
        let next = |from: usize, wanted: bool| {
            let mut word = from / WORD;
            let mut bits = flipped(*row.get(word)?, wanted) & u64::MAX << (from % WORD);
            while bits == 0 {
                word += 1;
                bits = flipped(*row.get(word)?, wanted);
            }
            Some(word * WORD + bits.trailing_zeros() as usize)
        };
        let mut runs = Vec::new();
        let mut from = 0;
        while let Some(start) = next(from, true) {
            from = next(start, false).unwrap_or(ANGLES);
            runs.push(start..from);
        }
        runs
    }

    /// Calls `act` with row, column and place of every mark in the window, row by row.
    #[inline(always)]
    pub(super) fn each_in(&self, window: Window, mut act: impl FnMut(usize, usize, usize)) {
        let end = (window.angle + window.angles).min(ANGLES);
        // What lies before the first angle, and what lies beyond it.
        let parts = [
            (window.angle..end, 0),
            (0..window.angle + window.angles - end, ANGLES - window.angle),
        ];
        for ring in window.ring..(window.ring + window.rings).min(RINGS) {
            for (angles, first_column) in parts.clone() {
                let start = angles.start;
                each_bit(&self.rows[ring], angles, |angle| {
                    let column = first_column + angle - start;
                    act(ring - window.ring, column, index(ring, angle));
                });
            }
        }
    }

    /// The marked places of a window.
    pub(super) fn places_in(&self, window: Window) -> Vec<usize> {
        let mut places = Vec::new();
        self.each_in(window, |_, _, at| places.push(at));
        places
    }
}

/// A word in which those bits are 1 that had the wanted value.
fn flipped(word: u64, wanted: bool) -> u64 {
    if wanted { word } else { !word }
}

/// Eight marks in one byte, the first one lowest.
fn packed(places: &[bool; 8]) -> u8 {
    // Moves bit 8 i to bit 56 + i.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let bytes = u64::from_le_bytes(places.map(u8::from));
    (bytes.wrapping_mul(GATHER) >> 56) as u8
}

/// The eight marks of every byte.
static UNPACKED: [[bool; 8]; 256] = {
    let mut unpacked = [[false; 8]; 256];
    let mut at = 0;
    while at < 256 * 8 {
        unpacked[at / 8][at % 8] = ((at / 8) >> (at % 8)) & 1 == 1;
        at += 1;
    }
    unpacked
};

#[inline(always)]
fn each_bit(row: &Row, angles: Range<usize>, mut act: impl FnMut(usize)) {
    let words = angles.start / WORD..angles.end.div_ceil(WORD).max(angles.start / WORD);
    for (number, &word) in words.clone().zip(&row[words]) {
        let first = number * WORD;
        let mut bits = word;
        if first < angles.start {
            bits &= u64::MAX << (angles.start - first);
        }
        if first + WORD > angles.end {
            bits &= u64::MAX >> (first + WORD - angles.end);
        }
        while bits != 0 {
            act(first + bits.trailing_zeros() as usize);
            bits &= bits - 1;
        }
    }
}

fn either(a: &Row, b: &Row) -> Row {
    std::array::from_fn(|word| a[word] | b[word])
}

/// Every mark `by` angles further round.
fn turned(row: &Row, by: usize) -> Row {
    let (words, bits) = (by / WORD, by % WORD);
    std::array::from_fn(|word| {
        let from = row[(word + WORDS - words) % WORDS];
        let before = row[(word + 2 * WORDS - words - 1) % WORDS];
        match bits {
            0 => from,
            _ => from << bits | before >> (WORD - bits),
        }
    })
}

/// Over windows of one place, then of twice as many, and so on.
fn widened_round(row: &Row, reach: usize) -> Row {
    let window = 2 * reach + 1;
    if *row == [0; WORDS] {
        return *row;
    }
    if window >= ANGLES {
        return [u64::MAX; WORDS];
    }
    let (mut wide, mut covered) = (*row, 1);
    while 2 * covered <= window {
        wide = either(&wide, &turned(&wide, covered));
        covered *= 2;
    }
    wide = either(&wide, &turned(&wide, window - covered));
    turned(&wide, ANGLES - reach)
}

#[cfg(test)]
mod tests {
    use super::{Marks, Window};
    use crate::reflections::unwrap::{ANGLES, RINGS, index};

    fn with(places: &[usize]) -> Vec<bool> {
        let mut marks = vec![false; RINGS * ANGLES];
        places.iter().for_each(|&at| marks[at] = true);
        marks
    }

    #[test]
    fn marks_are_found_again_in_a_window_round_the_first_angle() {
        let first = index(7, ANGLES - 2);
        let marks = Marks::of(&with(&[first, index(7, 1), index(8, 3), index(9, 0)]));
        let window = Window {
            ring: 7,
            angle: ANGLES - 2,
            rings: 2,
            angles: 5,
        };
        let mut found = Vec::new();
        marks.each_in(window, |row, column, at| found.push((row, column, at)));
        assert_eq!(found, [(0, 0, first), (0, 3, index(7, 1))]);
        assert!(marks.contains(first) && !marks.contains(first - 1));
        assert_eq!(marks.runs(7), [1..2, ANGLES - 2..ANGLES - 1]);
        assert_eq!(Marks::all().runs(7).first(), Some(&(0..ANGLES)));
    }

    #[test]
    fn widening_marks_every_place_of_the_square_around() {
        let places = with(&[index(2, 1), index(200, 700)]);
        for reach in [0, 1, 3, 7, 70] {
            let wide = Marks::of(&places).widened(reach).places();
            for at in (0..places.len()).step_by(13) {
                let near = |ring: usize, angle: usize| {
                    let turn = (at % ANGLES).abs_diff(angle);
                    (at / ANGLES).abs_diff(ring) <= reach && turn.min(ANGLES - turn) <= reach
                };
                assert_eq!(wide[at], near(2, 1) || near(200, 700), "{reach} at {at}");
            }
        }
    }
}
