//! The few operations of the network, on maps whose channels lie side by side (row, column, channel), so
//! that the innermost loops run over channels and the compiler vectorises them.

use std::cell::RefCell;

use multiversion::multiversion;

use super::weights::{LANES, Layer};

/// A square map. Its memory is kept for the next one of this thread.
#[derive(Debug)]
pub(super) struct Map {
    pub(super) side: usize,
    pub(super) channels: usize,
    pub(super) values: Vec<f32>,
}

thread_local! {
    static SPARE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

impl Drop for Map {
    fn drop(&mut self) {
        /// About as many as one run has at a time.
        const MOST_SPARE: usize = 16;
        // A thread that ends has no more spare memory.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MOST_SPARE {
                spare.push(std::mem::take(&mut self.values));
            }
        });
    }
}

impl Map {
    /// With values that are to be overwritten.
    pub(super) fn new(side: usize, channels: usize) -> Self {
        let length = side * side * channels;
        let mut values = SPARE.with(|spare| {
            let mut spare = spare.borrow_mut();
            let fitting = spare.iter().position(|values| values.len() == length);
            fitting.map(|at| spare.swap_remove(at)).unwrap_or_default()
        });
        values.resize(length, 0.0);
        Self {
            side,
            channels,
            values,
        }
    }

    /// Where a row begins.
    fn line(&self, row: usize) -> usize {
        row * self.side * self.channels
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
    let side = map.side / layer.stride;
    let mut out = Map::new(side, layer.outputs);
    let (weights, _) = layer.weights.as_chunks::<LANES>();
    let (out_cells, _) = out.values.as_chunks_mut::<LANES>();
    let mut bias = [0.0f32; LANES];
    bias.copy_from_slice(&layer.bias);
    for (row, cells) in out_cells.chunks_exact_mut(side).enumerate() {
        if row > 0 && row * layer.stride + 1 < map.side {
            let (first, inner) = cells.split_at_mut(1);
            let step = layer.stride * map.channels;
            let start = step - map.channels;
            let y = row * layer.stride;
            let lines =
                [y - 1, y, y + 1].map(|y| &map.values[map.line(y) + start..map.line(y + 1)]);
            convolve_row(lines, step, 3 * map.channels, weights, &bias, inner);
            convolve_cell(map, layer, row, 0, &bias, &mut first[0]);
        } else {
            for (column, cell) in cells.iter_mut().enumerate() {
                convolve_cell(map, layer, row, column, &bias, cell);
            }
        }
    }
    out
}

/// Cells whose neighbours are all in the map: of each line, `taps` values in turn, `step` further for each cell.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn convolve_row(
    lines: [&[f32]; 3],
    step: usize,
    taps: usize,
    weights: &[[f32; LANES]],
    bias: &[f32; LANES],
    cells: &mut [[f32; LANES]],
) {
    for (column, cell) in cells.iter_mut().enumerate() {
        let mut sums = *bias;
        for (line, weights) in lines.iter().zip(weights.chunks_exact(taps)) {
            for (value, weights) in line[column * step..][..taps].iter().zip(weights) {
                for lane in 0..LANES {
                    sums[lane] += value * weights[lane];
                }
            }
        }
        for lane in 0..LANES {
            cell[lane] = if sums[lane] > 0.0 { sums[lane] } else { 0.0 };
        }
    }
}

/// A cell at the border.
fn convolve_cell(
    map: &Map,
    layer: &Layer,
    row: usize,
    column: usize,
    bias: &[f32; LANES],
    cell: &mut [f32; LANES],
) {
    let (weights, _) = layer.weights.as_chunks::<LANES>();
    let mut sums = *bias;
    for (tap, y, x) in taps(map.side, row, column, layer.stride) {
        let rows = &weights[tap * layer.inputs..][..layer.inputs];
        for (value, row) in map.cell(y, x).iter().zip(rows) {
            for lane in 0..LANES {
                sums[lane] += value * row[lane];
            }
        }
    }
    *cell = sums.map(|sum| sum.max(0.0));
}

/// 3 x 3, each channel by itself, with ReLU; then 1 x 1, with ReLU; plus the map itself if `is_residual`.
/// Row by row, so that what lies in between stays in the cache.
pub(super) fn separable(map: &Map, depthwise: &Layer, pointwise: &Layer, is_residual: bool) -> Map {
    let side = map.side / depthwise.stride;
    let mut out = Map::new(side, pointwise.outputs);
    let mut filtered = vec![0.0; side * map.channels];
    let rows = out.values.chunks_exact_mut(side * pointwise.outputs);
    for (row, mixed) in rows.enumerate() {
        depthwise_line(map, depthwise, row, &mut filtered);
        mix_channels(&filtered, pointwise, 0.0, mixed);
        if is_residual {
            add(mixed, &map.values[map.line(row)..map.line(row + 1)]);
        }
    }
    out
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn add(values: &mut [f32], more: &[f32]) {
    for (value, more) in values.iter_mut().zip(more) {
        *value += more;
    }
}

/// A row of the result.
fn depthwise_line(map: &Map, layer: &Layer, row: usize, out_row: &mut [f32]) {
    let channels = map.channels;
    let side = map.side / layer.stride;
    let y = row * layer.stride;
    if y == 0 || y + 1 == map.side {
        let cells = out_row.chunks_exact_mut(channels).enumerate();
        cells.for_each(|(column, cell)| border_cell(map, layer, row, column, cell));
        return;
    }
    // With every second cell left out, the last one has a neighbour on its right.
    let last = if layer.stride == 1 { side - 1 } else { side };
    let inner = &mut out_row[channels..last * channels];
    let start = (layer.stride - 1) * channels;
    let lines = [y - 1, y, y + 1].map(|y| {
        map.values[map.line(y) + start..map.line(y + 1)]
            .as_chunks()
            .0
    });
    let kernel = Kernel {
        weights: layer.weights.as_chunks().0,
        biases: layer.bias.as_chunks().0,
    };
    depthwise_row(kernel, lines, layer.stride, inner.as_chunks_mut().0);
    for column in (0..1).chain(last..side) {
        let cell = &mut out_row[column * channels..][..channels];
        border_cell(map, layer, row, column, cell);
    }
}

/// Of a depthwise layer, `LANES` channels together.
#[derive(Clone, Copy)]
struct Kernel<'a> {
    weights: &'a [[f32; LANES]],
    biases: &'a [[f32; LANES]],
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn depthwise_row(
    kernel: Kernel<'_>,
    lines: [&[[f32; LANES]]; 3],
    stride: usize,
    cells: &mut [[f32; LANES]],
) {
    let blocks = kernel.biases.len();
    for (column, cell) in cells.chunks_exact_mut(blocks).enumerate() {
        let lines = lines.map(|line| &line[column * stride * blocks..][..3 * blocks]);
        for (block, out) in cell.iter_mut().enumerate() {
            let mut sums = kernel.biases[block];
            for tap in 0..9 {
                let values = &lines[tap / 3][tap % 3 * blocks + block];
                let weights = &kernel.weights[tap * blocks + block];
                for lane in 0..LANES {
                    sums[lane] += values[lane] * weights[lane];
                }
            }
            for lane in 0..LANES {
                out[lane] = if sums[lane] > 0.0 { sums[lane] } else { 0.0 };
            }
        }
    }
}

fn border_cell(map: &Map, layer: &Layer, row: usize, column: usize, cell: &mut [f32]) {
    let channels = map.channels;
    cell.copy_from_slice(&layer.bias);
    for (tap, y, x) in taps(map.side, row, column, layer.stride) {
        let kernel = &layer.weights[tap * channels..][..channels];
        for ((sum, value), weight) in cell.iter_mut().zip(map.cell(y, x)).zip(kernel) {
            *sum += value * weight;
        }
    }
    for value in cell {
        *value = value.max(0.0);
    }
}

/// 1 x 1, with ReLU if asked for.
pub(super) fn pointwise(map: &Map, layer: &Layer, relu: bool) -> Map {
    let mut out = Map::new(map.side, layer.outputs);
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    mix_channels(&map.values, layer, floor, &mut out.values);
    out
}

/// 1 x 1 over cells in a row. Four cells and `LANES` outputs at a time stay in registers.
fn mix_channels(from: &[f32], layer: &Layer, floor: f32, to: &mut [f32]) {
    const CELLS: usize = 4;
    let (inputs, outputs) = (layer.inputs, layer.outputs);
    let (rows, _) = layer.weights.as_chunks::<LANES>();
    let (biases, _) = layer.bias.as_chunks::<LANES>();
    // Every side of the network is a multiple of 4, so no cell is left over.
    let groups = from
        .chunks_exact(CELLS * inputs)
        .zip(to.chunks_exact_mut(CELLS * outputs));
    for (from, to) in groups {
        let mut sums = [[0.0; LANES]; CELLS];
        for (block, (rows, bias)) in rows.chunks_exact(inputs).zip(biases).enumerate() {
            four_cells(from, rows, bias, floor, &mut sums);
            let first = block * LANES;
            let last = (first + LANES).min(outputs);
            for (cell, sum) in to.chunks_exact_mut(outputs).zip(&sums) {
                cell[first..last].copy_from_slice(&sum[..last - first]);
            }
        }
    }
}

/// `LANES` outputs of each of four neighbouring cells.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn four_cells(
    from: &[f32],
    rows: &[[f32; LANES]],
    bias: &[f32; LANES],
    floor: f32,
    out: &mut [[f32; LANES]; 4],
) {
    let inputs = rows.len();
    let (a, rest) = from.split_at(inputs);
    let (b, rest) = rest.split_at(inputs);
    let (c, d) = rest.split_at(inputs);
    let (mut sum_a, mut sum_b, mut sum_c, mut sum_d) = (*bias, *bias, *bias, *bias);
    for ((((row, a), b), c), d) in rows.iter().zip(a).zip(b).zip(c).zip(d) {
        for lane in 0..LANES {
            sum_a[lane] += a * row[lane];
            sum_b[lane] += b * row[lane];
            sum_c[lane] += c * row[lane];
            sum_d[lane] += d * row[lane];
        }
    }
    for (out, sums) in out.iter_mut().zip([sum_a, sum_b, sum_c, sum_d]) {
        for lane in 0..LANES {
            out[lane] = if sums[lane] > floor {
                sums[lane]
            } else {
                floor
            };
        }
    }
}

/// Adds a map of half the side, each of its cells to four.
pub(super) fn add_enlarged(fine: &mut Map, coarse: &Map) {
    let (row, channels) = (fine.side * fine.channels, fine.channels);
    for (y, line) in fine.values.chunks_exact_mut(row).enumerate() {
        let from = &coarse.values[coarse.line(y / 2)..coarse.line(y / 2 + 1)];
        let pairs = line.chunks_exact_mut(2 * channels);
        for (pair, more) in pairs.zip(from.chunks_exact(channels)) {
            pair.chunks_exact_mut(channels)
                .for_each(|cell| add(cell, more));
        }
    }
}

/// The logistic function of each value, to a millionth.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
pub(super) fn sigmoids(values: &mut [f32]) {
    /// Added, it leaves a value rounded in the low bits of the sum.
    const ROUNDING: f32 = 12_582_912.0;
    for value in values {
        // exp(-x) as a power of two: a whole one by its bits, the rest, up to a half, by a polynomial.
        let power = (-*value * std::f32::consts::LOG2_E).clamp(-120.0, 120.0);
        let rounded = power + ROUNDING;
        let rest = (power - (rounded - ROUNDING)) * std::f32::consts::LN_2;
        let tail = (rest * (1.0 / 120.0) + 1.0 / 24.0) * rest + 1.0 / 6.0;
        let partial = ((tail * rest + 0.5) * rest + 1.0) * rest + 1.0;
        let whole = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
        *value = 1.0 / (1.0 + partial * whole);
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

#[cfg(test)]
mod tests {
    use super::sigmoids;

    #[test]
    fn fast_sigmoids_are_those_of_the_definition() {
        for at in -200..200 {
            let x = at as f32 * 0.137;
            let mut values = [x, -x];
            sigmoids(&mut values);
            assert!(
                (values[0] - 1.0 / (1.0 + (-x).exp())).abs() < 2e-6,
                "{values:?} at {x}"
            );
        }
        let mut extreme = [1e9, -1e9];
        sigmoids(&mut extreme);
        assert!(extreme[0] > 0.999_999 && extreme[1] < 1e-6);
    }
}
