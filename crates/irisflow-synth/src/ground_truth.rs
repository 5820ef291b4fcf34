//! Ground truth: the iris and pupil ellipses of each eye.

use crate::photo_traits::Usability;

/// An ellipse of the finished picture, in pixels.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrueEllipse {
    pub cx: f32,
    pub cy: f32,
    pub rx: f32,
    pub ry: f32,
    pub angle_rad: f32,
}

impl TrueEllipse {
    /// The radius of the circle of the same area.
    pub fn mean_radius(&self) -> f32 {
        (self.rx * self.ry).sqrt()
    }

    /// 0 at the centre, 1 on the outline.
    pub fn distance(&self, x: f32, y: f32) -> f32 {
        let (sin, cos) = self.angle_rad.sin_cos();
        let (dx, dy) = (x - self.cx, y - self.cy);
        ((dx * cos + dy * sin) / self.rx).hypot((dy * cos - dx * sin) / self.ry)
    }
}

/// Ground truth of one eye.
#[derive(Debug, Clone, Copy)]
pub struct TrueEye {
    pub iris: TrueEllipse,
    pub pupil: TrueEllipse,
    /// Share of the iris disc that is neither occluded nor outside the photo.
    pub visible_share: f32,
    pub usability: Usability,
}
