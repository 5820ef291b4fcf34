//! Tests of the renderer: determinism, and labels that agree with the ground-truth ellipses.

use irisflow_synth::{
    Framing, Picture, Presence, SceneKind, Tiles, TrueEye, Usability, label, render,
};

const SIDE: usize = 128;

fn pictures(scene: SceneKind, count: u64) -> Vec<Picture> {
    let tiles = Tiles::new();
    (0..count)
        .map(|index| render(&tiles, 9, index, SIDE, scene, true))
        .collect()
}

fn labelled(picture: &Picture, bits: u8) -> usize {
    picture.labels.iter().filter(|&&l| l & bits == bits).count()
}

#[test]
fn a_seed_gives_the_same_picture_again() {
    let (first, second) = (
        pictures(SceneKind::Mixture, 4),
        pictures(SceneKind::Mixture, 4),
    );
    for (a, b) in first.iter().zip(&second) {
        assert_eq!((&a.photo, &a.labels), (&b.photo, &b.labels));
    }
    assert_ne!(first[0].photo, first[1].photo);
}

/// The eye of a picture with a single one that the border does not cut.
fn single_whole_eye(picture: &Picture) -> Option<TrueEye> {
    let [eye] = picture.eyes[..] else {
        return None;
    };
    let reach = eye.iris.rx.max(eye.iris.ry) + 1.0;
    let inside = |v: f32| (reach..SIDE as f32 - reach).contains(&v);
    (inside(eye.iris.cx) && inside(eye.iris.cy)).then_some(eye)
}

#[test]
fn labels_of_iris_and_pupil_are_the_true_ellipses() {
    let mut examined = 0;
    for picture in pictures(SceneKind::Eye(Framing::Close), 40) {
        let Some(eye) = single_whole_eye(&picture) else {
            continue;
        };
        examined += 1;
        for (bit, truth) in [(label::IRIS, eye.iris), (label::PUPIL, eye.pupil)] {
            // A second eye may be partly visible although its centre is outside the picture.
            let near = |index: usize| {
                let (x, y) = ((index % SIDE) as f32 + 0.5, (index / SIDE) as f32 + 0.5);
                eye.iris.distance(x, y) < 1.5
            };
            let bits = picture.labels.iter().enumerate();
            let labelled = bits.filter(|&(index, &l)| l & bit != 0 && near(index));
            let area = std::f32::consts::PI * truth.rx * truth.ry;
            let ratio = labelled.count() as f32 / area;
            // The tolerance is larger for a small pupil, of which edge pixels are a larger share.
            let slack = 0.05 + 3.0 / truth.rx.min(truth.ry).powi(2).max(1.0);
            assert!((ratio - 1.0).abs() < slack, "bit {bit}: {ratio} of {area}");
        }
    }
    assert!(examined >= 15, "{examined} examined");
}

#[test]
fn visible_iris_lies_within_iris_and_opening() {
    for picture in pictures(SceneKind::Mixture, 30) {
        let whole = label::VISIBLE | label::IRIS | label::OPENING;
        assert_eq!(
            labelled(&picture, label::VISIBLE),
            labelled(&picture, whole)
        );
    }
}

#[test]
fn a_look_alike_has_no_labels_and_no_eye() {
    for picture in pictures(SceneKind::LookAlike, 10) {
        assert_eq!(picture.presence, Presence::No);
        assert!(picture.labels.iter().all(|&bits| bits == 0));
        assert!(picture.eyes.is_empty());
    }
}

#[test]
fn the_picture_without_reflections_differs_only_near_reflections() {
    let (mut mirrored, mut darker) = (0, 0);
    for picture in pictures(SceneKind::Eye(Framing::Crop), 20) {
        let clean = picture.without_reflections.as_ref().expect("requested");
        let near_reflection = |index: usize| {
            let (x, y) = (index % SIDE, index / SIDE);
            let columns = x.saturating_sub(9)..(x + 10).min(SIDE);
            (y.saturating_sub(9)..(y + 10).min(SIDE)).any(|row| {
                columns
                    .clone()
                    .any(|column| picture.labels[row * SIDE + column] & label::REFLECTION != 0)
            })
        };
        let (mut changed, mut apart) = (0, 0);
        for index in 0..SIDE * SIDE {
            let pixel = index * 3..index * 3 + 3;
            let (with, without) = (&picture.photo[pixel.clone()], &clean[pixel]);
            let step = |(a, b): (&u8, &u8)| i32::from(*a) - i32::from(*b);
            let brighter: i32 = with.iter().zip(without).map(step).sum();
            if picture.labels[index] & label::REFLECTION != 0 {
                mirrored += 1;
                darker += i32::from(brighter > 0);
            } else if !near_reflection(index) {
                apart += 1;
                changed += i32::from(brighter.abs() > 30);
            }
        }
        // Glare, faint veils and JPEG blocks extend beyond the labels.
        assert!(changed * 20 <= apart, "{changed} of {apart}");
    }
    assert!(
        mirrored > 1000 && darker * 10 > mirrored * 7,
        "{darker} of {mirrored}"
    );
}

#[test]
fn the_cropped_photo_has_no_letterbox() {
    for picture in pictures(SceneKind::Mixture, 30) {
        let (width, height, rgb) = picture.photo_without_letterbox();
        let (left, top) = picture.photo_corner();
        assert_eq!(rgb.len(), width * height * 3);
        assert!(left + width <= SIDE && top + height <= SIDE);
        let corner = (top * SIDE + left) * 3;
        assert_eq!(rgb[..3], picture.photo[corner..corner + 3]);
    }
}

#[test]
fn an_iris_of_few_pixels_is_unusable() {
    for picture in pictures(SceneKind::Eye(Framing::Region), 10) {
        for eye in &picture.eyes {
            assert!(eye.iris.mean_radius() < 40.0);
            assert_eq!(eye.usability, Usability::Unusable("too small"));
        }
    }
}

#[test]
fn the_visible_share_of_an_iris_is_between_0_and_1() {
    for picture in pictures(SceneKind::Eye(Framing::Close), 30) {
        assert_eq!(picture.traits.is_some(), !picture.eyes.is_empty());
        for eye in &picture.eyes {
            assert!(eye.visible_share > 0.0 && eye.visible_share <= 1.0);
        }
    }
}
