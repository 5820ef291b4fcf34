//! Drawn eyes with known truth, and pictures that are none.

use super::ellipse_fit::{EdgePoint, LIMBUS_PRIOR, fit_ellipse};
use super::float_image::FloatImage;
use super::{IrisSegmentation, Label, PhotoPixels, Side, judge_photo, segment_iris};
use crate::geometry::{Ellipse, PixelRect};
use crate::plane::{Plane, ReducedPhoto, YCbCr};
use crate::rejection::{Rejection, RejectionCode};

/// A photo held in memory.
struct Drawing(YCbCr);

impl PhotoPixels for Drawing {
    fn size(&self) -> (u32, u32) {
        (self.0.y.width, self.0.y.height)
    }

    fn reduced(&self, max_side: u32) -> ReducedPhoto {
        let (width, height) = self.size();
        let scale = (width.max(height) as f32 / max_side as f32).max(1.0);
        let (small_width, small_height) = (width as f32 / scale, height as f32 / scale);
        let shrink = |plane: &Plane| {
            let mut small = Plane::filled(small_width as u32, small_height as u32, 0);
            for y in 0..small.height {
                for x in 0..small.width {
                    let at = |v: u32| (v as f32 + 0.5) * scale;
                    let value = plane.sample_bilinear(at(x), at(y));
                    small.row_mut(y)[x as usize] = value.round() as u8;
                }
            }
            small
        };
        let planes = YCbCr {
            y: shrink(&self.0.y),
            cb: shrink(&self.0.cb),
            cr: shrink(&self.0.cr),
        };
        ReducedPhoto { planes, scale }
    }

    fn scaled(&self, rect: PixelRect, (width, height): (u32, u32)) -> YCbCr {
        let (step_x, step_y) = (
            rect.width as f32 / width as f32,
            rect.height as f32 / height as f32,
        );
        let shrink = |plane: &Plane| {
            let mut small = Plane::filled(width, height, 0);
            for y in 0..height {
                for x in 0..width {
                    let at_x = rect.x as f32 + (x as f32 + 0.5) * step_x;
                    let at_y = rect.y as f32 + (y as f32 + 0.5) * step_y;
                    let value = plane.sample_bilinear(at_x, at_y);
                    small.row_mut(y)[x as usize] = value.round() as u8;
                }
            }
            small
        };
        YCbCr {
            y: shrink(&self.0.y),
            cb: shrink(&self.0.cb),
            cr: shrink(&self.0.cr),
        }
    }

    fn crop(&self, rect: PixelRect) -> YCbCr {
        let cut = |plane: &Plane| {
            let mut part = Plane::filled(rect.width, rect.height, 0);
            for y in 0..rect.height {
                let row = &plane.row(rect.y + y)[rect.x as usize..];
                part.row_mut(y).copy_from_slice(&row[..rect.width as usize]);
            }
            part
        };
        YCbCr {
            y: cut(&self.0.y),
            cb: cut(&self.0.cb),
            cr: cut(&self.0.cr),
        }
    }
}

/// A brown-blue eye between two lids, seen straight on; `roll` turns the lids around it.
#[derive(Clone, Copy)]
struct Eye {
    width: u32,
    height: u32,
    cx: f32,
    cy: f32,
    radius: f32,
    roll_deg: f32,
    /// 0 leaves the eye as drawn; 1 blurs it by the iris radius.
    blur: f32,
    /// A mirrored window: its left and right border beside the centre of the iris, in radii.
    window: Option<(f32, f32)>,
}

const EYE: Eye = Eye {
    width: 480,
    height: 400,
    cx: 243.0,
    cy: 201.0,
    radius: 90.0,
    roll_deg: 0.0,
    blur: 0.0,
    window: None,
};

/// Luma, Cb, Cr.
type Sample = [f32; 3];
const SKIN: Sample = [165.0, 112.0, 148.0];
const SCLERA: Sample = [205.0, 128.0, 131.0];
const PUPIL: Sample = [14.0, 128.0, 128.0];
const PUPIL_RATIO: f32 = 0.35;

impl Eye {
    fn colour(&self, x: f32, y: f32) -> Sample {
        let (sin, cos) = self.roll_deg.to_radians().sin_cos();
        let (dx, dy) = ((x - self.cx) / self.radius, (y - self.cy) / self.radius);
        let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
        let (upper, lower) = (-0.8 + 0.16 * u * u, 1.05 - 0.2 * u * u);
        let shade = |edge: f32| (edge / 0.03).clamp(0.0, 1.0);
        let open = shade(v - upper).min(shade(lower - v));
        let mut eyeball = self.eyeball(dx, dy);
        if self
            .window
            .is_some_and(|(left, right)| (left..right).contains(&dx))
            && dy.abs() < 0.9
        {
            eyeball = [252.0, 128.0, 128.0];
        }
        mix(SKIN, eyeball, open)
    }

    fn eyeball(&self, dx: f32, dy: f32) -> Sample {
        let (reach, theta) = (dx.hypot(dy), dy.atan2(dx));
        let fibres = (23.0 * theta + 5.0 * (3.0 * theta).sin()).sin() * (9.0 * reach).cos();
        let iris = [88.0 + 22.0 * fibres - 25.0 * (reach - 0.4), 140.0, 120.0];
        let outer = ((reach - 1.0) / 0.06 + 0.5).clamp(0.0, 1.0);
        let inner = ((PUPIL_RATIO - reach) / 0.03 + 0.5).clamp(0.0, 1.0);
        mix(mix(iris, SCLERA, outer), PUPIL, inner)
    }

    fn draw(&self) -> Drawing {
        let drawing = draw(self.width, self.height, |x, y| self.colour(x, y));
        blurred(drawing, self.blur * self.radius)
    }
}

fn mix(from: Sample, to: Sample, share: f32) -> Sample {
    std::array::from_fn(|index| from[index] + share * (to[index] - from[index]))
}

/// Draws with a little grain, as every photo has.
fn draw(width: u32, height: u32, colour: impl Fn(f32, f32) -> Sample) -> Drawing {
    let mut planes = [0, 0, 0].map(|value| Plane::filled(width, height, value));
    let mut grain = Grain(7);
    for y in 0..height {
        for x in 0..width {
            let sample = colour(x as f32 + 0.5, y as f32 + 0.5);
            for (plane, value) in planes.iter_mut().zip(sample) {
                let value = value + 1.5 * grain.next();
                plane.row_mut(y)[x as usize] = value.round().clamp(0.0, 255.0) as u8;
            }
        }
    }
    let [y, cb, cr] = planes;
    Drawing(YCbCr { y, cb, cr })
}

/// Repeatable noise between -1 and 1 (a linear congruential generator, constants of Numerical Recipes).
struct Grain(u32);

impl Grain {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}

fn blurred(drawing: Drawing, sigma: f32) -> Drawing {
    let blur = |plane: &Plane| Plane {
        samples: FloatImage::from_plane(plane)
            .blurred(sigma)
            .samples
            .iter()
            .map(|v| v.round() as u8)
            .collect(),
        ..*plane
    };
    let YCbCr { y, cb, cr } = &drawing.0;
    Drawing(YCbCr {
        y: blur(y),
        cb: blur(cb),
        cr: blur(cr),
    })
}

fn found(eye: &Eye) -> IrisSegmentation {
    match segment_iris(&eye.draw()) {
        Ok(found) => found,
        Err(rejection) => panic!("{:?}: {rejection}", rejection.code()),
    }
}

fn refused(photo: &Drawing) -> RejectionCode {
    match segment_iris(photo) {
        Ok(found) => panic!("accepted at {:?} with {}", found.iris, found.confidence),
        Err(rejection) => rejection.code(),
    }
}

fn assert_iris_met(eye: &Eye) {
    let iris = found(eye).iris;
    let radius_error = (iris.mean_radius() - eye.radius).abs() / eye.radius;
    let centre_error = (iris.cx - eye.cx).hypot(iris.cy - eye.cy) / eye.radius;
    assert!(
        radius_error < 0.01,
        "radius {} of {}",
        iris.mean_radius(),
        eye.radius
    );
    assert!(centre_error < 0.02, "centre {} {}", iris.cx, iris.cy);
}

#[test]
fn ellipse_fit_ignores_a_third_of_outliers() {
    let truth = Ellipse {
        cx: 50.0,
        cy: 40.0,
        rx: 31.0,
        ry: 28.0,
        angle_deg: 20.0,
    };
    let points: Vec<EdgePoint> = (0..120)
        .map(|index| {
            let (x, y) = truth.point_at(index as f32 * std::f32::consts::TAU / 120.0);
            let pull = if index % 3 == 0 { 0.7 } else { 1.0 };
            EdgePoint {
                x: truth.cx + pull * (x - truth.cx),
                y: truth.cy + pull * (y - truth.cy),
                weight: 1.0,
            }
        })
        .collect();

    let fit = fit_ellipse(&points, &Ellipse::circle(51.0, 39.0, 30.0), LIMBUS_PRIOR);

    let fit = fit.unwrap_or_else(|| panic!("the fit gave up"));
    let worst = (0..90)
        .map(|index| fit.point_at(index as f32 * 0.07))
        .map(|(x, y)| (truth.normalised_distance(x, y) - 1.0).abs())
        .fold(0.0, f32::max);
    assert!(worst < 0.015, "{fit:?} is off by {worst}");
}

#[test]
fn limbus_and_pupil_of_a_clean_eye_are_met() {
    assert_iris_met(&EYE);

    let pupil = found(&EYE).pupil;
    assert!(
        (pupil.mean_radius() / EYE.radius - PUPIL_RATIO).abs() < 0.02,
        "{pupil:?}"
    );
}

#[test]
fn upper_lid_hides_the_top_and_nothing_else() {
    let segmentation = found(&EYE);

    let at = |x: f32, y: f32| {
        let rect = segmentation.rect;
        segmentation.labels.at(x as u32 - rect.x, y as u32 - rect.y)
    };
    assert_eq!(at(EYE.cx, EYE.cy - 0.92 * EYE.radius), Label::Hidden as u8);
    assert_eq!(
        at(EYE.cx, EYE.cy - 0.68 * EYE.radius),
        Label::VisibleIris as u8
    );
    assert_eq!(
        at(EYE.cx, EYE.cy + 0.9 * EYE.radius),
        Label::VisibleIris as u8
    );
    assert_eq!(at(EYE.cx, EYE.cy), Label::Pupil as u8);
}

#[test]
fn rolled_eyes_are_met() {
    for roll_deg in [-15.0, 15.0] {
        assert_iris_met(&Eye { roll_deg, ..EYE });
    }
}

#[test]
fn large_photo_is_measured_at_full_resolution() {
    let eye = Eye {
        width: 1600,
        height: 1300,
        cx: 790.5,
        cy: 660.25,
        radius: 301.0,
        ..EYE
    };
    assert_iris_met(&eye);
}

#[test]
fn iris_cut_at_top_and_bottom_is_accepted() {
    let eye = Eye {
        width: 1400,
        height: 150,
        cx: 620.0,
        cy: 76.0,
        radius: 140.0,
        ..EYE
    };
    let iris = found(&eye).iris;
    assert!(
        (iris.mean_radius() / eye.radius - 1.0).abs() < 0.03,
        "{iris:?}"
    );
}

#[test]
fn iris_of_48_pixels_is_processed() {
    assert_iris_met(&Eye {
        radius: 48.0,
        ..EYE
    });
}

#[test]
fn small_iris_is_asked_to_come_closer() {
    let photo = Eye {
        radius: 34.0,
        ..EYE
    }
    .draw();
    assert_eq!(refused(&photo), RejectionCode::IrisTooSmall);
}

#[test]
fn eye_from_afar_is_asked_to_come_closer() {
    let photo = Eye {
        width: 1200,
        height: 900,
        radius: 4.0,
        ..EYE
    }
    .draw();
    assert_eq!(refused(&photo), RejectionCode::IrisTooSmall);
}

/// The rejection of an eye that is seen but cannot be used.
fn rejection_of(eye: &Eye) -> Rejection {
    let verdict = judge_photo(&eye.draw());
    let rejection = verdict.rejection.expect("a rejection");
    assert!(verdict.iris.is_some(), "{:?}: not seen", rejection.code());
    rejection
}

#[test]
fn window_on_the_left_is_seen_there() {
    let window = Some((-1.0, 0.45));
    let rejection = rejection_of(&Eye { window, ..EYE });
    assert_eq!(rejection.code(), RejectionCode::IrisCovered);
    let light_from = match rejection {
        Rejection::IrisBehindLight { light_from, .. } => light_from,
        _ => None,
    };
    assert_eq!(light_from, Some(Side::Left), "{rejection:?}");
}

#[test]
fn iris_that_the_frame_cuts_off_says_at_which_side() {
    let rejection = rejection_of(&Eye { cx: -25.0, ..EYE });
    assert_eq!(rejection.code(), RejectionCode::IrisCutOff);
    let is_left = matches!(rejection, Rejection::IrisCutOff { side, .. } if side == Side::Left);
    assert!(is_left, "{rejection:?}");
}

#[test]
fn blurred_iris_is_refused_as_blurred() {
    let photo = Eye { blur: 0.09, ..EYE }.draw();
    assert_eq!(refused(&photo), RejectionCode::TooBlurry);
}

#[test]
fn black_photo_is_too_dark() {
    let photo = draw(320, 240, |_, _| [6.0, 128.0, 128.0]);
    assert_eq!(refused(&photo), RejectionCode::TooDark);
}

#[test]
fn white_photo_is_overexposed() {
    let photo = draw(320, 240, |_, _| [254.0, 128.0, 128.0]);
    assert_eq!(refused(&photo), RejectionCode::Overexposed);
}

#[test]
fn plain_skin_has_no_iris() {
    let photo = draw(320, 240, |_, _| SKIN);
    assert_eq!(refused(&photo), RejectionCode::NoIrisFound);
}

#[test]
fn stripes_and_blobs_have_no_iris() {
    let photo = draw(400, 300, |x, y| {
        [
            120.0 + 50.0 * (x * 0.11).sin() * (y * 0.07).cos() + 30.0 * (x * 0.03 + y * 0.05).sin(),
            120.0,
            135.0,
        ]
    });
    assert_eq!(refused(&photo), RejectionCode::NoIrisFound);
}

#[test]
fn dark_disc_on_a_plain_ground_is_no_iris() {
    let photo = draw(400, 300, |x, y| {
        let inside = (x - 200.0).hypot(y - 150.0) < 70.0;
        if inside { [60.0, 140.0, 118.0] } else { SCLERA }
    });
    assert_eq!(refused(&photo), RejectionCode::NoIrisFound);
}

#[test]
fn iris_and_pupil_without_an_eye_around_are_no_iris() {
    let photo = draw(480, 400, |x, y| {
        let (dx, dy) = ((x - EYE.cx) / EYE.radius, (y - EYE.cy) / EYE.radius);
        if dx.hypot(dy) < 1.0 {
            EYE.eyeball(dx, dy)
        } else {
            SKIN
        }
    });
    assert_eq!(refused(&photo), RejectionCode::NoIrisFound);
}

#[test]
fn a_rejection_has_the_number_behind_it() {
    let photo = draw(320, 240, |_, _| SKIN);
    let refusal = segment_iris(&photo).expect_err("plain skin");
    let missed = refusal.missed_limit().expect("a number");
    assert_eq!(missed.figure, "confidence");
    assert!(missed.value < missed.threshold);
}
