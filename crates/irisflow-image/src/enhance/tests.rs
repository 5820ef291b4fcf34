//! Enhancing is held to what a person would check: noise goes, fibres come out, colours stay.

use super::{Enhancement, Preset, bearable_sharpness, enhance};
use crate::coverage::Coverage;
use crate::geometry::Ellipse;
use crate::plane::Plane;
use crate::rectified::{IRIS_FILL, RectifiedIris, RectifiedView};
use crate::segment::Label;
use crate::segment::testing::segmentation;
use crate::threads::Threads;

const SIDE: u32 = 300;
const MIDDLE: f32 = 150.0;

fn pupil() -> Ellipse {
    Ellipse::circle(MIDDLE, MIDDLE, 45.0)
}

/// A rectified iris whose luma is `luma(angle, radius)` on the iris and 10 in the pupil.
fn eye(luma: impl Fn(f32, f32) -> f32) -> RectifiedIris {
    let mut rectified = RectifiedIris {
        view: RectifiedView::new(&Ellipse::circle(MIDDLE, MIDDLE, MIDDLE * IRIS_FILL), SIDE),
        luma: Plane::filled(SIDE, SIDE, 10),
        cb: Plane::filled(SIDE, SIDE, 140),
        cr: Plane::filled(SIDE, SIDE, 118),
    };
    for v in 0..SIDE {
        for (u, sample) in rectified.luma.row_mut(v).iter_mut().enumerate() {
            let (dx, dy) = (u as f32 + 0.5 - MIDDLE, v as f32 + 0.5 - MIDDLE);
            if dx.hypot(dy) > 45.0 {
                *sample = luma(dy.atan2(dx), dx.hypot(dy)).clamp(0.0, 255.0) as u8;
            }
        }
    }
    rectified
}

fn opacity_of(labels: Plane) -> Plane {
    let iris = Ellipse::circle(MIDDLE, MIDDLE, MIDDLE * IRIS_FILL);
    let segmentation = segmentation(iris, pupil(), labels);
    let coverage = Coverage::of(&segmentation, &RectifiedView::new(&iris, SIDE), 1.0);
    coverage.opacity(SIDE, Threads::default())
}

fn all_visible() -> Plane {
    opacity_of(Plane::filled(SIDE, SIDE, Label::VisibleIris as u8))
}

fn enhanced(rectified: RectifiedIris) -> RectifiedIris {
    enhanced_by(rectified, &Enhancement::default())
}

fn enhanced_by(mut rectified: RectifiedIris, enhancement: &Enhancement) -> RectifiedIris {
    let threads = Threads::new(2);
    enhance(
        &mut rectified,
        &pupil(),
        &all_visible(),
        enhancement,
        threads,
    );
    rectified
}

/// Standard deviation and mean of the luma on a ring of the iris.
fn spread_and_mean(rectified: &RectifiedIris) -> (f32, f32) {
    let ring: Vec<f32> = (0..720)
        .map(|step| {
            Ellipse::circle(MIDDLE, MIDDLE, 90.0).point_at(step as f32 * 0.5_f32.to_radians())
        })
        .map(|(x, y)| rectified.luma.sample_bilinear(x, y))
        .collect();
    let mean = ring.iter().sum::<f32>() / ring.len() as f32;
    let variance = ring.iter().map(|l| (l - mean).powi(2)).sum::<f32>() / ring.len() as f32;
    (variance.sqrt(), mean)
}

/// Repeatable noise between -1 and 1.
fn noise(angle: f32, radius: f32) -> f32 {
    ((angle * 7919.0 + radius * 104.729).sin() * 43_758.547).fract()
}

#[test]
fn faint_fibres_come_out() {
    let faint = eye(|angle, radius| 100.0 + 8.0 * (angle * 30.0).sin() + radius * 0.1);
    let (before, _) = spread_and_mean(&faint);
    let (after, _) = spread_and_mean(&enhanced(faint));
    assert!(after > 1.08 * before, "{after} from {before}");
}

#[test]
fn vivid_shows_more_than_natural() {
    let spread = |preset: Preset| {
        let mut faint = eye(|angle, radius| 100.0 + 8.0 * (angle * 30.0).sin() + radius * 0.1);
        let enhancement = preset.enhancement();
        let threads = Threads::default();
        enhance(&mut faint, &pupil(), &all_visible(), &enhancement, threads);
        spread_and_mean(&faint).0
    };
    assert!(spread(Preset::Vivid) > 1.15 * spread(Preset::Natural));
}

#[test]
fn a_dark_brown_iris_keeps_its_saturation_as_it_is_raised() {
    let mut dark = eye(|angle, _| 30.0 + 5.0 * (angle * 30.0).sin());
    dark.cb = Plane::filled(SIDE, SIDE, 120);
    dark.cr = Plane::filled(SIDE, SIDE, 138);
    let before = f32::from(dark.cr.at(60, 150) - 128) / f32::from(dark.luma.at(60, 150));
    let after = enhanced(dark);
    let after = f32::from(after.cr.at(60, 150) - 128) / f32::from(after.luma.at(60, 150));
    assert!(after > 0.75 * before, "{after} from {before}");
}

#[test]
fn an_iris_of_few_pixels_is_hardly_sharpened() {
    assert!(bearable_sharpness(130) < 0.2);
    assert!(bearable_sharpness(1000) > 0.99);
}

#[test]
fn fine_noise_gains_less_than_fibres_do() {
    let noisy = eye(|angle, radius| 100.0 + 6.0 * noise(angle, radius));
    let fibrous = eye(|angle, _| 100.0 + 8.0 * (angle * 30.0).sin());
    let gain = |rectified: RectifiedIris| {
        let (before, _) = spread_and_mean(&rectified);
        spread_and_mean(&enhanced(rectified)).0 / before
    };
    let (noise_gain, fibre_gain) = (gain(noisy), gain(fibrous));
    assert!(
        noise_gain < 0.8 * fibre_gain,
        "{noise_gain} against {fibre_gain}"
    );
}

#[test]
fn a_dark_iris_keeps_its_light_and_a_vivid_one_becomes_lighter_and_stays_dark() {
    let dark = eye(|angle, _| 40.0 + 6.0 * (angle * 30.0).sin());
    let vivid = enhanced_by(dark.clone(), &Preset::Vivid.enhancement());
    let (_, natural) = spread_and_mean(&enhanced(dark));
    assert!((36.0..48.0).contains(&natural), "{natural}");
    let (_, vivid) = spread_and_mean(&vivid);
    assert!((48.0..90.0).contains(&vivid), "{vivid}");
}

#[test]
fn a_light_iris_keeps_its_brightness() {
    let light = eye(|angle, _| 130.0 + 15.0 * (angle * 30.0).sin());
    let (_, after) = spread_and_mean(&enhanced(light));
    assert!((110.0..155.0).contains(&after), "{after}");
}

#[test]
fn the_pupil_stays_black() {
    let rectified = enhanced(eye(|angle, _| 60.0 + 20.0 * (angle * 30.0).sin()));
    assert!(rectified.luma.at(150, 150) <= 12);
}

#[test]
fn hues_stay() {
    let rectified = enhanced(eye(|angle, _| 100.0 + 20.0 * (angle * 30.0).sin()));
    for v in [80_u32, 150, 220] {
        let (cb, cr) = (
            f32::from(rectified.cb.at(60, v)),
            f32::from(rectified.cr.at(60, v)),
        );
        let (cb, cr) = (cb - 128.0, cr - 128.0);
        assert!(cb > 6.0 && cr < -5.0);
        assert!((cb / -cr - 1.2).abs() < 0.3, "{cb} {cr}");
    }
}

#[test]
fn a_portrait_of_which_nothing_is_seen_is_no_error() {
    let mut rectified = eye(|_, _| 100.0);
    let mut hidden = Plane::filled(SIDE, SIDE, Label::Hidden as u8);
    hidden.samples[0] = Label::VisibleIris as u8;
    let opacity = opacity_of(hidden);
    let enhancement = Enhancement::default();
    enhance(
        &mut rectified,
        &pupil(),
        &opacity,
        &enhancement,
        Threads::default(),
    );
}
