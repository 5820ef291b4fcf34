//! What speaks for a human iris that was measured rightly: how sure the network is, how its maps and the
//! fitted outlines agree, and whether the photo has edges where they say. No judgement here; `verdict.rs`
//! weighs it.

use super::closeup::Closeup;
use super::limbus::{Limbus, LimbusSpoke, point_on_ray};
use super::sight::Sight;
use crate::geometry::Ellipse;

/// Measurements of one eye, all between 0 and 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evidence {
    /// How sure the network is that the closer look shows an eye.
    pub presence: f32,
    /// Intersection over union of the network's iris and the fitted limbus.
    pub disc_overlap: f32,
    /// The network's mean probability of iris in the ring around the limbus.
    pub disc_around: f32,
    /// Intersection over union of the network's pupil and the fitted one.
    pub pupil_overlap: f32,
    /// Share of the open rays with an edge on the fitted limbus.
    pub limbus_edge: f32,
}

impl Evidence {
    /// Every measurement with its name, for the developers' tools.
    pub fn named(&self) -> [(&'static str, f32); 5] {
        [
            ("presence", self.presence),
            ("disc_overlap", self.disc_overlap),
            ("disc_around", self.disc_around),
            ("pupil_overlap", self.pupil_overlap),
            ("limbus_edge", self.limbus_edge),
        ]
    }
}

/// An edge this near to the ellipse (in radii) lies on it.
const ON_ELLIPSE: f32 = 0.04;

/// `limbus` is in pixels of the closeup, `iris` and `pupil` in those of the photo.
pub(super) fn gather(
    closeup: &Closeup,
    limbus: &Limbus,
    sight: &Sight,
    iris: &Ellipse,
    pupil: &Ellipse,
) -> Evidence {
    let disc = sight.agreement(&sight.maps.iris, iris);
    let is_open = |spoke: &&LimbusSpoke| {
        let beyond = point_on_ray(&limbus.ellipse, spoke.theta, 1.06);
        let (x, y) = closeup.point_to_photo(beyond);
        spoke.outside.is_some() && sight.at(&sight.maps.opening, x, y) >= 0.5
    };
    let open: Vec<&LimbusSpoke> = limbus.spokes.iter().filter(is_open).collect();
    let has_edge = |spoke: &&&LimbusSpoke| {
        spoke
            .edge
            .is_some_and(|edge| (edge - 1.0).abs() < ON_ELLIPSE)
    };
    let edges = open.iter().filter(has_edge).count();
    Evidence {
        presence: sight.maps.presence,
        disc_overlap: disc.overlap,
        disc_around: disc.around,
        pupil_overlap: sight.agreement(&sight.maps.pupil, pupil).overlap,
        limbus_edge: edges as f32 / open.len().max(1) as f32,
    }
}
