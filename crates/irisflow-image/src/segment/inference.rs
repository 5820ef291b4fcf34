//! One inference: a square of the photo, a network's maps of it, and the regions and discs in them.

use multiversion::multiversion;

use super::PhotoPixels;
use super::ellipse_fit::{EdgePoint, FitPrior, fit_ellipse};
use crate::geometry::{Ellipse, PixelRect};
use crate::network::{Encoded, EyeMaps, EyeNetwork, INPUT_SIDE, LETTERBOX, MAP_SIDE, NetworkKind};
use crate::plane::YCbCr;

/// A square in pixels of the photo; it may reach beyond it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Square {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) side: f32,
}

impl Square {
    /// All of a photo, centred along its shorter side.
    pub(super) fn around_photo((width, height): (u32, u32)) -> Self {
        let side = width.max(height) as f32;
        Self {
            left: (width as f32 - side) / 2.0,
            top: (height as f32 - side) / 2.0,
            side,
        }
    }

    pub(super) fn around(centre: (f32, f32), side: f32) -> Self {
        Self {
            left: centre.0 - side / 2.0,
            top: centre.1 - side / 2.0,
            side,
        }
    }

    pub(super) fn widened(self, margin: f32) -> Self {
        Self {
            left: self.left - margin,
            top: self.top - margin,
            side: self.side + 2.0 * margin,
        }
    }

    /// Whether the squares overlap so much that a second inference would add nothing.
    pub(super) fn is_about(&self, other: &Self) -> bool {
        let middle = |square: &Self| {
            (
                square.left + square.side / 2.0,
                square.top + square.side / 2.0,
            )
        };
        let ((ax, ay), (bx, by)) = (middle(self), middle(other));
        (ax - bx).hypot(ay - by) < 0.06 * other.side && (self.side / other.side).ln().abs() < 0.25
    }

    /// The whole pixels of a `width` x `height` photo within the square.
    fn part_of_photo(&self, (width, height): (u32, u32)) -> Option<PixelRect> {
        let span = |from: f32, limit: u32| {
            let start = from.round().clamp(0.0, limit as f32) as u32;
            let end = (from + self.side).round().clamp(0.0, limit as f32) as u32;
            (start, end - start)
        };
        let ((x, width), (y, height)) = (span(self.left, width), span(self.top, height));
        (width > 0 && height > 0).then_some(PixelRect {
            x,
            y,
            width,
            height,
        })
    }

    /// The network's input for this square: RGB, grey beyond the photo. None when it lies outside of it.
    fn network_input(
        &self,
        photo: &dyn PhotoPixels,
    ) -> Option<Box<[u8; INPUT_SIDE * INPUT_SIDE * 3]>> {
        let rect = self.part_of_photo(photo.size())?;
        let scale = INPUT_SIDE as f32 / self.side;
        let span = |start: u32, length: u32, from: f32| {
            let last = INPUT_SIDE as f32 - 1.0;
            let start = ((start as f32 - from) * scale).round().clamp(0.0, last) as usize;
            let length = (length as f32 * scale).round().max(1.0) as usize;
            (start, length.min(INPUT_SIDE - start))
        };
        let (left, width) = span(rect.x, rect.width, self.left);
        let (top, height) = span(rect.y, rect.height, self.top);
        let part = photo.scaled(rect, (width as u32, height as u32));
        let mut picture = Box::new([LETTERBOX; INPUT_SIDE * INPUT_SIDE * 3]);
        let rows = picture.chunks_exact_mut(3 * INPUT_SIDE).skip(top);
        for (row, line) in rows.take(height).enumerate() {
            write_rgb(&part, row as u32, &mut line[3 * left..3 * (left + width)]);
        }
        Some(picture)
    }
}

/// One row as R'G'B'.
fn write_rgb(part: &YCbCr, row: u32, line: &mut [u8]) {
    let mut channels = [[0; INPUT_SIDE]; 3];
    let width = line.len() / 3;
    let [red, green, blue] = channels.each_mut().map(|channel| &mut channel[..width]);
    let [luma, cb, cr] = [&part.y, &part.cb, &part.cr].map(|plane| plane.row(row));
    to_rgb(luma, cb, cr, red, green, blue);
    let pixels = line.as_chunks_mut::<3>().0.iter_mut();
    for (((rgb, &r), &g), &b) in pixels.zip(&*red).zip(&*green).zip(&*blue) {
        *rgb = [r, g, b];
    }
}

/// JFIF: full-range BT.601. The slices are arguments of their own, as the compiler vectorises only what it sees
/// apart.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn to_rgb(luma: &[u8], cb: &[u8], cr: &[u8], red: &mut [u8], green: &mut [u8], blue: &mut [u8]) {
    let byte = |value: f32| whole_of((value + 0.5).clamp(0.0, 255.0));
    let yuv = luma.iter().zip(cb).zip(cr);
    let rgb = red.iter_mut().zip(green).zip(blue);
    for (((&luma, &cb), &cr), ((red, green), blue)) in yuv.zip(rgb) {
        let (luma, cb, cr) = (
            f32::from(luma),
            f32::from(cb) - 128.0,
            f32::from(cr) - 128.0,
        );
        *red = byte(luma + 1.402 * cr);
        *green = byte(luma - 0.344_136 * cb - 0.714_136 * cr);
        *blue = byte(luma + 1.772 * cb);
    }
}

/// The whole part of a value from 0 to 255. The conversion `as u8` is not vectorised, since it must handle every value.
fn whole_of(value: f32) -> u8 {
    /// Added, it leaves a value rounded in the low bits of the sum.
    const ROUNDING: f32 = 8_388_608.0;
    let near = (value + ROUNDING) - ROUNDING;
    let whole = if near > value { near - 1.0 } else { near };
    (whole + ROUNDING).to_bits() as u8
}

/// A square with the network's maps of it.
#[derive(Debug, Clone)]
pub(super) struct Inference {
    pub(super) square: Square,
    pub(super) maps: EyeMaps,
    /// Width and height of the photo; maps mean nothing beyond it.
    photo_size: (u32, u32),
}

/// A connected region of a map. Lengths in pixels of the photo.
#[derive(Debug, Clone)]
pub(super) struct Region {
    pub(super) centre: (f32, f32),
    /// Of the circle with its area, or half its longer side where the frame cuts it.
    pub(super) radius: f32,
    /// Sum of its probabilities times the peak: the evidence for it.
    pub(super) weight: f32,
    pub(super) peak: f32,
}

/// Fewer cells are no region.
const LEAST_CELLS: usize = 6;

impl Inference {
    /// Runs the network on the square. None when it lies outside the photo.
    pub(super) fn of(photo: &dyn PhotoPixels, square: Square, kind: NetworkKind) -> Option<Self> {
        BegunInference::of(photo, square, kind).map(BegunInference::finish)
    }

    /// Pixels of the photo per cell of the maps.
    pub(super) fn cell(&self) -> f32 {
        self.square.side / MAP_SIDE as f32
    }

    /// The probability of `map` at a point of the photo, between cells; 0 beyond the square.
    pub(super) fn at(&self, map: &[f32], x: f32, y: f32) -> f32 {
        let cell = self.cell();
        let (u, v) = (
            (x - self.square.left) / cell - 0.5,
            (y - self.square.top) / cell - 0.5,
        );
        let last = (MAP_SIDE - 1) as f32;
        if !(u > -1.0 && v > -1.0 && u < last + 1.0 && v < last + 1.0) {
            return 0.0;
        }
        let (u, v) = (u.clamp(0.0, last), v.clamp(0.0, last));
        let (x0, y0) = (u as usize, v as usize);
        let (x1, y1) = ((x0 + 1).min(MAP_SIDE - 1), (y0 + 1).min(MAP_SIDE - 1));
        let (fx, fy) = (u - x0 as f32, v - y0 as f32);
        let row = |y: usize| map[y * MAP_SIDE + x0] * (1.0 - fx) + map[y * MAP_SIDE + x1] * fx;
        row(y0) * (1.0 - fy) + row(y1) * fy
    }

    /// The squares between the middles of four cells in which `map` is somewhere above `limit`. Pixels of
    /// the photo.
    pub(super) fn squares_above<'a>(
        &'a self,
        map: &'a [f32],
        limit: f32,
    ) -> impl Iterator<Item = Square> + 'a {
        let is_above = move |index: usize| {
            let (below, inside) = (index + MAP_SIDE, index % MAP_SIDE + 1 < MAP_SIDE);
            let corners = [index, index + 1, below, below + 1];
            inside && corners.iter().any(|&corner| map[corner] > limit)
        };
        let squares = (0..map.len() - MAP_SIDE).filter(move |&index| is_above(index));
        squares.map(|index| {
            let (left, top) = self.point(index);
            Square {
                left,
                top,
                side: self.cell(),
            }
        })
    }

    /// The highest probability of the iris in a part of the photo.
    pub(super) fn iris_peak_in(&self, part: &Square) -> f32 {
        let cell = self.cell();
        let span = |from: f32, origin: f32| {
            let middle = |at: f32| {
                ((at - origin) / cell - 0.5)
                    .ceil()
                    .clamp(0.0, MAP_SIDE as f32)
            };
            middle(from) as usize..middle(from + part.side) as usize
        };
        let columns = span(part.left, self.square.left);
        let rows = span(part.top, self.square.top);
        let cells = rows.flat_map(|row| &self.maps.iris[row * MAP_SIDE..][columns.clone()]);
        cells.copied().fold(0.0, f32::max)
    }

    /// The point of the photo in the middle of a cell.
    pub(super) fn point(&self, index: usize) -> (f32, f32) {
        let cell = self.cell();
        (
            self.square.left + ((index % MAP_SIDE) as f32 + 0.5) * cell,
            self.square.top + ((index / MAP_SIDE) as f32 + 0.5) * cell,
        )
    }

    /// Whether a point lies in square and photo, by more than a cell.
    pub(super) fn covers(&self, x: f32, y: f32) -> bool {
        let margin = 1.2 * self.cell();
        let (width, height) = (self.photo_size.0 as f32, self.photo_size.1 as f32);
        let square = &self.square;
        x > margin.max(square.left + margin)
            && y > margin.max(square.top + margin)
            && x < (width - margin).min(square.left + square.side - margin)
            && y < (height - margin).min(square.top + square.side - margin)
    }

    /// The connected regions of a map, by weight. The threshold follows the peak: an unsure network still
    /// localises well.
    pub(super) fn regions(&self, map: &[f32]) -> Vec<Region> {
        let peak = map.iter().copied().fold(0.0, f32::max);
        let threshold = (0.5 * peak).clamp(0.15, 0.5);
        let mut left: Vec<bool> = map.iter().map(|&p| p > threshold).collect();
        let mut regions = Vec::new();
        for start in 0..left.len() {
            let cells = take_connected(&mut left, start);
            if cells.len() >= LEAST_CELLS {
                regions.push(self.region(map, &cells));
            }
        }
        regions.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        regions
    }

    fn region(&self, map: &[f32], cells: &[usize]) -> Region {
        let (mut sum, mut peak) = (0.0, 0.0_f32);
        let (mut x_sum, mut y_sum) = (0, 0);
        let (mut x_range, mut y_range) = ((MAP_SIDE, 0), (MAP_SIDE, 0));
        for &index in cells {
            let (x, y) = (index % MAP_SIDE, index / MAP_SIDE);
            sum += map[index];
            peak = peak.max(map[index]);
            (x_sum, y_sum) = (x_sum + x, y_sum + y);
            x_range = (x_range.0.min(x), x_range.1.max(x + 1));
            y_range = (y_range.0.min(y), y_range.1.max(y + 1));
        }
        let count = cells.len() as f32;
        let longer = (x_range.1 - x_range.0).max(y_range.1 - y_range.0) as f32;
        let cell = self.cell();
        Region {
            centre: (
                self.square.left + (x_sum as f32 / count + 0.5) * cell,
                self.square.top + (y_sum as f32 / count + 0.5) * cell,
            ),
            radius: (count / std::f32::consts::PI).sqrt().max(0.5 * longer) * cell,
            weight: sum * peak,
            peak,
        }
    }

    /// The ellipse around a region of a map, where the probability passes one half. None when too
    /// little of the outline is in the photo.
    pub(super) fn outline(&self, map: &[f32], region: &Region, prior: FitPrior) -> Option<Ellipse> {
        const RAYS: usize = 96;
        let half = (0.5 * region.peak).min(0.5);
        let step = 0.5 * self.cell();
        let mut points = Vec::with_capacity(RAYS);
        for ray in 0..RAYS {
            let (sin, cos) = (ray as f32 * std::f32::consts::TAU / RAYS as f32).sin_cos();
            let at = |reach: f32| {
                let (x, y) = (region.centre.0 + reach * cos, region.centre.1 + reach * sin);
                (x, y, self.at(map, x, y))
            };
            let mut crossing = None;
            let (mut reach, mut before) = (step, at(0.0).2);
            while reach < 1.6 * region.radius {
                let (x, y, here) = at(reach);
                if before >= half && here < half && self.covers(x, y) {
                    crossing = Some(reach - step * (half - here) / (before - here).max(1e-6));
                }
                (reach, before) = (reach + step, here);
            }
            if let Some(reach) = crossing {
                let (x, y, _) = at(reach);
                points.push(EdgePoint { x, y, weight: 1.0 });
            }
        }
        let start = Ellipse::circle(region.centre.0, region.centre.1, region.radius);
        (points.len() * 8 >= RAYS)
            .then(|| fit_ellipse(&points, &start, prior))
            .flatten()
    }

    /// How a map and a fitted ellipse agree, over the cells that show the photo.
    pub(super) fn agreement(&self, map: &[f32], ellipse: &Ellipse) -> Agreement {
        let (width, height) = (self.photo_size.0 as f32, self.photo_size.1 as f32);
        let (mut both, mut either) = (0_u32, 0_u32);
        let (mut around_sum, mut around_cells) = (0.0, 0.0_f32);
        for (index, &probability) in map.iter().enumerate() {
            let (x, y) = self.point(index);
            if x < 0.0 || y < 0.0 || x > width || y > height {
                continue;
            }
            let distance = ellipse.normalised_distance(x, y);
            let (seen, fitted) = (probability >= 0.5, distance <= 1.0);
            both += u32::from(seen && fitted);
            either += u32::from(seen || fitted);
            if (1.1..1.6).contains(&distance) {
                around_sum += probability;
                around_cells += 1.0;
            }
        }
        Agreement {
            overlap: both as f32 / either.max(1) as f32,
            around: around_sum / around_cells.max(1.0),
        }
    }
}

impl Inference {
    /// Intersection over union of the openings of two inferences within the ellipse, over the cells that
    /// both cover.
    pub(super) fn agreement_on_opening(&self, other: &Self, ellipse: &Ellipse) -> f32 {
        let (mut both, mut either) = (0_u32, 0_u32);
        for (index, &probability) in self.maps.opening.iter().enumerate() {
            let (x, y) = self.point(index);
            if ellipse.contains(x, y) && self.covers(x, y) && other.covers(x, y) {
                let open = [probability, other.at(&other.maps.opening, x, y)].map(|p| p >= 0.5);
                both += u32::from(open[0] && open[1]);
                either += u32::from(open[0] || open[1]);
            }
        }
        both as f32 / either.max(1) as f32
    }
}

/// An inference of which only the first half has run.
pub(super) struct BegunInference {
    square: Square,
    kind: NetworkKind,
    encoded: Encoded,
    photo_size: (u32, u32),
}

impl BegunInference {
    /// None when the square lies outside the photo.
    pub(super) fn of(photo: &dyn PhotoPixels, square: Square, kind: NetworkKind) -> Option<Self> {
        let picture = square.network_input(photo)?;
        Some(Self {
            square,
            kind,
            encoded: EyeNetwork::of(kind).encode(&picture),
            photo_size: photo.size(),
        })
    }

    /// The probability that an eye is present.
    pub(super) fn presence(&self) -> f32 {
        self.encoded.presence
    }

    pub(super) fn finish(self) -> Inference {
        Inference {
            square: self.square,
            maps: EyeNetwork::of(self.kind).maps_of(self.encoded),
            photo_size: self.photo_size,
        }
    }
}

/// How a map of the network and a fitted ellipse agree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agreement {
    /// Intersection over union, the map taken at one half.
    pub(super) overlap: f32,
    /// Mean probability in the ring around the ellipse.
    pub(super) around: f32,
}

/// Takes the cells connected to `start` (4 neighbours) out of `left`.
fn take_connected(left: &mut [bool], start: usize) -> Vec<usize> {
    let mut stack = Vec::new();
    let mut cells = Vec::new();
    let mut visit = |index: usize, stack: &mut Vec<usize>| {
        if std::mem::take(&mut left[index]) {
            stack.push(index);
        }
    };
    visit(start, &mut stack);
    while let Some(index) = stack.pop() {
        cells.push(index);
        let (x, y) = (index % MAP_SIDE, index / MAP_SIDE);
        if x > 0 {
            visit(index - 1, &mut stack);
        }
        if x + 1 < MAP_SIDE {
            visit(index + 1, &mut stack);
        }
        if y > 0 {
            visit(index - MAP_SIDE, &mut stack);
        }
        if y + 1 < MAP_SIDE {
            visit(index + MAP_SIDE, &mut stack);
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::whole_of;

    #[test]
    fn whole_parts_are_those_of_the_conversion() {
        for step in 0..=255 * 64 {
            let value = step as f32 / 64.0;
            for value in [value, value.next_up(), value.next_down()] {
                let value = value.clamp(0.0, 255.0);
                assert_eq!(whole_of(value), value as u8, "{value}");
            }
        }
    }
}
