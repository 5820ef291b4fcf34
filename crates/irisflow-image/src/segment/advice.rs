//! The words of a refusal: what is wrong with this photo, its number and limit, and the one thing to do.

use crate::geometry::Ellipse;
use crate::rejection::{Rejection, RejectionCode};

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
    value: f32,
    threshold: f32,
) -> Rejection {
    Rejection {
        code,
        message: message.into(),
        suggestion: suggestion.into(),
        value: Some(f64::from(value)),
        threshold: Some(f64::from(threshold)),
    }
}

pub(super) fn no_iris_found(confidence: f32, least: f32) -> Rejection {
    rejection(
        RejectionCode::NoIrisFound,
        "We could not find an iris in this photo.",
        DEFAULT_SUGGESTION,
        confidence,
        least,
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
        radius_px,
        least,
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
        share_in_frame,
        least,
    )
}

pub(super) fn too_dark(luma: f32, least: f32) -> Rejection {
    rejection(
        RejectionCode::TooDark,
        "The photo is too dark to see the iris.",
        "Try again facing a window or a lamp.",
        luma,
        least,
    )
}

pub(super) fn overexposed(luma: f32, most: f32) -> Rejection {
    rejection(
        RejectionCode::Overexposed,
        "The photo is too bright to see the iris.",
        "Try again without flash and out of direct sunlight.",
        luma,
        most,
    )
}

pub(super) fn iris_behind_lids(visible_share: f32, least: f32) -> Rejection {
    rejection(
        RejectionCode::IrisCovered,
        "Too much of the iris is behind the eyelids.",
        "Open your eye a little wider and try again.",
        visible_share,
        least,
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
        usable_share,
        least,
    )
}

pub(super) fn too_blurry(sharpness: f32, least: f32) -> Rejection {
    rejection(
        RejectionCode::TooBlurry,
        "The iris is out of focus.",
        "Hold the camera still, tap your eye on the screen to focus, and try again.",
        sharpness,
        least,
    )
}
