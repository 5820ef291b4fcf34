//! User-facing texts about a photo: why it is rejected, or how good it is, and one thing to do.

use irisflow_image::load::UnsupportedFormat;
use irisflow_image::rejection::{MissedLimit, Rejection};
use irisflow_image::segment::{Praise, Quality, Side, Tip, Verdict};

use crate::text::decimal;
use crate::{Advice, Argument, Text, advice, text};

/// Why a photo cannot be used, and what to do about it.
pub fn rejection(rejection: &Rejection) -> Advice {
    match *rejection {
        Rejection::EmptyFile => advice!("rejection-empty-file"),
        Rejection::NotAPhoto => advice!("rejection-not-a-photo"),
        Rejection::TruncatedFile { format } => {
            advice!("rejection-truncated-file", format = format.to_string())
        }
        Rejection::DamagedFile { format } => {
            advice!("rejection-damaged-file", format = format.to_string())
        }
        Rejection::UnsupportedFormat { format } => unsupported_format(format),
        Rejection::TooManyBytes(missed) => too_many_bytes(missed),
        Rejection::TooManyPixels(missed) => too_many_pixels(missed),
        Rejection::SideTooLong(missed) => side_too_long(missed),
        Rejection::TooManyScans(missed) => too_many_scans(missed),
        Rejection::TooMuchMemory(missed) => too_much_memory(missed),
        Rejection::NoIrisFound { well_lit: true, .. } => advice!("rejection-no-iris-found"),
        Rejection::NoIrisFound { .. } => advice!("rejection-no-iris-found-in-poor-light"),
        Rejection::IrisUnclear { tip, .. } => iris_unclear(tip),
        Rejection::LookingAway(_) => advice!("rejection-looking-away"),
        Rejection::IrisTooSmall { times_closer, .. } => iris_too_small(times_closer),
        Rejection::IrisCutOff { side, .. } => {
            advice!("rejection-iris-cut-off", side = side_word(side))
        }
        Rejection::TooDark(_) => advice!("rejection-too-dark"),
        Rejection::Overexposed(_) => advice!("rejection-overexposed"),
        Rejection::IrisBehindLids(_) => advice!("rejection-iris-behind-lids"),
        Rejection::IrisBehindHair(_) => advice!("rejection-iris-behind-hair"),
        Rejection::IrisBehindLight { light_from, .. } => iris_behind_light(light_from),
        Rejection::TooBlurry(_) => advice!("rejection-too-blurry"),
    }
}

fn too_many_bytes(missed: MissedLimit) -> Advice {
    advice!(
        "rejection-too-many-bytes",
        found = decimal(mebibytes(missed.value), 1),
        limit = decimal(mebibytes(missed.threshold), 0),
    )
}

fn too_many_pixels(missed: MissedLimit) -> Advice {
    advice!(
        "rejection-too-many-pixels",
        found = decimal(missed.value / 1e6, 1),
        limit = decimal(missed.threshold / 1e6, 1),
    )
}

fn side_too_long(missed: MissedLimit) -> Advice {
    advice!(
        "rejection-side-too-long",
        found = missed.value as u64,
        limit = missed.threshold as u64,
    )
}

fn too_many_scans(missed: MissedLimit) -> Advice {
    advice!(
        "rejection-too-many-scans",
        found = missed.value as u64,
        limit = missed.threshold as u64,
    )
}

fn too_much_memory(missed: MissedLimit) -> Advice {
    advice!(
        "rejection-too-much-memory",
        found = mebibytes(missed.value) as u64,
        limit = mebibytes(missed.threshold) as u64,
    )
}

fn iris_unclear(tip: Option<Tip>) -> Advice {
    let word = match tip {
        Some(Tip::ComeCloser) => "come-closer",
        Some(Tip::TurnFromLight) => "light",
        Some(Tip::OpenEyeWider) => "open",
        Some(Tip::ShowWholeIris) => "whole",
        Some(Tip::HoldStill) => "still",
        Some(Tip::MoreLight) => "brighter",
        Some(Tip::SofterLight) => "softer",
        Some(Tip::EvenLight | Tip::LetPupilOpen | Tip::LetPupilClose | Tip::LookStraight)
        | None => "straight",
    };
    advice!("rejection-iris-unclear", tip = word)
}

fn iris_too_small(times_closer: Option<u32>) -> Advice {
    let closer = match times_closer {
        Some(2) => "twice",
        Some(_) => "times",
        None => "much",
    };
    advice!(
        "rejection-iris-too-small",
        closer = closer,
        times = times_closer.unwrap_or_default(),
    )
}

fn iris_behind_light(light_from: Option<Side>) -> Advice {
    match light_from {
        Some(side @ (Side::Left | Side::Right)) => {
            advice!("rejection-light-from-the-side", side = side_word(side))
        }
        Some(Side::Top) => advice!("rejection-light-from-above"),
        Some(Side::Bottom) | None => advice!("rejection-iris-behind-light"),
    }
}

fn unsupported_format(format: UnsupportedFormat) -> Advice {
    let word = match format {
        UnsupportedFormat::Avif => {
            return advice!("rejection-unsupported-photo", format = "AVIF");
        }
        UnsupportedFormat::Heic => {
            return advice!("rejection-unsupported-photo", format = "HEIC");
        }
        UnsupportedFormat::AnimatedWebP => "animated-webp",
        UnsupportedFormat::Bmp => "bmp",
        UnsupportedFormat::CmykJpeg => "cmyk-jpeg",
        UnsupportedFormat::Gif => "gif",
        UnsupportedFormat::HeightlessJpeg => "heightless-jpeg",
        UnsupportedFormat::Icon => "icon",
        UnsupportedFormat::Jpeg2000 => "jpeg-2000",
        UnsupportedFormat::JpegXl => "jpeg-xl",
        UnsupportedFormat::LosslessJpeg => "lossless-jpeg",
        UnsupportedFormat::Photoshop => "photoshop",
        UnsupportedFormat::Qoi => "qoi",
        UnsupportedFormat::TiffOrRaw => "tiff-or-raw",
        UnsupportedFormat::TwelveBitJpeg => "twelve-bit-jpeg",
    };
    advice!("rejection-unsupported-format", format = word)
}

/// As in "sharpness 0.051, at least 0.085 needed".
pub fn missed_limit(missed: &MissedLimit) -> Text {
    // To three digits behind the point, without trailing zeros.
    let rounded = |value: f64| ((value * 1000.0).round() / 1000.0).to_string();
    let bound = if missed.value < missed.threshold {
        "least"
    } else {
        "most"
    };
    text!(
        "missed-limit",
        figure = missed.figure,
        value = rounded(missed.value),
        bound = bound,
        limit = rounded(missed.threshold),
    )
}

/// Why the photo cannot be used, or how good it is. None of a verdict without either.
pub fn headline(verdict: &Verdict) -> Option<Text> {
    match (&verdict.rejection, &verdict.iris) {
        (Some(reason), _) => Some(rejection(reason).message),
        (None, Some(iris)) => Some(praise(&iris.quality, verdict.eyes_seen)),
        (None, None) => None,
    }
}

/// The one thing to do: for a photo that can be used, or for a better one next time.
pub fn tip(verdict: &Verdict) -> Option<Text> {
    match (&verdict.rejection, &verdict.iris) {
        (Some(reason), _) => Some(rejection(reason).suggestion),
        (None, iris) => iris.as_ref()?.quality.tip().map(tip_text),
    }
}

/// How good a usable photo is, and which of several eyes is used.
pub fn praise(quality: &Quality, eyes_seen: usize) -> Text {
    let praise = match quality.praise() {
        Praise::Beautiful => text!("praise-beautiful"),
        Praise::Good => text!("praise-good"),
        Praise::GoodEnough => text!("praise-good-enough"),
        Praise::Weak => text!("praise-weak"),
    };
    match eyes_seen {
        0 | 1 => praise,
        seen => text!("praise-of-several-eyes", praise = praise, eyes = seen),
    }
}

/// What would make the next photo better.
pub fn tip_text(tip: Tip) -> Text {
    match tip {
        Tip::ComeCloser => text!("tip-come-closer"),
        Tip::TurnFromLight => text!("tip-turn-from-light"),
        Tip::OpenEyeWider => text!("tip-open-eye-wider"),
        Tip::ShowWholeIris => text!("tip-show-whole-iris"),
        Tip::HoldStill => text!("tip-hold-still"),
        Tip::MoreLight => text!("tip-more-light"),
        Tip::SofterLight => text!("tip-softer-light"),
        Tip::EvenLight => text!("tip-even-light"),
        Tip::LetPupilOpen => text!("tip-let-pupil-open"),
        Tip::LetPupilClose => text!("tip-let-pupil-close"),
        Tip::LookStraight => text!("tip-look-straight"),
    }
}

fn side_word(side: Side) -> Argument {
    let word = match side {
        Side::Left => "left",
        Side::Right => "right",
        Side::Top => "top",
        Side::Bottom => "bottom",
    };
    word.into()
}

fn mebibytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}
