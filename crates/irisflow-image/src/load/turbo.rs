//! JPEGs by libjpeg-turbo: grey, or with chroma halved both ways, in any number of passes. Decoded to planes,
//! chroma as stored. Whatever else there is, damaged files among them, is left to the decoders that are always
//! built in, so that the same photos are rejected for the same reasons.

use turbojpeg::{Colorspace, Decompressor, Subsamp, YuvImage};

use super::Limits;
use super::frame::{Frame, Samples};
use crate::plane::Plane;

/// None unless the picture is of the kind described above and without damage.
pub(super) fn decode(picture: &[u8], size: (u32, u32), limits: &Limits) -> Option<Frame> {
    let (width, height) = (size.0 as usize, size.1 as usize);
    let mut decoder = Decompressor::new().ok()?;
    let passes = u32::try_from(limits.max_jpeg_scans).ok()?;
    decoder.set_scan_limit(passes).ok()?;
    let header = decoder.read_header(picture).ok()?;
    let is_grey = match (header.subsamp, header.colorspace) {
        (Subsamp::Gray, Colorspace::Gray) => true,
        (Subsamp::Sub2x2, Colorspace::YCbCr) => false,
        _ => return None,
    };
    if (header.width, header.height) != (width, height) {
        return None;
    }
    // Planes with chroma are whole multiples of one of its samples.
    let chroma = (size.0.div_ceil(2), size.1.div_ceil(2));
    let (stride, rows, of_chroma) = match is_grey {
        true => (width, height, 0),
        false => {
            let (columns, rows) = (chroma.0 as usize, chroma.1 as usize);
            (2 * columns, 2 * rows, columns * rows)
        }
    };
    let mut samples = vec![0; stride * rows + 2 * of_chroma];
    let image = YuvImage {
        pixels: &mut samples[..],
        width,
        align: 1,
        height,
        subsamp: header.subsamp,
    };
    decoder.decompress_to_yuv(picture, image).ok()?;
    let plane = |(width, height), samples| Plane {
        width,
        height,
        samples,
    };
    let (cb, cr) = samples[stride * rows..].split_at(of_chroma);
    let planes = [cb, cr].map(|samples| plane(chroma, samples.to_vec()));
    samples.truncate(stride * rows);
    drop_last_column(&mut samples, stride, width);
    samples.truncate(width * height);
    samples.shrink_to_fit();
    Some(Frame {
        width: size.0,
        height: size.1,
        samples: match is_grey {
            true => Samples::Grey(samples),
            false => Samples::HalfChroma(plane(size, samples), planes),
        },
    })
}

/// Rows of `stride` samples become rows of `width`.
fn drop_last_column(samples: &mut [u8], stride: usize, width: usize) {
    if stride != width {
        for row in 1..samples.len() / stride {
            samples.copy_within(row * stride..row * stride + width, row * width);
        }
    }
}

#[cfg(test)]
mod tests {
    use jpeg_encoder::{ColorType, SamplingFactor};

    use super::super::testing::{KINDS_OF_CAMERAS, SIZE, jpeg, largest_differences};
    use super::decode;
    use crate::load::Limits;

    #[test]
    fn both_decoders_agree() {
        let progressive = jpeg(ColorType::Ycbcr, |encoder| encoder.set_progressive(true));
        let cameras = KINDS_OF_CAMERAS.map(|(colour, prepare)| jpeg(colour, prepare));
        for bytes in cameras.into_iter().chain([progressive]) {
            let frame = decode(&bytes, SIZE, &Limits::default()).expect("read by libjpeg-turbo");
            let most = largest_differences(&bytes, frame);
            assert!(most.iter().all(|&levels| levels <= 2), "{most:?}");
        }
    }

    /// Optimised tables are written with a scan for each component, which zune-jpeg 0.5.15 decodes wrongly: the pixels
    /// are compared with those of the same picture in one scan.
    #[test]
    fn a_scan_for_each_component_gives_the_same_pixels() {
        let scans = jpeg(ColorType::Ycbcr, |encoder| {
            encoder.set_optimized_huffman_tables(true);
        });
        let frame = decode(&scans, SIZE, &Limits::default()).expect("read by libjpeg-turbo");
        let most = largest_differences(&jpeg(ColorType::Ycbcr, |_| {}), frame);
        assert!(most.iter().all(|&levels| levels <= 2), "{most:?}");
    }

    #[test]
    fn other_kinds_other_sizes_and_damage_are_left_to_the_other_decoders() {
        let limits = Limits::default();
        let full = jpeg(ColorType::Ycbcr, |encoder| {
            encoder.set_sampling_factor(SamplingFactor::R_4_4_4);
        });
        assert!(decode(&full, SIZE, &limits).is_none());
        let whole = jpeg(ColorType::Ycbcr, |_| {});
        assert!(decode(&whole, (SIZE.0 - 1, SIZE.1), &limits).is_none());
        let missing = [&whole[..whole.len() - 200], b"\xff\xd9"].concat();
        assert!(decode(&missing, SIZE, &limits).is_none());
    }

    #[test]
    fn passes_are_limited() {
        let progressive = jpeg(ColorType::Ycbcr, |encoder| encoder.set_progressive(true));
        let limits = Limits {
            max_jpeg_scans: 1,
            ..Limits::default()
        };
        assert!(decode(&progressive, SIZE, &limits).is_none());
    }
}
