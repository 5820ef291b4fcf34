//! Contrast and brightness of the iris, from the luma of its visible pixels alone.
//!
//! Local contrast is CLAHE (Zuiderveld, 1994): histogram equalisation in tiles, clipped and blended.
//! Two things are ours: tiles count visible iris only and borrow the histogram of the whole iris where
//! they see little, and tiles are equalised into the range the iris has (a little widened) instead of
//! 0 to 255, so that a dark eye stays a dark eye.

use std::ops::Range;

use multiversion::multiversion;

const TILES: usize = 8;
/// A bin holds at most this many times the mean.
const CLIP: f32 = 2.0;
/// Fractions of a level that luma is given in.
pub(super) const FRACTIONS: usize = 64;
/// Steps of luma that curves are tabulated for, an eighth of a level each.
const STEPS: usize = 2048;
const FRACTIONS_PER_STEP: u16 = 8;

type Curve = [f32; 256];

/// How often each level occurs in each tile.
#[derive(Clone)]
pub(super) struct Histograms {
    side: usize,
    tiles: Vec<[u32; 256]>,
}

impl Histograms {
    pub(super) fn new(side: usize) -> Self {
        Self {
            side,
            tiles: vec![[0; 256]; TILES * TILES],
        }
    }

    /// Counts what is seen of row `y`, in fractions of a level.
    pub(super) fn count(
        &mut self,
        y: usize,
        row: &[u16],
        seen: impl Fn(usize) -> bool,
        columns: Range<usize>,
    ) {
        let tile_row = y * TILES / self.side * TILES;
        for tile in 0..TILES {
            let start = (tile * self.side).div_ceil(TILES).max(columns.start);
            let end = ((tile + 1) * self.side).div_ceil(TILES).min(columns.end);
            let counts = &mut self.tiles[tile_row + tile];
            for x in (start..end).filter(|&x| seen(x)) {
                counts[usize::from(row[x]) / FRACTIONS % 256] += 1;
            }
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (counts, more) in self
            .tiles
            .iter_mut()
            .flatten()
            .zip(other.tiles.iter().flatten())
        {
            *counts += more;
        }
    }

    fn of_tiles(&self) -> Vec<Curve> {
        self.tiles
            .iter()
            .map(|counts| counts.map(|count| count as f32))
            .collect()
    }
}

/// What every level becomes, tile by tile.
pub(super) struct Tones {
    curves: Vec<[f32; STEPS]>,
}

impl Tones {
    /// Luma mixed with its equalised self by `amount`.
    pub(super) fn equalising(histograms: &Histograms, amount: f32) -> Self {
        let tiles = histograms.of_tiles();
        let whole = sum_of(&tiles);
        let level_of = |step: usize| (step as f32 + 0.5) / 8.0;
        if whole.iter().sum::<f32>() < 1.0 {
            let unchanged = std::array::from_fn(level_of);
            return Self {
                curves: vec![unchanged; TILES * TILES],
            };
        }
        let range = target_range(&whole);
        let amount = amount * need_of(&whole);
        let tile_pixels = (histograms.side * histograms.side / (TILES * TILES)).max(1) as f32;
        let tabulated = |tile: &Curve| {
            let curve = curve(&borrowing(tile, &whole, tile_pixels), range);
            std::array::from_fn(|step| {
                let level = level_of(step);
                level + (look_up(&curve, level) - level) * amount
            })
        };
        Self {
            curves: tiles.iter().map(tabulated).collect(),
        }
    }

    /// Raises a dark iris half-way to `target` with a power curve, so that its fibres show in print.
    /// `levels` are those of the iris as these tones make them.
    pub(super) fn raise_dark(&mut self, levels: &Curve, target: f32) {
        let median = level_at(levels, 0.5).max(8.0);
        if median >= target {
            return;
        }
        let wanted = (median + target) / 2.0;
        let power = ((wanted / 255.0).ln() / (median / 255.0).ln()).clamp(0.7, 1.0);
        let raised: Curve = std::array::from_fn(|level| 255.0 * (level as f32 / 255.0).powf(power));
        for level in self.curves.iter_mut().flatten() {
            *level = look_up(&raised, *level);
        }
    }
}

/// The tones at the rows of a picture, from the top: between the centres of tiles their curves are blended.
pub(super) struct ToneRows<'a> {
    tones: &'a Tones,
    side: usize,
    /// How far each column lies from the centre of the tile on its left towards that on its right.
    towards_right: Vec<f32>,
    /// For each tile the level of every step, and what is added at the tile on its right.
    tables: Vec<[[f32; 2]; STEPS]>,
    /// The row that the tables were made for.
    made_for: usize,
}

impl<'a> ToneRows<'a> {
    pub(super) fn new(tones: &'a Tones, side: usize) -> Self {
        Self {
            tones,
            side,
            towards_right: (0..side).map(|x| tiles_around(x, side).2).collect(),
            tables: vec![[[0.0; 2]; STEPS]; TILES],
            made_for: usize::MAX,
        }
    }

    /// Row `y` of luma, in fractions of a level, with these tones.
    pub(super) fn row(&mut self, y: usize, row: &[u16], columns: Range<usize>, out: &mut [f32]) {
        // Within some rows the blend moves less than a level.
        let y = y - y % (self.side / 512).max(1);
        if self.made_for != y {
            self.blend(y);
            self.made_for = y;
        }
        for (tile, table) in self.tables.iter().enumerate() {
            // The first column whose middle is not before the centre of a tile.
            let centre = |tile: usize| {
                ((2 * tile + 1) * self.side)
                    .saturating_sub(TILES)
                    .div_ceil(2 * TILES)
            };
            let start = if tile == 0 { 0 } else { centre(tile) };
            let end = if tile + 1 == TILES {
                self.side
            } else {
                centre(tile + 1)
            };
            let (start, end) = (start.max(columns.start), end.min(columns.end));
            if start < end {
                let columns = row[start..end].iter().zip(&self.towards_right[start..end]);
                for (out, (&luma, towards_right)) in out[start..end].iter_mut().zip(columns) {
                    let [left, more] = table[usize::from(luma / FRACTIONS_PER_STEP) % STEPS];
                    *out = left + more * towards_right;
                }
            }
        }
    }

    fn blend(&mut self, y: usize) {
        let (top, bottom, towards_bottom) = tiles_around(y, self.side);
        let curve = |row: usize, tile: usize| &self.tones.curves[row * TILES + tile];
        for (tile, table) in self.tables.iter_mut().enumerate() {
            let right = (tile + 1).min(TILES - 1);
            let corners = [
                curve(top, tile),
                curve(bottom, tile),
                curve(top, right),
                curve(bottom, right),
            ];
            blend(corners, towards_bottom, table);
        }
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn blend(corners: [&[f32; STEPS]; 4], towards_bottom: f32, table: &mut [[f32; 2]; STEPS]) {
    let [top_left, bottom_left, top_right, bottom_right] = corners;
    for step in 0..STEPS {
        let left = top_left[step] + (bottom_left[step] - top_left[step]) * towards_bottom;
        let right = top_right[step] + (bottom_right[step] - top_right[step]) * towards_bottom;
        table[step] = [left, right - left];
    }
}

fn sum_of(histograms: &[Curve]) -> Curve {
    let mut whole = [0.0; 256];
    for histogram in histograms {
        whole
            .iter_mut()
            .zip(histogram)
            .for_each(|(sum, count)| *sum += count);
    }
    whole
}

/// The level below which `share` of the pixels lie.
fn level_at(histogram: &Curve, share: f32) -> f32 {
    let wanted = histogram.iter().sum::<f32>() * share;
    let mut below = 0.0;
    for (level, count) in histogram.iter().enumerate() {
        below += count;
        if below >= wanted {
            return level as f32;
        }
    }
    255.0
}

/// 1 for a flat iris, down to a third for one that has contrast already.
fn need_of(whole: &Curve) -> f32 {
    let contrast = level_at(whole, 0.9) - level_at(whole, 0.1);
    ((130.0 - contrast) / 70.0).clamp(0.33, 1.0)
}

/// The range of the iris, widened a little: never so much that noise becomes texture.
fn target_range(whole: &Curve) -> (f32, f32) {
    let (low, high) = (level_at(whole, 0.01), level_at(whole, 0.99));
    let widening = 0.35 * (high - low);
    let low = (low - widening).max(0.7 * low);
    (low, high + widening.min((240.0 - high).max(0.0) * 0.3))
}

/// The tile's histogram, filled up with the whole iris's to at least the pixels of a full tile.
fn borrowing(tile: &Curve, whole: &Curve, tile_pixels: f32) -> Curve {
    let missing = (1.3 * tile_pixels - tile.iter().sum::<f32>()).max(0.0);
    let share = missing / whole.iter().sum::<f32>();
    std::array::from_fn(|level| tile[level] + whole[level] * share)
}

fn curve(histogram: &Curve, (low, high): (f32, f32)) -> Curve {
    let total: f32 = histogram.iter().sum();
    let used = histogram
        .iter()
        .filter(|&&count| count > 0.0)
        .count()
        .max(1) as f32;
    let limit = CLIP * total / used;
    let excess: f32 = histogram.iter().map(|count| (count - limit).max(0.0)).sum();
    let mut below = 0.0;
    std::array::from_fn(|level| {
        let extra = if histogram[level] > 0.0 {
            excess / used
        } else {
            0.0
        };
        let count = histogram[level].min(limit) + extra;
        let middle = below + count / 2.0;
        below += count;
        low + (high - low) * middle / total
    })
}

/// The tiles whose centres lie around a pixel, and how far it lies towards the second.
fn tiles_around(at: usize, side: usize) -> (usize, usize, f32) {
    let place = (at as f32 + 0.5) * TILES as f32 / side as f32 - 0.5;
    let place = place.clamp(0.0, TILES as f32 - 1.0);
    let first = place as usize;
    (first, (first + 1).min(TILES - 1), place - first as f32)
}

fn look_up(curve: &Curve, sample: f32) -> f32 {
    let sample = sample.clamp(0.0, 254.999);
    let level = sample as usize;
    curve[level] + (curve[level + 1] - curve[level]) * (sample - level as f32)
}
