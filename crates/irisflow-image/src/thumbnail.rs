//! Small copies for lists: JPEG without metadata, upright, at most [`THUMBNAIL_SIDE`] pixels on the
//! longer side.

use crate::encode::{self, EncodeError, Finished};
use crate::load::{ColourProfile, EyePhoto};
use crate::plane::YCbCr;
use crate::resize::resized;
use crate::segment::PhotoPixels as _;
use crate::threads::Threads;

pub const THUMBNAIL_SIDE: u32 = 400;

const QUALITY: u8 = 82;
/// A larger profile would outweigh the picture; without it the picture is shown as sRGB.
const MAX_PROFILE_BYTES: usize = 16 << 10;

/// The whole photo. A photo that is smaller keeps its size.
pub fn of_photo(photo: &EyePhoto) -> Result<Vec<u8>, EncodeError> {
    let planes = photo.reduced(THUMBNAIL_SIDE).planes;
    let (width, height) = (planes.y.width as u16, planes.y.height as u16);
    let samples = interleaved(&planes);
    encode::jpeg_interleaved(&samples, width, height, QUALITY, small(photo.profile()))
}

/// The finished picture.
pub(crate) fn of_result(
    result: &Finished,
    profile: Option<&ColourProfile>,
) -> Result<Vec<u8>, EncodeError> {
    // Halved first: the kernel is wide, and the thumbnail far smaller still.
    let chroma_side = THUMBNAIL_SIDE / 2;
    let thumbnail = Finished {
        luma: resized(&result.luma.halved(), THUMBNAIL_SIDE),
        cb: resized(&result.cb.halved(), chroma_side),
        cr: resized(&result.cr.halved(), chroma_side),
    };
    encode::jpeg(&thumbnail, QUALITY, small(profile), Threads::default())
}

/// The profile, unless it is larger than a small picture may be.
pub(crate) fn small(profile: Option<&ColourProfile>) -> Option<&ColourProfile> {
    profile.filter(|profile| profile.icc().len() <= MAX_PROFILE_BYTES)
}

fn interleaved(planes: &YCbCr) -> Vec<u8> {
    let luma = planes.y.samples.iter();
    let chroma = planes.cb.samples.iter().zip(&planes.cr.samples);
    luma.zip(chroma)
        .flat_map(|(&y, (&cb, &cr))| [y, cb, cr])
        .collect()
}
