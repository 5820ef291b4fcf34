//! Diagnostic pictures: all labels in the photo's own pixels, and outlines drawn on it.

use crate::encode::{self, EncodeError};
use crate::geometry::Ellipse;
use crate::load::EyePhoto;
use crate::plane::{Plane, YCbCr};
use crate::segment::{IrisSegmentation, PhotoPixels};

/// The overlay's longer side, in pixels.
const OVERLAY_SIDE: u32 = 2048;
const OVERLAY_QUALITY: u8 = 88;

/// YCbCr of the pens.
const LIMBUS: [u8; 3] = [150, 44, 21];
const PUPIL: [u8; 3] = [76, 85, 255];
const LIDS: [u8; 3] = [226, 0, 149];

/// The labels of `segmentation` in a plane of the whole upright photo.
pub fn label_picture(segmentation: &IrisSegmentation, (width, height): (u32, u32)) -> Plane {
    let mut picture = Plane::filled(width, height, 0);
    let rect = segmentation.rect;
    let columns = rect.x as usize..(rect.x + rect.width) as usize;
    for row in 0..rect.height {
        picture.row_mut(rect.y + row)[columns.clone()]
            .copy_from_slice(segmentation.labels.row(row));
    }
    picture
}

/// The photo, reduced where it is large, with limbus (green), pupil (red) and lids (yellow) as JPEG.
///
/// # Errors
/// When the picture cannot be encoded, which is a bug.
pub fn overlay_jpeg(
    photo: &EyePhoto,
    segmentation: &IrisSegmentation,
) -> Result<Vec<u8>, EncodeError> {
    let reduced = photo.reduced(OVERLAY_SIDE);
    let mut canvas = reduced.planes;
    let to_canvas = |(x, y): (f32, f32)| (x / reduced.scale, y / reduced.scale);
    for (ellipse, pen) in [(&segmentation.iris, LIMBUS), (&segmentation.pupil, PUPIL)] {
        let outline: Vec<_> = outline(ellipse).map(to_canvas).collect();
        draw_line(&mut canvas, &outline, pen);
    }
    for lid in [&segmentation.upper_lid, &segmentation.lower_lid] {
        let line: Vec<_> = lid.iter().copied().map(to_canvas).collect();
        draw_line(&mut canvas, &line, LIDS);
    }
    let (width, height) = (canvas.y.width as u16, canvas.y.height as u16);
    let samples = interleaved(&canvas);
    encode::jpeg_interleaved(&samples, width, height, OVERLAY_QUALITY, photo.profile())
}

fn outline(ellipse: &Ellipse) -> impl Iterator<Item = (f32, f32)> {
    const STEPS: u32 = 360;
    (0..=STEPS).map(|step| ellipse.point_at((step as f32).to_radians()))
}

/// Joins the points with dots half a pixel apart; the pen is a two-thousandth of the picture wide.
fn draw_line(canvas: &mut YCbCr, points: &[(f32, f32)], colour: [u8; 3]) {
    let pen = canvas.y.width.max(canvas.y.height).div_ceil(1024);
    for pair in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let steps = ((x1 - x0).hypot(y1 - y0) * 2.0).ceil().clamp(1.0, 16_384.0) as u32;
        for step in 0..=steps {
            let t = step as f32 / steps as f32;
            dot(canvas, x0 + (x1 - x0) * t, y0 + (y1 - y0) * t, pen, colour);
        }
    }
}

fn dot(canvas: &mut YCbCr, x: f32, y: f32, pen: u32, colour: [u8; 3]) {
    let half = pen as f32 / 2.0;
    let (left, top) = ((x - half).round() as i64, (y - half).round() as i64);
    let (width, height) = (canvas.y.width, canvas.y.height);
    let inside = |at: i64, limit: u32| (0..i64::from(limit)).contains(&at);
    for y in (top..top + i64::from(pen)).filter(|&y| inside(y, height)) {
        for x in (left..left + i64::from(pen)).filter(|&x| inside(x, width)) {
            canvas.y.row_mut(y as u32)[x as usize] = colour[0];
            canvas.cb.row_mut(y as u32)[x as usize] = colour[1];
            canvas.cr.row_mut(y as u32)[x as usize] = colour[2];
        }
    }
}

fn interleaved(planes: &YCbCr) -> Vec<u8> {
    let chroma = planes.cb.samples.iter().zip(&planes.cr.samples);
    let pixels = planes.y.samples.iter().zip(chroma);
    pixels.flat_map(|(&y, (&cb, &cr))| [y, cb, cr]).collect()
}
