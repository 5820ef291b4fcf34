//! From untrusted bytes to an [`EyePhoto`]: format known, limits kept, pixels decoded once.
//!
//! Bytes are hostile until proven otherwise. Each format is first walked by our own bounds-checked
//! reader, which reads size, orientation and profile without allocating; only then does a decoder
//! run, inside `catch_unwind`. Metadata other than orientation and colour profile is never kept.
//! Dropping metadata from a file without decoding it is `strip.rs`.

mod exif;
mod format;
mod frame;
mod jpeg;
mod png;
mod profile;
mod strip;
#[cfg(feature = "turbo")]
mod turbo;
mod webp;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use crate::geometry::{PixelRect, QuarterTurn};
use crate::plane::{ReducedPhoto, YCbCr};
use crate::rejection::{MissedLimit, Rejection};
use crate::segment::{PhotoPixels, with_half_chroma};

pub use exif::Orientation;
pub use format::{PhotoFormat, UnsupportedFormat};
pub use profile::ColourProfile;
pub use strip::strip_metadata;

use frame::Frame;

/// Resource limits, checked before decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the file.
    pub max_bytes: usize,
    /// Width times height.
    pub max_pixels: u64,
    /// Width or height.
    pub max_side: u32,
    /// Passes of a progressive JPEG: each costs about as much as a whole decode.
    pub max_jpeg_scans: usize,
    /// EXIF or ICC data, each; longer ones are ignored, not refused.
    pub max_metadata_bytes: usize,
    /// Memory for decoding: progressive, interlaced and lossless photos take more than their pixels.
    pub max_decode_bytes: u64,
}

impl Limits {
    /// For a file whose size is known before it is read.
    ///
    /// # Errors
    /// When it is too large.
    pub fn check_bytes(&self, bytes: u64) -> Result<(), Rejection> {
        let limit = self.max_bytes as u64;
        match bytes > limit {
            true => Err(Rejection::TooManyBytes(MissedLimit::of_count(
                "bytes", bytes, limit,
            ))),
            false => Ok(()),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 50 << 20,
            max_pixels: 64_000_000,
            max_side: 16_384,
            max_jpeg_scans: 32,
            max_metadata_bytes: 1 << 20,
            max_decode_bytes: 320 << 20,
        }
    }
}

/// What the header of a photo says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhotoHeader {
    pub format: PhotoFormat,
    /// Width of the upright photo.
    pub width: u32,
    /// Height of the upright photo.
    pub height: u32,
    pub orientation: Orientation,
    /// Memory that decoding takes at most, beside the file's own bytes.
    pub decode_bytes: u64,
}

/// What our own readers find in a file before it is decoded. Sizes are as stored, not upright.
struct Facts<'a> {
    format: PhotoFormat,
    width: u32,
    height: u32,
    orientation: Orientation,
    /// What the decoder holds at most: the pixels, and what they are put together from.
    decode_bytes: u64,
    /// The part of the input that is the picture: without what was glued on after its end.
    picture: &'a [u8],
}

impl Facts<'_> {
    fn header(&self) -> PhotoHeader {
        let (width, height) = self.orientation.upright_size(self.width, self.height);
        PhotoHeader {
            format: self.format,
            width,
            height,
            orientation: self.orientation,
            decode_bytes: self.decode_bytes,
        }
    }
}

/// A decoded photo. It is held as stored; the EXIF orientation is applied to what is taken out of it.
#[derive(Debug)]
pub struct EyePhoto {
    format: PhotoFormat,
    frame: Frame,
    orientation: Orientation,
    profile: Option<ColourProfile>,
    /// Made when it is first asked for.
    quarter: OnceLock<Frame>,
}

impl EyePhoto {
    pub fn format(&self) -> PhotoFormat {
        self.format
    }

    /// The colour profile of the pixels; none means sRGB.
    pub fn profile(&self) -> Option<&ColourProfile> {
        self.profile.as_ref()
    }

    /// Turns the upright photo. No pixel is moved.
    pub fn turn(&mut self, turn: QuarterTurn) {
        self.orientation = self.orientation.turned(turn);
    }
}

impl EyePhoto {
    /// As [`PhotoPixels::scaled`], from the quartered copy if there is one: enough for a preview, at a tenth of the work.
    pub(crate) fn scaled_roughly(&self, rect: PixelRect, size: (u32, u32)) -> YCbCr {
        match self.quarter.get() {
            Some(quarter) if rect.width >= 4 * size.0 && rect.height >= 4 * size.1 => self
                .frame
                .scaled_from_quarter(quarter, rect, size, self.orientation),
            _ => self.scaled(rect, size),
        }
    }
}

impl PhotoPixels for EyePhoto {
    fn size(&self) -> (u32, u32) {
        self.orientation
            .upright_size(self.frame.width, self.frame.height)
    }

    fn reduced(&self, max_side: u32) -> ReducedPhoto {
        self.frame.reduced(max_side, self.orientation)
    }

    fn crop(&self, rect: PixelRect) -> YCbCr {
        self.frame.crop(rect, self.orientation)
    }

    fn scaled(&self, rect: PixelRect, size: (u32, u32)) -> YCbCr {
        let quarter = || self.quarter.get_or_init(|| self.frame.quartered());
        self.frame.scaled(rect, size, self.orientation, quarter)
    }

    fn crop_with_half_chroma(&self, rect: PixelRect) -> YCbCr {
        let direct = self.frame.crop_with_half_chroma(rect, self.orientation);
        direct.unwrap_or_else(|| with_half_chroma(self.crop(rect)))
    }
}

/// Reads the header only.
///
/// # Errors
/// A rejection when the bytes are no photo we read, are incomplete, or exceed `limits`.
pub fn probe(bytes: &[u8], limits: &Limits) -> Result<PhotoHeader, Rejection> {
    Ok(facts_of(bytes, limits)?.header())
}

/// Decodes a photo.
///
/// # Errors
/// A rejection when the bytes are no photo we read, are damaged, or exceed `limits`. A decoder that
/// panics on them counts as damage: the same bytes would panic again, so a retry is useless.
pub fn load_photo(bytes: &[u8], limits: &Limits) -> Result<EyePhoto, Rejection> {
    let facts = facts_of(bytes, limits)?;
    let (frame, profile) = catch_unwind(AssertUnwindSafe(|| decode(&facts, limits))).unwrap_or(
        Err(Rejection::DamagedFile {
            format: facts.format,
        }),
    )?;
    Ok(EyePhoto {
        format: facts.format,
        frame,
        orientation: facts.orientation,
        profile,
        quarter: OnceLock::new(),
    })
}

fn decode(facts: &Facts<'_>, limits: &Limits) -> Result<(Frame, Option<ColourProfile>), Rejection> {
    let icc = match facts.format {
        PhotoFormat::Jpeg => jpeg::icc_profile(facts.picture, limits),
        PhotoFormat::Png => png::icc_profile(facts.picture, limits),
        PhotoFormat::WebP => webp::icc_profile(facts.picture, limits),
    };
    let mut frame = match facts.format {
        PhotoFormat::Jpeg => jpeg::decode(facts, limits),
        PhotoFormat::Png => png::decode(facts),
        PhotoFormat::WebP => webp::decode(facts),
    }?;
    let profile = icc.and_then(|icc| profile::adopt(icc, &mut frame));
    Ok((frame, profile))
}

fn facts_of<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Facts<'a>, Rejection> {
    limits.check_bytes(bytes.len() as u64)?;
    let facts = match format::sniff(bytes)? {
        PhotoFormat::Jpeg => jpeg::facts(bytes, limits),
        PhotoFormat::Png => png::facts(bytes, limits),
        PhotoFormat::WebP => webp::facts(bytes, limits),
    }?;
    if facts.decode_bytes > limits.max_decode_bytes {
        return Err(Rejection::TooMuchMemory(MissedLimit::of_count(
            "decode_bytes",
            facts.decode_bytes,
            limits.max_decode_bytes,
        )));
    }
    Ok(facts)
}

fn pixels_of((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

/// Called by each format as soon as the size is read: "too large" takes precedence over other defects of the
/// file.
fn keep_size_limits(
    format: PhotoFormat,
    (width, height): (u32, u32),
    limits: &Limits,
) -> Result<(), Rejection> {
    if width == 0 || height == 0 {
        return Err(Rejection::DamagedFile { format });
    }
    let side = width.max(height);
    if side > limits.max_side {
        return Err(Rejection::SideTooLong(MissedLimit::of_count(
            "longer_side_px",
            side.into(),
            limits.max_side.into(),
        )));
    }
    let pixels = pixels_of((width, height));
    if pixels > limits.max_pixels {
        return Err(Rejection::TooManyPixels(MissedLimit::of_count(
            "pixels",
            pixels,
            limits.max_pixels,
        )));
    }
    Ok(())
}

#[cfg(test)]
#[cfg(feature = "turbo")]
mod testing;
#[cfg(test)]
mod tests;
