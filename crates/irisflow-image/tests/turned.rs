//! Photos that lie on their side and do not say so.

#![expect(clippy::expect_used, reason = "a failed expectation is a failed test")]

use irisflow_image::check::check_photo;
use irisflow_image::geometry::QuarterTurn;
use irisflow_image::load::{Limits, load_photo};
use irisflow_image::pipeline::{ProcessOptions, StageMark, process};
use irisflow_image::segment::PhotoPixels as _;

const EYE: &[u8] = include_bytes!("photos/pixabay_eye_2154384.jpg");

/// The test photo with its pixels turned, as a file without an orientation.
fn turned(turn: QuarterTurn) -> Vec<u8> {
    let mut photo = load_photo(EYE, &Limits::default()).expect("a photo");
    photo.turn(turn);
    let (width, height) = photo.size();
    let planes = photo.crop(irisflow_image::geometry::PixelRect {
        x: 0,
        y: 0,
        width,
        height,
    });
    let mut rgb = Vec::new();
    for at in 0..planes.y.samples.len() {
        let sample = |plane: &irisflow_image::plane::Plane| f32::from(plane.samples[at]);
        let (y, cb, cr) = (
            sample(&planes.y),
            sample(&planes.cb) - 128.0,
            sample(&planes.cr) - 128.0,
        );
        let channels = [y + 1.402 * cr, y - 0.344 * cb - 0.714 * cr, y + 1.772 * cb];
        rgb.extend(channels.map(|channel| channel.clamp(0.0, 255.0) as u8));
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&rgb).expect("pixels");
    writer.finish().expect("the end");
    bytes
}

#[test]
fn an_eye_on_its_side_is_found_where_it_is() {
    let upright = check_photo(EYE, &Limits::default());
    let upright = upright.verdict.iris.expect("an eye").iris;
    let size = load_photo(EYE, &Limits::default()).expect("a photo").size();
    for turn in QuarterTurn::BOTH {
        let file = turned(turn);
        let checked = check_photo(&file, &Limits::default());
        assert!(checked.verdict.rejection.is_none(), "{turn:?}");
        assert_eq!(checked.photo_size, Some((size.1, size.0)));
        assert!(checked.turn.is_none_or(|found| found == turn.reversed()));
        let iris = checked.verdict.iris.expect("an eye").iris;
        let expected = turn.point((upright.cx, upright.cy), size);
        let apart = (iris.cx - expected.0).hypot(iris.cy - expected.1);
        assert!(apart < 0.03 * upright.mean_radius(), "{turn:?}: {apart}");

        let mut observer = |_, _: StageMark| std::ops::ControlFlow::Continue(());
        let made = process(&file, &ProcessOptions::default(), &mut observer).expect("a picture");
        assert_eq!(made.turn, checked.turn);
    }
}
