//! Contrast and brightness of the iris, from the luma of its visible pixels alone.
//!
//! Local contrast is CLAHE (Zuiderveld, 1994): histogram equalisation in tiles, clipped and blended.
//! Two things are ours: tiles count visible iris only and borrow the histogram of the whole iris where
//! they see little, and tiles are equalised into the range the iris has (a little widened) instead of
//! 0 to 255, so that a dark eye stays a dark eye.

use crate::filters::Field;

const TILES: usize = 8;
/// A bin holds at most this many times the mean.
const CLIP: f32 = 2.0;

type Curve = [f32; 256];

/// `luma` mixed with its equalised self by `amount`.
pub(super) fn equalised(luma: &Field, seen: &[bool], amount: f32) -> Field {
    let histograms = tile_histograms(luma, seen);
    let whole = sum_of(&histograms);
    if whole.iter().sum::<f32>() < 1.0 {
        return luma.clone();
    }
    let range = target_range(&whole);
    let amount = amount * need_of(&whole);
    let tile_pixels = (luma.width * luma.height / (TILES * TILES)).max(1) as f32;
    let curves: Vec<Curve> = histograms
        .iter()
        .map(|tile| curve(&borrowing(tile, &whole, tile_pixels), range))
        .collect();
    apply(luma, &curves, amount)
}

fn tile_histograms(luma: &Field, seen: &[bool]) -> Vec<Curve> {
    let mut histograms = vec![[0.0; 256]; TILES * TILES];
    let rows = luma
        .samples
        .chunks_exact(luma.width)
        .zip(seen.chunks_exact(luma.width));
    for (y, (row, seen)) in rows.enumerate() {
        let tile_row = y * TILES / luma.height * TILES;
        for (x, (sample, _)) in row
            .iter()
            .zip(seen)
            .enumerate()
            .filter(|(_, (_, seen))| **seen)
        {
            let tile = tile_row + x * TILES / luma.width;
            histograms[tile][sample.clamp(0.0, 255.0) as usize] += 1.0;
        }
    }
    histograms
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

fn apply(luma: &Field, curves: &[Curve], amount: f32) -> Field {
    let mut out = luma.clone();
    let columns: Vec<_> = (0..luma.width)
        .map(|x| tiles_around(x, luma.width))
        .collect();
    for (y, row) in out.samples.chunks_exact_mut(luma.width).enumerate() {
        let (top, bottom, fy) = tiles_around(y, luma.height);
        // Curves are blended vertically once per row, so that each pixel needs two look-ups only.
        let blended: [Curve; TILES] = std::array::from_fn(|tile| {
            let (above, below) = (&curves[top * TILES + tile], &curves[bottom * TILES + tile]);
            std::array::from_fn(|level| above[level] + (below[level] - above[level]) * fy)
        });
        for (sample, &(left, right, fx)) in row.iter_mut().zip(&columns) {
            let level = look_up(&blended[left], *sample);
            let level = level + (look_up(&blended[right], *sample) - level) * fx;
            *sample += (level - *sample) * amount;
        }
    }
    out
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

/// Raises a dark iris half-way to `target` with a power curve, so that its fibres show in print.
pub(super) fn raise_dark(luma: &mut Field, seen: &[bool], target: f32) {
    let mut histogram = [0.0; 256];
    for (sample, _) in luma.samples.iter().zip(seen).filter(|(_, seen)| **seen) {
        histogram[sample.clamp(0.0, 255.0) as usize] += 1.0;
    }
    let median = level_at(&histogram, 0.5).max(8.0);
    if median >= target {
        return;
    }
    let wanted = (median + target) / 2.0;
    let power = ((wanted / 255.0).ln() / (median / 255.0).ln()).clamp(0.7, 1.0);
    let curve: Curve = std::array::from_fn(|level| 255.0 * (level as f32 / 255.0).powf(power));
    luma.samples
        .iter_mut()
        .for_each(|sample| *sample = look_up(&curve, *sample));
}
