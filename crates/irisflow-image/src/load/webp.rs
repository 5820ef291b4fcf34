//! WebP: our own walk over its RIFF chunks, then the `image-webp` crate.
//!
//! Lossy and lossless, with or without transparency (laid over middle grey); no animations.

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::exif::{self, Orientation};
use super::frame::{Frame, Samples, over_grey, ycbcr_from_rgb};
use super::{Facts, Limits, PhotoFormat, UnsupportedFormat, keep_size_limits, pixels_of};
use crate::rejection::Rejection;

/// What the decoder holds of each pixel: planes at half chroma and the picture.
const LOSSY_PIXEL_BYTES: u64 = 5;
/// The picture with transparency, and without.
const LOSSLESS_PIXEL_BYTES: u64 = 8;
/// Transparency is a lossless picture of its own.
const ALPHA_PIXEL_BYTES: u64 = 6;

pub(super) const ANIMATION_FLAG: u8 = 0x02;
pub(super) const EXIF_FLAG: u8 = 0x08;
pub(super) const ALPHA_FLAG: u8 = 0x10;
pub(super) const ICC_FLAG: u8 = 0x20;

pub(super) struct Chunk<'a> {
    pub(super) kind: [u8; 4],
    pub(super) data: &'a [u8],
}

/// Walks the chunks inside the RIFF. Allocates nothing.
pub(super) struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Chunks<'a> {
    /// `picture` is the whole RIFF, cut to its stated length.
    pub(super) fn of(picture: &'a [u8]) -> Self {
        Self {
            rest: picture.get(12..).unwrap_or_default(),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Chunk<'a>>, Rejection> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let head: &[u8; 8] = self.rest.first_chunk().ok_or_else(truncated)?;
        let [kind @ .., l0, l1, l2, l3] = *head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let data = self.rest.get(8..length.saturating_add(8));
        let data = data.ok_or_else(truncated)?;
        let padded = (8 + length + length % 2).min(self.rest.len());
        self.rest = &self.rest[padded..];
        Ok(Some(Chunk { kind, data }))
    }
}

fn truncated() -> Rejection {
    Rejection::TruncatedFile {
        format: PhotoFormat::WebP,
    }
}

fn damaged() -> Rejection {
    Rejection::DamagedFile {
        format: PhotoFormat::WebP,
    }
}

pub(super) fn facts<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Facts<'a>, Rejection> {
    let length: &[u8; 4] = bytes[4..].first_chunk().ok_or_else(truncated)?;
    let length = u32::from_le_bytes(*length) as usize;
    let picture = bytes
        .get(..length.saturating_add(8))
        .ok_or_else(truncated)?;
    let mut canvas = None;
    let mut size = None;
    let mut pixel_bytes = 0;
    let mut orientation = Orientation::Upright;
    let mut chunks = Chunks::of(picture);
    while let Some(chunk) = chunks.next()? {
        match &chunk.kind {
            b"VP8X" => {
                let found = canvas_size(chunk.data)?;
                keep_size_limits(PhotoFormat::WebP, found, limits)?;
                canvas = Some(found);
            }
            b"VP8 " | b"VP8L" if size.is_some() => return Err(damaged()),
            b"VP8 " => {
                size = Some(lossy_size(chunk.data).ok_or_else(damaged)?);
                pixel_bytes += LOSSY_PIXEL_BYTES;
            }
            b"VP8L" => {
                size = Some(lossless_size(chunk.data).ok_or_else(damaged)?);
                pixel_bytes += LOSSLESS_PIXEL_BYTES;
            }
            b"ALPH" => pixel_bytes += ALPHA_PIXEL_BYTES,
            b"EXIF" if canvas.is_some() && chunk.data.len() <= limits.max_metadata_bytes => {
                orientation = exif::orientation_of(tiff_in(chunk.data));
            }
            _ => {}
        }
    }
    // A canvas that differs from its picture would let the decoder allocate more than was checked.
    let (width, height) = size
        .filter(|size| canvas.is_none_or(|canvas| canvas == *size))
        .ok_or_else(damaged)?;
    keep_size_limits(PhotoFormat::WebP, (width, height), limits)?;
    Ok(Facts {
        format: PhotoFormat::WebP,
        width,
        height,
        orientation,
        decode_bytes: pixels_of((width, height)) * pixel_bytes,
        picture,
    })
}

/// Some writers put JPEG's prefix before the TIFF block.
fn tiff_in(exif: &[u8]) -> &[u8] {
    exif.strip_prefix(super::jpeg::EXIF_PREFIX).unwrap_or(exif)
}

fn canvas_size(data: &[u8]) -> Result<(u32, u32), Rejection> {
    let header: &[u8; 10] = data.first_chunk().ok_or_else(damaged)?;
    let [flags, _, _, _, w0, w1, w2, h0, h1, h2] = *header;
    if flags & ANIMATION_FLAG != 0 {
        return Err(Rejection::UnsupportedFormat {
            format: UnsupportedFormat::AnimatedWebP,
        });
    }
    let side = |b0, b1, b2| u32::from_le_bytes([b0, b1, b2, 0]) + 1;
    Ok((side(w0, w1, w2), side(h0, h1, h2)))
}

fn lossy_size(data: &[u8]) -> Option<(u32, u32)> {
    let side = |at: usize| {
        let side = data.get(at..at + 2)?;
        Some(u32::from(u16::from_le_bytes([side[0], side[1]]) & 0x3fff))
    };
    Some((side(6)?, side(8)?))
}

fn lossless_size(data: &[u8]) -> Option<(u32, u32)> {
    let packed: &[u8; 4] = data.get(1..)?.first_chunk()?;
    let packed = u32::from_le_bytes(*packed);
    Some(((packed & 0x3fff) + 1, (packed >> 14 & 0x3fff) + 1))
}

pub(super) fn icc_profile(picture: &[u8], limits: &Limits) -> Option<Vec<u8>> {
    let mut chunks = Chunks::of(picture);
    while let Ok(Some(chunk)) = chunks.next() {
        if &chunk.kind == b"ICCP" {
            return (chunk.data.len() <= limits.max_metadata_bytes).then(|| chunk.data.to_vec());
        }
    }
    None
}

pub(super) fn decode(facts: &Facts<'_>) -> Result<Frame, Rejection> {
    let mut decoder = WebPDecoder::new(Cursor::new(facts.picture)).map_err(|_| damaged())?;
    if decoder.dimensions() != (facts.width, facts.height) || decoder.is_animated() {
        return Err(damaged());
    }
    let length = decoder.output_buffer_size().ok_or_else(damaged)?;
    let mut samples = vec![0; length];
    decoder.read_image(&mut samples).map_err(|_| damaged())?;
    if decoder.has_alpha() {
        drop_alpha_in_place(&mut samples);
    } else {
        super::frame::rgb_to_ycbcr_in_place(&mut samples);
    }
    Ok(Frame {
        width: facts.width,
        height: facts.height,
        samples: Samples::Interleaved(samples),
    })
}

/// Four samples become three at the front of the same buffer.
fn drop_alpha_in_place(samples: &mut Vec<u8>) {
    let pixels = samples.len() / 4;
    for pixel in 0..pixels {
        let alpha = samples[pixel * 4 + 3];
        let [r, g, b] = [0, 1, 2].map(|channel| over_grey(samples[pixel * 4 + channel], alpha));
        samples[pixel * 3..pixel * 3 + 3].copy_from_slice(&ycbcr_from_rgb(r, g, b));
    }
    samples.truncate(pixels * 3);
}
