//! Photos for the attacks: usable, huge and malformed ones; and sizes of stored files.

use std::path::Path;

use anyhow::Context as _;

use super::AttackContext;
use crate::bench::{PHONE_HEIGHT, phone_photo};

impl AttackContext {
    /// A usable photo of 25 KB.
    pub(super) fn good_eye(&self) -> anyhow::Result<Vec<u8>> {
        std::fs::read(self.photos.join("pixabay_eye_2154384.jpg")).context("a test photo")
    }

    /// A usable photo of 12 megapixels; generated once and cached in `target/`.
    pub(super) fn phone_photo(&self) -> anyhow::Result<Vec<u8>> {
        let cached = self.root.join("target/attack-phone-photo.jpg");
        if let Ok(photo) = std::fs::read(&cached) {
            return Ok(photo);
        }
        let photo = phone_photo(&self.root, PHONE_HEIGHT)?;
        std::fs::write(&cached, &photo).with_context(|| cached.display().to_string())?;
        Ok(photo)
    }
}

/// Incompressible grey noise: about as many bytes as pixels.
pub(super) fn noisy_png(side_px: u32) -> anyhow::Result<Vec<u8>> {
    let mut noise = 0x2545_F491_u32;
    let pixels: Vec<u8> = (0..side_px * side_px)
        .map(|_| {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            noise.to_be_bytes()[0]
        })
        .collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side_px, side_px);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_compression(png::Compression::NoCompression);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(bytes)
}

/// A JPEG padded with APP15 segments to about this size.
pub(super) fn padded_jpeg(jpeg: &[u8], bytes: usize) -> Vec<u8> {
    const LARGEST: u16 = u16::MAX;
    let mut padded = jpeg[..2].to_vec();
    while padded.len() + jpeg.len() < bytes {
        padded.extend([0xFF, 0xEF]);
        padded.extend(LARGEST.to_be_bytes());
        padded.extend(vec![0x5A; usize::from(LARGEST) - 2]);
    }
    padded.extend(&jpeg[2..]);
    padded
}

/// A PNG whose header claims this size, without pixel data.
pub(super) fn png_claiming_size(width_px: u32, height_px: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = png::Encoder::new(&mut bytes, width_px, height_px);
    // Only the header is needed; the picture stays unfinished.
    if let Ok(writer) = encoder.write_header() {
        drop(writer);
    }
    bytes
}

/// A JPEG whose header claims this size.
pub(super) fn jpeg_claiming_size(jpeg: &[u8], width_px: u16, height_px: u16) -> Vec<u8> {
    let mut bytes = jpeg.to_vec();
    // Start of frame: marker, length, precision, height, width.
    let frame = bytes
        .windows(2)
        .position(|pair| pair[0] == 0xFF && matches!(pair[1], 0xC0..=0xC2));
    if let Some(at) = frame {
        bytes[at + 5..at + 7].copy_from_slice(&height_px.to_be_bytes());
        bytes[at + 7..at + 9].copy_from_slice(&width_px.to_be_bytes());
    }
    bytes
}

/// All files below a folder, with their sizes in bytes.
pub(super) fn files_below(folder: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            found.push((path, size));
        }
    }
    found
}

pub(super) fn megabytes_below(folder: &Path) -> f64 {
    let bytes: u64 = files_below(folder).iter().map(|(_, size)| size).sum();
    bytes as f64 / 1e6
}
