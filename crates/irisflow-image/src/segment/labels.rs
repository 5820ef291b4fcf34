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
    let openings: Vec<(f32, f32)> = (0..rect.width)
        .map(|column| opening_at(rect.x as f32 + column as f32 + 0.5, lids, closeup))
        .collect();
    for row in 0..rect.height {
        let y = rect.y as f32 + row as f32 + 0.5;
        let Some(iris_span) = columns_within(iris, y, rect) else {
            continue;
        };
        let pupil_span = columns_within(pupil, y, rect).unwrap_or(0..0);
        let labels = labels.row_mut(row);
        for column in iris_span {
            let (top, bottom) = openings[column];
            labels[column] = if y < top || y > bottom {
                Label::Hidden
            } else if pupil_span.contains(&column) {
                Label::Pupil
            } else {
                Label::VisibleIris
            } as u8;
        }
    }
    labels
}

/// The columns of `rect` whose centres lie inside the ellipse on the line `y` of the photo.
fn columns_within(ellipse: &Ellipse, y: f32, rect: PixelRect) -> Option<std::ops::Range<usize>> {
    // In the ellipse's frame (u / rx)^2 + (v / ry)^2 = 1 with u = dx cos + dy sin, v = dy cos - dx sin:
    // a quadratic in dx.
    let (sin, cos) = ellipse.angle_deg.to_radians().sin_cos();
    let (p, q) = (
        1.0 / (ellipse.rx * ellipse.rx),
        1.0 / (ellipse.ry * ellipse.ry),
    );
    let dy = y - ellipse.cy;
    let a = p * cos * cos + q * sin * sin;
    let half_b = dy * sin * cos * (p - q);
    let c = dy * dy * (p * sin * sin + q * cos * cos) - 1.0;
    let discriminant = half_b * half_b - a * c;
    if discriminant <= 0.0 {
        return None;
    }
    let root = discriminant.sqrt();
    let column = |dx: f32| {
        let x = ellipse.cx + dx - rect.x as f32 - 0.5;
        x.ceil().clamp(0.0, rect.width as f32) as usize
    };
    Some(column((-half_b - root) / a)..column((-half_b + root) / a))
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
