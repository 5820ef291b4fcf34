//! The small pictures that the pipeline passes to its observer on the way.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on says why and fails"
)]

use std::ops::ControlFlow;
use std::time::Instant;

use irisflow_image::load::{EyePhoto, Limits, load_photo};
use irisflow_image::pipeline::{Observer, ProcessOptions, Stage, StageMark, process};
use irisflow_image::plane::YCbCr;
use irisflow_image::previews::{PREVIEW_SIDE, Preview, PreviewKind};
use irisflow_image::segment::PhotoPixels as _;

const EYE: &[u8] = include_bytes!("photos/pixabay_eye_2154384.jpg");

#[derive(Default)]
struct Watching {
    last: Option<(Stage, StageMark)>,
    previews: Vec<(Preview, Option<(Stage, StageMark)>)>,
    stage_at: Option<Instant>,
    /// What making each preview took.
    preview_ms: Vec<f64>,
}

impl Observer for Watching {
    fn stage(&mut self, stage: Stage, mark: StageMark) -> ControlFlow<()> {
        self.last = Some((stage, mark));
        self.stage_at = Some(Instant::now());
        ControlFlow::Continue(())
    }

    fn wants_previews(&self) -> bool {
        true
    }

    fn preview(&mut self, preview: Preview) {
        let took = self.stage_at.map_or(0.0, |at| at.elapsed().as_secs_f64());
        self.preview_ms.push(took * 1000.0);
        self.previews.push((preview, self.last));
    }
}

fn watched(photo: &[u8]) -> Watching {
    let mut watching = Watching::default();
    process(photo, &ProcessOptions::default(), &mut watching).expect("a usable photo");
    watching
}

fn pixels(preview: &Preview) -> YCbCr {
    let photo: EyePhoto = load_photo(&preview.jpeg, &Limits::default()).expect("our own JPEG");
    assert_eq!(photo.size(), (preview.width, preview.height));
    photo.reduced(PREVIEW_SIDE).planes
}

#[test]
fn each_of_three_stages_ends_with_a_small_picture() {
    let watching = watched(EYE);
    let passed: Vec<_> = (watching.previews.iter())
        .map(|(preview, after)| (preview.kind, *after))
        .collect();
    let end = |stage| Some((stage, StageMark::End));
    assert_eq!(
        passed,
        [
            (PreviewKind::Outline, end(Stage::Segmenting)),
            (PreviewKind::Light, end(Stage::RemovingReflections)),
            (PreviewKind::Result, end(Stage::Enhancing)),
        ]
    );
    for (preview, _) in &watching.previews {
        assert!(preview.width.max(preview.height) <= PREVIEW_SIDE);
        assert!(preview.jpeg.len() < 80_000, "{preview:?}");
        pixels(preview);
    }
}

#[test]
fn the_outline_is_drawn_where_the_iris_ends() {
    let watching = watched(EYE);
    let planes = pixels(&watching.previews[0].0);
    // Turquoise: nothing in an eye or on a face has so little red.
    let drawn = planes.cr.samples.iter().filter(|&&cr| cr < 70).count();
    let share = drawn as f32 / planes.cr.samples.len() as f32;
    assert!((0.005..0.06).contains(&share), "{share} of the picture");
}

#[test]
fn the_light_is_bright_where_the_photo_has_a_highlight() {
    let watching = watched(EYE);
    let planes = pixels(&watching.previews[1].0);
    let bright = planes.y.samples.iter().filter(|&&luma| luma > 120).count();
    let share = bright as f32 / planes.y.samples.len() as f32;
    assert!((0.001..0.2).contains(&share), "{share} of the picture");
}

#[test]
fn previews_change_no_picture() {
    let watched = process(EYE, &ProcessOptions::default(), &mut Watching::default());
    let mut only_stages = |_: Stage, _: StageMark| ControlFlow::Continue(());
    let plain = process(EYE, &ProcessOptions::default(), &mut only_stages);
    let (watched, plain) = (watched.expect("usable"), plain.expect("usable"));
    assert!(watched.result == plain.result && watched.mask_png == plain.mask_png);
}
