//! Pictures to bytes: JPEG with a colour profile and nothing else of the original, and 8-bit PNG.

use jpeg_encoder::{ColorType, Encoder, ImageBuffer, JpegColorType, SamplingFactor};

use crate::load::ColourProfile;
use crate::plane::Plane;

/// Why bytes could not be written; a bug, since the sizes are ours.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("JPEG: {0}")]
    Jpeg(#[from] jpeg_encoder::EncodingError),
    #[error("PNG: {0}")]
    Png(#[from] png::EncodingError),
}

/// A picture with chroma at half its size.
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
) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::with_capacity(picture.luma.samples.len() / 4);
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    if let Some(profile) = profile {
        encoder.add_icc_profile(profile.icc())?;
    }
    encoder.encode_image(HalfChroma(picture))?;
    Ok(bytes)
}

/// Gives the encoder each chroma sample four times; averaging by four, it gets them back.
struct HalfChroma<'a>(&'a Finished);

impl ImageBuffer for HalfChroma<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.0.luma.width as u16
    }

    fn height(&self) -> u16 {
        self.0.luma.height as u16
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let [luma, cb, cr, _] = buffers;
        luma.extend_from_slice(self.0.luma.row(u32::from(y)));
        for (plane, buffer) in [(&self.0.cb, cb), (&self.0.cr, cr)] {
            let row = plane.row(u32::from(y / 2).min(plane.height - 1));
            buffer.extend(row.iter().flat_map(|&sample| [sample, sample]));
        }
    }
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
