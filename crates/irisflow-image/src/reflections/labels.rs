//! Marks in the labels of the photo what a view shows as hidden or filled.

use std::ops::Range;

use multiversion::multiversion;

use crate::geometry::{Ellipse, PixelRect};
use crate::plane::Plane;
use crate::rectified::RectifiedView;
use crate::segment::{IrisSegmentation, Label};
use crate::threads::Threads;

/// Marks from this value on count.
const MARKED: u8 = 128;
const STRIP_ROWS: usize = 128;

/// Marks what was filled, and measures its share of the iris ring.
pub(super) fn mark_reflections(
    segmentation: &mut IrisSegmentation,
    view: &RectifiedView,
    filled: &Plane,
    threads: Threads,
) {
    let ring_pixels = ring_pixels(segmentation, threads);
    let reflections = mark(segmentation, view, filled, Label::Reflection, threads);
    segmentation.quality.reflection_share = reflections as f32 / ring_pixels.max(1) as f32;
}

/// The pixels of the iris ring that are seen.
fn ring_pixels(segmentation: &IrisSegmentation, threads: Threads) -> usize {
    let labels = &segmentation.labels;
    let pupil = PupilColumns::of(segmentation);
    let width = labels.width as usize;
    let count = |labels: &[u8]| -> usize {
        // Bytes add up to bytes, so that many are counted at a time.
        let parts = labels.chunks(255);
        parts.map(|part| usize::from(count_seen(part))).sum()
    };
    let strips = labels.samples.chunks(width * STRIP_ROWS).enumerate();
    let counts = threads.map(strips.collect(), |(number, strip): (usize, &[u8])| {
        let rows = strip.chunks_exact(width).enumerate();
        rows.map(|(row, labels)| {
            let pupil = pupil.of_row(number * STRIP_ROWS + row);
            count(&labels[..pupil.start]) + count(&labels[pupil.end..])
        })
        .sum::<usize>()
    });
    counts.iter().sum()
}

/// How many of at most 255 labels are of the iris as the camera saw it.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn count_seen(labels: &[u8]) -> u8 {
    const IRIS: u8 = Label::VisibleIris as u8;
    const REFLECTION: u8 = Label::Reflection as u8;
    labels
        .iter()
        .map(|&label| u8::from(label == IRIS || label == REFLECTION))
        .sum()
}

/// Gives labels of iris and pupil this label where the view is marked. The number of them beside the pupil.
pub(super) fn mark(
    segmentation: &mut IrisSegmentation,
    view: &RectifiedView,
    marks: &Plane,
    label: Label,
    threads: Threads,
) -> usize {
    let pupil = PupilColumns::of(segmentation);
    let marking = Marking::new(segmentation.rect, view, marks, label);
    let labels = &mut segmentation.labels;
    let width = labels.width as usize;
    let strips = labels.samples.chunks_mut(width * STRIP_ROWS).enumerate();
    let counts = threads.map(strips.collect(), |(number, strip): (usize, &mut [u8])| {
        let rows = strip.chunks_exact_mut(width).enumerate();
        rows.map(|(row, labels)| {
            let row = number * STRIP_ROWS + row;
            let pupil = pupil.of_row(row);
            let (labels, after) = labels.split_at_mut(pupil.end);
            let (before, within) = labels.split_at_mut(pupil.start);
            marking.part_of_row(row, pupil.start, within);
            marking.part_of_row(row, 0, before) + marking.part_of_row(row, pupil.end, after)
        })
        .sum::<usize>()
    });
    counts.iter().sum()
}

/// The labels of each row that the pupil covers.
struct PupilColumns {
    pupil: Ellipse,
    rect: PixelRect,
}

impl PupilColumns {
    fn of(segmentation: &IrisSegmentation) -> Self {
        Self {
            pupil: segmentation.pupil,
            rect: segmentation.rect,
        }
    }

    fn of_row(&self, row: usize) -> Range<usize> {
        let width = self.rect.width as f32;
        let column = |x: f32| (x - self.rect.x as f32 - 0.5).ceil().clamp(0.0, width) as usize;
        let columns = self.pupil.columns_at(row as f32 + self.rect.y as f32 + 0.5);
        columns.map_or(0..0, |(from, to)| column(from)..column(to))
    }
}

/// Where labels lie in a view of which some places are marked.
struct Marking<'a> {
    view: &'a RectifiedView,
    marks: &'a Plane,
    grid: Grid,
    label: u8,
    /// The middle of the first label, in pixels of the photo.
    origin: (f32, f32),
    /// How far the view's point moves from label to label of a row.
    step: (f32, f32),
    /// Labels in turn that lie in one row of cells or the rows beside it.
    together: usize,
}

impl<'a> Marking<'a> {
    fn new(rect: PixelRect, view: &'a RectifiedView, marks: &'a Plane, label: Label) -> Self {
        let origin = (rect.x as f32 + 0.5, rect.y as f32 + 0.5);
        let start = view.view_point(origin.0, origin.1);
        let next = view.view_point(origin.0 + 1.0, origin.1);
        let step = (next.0 - start.0, next.1 - start.1);
        Self {
            view,
            marks,
            grid: Grid::of(marks),
            label: label as u8,
            origin,
            step,
            together: (CELL as f32 / step.1.abs().max(1e-6)).clamp(1.0, 1e6) as usize,
        }
    }

    /// Marks the labels from column `first` of a row on. How many they are.
    fn part_of_row(&self, row: usize, first: usize, labels: &mut [u8]) -> usize {
        let start = (self.view).view_point(self.origin.0, row as f32 + self.origin.1);
        let mut marked = 0;
        for (number, part) in labels.chunks_mut(self.together).enumerate() {
            let first = first + number * self.together;
            let width = part.len();
            let v = start.1 + self.step.1 * (first + width / 2) as f32;
            // The column of the part at which a column of the view begins.
            let column = |u: usize| {
                let column = (u as f32 - start.0) / self.step.0.max(1e-6) - first as f32;
                column.clamp(0.0, width as f32) as usize
            };
            for (cells, around) in self.grid.runs(v) {
                let columns = column(cells.start * CELL)..column(cells.end * CELL);
                let labels = &mut part[columns.clone()];
                marked += match around {
                    Around::Unmarked => 0,
                    Around::Marked => mark_all(labels, self.label),
                    Around::Mixed => self.mark_each(start, first + columns.start, labels),
                };
            }
        }
        marked
    }

    /// Marks labels from a column on by looking at each.
    fn mark_each(&self, start: (f32, f32), first: usize, labels: &mut [u8]) -> usize {
        let mut marked = 0;
        for (column, label) in (first..).zip(labels) {
            let column = column as f32;
            let place = (
                start.0 + self.step.0 * column,
                start.1 + self.step.1 * column,
            );
            if is_iris(*label) && self.is_marked(place) {
                *label = self.label;
                marked += 1;
            }
        }
        marked
    }

    #[inline(always)]
    fn is_marked(&self, (u, v): (f32, f32)) -> bool {
        let (u, v) = (u.max(0.0) as i32 as u32, v.max(0.0) as i32 as u32);
        u < self.marks.width && v < self.marks.height && self.marks.at(u, v) >= MARKED
    }
}

fn is_iris(label: u8) -> bool {
    const IRIS: [u8; 3] = [
        Label::VisibleIris as u8,
        Label::Pupil as u8,
        Label::Reflection as u8,
    ];
    IRIS.contains(&label)
}

fn mark_all(labels: &mut [u8], new: u8) -> usize {
    // Bytes add up to bytes, so that many are counted at a time.
    let parts = labels.chunks_mut(255);
    parts.map(|part| usize::from(mark_few(part, new))).sum()
}

/// At most 255 labels.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn mark_few(labels: &mut [u8], new: u8) -> u8 {
    let mut marked = 0;
    for label in labels {
        let is_iris = is_iris(*label);
        *label = if is_iris { new } else { *label };
        marked += u8::from(is_iris);
    }
    marked
}

/// Pixels per side of a cell.
const CELL: usize = 8;

/// What all places within a cell, and within its neighbours, are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    Unmarked,
    Marked,
    Mixed,
}

/// A coarse grid over a plane of marks.
struct Grid {
    /// For each row of cells those alike in turn, without the unmarked ones.
    rows: Vec<Vec<(Range<usize>, Around)>>,
}

impl Grid {
    fn of(marks: &Plane) -> Self {
        let columns = (marks.width as usize).div_ceil(CELL);
        let rows = (marks.height as usize).div_ceil(CELL);
        let mut least = vec![255; columns * rows];
        let mut most = vec![0; columns * rows];
        let of_rows = least
            .chunks_exact_mut(columns)
            .zip(most.chunks_exact_mut(columns));
        let (mut lower, mut upper) = (Vec::new(), Vec::new());
        let strips = marks.samples.chunks(marks.width as usize * CELL);
        for (strip, (least, most)) in strips.zip(of_rows) {
            lower.clear();
            lower.resize(marks.width as usize, 255);
            upper.clear();
            upper.resize(marks.width as usize, 0);
            for row in strip.chunks_exact(marks.width as usize) {
                take_extremes(row, &mut lower, &mut upper);
            }
            let cells = lower.chunks(CELL).zip(upper.chunks(CELL));
            for ((least, most), (lower, upper)) in least.iter_mut().zip(most).zip(cells) {
                *least = lower.iter().copied().min().unwrap_or_default();
                *most = upper.iter().copied().max().unwrap_or_default();
            }
        }
        let around = |at: usize| {
            let (column, row) = (at % columns, at / columns);
            let near = (row.saturating_sub(1)..=(row + 1).min(rows - 1)).flat_map(|row| {
                let near = column.saturating_sub(1)..=(column + 1).min(columns - 1);
                near.map(move |column| row * columns + column)
            });
            let (lowest, highest) = near.fold((255, 0), |(lowest, highest), at| {
                (least[at].min(lowest), most[at].max(highest))
            });
            match (lowest, highest) {
                (MARKED.., _) => Around::Marked,
                (_, ..MARKED) => Around::Unmarked,
                _ => Around::Mixed,
            }
        };
        let row = |row: usize| {
            let cells: Vec<Around> = (row * columns..(row + 1) * columns).map(around).collect();
            let mut end = 0;
            let runs = cells.chunk_by(|a, b| a == b).map(|run| {
                end += run.len();
                (end - run.len()..end, run[0])
            });
            runs.filter(|(_, around)| *around != Around::Unmarked)
                .collect()
        };
        Self {
            rows: (0..rows).map(row).collect(),
        }
    }

    /// What is marked in the row of cells around a row of the view. Beyond the view nothing is.
    fn runs(&self, v: f32) -> impl Iterator<Item = (Range<usize>, Around)> {
        let cell = (v / CELL as f32).floor();
        let row = (cell >= 0.0)
            .then(|| self.rows.get(cell as usize))
            .flatten();
        row.into_iter().flatten().cloned()
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn take_extremes(row: &[u8], lower: &mut [u8], upper: &mut [u8]) {
    for (sample, (lower, upper)) in row.iter().zip(lower.iter_mut().zip(upper)) {
        *lower = (*sample).min(*lower);
        *upper = (*sample).max(*upper);
    }
}
