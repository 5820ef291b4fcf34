//! The detail that a photo really has of an iris: pixels that hold nothing do not count.

#![expect(
    clippy::expect_used,
    reason = "`expect` messages explain test failures"
)]

use irisflow_image::encode::grey_png;
use irisflow_image::geometry::PixelRect;
use irisflow_image::load::{Limits, load_photo};
use irisflow_image::plane::Plane;
use irisflow_image::segment::{PhotoPixels as _, Quality, judge_photo};

/// A photo that is sharp nearly to its pixels; the iris is 247 pixels wide.
fn sharp_photo() -> Plane {
    let bytes = include_bytes!("photos/pixabay_eye_2154384.jpg");
    let photo = load_photo(bytes, &Limits::default()).expect("a photo");
    let (width, height) = photo.size();
    let all = PixelRect {
        x: 0,
        y: 0,
        width,
        height,
    };
    photo.crop(all).y
}

fn quality(luma: &Plane) -> Quality {
    let png = grey_png(luma).expect("a small picture");
    let photo = load_photo(&png, &Limits::default()).expect("a photo");
    judge_photo(&photo).iris.expect("an iris").quality
}

fn picture((width, height): (u32, u32), at: impl Fn(u32, u32) -> f32) -> Plane {
    let mut picture = Plane::filled(width, height, 0);
    for y in 0..height {
        for (x, sample) in (0..).zip(picture.row_mut(y)) {
            *sample = (at(x, y) + 0.5).clamp(0.0, 255.0) as u8;
        }
    }
    picture
}

/// Three box filters of three pixels: a Gaussian of about 1.4 pixels.
fn blurred(luma: &Plane) -> Plane {
    let once = |luma: &Plane| {
        picture((luma.width, luma.height), |x, y| {
            let near = |at: u32, limit: u32| at.saturating_sub(1)..=(at + 1).min(limit - 1);
            let pixels =
                near(y, luma.height).flat_map(|y| near(x, luma.width).map(move |x| (x, y)));
            let (sum, count) = pixels.fold((0.0, 0.0), |(sum, count), (x, y)| {
                (sum + f32::from(luma.at(x, y)), count + 1.0)
            });
            sum / count
        })
    };
    once(&once(&once(luma)))
}

fn enlarged(luma: &Plane, times: u32) -> Plane {
    let size = (luma.width * times, luma.height * times);
    let scale = 1.0 / times as f32;
    picture(size, |x, y| {
        luma.sample_bilinear((x as f32 + 0.5) * scale, (y as f32 + 0.5) * scale)
    })
}

/// Up to `strength` levels lighter or darker.
fn noisy(luma: &Plane, strength: f32) -> Plane {
    picture((luma.width, luma.height), |x, y| {
        let mut hash = u64::from(x) << 32 | u64::from(y);
        for _ in 0..3 {
            hash = (hash ^ hash >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        let random = (hash >> 40) as f32 / (1_u64 << 24) as f32;
        f32::from(luma.at(x, y)) + strength * (2.0 * random - 1.0)
    })
}

#[test]
fn a_sharp_photo_has_the_detail_of_nearly_all_its_pixels() {
    let quality = quality(&sharp_photo());
    let share = quality.detail_across / (2.0 * quality.iris_radius_px);
    assert!(share > 0.8, "{share}");
}

#[test]
fn blur_takes_detail_and_score() {
    let (sharp, blurred) = (quality(&sharp_photo()), quality(&blurred(&sharp_photo())));
    let left = blurred.detail_across / sharp.detail_across;
    assert!((0.3..0.7).contains(&left), "{left}");
    assert!(blurred.score() < sharp.score());
}

#[test]
fn enlarging_a_photo_adds_no_detail_and_no_praise() {
    let photo = sharp_photo();
    let (small, large) = (quality(&photo), quality(&enlarged(&photo, 4)));
    assert!(large.iris_radius_px > 3.8 * small.iris_radius_px);
    let times = large.detail_across / small.detail_across;
    assert!((0.7..1.3).contains(&times), "{times}");
    assert!(large.praise() == small.praise());
}

#[test]
fn noise_is_no_detail() {
    let photo = blurred(&sharp_photo());
    let (clean, noisy) = (quality(&photo), quality(&noisy(&photo, 12.0)));
    let times = noisy.detail_across / clean.detail_across;
    assert!((0.8..1.25).contains(&times), "{times}");
}
