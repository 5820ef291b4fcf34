//! The portrait at its final size: the result on black, the "before" beside it, and the mask of both.

use crate::coverage::Coverage;
use crate::encode::Finished;
use crate::plane::Plane;
use crate::portrait::{CHROMA_SIDE, Portrait, RESULT_SIDE, RoundView};
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
    Measured = 255,
}

/// The portrait as photographed, with everything around the iris: nothing is masked, so that a
/// slider between this and the result shows what was taken away.
pub fn unmasked(portrait: &Portrait) -> Finished {
    Finished {
        luma: resized(&portrait.luma, RESULT_SIDE),
        cb: resized(&portrait.cb, CHROMA_SIDE),
        cr: resized(&portrait.cr, CHROMA_SIDE),
    }
}

/// The portrait on black, as far as `coverage` shows it.
pub fn on_black(portrait: &Portrait, coverage: &Coverage) -> Finished {
    let mut finished = unmasked(portrait);
    fade(&mut finished.luma, coverage, 0.0);
    fade(&mut finished.cb, coverage, 128.0);
    fade(&mut finished.cr, coverage, 128.0);
    finished
}

fn fade(plane: &mut Plane, coverage: &Coverage, towards: f32) {
    let side = plane.width;
    for v in 0..side {
        for (sample, opacity) in plane.row_mut(v).iter_mut().zip(coverage.row(v, side)) {
            let faded = towards + (f32::from(*sample) - towards) * opacity;
            *sample = (faded + 0.5) as u8;
        }
    }
}

/// Which pixels of the result were measured and which were filled. `filled` is what
/// [`crate::reflections::remove_reflections`] returned.
pub fn mask(
    segmentation: &IrisSegmentation,
    view: &RoundView,
    coverage: &Coverage,
    filled: &Plane,
) -> Plane {
    let view = view.with_side(RESULT_SIDE);
    let mut mask = Plane::filled(RESULT_SIDE, RESULT_SIDE, MaskValue::NotSeen as u8);
    for v in 0..RESULT_SIDE {
        let filled_row = filled.row(v * filled.height / RESULT_SIDE);
        let shown = coverage.row(v, RESULT_SIDE);
        for (u, (value, opacity)) in mask.row_mut(v).iter_mut().zip(shown).enumerate() {
            if opacity < 0.5 {
                continue;
            }
            let (x, y) = view.photo_point(u as f32 + 0.5, v as f32 + 0.5);
            let is_filled = filled_row[u * filled.width as usize / RESULT_SIDE as usize] > 0;
            *value = match segmentation.label_at(x, y) {
                Label::Nothing | Label::Hidden => MaskValue::NotSeen,
                _ if is_filled => MaskValue::FilledIn,
                Label::VisibleIris | Label::Pupil | Label::Reflection => MaskValue::Measured,
            } as u8;
        }
    }
    mask
}
