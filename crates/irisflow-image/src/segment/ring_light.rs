//! The light on the open part of the iris ring: how bright, how much of it mirrored, and from where.

use super::closeup::Closeup;
use super::edges::point_on_ray;
use super::float_image::median;
use super::inference::Inference;
use super::photo_side::Side;
use crate::geometry::Ellipse;

/// Of the points between the lids and outside of the pupil.
#[derive(Debug)]
pub(super) struct RingLight {
    /// Median luma beside the reflections, 0 to 255.
    pub(super) median_luma: f32,
    /// Share that is burnt out or black without any detail.
    pub(super) clipped: f32,
    /// Share under reflections.
    pub(super) reflected: f32,
    /// Where the middle of the reflections lies, seen from the middle of the iris; none without any worth a
    /// word.
    pub(super) from: Option<Side>,
}

/// A point of the ring, seen from the middle of the iris.
struct RingPoint {
    offset: (f32, f32),
    luma: f32,
    /// What the network says of a reflection there.
    mirrored: f32,
}

impl RingLight {
    /// Ellipses in pixels of the closeup.
    pub(super) fn of(
        closeup: &Closeup,
        inference: &Inference,
        limbus: &Ellipse,
        pupil: &Ellipse,
    ) -> Self {
        /// A smaller share of the ring under reflections is not large enough to report.
        const MIN_REPORTED: f32 = 0.05;
        let points = ring_points(closeup, inference, limbus, pupil);
        let middle = median_luma(&points);
        // The network takes bright fibres for reflections at times; those are not this bright.
        let is_mirrored = |point: &&RingPoint| {
            point.luma > 250.0 || (point.mirrored >= 0.5 && point.luma > middle + 40.0)
        };
        let mirrored: Vec<&RingPoint> = points.iter().filter(is_mirrored).collect();
        let clipped = points
            .iter()
            .filter(|point| !(5.0..=250.0).contains(&point.luma))
            .count();
        let share = |count: usize| count as f32 / points.len().max(1) as f32;
        let sum = |axis: fn(&RingPoint) -> f32| mirrored.iter().map(|point| axis(point)).sum();
        let reflected = share(mirrored.len());
        Self {
            median_luma: middle,
            clipped: share(clipped),
            reflected,
            from: (reflected > MIN_REPORTED)
                .then(|| Side::towards(sum(|point| point.offset.0), sum(|point| point.offset.1))),
        }
    }
}

/// Of the iris itself: what the network takes for reflections is left out, as long as something remains.
fn median_luma(points: &[RingPoint]) -> f32 {
    const LEAST_SHARE: f32 = 0.1;
    let own = points.iter().filter(|point| point.mirrored < 0.5);
    let mut lumas: Vec<f32> = own.map(|point| point.luma).collect();
    if (lumas.len() as f32) < LEAST_SHARE * points.len() as f32 {
        lumas = points.iter().map(|point| point.luma).collect();
    }
    median(&mut lumas).unwrap_or(0.0)
}

/// Points of the iris between the lids and outside of the pupil. Ellipses in pixels of the closeup.
fn ring_points(
    closeup: &Closeup,
    inference: &Inference,
    limbus: &Ellipse,
    pupil: &Ellipse,
) -> Vec<RingPoint> {
    let mut points = Vec::new();
    for index in 0..96 {
        let theta = index as f32 * std::f32::consts::TAU / 96.0;
        for step in 0..14 {
            let (x, y) = point_on_ray(limbus, theta, 0.3 + 0.05 * step as f32);
            let (photo_x, photo_y) = closeup.point_to_photo((x, y));
            let open = inference.at(&inference.maps.opening, photo_x, photo_y) >= 0.5;
            if let Some(luma) = closeup.luma.sample(x, y).filter(|_| open)
                && pupil.normalised_distance(x, y) > 1.1
            {
                points.push(RingPoint {
                    offset: (x - limbus.cx, y - limbus.cy),
                    luma,
                    mirrored: inference.at(&inference.maps.reflection, photo_x, photo_y),
                });
            }
        }
    }
    points
}
