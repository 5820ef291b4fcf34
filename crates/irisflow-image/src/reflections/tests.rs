//! Drawn irises with drawn highlights, so that what lies beneath each highlight is known.

use std::f32::consts::TAU;

use super::{Sensitivity, WithoutReflections, remove_reflections};
use crate::geometry::Ellipse;
use crate::plane::Plane;
use crate::rectified::{RectifiedIris, RectifiedView};
use crate::segment::testing::{labels_of, segmentation as segmentation_of};
use crate::segment::{IrisSegmentation, Label};
use crate::threads::Threads;

const SIDE: u32 = 360;
const MIDDLE: f32 = 180.0;
const PUPIL_RADIUS: f32 = 50.0;

/// An eye of one colour with fibres, before anything shines on it.
#[derive(Clone, Copy)]
struct Eye {
    luma: f32,
    cb: u8,
    cr: u8,
}

const BLUE: Eye = Eye {
    luma: 105.0,
    cb: 145,
    cr: 112,
};
const BROWN: Eye = Eye {
    luma: 45.0,
    cb: 118,
    cr: 142,
};
const GREY: Eye = Eye {
    luma: 110.0,
    cb: 128,
    cr: 128,
};

impl Eye {
    fn luma_at(self, u: f32, v: f32) -> f32 {
        let (dx, dy) = (u - MIDDLE, v - MIDDLE);
        let radius = dx.hypot(dy);
        if radius < PUPIL_RADIUS {
            return 12.0;
        }
        let fibres = (dy.atan2(dx) * 60.0).sin() * 0.12 + (radius * 0.15).sin() * 0.1;
        self.luma * (1.0 + fibres)
    }

    fn rectified(self) -> RectifiedIris {
        let limbus = Ellipse::circle(MIDDLE, MIDDLE, MIDDLE * crate::rectified::IRIS_FILL);
        let mut luma = Plane::filled(SIDE, SIDE, 0);
        for v in 0..SIDE {
            for (u, sample) in luma.row_mut(v).iter_mut().enumerate() {
                *sample = self.luma_at(u as f32 + 0.5, v as f32 + 0.5) as u8;
            }
        }
        RectifiedIris {
            view: RectifiedView::new(&limbus, SIDE),
            luma,
            cb: Plane::filled(SIDE, SIDE, self.cb),
            cr: Plane::filled(SIDE, SIDE, self.cr),
        }
    }
}

fn segmentation() -> IrisSegmentation {
    let iris = Ellipse::circle(MIDDLE, MIDDLE, MIDDLE * crate::rectified::IRIS_FILL);
    let pupil = Ellipse::circle(MIDDLE, MIDDLE, PUPIL_RADIUS);
    segmentation_of(iris, pupil, labels_of(&iris, &pupil, SIDE))
}

/// Lays light over a disc of the rectified iris: `share` of each pixel becomes `colour`.
fn shine(rectified: &mut RectifiedIris, disc: Ellipse, share: f32, colour: [u8; 3]) {
    let planes = [&mut rectified.luma, &mut rectified.cb, &mut rectified.cr];
    for (plane, colour) in planes.into_iter().zip(colour) {
        for v in 0..SIDE {
            for (u, sample) in plane.row_mut(v).iter_mut().enumerate() {
                if disc.contains(u as f32 + 0.5, v as f32 + 0.5) {
                    let old = f32::from(*sample);
                    *sample = (old + (f32::from(colour) - old) * share) as u8;
                }
            }
        }
    }
}

fn is_beside_pupil(u: u32, v: u32) -> bool {
    (u as f32 + 0.5 - MIDDLE).hypot(v as f32 + 0.5 - MIDDLE) > PUPIL_RADIUS + 2.0
}

fn assert_same_beside_pupil(a: &Plane, b: &Plane) {
    for v in 0..SIDE {
        for u in (0..SIDE).filter(|&u| is_beside_pupil(u, v)) {
            assert_eq!(a.at(u, v), b.at(u, v), "at ({u}, {v})");
        }
    }
}

const WHITE: [u8; 3] = [255, 128, 128];

struct Cleaned {
    rectified: RectifiedIris,
    filled: Plane,
    segmentation: IrisSegmentation,
}

fn clean(rectified: RectifiedIris) -> Cleaned {
    let mut segmentation = segmentation();
    let without = removed(&rectified, &mut segmentation);
    Cleaned {
        rectified: without.rectified,
        filled: without.filled,
        segmentation,
    }
}

fn removed(rectified: &RectifiedIris, segmentation: &mut IrisSegmentation) -> WithoutReflections {
    let sensitivity = Sensitivity::default();
    remove_reflections(rectified, segmentation, &sensitivity, Threads::new(2))
}

/// Mean difference from the eye without light, over a disc.
fn mean_error(cleaned: &Cleaned, eye: Eye, disc: Ellipse) -> f32 {
    let (mut sum, mut count) = (0.0, 0.0);
    for v in 0..SIDE {
        for u in 0..SIDE {
            let (x, y) = (u as f32 + 0.5, v as f32 + 0.5);
            if disc.contains(x, y) {
                sum += (f32::from(cleaned.rectified.luma.at(u, v)) - eye.luma_at(x, y)).abs();
                count += 1.0;
            }
        }
    }
    sum / count
}

#[test]
fn a_flash_on_the_iris_becomes_iris_whatever_its_colour() {
    let flash = Ellipse::circle(255.0, 150.0, 11.0);
    for eye in [BLUE, BROWN, GREY] {
        let mut rectified = eye.rectified();
        shine(&mut rectified, flash, 0.95, WHITE);
        let cleaned = clean(rectified);
        assert_eq!(cleaned.filled.at(255, 150), 255);
        // Fibres have an amplitude of 12 %; what stands in need not match them, only look alike.
        let error = mean_error(&cleaned, eye, flash);
        assert!(error < eye.luma * 0.2, "{error} on {}", eye.luma);
        assert!(cleaned.rectified.cb.at(255, 150).abs_diff(eye.cb) < 4);
    }
}

#[test]
fn a_dim_window_on_a_dark_iris_is_found_although_it_is_darker_than_a_blue_iris() {
    let window = Ellipse::circle(110.0, 130.0, 26.0);
    let mut rectified = BROWN.rectified();
    shine(&mut rectified, window, 0.4, [210, 140, 120]);
    let cleaned = clean(rectified);
    assert!(f32::from(Plane::at(&cleaned.filled, 110, 130)) > 200.0);
    assert!(mean_error(&cleaned, BROWN, window) < 10.0);
}

#[test]
fn a_flash_in_the_middle_of_the_pupil_becomes_black() {
    let flash = Ellipse::circle(MIDDLE + 3.0, MIDDLE - 2.0, 14.0);
    let mut rectified = BLUE.rectified();
    shine(&mut rectified, flash, 1.0, WHITE);
    let cleaned = clean(rectified);
    assert!(mean_error(&cleaned, BLUE, flash) < 4.0);
}

#[test]
fn a_flash_over_the_border_of_the_pupil_leaves_the_border_where_it_was() {
    let flash = Ellipse::circle(MIDDLE + PUPIL_RADIUS, MIDDLE, 12.0);
    let mut rectified = BLUE.rectified();
    shine(&mut rectified, flash, 1.0, WHITE);
    let cleaned = clean(rectified);
    let luma = |u: u32| cleaned.rectified.luma.at(u, SIDE / 2);
    assert!(luma(222) < 40, "pupil: {}", luma(222));
    assert!(luma(238) > 70, "iris: {}", luma(238));
}

#[test]
fn an_iris_without_highlights_is_left_alone_to_the_last_pixel() {
    for eye in [BLUE, BROWN, GREY] {
        let cleaned = clean(eye.rectified());
        assert_same_beside_pupil(&cleaned.rectified.luma, &eye.rectified().luma);
        assert!(cleaned.filled.samples.iter().all(|&filled| filled == 0));
        assert!(cleaned.segmentation.quality.reflection_share.abs() < f32::EPSILON);
    }
}

#[test]
fn light_that_falls_from_one_side_is_no_highlight() {
    let mut rectified = GREY.rectified();
    for v in 0..SIDE {
        for (u, sample) in rectified.luma.row_mut(v).iter_mut().enumerate() {
            *sample = (f32::from(*sample) * (0.65 + 0.7 * u as f32 / SIDE as f32)) as u8;
        }
    }
    assert!(
        clean(rectified)
            .filled
            .samples
            .iter()
            .all(|&filled| filled == 0)
    );
}

#[test]
fn an_orange_fleck_is_pigment_and_stays() {
    let mut rectified = BLUE.rectified();
    shine(
        &mut rectified,
        Ellipse::circle(250.0, 200.0, 9.0),
        0.9,
        [190, 70, 170],
    );
    assert_eq!(clean(rectified).filled.at(250, 200), 0);
}

#[test]
fn pixels_outside_the_highlight_keep_their_values() {
    let mut rectified = BLUE.rectified();
    shine(
        &mut rectified,
        Ellipse::circle(255.0, 150.0, 11.0),
        0.95,
        WHITE,
    );
    let before = rectified.clone();
    let cleaned = clean(rectified);
    for v in 0..SIDE {
        for u in 0..SIDE {
            let is_same = cleaned.rectified.luma.at(u, v) == before.luma.at(u, v);
            let is_filled = cleaned.filled.at(u, v) > 0;
            assert!(
                is_same || is_filled || !is_beside_pupil(u, v),
                "at ({u}, {v})"
            );
        }
    }
}

#[test]
fn the_labels_of_the_photo_say_where_a_highlight_was() {
    let flash = Ellipse::circle(255.0, 150.0, 11.0);
    let mut rectified = BLUE.rectified();
    shine(&mut rectified, flash, 0.95, WHITE);
    let found = clean(rectified).segmentation;
    assert_eq!(found.labels.at(255, 150), Label::Reflection as u8);
    assert_eq!(found.labels.at(100, 200), Label::VisibleIris as u8);
    assert_eq!(found.labels.at(180, 180), Label::Pupil as u8);
    let ring = std::f32::consts::PI * (169.2 * 169.2 - PUPIL_RADIUS * PUPIL_RADIUS);
    let least = flash.rx * flash.ry * TAU / 2.0 / ring;
    assert!((least..6.0 * least).contains(&found.quality.reflection_share));
}

/// With a bright lid over the first rows.
fn behind_lid(eye: Eye, rows: u32) -> (RectifiedIris, IrisSegmentation) {
    let mut rectified = eye.rectified();
    let mut segmentation = segmentation();
    for v in 0..rows {
        rectified.luma.row_mut(v).fill(230);
        for label in segmentation.labels.row_mut(v) {
            *label = Label::Hidden as u8;
        }
    }
    (rectified, segmentation)
}

#[test]
fn what_a_lid_hides_is_completed_from_iris_that_is_seen() {
    let (rectified, mut segmentation) = behind_lid(BLUE, 90);
    let without = removed(&rectified, &mut segmentation);
    assert!(without.completed);
    let hidden = Ellipse::circle(MIDDLE, 50.0, 30.0);
    assert_eq!(without.filled.at(180, 50), 255);
    assert!(
        (0.1..0.3).contains(&without.hidden_share),
        "{}",
        without.hidden_share
    );
    let cleaned = Cleaned {
        rectified: without.rectified,
        filled: without.filled,
        segmentation,
    };
    let error = mean_error(&cleaned, BLUE, hidden);
    assert!(error < BLUE.luma * 0.2, "{error}");
    for (u, v) in [(180, 30), (150, 60), (220, 80), (180, 86)] {
        let luma = cleaned.rectified.luma.at(u, v);
        assert!((70..150).contains(&luma), "{luma} at ({u}, {v})");
    }
}

#[test]
fn an_iris_that_is_half_hidden_is_not_completed() {
    let (rectified, mut segmentation) = behind_lid(BLUE, 180);
    let without = removed(&rectified, &mut segmentation);
    assert!(!without.completed);
    assert!(without.filled.samples.iter().all(|&filled| filled == 0));
}

#[test]
fn mirrored_lashes_go_with_the_light_that_they_comb() {
    let mut rectified = BLUE.rectified();
    for column in 0..8 {
        let x = 215.0 + 9.0 * column as f32;
        let tooth = Ellipse {
            cx: x,
            cy: 120.0 - (column % 3) as f32 * 4.0,
            rx: 3.0,
            ry: 22.0,
            angle_deg: 0.0,
        };
        shine(&mut rectified, tooth, 0.95, WHITE);
    }
    shine(
        &mut rectified,
        Ellipse::circle(245.0, 150.0, 22.0),
        0.95,
        WHITE,
    );
    let cleaned = clean(rectified);
    for v in 90..175 {
        for u in 210..285 {
            let luma = cleaned.rectified.luma.at(u, v);
            assert!(luma < 150, "{luma} at ({u}, {v})");
        }
    }
}

#[test]
fn a_fill_repeats_neither_highlights_nor_freckles() {
    let mut rectified = BLUE.rectified();
    for turn in 0..6 {
        let (sin, cos) = (turn as f32 * TAU / 6.0).sin_cos();
        let freckle = Ellipse::circle(MIDDLE + 100.0 * cos, MIDDLE + 100.0 * sin, 6.0);
        shine(&mut rectified, freckle, 0.9, [30, 110, 150]);
    }
    let flash = Ellipse::circle(MIDDLE + 100.0 * 0.866, MIDDLE + 50.0, 16.0);
    shine(&mut rectified, flash, 1.0, WHITE);
    let cleaned = clean(rectified);
    for v in (MIDDLE as u32 + 38)..(MIDDLE as u32 + 62) {
        for u in (flash.cx as u32 - 12)..(flash.cx as u32 + 12) {
            let luma = cleaned.rectified.luma.at(u, v);
            assert!((70..150).contains(&luma), "{luma} at ({u}, {v})");
        }
    }
}

#[test]
fn the_pupil_becomes_even_and_neutral_without_its_window_and_veil() {
    let mut rectified = BLUE.rectified();
    shine(
        &mut rectified,
        Ellipse::circle(MIDDLE, MIDDLE, 49.0),
        0.06,
        WHITE,
    );
    let window = Ellipse {
        cx: MIDDLE + 30.0,
        cy: MIDDLE,
        rx: 14.0,
        ry: 30.0,
        angle_deg: 0.0,
    };
    shine(&mut rectified, window, 0.9, [240, 150, 110]);
    let mut segmentation = segmentation();
    let without = removed(&rectified, &mut segmentation);
    assert!(without.pupil_certain);
    for v in 0..SIDE {
        for u in 0..SIDE {
            if Ellipse::circle(MIDDLE, MIDDLE, 42.0).contains(u as f32 + 0.5, v as f32 + 0.5) {
                let luma = without.rectified.luma.at(u, v);
                assert!(luma <= 20, "{luma} at ({u}, {v})");
                assert!(without.rectified.cb.at(u, v).abs_diff(128) <= 4);
            }
        }
    }
}

#[test]
fn a_pupil_that_cannot_be_told_from_the_iris_stays_as_photographed() {
    let eye = Eye {
        luma: 12.0,
        ..BROWN
    };
    let rectified = eye.rectified();
    let without = removed(&rectified, &mut segmentation());
    assert!(!without.pupil_certain);
    assert!(without.rectified.luma == rectified.luma);
}

#[test]
fn any_number_of_threads_makes_the_same_pictures() {
    let made = |threads: usize| {
        let (mut rectified, mut segmentation) = behind_lid(BLUE, 90);
        shine(
            &mut rectified,
            Ellipse::circle(255.0, 190.0, 11.0),
            0.95,
            WHITE,
        );
        let sensitivity = Sensitivity::default();
        let threads = Threads::new(threads);
        let without = remove_reflections(&rectified, &mut segmentation, &sensitivity, threads);
        assert!(without.completed);
        (without, segmentation)
    };
    let (alone, labels) = made(1);
    for threads in [2, 3, 8] {
        let (together, same_labels) = made(threads);
        assert!(alone.rectified.luma == together.rectified.luma);
        assert!(alone.rectified.cb == together.rectified.cb);
        assert!(alone.rectified.cr == together.rectified.cr);
        assert!(alone.filled == together.filled);
        assert!(labels.labels == same_labels.labels);
    }
}
