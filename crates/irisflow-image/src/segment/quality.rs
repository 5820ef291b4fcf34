//! Numbers that say how usable a found iris is.

use super::closeup::Closeup;
use super::float_image::{FloatImage, Gradient, median};
use super::limbus::{Limbus, LimbusSpoke, is_lateral, point_on_ray};
use super::{Label, Quality};
use crate::geometry::Ellipse;
use crate::plane::Plane;

/// `limbus` is in pixels of the closeup, `iris` and `pupil` in those of the photo.
pub(super) fn measure_quality(
    closeup: &Closeup,
    limbus: &Limbus,
    iris: &Ellipse,
    pupil: &Ellipse,
    labels: &Plane,
) -> Quality {
    Quality {
        iris_radius_px: iris.mean_radius(),
        pupil_ratio: pupil.mean_radius() / iris.mean_radius(),
        visible_share: visible_share(labels),
        reflection_share: 0.0,
        sharpness: edge_sharpness(closeup, &limbus.ellipse),
        mean_luma: ring_luma(closeup, &limbus.ellipse).unwrap_or(0.0),
        limbus_contrast: limbus_contrast(&limbus.spokes),
    }
}

/// Labelled visible iris over all of the ring that is within the frame.
fn visible_share(labels: &Plane) -> f32 {
    let count = |label: Label| labels.samples.iter().filter(|&&v| v == label as u8).count() as f32;
    let visible = count(Label::VisibleIris);
    (visible / (visible + count(Label::Hidden)).max(1.0)).clamp(0.0, 1.0)
}

/// How much of the iris disc is within the photo, 0 to 1.
pub(super) fn share_in_frame(labels: &Plane, iris: &Ellipse) -> f32 {
    let labelled = labels
        .samples
        .iter()
        .filter(|&&v| v != Label::Nothing as u8)
        .count();
    (labelled as f32 / (std::f32::consts::PI * iris.rx * iris.ry)).min(1.0)
}

/// How much of the edges within the iris a blur of 4 % of its radius takes away, 0 to 1: much where
/// fine structure is crisp, little where the photo is blurred already (Crete et al. 2007, "The blur
/// effect"). A light smoothing first keeps sensor noise from counting as structure.
fn edge_sharpness(closeup: &Closeup, limbus: &Ellipse) -> f32 {
    let radius = limbus.mean_radius();
    let seen = closeup.luma.blurred(0.012 * radius);
    let blurred = seen.blurred(0.04 * radius);
    let [before, after] = [&seen, &blurred].map(|image| mean_edge(image, limbus));
    if before < 0.05 {
        0.0
    } else {
        (1.0 - after / before).clamp(0.0, 1.0)
    }
}

/// Mean gradient between a fifth of the radius and just inside the limbus.
fn mean_edge(image: &FloatImage, limbus: &Ellipse) -> f32 {
    let gradient = Gradient::of(image);
    let (mut sum, mut count) = (0.0, 0);
    for index in 0..128 {
        let theta = index as f32 * std::f32::consts::TAU / 128.0;
        for step in 0..20 {
            let (x, y) = point_on_ray(limbus, theta, 0.2 + 0.037 * step as f32);
            if let (Some(gx), Some(gy)) = (gradient.gx.sample(x, y), gradient.gy.sample(x, y)) {
                sum += (gx * gx + gy * gy).sqrt();
                count += 1;
            }
        }
    }
    sum / count.max(1) as f32
}

fn ring_luma(closeup: &Closeup, limbus: &Ellipse) -> Option<f32> {
    let mut lumas = Vec::new();
    for index in 0..96 {
        let theta = index as f32 * std::f32::consts::TAU / 96.0;
        for share in [0.6, 0.7, 0.8, 0.9] {
            let (x, y) = point_on_ray(limbus, theta, share);
            lumas.extend(closeup.luma.sample(x, y));
        }
    }
    median(&mut lumas)
}

fn limbus_contrast(spokes: &[LimbusSpoke]) -> f32 {
    let mut steps: Vec<f32> = spokes
        .iter()
        .filter(|spoke| is_lateral(spoke.theta))
        .filter_map(|spoke| Some(spoke.outside?.luma - spoke.inside?.luma))
        .collect();
    median(&mut steps).unwrap_or(0.0).max(0.0)
}
