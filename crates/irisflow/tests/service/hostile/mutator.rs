//! Random mutation of bytes for fuzz tests: bit flips, boundary values, removal, duplication, splicing, truncation.
//! The same seed gives the same mutations.

use std::ops::Range;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Boundary values.
const BOUNDARY_BYTES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, 0xfe, b'0', b'"'];

pub(super) struct Mutator {
    rng: StdRng,
}

impl Mutator {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
        }
    }

    pub(super) fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.rng.random_range(0..among.len())]
    }

    /// A copy with one to eight mutations in this part of it.
    pub(super) fn damage(&mut self, bytes: &[u8], part: Range<usize>) -> Vec<u8> {
        let mut damaged = bytes.to_vec();
        for _ in 0..self.rng.random_range(1..=8) {
            self.mutate_once(&mut damaged, &part);
        }
        damaged
    }

    /// The same for a text; the result has only visible ASCII characters.
    pub(super) fn damage_text(&mut self, text: &str) -> String {
        let damaged = self.damage(text.as_bytes(), 0..text.len());
        damaged
            .into_iter()
            .map(|byte| char::from(b'!' + byte % 94))
            .zip(text.chars().map(Some).chain(std::iter::repeat(None)))
            .map(|(new, old)| match old {
                // Keeps most of the original characters.
                Some(old) if self.rng.random_range(0..16) > 0 => old,
                _ => new,
            })
            .collect()
    }

    fn mutate_once(&mut self, bytes: &mut Vec<u8>, part: &Range<usize>) {
        let end = part.end.min(bytes.len());
        if part.start >= end {
            return;
        }
        let at = self.rng.random_range(part.start..end);
        let length = self.rng.random_range(1..=16).min(end - at);
        match self.rng.random_range(0..7) {
            0 => bytes[at] ^= 1 << self.rng.random_range(0..8),
            1 => bytes[at] = self.rng.random(),
            2 => {
                let boundary = *self.pick(&BOUNDARY_BYTES);
                bytes[at..at + length.min(4)].fill(boundary);
            }
            3 => drop(bytes.drain(at..at + length)),
            4 => {
                let again = bytes[at..at + length].to_vec();
                bytes.splice(at..at, again);
            }
            5 => {
                let from = self.rng.random_range(part.start..end);
                let other = bytes[from..(from + length).min(end)].to_vec();
                bytes.splice(at..at + length, other);
            }
            _ if self.rng.random_range(0..8) == 0 => bytes.truncate(at),
            _ => bytes.insert(at, self.rng.random()),
        }
    }
}
