//! What segmenting could have found, for tests of what is made of it.

use super::{IrisSegmentation, Label, Quality};
use crate::geometry::{Ellipse, PixelRect};
use crate::plane::Plane;

/// Sure of what `labels` say of a photo of their size, without lids near the iris.
pub(crate) fn segmentation(iris: Ellipse, pupil: Ellipse, labels: Plane) -> IrisSegmentation {
    IrisSegmentation {
        iris,
        pupil,
        upper_lid: Vec::new(),
        lower_lid: Vec::new(),
        rect: PixelRect {
            x: 0,
            y: 0,
            width: labels.width,
            height: labels.height,
        },
        labels,
        confidence: 1.0,
        open_share: 1.0,
        quality: Quality::default(),
        light_from: None,
    }
}

/// Iris and pupil of which nothing is hidden, in a square.
pub(crate) fn labels_of(iris: &Ellipse, pupil: &Ellipse, side: u32) -> Plane {
    let mut labels = Plane::filled(side, side, Label::Nothing as u8);
    for row in 0..side {
        for (column, label) in labels.row_mut(row).iter_mut().enumerate() {
            let (x, y) = (column as f32 + 0.5, row as f32 + 0.5);
            if pupil.contains(x, y) {
                *label = Label::Pupil as u8;
            } else if iris.contains(x, y) {
                *label = Label::VisibleIris as u8;
            }
        }
    }
    labels
}

/// Quality figures far from every limit.
pub(crate) fn fine_quality() -> Quality {
    Quality {
        iris_radius_px: 400.0,
        detail_across: 800.0,
        share_in_frame: 1.0,
        pupil_ratio: 0.35,
        visible_share: 0.95,
        reflection_share: 0.02,
        sharpness: 0.4,
        sharpness_around: 0.4,
        median_luma: 100.0,
        clipped_share: 0.0,
        limbus_contrast: 60.0,
        gaze_deg: 5.0,
    }
}
