//! The rectified iris at its final size: the result on black, the "before" beside it, and the mask of both.

use crate::coverage::Coverage;
use crate::encode::Finished;
use crate::plane::Plane;
use crate::rectified::{CHROMA_SIDE, RESULT_SIDE, RectifiedIris, RectifiedView};
use crate::resize::resized;
use crate::segment::{IrisSegmentation, Label};

/// The values of the mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum MaskValue {
    /// Not iris or pupil, or hidden by lid or lash.
    NotSeen = 0,
    /// Put there by us from iris around it.
    FilledIn = 85,
    /// As the camera saw it.
    MissedLimit = 255,
}

/// The rectified iris as photographed, with everything around the iris: nothing is masked, so that a
/// slider between this and the result shows what was taken away.
pub fn unmasked(rectified: &RectifiedIris) -> Finished {
    Finished {
        luma: resized(&rectified.luma, RESULT_SIDE),
        cb: resized(&rectified.cb, CHROMA_SIDE),
        cr: resized(&rectified.cr, CHROMA_SIDE),
    }
}

/// The opacity of every pixel of the result, 0 to 255.
pub fn opacity(coverage: &Coverage) -> Plane {
    let mut opacity = Plane::filled(RESULT_SIDE, RESULT_SIDE, 0);
    for v in 0..RESULT_SIDE {
        let shown = coverage.row(v, RESULT_SIDE);
        for (sample, shown) in opacity.row_mut(v).iter_mut().zip(shown) {
            *sample = (shown * 255.0 + 0.5) as u8;
        }
    }
    opacity
}

/// The rectified iris on black, as far as `opacity` shows it.
pub fn on_black(rectified: &RectifiedIris, opacity: &Plane) -> Finished {
    let mut finished = unmasked(rectified);
    fade(&mut finished.luma, opacity, 0);
    fade(&mut finished.cb, opacity, 128);
    fade(&mut finished.cr, opacity, 128);
    finished
}

/// `plane` has the size of `opacity`, or half of it.
fn fade(plane: &mut Plane, opacity: &Plane, towards: i32) {
    let step = opacity.width / plane.width;
    for v in 0..plane.height {
        let opacity = opacity.row(v * step).iter().step_by(step as usize);
        for (sample, &opacity) in plane.row_mut(v).iter_mut().zip(opacity) {
            let difference = (i32::from(*sample) - towards) * i32::from(opacity);
            *sample = (towards + (difference + difference.signum() * 127) / 255) as u8;
        }
    }
}

/// Which pixels of the result were measured and which were filled. `filled` is what
/// [`crate::reflections::remove_reflections`] returned.
pub fn mask(
    segmentation: &IrisSegmentation,
    view: &RectifiedView,
    opacity: &Plane,
    filled: &Plane,
) -> Plane {
    let view = view.with_side(RESULT_SIDE);
    let mut mask = Plane::filled(RESULT_SIDE, RESULT_SIDE, MaskValue::NotSeen as u8);
    for v in 0..RESULT_SIDE {
        let filled_row = filled.row(v * filled.height / RESULT_SIDE);
        let shown = opacity.row(v);
        for (u, (value, &opacity)) in mask.row_mut(v).iter_mut().zip(shown).enumerate() {
            if opacity < 128 {
                continue;
            }
            let (x, y) = view.photo_point(u as f32 + 0.5, v as f32 + 0.5);
            let is_filled = filled_row[u * filled.width as usize / RESULT_SIDE as usize] > 0;
            *value = match segmentation.label_at(x, y) {
                Label::Nothing | Label::Hidden => MaskValue::NotSeen,
                _ if is_filled => MaskValue::FilledIn,
                Label::VisibleIris | Label::Pupil | Label::Reflection => MaskValue::MissedLimit,
            } as u8;
        }
    }
    mask
}
