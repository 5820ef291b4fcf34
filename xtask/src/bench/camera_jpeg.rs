//! Test photos as a camera writes them: resampled planes with sensor noise, as JPEG with halved chroma.

use irisflow_image::plane::YCbCr;

/// A JPEG of `(width, height)` pixels. `source_of` gives the point of `planes` that a pixel `(x, y)` shows. The noise
/// (+-3 levels of luma, the same in every run) makes the photo cost what a camera's costs to decode.
///
/// # Errors
/// When the picture cannot be encoded.
pub(super) fn camera_jpeg(
    planes: &YCbCr,
    (width, height): (u16, u16),
    source_of: impl Fn(u16, u16) -> (f32, f32),
) -> anyhow::Result<Vec<u8>> {
    let mut noise = 0x2545_F491_u32;
    let mut pixels = Vec::with_capacity(usize::from(width) * usize::from(height) * 3);
    for row in 0..height {
        for column in 0..width {
            let (x, y) = source_of(column, row);
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let grain = (noise % 7) as f32 - 3.0;
            let luma = planes.y.sample_bilinear(x, y) + grain;
            pixels.push(luma.clamp(0.0, 255.0) as u8);
            pixels.push(planes.cb.sample_bilinear(x, y) as u8);
            pixels.push(planes.cr.sample_bilinear(x, y) as u8);
        }
    }
    let mut jpeg = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 92);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_2_0);
    encoder.encode(&pixels, width, height, jpeg_encoder::ColorType::Ycbcr)?;
    Ok(jpeg)
}
