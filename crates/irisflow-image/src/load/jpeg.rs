//! JPEG: our own walk over its segments (size, scans, orientation, profile, true end), then zune-jpeg,
//! or libjpeg-turbo where that is built in (`turbo.rs`).

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::exif::{self, Orientation};
use super::frame::{self, Frame, Samples};
use super::{Facts, Limits, PhotoFormat, UnsupportedFormat, keep_size_limits, pixels_of};
use crate::rejection::{MissedLimit, Rejection};

pub(super) const APP0: u8 = 0xe0;
pub(super) const APP1: u8 = 0xe1;
pub(super) const APP2: u8 = 0xe2;
pub(super) const APP14: u8 = 0xee;
pub(super) const APP15: u8 = 0xef;
pub(super) const COMMENT: u8 = 0xfe;
const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
pub(super) const SOS: u8 = 0xda;
const DNL: u8 = 0xdc;

pub(super) const EXIF_PREFIX: &[u8] = b"Exif\0\0";
pub(super) const ICC_PREFIX: &[u8] = b"ICC_PROFILE\0";

/// One marker with what belongs to it; a scan's entropy-coded data belongs to its SOS.
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    /// From the 0xff of the marker on.
    pub(super) whole: &'a [u8],
    /// Without marker and length; of a scan, without its entropy-coded data.
    pub(super) payload: &'a [u8],
    /// Where `whole` ends in the file.
    pub(super) end: usize,
}

/// Walks the segments after SOI up to and including EOI. Allocates nothing.
pub(super) struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 2 }
    }

    /// The next segment, `None` after EOI.
    pub(super) fn next(&mut self) -> Result<Option<Segment<'a>>, Rejection> {
        let bytes = self.bytes;
        if self.at > bytes.len() {
            return Ok(None);
        }
        let start = self.at + distance_to_ff(&bytes[self.at..]).ok_or_else(truncated)?;
        let mut code = start + 1;
        while bytes.get(code) == Some(&0xff) {
            code += 1;
        }
        let marker = *bytes.get(code).ok_or_else(truncated)?;
        let start = code - 1;
        let payload_start = if has_no_payload(marker) {
            code + 1
        } else {
            code + 3
        };
        let payload_end = if has_no_payload(marker) {
            payload_start
        } else {
            let length = bytes.get(code + 1..code + 3).ok_or_else(truncated)?;
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            code + 1 + length.max(2)
        };
        let payload = bytes
            .get(payload_start..payload_end)
            .ok_or_else(truncated)?;
        let end = if marker == SOS {
            end_of_scan(bytes, payload_end).ok_or_else(truncated)?
        } else {
            payload_end
        };
        self.at = if marker == EOI { bytes.len() + 1 } else { end };
        Ok(Some(Segment {
            marker,
            whole: &bytes[start..end],
            payload,
            end,
        }))
    }
}

/// Markers that stand alone: TEM, RSTn, SOI, EOI, and a stuffed zero that strayed.
fn has_no_payload(marker: u8) -> bool {
    matches!(marker, 0x00 | 0x01 | 0xd0..=0xd7 | SOI | EOI)
}

/// Where the entropy-coded data that starts at `from` ends: at a marker that is no restart.
fn end_of_scan(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += distance_to_ff(&bytes[at..])?;
        match *bytes.get(at + 1)? {
            0x00 | 0xd0..=0xd7 => at += 2,
            0xff => at += 1,
            _ => return Some(at),
        }
    }
}

/// Many bytes at a time: such bytes are rare, and whole photos are searched.
pub(super) fn distance_to_ff(bytes: &[u8]) -> Option<usize> {
    let (chunks, rest) = bytes.as_chunks::<32>();
    let holds_ff = |chunk: &[u8; 32]| chunk.iter().fold(false, |any, &byte| any | (byte == 0xff));
    let in_chunks = chunks.iter().position(holds_ff);
    let (start, part) = match in_chunks {
        Some(number) => (32 * number, &chunks[number][..]),
        None => (32 * chunks.len(), rest),
    };
    let distance = part.iter().position(|&byte| byte == 0xff)?;
    Some(start + distance)
}

fn truncated() -> Rejection {
    Rejection::TruncatedFile {
        format: PhotoFormat::Jpeg,
    }
}

fn damaged() -> Rejection {
    Rejection::DamagedFile {
        format: PhotoFormat::Jpeg,
    }
}

pub(super) fn facts<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Facts<'a>, Rejection> {
    let mut size = None;
    let mut coefficients = 0;
    let mut progressive = false;
    let mut orientation = None;
    let mut scans = 0;
    let mut end = bytes.len();
    let mut segments = Segments::of(bytes);
    while let Some(segment) = segments.next()? {
        match segment.marker {
            APP1 if orientation.is_none() => orientation = exif_orientation(&segment, limits),
            0xc0..=0xcf if !matches!(segment.marker, 0xc4 | 0xc8 | 0xcc) => {
                let found = frame_size(&segment)?;
                keep_size_limits(PhotoFormat::Jpeg, found, limits)?;
                coefficients = coefficients_of(&segment, found);
                progressive = segment.marker == 0xc2;
                if size.replace(found).is_some() {
                    return Err(damaged());
                }
            }
            SOS => scans += 1,
            DNL => {
                return Err(Rejection::UnsupportedFormat {
                    format: UnsupportedFormat::HeightlessJpeg,
                });
            }
            _ => {}
        }
        end = segment.end;
    }
    let (width, height) = size.filter(|_| scans > 0).ok_or_else(damaged)?;
    if scans > limits.max_jpeg_scans {
        return Err(Rejection::TooManyScans(MissedLimit::of_count(
            "passes",
            scans as u64,
            limits.max_jpeg_scans as u64,
        )));
    }
    // Of a photo in several passes all coefficients are kept, two bytes each, until the last pass.
    let kept = if progressive || scans > 1 {
        coefficients * 2
    } else {
        0
    };
    Ok(Facts {
        format: PhotoFormat::Jpeg,
        width,
        height,
        orientation: orientation.unwrap_or_default(),
        decode_bytes: pixels_of((width, height)) * 3 + kept,
        picture: &bytes[..end],
    })
}

fn exif_orientation(segment: &Segment<'_>, limits: &Limits) -> Option<Orientation> {
    let tiff = segment.payload.strip_prefix(EXIF_PREFIX)?;
    (tiff.len() <= limits.max_metadata_bytes).then(|| exif::orientation_of(tiff))
}

/// Reads a start of frame; rejects lossless, 12-bit and CMYK pictures.
fn frame_size(segment: &Segment<'_>) -> Result<(u32, u32), Rejection> {
    let header: &[u8; 6] = segment.payload.first_chunk().ok_or_else(damaged)?;
    let [precision, h1, h0, w1, w0, components] = *header;
    if !matches!(segment.marker, 0xc0..=0xc2) {
        return Err(Rejection::UnsupportedFormat {
            format: UnsupportedFormat::LosslessJpeg,
        });
    }
    if precision != 8 {
        return Err(Rejection::UnsupportedFormat {
            format: UnsupportedFormat::TwelveBitJpeg,
        });
    }
    match components {
        1 | 3 => {}
        4 => {
            return Err(Rejection::UnsupportedFormat {
                format: UnsupportedFormat::CmykJpeg,
            });
        }
        _ => return Err(damaged()),
    }
    let side = |high: u8, low: u8| u32::from(u16::from_be_bytes([high, low]));
    Ok((side(w1, w0), side(h1, h0)))
}

/// How many coefficients all components have together, in whole units of the interleaved picture.
fn coefficients_of(segment: &Segment<'_>, (width, height): (u32, u32)) -> u64 {
    let components = segment.payload.get(6..).unwrap_or_default().chunks_exact(3);
    let samplings = components.map(|component| {
        let (across, down) = (component[1] >> 4, component[1] & 0x0f);
        (u64::from(across.max(1)), u64::from(down.max(1)))
    });
    let widest = samplings.clone().map(|(across, _)| across).max();
    let tallest = samplings.clone().map(|(_, down)| down).max();
    let units = u64::from(width).div_ceil(8 * widest.unwrap_or(1))
        * u64::from(height).div_ceil(8 * tallest.unwrap_or(1));
    let blocks: u64 = samplings.map(|(across, down)| across * down).sum();
    units * blocks * 64
}

/// Puts the numbered APP2 parts of a profile together; none when parts are missing or too long.
pub(super) fn icc_profile(picture: &[u8], limits: &Limits) -> Option<Vec<u8>> {
    let mut parts: Vec<Option<&[u8]>> = Vec::new();
    let mut segments = Segments::of(picture);
    while let Ok(Some(segment)) = segments.next() {
        if segment.marker == SOS {
            break;
        }
        let Some(part) = icc_part(&segment) else {
            continue;
        };
        let [number, count, data @ ..] = part else {
            continue;
        };
        parts.resize(usize::from(*count), None);
        *parts.get_mut(usize::from(*number).checked_sub(1)?)? = Some(data);
    }
    let parts: Option<Vec<&[u8]>> = parts.into_iter().collect();
    let parts = parts?;
    let length: usize = parts.iter().map(|part| part.len()).sum();
    (length > 0 && length <= limits.max_metadata_bytes).then(|| parts.concat())
}

/// The part's number, the count of parts, and data; when this segment holds a part.
fn icc_part<'a>(segment: &Segment<'a>) -> Option<&'a [u8]> {
    (segment.marker == APP2)
        .then(|| segment.payload.strip_prefix(ICC_PREFIX))
        .flatten()
}

/// Decodes to luma, or to luma and chroma; an RGB frame never exists unless the file stores RGB.
pub(super) fn decode(facts: &Facts<'_>, limits: &Limits) -> Result<Frame, Rejection> {
    #[cfg(feature = "turbo")]
    if let Some(frame) = super::turbo::decode(facts.picture, (facts.width, facts.height), limits) {
        return Ok(frame);
    }
    decode_any(facts, limits)
}

/// Every kind of JPEG that passed [`facts`].
pub(super) fn decode_any(facts: &Facts<'_>, limits: &Limits) -> Result<Frame, Rejection> {
    let options = DecoderOptions::default()
        .set_max_width(limits.max_side as usize)
        .set_max_height(limits.max_side as usize)
        .jpeg_set_max_scans(limits.max_jpeg_scans);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(facts.picture), options);
    decoder.decode_headers().map_err(|_| damaged())?;
    let stored = decoder.input_colorspace().ok_or_else(damaged)?;
    let (channels, output) = match stored {
        ColorSpace::Luma => (1, ColorSpace::Luma),
        ColorSpace::YCbCr | ColorSpace::RGB => (3, stored),
        _ => return Err(damaged()),
    };
    decoder.set_options(options.jpeg_set_out_colorspace(output));
    let length = facts.width as usize * facts.height as usize * channels;
    if decoder.output_buffer_size() != Some(length) {
        return Err(damaged());
    }
    let mut samples = vec![0; length];
    decoder.decode_into(&mut samples).map_err(|_| damaged())?;
    if stored == ColorSpace::RGB {
        frame::rgb_to_ycbcr_in_place(&mut samples);
    }
    Ok(Frame {
        width: facts.width,
        height: facts.height,
        samples: match channels {
            1 => Samples::Grey(samples),
            _ => Samples::Interleaved(samples),
        },
    })
}
