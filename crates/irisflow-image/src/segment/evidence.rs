//! The evidence for a human iris that was measured rightly: how sure the network is, how its maps and the
//! fitted outlines agree, and whether the photo has edges where they say. No judgement here; `verdict.rs`
//! weighs it.

use super::closeup::Closeup;
use super::edges::point_on_ray;
use super::float_image::percentile;
use super::inference::Inference;
use super::limbus::{Limbus, LimbusSpoke, iris_colour, sclera_colour};
use crate::geometry::Ellipse;

/// Measurements of one eye, between 0 and 1 where nothing else is said.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evidence {
    /// How sure the network is that the detection crop shows an eye.
    pub presence: f32,
    /// Intersection over union of the network's iris and the fitted limbus.
    pub disc_overlap: f32,
    /// The network's mean probability of iris in the ring around the limbus.
    pub disc_around: f32,
    /// Intersection over union of the network's pupil and the fitted one.
    pub pupil_overlap: f32,
    /// Intersection over union between the openings that the detection crop and the measurement crop show within
    /// the limbus.
    pub opening_overlap: f32,
    /// Share of the open rays with an edge on the fitted limbus.
    pub limbus_edge: f32,
    /// How far the surroundings are from the colour beside the limbus (75th percentile), as a share of the
    /// step across the limbus. Around an eye there are lids and lashes, around a disc on a plain ground
    /// nothing. None where the frame ends before.
    pub surroundings: Option<f32>,
}

impl Evidence {
    /// Every measurement with its name, for the developers' tools.
    pub fn named(&self) -> [(&'static str, Option<f32>); 7] {
        [
            ("presence", Some(self.presence)),
            ("disc_overlap", Some(self.disc_overlap)),
            ("disc_around", Some(self.disc_around)),
            ("pupil_overlap", Some(self.pupil_overlap)),
            ("opening_overlap", Some(self.opening_overlap)),
            ("limbus_edge", Some(self.limbus_edge)),
            ("surroundings", self.surroundings),
        ]
    }
}

/// An edge this near to the ellipse (in radii) lies on it.
const ON_ELLIPSE: f32 = 0.04;

/// `limbus` is in pixels of the closeup, `iris` and `pupil` in those of the photo. `inference` is of the
/// detection crop, `near` of the measurement crop.
pub(super) fn gather(
    closeup: &Closeup,
    limbus: &Limbus,
    (inference, near): (&Inference, &Inference),
    iris: &Ellipse,
    pupil: &Ellipse,
) -> Evidence {
    let disc = inference.agreement(&inference.maps.iris, iris);
    let is_open = |spoke: &&LimbusSpoke| {
        let beyond = point_on_ray(&limbus.ellipse, spoke.theta, 1.06);
        let (x, y) = closeup.point_to_photo(beyond);
        spoke.outside.is_some() && inference.at(&inference.maps.opening, x, y) >= 0.5
    };
    let open: Vec<&LimbusSpoke> = limbus.spokes.iter().filter(is_open).collect();
    let has_edge = |spoke: &&&LimbusSpoke| {
        spoke
            .edge
            .is_some_and(|edge| (edge - 1.0).abs() < ON_ELLIPSE)
    };
    let edges = open.iter().filter(has_edge).count();
    Evidence {
        presence: inference.maps.presence,
        disc_overlap: disc.overlap,
        disc_around: disc.around,
        pupil_overlap: inference.agreement(&inference.maps.pupil, pupil).overlap,
        opening_overlap: near.agreement_on_opening(inference, iris),
        limbus_edge: edges as f32 / open.len().max(1) as f32,
        surroundings: surroundings(closeup, limbus),
    }
}

fn surroundings(closeup: &Closeup, limbus: &Limbus) -> Option<f32> {
    const RAYS: usize = 64;
    const LEAST_SAMPLES: usize = 80;
    /// Less than this, in steps of luma, is noise rather than a limbus.
    const LEAST_STEP: f32 = 8.0;
    let beside = sclera_colour(&limbus.spokes)?;
    let step = iris_colour(&limbus.spokes)?.distance(beside);
    let mut distances = Vec::new();
    for ray in 0..RAYS {
        let theta = ray as f32 * std::f32::consts::TAU / RAYS as f32;
        for share in [1.45, 1.6, 1.75, 1.9, 2.05] {
            let (x, y) = point_on_ray(&limbus.ellipse, theta, share);
            let colour = closeup.colour_at(x, y);
            distances.extend(colour.map(|colour| colour.distance(beside)));
        }
    }
    if distances.len() < LEAST_SAMPLES {
        return None;
    }
    Some(percentile(&mut distances, 0.75)? / step.max(LEAST_STEP))
}
