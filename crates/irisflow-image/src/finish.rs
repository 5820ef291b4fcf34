//! The finished pictures: the result on its background at its final size, the "before" beside it, and the mask of both.

use multiversion::multiversion;

use crate::encode::Finished;
use crate::plane::Plane;
use crate::rectified::{RectifiedIris, RectifiedView, enlarged};
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

/// Width and height of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultSize {
    /// So many pixels per side, [`ResultSize::LEAST`] to [`ResultSize::MOST`].
    Pixels(u32),
    /// As many as the photo has of the iris, within the same limits.
    Auto,
}

impl Default for ResultSize {
    fn default() -> Self {
        Self::Pixels(2048)
    }
}

impl ResultSize {
    pub const LEAST: u32 = 1024;
    pub const MOST: u32 = 4096;

    /// The most pixels per side that are of use.
    pub(crate) fn largest(self) -> u32 {
        match self {
            Self::Pixels(side) => side.clamp(Self::LEAST, Self::MOST).next_multiple_of(STEP),
            Self::Auto => Self::MOST,
        }
    }

    /// For a rectified iris with this view.
    pub(crate) fn of(self, view: &RectifiedView) -> u32 {
        match self {
            Self::Pixels(_) => self.largest(),
            Self::Auto => view
                .side
                .next_multiple_of(STEP)
                .clamp(Self::LEAST, Self::MOST),
        }
    }
}

/// Sizes are multiples of this, so that chroma has half of it.
const STEP: u32 = 16;

/// What surrounds the iris.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Background {
    #[default]
    Black,
    White,
    /// Nothing: the result is a PNG.
    Transparent,
    /// The photo itself.
    Photo,
}

/// The rectified iris at the size of the result.
pub(crate) fn at_size(rectified: RectifiedIris, side: u32, threads: Threads) -> Finished {
    Finished {
        luma: large(rectified.luma, side, threads),
        cb: large(rectified.cb, side / 2, threads),
        cr: large(rectified.cr, side / 2, threads),
    }
}

/// The iris on a background, as far as `opacity` shows it. What is transparent is black.
pub(crate) fn on_background(
    iris: &Finished,
    opacity: &Plane,
    background: Background,
    photo: &RectifiedIris,
    threads: Threads,
) -> Finished {
    let halved = opacity.halved();
    let planes = [
        (&iris.luma, &photo.luma, opacity),
        (&iris.cb, &photo.cb, &halved),
        (&iris.cr, &photo.cr, &halved),
    ];
    let grounds = match background {
        Background::White => [255, 128, 128],
        _ => [0, 128, 128],
    };
    let [luma, cb, cr] = std::array::from_fn(|channel| {
        let (iris, photo, opacity) = planes[channel];
        let mut shown: Plane = iris.clone();
        let ground =
            (background == Background::Photo).then(|| large(photo.clone(), shown.width, threads));
        for v in 0..shown.height {
            match &ground {
                Some(ground) => fade_into(shown.row_mut(v), opacity.row(v), ground.row(v)),
                None => fade(shown.row_mut(v), opacity.row(v), grounds[channel]),
            }
        }
        shown
    });
    Finished { luma, cb, cr }
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

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn fade_into(samples: &mut [u8], opacity: &[u8], ground: &[u8]) {
    for ((sample, &opacity), &ground) in samples.iter_mut().zip(opacity).zip(ground) {
        let opacity = u16::from(opacity);
        let sum = u16::from(*sample) * opacity + u16::from(ground) * (255 - opacity) + 127;
        *sample = ((u32::from(sum) * 0x8081) >> 23) as u8;
    }
}

/// Which pixels of the result were measured and which were filled, at the size of `opacity`. `filled` is what
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
    let side = opacity.width;
    let view = view.with_side(side);
    let width = side as usize;
    let filled_columns: Vec<usize> = (0..width)
        .map(|u| u * filled.width as usize / width)
        .collect();
    let mut mask = Plane::filled(side, side, MaskValue::NotSeen as u8);
    let strips = mask.samples.chunks_mut(width * STRIP_ROWS).enumerate();
    threads.map(strips.collect(), |(number, strip): (usize, &mut [u8])| {
        for (row, out) in strip.chunks_exact_mut(width).enumerate() {
            let v = (number * STRIP_ROWS + row) as u32;
            let filled = filled.row(v * filled.height / side);
            let labels = LabelsOnRow::new(segmentation, &view, v);
            for (u, &opacity) in opacity.row(v).iter().enumerate() {
                if opacity >= 128 {
                    let value = VALUES[usize::from(labels.at(u)) % VALUES.len()];
                    let is_filled = filled[filled_columns[u]] > 0;
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
pub(crate) struct LabelsOnRow<'a> {
    labels: &'a Plane,
    /// Where the row begins in the labels, and how far it goes from column to column, in 1/65536 of a label.
    start: (i64, i64),
    step: (i64, i64),
}

impl<'a> LabelsOnRow<'a> {
    pub(crate) fn new(segmentation: &'a IrisSegmentation, view: &RectifiedView, v: u32) -> Self {
        let fixed = |value: f32| (f64::from(value) * 65_536.0) as i64;
        let (x, y) = view.photo_point(0.5, v as f32 + 0.5);
        let (next_x, next_y) = view.photo_point(view.side as f32 + 0.5, v as f32 + 0.5);
        let across = view.side as f32;
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
    pub(crate) fn at(&self, u: usize) -> u8 {
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
