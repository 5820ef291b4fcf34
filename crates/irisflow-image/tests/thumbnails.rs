//! Thumbnails: small, upright, and without what the photo's file said beside its pixels.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on says why and fails"
)]

use irisflow_image::load::{EyePhoto, Limits, load_photo};
use irisflow_image::segment::PhotoPixels as _;
use irisflow_image::thumbnail::of_photo;

/// 450 x 348.
const WIDE: &[u8] = include_bytes!("photos/pixabay_eye_3221498_gray.jpg");
/// 400 x 400.
const SQUARE: &[u8] = include_bytes!("photos/pixabay_eye_2154384.jpg");

fn load(bytes: &[u8]) -> EyePhoto {
    load_photo(bytes, &Limits::default()).expect("a photo")
}

/// The photo with an EXIF block that says how it was held, and where.
fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    exif.extend(b"52.5163 N, 13.3777 E");
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], b"\xff\xe1", &length, &exif, &jpeg[2..]].concat()
}

#[test]
fn the_longer_side_has_400_pixels() {
    let thumbnail = of_photo(&load(WIDE)).expect("a thumbnail");
    assert_eq!(load(&thumbnail).size(), (400, 309));
}

#[test]
fn a_photo_that_is_small_keeps_its_size() {
    let thumbnail = of_photo(&load(SQUARE)).expect("a thumbnail");
    assert_eq!(load(&thumbnail).size(), (400, 400));
}

#[test]
fn it_is_upright_and_says_nothing_of_the_place() {
    let turned = with_exif(WIDE, 6);
    assert_eq!(load(&turned).size(), (348, 450), "it was held upright");

    let thumbnail = of_photo(&load(&turned)).expect("a thumbnail");

    assert_eq!(load(&thumbnail).size(), (309, 400));
    for metadata in [&b"Exif"[..], b"52.5163"] {
        assert!(
            !thumbnail
                .windows(metadata.len())
                .any(|part| part == metadata)
        );
    }
}
