//! Pictures to bytes: JPEG with a colour profile and nothing else of the original, and 8-bit PNG.

mod dct;
mod entropy;
mod jpeg;

use jpeg_encoder::{ColorType, Encoder};

use crate::load::ColourProfile;
use crate::plane::Plane;
use crate::threads::Threads;

/// Why bytes could not be written; a bug, since the sizes are ours.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("JPEG: {0}")]
    Jpeg(#[from] jpeg_encoder::EncodingError),
    #[error("more pixels than a JPEG can have")]
    TooLarge,
    #[error("PNG: {0}")]
    Png(#[from] png::EncodingError),
}

/// A picture with chroma at half its size, rounded up.
pub struct Finished {
    pub luma: Plane,
    pub cb: Plane,
    pub cr: Plane,
}

impl std::fmt::Debug for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Finished({:?})", self.luma)
    }
}

/// Encodes as JPEG (4:2:0) with the profile of the source embedded.
pub fn jpeg(
    picture: &Finished,
    quality: u8,
    profile: Option<&ColourProfile>,
    threads: Threads,
) -> Result<Vec<u8>, EncodeError> {
    jpeg::encode(picture, quality, profile.map(ColourProfile::icc), threads)
}

/// Encodes interleaved full-range YCbCr of full chroma, for small pictures and diagnostics.
pub fn jpeg_interleaved(
    samples: &[u8],
    width: u16,
    height: u16,
    quality: u8,
    profile: Option<&ColourProfile>,
) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    if let Some(profile) = profile {
        encoder.add_icc_profile(profile.icc())?;
    }
    encoder.encode(samples, width, height, ColorType::Ycbcr)?;
    Ok(bytes)
}

/// Encodes as PNG with opacity and the profile of the source.
pub fn rgba_png(
    picture: &Finished,
    opacity: &Plane,
    profile: Option<&ColourProfile>,
) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    let mut info = png::Info::with_size(opacity.width, opacity.height);
    info.color_type = png::ColorType::Rgba;
    info.bit_depth = png::BitDepth::Eight;
    info.icc_profile = profile.map(|profile| profile.icc().into());
    let mut encoder = png::Encoder::with_info(&mut bytes, info)?;
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgba(picture, opacity))?;
    writer.finish()?;
    Ok(bytes)
}

fn rgba(picture: &Finished, opacity: &Plane) -> Vec<u8> {
    let mut samples = Vec::with_capacity(opacity.samples.len() * 4);
    for y in 0..opacity.height {
        let (cb, cr) = (picture.cb.row(y / 2), picture.cr.row(y / 2));
        let row = picture.luma.row(y).iter().zip(opacity.row(y)).enumerate();
        for (x, (&luma, &opacity)) in row {
            let luma = f32::from(luma);
            let (cb, cr) = (f32::from(cb[x / 2]) - 128.0, f32::from(cr[x / 2]) - 128.0);
            let rgb = [
                luma + 1.402 * cr,
                luma - 0.344_136 * cb - 0.714_136 * cr,
                luma + 1.772 * cb,
            ];
            samples.extend(rgb.map(|value| (value + 0.5).clamp(0.0, 255.0) as u8));
            samples.push(opacity);
        }
    }
    samples
}

/// Encodes an 8-bit grey plane as PNG.
pub fn grey_png(plane: &Plane) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, plane.width, plane.height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&plane.samples)?;
    writer.finish()?;
    Ok(bytes)
}
