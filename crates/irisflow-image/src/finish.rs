//! The finished pictures: the result on black at its final size, the "before" beside it, and the mask of both.

use multiversion::multiversion;

use crate::encode::Finished;
use crate::plane::Plane;
use crate::rectified::{CHROMA_SIDE, RESULT_SIDE, RectifiedIris, RectifiedView, enlarged};
use crate::resize::resized;
use crate::segment::{IrisSegmentation, Label};
use crate::threads::Threads;

/// The values of the mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum MaskValue {
    /// Not iris or pupil, or hidden by lid or lash.
    NotSeen = 0,
    /// Put there by us from iris around it.
    FilledIn = 85,
    /// As the camera saw it.
    AsPhotographed = 255,
}

/// The rectified iris as photographed, with everything around the iris: nothing is masked, so that a
/// slider between this and the result shows what was taken away. It has as many pixels as the photo has of it.
pub fn unmasked(rectified: RectifiedIris) -> Finished {
    let chroma_side = rectified.view.side.div_ceil(2);
    Finished {
        luma: rectified.luma,
        cb: with_side(rectified.cb, chroma_side),
        cr: with_side(rectified.cr, chroma_side),
    }
}

fn with_side(plane: Plane, side: u32) -> Plane {
    if plane.width == side {
        plane
    } else {
        resized(&plane, side)
    }
}

/// The rectified iris on black, as far as `opacity` shows it.
pub fn on_black(rectified: RectifiedIris, opacity: &Plane, threads: Threads) -> Finished {
    let mut finished = Finished {
        luma: large(rectified.luma, RESULT_SIDE, threads),
        cb: large(rectified.cb, CHROMA_SIDE, threads),
        cr: large(rectified.cr, CHROMA_SIDE, threads),
    };
    let step = opacity.width as usize / finished.cb.width as usize;
    let mut shown = vec![0; finished.cb.width as usize];
    for v in 0..opacity.height {
        fade(finished.luma.row_mut(v), opacity.row(v), 0);
    }
    for v in 0..finished.cb.height {
        let row = opacity.row(v * step as u32).iter().step_by(step);
        shown
            .iter_mut()
            .zip(row)
            .for_each(|(shown, opacity)| *shown = *opacity);
        fade(finished.cb.row_mut(v), &shown, 128);
        fade(finished.cr.row_mut(v), &shown, 128);
    }
    finished
}

fn large(plane: Plane, side: u32, threads: Threads) -> Plane {
    if plane.width == side {
        plane
    } else {
        enlarged(&plane, side, threads)
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn fade(samples: &mut [u8], opacity: &[u8], towards: u16) {
    for (sample, &opacity) in samples.iter_mut().zip(opacity) {
        let opacity = u16::from(opacity);
        // At most 255 * 255 and rounding; the division by 255 is exact for such numbers.
        let sum = u16::from(*sample) * opacity + towards * (255 - opacity) + 127;
        *sample = ((u32::from(sum) * 0x8081) >> 23) as u8;
    }
}

/// Which pixels of the result were measured and which were filled. `filled` is what
/// [`crate::reflections::remove_reflections`] returned.
pub fn mask(
    segmentation: &IrisSegmentation,
    view: &RectifiedView,
    opacity: &Plane,
    filled: &Plane,
    threads: Threads,
) -> Plane {
    const STRIP_ROWS: usize = 128;
    /// What a label of the photo becomes; filled pixels are looked up separately.
    const VALUES: [u8; 5] = {
        let mut values = [MaskValue::AsPhotographed as u8; 5];
        values[Label::Nothing as usize] = MaskValue::NotSeen as u8;
        values[Label::Hidden as usize] = MaskValue::NotSeen as u8;
        values
    };
    let view = view.with_side(RESULT_SIDE);
    let width = RESULT_SIDE as usize;
    let filled_columns: Vec<usize> = (0..width)
        .map(|u| u * filled.width as usize / width)
        .collect();
    let mut mask = Plane::filled(RESULT_SIDE, RESULT_SIDE, MaskValue::NotSeen as u8);
    let strips = mask.samples.chunks_mut(width * STRIP_ROWS).enumerate();
    threads.map(strips.collect(), |(number, strip): (usize, &mut [u8])| {
        for (row, out) in strip.chunks_exact_mut(width).enumerate() {
            let v = (number * STRIP_ROWS + row) as u32;
            let filled = filled.row(v * filled.height / RESULT_SIDE);
            let labels = LabelsOnRow::new(segmentation, &view, v);
            for (u, &opacity) in opacity.row(v).iter().enumerate() {
                if opacity >= 128 {
                    let value = VALUES[usize::from(labels.at(u)) % VALUES.len()];
                    let is_filled = value != 0 && filled[filled_columns[u]] > 0;
                    out[u] = if is_filled {
                        MaskValue::FilledIn as u8
                    } else {
                        value
                    };
                }
            }
        }
    });
    mask
}

/// The photo's labels along a row of a view.
struct LabelsOnRow<'a> {
    labels: &'a Plane,
    /// Where the row begins in the labels, and how far it goes from column to column, in 1/65536 of a label.
    start: (i64, i64),
    step: (i64, i64),
}

impl<'a> LabelsOnRow<'a> {
    fn new(segmentation: &'a IrisSegmentation, view: &RectifiedView, v: u32) -> Self {
        let fixed = |value: f32| (f64::from(value) * 65_536.0) as i64;
        let (x, y) = view.photo_point(0.5, v as f32 + 0.5);
        let (next_x, next_y) = view.photo_point(RESULT_SIDE as f32 + 0.5, v as f32 + 0.5);
        let across = RESULT_SIDE as f32;
        Self {
            labels: &segmentation.labels,
            start: (
                fixed(x - segmentation.rect.x as f32),
                fixed(y - segmentation.rect.y as f32),
            ),
            step: (fixed((next_x - x) / across), fixed((next_y - y) / across)),
        }
    }

    #[inline(always)]
    fn at(&self, u: usize) -> u8 {
        let column = (self.start.0 + self.step.0 * u as i64) >> 16;
        let row = (self.start.1 + self.step.1 * u as i64) >> 16;
        let is_inside = (0..i64::from(self.labels.width)).contains(&column)
            && (0..i64::from(self.labels.height)).contains(&row);
        if is_inside {
            self.labels.samples[row as usize * self.labels.width as usize + column as usize]
        } else {
            Label::Nothing as u8
        }
    }
}
