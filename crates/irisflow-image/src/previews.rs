//! Small pictures of a photo's way through the pipeline, for those who watch it: the outline that was found, the light
//! that was taken off, the enhanced iris. JPEG, at most [`PREVIEW_SIDE`] pixels on the longer side.

use std::borrow::Cow;

use crate::coverage::Coverage;
use crate::encode::{self, Finished};
use crate::finish::{Background, LabelsOnRow, on_background};
use crate::geometry::{Ellipse, PixelRect};
use crate::load::{ColourProfile, EyePhoto};
use crate::plane::Plane;
use crate::rectified::RectifiedIris;
use crate::reflections::WithoutReflections;
use crate::resize::{Part, shrunk};
use crate::segment::{IrisSegmentation, Label, PhotoPixels as _, with_half_chroma};
use crate::threads::Threads;
use crate::thumbnail;

pub const PREVIEW_SIDE: u32 = 512;
/// The light is soft and mostly dark: more pixels would show no more.
const LIGHT_SIDE: u32 = 256;

const QUALITY: u8 = 80;

/// What a preview shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviewKind {
    /// The part of the upright photo around the eye, with lines along limbus, pupil and lids.
    Outline,
    /// The light that was taken off, bright on the darkened iris, in the geometry of the result. There is none of a
    /// photo without reflections.
    Light,
    /// The enhanced iris, in the geometry of the result.
    Result,
}

/// A small picture; JPEG.
#[derive(Clone)]
pub struct Preview {
    pub kind: PreviewKind,
    pub jpeg: Vec<u8>,
    pub width: u32,
    pub height: u32,
}

impl std::fmt::Debug for Preview {
    /// Says the size only: pixels of an eye identify its owner and never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}({} x {})", self.kind, self.width, self.height)
    }
}

impl Preview {
    /// `None` for a picture that cannot be encoded: a job goes on without its previews.
    fn of(kind: PreviewKind, picture: &Finished, profile: Option<&ColourProfile>) -> Option<Self> {
        let profile = thumbnail::small(profile);
        let jpeg = encode::jpeg(picture, QUALITY, profile, Threads::default()).ok()?;
        Some(Self {
            kind,
            jpeg,
            width: picture.luma.width,
            height: picture.luma.height,
        })
    }
}

/// The part of the photo around the eye, with what was found.
pub(crate) fn outline(photo: &EyePhoto, found: &IrisSegmentation) -> Option<Preview> {
    let rect = around(&found.iris, photo.size());
    let scale = (rect.width.max(rect.height) as f32 / PREVIEW_SIDE as f32).max(1.0);
    let shrink = |length: u32| ((length as f32 / scale) as u32 & !1).max(2);
    let (width, height) = (shrink(rect.width), shrink(rect.height));
    let mut planes = with_half_chroma(photo.scaled_roughly(rect, (width, height)));
    let pen = Pen {
        to_canvas: (width as f32 / rect.width as f32, rect),
    };
    let line = pen.draw(found, (width, height));
    blend(&mut planes.y, &line, LINE[0]);
    let line = line.halved();
    blend(&mut planes.cb, &line, LINE[1]);
    blend(&mut planes.cr, &line, LINE[2]);
    let picture = Finished {
        luma: planes.y,
        cb: planes.cb,
        cr: planes.cr,
    };
    Preview::of(PreviewKind::Outline, &picture, photo.profile())
}

/// As much of the photo as shows the eye with its surroundings, about 4:3.
fn around(iris: &Ellipse, (width, height): (u32, u32)) -> PixelRect {
    /// Of the part's height, in radii of the iris.
    const REACH: f32 = 1.8;
    let reach = iris.rx.max(iris.ry) * REACH;
    let span = |centre: f32, reach: f32, limit: u32| {
        let from = (centre - reach).clamp(0.0, (limit - 1) as f32) as u32;
        let to = (centre + reach).clamp(0.0, limit as f32) as u32;
        (from, to.max(from + 1) - from)
    };
    let (x, columns) = span(iris.cx, reach * 4.0 / 3.0, width);
    let (y, rows) = span(iris.cy, reach, height);
    PixelRect {
        x,
        y,
        width: columns,
        height: rows,
    }
}

/// YCbCr of the line: turquoise.
const LINE: [u8; 3] = [163, 180, 12];

/// Draws smooth lines into a plane of opacity.
struct Pen {
    /// Preview pixels per photo pixel, and the part of the photo that the preview shows.
    to_canvas: (f32, PixelRect),
}

impl Pen {
    fn draw(&self, found: &IrisSegmentation, (width, height): (u32, u32)) -> Plane {
        let mut canvas = Plane::filled(width, height, 0);
        for ellipse in [&found.iris, &found.pupil] {
            let points = (0..=120).map(|step| ellipse.point_at((step as f32 * 3.0).to_radians()));
            self.line(&mut canvas, points);
        }
        for lid in [&found.upper_lid, &found.lower_lid] {
            self.line(&mut canvas, lid.iter().copied());
        }
        canvas
    }

    /// Joins points of the photo with dots half a pixel apart.
    fn line(&self, canvas: &mut Plane, points: impl Iterator<Item = (f32, f32)>) {
        let (scale, rect) = self.to_canvas;
        let mut last: Option<(f32, f32)> = None;
        for (x, y) in points {
            let (x, y) = ((x - rect.x as f32) * scale, (y - rect.y as f32) * scale);
            let (x0, y0) = last.replace((x, y)).unwrap_or((x, y));
            let steps = ((x - x0).hypot(y - y0) * 2.0).ceil().clamp(1.0, 4096.0) as u32;
            for step in 1..=steps {
                let t = step as f32 / steps as f32;
                dot(canvas, x0 + (x - x0) * t, y0 + (y - y0) * t);
            }
        }
    }
}

/// A dot with a soft edge, in pixel coordinates.
fn dot(canvas: &mut Plane, x: f32, y: f32) {
    const RADIUS: f32 = 1.2;
    const REACH: f32 = RADIUS + 0.5;
    let inside = |from: f32, limit: u32| from.clamp(0.0, limit as f32) as u32;
    let columns = inside(x - REACH, canvas.width)..inside(x + REACH + 1.0, canvas.width);
    for row in inside(y - REACH, canvas.height)..inside(y + REACH + 1.0, canvas.height) {
        let dy = row as f32 + 0.5 - y;
        for column in columns.clone() {
            let dx = column as f32 + 0.5 - x;
            let opacity = (REACH - dx.hypot(dy)).clamp(0.0, 1.0) * 255.0;
            let sample = &mut canvas.row_mut(row)[column as usize];
            *sample = (*sample).max(opacity as u8);
        }
    }
}

fn blend(plane: &mut Plane, opacity: &Plane, colour: u8) {
    for (sample, &opacity) in plane.samples.iter_mut().zip(&opacity.samples) {
        let (from, to, opacity) = (u32::from(*sample), u32::from(colour), u32::from(opacity));
        *sample = ((from * (255 - opacity) + to * opacity + 127) / 255) as u8;
    }
}

/// The light that was taken off the iris and the pupil.
pub(crate) fn light(
    before: &RectifiedIris,
    cleaned: &WithoutReflections,
    found: &IrisSegmentation,
) -> Option<Preview> {
    /// Fewer pixels, of at least so much light, are none.
    const LEAST: (usize, u8) = (6, 24);
    let side = LIGHT_SIDE.min(before.view.side) & !1;
    let view = before.view.with_side(side);
    let mut luma = reduced(&cleaned.rectified.luma, side);
    let mut light = reduced(&before.luma, side);
    for v in 0..side {
        let labels = LabelsOnRow::new(found, &view, v);
        let rows = luma.row_mut(v).iter_mut().zip(light.row_mut(v)).enumerate();
        for (u, (after, before)) in rows {
            let label = labels.at(u);
            let is_shown = label != Label::Nothing as u8 && label != Label::Hidden as u8;
            let added = if is_shown {
                before.saturating_sub(*after)
            } else {
                0
            };
            *after = (*after / 3).saturating_add(added);
            *before = added;
        }
    }
    let bright = light.samples.iter().filter(|&&light| light >= LEAST.1);
    if bright.count() < LEAST.0 {
        return None;
    }
    let tint = light.halved();
    let tinted = |shade: fn(u8) -> u8| Plane {
        samples: tint.samples.iter().map(|&light| shade(light)).collect(),
        ..tint
    };
    let picture = Finished {
        luma,
        cb: tinted(|light| 128 - light / 4),
        cr: tinted(|light| 128 + light / 10),
    };
    Preview::of(PreviewKind::Light, &picture, None)
}

/// The enhanced iris before it gets the size of the result.
pub(crate) fn result(
    enhanced: &RectifiedIris,
    coverage: &Coverage,
    background: Background,
    profile: Option<&ColourProfile>,
) -> Option<Preview> {
    let side = PREVIEW_SIDE.min(enhanced.view.side) & !1;
    let iris = Finished {
        luma: reduced(&enhanced.luma, side),
        cb: reduced(&enhanced.cb, side / 2),
        cr: reduced(&enhanced.cr, side / 2),
    };
    let opacity = coverage.opacity(side, Threads::default());
    let ground = match background {
        Background::White => Background::White,
        Background::Black | Background::Transparent | Background::Photo => Background::Black,
    };
    let picture = on_background(&iris, &opacity, ground, enhanced, Threads::default());
    Preview::of(PreviewKind::Result, &picture, profile)
}

/// Means of four first, which cost least, then what is left of the way.
fn reduced(plane: &Plane, side: u32) -> Plane {
    let mut plane = Cow::Borrowed(plane);
    while plane.width >= 2 * side {
        plane = Cow::Owned(plane.halved());
    }
    let from = (plane.width, plane.height);
    let whole = Part {
        left: 0.0,
        top: 0.0,
        width: f64::from(from.0),
        height: f64::from(from.1),
    };
    Plane {
        width: side,
        height: side,
        samples: shrunk(&plane.samples, 1, from, whole, (side, side)),
    }
}
