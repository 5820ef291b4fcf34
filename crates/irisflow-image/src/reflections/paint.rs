//! Paints what stands in for open places at full resolution.
//!
//! Pixels side by side are painted together, so that their arithmetic is vectorised: where they lie on the
//! rings, where their texture comes from, and its bicubic samples.

use multiversion::multiversion;

use super::WithoutReflections;
use super::patches::{Channels, Patches, Pixels, Strokes};
use super::quilt::Offset;
use super::unwrap::{ANGLES, Places, RINGS, Rings, TOGETHER, directions, index};
use crate::plane::Plane;
use crate::rectified::RectifiedIris;
use crate::threads::Threads;

/// Cells per side of the grid that says where there is anything to paint.
pub(super) const CELLS: usize = 192;

pub(super) struct Painter<'a> {
    rings: Rings,
    patches: &'a Patches,
    /// Cells that hold something to paint, or lie beside one that does.
    pub(super) cells: Vec<bool>,
}

impl<'a> Painter<'a> {
    pub(super) fn new(rings: Rings, patches: &'a Patches) -> Self {
        let directions = directions();
        let mut cells = vec![false; CELLS * CELLS];
        let cell = |at: f32| ((at * CELLS as f32) as i32 as usize).min(CELLS - 1);
        for ring in 0..RINGS {
            let mut before = None;
            for angle in (0..ANGLES).filter(|&angle| patches.reaches(index(ring, angle))) {
                let (u, v) = rings.point(ring as f32, directions[angle]);
                let (column, row) = (cell(u), cell(v));
                if before.replace((column, row)) != Some((column, row)) {
                    for y in row.saturating_sub(1)..=(row + 1).min(CELLS - 1) {
                        let columns = column.saturating_sub(1)..=(column + 1).min(CELLS - 1);
                        cells[y * CELLS..][columns].fill(true);
                    }
                }
            }
        }
        Self {
            rings,
            patches,
            cells,
        }
    }

    pub(super) fn paint(
        &self,
        original: &RectifiedIris,
        painted: &mut WithoutReflections,
        threads: Threads,
    ) {
        const STRIP_ROWS: usize = 128;
        let iris = &mut painted.rectified;
        let side = original.view.side as usize;
        let luma = iris.luma.samples.chunks_mut(side * STRIP_ROWS);
        let filled = painted.filled.samples.chunks_mut(side * STRIP_ROWS);
        let strips = luma.zip(filled).enumerate().collect();
        threads.map(strips, |(number, (luma, filled))| {
            let planes = [(&original.luma, luma)];
            self.paint_rows(number * STRIP_ROWS, Channels::Luma, planes, Some(filled));
        });
        let side = original.chroma_side() as usize;
        let cb = iris.cb.samples.chunks_mut(side * STRIP_ROWS);
        let cr = iris.cr.samples.chunks_mut(side * STRIP_ROWS);
        let strips = cb.zip(cr).enumerate().collect();
        threads.map(strips, |(number, (cb, cr))| {
            let planes = [(&original.cb, cb), (&original.cr, cr)];
            self.paint_rows(number * STRIP_ROWS, Channels::Chroma, planes, None);
        });
    }

    /// Paints the rows of some planes from `first` on: each with its original and its samples. `filled` takes the
    /// opacity of what was painted. All rows of a cell are painted before the next one, since they need the
    /// same strokes and texture.
    fn paint_rows<const PLANES: usize>(
        &self,
        first: usize,
        channels: Channels,
        mut planes: [(&Plane, &mut [u8]); PLANES],
        mut filled: Option<&mut [u8]>,
    ) {
        let side = planes[0].0.width as usize;
        let rows = planes[0].1.len() / side;
        let cells_of = |row: usize| (first + row) * CELLS / side;
        let mut brush = Brush::default();
        let mut row = 0;
        while row < rows {
            let cells = cells_of(row);
            let start = row;
            row = (start..rows)
                .find(|&row| cells_of(row) != cells)
                .unwrap_or(rows);
            for columns in runs(&self.cells[cells * CELLS..][..CELLS]) {
                let columns =
                    (columns.start * side).div_ceil(CELLS)..(columns.end * side).div_ceil(CELLS);
                for column in columns.clone().step_by(TOGETHER) {
                    let count = TOGETHER.min(columns.end - column);
                    for row in start..row {
                        let place = (column, first + row);
                        if brush.take(self, place, count, side, channels) {
                            let pixels = row * side + column..row * side + column + count;
                            brush.lay(pixels, &mut planes, filled.as_deref_mut());
                        }
                    }
                }
            }
        }
    }
}

/// What some pixels side by side are painted with.
#[derive(Default)]
struct Brush {
    strokes: Strokes,
    sources: Sources,
}

impl Brush {
    /// Prepares `count` pixels of a row from a column on; false if all of them stay as photographed.
    fn take(
        &mut self,
        painter: &Painter<'_>,
        (column, row): (usize, usize),
        count: usize,
        side: usize,
        channels: Channels,
    ) -> bool {
        let scale = 1.0 / side as f32;
        let (u, v) = ((column as f32 + 0.5) * scale, (row as f32 + 0.5) * scale);
        let places = painter.rings.places(u, scale, v);
        let patches = painter.patches;
        let any = patches.strokes(&places, count, channels, &mut self.strokes);
        if any {
            self.sources
                .find(&painter.rings, &self.strokes, &places, side);
        }
        any
    }

    fn lay(
        &self,
        pixels: std::ops::Range<usize>,
        planes: &mut [(&Plane, &mut [u8])],
        filled: Option<&mut [u8]>,
    ) {
        for ((original, samples), light) in planes.iter_mut().zip(&self.strokes.corrections) {
            let texture = self.sources.texture(original);
            let samples = &mut samples[pixels.clone()];
            lay(samples, &texture, light, &self.strokes.opacities);
        }
        if let Some(filled) = filled {
            to_opacity(&self.strokes.opacities, &mut filled[pixels]);
        }
    }
}

/// The runs of cells that are `true`.
fn runs(cells: &[bool]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + cells[at..].iter().position(|cell| *cell)?;
        let length = cells[start..].iter().position(|cell| !cell);
        at = length.map_or(cells.len(), |length| start + length);
        Some(start..at)
    })
}

/// Cosine and sine of every turn.
fn turns() -> &'static [(f32, f32); ANGLES] {
    static TURNS: std::sync::LazyLock<[(f32, f32); ANGLES]> = std::sync::LazyLock::new(|| {
        // Directions are those of the middles of angles: two of them are whole turns apart.
        let from = directions()[0];
        directions().map(|to| (from.0 * to.0 + from.1 * to.1, from.0 * to.1 - from.1 * to.0))
    });
    &TURNS
}

/// Where the texture of pixels side by side comes from: mostly one place each, beside cuts up to four.
#[derive(Default)]
struct Sources {
    groups: [Group; 4],
    count: usize,
    /// Whether each pixel has one source, in the order of the pixels.
    in_order: bool,
}

/// Sources that are sampled together.
#[derive(Default)]
struct Group {
    pixels: [u8; TOGETHER],
    weights: Pixels,
    rings: Pixels,
    /// Cosines and sines of the directions of the pixels, and of the turns from them to the sources.
    directions: [Pixels; 2],
    turns: [Pixels; 2],
    /// In pixels of the plane.
    xs: Pixels,
    ys: Pixels,
    windows: Windows,
}

/// The four by four pixels around places.
#[derive(Default)]
struct Windows {
    /// The first columns and rows.
    lefts: [i32; TOGETHER],
    tops: [i32; TOGETHER],
    /// The weights of columns and rows.
    across: [Pixels; 4],
    down: [Pixels; 4],
}

impl Windows {
    /// Around places in pixel coordinates, kept one pixel away from the border.
    fn find(&mut self, xs: &Pixels, ys: &Pixels, side: u32) {
        weights(xs, side, &mut self.lefts, &mut self.across);
        weights(ys, side, &mut self.tops, &mut self.down);
    }

    /// Catmull-Rom samples of a plane.
    fn sample(&self, plane: &Plane) -> Pixels {
        let mut words = [[0_i32; TOGETHER]; 4];
        let width = plane.width as usize;
        for at in 0..TOGETHER {
            let start = self.tops[at] as usize * width + self.lefts[at] as usize;
            let window = plane.samples.get(start..start + 3 * width + 4);
            let window = window.unwrap_or_default();
            for (row, words) in words.iter_mut().enumerate() {
                let four = window.get(row * width..).and_then(<[u8]>::first_chunk::<4>);
                words[at] = i32::from_le_bytes(*four.unwrap_or(&[0; 4]));
            }
        }
        combine(&words, &self.across, &self.down)
    }
}

impl Sources {
    fn find(&mut self, rings: &Rings, strokes: &Strokes, places: &Places, side: usize) {
        self.in_order = strokes.common.is_some();
        match strokes.common {
            Some(offset) => {
                self.count = TOGETHER;
                self.groups[0].take_all(offset, &strokes.gains, places);
            }
            None => self.take_each(strokes, places),
        }
        let groups = self.count.div_ceil(TOGETHER);
        for group in &mut self.groups[..groups] {
            locate(rings, side as f32, group);
            group.windows.find(&group.xs, &group.ys, side as u32);
        }
    }

    fn take_each(&mut self, strokes: &Strokes, places: &Places) {
        let turns = turns();
        self.count = strokes.sources().len();
        for (number, &(pixel, weight, offset)) in strokes.sources().iter().enumerate() {
            let (group, at) = (&mut self.groups[number / TOGETHER], number % TOGETHER);
            let pixel_at = usize::from(pixel);
            let (cos, sin) = turns[usize::from(offset.turn) % ANGLES];
            group.pixels[at] = pixel;
            group.weights[at] = weight;
            group.rings[at] = places.rings[pixel_at] + f32::from(offset.shift);
            group.directions[0][at] = places.cosines[pixel_at];
            group.directions[1][at] = places.sines[pixel_at];
            group.turns[0][at] = cos;
            group.turns[1][at] = sin;
        }
    }

    /// The texture of each pixel.
    fn texture(&self, plane: &Plane) -> Pixels {
        let mut texture = [0.0; TOGETHER];
        if self.in_order {
            let [group, ..] = &self.groups;
            let samples = group.windows.sample(plane);
            return std::array::from_fn(|at| group.weights[at] * samples[at]);
        }
        for (number, group) in self.groups.iter().enumerate() {
            let count = self.count.saturating_sub(number * TOGETHER).min(TOGETHER);
            if count == 0 {
                break;
            }
            let samples = group.windows.sample(plane);
            for (at, sample) in samples.iter().enumerate().take(count) {
                texture[usize::from(group.pixels[at]) % TOGETHER] += group.weights[at] * sample;
            }
        }
        texture
    }
}

impl Group {
    /// All pixels have their texture from the same offset.
    fn take_all(&mut self, offset: Offset, gains: &Pixels, places: &Places) {
        let (cos, sin) = turns()[usize::from(offset.turn) % ANGLES];
        let shift = f32::from(offset.shift);
        self.weights = *gains;
        self.rings = places.rings.map(|ring| ring + shift);
        self.directions = [places.cosines, places.sines];
        self.turns = [[cos; TOGETHER], [sin; TOGETHER]];
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn locate(rings: &Rings, side: f32, group: &mut Group) {
    let [cosines, sines] = &group.directions;
    let [turn_cosines, turn_sines] = &group.turns;
    for at in 0..TOGETHER {
        let direction = (
            cosines[at] * turn_cosines[at] - sines[at] * turn_sines[at],
            cosines[at] * turn_sines[at] + sines[at] * turn_cosines[at],
        );
        let (u, v) = rings.point(group.rings[at], direction);
        group.xs[at] = u * side;
        group.ys[at] = v * side;
    }
}

/// The first of the four samples around each place along one axis, and their weights.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn weights(places: &Pixels, side: u32, first: &mut [i32; TOGETHER], weights: &mut [Pixels; 4]) {
    let last = side as f32 - 2.001;
    let [a, b, c, d] = weights;
    for at in 0..TOGETHER {
        let place = (places[at] - 0.5).min(last).max(1.0);
        let whole = place as i32;
        let t = place - whole as f32;
        let (t2, t3) = (t * t, t * t * t);
        first[at] = whole - 1;
        a[at] = (2.0 * t2 - t3 - t) / 2.0;
        b[at] = (3.0 * t3 - 5.0 * t2 + 2.0) / 2.0;
        c[at] = (4.0 * t2 - 3.0 * t3 + t) / 2.0;
        d[at] = (t3 - t2) / 2.0;
    }
}

/// Four rows of four samples each, weighted.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn combine(words: &[[i32; TOGETHER]; 4], across: &[Pixels; 4], down: &[Pixels; 4]) -> Pixels {
    let mut sums = [0.0; TOGETHER];
    for (words, down) in words.iter().zip(down) {
        for at in 0..TOGETHER {
            let word = words[at];
            let sum = (word & 255) as f32 * across[0][at]
                + (word >> 8 & 255) as f32 * across[1][at]
                + (word >> 16 & 255) as f32 * across[2][at]
                + (word >> 24 & 255) as f32 * across[3][at];
            sums[at] += sum * down[at];
        }
    }
    sums
}

/// Lays texture and light over samples, as far as they are opaque.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn lay(samples: &mut [u8], texture: &Pixels, light: &Pixels, opacity: &Pixels) {
    let strokes = texture.iter().zip(light).zip(opacity);
    for (sample, ((texture, light), opacity)) in samples.iter_mut().zip(strokes) {
        let old = f32::from(*sample);
        let new = (texture + light).clamp(0.0, 255.0);
        *sample = (old + (new - old) * opacity + 0.5) as i32 as u8;
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn to_opacity(opacities: &Pixels, filled: &mut [u8]) {
    for (filled, opacity) in filled.iter_mut().zip(opacities) {
        *filled = (opacity * 255.0 + 0.5) as i32 as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::{Pixels, TOGETHER, Windows, runs};
    use crate::plane::Plane;

    fn sample(plane: &Plane, xs: &Pixels, ys: &Pixels) -> Pixels {
        let mut windows = Windows::default();
        windows.find(xs, ys, plane.width);
        windows.sample(plane)
    }

    #[test]
    fn samples_between_pixels_follow_a_slope() {
        let mut plane = Plane::filled(40, 40, 0);
        for y in 0..40 {
            for x in 0..40 {
                plane.row_mut(y)[x as usize] = (3 * x + 2 * y) as u8;
            }
        }
        let xs = std::array::from_fn(|at| 5.0 + at as f32 * 1.7);
        let ys = std::array::from_fn(|at| 4.0 + at as f32 * 1.3);
        let samples = sample(&plane, &xs, &ys);
        for at in 0..TOGETHER {
            let expected = 3.0 * (xs[at] - 0.5) + 2.0 * (ys[at] - 0.5);
            assert!((samples[at] - expected).abs() < 1e-3);
        }
    }

    #[test]
    fn places_beyond_the_border_are_moved_inside() {
        let plane = Plane::filled(16, 16, 77);
        let far = std::array::from_fn(|at| at as f32 * 10.0 - 60.0);
        assert!(
            sample(&plane, &far, &far)
                .iter()
                .all(|sample| (sample - 77.0).abs() < 1e-3)
        );
    }

    #[test]
    fn runs_are_found_at_both_ends() {
        let cells = [true, false, false, true, true];
        assert_eq!(runs(&cells).collect::<Vec<_>>(), [0..1, 3..5]);
    }
}
