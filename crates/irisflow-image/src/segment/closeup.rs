//! A picture of one candidate at a size that suits it: the iris about 64 to 128 pixels in radius
//! (or fewer, when the photo has no more), with the surroundings that lids and sclera need.

use super::PhotoPixels;
use super::float_image::FloatImage;
use crate::geometry::{Ellipse, PixelRect};
use crate::plane::{ReducedPhoto, YCbCr};

/// Luma and chroma around a candidate. `photo = origin + closeup * scale`, in both axes.
#[derive(Debug)]
pub(super) struct Closeup {
    pub(super) luma: FloatImage,
    pub(super) cb: FloatImage,
    pub(super) cr: FloatImage,
    origin: (f32, f32),
    pub(super) scale: f32,
}

/// How far a closeup reaches from the centre of the iris, in radii.
const REACH_X: f32 = 1.8;
const REACH_Y: f32 = 2.15;

impl Closeup {
    /// Cut from the photo, so that the radius is between `target` and twice that, or the photo's own.
    pub(super) fn of_photo(photo: &dyn PhotoPixels, circle: &Ellipse, target: f32) -> Option<Self> {
        let (width, height) = photo.size();
        let rect = rect_around(circle, REACH_X, REACH_Y, width, height)?;
        Some(Self::of_crop(
            &photo.crop(rect),
            rect,
            circle.mean_radius(),
            target,
        ))
    }

    /// The same, of pixels that were cut before; they cover `rect` of the photo.
    pub(super) fn of_crop(crop: &YCbCr, rect: PixelRect, radius: f32, target: f32) -> Self {
        let origin = (rect.x as f32, rect.y as f32);
        let size = (rect.width as usize, rect.height as usize);
        Self::shrunk(crop, (0, 0), size, radius, target, origin, 1.0)
    }

    /// Cut from the reduced copy; `circle` is in pixels of the photo.
    pub(super) fn of_reduced(
        reduced: &ReducedPhoto,
        circle: &Ellipse,
        target: f32,
    ) -> Option<Self> {
        let scale = reduced.scale;
        let local = Ellipse::circle(
            circle.cx / scale,
            circle.cy / scale,
            circle.mean_radius() / scale,
        );
        let (width, height) = (reduced.planes.y.width, reduced.planes.y.height);
        let rect = rect_around(&local, REACH_X, REACH_Y, width, height)?;
        let origin = (rect.x as f32 * scale, rect.y as f32 * scale);
        let start = (rect.x as usize, rect.y as usize);
        let size = (rect.width as usize, rect.height as usize);
        Some(Self::shrunk(
            &reduced.planes,
            start,
            size,
            local.rx,
            target,
            origin,
            scale,
        ))
    }

    fn shrunk(
        planes: &YCbCr,
        start: (usize, usize),
        size: (usize, usize),
        radius: f32,
        target: f32,
        origin: (f32, f32),
        scale: f32,
    ) -> Self {
        let factor = ((radius / target) as usize).clamp(1, size.0.min(size.1).max(1));
        let small = (size.0 / factor, size.1 / factor);
        let part = |plane| FloatImage::from_plane_part(plane, start, small, factor);
        Self {
            luma: part(&planes.y),
            cb: part(&planes.cb),
            cr: part(&planes.cr),
            origin,
            scale: scale * factor as f32,
        }
    }

    pub(super) fn to_local(&self, ellipse: &Ellipse) -> Ellipse {
        Ellipse {
            cx: (ellipse.cx - self.origin.0) / self.scale,
            cy: (ellipse.cy - self.origin.1) / self.scale,
            rx: ellipse.rx / self.scale,
            ry: ellipse.ry / self.scale,
            angle_deg: ellipse.angle_deg,
        }
    }

    pub(super) fn to_photo(&self, ellipse: &Ellipse) -> Ellipse {
        let (cx, cy) = self.point_to_photo((ellipse.cx, ellipse.cy));
        Ellipse {
            cx,
            cy,
            rx: ellipse.rx * self.scale,
            ry: ellipse.ry * self.scale,
            angle_deg: ellipse.angle_deg,
        }
    }

    pub(super) fn point_to_local(&self, (x, y): (f32, f32)) -> (f32, f32) {
        (
            (x - self.origin.0) / self.scale,
            (y - self.origin.1) / self.scale,
        )
    }

    pub(super) fn point_to_photo(&self, (x, y): (f32, f32)) -> (f32, f32) {
        (
            self.origin.0 + x * self.scale,
            self.origin.1 + y * self.scale,
        )
    }
}

/// The part of a `width` x `height` picture within `reach_x`, `reach_y` radii of the circle's centre.
pub(super) fn rect_around(
    circle: &Ellipse,
    reach_x: f32,
    reach_y: f32,
    width: u32,
    height: u32,
) -> Option<PixelRect> {
    let radius = circle.rx.max(circle.ry);
    let span = |centre: f32, reach: f32, limit: u32| {
        let from = (centre - reach * radius).floor().clamp(0.0, limit as f32) as u32;
        let to = (centre + reach * radius).ceil().clamp(0.0, limit as f32) as u32;
        (from, to - from)
    };
    let (x, rect_width) = span(circle.cx, reach_x, width);
    let (y, rect_height) = span(circle.cy, reach_y, height);
    (rect_width >= 8 && rect_height >= 8).then_some(PixelRect {
        x,
        y,
        width: rect_width,
        height: rect_height,
    })
}
