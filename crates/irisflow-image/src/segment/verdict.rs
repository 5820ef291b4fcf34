//! Judgement: how sure it is that an iris was found and measured rightly, whether the photo can be used,
//! and if not, why.

use super::evidence::Evidence;
use super::float_image::percentile;
use super::{IrisSegmentation, Side, Tip};
use crate::plane::Plane;
use crate::rejection::{MissedLimit, Rejection};

/// Less difference between the surroundings and what lies beside the limbus than this share of the step
/// across it is a plain ground without lids or lashes.
const LEAST_SURROUNDINGS: f32 = 0.1;
/// Two inferences on an iris agree this well about where it is open, and mostly better.
const USUAL_OPENING_OVERLAP: f32 = 0.97;
/// Below this confidence the photo is rejected as having no iris.
pub(super) const LEAST_CONFIDENCE: f32 = 0.65;
/// Lower confidence for rejecting as too small: the advice is harmless, and small eyes never reach the other
/// limit.
const LEAST_CONFIDENCE_IN_SMALL: f32 = 0.55;

/// With less presence in the detection crop than this, whatever else is measured, the confidence stays under 0.25.
pub(super) const LEAST_PRESENCE: f32 = 0.5;

/// An eye is seen, but not well, from these on. Of renders (seed 9100000) half of the eyes that are not found have
/// as much, and 1 of 94 pictures without a human eye.
const LEAST_PRESENCE_IN_UNCLEAR: f32 = 0.8;
const LEAST_CONFIDENCE_IN_UNCLEAR: f32 = 0.08;

/// Whether this is an eye, be it one that cannot be used.
pub(super) fn is_eye(confidence: f32, radius_px: f32) -> bool {
    let least = if radius_px < LEAST_RADIUS_PX {
        LEAST_CONFIDENCE_IN_SMALL
    } else {
        LEAST_CONFIDENCE
    };
    confidence >= least
}

/// The probability that this is a human iris whose visible part is met with an overlap of 0.8 or more:
/// logistic regression on renders of eyes, look-alikes and photos without eyes, made with an earlier pair
/// of networks and kept, since fits to later ones rely less on the presence and let more non-eyes through.
/// What two inferences at odds about the lids take away was chosen beside it, on seeds 8.2 and 8.6 million
/// (`cargo xtask eval --curves` lists the figures; docs/accuracy.md says how it does).
/// 0 where the photo itself shows that no eye is around.
pub(super) fn confidence(evidence: &Evidence) -> f32 {
    if evidence
        .surroundings
        .is_some_and(|value| value < LEAST_SURROUNDINGS)
    {
        return 0.0;
    }
    // The presence is capped at 99 %: higher values are no more reliable.
    let presence = evidence.presence.clamp(0.01, 0.99);
    let log_odds =
        -17.613 + 1.413 * (presence / (1.0 - presence)).ln() + 12.504 * evidence.disc_overlap
            - 14.812 * evidence.disc_around
            + 3.020 * evidence.pupil_overlap
            + 0.920 * evidence.limbus_edge
            - 13.0 * (USUAL_OPENING_OVERLAP - evidence.opening_overlap).max(0.0);
    1.0 / (1.0 + (-log_odds).exp())
}

/// A usable iris, or the first reason why not.
pub(super) fn judge(iris: &IrisSegmentation, photo_size: (u32, u32)) -> Result<(), Rejection> {
    let q = &iris.quality;
    if q.iris_radius_px < LEAST_RADIUS_PX {
        return Err(iris_too_small(q.iris_radius_px));
    }
    let in_frame = q.share_in_frame;
    if in_frame < LEAST_SHARE_IN_FRAME {
        return Err(Rejection::IrisCutOff {
            share_in_frame: missed("share_in_frame", in_frame, LEAST_SHARE_IN_FRAME),
            side: Side::most_cut(&iris.iris, photo_size),
        });
    }
    if q.gaze_deg > MOST_GAZE_DEG {
        return Err(Rejection::LookingAway(missed(
            "gaze_deg",
            q.gaze_deg,
            MOST_GAZE_DEG,
        )));
    }
    let luma = q.median_luma;
    if luma < LEAST_IRIS_LUMA {
        return Err(Rejection::TooDark(missed(
            "median_luma",
            luma,
            LEAST_IRIS_LUMA,
        )));
    }
    if luma > MOST_IRIS_LUMA {
        return Err(Rejection::Overexposed(missed(
            "median_luma",
            luma,
            MOST_IRIS_LUMA,
        )));
    }
    if q.visible_share < LEAST_VISIBLE_SHARE {
        let visible = missed("visible_share", q.visible_share, LEAST_VISIBLE_SHARE);
        let behind_lids = iris.open_share < LEAST_VISIBLE_SHARE;
        return Err(match behind_lids {
            true => Rejection::IrisBehindLids(visible),
            false => Rejection::IrisBehindHair(visible),
        });
    }
    if q.usable_share() < LEAST_USABLE_SHARE {
        return Err(Rejection::IrisBehindLight {
            usable_share: missed("usable_share", q.usable_share(), LEAST_USABLE_SHARE),
            light_from: iris.light_from,
        });
    }
    // A dark brown iris has hardly any texture to be crisp: then what is around it decides.
    if q.sharpness < LEAST_SHARPNESS && q.sharpness_around < LEAST_SHARPNESS_AROUND {
        return Err(Rejection::TooBlurry(missed(
            "sharpness",
            q.sharpness,
            LEAST_SHARPNESS,
        )));
    }
    Ok(())
}

/// Whether there is an eye, though no measure of it is to be trusted.
pub(super) fn is_unclear(evidence: &Evidence, confidence: f32) -> bool {
    evidence.presence >= LEAST_PRESENCE_IN_UNCLEAR && confidence >= LEAST_CONFIDENCE_IN_UNCLEAR
}

pub(super) fn iris_unclear(confidence: f32, tip: Option<Tip>) -> Rejection {
    Rejection::IrisUnclear {
        confidence: missed("confidence", confidence, LEAST_CONFIDENCE),
        tip,
    }
}

/// Why no iris was found: the light, where it leaves nothing to see, else simply none.
pub(super) fn nothing_found(luma: &Plane, confidence: f32) -> Rejection {
    let mut lumas: Vec<f32> = luma.samples.iter().map(|&v| f32::from(v)).collect();
    let bright = percentile(&mut lumas, 0.95).unwrap_or(0.0);
    let dim = percentile(&mut lumas, 0.15).unwrap_or(255.0);
    if bright < LEAST_BRIGHT_LUMA {
        Rejection::TooDark(missed("luma_p95", bright, LEAST_BRIGHT_LUMA))
    } else if dim > MOST_DIM_LUMA {
        Rejection::Overexposed(missed("luma_p15", dim, MOST_DIM_LUMA))
    } else {
        no_iris_found(confidence, bright >= WELL_LIT_LUMA)
    }
}

pub(super) fn no_iris_found(confidence: f32, well_lit: bool) -> Rejection {
    Rejection::NoIrisFound {
        confidence: missed("confidence", confidence, LEAST_CONFIDENCE),
        well_lit,
    }
}

fn iris_too_small(radius_px: f32) -> Rejection {
    /// More than this is only an estimate.
    const MOST_TIMES_CLOSER: f32 = 6.0;
    let times_closer = (1.5 * LEAST_RADIUS_PX / radius_px).ceil();
    Rejection::IrisTooSmall {
        radius_px: missed("iris_radius_px", radius_px, LEAST_RADIUS_PX),
        times_closer: (times_closer <= MOST_TIMES_CLOSER).then_some(times_closer as u32),
    }
}

fn missed(figure: &'static str, value: f32, threshold: f32) -> MissedLimit {
    MissedLimit::of_measure(figure, value, threshold)
}

/// What is needed at least of each figure, by name, for the developers' tools.
pub const LIMITS: [(&str, f32); 8] = [
    ("confidence", LEAST_CONFIDENCE),
    ("gaze_deg", MOST_GAZE_DEG),
    ("iris_radius_px", LEAST_RADIUS_PX),
    ("median_luma", LEAST_IRIS_LUMA),
    ("visible_share", LEAST_VISIBLE_SHARE),
    ("usable_share", LEAST_USABLE_SHARE),
    ("sharpness", LEAST_SHARPNESS),
    ("sharpness_around", LEAST_SHARPNESS_AROUND),
];

/// Looking further aside, an iris is a narrow ellipse of which half is seen from the side.
const MOST_GAZE_DEG: f32 = 42.0;
/// Smallest limbus radius worth processing, pixels of the photo.
const LEAST_RADIUS_PX: f32 = 40.0;
/// Less of the iris ring than this with texture of its own cannot be completed honestly.
const LEAST_USABLE_SHARE: f32 = 0.35;
/// Below this median luma of the ring even a dark brown iris is only noise.
const LEAST_IRIS_LUMA: f32 = 10.0;
/// Above this the fibres of the lightest iris are burnt out.
const MOST_IRIS_LUMA: f32 = 225.0;
/// Less of the iris than this cannot be completed honestly.
const LEAST_VISIBLE_SHARE: f32 = 0.4;
/// A strip through the middle with both sides of the iris is about this share of its disc.
const LEAST_SHARE_IN_FRAME: f32 = 0.45;
/// Crisp fibres measure 0.3 to 0.6; of irises blurred by over 4.5 % of the radius half measure under 0.09.
const LEAST_SHARPNESS: f32 = 0.15;
/// Limbus, lids and lashes of usable renders measure 0.18 and more, of blurred ones 0.08 in the median.
const LEAST_SHARPNESS_AROUND: f32 = 0.12;
/// A photo of which 95 % is darker than this shows no eye; one of which 85 % is brighter, none either.
const LEAST_BRIGHT_LUMA: f32 = 36.0;
const MOST_DIM_LUMA: f32 = 246.0;
/// With a brighter twentieth than this, better light is no advice.
const WELL_LIT_LUMA: f32 = 120.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Ellipse;
    use crate::segment::testing::{fine_quality, labels_of, segmentation};

    const SIDE: u32 = 200;

    fn fine() -> IrisSegmentation {
        let (iris, pupil) = (
            Ellipse::circle(100.0, 100.0, 90.0),
            Ellipse::circle(100.0, 100.0, 30.0),
        );
        IrisSegmentation {
            quality: fine_quality(),
            ..segmentation(iris, pupil, labels_of(&iris, &pupil, SIDE))
        }
    }

    /// The rejection when one thing is wrong.
    fn refusal(spoil: impl Fn(&mut IrisSegmentation)) -> Rejection {
        let mut iris = fine();
        spoil(&mut iris);
        judge(&iris, (SIDE, SIDE)).expect_err("a spoilt iris")
    }

    #[test]
    fn a_fine_iris_is_usable() {
        assert_eq!(judge(&fine(), (SIDE, SIDE)), Ok(()));
    }

    #[test]
    fn each_fault_has_its_code_its_figure_and_its_limit() {
        let message = |spoil: fn(&mut IrisSegmentation)| refusal(spoil).to_string();
        assert_eq!(
            [
                message(|i| i.quality.iris_radius_px = 39.0),
                message(|i| i.quality.share_in_frame = 0.36),
                message(|i| i.quality.gaze_deg = 48.5),
                message(|i| i.quality.median_luma = 9.0),
                message(|i| i.quality.median_luma = 230.0),
                message(|i| i.quality.visible_share = 0.35),
                message(|i| i.quality.reflection_share = 0.8),
                message(|i| (i.quality.sharpness, i.quality.sharpness_around) = (0.1, 0.1)),
            ],
            [
                "iris_too_small: iris_radius_px 39 (limit 40)",
                "iris_cut_off: share_in_frame 0.36 (limit 0.45)",
                "looking_away: gaze_deg 48.5 (limit 42)",
                "too_dark: median_luma 9 (limit 10)",
                "overexposed: median_luma 230 (limit 225)",
                "iris_covered: visible_share 0.35 (limit 0.4)",
                "iris_covered: usable_share 0.19 (limit 0.35)",
                "too_blurry: sharpness 0.1 (limit 0.15)",
            ]
        );
    }

    #[test]
    fn lids_are_told_from_hair() {
        let lids = refusal(|i| (i.quality.visible_share, i.open_share) = (0.3, 0.3));
        assert!(matches!(lids, Rejection::IrisBehindLids(_)), "{lids:?}");
        let hair = refusal(|i| (i.quality.visible_share, i.open_share) = (0.3, 0.8));
        assert!(matches!(hair, Rejection::IrisBehindHair(_)), "{hair:?}");
    }

    #[test]
    fn how_much_closer_to_come_is_counted_up_to_six_times() {
        let times = |radius| match iris_too_small(radius) {
            Rejection::IrisTooSmall { times_closer, .. } => times_closer,
            _ => None,
        };
        assert_eq!(
            [39.9, 30.0, 29.9, 10.0, 9.99, 0.0].map(times),
            [Some(2), Some(2), Some(3), Some(6), None, None]
        );
    }

    #[test]
    fn a_dark_iris_without_texture_is_judged_by_what_is_around_it() {
        let mut iris = fine();
        iris.quality.sharpness = 0.05;
        assert_eq!(judge(&iris, (SIDE, SIDE)), Ok(()));
    }

    #[test]
    fn without_presence_nothing_else_makes_an_eye() {
        let otherwise_perfect = Evidence {
            presence: LEAST_PRESENCE,
            disc_overlap: 1.0,
            disc_around: 0.0,
            pupil_overlap: 1.0,
            opening_overlap: 1.0,
            limbus_edge: 1.0,
            surroundings: None,
        };
        let most = confidence(&otherwise_perfect);
        assert!(most < 0.25 && !is_unclear(&otherwise_perfect, most));
        assert!(!is_eye(most, 1.0) && !is_eye(most, 1000.0));
    }

    #[test]
    fn the_limits_named_are_the_limits_kept() {
        for (figure, limit) in LIMITS {
            let refusal = match figure {
                "confidence" => no_iris_found(0.0, true),
                "iris_radius_px" => refusal(|i| i.quality.iris_radius_px = 1.0),
                "gaze_deg" => refusal(|i| i.quality.gaze_deg = 60.0),
                "median_luma" => refusal(|i| i.quality.median_luma = 1.0),
                "visible_share" => refusal(|i| i.quality.visible_share = 0.1),
                "usable_share" => refusal(|i| i.quality.reflection_share = 0.9),
                "sharpness" => {
                    refusal(|i| (i.quality.sharpness, i.quality.sharpness_around) = (0.0, 0.0))
                }
                _ => continue,
            };
            let missed = refusal.missed_limit().expect("a number");
            let is_kept = (missed.threshold - f64::from(limit)).abs() < 1e-6;
            assert!(missed.figure == figure && is_kept, "{figure}: {missed}");
        }
    }
}
