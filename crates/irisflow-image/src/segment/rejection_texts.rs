//! Sentences for people about a rejected photo: what is wrong, its number and limit, and one thing to do.

use crate::geometry::Ellipse;
use crate::rejection::{MissedLimit, Rejection, RejectionCode};

/// The advice of the product for photos of poor quality; used where nothing fits better.
const DEFAULT_SUGGESTION: &str =
    "Try capturing a new photo in better lighting with your eye centered.";

/// A side of the photo, as its viewer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
    Top,
    Bottom,
}

impl Side {
    /// The side of `(dx, dy)`, y down, as seen from the origin.
    pub(super) fn towards(dx: f32, dy: f32) -> Self {
        match (dx.abs() >= dy.abs(), dx >= 0.0, dy >= 0.0) {
            (true, false, _) => Self::Left,
            (true, true, _) => Self::Right,
            (false, _, false) => Self::Top,
            (false, _, true) => Self::Bottom,
        }
    }

    fn place(self) -> &'static str {
        match self {
            Self::Left => "on the left",
            Self::Right => "on the right",
            Self::Top => "at the top",
            Self::Bottom => "at the bottom",
        }
    }

    fn direction(self) -> &'static str {
        match self {
            Self::Left => "to the left",
            Self::Right => "to the right",
            Self::Top => "up",
            Self::Bottom => "down",
        }
    }

    fn opposite(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
            Self::Top => Self::Bottom,
            Self::Bottom => Self::Top,
        }
    }
}

/// Where the frame cuts most off the iris.
pub(super) fn cut_side(iris: &Ellipse, (width, height): (u32, u32)) -> Side {
    let beyond = [
        (Side::Left, iris.rx - iris.cx),
        (Side::Right, iris.cx + iris.rx - width as f32),
        (Side::Top, iris.ry - iris.cy),
        (Side::Bottom, iris.cy + iris.ry - height as f32),
    ];
    let most = beyond.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    most.map_or(Side::Left, |(side, _)| side)
}

fn rejection(
    code: RejectionCode,
    message: impl Into<String>,
    suggestion: impl Into<String>,
    measured: MissedLimit,
) -> Rejection {
    Rejection {
        code,
        message: message.into(),
        suggestion: suggestion.into(),
        measured: Some(measured),
    }
}

fn measured(figure: &'static str, value: f32, threshold: f32) -> MissedLimit {
    // A limit of 0.65 is said to be that, and not the nearest number with half the digits.
    let exact = |value: f32| (f64::from(value) * 1e6).round() / 1e6;
    MissedLimit {
        figure,
        value: exact(value),
        threshold: exact(threshold),
    }
}

/// `well_lit` says that light is not what is missing.
pub(super) fn no_iris_found(confidence: f32, least: f32, well_lit: bool) -> Rejection {
    rejection(
        RejectionCode::NoIrisFound,
        "We could not find an iris in this photo.",
        if well_lit {
            "Come close to one open eye, so that it fills most of the picture."
        } else {
            DEFAULT_SUGGESTION
        },
        measured("confidence", confidence, least),
    )
}

pub(super) fn iris_too_small(radius_px: f32, least: f32) -> Rejection {
    let closer = match (1.5 * least / radius_px).ceil() {
        times if times <= 2.0 => "Come twice as close".to_owned(),
        times if times <= 6.0 => format!("Come about {times} times as close"),
        _ => "Come much closer".to_owned(),
    };
    rejection(
        RejectionCode::IrisTooSmall,
        "We see your eye, but it is too small in this photo.",
        format!("{closer}, so that your eye fills most of the picture."),
        measured("iris_radius_px", radius_px, least),
    )
}

pub(super) fn iris_cut_off(share_in_frame: f32, least: f32, cut: Side) -> Rejection {
    rejection(
        RejectionCode::IrisCutOff,
        format!(
            "Too much of the iris is outside the picture {}.",
            cut.place()
        ),
        format!(
            "Move the camera a little {} or back, and keep your eye in the middle.",
            cut.direction()
        ),
        measured("share_in_frame", share_in_frame, least),
    )
}

/// Of the iris (`median_luma`) or of a photo in which nothing was found (`luma_p95`).
pub(super) fn too_dark(figure: &'static str, luma: f32, least: f32) -> Rejection {
    rejection(
        RejectionCode::TooDark,
        "The photo is too dark to see the iris.",
        "Try again facing a window or a lamp.",
        measured(figure, luma, least),
    )
}

/// Of the iris (`median_luma`) or of a photo in which nothing was found (`luma_p15`).
pub(super) fn overexposed(figure: &'static str, luma: f32, most: f32) -> Rejection {
    rejection(
        RejectionCode::Overexposed,
        "The photo is too bright to see the iris.",
        "Try again without flash and out of direct sunlight.",
        measured(figure, luma, most),
    )
}

pub(super) fn iris_behind_lids(visible_share: f32, least: f32) -> Rejection {
    rejection(
        RejectionCode::IrisCovered,
        "Too much of the iris is behind the eyelids.",
        "Open your eye a little wider and try again.",
        measured("visible_share", visible_share, least),
    )
}

pub(super) fn iris_behind_hair(visible_share: f32, least: f32) -> Rejection {
    rejection(
        RejectionCode::IrisCovered,
        "Lashes, hair or glasses hide too much of the iris.",
        "Move aside what hangs before your eye, look straight ahead, and try again.",
        measured("visible_share", visible_share, least),
    )
}

pub(super) fn iris_behind_light(
    usable_share: f32,
    least: f32,
    light_from: Option<Side>,
) -> Rejection {
    let (message, suggestion) = match light_from {
        Some(side @ (Side::Left | Side::Right)) => (
            format!(
                "A bright light or window {} is mirrored over your iris.",
                side.place()
            ),
            format!(
                "Turn a little {} and try again.",
                side.opposite().direction()
            ),
        ),
        Some(Side::Top) => (
            "A bright light from above is mirrored over your iris.".to_owned(),
            "Step out from under the light, or tilt your head down a little.".to_owned(),
        ),
        Some(Side::Bottom) | None => (
            "Bright light is mirrored over most of your iris.".to_owned(),
            "Turn a little away from the light and try again.".to_owned(),
        ),
    };
    rejection(
        RejectionCode::IrisCovered,
        message,
        suggestion,
        measured("usable_share", usable_share, least),
    )
}

pub(super) fn too_blurry(sharpness: f32, least: f32) -> Rejection {
    rejection(
        RejectionCode::TooBlurry,
        "The iris is out of focus.",
        "Hold the camera still, tap your eye on the screen to focus, and try again.",
        measured("sharpness", sharpness, least),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirrored_window_is_turned_away_from() {
        let advice = |from| iris_behind_light(0.2, 0.35, from).suggestion;
        assert_eq!(
            advice(Some(Side::Left)),
            "Turn a little to the right and try again."
        );
        assert_eq!(
            advice(Some(Side::Right)),
            "Turn a little to the left and try again."
        );
        assert!(advice(Some(Side::Top)).contains("under the light"));
        assert!(advice(Some(Side::Bottom)).contains("away from the light"));
        assert!(advice(None).contains("away from the light"));
    }

    #[test]
    fn the_camera_follows_an_iris_that_is_cut_off() {
        let cut = |cx, cy| cut_side(&Ellipse::circle(cx, cy, 50.0), (400, 300));
        let sides = [
            (cut(10.0, 150.0), "on the left", "a little to the left"),
            (cut(390.0, 150.0), "on the right", "a little to the right"),
            (cut(200.0, 10.0), "at the top", "a little up"),
            (cut(200.0, 290.0), "at the bottom", "a little down"),
        ];
        for (side, place, direction) in sides {
            let refusal = iris_cut_off(0.3, 0.45, side);
            assert!(refusal.message.contains(place), "{}", refusal.message);
            assert!(
                refusal.suggestion.contains(direction),
                "{}",
                refusal.suggestion
            );
        }
    }

    #[test]
    fn come_closer_says_by_how_much() {
        let advice = |radius| iris_too_small(radius, 40.0).suggestion;
        assert!(advice(35.0).starts_with("Come twice as close"));
        assert!(advice(15.0).starts_with("Come about 4 times as close"));
        assert!(advice(4.0).starts_with("Come much closer"));
    }

    #[test]
    fn better_light_is_asked_for_only_where_light_is_missing() {
        assert_eq!(
            no_iris_found(0.0, 0.65, false).suggestion,
            DEFAULT_SUGGESTION
        );
        assert!(
            no_iris_found(0.0, 0.65, true)
                .suggestion
                .starts_with("Come close")
        );
    }

    #[test]
    fn the_number_and_its_limit_can_be_read() {
        let told = |refusal: Rejection| refusal.measured.map(|measured| measured.to_string());
        assert_eq!(
            told(too_blurry(0.0512, 0.085)).as_deref(),
            Some("sharpness 0.051, at least 0.085 needed")
        );
        assert_eq!(
            told(overexposed("median_luma", 231.0, 225.0)).as_deref(),
            Some("median_luma 231, at most 225 needed")
        );
    }
}
