//! A picture to look at: what was expected, what was made, and eight times the difference.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::Context as _;
use irisflow_image::plane::YCbCr;

use super::comparison::{decoded, differences};

const AMPLIFIED: u8 = 8;

/// Writes `folder/CASE.PICTURE.png`.
pub(super) fn write(
    folder: &Path,
    case: &str,
    picture: &str,
    expected: &[u8],
    actual: &[u8],
) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let (expected, actual) = (decoded(expected)?, decoded(actual)?);
    let (width, height) = (
        expected.y.width.min(actual.y.width),
        expected.y.height.min(actual.y.height),
    );
    let same_size = (expected.y.width, expected.y.height) == (actual.y.width, actual.y.height);
    let mut rgb = Vec::with_capacity(width as usize * height as usize * 9);
    for y in 0..height {
        rgb.extend((0..width).flat_map(|x| rgb_at(&expected, x, y)));
        rgb.extend((0..width).flat_map(|x| rgb_at(&actual, x, y)));
        rgb.extend((0..width).flat_map(|x| {
            let index = y as usize * width as usize + x as usize;
            let apart = if same_size {
                differences(&expected, &actual, index)
            } else {
                [255; 3]
            };
            apart.map(|by| by.saturating_mul(AMPLIFIED))
        }));
    }
    let path = folder.join(format!("{case}.{picture}.png"));
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), width * 3, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&rgb)?;
    println!("    {}", path.display());
    Ok(())
}

/// JPEG's own conversion (ITU-R BT.601, full range).
fn rgb_at(picture: &YCbCr, x: u32, y: u32) -> [u8; 3] {
    let luma = f32::from(picture.y.at(x, y));
    let cb = f32::from(picture.cb.at(x, y)) - 128.0;
    let cr = f32::from(picture.cr.at(x, y)) - 128.0;
    let rgb = [
        luma + 1.402 * cr,
        luma - 0.344_136 * cb - 0.714_136 * cr,
        luma + 1.772 * cb,
    ];
    rgb.map(|value| value.round().clamp(0.0, 255.0) as u8)
}
