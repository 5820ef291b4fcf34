//! Drops metadata from a photo without touching its pixels: the bytes that are kept on arrival.
//!
//! Kept: what is needed to show the picture rightly, that is its coded pixels, its colour profile and
//! its orientation (rewritten into the smallest EXIF block that can say it). Dropped: place, time,
//! device, comments, thumbnails, edits, and whatever follows the end of the picture, such as the
//! video of a motion photo.

use super::exif::minimal_tiff;
use super::{Facts, Limits, Orientation, PhotoFormat, facts_of, jpeg, png, webp};
use crate::rejection::Rejection;

/// A photo without metadata; the pixels are byte for byte those that came in.
#[derive(Clone, PartialEq, Eq)]
pub struct StrippedPhoto {
    pub bytes: Vec<u8>,
    pub format: PhotoFormat,
    /// Width of the upright photo.
    pub width: u32,
    /// Height of the upright photo.
    pub height: u32,
}

impl std::fmt::Debug for StrippedPhoto {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "StrippedPhoto({} {} x {})",
            self.format, self.width, self.height
        )
    }
}

/// Drops all metadata but orientation and colour profile.
///
/// # Errors
/// A rejection when the bytes are no photo we read, are incomplete, or exceed `limits`. Pixels are
/// not decoded, so damage inside them is found only by [`super::load_photo`].
pub fn strip_metadata(bytes: &[u8], limits: &Limits) -> Result<StrippedPhoto, Rejection> {
    let facts = facts_of(bytes, limits)?;
    let header = facts.header();
    let bytes = match facts.format {
        PhotoFormat::Jpeg => strip_jpeg(&facts, limits),
        PhotoFormat::Png => strip_png(&facts, limits),
        PhotoFormat::WebP => strip_webp(&facts, limits),
    }?;
    Ok(StrippedPhoto {
        bytes,
        format: header.format,
        width: header.width,
        height: header.height,
    })
}

fn strip_jpeg(facts: &Facts<'_>, limits: &Limits) -> Result<Vec<u8>, Rejection> {
    let mut out = Vec::with_capacity(facts.picture.len());
    out.extend_from_slice(b"\xff\xd8");
    let jfif = jfif_density(facts.picture)?;
    if let Some(jfif) = jfif {
        push_segment(&mut out, jpeg::APP0, &[&jfif]);
    }
    if facts.orientation != Orientation::Upright {
        let tiff = minimal_tiff(facts.orientation);
        push_segment(&mut out, jpeg::APP1, &[jpeg::EXIF_PREFIX, &tiff]);
    }
    if let Some(icc) = jpeg::icc_profile(facts.picture, limits) {
        push_icc(&mut out, &icc);
    }
    let mut segments = jpeg::Segments::of(facts.picture);
    while let Some(segment) = segments.next()? {
        match segment.marker {
            // The colour transform of Adobe's marker; anything it carries after that is dropped.
            jpeg::APP14 => {
                let adobe = segment.payload.first_chunk::<12>();
                if let Some(adobe) = adobe.filter(|adobe| adobe.starts_with(b"Adobe")) {
                    push_segment(&mut out, jpeg::APP14, &[adobe]);
                }
            }
            jpeg::APP0..=jpeg::APP15 | jpeg::COMMENT => {}
            _ => out.extend_from_slice(segment.whole),
        }
    }
    Ok(out)
}

/// The JFIF header without its thumbnail.
fn jfif_density(picture: &[u8]) -> Result<Option<[u8; 14]>, Rejection> {
    let first = jpeg::Segments::of(picture).next()?;
    let jfif = first
        .filter(|segment| segment.marker == jpeg::APP0 && segment.payload.starts_with(b"JFIF\0"))
        .and_then(|segment| segment.payload.first_chunk::<14>());
    Ok(jfif.map(|jfif| {
        let mut jfif = *jfif;
        jfif[12..].fill(0);
        jfif
    }))
}

fn push_segment(out: &mut Vec<u8>, marker: u8, payload: &[&[u8]]) {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&[0xff, marker]);
    out.extend_from_slice(&(length as u16 + 2).to_be_bytes());
    for part in payload {
        out.extend_from_slice(part);
    }
}

fn push_icc(out: &mut Vec<u8>, icc: &[u8]) {
    const PART_BYTES: usize = 65_519;
    let count = icc.len().div_ceil(PART_BYTES);
    for (index, part) in icc.chunks(PART_BYTES).enumerate() {
        let numbers = [index as u8 + 1, count as u8];
        push_segment(out, jpeg::APP2, &[jpeg::ICC_PREFIX, &numbers, part]);
    }
}

fn strip_png(facts: &Facts<'_>, limits: &Limits) -> Result<Vec<u8>, Rejection> {
    let mut out = Vec::with_capacity(facts.picture.len());
    out.extend_from_slice(&facts.picture[..png::SIGNATURE_BYTES]);
    let mut chunks = png::Chunks::of(facts.picture);
    while let Some(chunk) = chunks.next()? {
        match &chunk.kind {
            b"IHDR" => {
                out.extend_from_slice(chunk.whole);
                if facts.orientation != Orientation::Upright {
                    push_png_chunk(&mut out, b"eXIf", &minimal_tiff(facts.orientation));
                }
            }
            b"PLTE" | b"IDAT" | b"IEND" | b"tRNS" | b"gAMA" | b"cHRM" | b"sRGB" | b"cICP" => {
                out.extend_from_slice(chunk.whole);
            }
            b"iCCP" if chunk.data.len() <= limits.max_metadata_bytes => {
                out.extend_from_slice(chunk.whole);
            }
            _ => {}
        }
    }
    Ok(out)
}

fn push_png_chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend_from_slice(&(data.len() as u32).to_be_bytes());
    let checked_from = out.len();
    out.extend_from_slice(kind);
    out.extend_from_slice(data);
    let checksum = crc32(&out[checked_from..]);
    out.extend_from_slice(&checksum.to_be_bytes());
}

/// The checksum of PNG chunks (ISO 3309), bit by bit: it runs over some thirty bytes.
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _bit| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    !crc
}

fn strip_webp(facts: &Facts<'_>, limits: &Limits) -> Result<Vec<u8>, Rejection> {
    let mut out = Vec::with_capacity(facts.picture.len());
    out.extend_from_slice(b"RIFF\0\0\0\0WEBP");
    let mut canvas_flags_at = None;
    let mut flags = 0;
    let mut chunks = webp::Chunks::of(facts.picture);
    while let Some(chunk) = chunks.next()? {
        match &chunk.kind {
            b"VP8X" if canvas_flags_at.is_none() => {
                canvas_flags_at = Some(out.len() + 8);
                flags |= chunk.data[0] & webp::ALPHA_FLAG;
                push_webp_chunk(&mut out, b"VP8X", &chunk.data[..10]);
            }
            b"ICCP"
                if canvas_flags_at.is_some()
                    && flags & webp::ICC_FLAG == 0
                    && chunk.data.len() <= limits.max_metadata_bytes =>
            {
                flags |= webp::ICC_FLAG;
                push_webp_chunk(&mut out, b"ICCP", chunk.data);
            }
            b"VP8 " | b"VP8L" | b"ALPH" => push_webp_chunk(&mut out, &chunk.kind, chunk.data),
            _ => {}
        }
    }
    if facts.orientation != Orientation::Upright {
        flags |= webp::EXIF_FLAG;
        push_webp_chunk(&mut out, b"EXIF", &minimal_tiff(facts.orientation));
    }
    if let Some(at) = canvas_flags_at {
        out[at] = flags;
    }
    let length = (out.len() - 8) as u32;
    out[4..8].copy_from_slice(&length.to_le_bytes());
    Ok(out)
}

fn push_webp_chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend_from_slice(kind);
    out.extend_from_slice(&(data.len() as u32).to_le_bytes());
    out.extend_from_slice(data);
    if data.len() % 2 == 1 {
        out.push(0);
    }
}
