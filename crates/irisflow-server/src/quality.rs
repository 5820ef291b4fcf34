//! Quality figures of a photo, and the limit that a rejected photo missed, as sent to clients.

use irisflow_jobs::MissedLimit;
use serde::Serialize;
use utoipa::ToSchema;

/// A measured figure and the limit that it missed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct MissedLimitBody {
    /// Stable name of the figure; most are fields of `quality`.
    #[schema(example = "sharpness")]
    pub(crate) figure: String,
    pub(crate) value: f64,
    pub(crate) threshold: f64,
}

impl From<&MissedLimit> for MissedLimitBody {
    fn from(missed: &MissedLimit) -> Self {
        Self {
            figure: missed.figure.clone(),
            value: missed.value,
            threshold: missed.threshold,
        }
    }
}

/// Quality figures of the iris in a photo, after the metrics of ISO/IEC 29794-6 (in brackets).
// Responses serialize the figures of the image library; this type only describes them, and a test checks that both
// have the same names.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct QualityBody {
    /// Mean radius of the limbus, pixels of the upright photo (iris radius).
    iris_radius_px: f32,
    /// Number of pixels that would show all detail that the photo has across the iris.
    detail_across: f32,
    /// Side in centimetres at which the picture can be printed with 150 dots of real detail per inch.
    print_cm: f32,
    /// Share of the iris disc that is within the photo, 0 to 1.
    share_in_frame: f32,
    /// Pupil radius divided by iris radius (pupil dilation).
    pupil_ratio: f32,
    /// Share of the iris ring that no lid or lash hides, 0 to 1; reflections count as visible.
    visible_share: f32,
    /// Share of the iris ring under specular highlights, 0 to 1.
    reflection_share: f32,
    /// Share of the iris ring with visible texture, without lids, lashes and reflections, 0 to 1 (usable iris area).
    usable_share: f32,
    /// Sharpness of the iris, 0 (blurred) to about 0.6 (sharpness).
    sharpness: f32,
    /// Sharpness of limbus, lids and lashes around the iris, on the same scale.
    sharpness_around: f32,
    /// Median luma of the visible iris ring without reflections, 0 to 255.
    median_luma: f32,
    /// Share of the visible ring that is overexposed, or black without detail (grey scale utilisation).
    clipped_share: f32,
    /// Median luma step across the limbus from iris to sclera, 0 to 255 (iris-sclera contrast).
    limbus_contrast: f32,
    /// Angle between the gaze and the camera in degrees, from the shape of the limbus (gaze angle). Values below
    /// about 15 are within the variation between people.
    gaze_deg: f32,
    /// Of a finished job: confidence that an iris was found and measured correctly, 0 to 1.
    confidence: Option<f32>,
    /// Of a finished job: share of the ring that was under reflections and has been filled in, 0 to 1.
    filled_share: Option<f32>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use irisflow_image::segment::Quality;
    use utoipa::PartialSchema;
    use utoipa::openapi::{RefOr, schema::Schema};

    use super::*;

    #[test]
    fn the_description_names_what_is_measured() {
        let RefOr::T(Schema::Object(described)) = QualityBody::schema() else {
            panic!("an object");
        };
        let described: BTreeSet<&str> = described.properties.keys().map(String::as_str).collect();
        let measured = Quality::default().named().map(|(name, _)| name);
        let of_a_job = ["confidence", "filled_share"];
        let expected: BTreeSet<&str> = measured.into_iter().chain(of_a_job).collect();
        assert_eq!(described, expected);
    }
}
