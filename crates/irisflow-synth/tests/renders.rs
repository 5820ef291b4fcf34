//! What training and measurement rely on: pictures repeat, and labels agree with the true ellipses.

use irisflow_synth::{Framing, Picture, Presence, Tiles, Usability, Wish, label, render};

const SIDE: usize = 128;

fn pictures(wish: Wish, count: u64) -> Vec<Picture> {
    let tiles = Tiles::new();
    (0..count)
        .map(|index| render(&tiles, 9, index, SIDE, wish, true))
        .collect()
}

fn labelled(picture: &Picture, bits: u8) -> usize {
    picture.labels.iter().filter(|&&l| l & bits == bits).count()
}

#[test]
fn a_seed_gives_the_same_picture_again() {
    let (first, second) = (pictures(Wish::Any, 4), pictures(Wish::Any, 4));
    for (a, b) in first.iter().zip(&second) {
        assert_eq!((&a.photo, &a.labels), (&b.photo, &b.labels));
    }
    assert_ne!(first[0].photo, first[1].photo);
}

#[test]
fn the_iris_label_covers_the_true_ellipse() {
    for picture in pictures(Wish::Eye(Framing::Close), 30) {
        let [eye] = picture.eyes.as_slice() else {
            continue;
        };
        let (cx, cy) = (eye.iris.cx, eye.iris.cy);
        let reach = eye.iris.rx.max(eye.iris.ry) + 1.0;
        let full = SIDE as f32;
        if cx < reach || cy < reach || cx > full - reach || cy > full - reach {
            continue;
        }
        let area = std::f32::consts::PI * eye.iris.rx * eye.iris.ry;
        let covered = labelled(&picture, label::IRIS) as f32;
        // A second eye may show a part of its iris although its centre is outside.
        assert!(covered > 0.93 * area, "{covered} of {area}");
        assert!(picture.labels[cy as usize * SIDE + cx as usize] & label::IRIS != 0);
    }
}

#[test]
fn visible_iris_lies_within_iris_and_opening() {
    for picture in pictures(Wish::Any, 30) {
        let whole = label::VISIBLE | label::IRIS | label::OPENING;
        assert_eq!(
            labelled(&picture, label::VISIBLE),
            labelled(&picture, whole)
        );
    }
}

#[test]
fn a_look_alike_has_no_labels_and_no_eye() {
    for picture in pictures(Wish::LookAlike, 10) {
        assert_eq!(picture.presence, Presence::No);
        assert!(picture.labels.iter().all(|&bits| bits == 0));
        assert!(picture.eyes.is_empty());
    }
}

#[test]
fn without_reflections_only_mirrored_light_is_gone() {
    for picture in pictures(Wish::Eye(Framing::Crop), 20) {
        let clean = picture
            .without_reflections
            .as_ref()
            .unwrap_or(&picture.photo);
        let brightness = |rgb: &[u8]| rgb.iter().map(|&v| u64::from(v)).sum::<u64>();
        // Equal up to rounding of sharpening and compression where nothing is mirrored.
        assert!(brightness(clean) <= brightness(&picture.photo) + (SIDE * SIDE / 20) as u64);
    }
}

#[test]
fn the_photo_alone_has_no_letterbox() {
    for picture in pictures(Wish::Any, 30) {
        let (width, height, rgb) = picture.photo_alone();
        let (left, top) = picture.photo_corner();
        assert_eq!(rgb.len(), width * height * 3);
        assert!(left + width <= SIDE && top + height <= SIDE);
        let corner = (top * SIDE + left) * 3;
        assert_eq!(rgb[..3], picture.photo[corner..corner + 3]);
    }
}

#[test]
fn an_iris_of_few_pixels_is_unusable() {
    for picture in pictures(Wish::Eye(Framing::Region), 10) {
        for eye in &picture.eyes {
            assert!(eye.iris.mean_radius() < 40.0);
            assert_eq!(eye.usability, Usability::Unusable("too small"));
        }
    }
}

#[test]
fn what_shows_of_an_iris_is_never_more_than_all() {
    for picture in pictures(Wish::Eye(Framing::Close), 30) {
        assert_eq!(picture.traits.is_some(), !picture.eyes.is_empty());
        for eye in &picture.eyes {
            assert!(eye.visible_share > 0.0 && eye.visible_share <= 1.0);
        }
    }
}
