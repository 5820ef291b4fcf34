//! The whole way from a photo's bytes to a finished picture, on real photos.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on says why and fails"
)]

use std::ops::ControlFlow;

use irisflow_image::check::check_photo;
use irisflow_image::coverage::Outline;
use irisflow_image::finish::{Background, ResultSize};
use irisflow_image::geometry::PixelRect;
use irisflow_image::load::{ColourProfile, EyePhoto, Limits, load_photo};
use irisflow_image::pipeline::{
    ProcessError, ProcessOptions, ProcessedIris, Stage, StageMark, process,
};
use irisflow_image::plane::YCbCr;
use irisflow_image::rejection::RejectionCode;
use irisflow_image::segment::PhotoPixels;
use irisflow_image::threads::Threads;

const EYE: &[u8] = include_bytes!("photos/pixabay_eye_2154384.jpg");
const GREY_EYE: &[u8] = include_bytes!("photos/pixabay_eye_3221498_gray.jpg");

fn finish(bytes: &[u8]) -> ProcessedIris {
    finish_with(bytes, &ProcessOptions::default())
}

fn finish_with(bytes: &[u8], options: &ProcessOptions) -> ProcessedIris {
    let mut go_on = |_: Stage, _: StageMark| ControlFlow::Continue(());
    process(bytes, options, &mut go_on).expect("a usable photo")
}

fn decoded(bytes: &[u8]) -> (EyePhoto, YCbCr) {
    let photo = load_photo(bytes, &Limits::default()).expect("our own file");
    let (width, height) = photo.size();
    let pixels = photo.crop(PixelRect {
        x: 0,
        y: 0,
        width,
        height,
    });
    (photo, pixels)
}

/// Puts `payload` behind the SOI of a JPEG.
fn with_segment(jpeg: &[u8], marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, marker], &length, payload, &jpeg[2..]].concat()
}

#[test]
fn stages_are_told_in_order_each_with_its_end() {
    let mut heard = Vec::new();
    let mut listen = |stage: Stage, mark: StageMark| {
        heard.push((stage, mark));
        ControlFlow::Continue(())
    };
    process(GREY_EYE, &ProcessOptions::default(), &mut listen).expect("a usable photo");
    let expected: Vec<_> = Stage::ALL
        .iter()
        .flat_map(|&stage| [(stage, StageMark::Begin), (stage, StageMark::End)])
        .collect();
    assert_eq!(heard, expected);
}

#[test]
fn the_observer_can_stop_the_work_at_every_stage() {
    for stop_at in Stage::ALL {
        let mut last = None;
        let mut listen = |stage: Stage, mark: StageMark| {
            last = Some((stage, mark));
            if stage == stop_at {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let ended = process(GREY_EYE, &ProcessOptions::default(), &mut listen);
        assert!(matches!(ended, Err(ProcessError::Stopped)));
        assert_eq!(last, Some((stop_at, StageMark::Begin)));
    }
}

#[test]
fn all_pictures_have_the_promised_size() {
    let iris = finish(GREY_EYE);
    for bytes in [&iris.result, &iris.mask_png] {
        assert_eq!(decoded(bytes).0.size(), (2048, 2048));
    }
    let side =
        (2.0 * iris.segmentation.iris.rx.max(iris.segmentation.iris.ry) / 0.94).round() as u32;
    assert_eq!(
        decoded(&iris.before_jpeg).0.size(),
        (side, side),
        "as the photo has it"
    );
    assert_eq!(decoded(&iris.thumbnail_jpeg).0.size(), (400, 400));
    assert_eq!((iris.width, iris.height), (2048, 2048));
    assert_eq!(iris.photo_size, (450, 348));
}

#[test]
fn the_mask_knows_three_values_and_the_picture_is_black_where_nothing_is_seen() {
    let iris = finish(GREY_EYE);
    let (mask, result) = (decoded(&iris.mask_png).1.y, decoded(&iris.result).1.y);
    let count = |value: u8| {
        mask.samples
            .iter()
            .filter(|&&sample| sample == value)
            .count()
    };
    assert_eq!(count(0) + count(85) + count(255), mask.samples.len());
    assert!(count(85) > 20_000, "the flash was filled");
    assert!(count(255) > 1_000_000);
    for corner in [(10, 10), (2037, 10), (10, 2037), (2037, 2037)] {
        assert_eq!(mask.at(corner.0, corner.1), 0);
        assert!(result.at(corner.0, corner.1) <= 2);
    }
    assert_eq!(mask.at(1024, 1024), 255, "the pupil counts as measured");
}

#[test]
fn pictures_are_the_same_on_any_number_of_threads() {
    let on = |threads: usize| {
        let options = ProcessOptions {
            threads: Threads::new(threads),
            ..ProcessOptions::default()
        };
        let mut go_on = |_: Stage, _: StageMark| ControlFlow::Continue(());
        process(EYE, &options, &mut go_on).expect("a usable photo")
    };
    let (one, three) = (on(1), on(3));
    assert!(one.result == three.result);
    assert!(one.mask_png == three.mask_png && one.before_jpeg == three.before_jpeg);
}

/// Correlation of measured pixels, the result's shifted by `(dx, dy)`.
fn correlation(iris: &ProcessedIris, dx: u32, dy: u32) -> f64 {
    let mask = decoded(&iris.mask_png).1.y;
    let (before, result) = (decoded(&iris.before_jpeg).1.y, decoded(&iris.result).1.y);
    let mut sums = [0.0_f64; 6];
    for y in (0..2000).step_by(3) {
        for x in (0..2000).step_by(3).filter(|&x| mask.at(x, y) == 255) {
            let scale = before.width as f32 / 2048.0;
            let (a, b) = (
                f64::from(
                    before.sample_bilinear((x as f32 + 0.5) * scale, (y as f32 + 0.5) * scale),
                ),
                f64::from(result.at(x + dx, y + dy)),
            );
            for (sum, value) in sums.iter_mut().zip([1.0, a, b, a * a, b * b, a * b]) {
                *sum += value;
            }
        }
    }
    let [n, a, b, aa, bb, ab] = sums;
    let covariance = ab / n - a / n * (b / n);
    covariance / ((aa / n - (a / n).powi(2)) * (bb / n - (b / n).powi(2))).sqrt()
}

#[test]
fn before_and_result_show_the_same_place_at_the_same_pixel() {
    let iris = finish(GREY_EYE);
    let aligned = correlation(&iris, 0, 0);
    assert!(aligned > 0.85, "{aligned}");
    for (dx, dy) in [(16, 0), (0, 16)] {
        assert!(correlation(&iris, dx, dy) < aligned);
    }
}

#[test]
fn the_profile_reaches_result_and_before_and_no_other_metadata_does() {
    let icc = moxcms::ColorProfile::new_display_p3()
        .encode()
        .expect("a built-in profile");
    let part = [b"ICC_PROFILE\0\x01\x01", &icc[..]].concat();
    let photo = with_segment(GREY_EYE, 0xe2, &part);
    let photo = with_segment(&photo, 0xfe, b"a secret comment");
    let photo = with_segment(&photo, 0xe1, b"Exif\0\0MM\0\x2a\0\0\0\x08\0\0 secret place");
    let iris = finish(&photo);
    for bytes in [&iris.result, &iris.before_jpeg] {
        assert_eq!(
            decoded(bytes).0.profile().map(ColourProfile::icc),
            Some(&icc[..])
        );
        assert!(!bytes.windows(6).any(|window| window == b"secret"));
    }
}

#[test]
fn the_same_photo_gives_the_same_bytes() {
    let (first, second) = (finish(GREY_EYE), finish(GREY_EYE));
    assert!(first.result == second.result && first.mask_png == second.mask_png);
}

#[test]
fn a_file_that_is_no_photo_is_rejected_with_its_code() {
    let mut go_on = |_: Stage, _: StageMark| ControlFlow::Continue(());
    let ended = process(b"hello", &ProcessOptions::default(), &mut go_on);
    let Err(ProcessError::Rejected(rejection)) = ended else {
        unreachable!("text is no photo")
    };
    assert_eq!(rejection.code(), RejectionCode::NotAnImage);
}

/// Two eyes side by side, one of them out of focus.
fn two_eyes(blurred_is_left: bool) -> Vec<u8> {
    const REACH: usize = 5;
    let (_, eye) = decoded(EYE);
    let planes = [&eye.y, &eye.cb, &eye.cr];
    let (width, height) = (eye.y.width as usize, eye.y.height as usize);
    let mut ycbcr = Vec::with_capacity(width * 2 * height * 3);
    for y in 0..height {
        for x in 0..2 * width {
            let is_blurred = (x < width) == blurred_is_left;
            let reach = if is_blurred { REACH } else { 0 };
            let rows = y.saturating_sub(reach)..(y + reach + 1).min(height);
            let columns = (x % width).saturating_sub(reach)..(x % width + reach + 1).min(width);
            let count = (rows.len() * columns.len()) as u32;
            ycbcr.extend(planes.map(|plane| {
                let near = rows
                    .clone()
                    .flat_map(|row| &plane.row(row as u32)[columns.clone()]);
                (near.map(|&value| u32::from(value)).sum::<u32>() / count) as u8
            }));
        }
    }
    let mut jpeg = Vec::new();
    jpeg_encoder::Encoder::new(&mut jpeg, 92)
        .encode(
            &ycbcr,
            2 * width as u16,
            height as u16,
            jpeg_encoder::ColorType::Ycbcr,
        )
        .expect("it fits a JPEG");
    jpeg
}

#[test]
fn of_two_eyes_the_better_one_is_used_and_said_to_be() {
    for blurred_is_left in [true, false] {
        let photo = two_eyes(blurred_is_left);
        let checked = check_photo(&photo, &Limits::default());
        let verdict = checked.verdict;
        assert_eq!((verdict.eyes_seen, &verdict.rejection), (2, &None));
        let (width, _) = checked.photo_size.expect("it is a photo");
        let is_left = verdict.iris.expect("an iris").iris.cx < width as f32 / 2.0;
        assert_ne!(is_left, blurred_is_left);

        let mut go_on = |_: Stage, _: StageMark| ControlFlow::Continue(());
        let processed = process(&photo, &ProcessOptions::default(), &mut go_on);
        let processed = processed.expect("a usable photo");
        assert_eq!(processed.eyes_seen, 2);
    }
}

#[test]
fn both_outlines_are_made_where_the_iris_can_be_completed() {
    let options = ProcessOptions {
        both_outlines: true,
        ..ProcessOptions::default()
    };
    let iris = finish_with(GREY_EYE, &options);
    assert_eq!(iris.outline, Outline::Round);
    let visible = iris.other.expect("the other outline");
    assert_eq!(visible.outline, Outline::Visible);
    assert!(visible.filled_share <= iris.filled_share);
    let pixels = |mask: &[u8]| {
        decoded(mask)
            .1
            .y
            .samples
            .iter()
            .filter(|&&value| value > 0)
            .count()
    };
    assert!(pixels(&visible.mask_png) <= pixels(&iris.mask_png));
}

#[test]
fn size_and_background_are_as_asked_for() {
    let make = |size, background| {
        let options = ProcessOptions {
            size,
            background,
            ..ProcessOptions::default()
        };
        finish_with(GREY_EYE, &options)
    };
    let white = make(ResultSize::Pixels(1024), Background::White);
    let (photo, planes) = decoded(&white.result);
    assert_eq!(photo.size(), (1024, 1024));
    assert!(planes.y.at(2, 2) > 250);
    assert_eq!(decoded(&white.mask_png).0.size(), (1024, 1024));
    let transparent = make(ResultSize::Auto, Background::Transparent);
    assert_eq!(
        transparent.width, 1024,
        "the photo has fewer pixels of the iris"
    );
    assert!(transparent.result.starts_with(b"\x89PNG"));
    let photo = make(ResultSize::Pixels(1024), Background::Photo);
    let corner = decoded(&photo.result).1.y.at(512, 8);
    let before = decoded(&photo.before_jpeg).1.y;
    let expected = before.at(before.width / 2, before.height * 8 / 1024);
    assert!(corner.abs_diff(expected) < 30, "{corner} {expected}");
}
