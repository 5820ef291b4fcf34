//! What speaks for a human iris that was measured rightly: how sure the network is, and how its maps and
//! the fitted outlines agree. No judgement here; `verdict.rs` weighs it.

use super::sight::Sight;
use crate::geometry::Ellipse;

/// Measurements of one eye, all between 0 and 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evidence {
    /// How sure the network is that the closer look shows an eye.
    pub presence: f32,
    /// Intersection over union of the network's iris and the fitted limbus.
    pub disc_overlap: f32,
    /// The network's mean probability of iris within the limbus, and in the ring around it.
    pub disc_inside: f32,
    pub disc_around: f32,
    /// Intersection over union of the network's pupil and the fitted one.
    pub pupil_overlap: f32,
}

impl Evidence {
    /// Every measurement with its name, for the developers' tools.
    pub fn named(&self) -> [(&'static str, f32); 5] {
        [
            ("presence", self.presence),
            ("disc_overlap", self.disc_overlap),
            ("disc_inside", self.disc_inside),
            ("disc_around", self.disc_around),
            ("pupil_overlap", self.pupil_overlap),
        ]
    }
}

/// `iris` and `pupil` are in pixels of the photo.
pub(super) fn gather(sight: &Sight, iris: &Ellipse, pupil: &Ellipse) -> Evidence {
    let disc = sight.agreement(&sight.maps.iris, iris);
    Evidence {
        presence: sight.maps.presence,
        disc_overlap: disc.overlap,
        disc_inside: disc.inside,
        disc_around: disc.around,
        pupil_overlap: sight.agreement(&sight.maps.pupil, pupil).overlap,
    }
}
