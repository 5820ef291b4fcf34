//! Precomputed tiles of periodic (tileable) noise from fixed seeds. One texture look-up replaces several
//! octaves of noise; pictures differ by offset, scale and direction.

use crate::rng::Rng;

pub(crate) const TILE: usize = 512;

/// Rounding by addition: adding 1.5 * 2^23 to a moderate `f32` leaves its nearest integer in the lowest
/// mantissa bits.
const ROUNDER: f32 = 12_582_912.0;

/// Wrapped texel index of a coordinate, and its fraction, 0 to 1. Avoids `floor` and casts, which cost as
/// much as the rest of a sample on baseline x86-64.
#[inline]
fn split(x: f32) -> (usize, f32) {
    let rounded = (x - 0.5) + ROUNDER;
    (
        rounded.to_bits() as usize & (TILE - 1),
        x - (rounded - ROUNDER),
    )
}

/// Quantisation steps per standard deviation: the range is 8 standard deviations, and one step is
/// invisible in an 8-bit picture.
const STEPS: f32 = 4096.0;

/// A periodic `TILE` x `TILE` field with mean 0 and standard deviation 1; `i16`, to fit into CPU caches.
#[derive(Debug)]
pub(crate) struct Tile(Box<[[i16; TILE]; TILE]>);

impl Tile {
    /// Bilinear sample; coordinates are texels and wrap.
    #[inline]
    pub(crate) fn at(&self, x: f32, y: f32) -> f32 {
        let ((x0, fx), (y0, fy)) = (split(x), split(y));
        let (x1, y1) = ((x0 + 1) & (TILE - 1), (y0 + 1) & (TILE - 1));
        let along = |row: &[i16; TILE]| {
            let (left, right) = (f32::from(row[x0]), f32::from(row[x1]));
            left + (right - left) * fx
        };
        let (top, bottom) = (along(&self.0[y0]), along(&self.0[y1]));
        (top + (bottom - top) * fy) * (1.0 / STEPS)
    }

    fn normalised(values: Vec<f32>) -> Self {
        let count = values.len() as f32;
        let mean = values.iter().sum::<f32>() / count;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / count;
        let scale = STEPS / variance.sqrt().max(1e-6);
        let mut tile = Box::new([[0; TILE]; TILE]);
        for (texel, value) in tile.as_flattened_mut().iter_mut().zip(values) {
            *texel = ((value - mean) * scale).round() as i16;
        }
        Self(tile)
    }

    /// Octaves of lattice noise; `gain` is the amplitude ratio of an octave to the next coarser one.
    fn octaves(rng: &mut Rng, coarsest_cells: usize, count: usize, gain: f32) -> Self {
        let mut values = vec![0.0; TILE * TILE];
        let mut amplitude = 1.0;
        let mut cells = coarsest_cells;
        for _ in 0..count {
            let lattice: Vec<f32> = (0..cells * cells).map(|_| rng.range(-1.0, 1.0)).collect();
            let step = cells as f32 / TILE as f32;
            for y in 0..TILE {
                let gy = y as f32 * step;
                let (y0, fy) = (gy as usize, smooth(gy.fract()));
                let y1 = (y0 + 1) % cells;
                for x in 0..TILE {
                    let gx = x as f32 * step;
                    let (x0, fx) = (gx as usize, smooth(gx.fract()));
                    let x1 = (x0 + 1) % cells;
                    let top = lattice[y0 * cells + x0] * (1.0 - fx) + lattice[y0 * cells + x1] * fx;
                    let low = lattice[y1 * cells + x0] * (1.0 - fx) + lattice[y1 * cells + x1] * fx;
                    values[y * TILE + x] += amplitude * (top * (1.0 - fy) + low * fy);
                }
            }
            amplitude *= gain;
            cells = (cells * 2).min(TILE);
        }
        Self::normalised(values)
    }

    /// Worley noise: distance to the nearest of scattered points.
    fn cells(rng: &mut Rng, per_side: usize) -> Self {
        let points: Vec<(f32, f32)> = (0..per_side * per_side)
            .map(|_| (rng.unit(), rng.unit()))
            .collect();
        let step = per_side as f32 / TILE as f32;
        let mut values = vec![0.0; TILE * TILE];
        for y in 0..TILE {
            for x in 0..TILE {
                let (gx, gy) = (x as f32 * step, y as f32 * step);
                let (cx, cy) = (gx as usize, gy as usize);
                let mut best = f32::MAX;
                for oy in 0..3 {
                    for ox in 0..3 {
                        let (nx, ny) = (cx + ox + per_side - 1, cy + oy + per_side - 1);
                        let (px, py) = points[(ny % per_side) * per_side + nx % per_side];
                        let dx = nx as f32 - per_side as f32 + px - gx;
                        let dy = ny as f32 - per_side as f32 + py - gy;
                        best = best.min(dx * dx + dy * dy);
                    }
                }
                values[y * TILE + x] = best.sqrt();
            }
        }
        Self::normalised(values)
    }
}

fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// Every kind of noise the renderer uses.
#[derive(Debug)]
pub struct Tiles {
    /// Clouds: much coarse, little fine detail.
    pub(crate) cloud: Tile,
    /// A second, independent cloud.
    pub(crate) drift: Tile,
    /// Equal strength at every scale.
    pub(crate) rough: Tile,
    /// Fine grain only, a few texels wide.
    pub(crate) grain: Tile,
    /// Distance to scattered points, about 11 texels apart.
    pub(crate) spots: Tile,
}

impl Tiles {
    pub fn new() -> Self {
        let mut rng = Rng::new(0x1415, 0);
        Self {
            cloud: Tile::octaves(&mut rng, 8, 6, 0.55),
            drift: Tile::octaves(&mut rng, 8, 5, 0.5),
            rough: Tile::octaves(&mut rng, 16, 6, 0.9),
            grain: Tile::octaves(&mut rng, 128, 3, 1.0),
            spots: Tile::cells(&mut rng, 46),
        }
    }
}

impl Default for Tiles {
    fn default() -> Self {
        Self::new()
    }
}
