//! Drops metadata from a photo without touching its pixels: the bytes that are kept on arrival.
//!
//! Kept: what is needed to show the picture rightly, that is its coded pixels, its colour profile and
//! its orientation (rewritten into the smallest EXIF block that can say it). Dropped: place, time,
//! device, comments, thumbnails, edits, and whatever follows the end of the picture, such as the
//! video of a motion photo.

use super::exif::minimal_tiff;
use super::{Facts, Limits, Orientation, PhotoFormat, PhotoHeader, facts_of, jpeg, png, webp};
use crate::rejection::Rejection;

/// Takes the pieces of what is kept, in order.
type Kept<'k> = &'k mut dyn FnMut(&[u8]);

/// Drops everything but pixels, colour profile and orientation. What is kept is handed out in pieces,
/// so that the photo is never held twice.
///
/// # Errors
/// A rejection when the bytes are no photo we read, are incomplete, or exceed `limits`; nothing is
/// handed out then. Pixels are not decoded, so damage inside them is found only by
/// [`super::load_photo`].
pub fn strip_metadata(
    bytes: &[u8],
    limits: &Limits,
    kept: Kept<'_>,
) -> Result<PhotoHeader, Rejection> {
    let facts = facts_of(bytes, limits)?;
    match facts.format {
        PhotoFormat::Jpeg => strip_jpeg(&facts, limits, kept),
        PhotoFormat::Png => strip_png(&facts, limits, kept),
        PhotoFormat::WebP => strip_webp(&facts, limits, kept),
    }?;
    Ok(facts.header())
}

fn strip_jpeg(facts: &Facts<'_>, limits: &Limits, kept: Kept<'_>) -> Result<(), Rejection> {
    kept(b"\xff\xd8");
    let jfif = jfif_density(facts.picture)?;
    if let Some(jfif) = jfif {
        push_segment(kept, jpeg::APP0, &[&jfif]);
    }
    if facts.orientation != Orientation::Upright {
        let tiff = minimal_tiff(facts.orientation);
        push_segment(kept, jpeg::APP1, &[jpeg::EXIF_PREFIX, &tiff]);
    }
    if let Some(icc) = jpeg::icc_profile(facts.picture, limits) {
        push_icc(kept, &icc);
    }
    let mut segments = jpeg::Segments::of(facts.picture);
    while let Some(segment) = segments.next()? {
        match segment.marker {
            // The colour transform of Adobe's marker; anything it carries after that is dropped.
            jpeg::APP14 => {
                let adobe = segment.payload.first_chunk::<12>();
                if let Some(adobe) = adobe.filter(|adobe| adobe.starts_with(b"Adobe")) {
                    push_segment(kept, jpeg::APP14, &[adobe]);
                }
            }
            jpeg::APP0..=jpeg::APP15 | jpeg::COMMENT => {}
            _ => kept(segment.whole),
        }
    }
    Ok(())
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

fn push_segment(kept: Kept<'_>, marker: u8, payload: &[&[u8]]) {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    kept(&[0xff, marker]);
    kept(&(length as u16 + 2).to_be_bytes());
    payload.iter().for_each(|part| kept(part));
}

fn push_icc(kept: Kept<'_>, icc: &[u8]) {
    const PART_BYTES: usize = 65_519;
    let count = icc.len().div_ceil(PART_BYTES);
    for (index, part) in icc.chunks(PART_BYTES).enumerate() {
        let numbers = [index as u8 + 1, count as u8];
        push_segment(kept, jpeg::APP2, &[jpeg::ICC_PREFIX, &numbers, part]);
    }
}

fn strip_png(facts: &Facts<'_>, limits: &Limits, kept: Kept<'_>) -> Result<(), Rejection> {
    kept(&facts.picture[..png::SIGNATURE_BYTES]);
    let mut chunks = png::Chunks::of(facts.picture);
    while let Some(chunk) = chunks.next()? {
        match &chunk.kind {
            b"IHDR" => {
                kept(chunk.whole);
                if facts.orientation != Orientation::Upright {
                    push_png_chunk(kept, *b"eXIf", &minimal_tiff(facts.orientation));
                }
            }
            b"PLTE" | b"IDAT" | b"IEND" | b"tRNS" | b"gAMA" | b"cHRM" | b"sRGB" | b"cICP" => {
                kept(chunk.whole);
            }
            b"iCCP" if chunk.data.len() <= limits.max_metadata_bytes => kept(chunk.whole),
            _ => {}
        }
    }
    Ok(())
}

fn push_png_chunk(kept: Kept<'_>, kind: [u8; 4], data: &[u8]) {
    let checked = [&kind, data].concat();
    kept(&(data.len() as u32).to_be_bytes());
    kept(&checked);
    kept(&crc32fast::hash(&checked).to_be_bytes());
}

fn strip_webp(facts: &Facts<'_>, limits: &Limits, kept: Kept<'_>) -> Result<(), Rejection> {
    // The header comes first and says how long the whole is and what is in it.
    let (mut length, mut flags) = (b"WEBP".len(), 0);
    keep_webp_chunks(facts, limits, &mut |kind, data| {
        length += 8 + data.len().next_multiple_of(2);
        flags |= match kind {
            b"VP8X" => data[0] & webp::ALPHA_FLAG,
            b"ICCP" => webp::ICC_FLAG,
            b"EXIF" => webp::EXIF_FLAG,
            _ => 0,
        };
    })?;
    kept(b"RIFF");
    kept(&(length as u32).to_le_bytes());
    kept(b"WEBP");
    keep_webp_chunks(facts, limits, &mut |kind, data| match kind {
        b"VP8X" => push_webp_chunk(kept, *kind, &[&[flags], &data[1..]]),
        _ => push_webp_chunk(kept, *kind, &[data]),
    })
}

/// The chunks that are kept, in order. The flags of the canvas are as they came.
fn keep_webp_chunks(
    facts: &Facts<'_>,
    limits: &Limits,
    keep: &mut dyn FnMut(&[u8; 4], &[u8]),
) -> Result<(), Rejection> {
    let (mut has_canvas, mut has_profile) = (false, false);
    let mut chunks = webp::Chunks::of(facts.picture);
    while let Some(chunk) = chunks.next()? {
        match &chunk.kind {
            b"VP8X" if !has_canvas => {
                has_canvas = true;
                keep(&chunk.kind, &chunk.data[..10]);
            }
            b"ICCP"
                if has_canvas && !has_profile && chunk.data.len() <= limits.max_metadata_bytes =>
            {
                has_profile = true;
                keep(&chunk.kind, chunk.data);
            }
            b"VP8 " | b"VP8L" | b"ALPH" => keep(&chunk.kind, chunk.data),
            _ => {}
        }
    }
    if facts.orientation != Orientation::Upright {
        keep(b"EXIF", &minimal_tiff(facts.orientation));
    }
    Ok(())
}

fn push_webp_chunk(kept: Kept<'_>, kind: [u8; 4], data: &[&[u8]]) {
    let length: usize = data.iter().map(|part| part.len()).sum();
    kept(&kind);
    kept(&(length as u32).to_le_bytes());
    data.iter().for_each(|part| kept(part));
    if length % 2 == 1 {
        kept(&[0]);
    }
}
