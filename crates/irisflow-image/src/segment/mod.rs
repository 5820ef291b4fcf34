//! Find the iris: limbus and pupil as ellipses, lids as curves, a label per pixel, and a confidence.

use crate::geometry::{Ellipse, PixelRect, Polyline};
use crate::plane::{Plane, ReducedPhoto, YCbCr};
use crate::rejection::Rejection;

/// What `segment_iris` needs of a photo: a reduced copy of all of it, and full resolution where asked.
pub trait PhotoPixels {
    /// Width and height of the upright photo.
    fn size(&self) -> (u32, u32);
    /// The whole photo, reduced so that its longer side has at most `max_side` pixels (never enlarged).
    fn reduced(&self, max_side: u32) -> ReducedPhoto;
    /// The pixels of `rect` at full resolution; `rect` lies within the photo.
    fn crop(&self, rect: PixelRect) -> YCbCr;
}

/// Where the iris is, in pixels of the upright photo.
#[derive(Debug, Clone)]
pub struct IrisSegmentation {
    /// The limbus: the outer border of the iris, also where lids or the frame hide it.
    pub iris: Ellipse,
    /// The pupil.
    pub pupil: Ellipse,
    /// Margin of the upper lid, left to right; empty when no lid comes near the iris.
    pub upper_lid: Polyline,
    /// Margin of the lower lid, left to right; empty when no lid comes near the iris.
    pub lower_lid: Polyline,
    /// The part of the photo that `labels` covers.
    pub rect: PixelRect,
    /// One [`Label`] per pixel of `rect`.
    pub labels: Plane,
    /// 0 to 1: how well limbus, pupil and photometry agree.
    pub confidence: f32,
    pub quality: Quality,
}

/// The values of a label plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Label {
    Nothing = 0,
    VisibleIris = 1,
    Pupil = 2,
    /// Inside the limbus, but behind a lid or lashes.
    Hidden = 3,
    /// A specular highlight on iris or pupil.
    Reflection = 4,
}

/// Numbers that say how usable the iris is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quality {
    /// Mean radius of the limbus, pixels of the upright photo.
    pub iris_radius_px: f32,
    /// Pupil radius divided by iris radius.
    pub pupil_ratio: f32,
    /// Visible share of the iris ring, 0 to 1 (reflections count as visible).
    pub visible_share: f32,
    /// Share of the iris ring under specular highlights, 0 to 1.
    pub reflection_share: f32,
    /// Edge sharpness on the iris; see the function that measures it for its unit.
    pub sharpness: f32,
    /// Mean luma of the visible iris ring, 0 to 255.
    pub mean_luma: f32,
    /// Mean luma step across the limbus from iris to sclera, 0 to 255.
    pub limbus_contrast: f32,
}

/// Finds the iris that can be used best.
///
/// # Errors
/// A rejection when there is no iris, or none worth processing. There is no fallback mask.
pub fn segment_iris(photo: &dyn PhotoPixels) -> Result<IrisSegmentation, Rejection> {
    let _ = photo;
    Err(Rejection {
        code: crate::rejection::RejectionCode::NoIrisFound,
        message: String::new(),
        suggestion: String::new(),
        value: None,
        threshold: None,
    })
}
