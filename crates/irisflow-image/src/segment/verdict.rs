//! Judgement: how sure it is that a candidate is a human iris, and what to tell a person whose photo
//! cannot be used. Each measurement of `evidence.rs` gets a say between 0 and 1; the confidence is
//! their weighted geometric mean, and no core evidence may clearly say No.

use super::Quality;
use super::evidence::Evidence;
use super::float_image::percentile;
use crate::plane::Plane;
use crate::rejection::{Rejection, RejectionCode};

/// Below this confidence there is no iris for us: one kind of evidence silent, or several in doubt.
pub(super) const LEAST_CONFIDENCE: f32 = 0.8;
/// Smallest limbus radius worth processing, pixels of the photo.
pub(super) const LEAST_RADIUS_PX: f32 = 40.0;

/// 0 at `zero`, 1 at `one`, straight in between; `one` may be the smaller.
fn ramp(value: f32, zero: f32, one: f32) -> f32 {
    ((value - zero) / (one - zero)).clamp(0.0, 1.0)
}

/// The say of each kind of evidence, for the developers' tools.
pub(super) fn says(evidence: &Evidence) -> Vec<(&'static str, f32, f32)> {
    let e = evidence;
    let weaker_edge = e.left_edge.min(e.right_edge);
    let weaker_step = e.left_step.min(e.right_step);
    // Where the frame cuts the iris below, all that is left of the limbus has to be there.
    let limbus_below = match e.lower_edge {
        Some(share) => ramp(share, 0.25, 0.45),
        None => ramp(e.all_edge, 0.5, 0.85),
    };
    vec![
        ("limbus on both sides", ramp(weaker_edge, 0.35, 0.8), 2.0),
        ("limbus all around", ramp(e.all_edge, 0.3, 0.65), 1.0),
        ("limbus below", limbus_below, 1.5),
        ("sclera brighter", ramp(weaker_step, 0.03, 0.2), 2.0),
        ("sclera smooth", ramp(e.sclera_texture, 0.25, 0.09), 1.5),
        ("sclera neutral", ramp(e.sclera_tint, 0.38, 0.2), 1.0),
        ("round", ramp(e.roundness, 0.8, 0.92), 1.0),
        ("pupil outline", ramp(e.pupil_edge, 0.35, 0.7), 2.0),
        ("pupil dark", ramp(e.pupil_contrast, 0.1, 0.42), 2.0),
        (
            "pupil of usual size",
            ramp(e.pupil_ratio, 0.1, 0.2) * ramp(e.pupil_ratio, 0.72, 0.58),
            1.0,
        ),
        ("pupil centred", ramp(e.pupil_offset, 0.25, 0.12), 1.0),
        (
            "lids",
            e.lid_share.map_or(0.6, |share| ramp(share, 0.55, 0.95)),
            1.5,
        ),
        (
            "skin",
            e.skin_warmth
                .map_or(0.8, |warmth| ramp(warmth, -0.02, 0.08)),
            1.0,
        ),
        ("grain", ramp(e.flat_share, 0.97, 0.8), 1.0),
        ("rim even", ramp(e.rim_scatter, 1.2, 0.6), 1.0),
    ]
}

/// 0 to 1: how well everything agrees that this is a human iris.
pub(super) fn confidence(evidence: &Evidence) -> f32 {
    let mut log_sum = 0.0;
    let mut weights = 0.0;
    let mut weakest: f32 = 1.0;
    for (_, say, weight) in says(evidence) {
        log_sum += weight * say.max(1e-4).ln();
        weights += weight;
        if weight >= CORE_WEIGHT {
            weakest = weakest.min(say);
        }
    }
    (log_sum / weights).exp().min(VETO_SLOPE * weakest)
}

/// Evidence of this weight is about what every eye has: sides, sclera, pupil, lids.
const CORE_WEIGHT: f32 = 1.5;
/// Core evidence that says less than 0.3 is a veto, however much the rest agrees.
const VETO_SLOPE: f32 = LEAST_CONFIDENCE / 0.3;

/// A usable iris, or the first reason why not.
pub(super) fn judge(quality: &Quality, share_in_frame: f32) -> Result<(), Rejection> {
    if quality.iris_radius_px < LEAST_RADIUS_PX {
        return Err(iris_too_small(quality.iris_radius_px));
    }
    if share_in_frame < LEAST_SHARE_IN_FRAME {
        return Err(iris_cut_off(share_in_frame));
    }
    if quality.mean_luma < LEAST_IRIS_LUMA {
        return Err(too_dark(quality.mean_luma, LEAST_IRIS_LUMA));
    }
    if quality.mean_luma > MOST_IRIS_LUMA {
        return Err(overexposed(quality.mean_luma, MOST_IRIS_LUMA));
    }
    if quality.visible_share < LEAST_VISIBLE_SHARE {
        return Err(iris_covered(quality.visible_share));
    }
    if quality.sharpness < LEAST_SHARPNESS {
        return Err(too_blurry(quality.sharpness));
    }
    Ok(())
}

/// Why no iris was found: the light, where it leaves nothing to see, else simply none.
pub(super) fn nothing_found(luma: &Plane, confidence: f32) -> Rejection {
    let mut lumas: Vec<f32> = luma.samples.iter().map(|&v| f32::from(v)).collect();
    let bright = percentile(&mut lumas, 0.95).unwrap_or(0.0);
    let dim = percentile(&mut lumas, 0.15).unwrap_or(255.0);
    if bright < LEAST_BRIGHT_LUMA {
        too_dark(bright, LEAST_BRIGHT_LUMA)
    } else if dim > MOST_DIM_LUMA {
        overexposed(dim, MOST_DIM_LUMA)
    } else {
        no_iris_found(confidence)
    }
}

/// Below this mean luma of the ring even a dark brown iris is only noise.
const LEAST_IRIS_LUMA: f32 = 10.0;
/// Above this the fibres of the lightest iris are burnt out.
const MOST_IRIS_LUMA: f32 = 225.0;
/// Less of the iris than this cannot be completed honestly.
const LEAST_VISIBLE_SHARE: f32 = 0.4;
/// A strip through the middle with both sides of the iris is about this share of its disc.
const LEAST_SHARE_IN_FRAME: f32 = 0.45;
/// What a blur by 5 % of the radius leaves of crisp fibres, which measure 0.3 to 0.5.
const LEAST_SHARPNESS: f32 = 0.12;
/// A photo of which 95 % is darker than this shows no eye; one of which 85 % is brighter, none either.
const LEAST_BRIGHT_LUMA: f32 = 36.0;
const MOST_DIM_LUMA: f32 = 246.0;

/// The advice of the product for photos of poor quality; used where nothing fits better.
const DEFAULT_SUGGESTION: &str =
    "Try capturing a new photo in better lighting with your eye centered.";

fn rejection(
    code: RejectionCode,
    message: &str,
    suggestion: &str,
    value: f32,
    threshold: f32,
) -> Rejection {
    Rejection {
        code,
        message: message.to_owned(),
        suggestion: suggestion.to_owned(),
        value: Some(f64::from(value)),
        threshold: Some(f64::from(threshold)),
    }
}

pub(super) fn no_iris_found(confidence: f32) -> Rejection {
    rejection(
        RejectionCode::NoIrisFound,
        "We could not find an iris in this photo.",
        DEFAULT_SUGGESTION,
        confidence,
        LEAST_CONFIDENCE,
    )
}

fn iris_too_small(radius_px: f32) -> Rejection {
    rejection(
        RejectionCode::IrisTooSmall,
        "The eye is too small in this photo.",
        "Come closer, so that your eye fills most of the picture.",
        radius_px,
        LEAST_RADIUS_PX,
    )
}

fn iris_cut_off(share_in_frame: f32) -> Rejection {
    rejection(
        RejectionCode::IrisCutOff,
        "Part of the iris is outside the picture.",
        "Move back a little and keep your eye in the middle of the picture.",
        share_in_frame,
        LEAST_SHARE_IN_FRAME,
    )
}

fn too_dark(luma: f32, least: f32) -> Rejection {
    rejection(
        RejectionCode::TooDark,
        "The photo is too dark to see the iris.",
        "Try again facing a window or a lamp.",
        luma,
        least,
    )
}

fn overexposed(luma: f32, most: f32) -> Rejection {
    rejection(
        RejectionCode::Overexposed,
        "The photo is too bright to see the iris.",
        "Try again without flash and out of direct sunlight.",
        luma,
        most,
    )
}

fn iris_covered(visible_share: f32) -> Rejection {
    rejection(
        RejectionCode::IrisCovered,
        "Too much of the iris is behind the eyelids.",
        "Open your eye a little wider and try again.",
        visible_share,
        LEAST_VISIBLE_SHARE,
    )
}

fn too_blurry(sharpness: f32) -> Rejection {
    rejection(
        RejectionCode::TooBlurry,
        "The iris is out of focus.",
        "Hold the camera still, tap your eye on the screen to focus, and try again.",
        sharpness,
        LEAST_SHARPNESS,
    )
}
