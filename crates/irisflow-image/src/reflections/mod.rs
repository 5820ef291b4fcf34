//! Takes specular highlights off iris and pupil, and says which pixels that changed.
//!
//! `unwrap.rs` rolls pupil and iris out into rings, where iris fibres are straight and every ring has
//! its own brightness; `detect.rs` finds highlights there; `fill.rs` decides which part of the same
//! rings stands in for each, and what light to add so that no seam shows; this file paints the answer
//! at full resolution. Texture is always that of the same iris, at the same distance from the pupil.

mod detect;
mod fill;
mod unwrap;

use crate::geometry::Ellipse;
use crate::plane::{Plane, count_bytes};
use crate::rectified::{RectifiedIris, RectifiedView};
use crate::segment::{IrisSegmentation, Label};
use crate::threads::Threads;

use fill::{Patches, Stroke};
use unwrap::{ANGLES, RINGS, Rings, TOGETHER, Unwrapped};

pub use detect::Sensitivity;

/// What removing reflections makes.
#[derive(Debug)]
pub struct WithoutReflections {
    pub rectified: RectifiedIris,
    /// How far each luma pixel was filled: 0 as photographed, 255 filled.
    pub filled: Plane,
}

/// Removes highlights from a copy of `rectified`, and marks them as [`Label::Reflection`] in the segmentation.
pub fn remove_reflections(
    rectified: &RectifiedIris,
    segmentation: &mut IrisSegmentation,
    sensitivity: &Sensitivity,
    threads: Threads,
) -> WithoutReflections {
    let rings = Rings::of(&rectified.view, &segmentation.pupil);
    let unwrapped = Unwrapped::of(rectified, segmentation, &rings, threads);
    let found = detect::find_highlights(&unwrapped, &rings, sensitivity);
    let side = rectified.view.side;
    let mut without = WithoutReflections {
        rectified: rectified.clone(),
        filled: Plane::filled(side, side, 0),
    };
    if found.highlights.contains(&true) {
        let patches = fill::choose_patches(&unwrapped, &found);
        let painter = Painter::new(rings, &patches);
        painter.paint(rectified, &mut without, threads);
        relabel(
            segmentation,
            &rectified.view,
            &without.filled,
            &painter.cells,
            threads,
        );
    }
    without
}

/// Cells per side of the grid that says where there is anything to paint.
const CELLS: usize = 192;

/// Paints what stands in for highlights at full resolution.
struct Painter<'a> {
    rings: Rings,
    patches: &'a Patches,
    directions: [(f32, f32); ANGLES],
    cells: Vec<bool>,
}

impl<'a> Painter<'a> {
    fn new(rings: Rings, patches: &'a Patches) -> Self {
        let directions = unwrap::directions();
        let mut cells = vec![false; CELLS * CELLS];
        for ring in 0..RINGS {
            for angle in (0..ANGLES).filter(|&angle| patches.reaches(ring, angle)) {
                let (u, v) = rings.point(ring as f32, directions[angle]);
                let cell = |at: f32| ((at * CELLS as f32) as usize).min(CELLS - 1);
                for y in cell(v).saturating_sub(1)..=(cell(v) + 1).min(CELLS - 1) {
                    for x in cell(u).saturating_sub(1)..=(cell(u) + 1).min(CELLS - 1) {
                        cells[y * CELLS + x] = true;
                    }
                }
            }
        }
        Self {
            rings,
            patches,
            directions,
            cells,
        }
    }

    fn paint(&self, original: &RectifiedIris, painted: &mut WithoutReflections, threads: Threads) {
        const STRIP_ROWS: usize = 128;
        let iris = &mut painted.rectified;
        let side = original.view.side as usize;
        let luma = iris.luma.samples.chunks_mut(side * STRIP_ROWS);
        let strips = luma
            .zip(painted.filled.samples.chunks_mut(side * STRIP_ROWS))
            .enumerate();
        threads.map(
            strips.collect(),
            |(number, (luma, filled)): (usize, (&mut [u8], &mut [u8]))| {
                self.paint_rows(
                    number * STRIP_ROWS,
                    side,
                    luma.len() / side,
                    |at, stroke, source| {
                        luma[at] = painted_over(&original.luma, luma[at], source, stroke, 0);
                        filled[at] = (stroke.opacity * 255.0 + 0.5) as u8;
                    },
                );
            },
        );
        let side = original.chroma_side() as usize;
        let cb = iris.cb.samples.chunks_mut(side * STRIP_ROWS);
        let strips = cb
            .zip(iris.cr.samples.chunks_mut(side * STRIP_ROWS))
            .enumerate();
        threads.map(
            strips.collect(),
            |(number, (cb, cr)): (usize, (&mut [u8], &mut [u8]))| {
                self.paint_rows(
                    number * STRIP_ROWS,
                    side,
                    cb.len() / side,
                    |at, stroke, source| {
                        cb[at] = painted_over(&original.cb, cb[at], source, stroke, 1);
                        cr[at] = painted_over(&original.cr, cr[at], source, stroke, 2);
                    },
                );
            },
        );
    }

    /// Calls `paint` for each pixel to paint of some rows of a plane, with its index from the first row on,
    /// its stroke, and the place that its texture comes from.
    fn paint_rows(
        &self,
        first: usize,
        side: usize,
        rows: usize,
        mut paint: impl FnMut(usize, &Stroke, Option<(f32, f32)>),
    ) {
        let scale = 1.0 / side as f32;
        for row in 0..rows {
            let v = ((first + row) as f32 + 0.5) * scale;
            let cells = &self.cells[(first + row) * CELLS / side * CELLS..][..CELLS];
            for cell in (0..CELLS).filter(|&cell| cells[cell]) {
                let columns = (cell * side).div_ceil(CELLS)..((cell + 1) * side).div_ceil(CELLS);
                for first in columns.clone().step_by(TOGETHER) {
                    let places = self.rings.places((first as f32 + 0.5) * scale, scale, v);
                    for at in 0..TOGETHER.min(columns.end - first) {
                        let Some(stroke) = self.patches.stroke(places.rings[at], places.angles[at])
                        else {
                            continue;
                        };
                        let source = stroke.offset.map(|offset| {
                            let turned =
                                self.turned((places.cosines[at], places.sines[at]), offset);
                            let (u, v) = self.rings.point(places.rings[at], turned);
                            (u * side as f32, v * side as f32)
                        });
                        paint(row * side + first + at, &stroke, source);
                    }
                }
            }
        }
    }

    /// A direction that lies so many angles further round.
    fn turned(&self, (x, y): (f32, f32), angles: u16) -> (f32, f32) {
        // Directions are those of the middles of angles: two of them are `angles` apart.
        let (from, to) = (
            self.directions[0],
            self.directions[usize::from(angles) % ANGLES],
        );
        let (cos, sin) = (from.0 * to.0 + from.1 * to.1, from.0 * to.1 - from.1 * to.0);
        (x * cos - y * sin, x * sin + y * cos)
    }
}

/// A sample painted over by the texture at `source` and the light of the stroke.
#[inline]
fn painted_over(
    original: &Plane,
    sample: u8,
    source: Option<(f32, f32)>,
    stroke: &Stroke,
    channel: usize,
) -> u8 {
    let texture = source.map_or(0.0, |(u, v)| sample_bicubic(original, u, v));
    let new = (texture + stroke.correction[channel]).clamp(0.0, 255.0);
    let old = f32::from(sample);
    (old + (new - old) * stroke.opacity + 0.5) as u8
}

/// Catmull-Rom sample at `(x, y)` in pixel coordinates, clamped to the border.
#[inline]
fn sample_bicubic(plane: &Plane, x: f32, y: f32) -> f32 {
    let (x, y) = ((x - 0.5).max(0.0), (y - 0.5).max(0.0));
    let (x0, y0) = (x as i32, y as i32);
    let (wx, wy) = (catmull_rom(x - x0 as f32), catmull_rom(y - y0 as f32));
    let limit = |at: i32, side: u32| at.clamp(0, side as i32 - 1) as u32;
    let (width, height) = (plane.width as i32, plane.height as i32);
    if x0 < 1 || y0 < 1 || x0 + 2 >= width || y0 + 2 >= height {
        let at = |dx: i32, dy: i32| {
            f32::from(plane.at(limit(x0 + dx, plane.width), limit(y0 + dy, plane.height)))
        };
        let row = |dy: i32| {
            (-1..3)
                .zip(wx)
                .map(|(dx, weight)| at(dx, dy) * weight)
                .sum::<f32>()
        };
        return (-1..3).zip(wy).map(|(dy, weight)| row(dy) * weight).sum();
    }
    let (start, width) = (
        (y0 - 1) as usize * width as usize + (x0 - 1) as usize,
        width as usize,
    );
    let window = &plane.samples[start..start + 3 * width + 4];
    let row = |row: usize| {
        let samples = window[row * width..].first_chunk::<4>();
        samples.map_or([0.0; 4], |&[a, b, c, d]| {
            [f32::from(a), f32::from(b), f32::from(c), f32::from(d)]
        })
    };
    let [a, b, c, d] = [row(0), row(1), row(2), row(3)];
    let mut sum = 0.0;
    for at in 0..4 {
        sum += (a[at] * wy[0] + b[at] * wy[1] + c[at] * wy[2] + d[at] * wy[3]) * wx[at];
    }
    sum
}

fn catmull_rom(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        (2.0 * t2 - t3 - t) / 2.0,
        (3.0 * t3 - 5.0 * t2 + 2.0) / 2.0,
        (4.0 * t2 - 3.0 * t3 + t) / 2.0,
        (t3 - t2) / 2.0,
    ]
}

/// Marks what was filled in the photo's labels, and counts its share of the iris ring. `cells` says where
/// anything was.
fn relabel(
    segmentation: &mut IrisSegmentation,
    view: &RectifiedView,
    filled: &Plane,
    cells: &[bool],
    threads: Threads,
) {
    const STRIP_ROWS: usize = 128;
    let relabelling = Relabelling::new(segmentation, view, filled, cells);
    let width = segmentation.labels.width as usize;
    let strips = segmentation
        .labels
        .samples
        .chunks_mut(width * STRIP_ROWS)
        .enumerate();
    let counts = threads.map(strips.collect(), |(number, strip): (usize, &mut [u8])| {
        let rows = strip.chunks_exact_mut(width).enumerate();
        rows.fold((0, 0), |sum, (row, labels)| {
            let counted = relabelling.row(number * STRIP_ROWS + row, labels);
            (sum.0 + counted.0, sum.1 + counted.1)
        })
    });
    let ring_pixels: usize = counts.iter().map(|count| count.0).sum();
    let reflections: usize = counts.iter().map(|count| count.1).sum();
    segmentation.quality.reflection_share = reflections as f32 / ring_pixels.max(1) as f32;
}

struct Relabelling<'a> {
    view: &'a RectifiedView,
    filled: &'a Plane,
    cells: &'a [bool],
    pupil: Ellipse,
    /// The middle of the first label, in pixels of the photo.
    origin: (f32, f32),
    /// How far the view's point moves from label to label of a row.
    step: (f32, f32),
    /// Labels in turn that are less than a cell wide together: they share a neighbourhood.
    together: usize,
}

impl<'a> Relabelling<'a> {
    fn new(
        segmentation: &IrisSegmentation,
        view: &'a RectifiedView,
        filled: &'a Plane,
        cells: &'a [bool],
    ) -> Self {
        let origin = (
            segmentation.rect.x as f32 + 0.5,
            segmentation.rect.y as f32 + 0.5,
        );
        let (start, next) = (
            view.view_point(origin.0, origin.1),
            view.view_point(origin.0 + 1.0, origin.1),
        );
        let step = (next.0 - start.0, next.1 - start.1);
        let cell = (view.side as usize / CELLS) as f32;
        Self {
            view,
            filled,
            cells,
            pupil: segmentation.pupil,
            origin,
            step,
            together: (cell / step.0.abs().max(1e-3)).clamp(1.0, 64.0) as usize,
        }
    }

    /// Relabels a row. The pixels of the iris ring, and those of them that were filled.
    fn row(&self, row: usize, labels: &mut [u8]) -> (usize, usize) {
        let y = row as f32 + self.origin.1;
        let column = |x: f32| (x - self.origin.0).ceil().clamp(0.0, labels.len() as f32) as usize;
        let pupil = self
            .pupil
            .columns_at(y)
            .map_or(0..0, |(from, to)| column(from)..column(to));
        let count = |labels: &[u8]| {
            let of = |label: Label| count_bytes(labels, label as u8);
            of(Label::VisibleIris) + of(Label::Reflection)
        };
        let ring = count(&labels[..pupil.start]) + count(&labels[pupil.end..]);
        let mut reflections = 0;
        let (u0, v0) = self.view.view_point(self.origin.0, y);
        let at = |column: usize| {
            (
                u0 + self.step.0 * column as f32,
                v0 + self.step.1 * column as f32,
            )
        };
        for (number, part) in labels.chunks_mut(self.together).enumerate() {
            let first = number * self.together;
            if !self.is_near_filled(at(first + part.len() / 2)) {
                continue;
            }
            for (column, label) in (first..).zip(part) {
                if matches!(*label, 1 | 2 | 4) && self.is_filled(at(column)) {
                    *label = Label::Reflection as u8;
                    reflections += usize::from(!pupil.contains(&column));
                }
            }
        }
        (ring, reflections)
    }

    fn is_near_filled(&self, (u, v): (f32, f32)) -> bool {
        let cell = |at: f32| (at.max(0.0) * CELLS as f32 / self.view.side as f32) as usize;
        let (x, y) = (cell(u), cell(v));
        x < CELLS && y < CELLS && self.cells[y * CELLS + x]
    }

    #[inline(always)]
    fn is_filled(&self, (u, v): (f32, f32)) -> bool {
        let (u, v) = (u.max(0.0) as i32 as u32, v.max(0.0) as i32 as u32);
        u < self.view.side && v < self.view.side && self.filled.at(u, v) >= 128
    }
}

#[cfg(test)]
mod tests;
