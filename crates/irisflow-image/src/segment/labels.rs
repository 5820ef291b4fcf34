//! The label plane: which pixel of the photo is iris, pupil, or hidden behind a lid.
//! Reflections are labelled by the step that removes them.

use multiversion::multiversion;

use super::closeup::rect_around;
use super::inference::Inference;
use super::lids::Opening;
use super::{IrisSegmentation, Label};
use crate::geometry::{Ellipse, PixelRect};
use crate::plane::Plane;

/// How far the labelled part reaches beyond the iris, in radii.
const MARGIN: f32 = 1.15;
/// A pixel counts as covered when that is more likely than not.
const LEAST_COVER: f32 = 0.5;

/// The part of a `width` x `height` photo that the labels of `iris` cover.
pub(super) fn label_rect(iris: &Ellipse, width: u32, height: u32) -> Option<PixelRect> {
    rect_around(iris, MARGIN, MARGIN, width, height)
}

/// Whether a point of the photo is labelled as iris that is seen.
pub(super) fn is_visible_iris((labels, rect): (&Plane, PixelRect), (x, y): (f32, f32)) -> bool {
    let (column, row) = (x - rect.x as f32, y - rect.y as f32);
    column >= 0.0
        && row >= 0.0
        && column < labels.width as f32
        && row < labels.height as f32
        && labels.at(column as u32, row as u32) == Label::VisibleIris as u8
}

/// Labels of `rect`; all in pixels of the photo.
pub(super) fn draw_labels(
    rect: PixelRect,
    iris: &Ellipse,
    pupil: &Ellipse,
    opening: &Opening,
) -> Plane {
    let mut labels = Plane::filled(rect.width, rect.height, Label::Nothing as u8);
    let openings = (0..rect.width).map(|column| opening.at(rect.x as f32 + column as f32 + 0.5));
    let (tops, bottoms): (Vec<f32>, Vec<f32>) = openings.unzip();
    for row in 0..rect.height {
        let y = rect.y as f32 + row as f32 + 0.5;
        let Some(iris) = columns_within(iris, y, rect) else {
            continue;
        };
        let pupil = columns_within(pupil, y, rect).unwrap_or(iris.start..iris.start);
        let (start, end) = (
            pupil.start.clamp(iris.start, iris.end),
            pupil.end.clamp(iris.start, iris.end),
        );
        let labels = labels.row_mut(row);
        labels[iris.clone()].fill(Label::VisibleIris as u8);
        labels[start..end.max(start)].fill(Label::Pupil as u8);
        hide_beyond(
            y,
            &tops[iris.clone()],
            &bottoms[iris.clone()],
            &mut labels[iris],
        );
    }
    labels
}

/// Hides the labels of a row in columns that are not open there.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn hide_beyond(y: f32, tops: &[f32], bottoms: &[f32], labels: &mut [u8]) {
    for (label, (&top, &bottom)) in labels.iter_mut().zip(tops.iter().zip(bottoms)) {
        *label = if y < top || y > bottom {
            Label::Hidden as u8
        } else {
            *label
        };
    }
}

/// Hides what the network sees behind lashes or hair.
pub(super) fn hide_covered(labels: &mut Plane, rect: PixelRect, inference: &Inference) {
    let Some(covered) = &inference.maps.covered else {
        return;
    };
    let span = |from: f32, side: f32, start: u32, length: u32| {
        let pixel = |at: f32| (at - start as f32 - 0.5).ceil().clamp(0.0, length as f32) as u32;
        pixel(from)..pixel(from + side)
    };
    for square in inference.squares_above(covered, LEAST_COVER) {
        for row in span(square.top, square.side, rect.y, rect.height) {
            let y = rect.y as f32 + row as f32 + 0.5;
            let labels = labels.row_mut(row);
            for column in span(square.left, square.side, rect.x, rect.width) {
                let x = rect.x as f32 + column as f32 + 0.5;
                let label = &mut labels[column as usize];
                let is_shown = [Label::VisibleIris as u8, Label::Pupil as u8].contains(label);
                if is_shown && inference.at(covered, x, y) > LEAST_COVER {
                    *label = Label::Hidden as u8;
                }
            }
        }
    }
}

/// The columns of `rect` whose centres lie inside the ellipse on the line `y` of the photo.
fn columns_within(ellipse: &Ellipse, y: f32, rect: PixelRect) -> Option<std::ops::Range<usize>> {
    let (left, right) = ellipse.columns_at(y)?;
    let column = |x: f32| {
        let x = x - rect.x as f32 - 0.5;
        x.ceil().clamp(0.0, rect.width as f32) as usize
    };
    Some(column(left)..column(right))
}

impl IrisSegmentation {
    /// The label of the photo's pixel at `(x, y)`; nothing outside the labelled part.
    pub fn label_at(&self, x: f32, y: f32) -> Label {
        let (column, row) = (x - self.rect.x as f32, y - self.rect.y as f32);
        if column < 0.0
            || row < 0.0
            || column >= self.rect.width as f32
            || row >= self.rect.height as f32
        {
            return Label::Nothing;
        }
        match self.labels.at(column as u32, row as u32) {
            1 => Label::VisibleIris,
            2 => Label::Pupil,
            3 => Label::Hidden,
            4 => Label::Reflection,
            _ => Label::Nothing,
        }
    }
}
