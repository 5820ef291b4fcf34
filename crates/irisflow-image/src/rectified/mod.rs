//! The rectified iris: a round, centred square picture, with about as many pixels as the photo has of it.
//!
//! All steps after finding the iris work here, so that their cost follows the iris and not the
//! sensor, and so that result, mask and "before" share one geometry. `resample.rs` computes the pixels.

mod resample;

use crate::geometry::{Ellipse, PixelRect};
use crate::plane::{Plane, YCbCr};
use crate::segment::PhotoPixels;
use crate::threads::Threads;
pub(crate) use resample::enlarged;
use resample::resample;

/// Share of half the side that the iris's radius takes.
pub const IRIS_FILL: f32 = 0.94;
/// A rectified iris has at least this many pixels per side, or the filters would have nothing to work on.
const MIN_SIDE: u32 = 64;

/// The geometry of a square picture in which the limbus is a centred circle.
///
/// The ellipse is stretched along its own axes and not turned: up stays up.
#[derive(Debug, Clone, Copy)]
pub struct RectifiedView {
    /// Pixels per side.
    pub side: u32,
    centre: (f32, f32),
    /// Photo pixels per view pixel: the symmetric matrix `[xx, xy; xy, yy]`.
    xx: f32,
    xy: f32,
    yy: f32,
}

impl RectifiedView {
    pub fn new(iris: &Ellipse, side: u32) -> Self {
        let (sin, cos) = iris.angle_deg.to_radians().sin_cos();
        let radius = side as f32 / 2.0 * IRIS_FILL;
        let (sx, sy) = (iris.rx / radius, iris.ry / radius);
        Self {
            side,
            centre: (iris.cx, iris.cy),
            xx: sx * cos * cos + sy * sin * sin,
            xy: (sx - sy) * sin * cos,
            yy: sx * sin * sin + sy * cos * cos,
        }
    }

    /// The view at the photo's own resolution: no more pixels than the photo gives, or than the result needs.
    pub fn of_photo(iris: &Ellipse, max_side: u32) -> Self {
        let side = (2.0 * iris.rx.max(iris.ry) / IRIS_FILL).round() as u32;
        Self::new(iris, side.clamp(MIN_SIDE, max_side))
    }

    /// The same view with other pixels.
    pub fn with_side(&self, side: u32) -> Self {
        let scale = self.side as f32 / side as f32;
        Self {
            side,
            xx: self.xx * scale,
            xy: self.xy * scale,
            yy: self.yy * scale,
            ..*self
        }
    }

    /// The same view of a photo of half the size.
    fn of_halved_photo(&self) -> Self {
        Self {
            side: self.side,
            centre: (self.centre.0 / 2.0, self.centre.1 / 2.0),
            xx: self.xx / 2.0,
            xy: self.xy / 2.0,
            yy: self.yy / 2.0,
        }
    }

    /// Radius of the limbus in view pixels.
    pub fn iris_radius(&self) -> f32 {
        self.side as f32 / 2.0 * IRIS_FILL
    }

    /// The point of the photo that the view shows at `(u, v)`.
    pub fn photo_point(&self, u: f32, v: f32) -> (f32, f32) {
        let half = self.side as f32 / 2.0;
        let (u, v) = (u - half, v - half);
        (
            self.centre.0 + self.xx * u + self.xy * v,
            self.centre.1 + self.xy * u + self.yy * v,
        )
    }

    /// Where the view shows the point `(x, y)` of the photo.
    pub fn view_point(&self, x: f32, y: f32) -> (f32, f32) {
        let determinant = self.xx * self.yy - self.xy * self.xy;
        let (x, y) = (x - self.centre.0, y - self.centre.1);
        let half = self.side as f32 / 2.0;
        (
            half + (self.yy * x - self.xy * y) / determinant,
            half + (self.xx * y - self.xy * x) / determinant,
        )
    }

    /// The part of the photo that the view needs, cut to the photo.
    fn needed(&self, (width, height): (u32, u32)) -> PixelRect {
        let half = self.side as f32 / 2.0;
        let margin = 4.0 * self.xx.max(self.yy).max(1.0);
        let reach_x = half * (self.xx + self.xy.abs()) + margin;
        let reach_y = half * (self.xy.abs() + self.yy) + margin;
        let span = |centre: f32, reach: f32, limit: u32| {
            let from = ((centre - reach).floor().max(0.0) as u32).min(limit - 1) & !1;
            let to = ((centre + reach).ceil().max(0.0) as u32).clamp(from + 1, limit);
            (from, to - from)
        };
        // Even corners, so that the part can be halved.
        let (x, columns) = span(self.centre.0, reach_x, width);
        let (y, rows) = span(self.centre.1, reach_y, height);
        PixelRect {
            x,
            y,
            width: columns,
            height: rows,
        }
    }
}

/// The iris, round and centred. Chroma has at most half as many pixels per side as the largest result.
#[derive(Debug, Clone)]
pub struct RectifiedIris {
    pub view: RectifiedView,
    pub luma: Plane,
    pub cb: Plane,
    pub cr: Plane,
}

impl RectifiedIris {
    pub fn chroma_side(&self) -> u32 {
        self.cb.width
    }
}

/// Resamples `iris` from `photo` so that its limbus is a centred circle. What lies outside the photo is black.
/// It has at most `max_side` pixels per side.
pub fn rectify_iris(
    photo: &dyn PhotoPixels,
    iris: &Ellipse,
    max_side: u32,
    threads: Threads,
) -> RectifiedIris {
    let view = RectifiedView::of_photo(iris, max_side);
    let rect = view.needed(photo.size());
    let chroma_view = view.with_side(view.side.min(max_side / 2));
    // Cameras store chroma at half the size: halving it first loses nothing and saves most work.
    let is_halved = chroma_view.xx.min(chroma_view.yy) >= 1.6;
    let YCbCr { y, cb, cr } = if is_halved {
        photo.crop_with_half_chroma(rect)
    } else {
        photo.crop(rect)
    };
    // Where at least two pixels become one, the mean of four is as accurate, at a quarter of the work.
    let luma = if view.xx.min(view.yy) >= 2.0 {
        resample(
            &y.halved(),
            rect.halved(),
            &view.of_halved_photo(),
            0,
            threads,
        )
    } else {
        resample(&y, rect, &view, 0, threads)
    };
    drop(y);
    let chroma = |plane: &Plane| match is_halved {
        true => {
            let view = chroma_view.of_halved_photo();
            resample(plane, rect.halved(), &view, 128, threads)
        }
        false => resample(plane, rect, &chroma_view, 128, threads),
    };
    RectifiedIris {
        luma,
        cb: chroma(&cb),
        cr: chroma(&cr),
        view,
    }
}

#[cfg(test)]
mod tests {
    use super::{IRIS_FILL, RectifiedView, rectify_iris};
    use crate::geometry::{Ellipse, PixelRect};
    use crate::plane::{Plane, ReducedPhoto, YCbCr};
    use crate::segment::PhotoPixels;
    use crate::threads::Threads;

    /// A white ellipse on black.
    struct Painted(Ellipse);

    impl PhotoPixels for Painted {
        fn size(&self) -> (u32, u32) {
            (300, 260)
        }

        fn reduced(&self, _max_side: u32) -> ReducedPhoto {
            unreachable!("a rectified iris is taken at full resolution")
        }

        fn scaled(&self, _rect: PixelRect, _size: (u32, u32)) -> YCbCr {
            unreachable!("a rectified iris is taken at full resolution")
        }

        fn crop(&self, rect: PixelRect) -> YCbCr {
            let mut y = Plane::filled(rect.width, rect.height, 0);
            for row in 0..rect.height {
                for (column, sample) in y.row_mut(row).iter_mut().enumerate() {
                    let (x, y) = (
                        rect.x as f32 + column as f32 + 0.5,
                        (rect.y + row) as f32 + 0.5,
                    );
                    *sample = if self.0.contains(x, y) { 255 } else { 0 };
                }
            }
            let neutral = Plane::filled(rect.width, rect.height, 128);
            YCbCr {
                y,
                cb: neutral.clone(),
                cr: neutral,
            }
        }
    }

    fn tilted() -> Ellipse {
        Ellipse {
            cx: 147.3,
            cy: 128.8,
            rx: 100.0,
            ry: 84.0,
            angle_deg: 30.0,
        }
    }

    #[test]
    fn a_tilted_ellipse_becomes_a_centred_circle() {
        let rectified = rectify_iris(&Painted(tilted()), &tilted(), 2048, Threads::new(2));
        let view = rectified.view;
        let circle = Ellipse::circle(
            view.side as f32 / 2.0,
            view.side as f32 / 2.0,
            view.iris_radius(),
        );
        for v in 0..view.side {
            for u in 0..view.side {
                let distance = circle.normalised_distance(u as f32 + 0.5, v as f32 + 0.5);
                let sample = rectified.luma.at(u, v);
                assert!(
                    distance > 0.98 || sample > 200,
                    "{sample} inside at ({u}, {v})"
                );
                assert!(
                    distance < 1.02 || sample < 55,
                    "{sample} outside at ({u}, {v})"
                );
            }
        }
    }

    #[test]
    fn photo_and_view_points_are_each_others_inverse() {
        let view = RectifiedView::new(&tilted(), 512);
        let (x, y) = view.photo_point(100.5, 300.25);
        let (u, v) = view.view_point(x, y);
        assert!((u - 100.5).abs() < 1e-2 && (v - 300.25).abs() < 1e-2);
        let (x, y) = view.photo_point(256.0 + 256.0 * IRIS_FILL, 256.0);
        assert!((tilted().normalised_distance(x, y) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn what_the_photo_does_not_reach_is_black() {
        let beyond = Ellipse::circle(290.0, 130.0, 80.0);
        let rectified = rectify_iris(
            &Painted(Ellipse::circle(150.0, 130.0, 400.0)),
            &beyond,
            2048,
            Threads::default(),
        );
        let middle = rectified.view.side / 2;
        assert_eq!(rectified.luma.at(middle, middle), 255);
        assert_eq!(rectified.luma.at(rectified.view.side - 1, middle), 0);
    }

    #[test]
    fn a_huge_iris_is_made_no_larger_than_the_result() {
        assert_eq!(
            RectifiedView::of_photo(&Ellipse::circle(2000.0, 2000.0, 1900.0), 2048).side,
            2048
        );
    }
}
