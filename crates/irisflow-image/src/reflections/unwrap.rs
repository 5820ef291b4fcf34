//! Pupil and iris rolled out: a row per ring, a column per angle (the rubber sheet of Daugman, 1993).
//!
//! Rows run from the centre of the pupil over its border to the limbus. Angles are cyclic. Places in
//! the rectified iris are in shares of its side, so that one geometry serves luma and chroma.

use std::f32::consts::TAU;

use crate::geometry::Ellipse;
use crate::plane::Plane;
use crate::rectified::{RectifiedIris, RectifiedView};
use crate::segment::{IrisSegmentation, Label};

pub(super) const ANGLES: usize = 1024;
pub(super) const PUPIL_RINGS: usize = 48;
pub(super) const IRIS_RINGS: usize = 208;
pub(super) const RINGS: usize = PUPIL_RINGS + IRIS_RINGS;

/// Index of a place in a plane of rings.
pub(super) fn index(ring: usize, angle: usize) -> usize {
    ring * ANGLES + angle
}

/// The index `offset` columns further round.
pub(super) fn turned(index: usize, offset: usize) -> usize {
    index / ANGLES * ANGLES + (index + offset) % ANGLES
}

/// Pupil and limbus as circles in the rectified iris, in shares of its side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rings {
    pupil: (f32, f32),
    pupil_radius: f32,
    /// From the pupil's centre to the iris's.
    shift: (f32, f32),
    iris_radius: f32,
}

impl Rings {
    pub(super) fn of(view: &RectifiedView, pupil: &Ellipse) -> Self {
        let side = view.side as f32;
        let iris_radius = view.iris_radius() / side;
        let (u, v) = view.view_point(pupil.cx, pupil.cy);
        let (edge_u, edge_v) = view.view_point(pupil.cx + pupil.mean_radius(), pupil.cy);
        let pupil_radius = ((edge_u - u).hypot(edge_v - v) / side).clamp(0.02, iris_radius * 0.85);
        // Rings must lie inside each other, or places would not be unique.
        let (shift_u, shift_v) = (0.5 - u / side, 0.5 - v / side);
        let room = (iris_radius - pupil_radius) * 0.8;
        let shrink = (room / shift_u.hypot(shift_v).max(1e-6)).min(1.0);
        let shift = (shift_u * shrink, shift_v * shrink);
        Self {
            pupil: (0.5 - shift.0, 0.5 - shift.1),
            pupil_radius,
            shift,
            iris_radius,
        }
    }

    /// Radius of a ring in shares of the iris's radius.
    pub(super) fn radius(&self, ring: f32) -> f32 {
        let (_, radius) = self.circle(ring);
        radius / self.iris_radius
    }

    /// What one place of a ring covers, in shares of the iris's disc.
    pub(super) fn area(&self, ring: usize) -> f32 {
        2.0 * self.radius(ring as f32) * self.ring_step(ring) / ANGLES as f32
    }

    /// Distance between neighbouring rings in shares of the iris's radius.
    pub(super) fn ring_step(&self, ring: usize) -> f32 {
        let pupil = self.pupil_radius / self.iris_radius;
        if ring < PUPIL_RINGS {
            pupil / PUPIL_RINGS as f32
        } else {
            (1.0 - pupil) / IRIS_RINGS as f32
        }
    }

    /// How far a ring's circle has moved from the pupil's centre, and its radius.
    fn circle(&self, ring: f32) -> (f32, f32) {
        let ring = ring + 0.5;
        let out = (ring - PUPIL_RINGS as f32) / IRIS_RINGS as f32;
        if out <= 0.0 {
            return (0.0, ring.max(0.0) / PUPIL_RINGS as f32 * self.pupil_radius);
        }
        (
            out,
            self.pupil_radius + out * (self.iris_radius - self.pupil_radius),
        )
    }

    /// Where in the rectified iris a place of the rings lies.
    pub(super) fn point(&self, ring: f32, angle: f32) -> (f32, f32) {
        let (out, radius) = self.circle(ring);
        let (sin, cos) = ((angle + 0.5) / ANGLES as f32 * TAU).sin_cos();
        (
            self.pupil.0 + out * self.shift.0 + radius * cos,
            self.pupil.1 + out * self.shift.1 + radius * sin,
        )
    }

    /// The place of the rings that a point of the rectified iris has; its ring may lie beyond the last.
    pub(super) fn place(&self, u: f32, v: f32) -> (f32, f32) {
        let (dx, dy) = (u - self.pupil.0, v - self.pupil.1);
        let distance = (dx * dx + dy * dy).sqrt();
        let (ring, dx, dy) = if distance <= self.pupil_radius {
            (distance / self.pupil_radius * PUPIL_RINGS as f32, dx, dy)
        } else {
            let out = self.share_of_way_out(dx, dy);
            let ring = PUPIL_RINGS as f32 + out * IRIS_RINGS as f32;
            (ring, dx - out * self.shift.0, dy - out * self.shift.1)
        };
        let angle = dy.atan2(dx).rem_euclid(TAU) / TAU * ANGLES as f32;
        (ring - 0.5, angle - 0.5)
    }

    /// Solves `|d - t * shift| = pupil_radius + t * (iris_radius - pupil_radius)` for `t`.
    fn share_of_way_out(&self, dx: f32, dy: f32) -> f32 {
        let growth = self.iris_radius - self.pupil_radius;
        let (sx, sy) = self.shift;
        let a = growth * growth - sx * sx - sy * sy;
        let b = dx * sx + dy * sy + self.pupil_radius * growth;
        let c = dx * dx + dy * dy - self.pupil_radius * self.pupil_radius;
        ((b * b + a * c).max(0.0).sqrt() - b) / a
    }
}

/// The colours of the rectified iris on its rings, and which of them are seen.
pub(super) struct Unwrapped {
    /// Luma and chroma on the 8-bit scale.
    pub(super) colours: Vec<[f32; 3]>,
    /// Neither behind a lid or lashes nor outside the photo.
    pub(super) visible: Vec<bool>,
    /// Already known as a highlight from segmentation.
    pub(super) marked: Vec<bool>,
}

impl Unwrapped {
    pub(super) fn of(rectified: &RectifiedIris, labels: &IrisSegmentation, rings: &Rings) -> Self {
        let luma = small_enough(&rectified.luma);
        let places = RINGS * ANGLES;
        let mut unwrapped = Self {
            colours: Vec::with_capacity(places),
            visible: Vec::with_capacity(places),
            marked: Vec::with_capacity(places),
        };
        for ring in 0..RINGS {
            for angle in 0..ANGLES {
                let (u, v) = rings.point(ring as f32, angle as f32);
                let sample = |plane: &Plane| {
                    plane.sample_bilinear(u * plane.width as f32, v * plane.height as f32)
                };
                let side = rectified.view.side as f32;
                let (x, y) = rectified.view.photo_point(u * side, v * side);
                let label = labels.label_at(x, y);
                unwrapped.colours.push([
                    sample(&luma),
                    sample(&rectified.cb),
                    sample(&rectified.cr),
                ]);
                unwrapped
                    .visible
                    .push(!matches!(label, Label::Nothing | Label::Hidden));
                unwrapped.marked.push(label == Label::Reflection);
            }
        }
        unwrapped
    }
}

/// Halves a plane until its pixels are about as large as the distance between angles.
fn small_enough(plane: &Plane) -> Plane {
    let mut plane = plane.clone();
    while plane.width > 1100 {
        plane = plane.halved();
    }
    plane
}

#[cfg(test)]
mod tests {
    use super::Rings;
    use crate::geometry::Ellipse;
    use crate::rectified::RectifiedView;

    #[test]
    fn every_place_finds_its_way_back_also_when_the_pupil_is_not_centred() {
        let view = RectifiedView::new(&Ellipse::circle(500.0, 400.0, 200.0), 512);
        let rings = Rings::of(&view, &Ellipse::circle(520.0, 395.0, 70.0));
        for (ring, angle) in [(3.0, 10.0), (40.0, 700.5), (60.25, 3.0), (255.0, 511.0)] {
            let (u, v) = rings.point(ring, angle);
            let (found_ring, found_angle) = rings.place(u, v);
            assert!((found_ring - ring).abs() < 0.01, "{found_ring} for {ring}");
            assert!(
                (found_angle - angle).abs() < 0.2,
                "{found_angle} for {angle}"
            );
        }
    }
}
