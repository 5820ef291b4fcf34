//! Where a new tile is cut from those that it overlaps: along the paths of least difference (Efros and Freeman,
//! 2001), from top to bottom through its left half and from left to right through its upper half.

use multiversion::multiversion;

/// The cuts of one tile after the other; buffers are used again.
#[derive(Default)]
pub(super) struct Cuts {
    /// What cutting at a place costs: the left half of the rows, and the upper half of the columns.
    rows: Costs,
    columns: Costs,
    /// For each row the column, and for each column the row, from which on the new tile shows.
    down: Vec<usize>,
    across: Vec<usize>,
    sums: Vec<f32>,
}

impl Cuts {
    /// A tile of this size, of which no place costs anything.
    pub(super) fn begin(&mut self, rows: usize, columns: usize) {
        self.rows.clear(rows, columns / 2);
        self.columns.clear(columns, rows / 2);
    }

    pub(super) fn set(&mut self, row: usize, column: usize, cost: f32) {
        self.rows.set(row, column, cost);
        self.columns.set(column, row, cost);
    }

    pub(super) fn find(&mut self) {
        cheapest_path(&self.rows, &mut self.sums, &mut self.down);
        cheapest_path(&self.columns, &mut self.sums, &mut self.across);
    }

    /// Whether a place lies beyond both cuts.
    pub(super) fn is_beyond(&self, row: usize, column: usize) -> bool {
        column >= self.down[row] && row >= self.across[column]
    }
}

/// Lines of costs, one after another.
#[derive(Default)]
struct Costs {
    width: usize,
    values: Vec<f32>,
}

impl Costs {
    fn clear(&mut self, lines: usize, width: usize) {
        self.width = width;
        self.values.clear();
        self.values.resize(lines * width, 0.0);
    }

    /// Beside the width nothing is kept.
    fn set(&mut self, line: usize, at: usize, cost: f32) {
        if at < self.width {
            self.values[line * self.width + at] = cost;
        }
    }
}

/// The cheapest path through lines of costs, one place to the side per line at most. `sums` is only memory.
fn cheapest_path(costs: &Costs, sums: &mut Vec<f32>, path: &mut Vec<usize>) {
    let width = costs.width;
    let lines = costs.values.len() / width;
    sums.resize(costs.values.len(), 0.0);
    sums[..width].copy_from_slice(&costs.values[..width]);
    for line in 1..lines {
        let (above, below) = sums.split_at_mut(line * width);
        let costs = &costs.values[line * width..][..width];
        add_cheapest(&above[(line - 1) * width..], costs, &mut below[..width]);
    }
    path.clear();
    path.resize(lines, 0);
    let mut near = 0..width;
    for (place, sums) in path.iter_mut().zip(sums.chunks_exact(width)).rev() {
        let at = near
            .min_by(|&a, &b| sums[a].total_cmp(&sums[b]))
            .unwrap_or(0);
        *place = at;
        near = at.saturating_sub(1)..(at + 2).min(width);
    }
}

/// What the cheapest paths to the places of a line cost.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn add_cheapest(above: &[f32], costs: &[f32], sums: &mut [f32]) {
    let last = above.len() - 1;
    let lower = |a: f32, b: f32| if a < b { a } else { b };
    sums[0] = costs[0] + lower(above[0], above[1.min(last)]);
    sums[last] = costs[last] + lower(above[last], above[last.max(1) - 1]);
    let inner = sums[1..last.max(1)].iter_mut().zip(&costs[1..]);
    let near = above.iter().zip(&above[1..]).zip(&above[2.min(last)..]);
    for ((sum, cost), ((a, b), c)) in inner.zip(near) {
        *sum = cost + lower(lower(*a, *b), *c);
    }
}

#[cfg(test)]
mod tests {
    use super::Cuts;

    #[test]
    fn a_cut_follows_the_valley() {
        let mut cuts = Cuts::default();
        cuts.begin(3, 6);
        let rows = [[9.0, 1.0, 9.0], [9.0, 9.0, 1.0], [9.0, 1.0, 9.0]];
        for (row, costs) in rows.iter().enumerate() {
            for (column, &cost) in costs.iter().enumerate() {
                cuts.set(row, column, cost);
            }
        }
        cuts.find();
        assert_eq!(cuts.down, [1, 2, 1]);
        assert_eq!(cuts.across, [0; 6]);
        assert!(cuts.is_beyond(1, 2) && !cuts.is_beyond(1, 1));
    }
}
