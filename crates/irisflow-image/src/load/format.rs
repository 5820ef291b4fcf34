//! What kind of file this is, found from its first bytes; a name or a content type can lie.

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

/// A format that is recognised in order to be rejected by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnsupportedFormat {
    AnimatedWebP,
    Avif,
    Bmp,
    /// With printing colours.
    CmykJpeg,
    Gif,
    /// The height comes after the pixels.
    HeightlessJpeg,
    Heic,
    Icon,
    Jpeg2000,
    JpegXl,
    /// Lossless, or arithmetic-coded.
    LosslessJpeg,
    Photoshop,
    Qoi,
    TiffOrRaw,
    TwelveBitJpeg,
}

const UNSUPPORTED: &[(&[u8], UnsupportedFormat)] = &[
    (b"GIF87a", UnsupportedFormat::Gif),
    (b"GIF89a", UnsupportedFormat::Gif),
    (b"II*\0", UnsupportedFormat::TiffOrRaw),
    (b"MM\0*", UnsupportedFormat::TiffOrRaw),
    (b"II+\0", UnsupportedFormat::TiffOrRaw),
    (b"MM\0+", UnsupportedFormat::TiffOrRaw),
    (b"\xff\x0a", UnsupportedFormat::JpegXl),
    (b"\0\0\0\x0cJXL \r\n\x87\n", UnsupportedFormat::JpegXl),
    (b"\0\0\0\x0cjP  \r\n\x87\n", UnsupportedFormat::Jpeg2000),
    (b"\xff\x4f\xff\x51", UnsupportedFormat::Jpeg2000),
    (b"8BPS", UnsupportedFormat::Photoshop),
    (b"\0\0\x01\0", UnsupportedFormat::Icon),
    (b"qoif", UnsupportedFormat::Qoi),
];

pub(super) fn sniff(bytes: &[u8]) -> Result<PhotoFormat, Rejection> {
    if bytes.is_empty() {
        return Err(Rejection::EmptyFile);
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
    Err(
        unsupported_format(bytes).map_or(Rejection::NotAPhoto, |format| {
            Rejection::UnsupportedFormat { format }
        }),
    )
}

fn unsupported_format(bytes: &[u8]) -> Option<UnsupportedFormat> {
    if bytes.get(4..8) == Some(b"ftyp") {
        return iso_media_format(bytes);
    }
    if is_bmp(bytes) {
        return Some(UnsupportedFormat::Bmp);
    }
    UNSUPPORTED
        .iter()
        .find(|(magic, _)| bytes.starts_with(magic))
        .map(|&(_, format)| format)
}

/// "BM" also begins ordinary words: the four reserved bytes of a bitmap are zero.
fn is_bmp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"BM") && bytes.get(6..10) == Some(&[0; 4])
}

/// ISO base media files: the major brand, or one of the compatible ones, names the codec.
fn iso_media_format(bytes: &[u8]) -> Option<UnsupportedFormat> {
    let size = bytes
        .first_chunk::<4>()
        .map_or(0, |size| u32::from_be_bytes(*size) as usize);
    let brands = bytes.get(8..size.clamp(12, 256).min(bytes.len()));
    let mut brands = brands.unwrap_or_default().chunks_exact(4);
    if brands
        .clone()
        .any(|brand| brand == b"avif" || brand == b"avis")
    {
        return Some(UnsupportedFormat::Avif);
    }
    let is_heif =
        |brand: &[u8]| matches!(&brand[..2], b"he") || brand == b"mif1" || brand == b"msf1";
    brands.any(is_heif).then_some(UnsupportedFormat::Heic)
}
