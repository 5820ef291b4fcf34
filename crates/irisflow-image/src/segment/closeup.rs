//! A picture of one eye at a size that suits it, with the surroundings that lids and sclera need.

use super::PhotoPixels;
use super::float_image::FloatImage;
use crate::geometry::{Ellipse, PixelRect};

/// Luma and chroma around an iris. `photo = origin + closeup * scale`, in both axes.
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
    /// Cut from the photo, shrunk to a radius of `target` pixels if it has more.
    pub(super) fn of_photo(photo: &dyn PhotoPixels, iris: &Ellipse, target: f32) -> Option<Self> {
        let (width, height) = photo.size();
        let mut rect = rect_around(iris, REACH_X, REACH_Y, width, height)?;
        let scale = iris.mean_radius() / target;
        let planes = if scale > 1.0 {
            let shrink = |length: u32| ((length as f32 / scale) as u32).max(1);
            let size = (shrink(rect.width), shrink(rect.height));
            // Whole pixels of the closeup, so that its scale is the same on both axes.
            let cut = |length: u32, small: u32| ((small as f32 * scale).round() as u32).min(length);
            rect.width = cut(rect.width, size.0);
            rect.height = cut(rect.height, size.1);
            photo.scaled(rect, size)
        } else {
            photo.crop(rect)
        };
        let [luma, cb, cr] = [&planes.y, &planes.cb, &planes.cr].map(FloatImage::from_plane);
        Some(Self {
            luma,
            cb,
            cr,
            origin: (rect.x as f32, rect.y as f32),
            scale: scale.max(1.0),
        })
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
