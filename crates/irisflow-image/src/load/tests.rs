//! What loading promises, on small drawn pictures (`seeds/`) and on pictures encoded here.

use super::{
    ColourProfile, EyePhoto, Limits, Orientation, PhotoFormat, UnsupportedFormat, load_photo,
    probe, strip_metadata,
};
use crate::geometry::PixelRect;
use crate::rejection::{Rejection, RejectionCode};
use crate::segment::PhotoPixels;

const BASELINE: &[u8] = include_bytes!("seeds/baseline.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("seeds/progressive.jpg");
const GREY_JPEG: &[u8] = include_bytes!("seeds/grey.jpg");
const RGB_JPEG: &[u8] = include_bytes!("seeds/rgb.jpg");
const CMYK_JPEG: &[u8] = include_bytes!("seeds/cmyk.jpg");
const RGB_PNG: &[u8] = include_bytes!("seeds/rgb.png");
const PALETTE_PNG: &[u8] = include_bytes!("seeds/palette.png");
const GREY16_PNG: &[u8] = include_bytes!("seeds/grey16.png");
const LOSSY_WEBP: &[u8] = include_bytes!("seeds/lossy.webp");
const LOSSLESS_WEBP: &[u8] = include_bytes!("seeds/lossless.webp");
const TRANSPARENT_WEBP: &[u8] = include_bytes!("seeds/transparent.webp");
const ANIMATED_WEBP: &[u8] = include_bytes!("seeds/anim.webp");

const READABLE: [&[u8]; 10] = [
    BASELINE,
    PROGRESSIVE,
    GREY_JPEG,
    RGB_JPEG,
    RGB_PNG,
    PALETTE_PNG,
    GREY16_PNG,
    LOSSY_WEBP,
    LOSSLESS_WEBP,
    TRANSPARENT_WEBP,
];

fn load(bytes: &[u8]) -> EyePhoto {
    load_photo(bytes, &Limits::default()).expect("a readable photo")
}

fn unsupported(format: UnsupportedFormat) -> Rejection {
    Rejection::UnsupportedFormat { format }
}

fn rejection_of(bytes: &[u8]) -> Rejection {
    load_photo(bytes, &Limits::default()).expect_err("a photo that is turned down")
}

fn whole(photo: &EyePhoto) -> crate::plane::YCbCr {
    let (width, height) = photo.size();
    photo.crop(PixelRect {
        x: 0,
        y: 0,
        width,
        height,
    })
}

/// A grey PNG of these samples, with an EXIF block that states `orientation`.
fn grey_png(width: u32, height: u32, samples: &[u8], orientation: u8) -> Vec<u8> {
    let mut info = png::Info::with_size(width, height);
    let tiff = super::exif::minimal_tiff(Orientation::Upright);
    let mut tiff = tiff.to_vec();
    tiff[19] = orientation;
    info.exif_metadata = Some(tiff.into());
    info.bit_depth = png::BitDepth::Eight;
    info.color_type = png::ColorType::Grayscale;
    let mut bytes = Vec::new();
    let encoder = png::Encoder::with_info(&mut bytes, info).expect("a sound header");
    let mut writer = encoder.write_header().expect("a vector takes everything");
    writer.write_image_data(samples).expect("samples that fit");
    writer.finish().expect("a vector takes everything");
    bytes
}

/// Puts `segment` right behind the SOI of a JPEG.
fn with_segment(jpeg: &[u8], marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, marker], &length, payload, &jpeg[2..]].concat()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

mod orientation {
    use super::*;

    /// The letter stored as
    /// ```text
    /// 1 2 3
    /// 4 5 6
    /// ```
    fn upright(orientation: u8) -> (u32, u32, Vec<u8>) {
        let photo = load(&grey_png(3, 2, &[1, 2, 3, 4, 5, 6], orientation));
        let y = whole(&photo).y;
        (y.width, y.height, y.samples)
    }

    #[test]
    fn each_of_the_eight_stands_upright() {
        assert_eq!(upright(1), (3, 2, vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(upright(2), (3, 2, vec![3, 2, 1, 6, 5, 4]));
        assert_eq!(upright(3), (3, 2, vec![6, 5, 4, 3, 2, 1]));
        assert_eq!(upright(4), (3, 2, vec![4, 5, 6, 1, 2, 3]));
        assert_eq!(upright(5), (2, 3, vec![1, 4, 2, 5, 3, 6]));
        assert_eq!(upright(6), (2, 3, vec![4, 1, 5, 2, 6, 3]));
        assert_eq!(upright(7), (2, 3, vec![6, 3, 5, 2, 4, 1]));
        assert_eq!(upright(8), (2, 3, vec![3, 6, 2, 5, 1, 4]));
    }

    #[test]
    fn numbers_that_exif_does_not_define_are_ignored() {
        for undefined in [0, 9, 255] {
            assert_eq!(upright(undefined), upright(1));
        }
    }

    #[test]
    fn a_crop_is_cut_from_the_upright_photo() {
        let photo = load(&grey_png(3, 2, &[1, 2, 3, 4, 5, 6], 6));
        let crop = photo.crop(PixelRect {
            x: 1,
            y: 1,
            width: 1,
            height: 2,
        });
        assert_eq!(crop.y.samples, [2, 3]);
    }

    #[test]
    fn the_reduced_copy_is_the_crop_made_smaller_whichever_way_the_photo_is_stored() {
        let samples: Vec<u8> = (0..50 * 37).map(|i| (i % 50 * 3 + i / 50) as u8).collect();
        for orientation in 1..=8 {
            let photo = load(&grey_png(50, 37, &samples, orientation));
            let reduced = photo.reduced(12);
            let upright = whole(&photo).y;
            let small = &reduced.planes.y;
            assert_eq!(small.width.max(small.height), 12);
            for (x, y) in [(2, 2), (5, 3), (3, 5)] {
                let centre = |at: u32| (at as f32 + 0.5) * reduced.scale;
                let expected = upright.sample_bilinear(centre(x), centre(y));
                let found = f32::from(small.at(x, y));
                assert!(
                    (found - expected).abs() < 2.0,
                    "orientation {orientation} at ({x}, {y}): {found} for {expected}"
                );
            }
        }
    }

    #[test]
    fn a_small_photo_is_not_enlarged() {
        let photo = load(GREY_JPEG);
        let reduced = photo.reduced(1000);
        assert_eq!((reduced.planes.y.width, reduced.scale), (32, 1.0));
    }
}

mod pixels {
    use super::*;

    fn means(bytes: &[u8]) -> [f64; 3] {
        let planes = whole(&load(bytes));
        [planes.y, planes.cb, planes.cr].map(|plane| {
            let sum: u64 = plane.samples.iter().map(|&sample| u64::from(sample)).sum();
            sum as f64 / plane.samples.len() as f64
        })
    }

    #[test]
    fn the_same_picture_looks_the_same_in_every_colour_format() {
        let expected = means(RGB_PNG);
        for bytes in [
            BASELINE,
            PROGRESSIVE,
            RGB_JPEG,
            PALETTE_PNG,
            LOSSY_WEBP,
            LOSSLESS_WEBP,
        ] {
            for (found, expected) in means(bytes).iter().zip(expected) {
                assert!((found - expected).abs() < 4.0, "{found} for {expected}");
            }
        }
    }

    #[test]
    fn grey_photos_have_neutral_chroma() {
        for bytes in [GREY_JPEG, GREY16_PNG] {
            let [y, cb, cr] = means(bytes);
            assert!((y - means(RGB_PNG)[0]).abs() < 4.0);
            assert_eq!([cb, cr], [128.0, 128.0]);
        }
    }

    #[test]
    fn transparent_pixels_lie_over_middle_grey() {
        let planes = whole(&load(TRANSPARENT_WEBP));
        assert!(planes.y.at(0, 20).abs_diff(128) < 3);
        assert!(planes.cb.at(0, 20).abs_diff(128) < 3);
    }

    #[test]
    fn primaries_become_full_range_bt601() {
        use super::super::frame::ycbcr_from_rgb;
        assert_eq!(ycbcr_from_rgb(0, 0, 0), [0, 128, 128]);
        assert_eq!(ycbcr_from_rgb(255, 255, 255), [255, 128, 128]);
        assert_eq!(ycbcr_from_rgb(255, 0, 0), [76, 85, 255]);
        assert_eq!(ycbcr_from_rgb(0, 255, 0), [150, 44, 21]);
        assert_eq!(ycbcr_from_rgb(0, 0, 255), [29, 255, 107]);
    }
}

mod formats {
    use super::*;

    #[test]
    fn a_format_is_found_from_the_bytes() {
        let format = |bytes| probe(bytes, &Limits::default()).map(|header| header.format);
        assert_eq!(format(BASELINE), Ok(PhotoFormat::Jpeg));
        assert_eq!(format(RGB_PNG), Ok(PhotoFormat::Png));
        assert_eq!(format(LOSSY_WEBP), Ok(PhotoFormat::WebP));
    }

    #[test]
    fn the_header_gives_the_size_of_the_upright_photo() {
        for bytes in [BASELINE, RGB_PNG, LOSSY_WEBP] {
            let header = probe(bytes, &Limits::default()).expect("a readable header");
            assert_eq!((header.width, header.height), (24, 32));
            assert_eq!(header.orientation, Orientation::TurnedLeft);
            assert_eq!(load(bytes).size(), (24, 32));
        }
    }

    #[test]
    fn an_iphone_photo_in_heic_is_recognised() {
        let rejection = rejection_of(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x08mdat");
        assert_eq!(rejection, unsupported(UnsupportedFormat::Heic));
    }

    #[test]
    fn known_pictures_of_other_formats_are_named() {
        let others: [(&[u8], UnsupportedFormat); 5] = [
            (b"GIF89a\x01\0\x01\0", UnsupportedFormat::Gif),
            (b"II*\0\x08\0\0\0", UnsupportedFormat::TiffOrRaw),
            (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0", UnsupportedFormat::Bmp),
            (
                b"\0\0\0\x1cftypavif\0\0\0\0mif1avif",
                UnsupportedFormat::Avif,
            ),
            (b"\xff\x0a\x00", UnsupportedFormat::JpegXl),
        ];
        for (bytes, format) in others {
            assert_eq!(rejection_of(bytes), unsupported(format));
        }
    }

    #[test]
    fn printing_colours_and_animations_are_turned_down() {
        let cmyk = rejection_of(CMYK_JPEG);
        assert_eq!(cmyk, unsupported(UnsupportedFormat::CmykJpeg));
        let animated = rejection_of(ANIMATED_WEBP);
        assert_eq!(animated, unsupported(UnsupportedFormat::AnimatedWebP));
    }

    #[test]
    fn anything_else_is_not_an_image() {
        let others: [&[u8]; 6] = [
            b"",
            b"BMW is a car maker",
            b"<svg/>",
            b"\xff\xd8",
            b"RIFF",
            b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
        ];
        for bytes in others {
            assert_eq!(rejection_of(bytes).code(), RejectionCode::NotAnImage);
        }
    }

    #[test]
    fn a_file_that_is_cut_off_says_so() {
        for bytes in [BASELINE, PROGRESSIVE, RGB_PNG, LOSSY_WEBP] {
            for length in [bytes.len() - 1, bytes.len() / 2] {
                let rejection = rejection_of(&bytes[..length]);
                assert_eq!(rejection.code(), RejectionCode::NotAnImage);
                assert!(
                    matches!(rejection, Rejection::TruncatedFile { .. }),
                    "{rejection:?}"
                );
            }
        }
    }
}

mod limits {
    use super::*;

    fn too_large(bytes: &[u8], limits: Limits) -> (&'static str, f64, f64) {
        for result in [
            load_photo(bytes, &limits).map(|_| ()),
            strip_metadata(bytes, &limits, &mut |_| {}).map(|_| ()),
            probe(bytes, &limits).map(|_| ()),
        ] {
            let rejection = result.expect_err("a limit that is kept everywhere");
            assert_eq!(rejection.code(), RejectionCode::ImageTooLarge);
        }
        let rejection = probe(bytes, &limits).expect_err("just seen");
        let missed = rejection.missed_limit().expect("the numbers");
        (missed.figure, missed.value, missed.threshold)
    }

    #[test]
    fn a_limit_that_is_exceeded_is_told_with_its_numbers() {
        let limits = Limits::default();
        for bytes in [BASELINE, RGB_PNG, LOSSY_WEBP] {
            let length = bytes.len();
            assert_eq!(
                too_large(
                    bytes,
                    Limits {
                        max_bytes: length - 1,
                        ..limits
                    }
                ),
                ("bytes", length as f64, (length - 1) as f64)
            );
            assert_eq!(
                too_large(
                    bytes,
                    Limits {
                        max_pixels: 767,
                        ..limits
                    }
                ),
                ("pixels", 768.0, 767.0)
            );
            assert_eq!(
                too_large(
                    bytes,
                    Limits {
                        max_side: 31,
                        ..limits
                    }
                ),
                ("longer_side_px", 32.0, 31.0)
            );
        }
    }

    #[test]
    fn a_photo_at_the_limit_is_read() {
        let limits = Limits {
            max_bytes: BASELINE.len(),
            max_pixels: 768,
            max_side: 32,
            ..Limits::default()
        };
        assert!(load_photo(BASELINE, &limits).is_ok());
    }

    #[test]
    fn a_progressive_jpeg_with_too_many_passes_is_too_large() {
        let limits = Limits {
            max_jpeg_scans: 9,
            ..Limits::default()
        };
        assert_eq!(too_large(PROGRESSIVE, limits), ("passes", 10.0, 9.0));
    }

    #[test]
    fn a_photo_that_takes_more_memory_than_its_pixels_is_limited_by_that() {
        let limits = Limits {
            max_decode_bytes: 768 * 3,
            ..Limits::default()
        };
        assert!(load_photo(BASELINE, &limits).is_ok());
        let (figure, found, _) = too_large(PROGRESSIVE, limits);
        assert_eq!(figure, "decode_bytes");
        assert!(
            found >= 768.0 * 6.0,
            "coefficients of two bytes each: {found}"
        );
    }

    #[test]
    fn a_huge_size_in_a_tiny_header_costs_nothing() {
        let mut bomb = RGB_PNG.to_vec();
        bomb[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x3f, 0]);
        assert_eq!(rejection_of(&bomb).code(), RejectionCode::ImageTooLarge);
    }

    #[test]
    fn a_webp_whose_picture_is_larger_than_its_canvas_is_damaged() {
        let mut bomb = LOSSY_WEBP.to_vec();
        bomb[24] = 1; // canvas width less one
        assert_eq!(rejection_of(&bomb).code(), RejectionCode::NotAnImage);
    }

    #[test]
    fn a_profile_over_the_limit_is_ignored_and_not_refused() {
        let limits = Limits {
            max_metadata_bytes: 100,
            ..Limits::default()
        };
        for bytes in [BASELINE, RGB_PNG, LOSSY_WEBP] {
            let photo = load_photo(bytes, &limits).expect("a readable photo");
            assert_eq!(photo.profile(), None);
        }
    }
}

mod profile {
    use super::*;

    fn display_p3() -> Vec<u8> {
        moxcms::ColorProfile::new_display_p3()
            .encode()
            .expect("a built-in profile")
    }

    #[test]
    fn an_rgb_profile_is_kept_from_every_format() {
        for bytes in [BASELINE, RGB_PNG, LOSSY_WEBP] {
            let photo = load(bytes);
            let icc = photo
                .profile()
                .map(ColourProfile::icc)
                .expect("the profile of the seed");
            assert_eq!(&icc[36..40], b"acsp");
        }
        assert_eq!(load(PROGRESSIVE).profile(), None);
    }

    #[test]
    fn a_profile_in_numbered_parts_is_put_together_in_any_order() {
        let icc = display_p3();
        let (first, second) = icc.split_at(100);
        let part = |number: u8, data: &[u8]| [b"ICC_PROFILE\0", &[number, 2][..], data].concat();
        let jpeg = with_segment(PROGRESSIVE, 0xe2, &part(1, first));
        let jpeg = with_segment(&jpeg, 0xe2, &part(2, second));
        assert_eq!(
            load(&jpeg).profile().map(ColourProfile::icc),
            Some(&icc[..])
        );
    }

    #[test]
    fn a_profile_with_a_part_missing_or_of_nonsense_is_ignored() {
        let icc = display_p3();
        let half = [b"ICC_PROFILE\0", &[1, 2][..], &icc[..100]].concat();
        let nonsense = [b"ICC_PROFILE\0", &[1, 1][..], &[7; 200]].concat();
        for payload in [half, nonsense] {
            assert_eq!(
                load(&with_segment(PROGRESSIVE, 0xe2, &payload)).profile(),
                None
            );
        }
    }
}

mod stripping {
    use super::*;

    fn strip(bytes: &[u8]) -> Vec<u8> {
        let mut kept = Vec::new();
        strip_metadata(bytes, &Limits::default(), &mut |piece| kept.extend(piece))
            .expect("a readable photo");
        kept
    }

    #[test]
    fn pixels_orientation_and_profile_survive() {
        for bytes in READABLE {
            let (before, after) = (load(bytes), load(&strip(bytes)));
            assert_eq!(after.size(), before.size());
            assert_eq!(after.profile(), before.profile());
            let (before, after) = (whole(&before), whole(&after));
            assert!(before.y == after.y && before.cb == after.cb && before.cr == after.cr);
        }
    }

    #[test]
    fn camera_date_comments_and_texts_do_not() {
        for bytes in [BASELINE, RGB_PNG, LOSSY_WEBP] {
            assert!(contains(bytes, b"TestCam"));
            let stripped = strip(bytes);
            for secret in [&b"TestCam"[..], b"2020:01:01", b"secret"] {
                assert!(!contains(&stripped, secret));
            }
        }
    }

    #[test]
    fn what_follows_the_end_of_the_picture_is_dropped() {
        for bytes in READABLE {
            let tailed = [bytes, b"a motion photo's video"].concat();
            assert_eq!(strip(&tailed), strip(bytes));
        }
    }

    #[test]
    fn stripping_twice_changes_nothing_more() {
        for bytes in READABLE {
            let once = strip(bytes);
            assert_eq!(strip(&once), once);
        }
    }

    #[test]
    fn a_jfif_thumbnail_is_dropped() {
        let jfif = [&b"JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01"[..], b"RGB"].concat();
        let without_jfif = [&PROGRESSIVE[..2], &PROGRESSIVE[20..]].concat();
        let stripped = strip(&with_segment(&without_jfif, 0xe0, &jfif));
        assert_eq!(
            stripped[2..20],
            *b"\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
        );
    }

    #[test]
    fn the_size_is_that_of_the_upright_photo() {
        let stripped = strip_metadata(BASELINE, &Limits::default(), &mut |_| {});
        let stripped = stripped.expect("a readable photo");
        assert_eq!((stripped.width, stripped.height), (24, 32));
        assert_eq!(stripped.format, PhotoFormat::Jpeg);
    }
}

mod hostile {
    use super::*;

    /// A linear congruential generator: the same mutants on every run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.0 >> 33) as usize % bound
        }
    }

    fn mutant(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _flip in 0..=dice.below(8) {
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
        }
        if dice.below(4) == 0 {
            bytes.truncate(dice.below(bytes.len()) + 1);
        }
        bytes
    }

    #[test]
    fn thousands_of_damaged_files_are_read_or_rejected_and_never_panic() {
        let limits = Limits {
            max_pixels: 1 << 20,
            ..Limits::default()
        };
        let mut dice = Dice(42);
        let mut read = 0;
        for round in 0..4000 {
            let bytes = mutant(READABLE[round % READABLE.len()], &mut dice);
            let stripped = strip_metadata(&bytes, &limits, &mut |_| {});
            let photo = load_photo(&bytes, &limits);
            if let (Ok(stripped), Ok(photo)) = (stripped, photo) {
                assert_eq!((stripped.width, stripped.height), photo.size());
                let _ = photo.reduced(8);
                read += 1;
            }
        }
        assert!(
            (400..3600).contains(&read),
            "mutants must reach the decoders: {read}"
        );
    }
}
