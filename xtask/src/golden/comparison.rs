//! How much two pictures agree: the bytes of the files, then their pixels. Colour pictures are compared by
//! the ratio of peak signal to noise over luma and both chroma planes, masks by the share of pixels whose
//! label differs.

use irisflow_image::geometry::PixelRect;
use irisflow_image::load::{Limits, load_photo};
use irisflow_image::plane::YCbCr;
use irisflow_image::segment::PhotoPixels as _;

use super::outcome::MASK;

/// The share of a mask's pixels whose label may differ: those on its edges.
const MASK_SHARE: f64 = 0.002;

/// What still counts as agreement.
#[derive(Debug)]
pub(super) struct Tolerance {
    /// In dB; masks have their own measure.
    pub(super) min_psnr: f64,
    /// Not a byte may differ.
    pub(super) exact: bool,
}

#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) same_bytes: bool,
    same_size: bool,
    psnr: f64,
    /// The largest difference of a sample, in levels.
    largest: u8,
    /// The share of pixels of which a sample differs.
    differing: f64,
    is_mask: bool,
}

impl Comparison {
    pub(super) const HEAD: &str = "| case | picture | PSNR, dB | largest difference, levels | pixels that differ | verdict |\n\
         |---|---|---|---|---|---|";

    pub(super) fn of(name: &str, expected: &[u8], actual: &[u8]) -> anyhow::Result<Self> {
        let is_mask = name == MASK;
        if expected == actual {
            return Ok(Self {
                same_bytes: true,
                same_size: true,
                psnr: f64::INFINITY,
                largest: 0,
                differing: 0.0,
                is_mask,
            });
        }
        Ok(Self::of_pixels(
            &decoded(expected)?,
            &decoded(actual)?,
            is_mask,
        ))
    }

    fn of_pixels(expected: &YCbCr, actual: &YCbCr, is_mask: bool) -> Self {
        let size = |picture: &YCbCr| (picture.y.width, picture.y.height);
        let same_size = size(expected) == size(actual);
        let (mut squares, mut largest, mut differing) = (0.0, 0, 0_u64);
        let pixels = expected.y.samples.len();
        if same_size {
            for index in 0..pixels {
                let apart = differences(expected, actual, index);
                squares += apart.iter().map(|&by| f64::from(by).powi(2)).sum::<f64>();
                let most = apart.into_iter().max().unwrap_or_default();
                largest = largest.max(most);
                differing += u64::from(most > 0);
            }
        }
        let mean = squares / (pixels as f64 * 3.0);
        Self {
            same_bytes: false,
            same_size,
            psnr: 10.0 * (255.0_f64.powi(2) / mean).log10(),
            largest,
            differing: differing as f64 / pixels as f64,
            is_mask,
        }
    }

    pub(super) fn is_within(&self, tolerance: &Tolerance) -> bool {
        if tolerance.exact {
            return self.same_bytes;
        }
        let agrees = if self.is_mask {
            self.differing <= MASK_SHARE
        } else {
            self.psnr >= tolerance.min_psnr
        };
        self.same_bytes || self.same_size && agrees
    }

    pub(super) fn row(&self, case: &str, picture: &str, tolerance: &Tolerance) -> String {
        let verdict = match (self.same_bytes, self.same_size, self.is_within(tolerance)) {
            (true, ..) => "same bytes",
            (_, false, _) => "**another size**",
            (_, _, true) => "agrees",
            (_, _, false) => "**differs**",
        };
        format!(
            "| {case} | {picture} | {:.1} | {} | {:.3} % | {verdict} |",
            self.psnr,
            self.largest,
            self.differing * 100.0
        )
    }
}

/// How far the three samples of a pixel are apart.
pub(super) fn differences(expected: &YCbCr, actual: &YCbCr, index: usize) -> [u8; 3] {
    let planes = [
        (&expected.y, &actual.y),
        (&expected.cb, &actual.cb),
        (&expected.cr, &actual.cr),
    ];
    planes.map(|(a, b)| a.samples[index].abs_diff(b.samples[index]))
}

pub(super) fn decoded(bytes: &[u8]) -> anyhow::Result<YCbCr> {
    let photo = load_photo(bytes, &Limits::default())
        .map_err(|rejection| anyhow::anyhow!("{rejection}"))?;
    let (width, height) = photo.size();
    Ok(photo.crop(PixelRect {
        x: 0,
        y: 0,
        width,
        height,
    }))
}

#[cfg(test)]
mod tests {
    use irisflow_image::plane::Plane;

    use super::*;

    fn grey(samples: [u8; 4]) -> YCbCr {
        let plane = |samples: Vec<u8>| Plane {
            width: 2,
            height: 2,
            samples,
        };
        YCbCr {
            y: plane(samples.to_vec()),
            cb: plane(vec![128; 4]),
            cr: plane(vec![128; 4]),
        }
    }

    #[test]
    fn the_figures_are_those_of_the_pixels() {
        let found = Comparison::of_pixels(&grey([0, 0, 0, 0]), &grey([0, 3, 0, 0]), false);
        // One square of 9 among 12 samples.
        assert!((found.psnr - 10.0 * (65025.0_f64 / 0.75).log10()).abs() < 1e-9);
        assert_eq!(found.largest, 3);
        assert!((found.differing - 0.25).abs() < 1e-9);
    }

    #[test]
    fn what_agrees_depends_on_the_measure_of_the_picture() {
        let tolerance = |min_psnr, exact| Tolerance { min_psnr, exact };
        let picture = Comparison::of_pixels(&grey([0; 4]), &grey([1; 4]), false);
        assert!(picture.is_within(&tolerance(50.0, false)));
        assert!(!picture.is_within(&tolerance(60.0, false)));
        assert!(!picture.is_within(&tolerance(10.0, true)));
        let mask = Comparison::of_pixels(&grey([0; 4]), &grey([0, 0, 0, 1]), true);
        assert!(!mask.is_within(&tolerance(10.0, false)));
    }
}
