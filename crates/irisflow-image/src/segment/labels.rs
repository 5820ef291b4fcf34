//! The label plane: which pixel of the photo is iris, pupil, or hidden behind a lid.
//! Reflections are labelled by the step that removes them.

use super::Label;
use super::closeup::{Closeup, rect_around};
use super::lids::Lids;
use crate::geometry::{Ellipse, PixelRect};
use crate::plane::Plane;

/// How far the labelled part reaches beyond the iris, in radii.
const MARGIN: f32 = 1.15;

/// The part of a `width` x `height` photo that the labels of `iris` cover.
pub(super) fn label_rect(iris: &Ellipse, width: u32, height: u32) -> Option<PixelRect> {
    rect_around(iris, MARGIN, MARGIN, width, height)
}

/// Labels of `rect`; `iris` and `pupil` are in pixels of the photo, `lids` in those of the closeup.
pub(super) fn draw_labels(
    rect: PixelRect,
    iris: &Ellipse,
    pupil: &Ellipse,
    lids: &Lids,
    closeup: &Closeup,
) -> Plane {
    let mut labels = Plane::filled(rect.width, rect.height, Label::Nothing as u8);
    let bounds: Vec<(f32, f32)> = (0..rect.width)
        .map(|x| opening_at(rect.x as f32 + x as f32 + 0.5, lids, closeup))
        .collect();
    for row in 0..rect.height {
        let y = rect.y as f32 + row as f32 + 0.5;
        for (column, label) in labels.row_mut(row).iter_mut().enumerate() {
            let x = rect.x as f32 + column as f32 + 0.5;
            if !iris.contains(x, y) {
                continue;
            }
            let (top, bottom) = bounds[column];
            *label = if y < top || y > bottom {
                Label::Hidden
            } else if pupil.contains(x, y) {
                Label::Pupil
            } else {
                Label::VisibleIris
            } as u8;
        }
    }
    labels
}

/// Where the eye is open in the column `x` of the photo: from the upper to the lower lid.
fn opening_at(x: f32, lids: &Lids, closeup: &Closeup) -> (f32, f32) {
    let local_x = closeup.point_to_local((x, 0.0)).0;
    let y_of = |lid: super::lids::LidCurve| closeup.point_to_photo((0.0, lid.y_at(local_x))).1;
    (
        lids.upper.map_or(f32::MIN, y_of),
        lids.lower.map_or(f32::MAX, y_of),
    )
}
