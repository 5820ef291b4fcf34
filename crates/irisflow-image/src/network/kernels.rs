//! The few operations of the network, on maps whose channels lie side by side (row, column, channel), so
//! that the innermost loops run over channels and the compiler vectorises them.

use super::weights::{LANES, Layer};

/// A square map.
#[derive(Debug, Clone)]
pub(super) struct Map {
    pub(super) side: usize,
    pub(super) channels: usize,
    pub(super) values: Vec<f32>,
}

impl Map {
    pub(super) fn zeros(side: usize, channels: usize) -> Self {
        Self {
            side,
            channels,
            values: vec![0.0; side * side * channels],
        }
    }

    fn cell(&self, row: usize, column: usize) -> &[f32] {
        let start = (row * self.side + column) * self.channels;
        &self.values[start..start + self.channels]
    }
}

/// The taps of a 3 x 3 kernel that fall into the map: tap index and place.
fn taps(
    side: usize,
    row: usize,
    column: usize,
    stride: usize,
) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..9).filter_map(move |tap| {
        let y = (row * stride + tap / 3).checked_sub(1)?;
        let x = (column * stride + tap % 3).checked_sub(1)?;
        (y < side && x < side).then_some((tap, y, x))
    })
}

/// 3 x 3 over all channels, with ReLU. For the stem: few inputs, 16 outputs.
pub(super) fn convolve(map: &Map, layer: &Layer) -> Map {
    const WIDE: usize = 16;
    let side = map.side / layer.stride;
    let mut out = Map::zeros(side, layer.outputs);
    let (weights, _) = layer.weights.as_chunks::<WIDE>();
    let (out_cells, _) = out.values.as_chunks_mut::<WIDE>();
    let mut bias = [0.0f32; WIDE];
    bias.copy_from_slice(&layer.bias);
    for (index, cell) in out_cells.iter_mut().enumerate() {
        let mut sums = bias;
        for (tap, y, x) in taps(map.side, index / side, index % side, layer.stride) {
            let rows = &weights[tap * layer.inputs..][..layer.inputs];
            for (value, row) in map.cell(y, x).iter().zip(rows) {
                for lane in 0..WIDE {
                    sums[lane] += value * row[lane];
                }
            }
        }
        *cell = sums.map(|sum| sum.max(0.0));
    }
    out
}

/// 3 x 3, each channel by itself, with ReLU; `LANES` channels at a time.
pub(super) fn depthwise(map: &Map, layer: &Layer) -> Map {
    let channels = map.channels;
    let side = map.side / layer.stride;
    let mut out = Map::zeros(side, channels);
    let (biases, _) = layer.bias.as_chunks::<LANES>();
    let (weights, _) = layer.weights.as_chunks::<LANES>();
    let blocks = biases.len();
    let (cells, _) = map.values.as_chunks::<LANES>();
    let (out_cells, _) = out.values.as_chunks_mut::<LANES>();
    let line = map.side * blocks;
    for (row, out_row) in out_cells.chunks_exact_mut(side * blocks).enumerate() {
        for (column, cell) in out_row.chunks_exact_mut(blocks).enumerate() {
            let (y, x) = (row * layer.stride, column * layer.stride);
            if y >= 1 && x >= 1 && y + 1 < map.side && x + 1 < map.side {
                let corner = (y - 1) * line + (x - 1) * blocks;
                let rows = [0, 1, 2].map(|tap| &cells[corner + tap * line..][..3 * blocks]);
                inner_cell(cell, &rows, weights, biases);
                continue;
            }
            cell.copy_from_slice(biases);
            for (tap, y, x) in taps(map.side, row, column, layer.stride) {
                let from = &cells[y * line + x * blocks..][..blocks];
                let kernel = &weights[tap * blocks..][..blocks];
                for ((sums, values), taps) in cell.iter_mut().zip(from).zip(kernel) {
                    add_products(sums, values, taps);
                }
            }
            for value in cell.as_flattened_mut() {
                *value = value.max(0.0);
            }
        }
    }
    out
}

/// A cell with all nine neighbours: sums stay in registers.
#[inline]
fn inner_cell(
    cell: &mut [[f32; LANES]],
    rows: &[&[[f32; LANES]]; 3],
    weights: &[[f32; LANES]],
    biases: &[[f32; LANES]],
) {
    let blocks = biases.len();
    let weights = &weights[..9 * blocks];
    for block in 0..blocks {
        let mut sums = biases[block];
        for (tap_row, row) in rows.iter().enumerate() {
            for tap in 0..3 {
                let kernel = &weights[(tap_row * 3 + tap) * blocks + block];
                add_products(&mut sums, &row[tap * blocks + block], kernel);
            }
        }
        cell[block] = sums.map(|sum| sum.max(0.0));
    }
}

#[inline]
fn add_products(sums: &mut [f32; LANES], values: &[f32; LANES], taps: &[f32; LANES]) {
    for lane in 0..LANES {
        sums[lane] += values[lane] * taps[lane];
    }
}

/// 1 x 1, with ReLU if asked for. Four cells and eight outputs at a time stay in registers.
pub(super) fn pointwise(map: &Map, layer: &Layer, relu: bool) -> Map {
    const CELLS: usize = 4;
    let (inputs, outputs) = (layer.inputs, layer.outputs);
    let mut out = Map::zeros(map.side, outputs);
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    let (rows, _) = layer.weights.as_chunks::<LANES>();
    let (biases, _) = layer.bias.as_chunks::<LANES>();
    // Every side of the network is a multiple of 4, so no cell is left over.
    let groups = map
        .values
        .chunks_exact(CELLS * inputs)
        .zip(out.values.chunks_exact_mut(CELLS * outputs));
    for (from, to) in groups {
        for (block, (rows, bias)) in rows.chunks_exact(inputs).zip(biases).enumerate() {
            let sums = four_cells(from, rows, bias);
            let first = block * LANES;
            let last = (first + LANES).min(outputs);
            for (cell, sum) in to.chunks_exact_mut(outputs).zip(sums) {
                for (value, s) in cell[first..last].iter_mut().zip(sum) {
                    *value = s.max(floor);
                }
            }
        }
    }
    out
}

/// `LANES` outputs of each of four neighbouring cells.
#[inline]
fn four_cells(from: &[f32], rows: &[[f32; LANES]], bias: &[f32; LANES]) -> [[f32; LANES]; 4] {
    let inputs = rows.len();
    let (a, rest) = from.split_at(inputs);
    let (b, rest) = rest.split_at(inputs);
    let (c, d) = rest.split_at(inputs);
    let d = &d[..inputs];
    let (mut sum_a, mut sum_b, mut sum_c, mut sum_d) = (*bias, *bias, *bias, *bias);
    for input in 0..inputs {
        let row = &rows[input];
        add_scaled(&mut sum_a, a[input], row);
        add_scaled(&mut sum_b, b[input], row);
        add_scaled(&mut sum_c, c[input], row);
        add_scaled(&mut sum_d, d[input], row);
    }
    [sum_a, sum_b, sum_c, sum_d]
}

#[inline]
fn add_scaled(sum: &mut [f32; LANES], value: f32, row: &[f32; LANES]) {
    for lane in 0..LANES {
        sum[lane] += value * row[lane];
    }
}

/// Adds a map of half the side, each of its cells to four.
pub(super) fn add_enlarged(fine: &mut Map, coarse: &Map) {
    let (side, channels) = (fine.side, fine.channels);
    for (index, cell) in fine.values.chunks_exact_mut(channels).enumerate() {
        let from = coarse.cell(index / side / 2, index % side / 2);
        for (value, more) in cell.iter_mut().zip(from) {
            *value += more;
        }
    }
}

/// Mean of each channel.
pub(super) fn mean(map: &Map) -> Vec<f32> {
    let mut sums = vec![0.0; map.channels];
    for cell in map.values.chunks_exact(map.channels) {
        for (sum, value) in sums.iter_mut().zip(cell) {
            *sum += value;
        }
    }
    let share = 1.0 / (map.side * map.side) as f32;
    sums.iter_mut().for_each(|sum| *sum *= share);
    sums
}

/// One number from all channels.
pub(super) fn linear(values: &[f32], layer: &Layer) -> f32 {
    let sum: f32 = values
        .iter()
        .zip(&layer.weights)
        .map(|(value, weight)| value * weight)
        .sum();
    sum + layer.bias[0]
}
