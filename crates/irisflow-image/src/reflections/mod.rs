//! Takes specular highlights off iris and pupil, completes what lids hide, and says which pixels that changed.
//!
//! `unwrap.rs` rolls pupil and iris out into rings, where iris fibres are straight and every ring has
//! its own brightness; `lids.rs` finds what lids do to the iris beside them, `detect.rs` highlights;
//! `texture.rs` takes the known iris apart, `quilt.rs` chooses which part of the same rings stands in for
//! what is missing, and `fill.rs` what light to add so that no seam shows; `pupil.rs` finds the true outline
//! of the pupil. This file paints the answer at full resolution. Texture is always that of the same iris, at
//! about the same distance from the pupil.

mod detect;
mod fill;
mod lids;
mod pupil;
mod quilt;
mod texture;
mod unwrap;

use crate::geometry::Ellipse;
use crate::plane::{Plane, count_bytes};
use crate::rectified::{RectifiedIris, RectifiedView};
use crate::segment::{IrisSegmentation, Label};
use crate::threads::Threads;

use fill::{Patches, Stroke};
use lids::Covered;
use pupil::PupilDisc;
use quilt::Rules;
use texture::Texture;
use unwrap::{ANGLES, RINGS, Rings, TOGETHER, Unwrapped};

pub use detect::Sensitivity;

/// The least share of the ring that must be seen for the rest to be completed, and the least of any band of it.
const LEAST_SEEN: (f32, f32) = (0.7, 0.5);
/// Texture comes from at least 30 degrees away.
const LEAST_TURN: usize = ANGLES * 30 / 360;

/// What removing reflections makes.
#[derive(Debug)]
pub struct WithoutReflections {
    pub rectified: RectifiedIris,
    /// How far each luma pixel was filled: 0 as photographed, 255 filled.
    pub filled: Plane,
    /// Whether enough of the iris is seen that what lids hide was completed.
    pub completed: bool,
    /// Share of the iris ring that is hidden.
    pub hidden_share: f32,
    /// Whether the pupil can be told from the iris; if not, it is as photographed.
    pub pupil_certain: bool,
    /// Where the iris ends and blurred sclera begins, in shares of the radius of the limbus.
    pub clear_limbus: f32,
}

/// Removes highlights from a copy of `rectified`, and marks them as [`Label::Reflection`] in the segmentation.
/// What belongs to lids is marked as [`Label::Hidden`] there; where enough of the iris is seen it is completed.
pub fn remove_reflections(
    rectified: &RectifiedIris,
    segmentation: &mut IrisSegmentation,
    sensitivity: &Sensitivity,
    threads: Threads,
) -> WithoutReflections {
    let rings = Rings::of(&rectified.view, &segmentation.pupil);
    let mut unwrapped = Unwrapped::of(rectified, segmentation, &rings, threads);
    let covered = Covered::find(&unwrapped, &rings);
    hide_beside_lids(
        &covered.lids,
        &mut unwrapped,
        segmentation,
        &rings,
        &rectified.view,
        threads,
    );
    let found = detect::find_highlights(&unwrapped, &rings, sensitivity);
    let (seen, least_seen) = lids::seen_shares(&unwrapped, &rings);
    let completed = seen >= LEAST_SEEN.0 && least_seen >= LEAST_SEEN.1;
    let strays = covered.strays.iter().map(|stray| completed && *stray);
    let hidden = unwrapped
        .visible
        .iter()
        .map(|visible| completed && !visible);
    let open: Vec<bool> = (hidden.zip(strays).zip(&found.highlights))
        .map(|((hidden, stray), highlight)| hidden || stray || *highlight)
        .collect();
    let open = fill::with_margin(&detect::without_islands(&open, &unwrapped.visible, &rings));
    let side = rectified.view.side;
    let mut without = WithoutReflections {
        rectified: rectified.clone(),
        filled: Plane::filled(side, side, 0),
        completed,
        hidden_share: 1.0 - seen,
        pupil_certain: true,
        clear_limbus: covered.clear_limbus(&rings),
    };
    let disc = PupilDisc::find(&unwrapped, &open);
    without.pupil_certain = disc.is_some();
    let under_light = PupilDisc::under_light(&open);
    if open.contains(&true) {
        let known = unwrapped
            .visible
            .iter()
            .zip(&open)
            .map(|(visible, open)| *visible && !open);
        let typical = found.typical.iter().zip(&covered.lines);
        let typical: Vec<bool> = typical.map(|(typical, line)| *typical && !line).collect();
        let texture = Texture::of(&unwrapped.colours, known.collect(), &typical);
        let rules = Rules {
            least_turn: LEAST_TURN,
        };
        let patches = fill::choose_patches(&texture, open, &unwrapped, rules);
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
    if let Some(disc) = disc.or(under_light) {
        darken_pupil(&mut without.rectified, &rings, &disc);
    }
    without
}

/// Marks visible places that belong to lids as hidden, on the rings and in the photo's labels.
fn hide_beside_lids(
    beside: &[bool],
    unwrapped: &mut Unwrapped,
    segmentation: &mut IrisSegmentation,
    rings: &Rings,
    view: &RectifiedView,
    threads: Threads,
) {
    const SIDE: usize = 512;
    if !beside.contains(&true) {
        return;
    }
    for (visible, beside) in unwrapped.visible.iter_mut().zip(beside) {
        *visible &= !beside;
    }
    let mut marks = vec![false; SIDE * SIDE];
    let scale = 1.0 / SIDE as f32;
    for (row, marks) in marks.chunks_exact_mut(SIDE).enumerate() {
        let v = (row as f32 + 0.5) * scale;
        for (first, marks) in marks.chunks_mut(TOGETHER).enumerate() {
            let places = rings.places(((first * TOGETHER) as f32 + 0.5) * scale, scale, v);
            for (at, mark) in marks.iter_mut().enumerate() {
                let ring = (places.rings[at] + 0.5).max(0.0) as usize;
                let angle = (places.angles[at] + 0.5 + ANGLES as f32) as usize % ANGLES;
                *mark = ring < RINGS && beside[unwrap::index(ring, angle)];
            }
        }
    }
    hide_labels(segmentation, &view.with_side(SIDE as u32), &marks, threads);
}

/// Hides the photo's labels of iris where the view is marked.
fn hide_labels(
    segmentation: &mut IrisSegmentation,
    view: &RectifiedView,
    marks: &[bool],
    threads: Threads,
) {
    const STRIP_ROWS: usize = 128;
    let rect = segmentation.rect;
    let width = segmentation.labels.width as usize;
    let strips = segmentation
        .labels
        .samples
        .chunks_mut(width * STRIP_ROWS)
        .enumerate();
    let side = view.side as usize;
    threads.map(strips.collect(), |(number, strip): (usize, &mut [u8])| {
        for (row, labels) in strip.chunks_exact_mut(width).enumerate() {
            let y = (rect.y as usize + number * STRIP_ROWS + row) as f32 + 0.5;
            let (u0, v0) = view.view_point(rect.x as f32 + 0.5, y);
            let (u1, v1) = view.view_point(rect.x as f32 + 1.5, y);
            for (column, label) in labels.iter_mut().enumerate() {
                let (u, v) = (
                    u0 + (u1 - u0) * column as f32,
                    v0 + (v1 - v0) * column as f32,
                );
                let (u, v) = (u.max(0.0) as usize, v.max(0.0) as usize);
                let is_iris = matches!(*label, 1 | 2 | 4);
                if is_iris && u < side && v < side && marks[v * side + u] {
                    *label = Label::Hidden as u8;
                }
            }
        }
    });
}

/// Makes the pupil an even dark disc without colour.
fn darken_pupil(rectified: &mut RectifiedIris, rings: &Rings, disc: &PupilDisc) {
    let targets = [
        (&mut rectified.luma, disc.luma),
        (&mut rectified.cb, 128.0),
        (&mut rectified.cr, 128.0),
    ];
    for (plane, target) in targets {
        let side = plane.width as usize;
        let scale = 1.0 / side as f32;
        let (rows, columns) = rings.square_around(disc.last_ring() + 1.0, side);
        for row in rows {
            let v = (row as f32 + 0.5) * scale;
            for first in columns.clone().step_by(TOGETHER) {
                let places = rings.places((first as f32 + 0.5) * scale, scale, v);
                for at in 0..TOGETHER.min(columns.end - first) {
                    let share = disc.share(places.rings[at], places.angles[at]);
                    let sample = &mut plane.samples[row * side + first + at];
                    let old = f32::from(*sample);
                    *sample = (old + (target - old) * share + 0.5) as u8;
                }
            }
        }
    }
}

/// Cells per side of the grid that says where there is anything to paint.
const CELLS: usize = 192;

/// Paints what stands in for highlights at full resolution.
struct Painter<'a> {
    rings: Rings,
    patches: &'a Patches,
    directions: &'static [(f32, f32); ANGLES],
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
                    |at, stroke, sources| {
                        luma[at] = painted_over(&original.luma, luma[at], sources, stroke, 0);
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
                    |at, stroke, sources| {
                        cb[at] = painted_over(&original.cb, cb[at], sources, stroke, 1);
                        cr[at] = painted_over(&original.cr, cr[at], sources, stroke, 2);
                    },
                );
            },
        );
    }

    /// Calls `paint` for each pixel to paint of some rows of a plane, with its index from the first row on,
    /// its stroke, and the places that its texture comes from, with their weights.
    fn paint_rows(
        &self,
        first: usize,
        side: usize,
        rows: usize,
        mut paint: impl FnMut(usize, &Stroke, &[Source]),
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
                        let mut sources = [Source::default(); 4];
                        for (source, &(weight, offset)) in sources.iter_mut().zip(stroke.sources())
                        {
                            let direction = (places.cosines[at], places.sines[at]);
                            let ring = places.rings[at] + f32::from(offset.shift);
                            let (u, v) =
                                self.rings.point(ring, self.turned(direction, offset.turn));
                            *source = Source {
                                weight,
                                x: u * side as f32,
                                y: v * side as f32,
                            };
                        }
                        let count = stroke.sources().len();
                        paint(row * side + first + at, &stroke, &sources[..count]);
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

/// A place that texture is taken from, in pixels.
#[derive(Debug, Clone, Copy, Default)]
struct Source {
    weight: f32,
    x: f32,
    y: f32,
}

/// A sample painted over by the texture at the sources and the light of the stroke.
#[inline]
fn painted_over(
    original: &Plane,
    sample: u8,
    sources: &[Source],
    stroke: &Stroke,
    channel: usize,
) -> u8 {
    let texture: f32 = sources
        .iter()
        .map(|source| source.weight * sample_bicubic(original, source.x, source.y))
        .sum();
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
