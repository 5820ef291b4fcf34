//! What kind of file this is, found from its first bytes; a name or a content type can lie.

use super::rejections;
use crate::rejection::Rejection;

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PhotoFormat {
    Jpeg,
    Png,
    WebP,
}

impl PhotoFormat {
    /// The usual file name extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }
}

impl std::fmt::Display for PhotoFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
        })
    }
}

/// Picture formats that are recognised in order to be turned down by name.
const UNSUPPORTED: &[(&[u8], &str)] = &[
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF or RAW"),
    (b"MM\0*", "TIFF or RAW"),
    (b"II+\0", "TIFF or RAW"),
    (b"MM\0+", "TIFF or RAW"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\x01\0", "Icon"),
    (b"qoif", "QOI"),
];

pub(super) fn sniff(bytes: &[u8]) -> Result<PhotoFormat, Rejection> {
    if bytes.is_empty() {
        return Err(rejections::empty());
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        return Ok(PhotoFormat::Jpeg);
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(PhotoFormat::Png);
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Ok(PhotoFormat::WebP);
    }
    Err(refuse_by_name(bytes))
}

fn refuse_by_name(bytes: &[u8]) -> Rejection {
    if bytes.get(4..8) == Some(b"ftyp") {
        return refuse_iso_media(bytes);
    }
    if is_bmp(bytes) {
        return rejections::unsupported("BMP");
    }
    UNSUPPORTED
        .iter()
        .find(|(magic, _)| bytes.starts_with(magic))
        .map_or_else(rejections::not_a_photo, |(_, name)| {
            rejections::unsupported(name)
        })
}

/// "BM" also begins ordinary words: the four reserved bytes of a bitmap are zero.
fn is_bmp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"BM") && bytes.get(6..10) == Some(&[0; 4])
}

/// ISO base media files: the major brand, or one of the compatible ones, names the codec.
fn refuse_iso_media(bytes: &[u8]) -> Rejection {
    let size = bytes
        .first_chunk::<4>()
        .map_or(0, |size| u32::from_be_bytes(*size) as usize);
    let brands = bytes.get(8..size.clamp(12, 256).min(bytes.len()));
    let mut brands = brands.unwrap_or_default().chunks_exact(4);
    if brands
        .clone()
        .any(|brand| brand == b"avif" || brand == b"avis")
    {
        return rejections::heic("AVIF");
    }
    let is_heif =
        |brand: &[u8]| matches!(&brand[..2], b"he") || brand == b"mif1" || brand == b"msf1";
    if brands.any(is_heif) {
        return rejections::heic("HEIC");
    }
    rejections::not_a_photo()
}
