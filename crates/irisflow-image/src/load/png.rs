//! PNG: our own walk over its chunks (size, orientation, completeness), then the `png` crate.
//!
//! Any bit depth and colour type becomes 8-bit grey or YCbCr. Transparency is laid over middle grey.
//! Of an animated PNG the still picture is taken.

use std::io::Cursor;

use ::png::{BitDepth, ColorType, Decoder, Limits as PngLimits, Transformations};

use super::exif::{self, Orientation};
use super::frame::{Frame, Samples, over_grey, ycbcr_from_rgb};
use super::{Facts, Limits, PhotoFormat, keep_size_limits, pixels_of};
use crate::rejection::Rejection;

pub(super) const SIGNATURE_BYTES: usize = 8;
/// What the decoder itself may allocate besides our buffers: rows and inflate windows.
const DECODER_BYTES: usize = 16 << 20;

pub(super) struct Chunk<'a> {
    pub(super) kind: [u8; 4],
    /// With length, kind and checksum.
    pub(super) whole: &'a [u8],
    pub(super) data: &'a [u8],
    /// Where `whole` ends in the file.
    pub(super) end: usize,
}

/// Walks the chunks after the signature up to and including IEND. Allocates nothing.
pub(super) struct Chunks<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Chunks<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: SIGNATURE_BYTES,
        }
    }

    /// The next chunk, `None` after IEND.
    pub(super) fn next(&mut self) -> Result<Option<Chunk<'a>>, Rejection> {
        if self.at > self.bytes.len() {
            return Ok(None);
        }
        let rest = &self.bytes[self.at..];
        let head: &[u8; 8] = rest.first_chunk().ok_or_else(truncated)?;
        let [l3, l2, l1, l0, kind @ ..] = *head;
        let length = u32::from_be_bytes([l3, l2, l1, l0]) as usize;
        let whole = rest
            .get(..length.saturating_add(12))
            .ok_or_else(truncated)?;
        let end = self.at + whole.len();
        self.at = if &kind == b"IEND" {
            self.bytes.len() + 1
        } else {
            end
        };
        Ok(Some(Chunk {
            kind,
            whole,
            data: &whole[8..8 + length],
            end,
        }))
    }
}

fn truncated() -> Rejection {
    Rejection::TruncatedFile {
        format: PhotoFormat::Png,
    }
}

fn damaged() -> Rejection {
    Rejection::DamagedFile {
        format: PhotoFormat::Png,
    }
}

pub(super) fn facts<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Facts<'a>, Rejection> {
    let mut chunks = Chunks::of(bytes);
    let header = chunks.next()?.filter(|chunk| &chunk.kind == b"IHDR");
    let header = header.ok_or_else(damaged)?;
    let size: &[u8; 8] = header.data.first_chunk().ok_or_else(damaged)?;
    let [w3, w2, w1, w0, h3, h2, h1, h0] = *size;
    let width = u32::from_be_bytes([w3, w2, w1, w0]);
    let height = u32::from_be_bytes([h3, h2, h1, h0]);
    keep_size_limits(PhotoFormat::Png, (width, height), limits)?;
    let mut orientation = Orientation::Upright;
    let mut has_pixels = false;
    let mut end = header.end;
    while let Some(chunk) = chunks.next()? {
        match &chunk.kind {
            b"IDAT" => has_pixels = true,
            b"eXIf" if chunk.data.len() <= limits.max_metadata_bytes => {
                orientation = exif::orientation_of(chunk.data);
            }
            _ => {}
        }
        end = chunk.end;
    }
    if !has_pixels {
        return Err(damaged());
    }
    // Rows of an interlaced picture come in no order: it is decoded as a whole, then taken over.
    let interlaced = header.data.get(12).is_some_and(|&method| method != 0);
    let pixel_bytes = if interlaced { 3 + 4 } else { 3 };
    Ok(Facts {
        format: PhotoFormat::Png,
        width,
        height,
        orientation,
        decode_bytes: pixels_of((width, height)) * pixel_bytes,
        picture: &bytes[..end],
    })
}

/// Inflates at most `max_metadata_bytes` of profile.
pub(super) fn icc_profile(picture: &[u8], limits: &Limits) -> Option<Vec<u8>> {
    let limits = PngLimits {
        bytes: limits.max_metadata_bytes,
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(picture), limits);
    decoder.set_ignore_text_chunk(true);
    let reader = decoder.read_info().ok()?;
    let profile = reader.info().icc_profile.as_ref()?;
    Some(profile.to_vec())
}

pub(super) fn decode(facts: &Facts<'_>) -> Result<Frame, Rejection> {
    let limits = PngLimits {
        bytes: DECODER_BYTES,
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(facts.picture), limits);
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(|_| damaged())?;
    let (width, height) = reader.info().size();
    let (colour, depth) = reader.output_color_type();
    if (width, height) != (facts.width, facts.height) || depth != BitDepth::Eight {
        return Err(damaged());
    }
    let mut frame = FrameOfRows::new(facts, colour)?;
    if reader.info().interlaced {
        let length = reader.output_buffer_size().ok_or_else(damaged)?;
        let mut pixels = vec![0; length];
        reader.next_frame(&mut pixels).map_err(|_| damaged())?;
        pixels
            .chunks_exact(frame.row_bytes())
            .for_each(|row| frame.push(row));
    } else {
        while let Some(row) = reader.next_row().map_err(|_| damaged())? {
            frame.push(row.data());
        }
    }
    frame.finish()
}

/// A frame that grows row by row, so that no second copy of the picture exists.
struct FrameOfRows {
    width: u32,
    height: u32,
    colour: ColorType,
    samples: Vec<u8>,
}

impl FrameOfRows {
    fn new(facts: &Facts<'_>, colour: ColorType) -> Result<Self, Rejection> {
        if colour == ColorType::Indexed {
            return Err(damaged());
        }
        let mut frame = Self {
            width: facts.width,
            height: facts.height,
            colour,
            samples: Vec::new(),
        };
        frame.samples.reserve_exact(frame.expected_length());
        Ok(frame)
    }

    fn is_grey(&self) -> bool {
        matches!(
            self.colour,
            ColorType::Grayscale | ColorType::GrayscaleAlpha
        )
    }

    fn expected_length(&self) -> usize {
        let channels = if self.is_grey() { 1 } else { 3 };
        self.width as usize * self.height as usize * channels
    }

    fn row_bytes(&self) -> usize {
        self.width as usize * self.colour.samples()
    }

    fn push(&mut self, row: &[u8]) {
        let samples = &mut self.samples;
        match self.colour {
            ColorType::Grayscale => samples.extend_from_slice(row),
            ColorType::GrayscaleAlpha => samples.extend(
                row.chunks_exact(2)
                    .map(|pixel| over_grey(pixel[0], pixel[1])),
            ),
            ColorType::Rgb | ColorType::Indexed => samples.extend(
                row.chunks_exact(3)
                    .flat_map(|pixel| ycbcr_from_rgb(pixel[0], pixel[1], pixel[2])),
            ),
            ColorType::Rgba => samples.extend(row.chunks_exact(4).flat_map(|pixel| {
                let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(|s| over_grey(s, pixel[3]));
                ycbcr_from_rgb(r, g, b)
            })),
        }
    }

    fn finish(self) -> Result<Frame, Rejection> {
        if self.samples.len() != self.expected_length() {
            return Err(damaged());
        }
        Ok(Frame {
            width: self.width,
            height: self.height,
            samples: if self.is_grey() {
                Samples::Grey(self.samples)
            } else {
                Samples::Interleaved(self.samples)
            },
        })
    }
}
