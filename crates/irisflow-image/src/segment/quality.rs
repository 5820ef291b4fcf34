//! Numbers that say how usable a found iris is, and one score of them all: the metrics of ISO/IEC
//! 29794-6:2015 (iris image quality), with limits of visible light instead of near infrared.

use super::closeup::Closeup;
use super::detail::{Texture, detail_across};
use super::float_image::median;
use super::inference::Inference;
use super::labels::is_visible_iris;
use super::limbus::{Limbus, LimbusSpoke, is_lateral};
use super::ring_light::RingLight;
use super::sharpness::Edges;
use super::{Label, PhotoPixels};
use crate::geometry::{Ellipse, PixelRect};
use crate::plane::{Plane, count_bytes};

/// Numbers that say how usable the iris is. In brackets the metric of ISO/IEC 29794-6 each is after.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quality {
    /// Mean radius of the limbus, pixels of the upright photo (iris radius).
    pub iris_radius_px: f32,
    /// The number of pixels that would show all detail which the photo has across the iris: less than its
    /// diameter where the photo is blurred, enlarged or strongly compressed.
    pub detail_across: f32,
    /// How much of the iris disc is within the photo, 0 to 1.
    pub share_in_frame: f32,
    /// Pupil radius divided by iris radius (pupil dilation).
    pub pupil_ratio: f32,
    /// Share of the iris ring that no lid or lash hides, 0 to 1; reflections count as visible.
    pub visible_share: f32,
    /// Share of the iris ring under specular highlights, 0 to 1.
    pub reflection_share: f32,
    /// How crisp the iris is, 0 (blurred) to about 0.6: the share of its edges that a slight blur takes
    /// (sharpness). Where too little of it shows to say, that of what is around it.
    pub sharpness: f32,
    /// The same of limbus, lids and lashes around it: a dark brown iris has little to be crisp.
    pub sharpness_around: f32,
    /// Median luma of the visible iris ring beside its reflections, 0 to 255.
    pub median_luma: f32,
    /// Share of the visible ring that is burnt out or black without any detail (grey scale utilisation).
    pub clipped_share: f32,
    /// Median luma step across the limbus from iris to sclera, 0 to 255 (iris-sclera contrast).
    pub limbus_contrast: f32,
    /// How far the eye looks past the camera, degrees, from the shape of the limbus (gaze angle). Below
    /// about 15 this is within the differences between people.
    pub gaze_deg: f32,
}

impl Quality {
    /// Share of the iris ring that shows its own texture, 0 to 1 (usable iris area).
    pub fn usable_share(&self) -> f32 {
        self.visible_share * (1.0 - self.reflection_share)
    }

    /// The side in centimetres at which the picture can be printed with 150 dots of real detail per inch, as
    /// from an arm's length. The iris is [`IRIS_FILL`](crate::rectified::IRIS_FILL) of the side.
    pub fn print_cm(&self) -> f32 {
        const DOTS_PER_CM: f32 = 150.0 / 2.54;
        self.detail_across / crate::rectified::IRIS_FILL / DOTS_PER_CM
    }

    /// Every figure with its stable name.
    pub fn named(&self) -> [(&'static str, f32); 14] {
        [
            ("iris_radius_px", self.iris_radius_px),
            ("detail_across", self.detail_across),
            ("print_cm", self.print_cm()),
            ("share_in_frame", self.share_in_frame),
            ("pupil_ratio", self.pupil_ratio),
            ("visible_share", self.visible_share),
            ("reflection_share", self.reflection_share),
            ("usable_share", self.usable_share()),
            ("sharpness", self.sharpness),
            ("sharpness_around", self.sharpness_around),
            ("median_luma", self.median_luma),
            ("clipped_share", self.clipped_share),
            ("limbus_contrast", self.limbus_contrast),
            ("gaze_deg", self.gaze_deg),
        ]
    }

    /// 0 (useless) to 100 (as good as pictures get): what the picture can become. A product of what each figure
    /// is worth, by its weight, so that one bad figure cannot be made up for.
    pub fn score(&self) -> u8 {
        let worths = self.worths().into_iter();
        let product: f32 = worths.map(|worth| worth.weighted()).product();
        (100.0 * product).round() as u8
    }

    /// What each figure is worth.
    pub fn worths(&self) -> [Worth; 7] {
        let worth = |figure, weight, worth| Worth {
            figure,
            worth,
            weight,
        };
        let light = ramp(self.median_luma, 8.0, 45.0) * ramp(self.median_luma, 240.0, 200.0);
        let exposure = light * ramp(self.clipped_share, 0.6, 0.05);
        let pupil = ramp(self.pupil_ratio, 0.1, 0.2) * ramp(self.pupil_ratio, 0.8, 0.6);
        let detail = ramp(self.detail_across.ln(), 60.0_f32.ln(), 700.0_f32.ln());
        let area = self.usable_share() * self.share_in_frame;
        [
            worth("detail", 0.6, detail),
            worth("area", 0.8, ramp(area, 0.25, 0.85)),
            worth("sharpness", 0.3, ramp(self.sharpness, 0.05, 0.35)),
            worth("exposure", 0.6, exposure),
            worth("contrast", 0.15, ramp(self.limbus_contrast, 0.0, 30.0)),
            worth("pupil", 0.15, pupil),
            worth("gaze", 0.6, ramp(self.gaze_deg, 55.0, 20.0)),
        ]
    }
}

/// What one figure is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worth {
    pub figure: &'static str,
    /// 0 to 1.
    pub worth: f32,
    /// How much of the score it decides.
    pub weight: f32,
}

impl Worth {
    /// Its factor of the score, 0 to 1.
    pub fn weighted(&self) -> f32 {
        self.worth.max(0.01).powf(self.weight)
    }
}

/// 0 at `zero`, 1 at `one`, straight in between; `one` may be the smaller.
pub(super) fn ramp(value: f32, zero: f32, one: f32) -> f32 {
    ((value - zero) / (one - zero)).clamp(0.0, 1.0)
}

/// `limbus` is in pixels of the closeup, `iris` and `pupil` in those of the photo.
pub(super) fn measure_quality(
    photo: &dyn PhotoPixels,
    closeup: &Closeup,
    inference: &Inference,
    limbus: &Limbus,
    (iris, pupil): (&Ellipse, &Ellipse),
    (labels, rect): (&Plane, PixelRect),
    light: &RingLight,
) -> Quality {
    let edges = Edges::of(&closeup.luma, limbus.ellipse.mean_radius());
    let shows_texture = |x: f32, y: f32| {
        let point = closeup.point_to_photo((x, y));
        shows_texture(inference, iris, pupil, (labels, rect), point)
    };
    let around = edges.sharpness(&limbus.ellipse, AROUND, |_, _| true);
    let within = edges.sharpness(&limbus.ellipse, WITHIN, shows_texture);
    Quality {
        iris_radius_px: iris.mean_radius(),
        detail_across: detail_across(
            photo,
            Texture {
                iris,
                pupil,
                labels: (labels, rect),
            },
        ),
        share_in_frame: share_in_frame(labels, iris),
        pupil_ratio: pupil.mean_radius() / iris.mean_radius(),
        visible_share: visible_share(labels),
        reflection_share: light.reflected,
        sharpness: within.or(around).unwrap_or(0.0),
        sharpness_around: around.unwrap_or(0.0),
        median_luma: light.median_luma,
        clipped_share: light.clipped,
        limbus_contrast: limbus_contrast(&limbus.spokes),
        gaze_deg: (iris.rx.min(iris.ry) / iris.rx.max(iris.ry))
            .acos()
            .to_degrees(),
    }
}

/// Labelled visible iris over all of the ring that is within the frame.
pub(super) fn visible_share(labels: &Plane) -> f32 {
    let count = |label: Label| count_bytes(&labels.samples, label as u8) as f32;
    let visible = count(Label::VisibleIris);
    (visible / (visible + count(Label::Hidden)).max(1.0)).clamp(0.0, 1.0)
}

/// How much of the iris disc is within the photo, 0 to 1.
fn share_in_frame(labels: &Plane, iris: &Ellipse) -> f32 {
    let nothing = count_bytes(&labels.samples, Label::Nothing as u8);
    let labelled = labels.samples.len() - nothing;
    (labelled as f32 / (std::f32::consts::PI * iris.rx * iris.ry)).min(1.0)
}

/// Rings in shares of the radius: the iris, and what is around it.
const WITHIN: (f32, f32) = (0.2, 0.903);
const AROUND: (f32, f32) = (0.95, 1.5);

/// Whether a point of the iris, with a little around it, shows nothing but its own texture: no rim of a
/// lid, a lash, the pupil or a reflection.
fn shows_texture(
    inference: &Inference,
    iris: &Ellipse,
    pupil: &Ellipse,
    labels: (&Plane, PixelRect),
    (x, y): (f32, f32),
) -> bool {
    const LITTLE: f32 = 0.06;
    let apart = LITTLE * iris.mean_radius();
    pupil.normalised_distance(x, y) * pupil.mean_radius() > pupil.mean_radius() + apart
        && inference.at(&inference.maps.reflection, x, y) < 0.5
        && [
            (0.0, 0.0),
            (apart, 0.0),
            (-apart, 0.0),
            (0.0, apart),
            (0.0, -apart),
        ]
        .iter()
        .all(|(dx, dy)| is_visible_iris(labels, (x + dx, y + dy)))
}

fn limbus_contrast(spokes: &[LimbusSpoke]) -> f32 {
    let mut steps: Vec<f32> = spokes
        .iter()
        .filter(|spoke| is_lateral(spoke.theta))
        .filter_map(|spoke| Some(spoke.outside?.luma - spoke.inside?.luma))
        .collect();
    median(&mut steps).unwrap_or(0.0).max(0.0)
}
