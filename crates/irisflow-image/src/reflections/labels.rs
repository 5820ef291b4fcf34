//! Marks in the labels of the photo what a view shows as hidden or filled.

use std::ops::Range;

use multiversion::multiversion;

use crate::geometry::{Ellipse, PixelRect};
use crate::plane::{Plane, count_bytes};
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
    let count = |labels: &[u8]| {
        let of = |label: Label| count_bytes(labels, label as u8);
        of(Label::VisibleIris) + of(Label::Reflection)
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
    /// Labels in turn that are less than a cell wide together: they share a neighbourhood.
    together: usize,
}

impl<'a> Marking<'a> {
    fn new(rect: PixelRect, view: &'a RectifiedView, marks: &'a Plane, label: Label) -> Self {
        let origin = (rect.x as f32 + 0.5, rect.y as f32 + 0.5);
        let start = view.view_point(origin.0, origin.1);
        let next = view.view_point(origin.0 + 1.0, origin.1);
        let step = (next.0 - start.0, next.1 - start.1);
        let longest = step.0.hypot(step.1).max(1e-3);
        Self {
            view,
            marks,
            grid: Grid::of(marks),
            label: label as u8,
            origin,
            step,
            together: (CELL as f32 / longest).clamp(1.0, 64.0) as usize,
        }
    }

    /// Marks the labels from column `first` of a row on. How many they are.
    fn part_of_row(&self, row: usize, first: usize, labels: &mut [u8]) -> usize {
        let (u0, v0) = (self.view).view_point(self.origin.0, row as f32 + self.origin.1);
        let at = |column: usize| {
            (
                u0 + self.step.0 * column as f32,
                v0 + self.step.1 * column as f32,
            )
        };
        let mut marked = 0;
        for (number, part) in labels.chunks_mut(self.together).enumerate() {
            let first = first + number * self.together;
            match self.grid.around(at(first + part.len() / 2)) {
                Around::Unmarked => {}
                Around::Marked => marked += usize::from(mark_all(part, self.label)),
                Around::Mixed => {
                    for (column, label) in (first..).zip(part) {
                        if is_iris(*label) && self.is_marked(at(column)) {
                            *label = self.label;
                            marked += 1;
                        }
                    }
                }
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

/// At most 255 labels.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn mark_all(labels: &mut [u8], new: u8) -> u8 {
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
    cells: Vec<Around>,
    columns: usize,
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
        Self {
            cells: (0..columns * rows).map(around).collect(),
            columns,
        }
    }

    /// What lies around a place; beyond the plane nothing is marked.
    #[inline(always)]
    fn around(&self, (u, v): (f32, f32)) -> Around {
        let cell = |at: f32| (at + CELL as f32).max(0.0) as usize / CELL;
        let (column, row) = (cell(u), cell(v));
        let is_inside = (1..=self.columns).contains(&column) && row > 0;
        let found = (self.cells).get((row.max(1) - 1) * self.columns + column.max(1) - 1);
        match found {
            Some(around) if is_inside => *around,
            // Labels just beyond the border may lie beside marked places.
            _ => Around::Mixed,
        }
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn take_extremes(row: &[u8], lower: &mut [u8], upper: &mut [u8]) {
    for (sample, (lower, upper)) in row.iter().zip(lower.iter_mut().zip(upper)) {
        *lower = (*sample).min(*lower);
        *upper = (*sample).max(*upper);
    }
}
