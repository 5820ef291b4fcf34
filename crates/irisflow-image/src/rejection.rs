//! Why a photo was rejected: one case each, with its figures and the limit that it missed. The sentences
//! about them are in `irisflow-messages`. Outages and bugs are not rejections.

use crate::load::{PhotoFormat, UnsupportedFormat};
use crate::segment::{Side, Tip};

/// A photo that cannot be used. The person who took it can act.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rejection {
    EmptyFile,
    NotAPhoto,
    /// The end of the file is missing.
    TruncatedFile {
        format: PhotoFormat,
    },
    DamagedFile {
        format: PhotoFormat,
    },
    /// A picture in a format that is not read.
    UnsupportedFormat {
        format: UnsupportedFormat,
    },
    TooManyBytes(MissedLimit),
    TooManyPixels(MissedLimit),
    SideTooLong(MissedLimit),
    TooManyScans(MissedLimit),
    TooMuchMemory(MissedLimit),
    /// `well_lit`: light is not what is missing.
    NoIrisFound {
        confidence: MissedLimit,
        well_lit: bool,
    },
    /// An eye is seen, but its measures are not to be trusted. `tip`: what is in the way most.
    IrisUnclear {
        confidence: MissedLimit,
        tip: Option<Tip>,
    },
    /// The eye looks far past the camera.
    LookingAway(MissedLimit),
    /// `times_closer`: how many times as close the camera should come; none when that is too many to tell.
    IrisTooSmall {
        radius_px: MissedLimit,
        times_closer: Option<u32>,
    },
    /// `side`: where the frame cuts most off the iris.
    IrisCutOff {
        share_in_frame: MissedLimit,
        side: Side,
    },
    TooDark(MissedLimit),
    Overexposed(MissedLimit),
    IrisBehindLids(MissedLimit),
    IrisBehindHair(MissedLimit),
    /// `light_from`: where the mirrored light comes from; none without one large reflection.
    IrisBehindLight {
        usable_share: MissedLimit,
        light_from: Option<Side>,
    },
    TooBlurry(MissedLimit),
}

impl Rejection {
    /// The stable name; several cases may share one.
    pub fn code(&self) -> RejectionCode {
        match self {
            Self::EmptyFile
            | Self::NotAPhoto
            | Self::TruncatedFile { .. }
            | Self::DamagedFile { .. } => RejectionCode::NotAnImage,
            Self::UnsupportedFormat { .. } => RejectionCode::UnsupportedFormat,
            Self::TooManyBytes(_)
            | Self::TooManyPixels(_)
            | Self::SideTooLong(_)
            | Self::TooManyScans(_)
            | Self::TooMuchMemory(_) => RejectionCode::ImageTooLarge,
            Self::NoIrisFound { .. } => RejectionCode::NoIrisFound,
            Self::IrisUnclear { .. } => RejectionCode::IrisUnclear,
            Self::LookingAway(_) => RejectionCode::LookingAway,
            Self::IrisTooSmall { .. } => RejectionCode::IrisTooSmall,
            Self::IrisCutOff { .. } => RejectionCode::IrisCutOff,
            Self::TooDark(_) => RejectionCode::TooDark,
            Self::Overexposed(_) => RejectionCode::Overexposed,
            Self::IrisBehindLids(_) | Self::IrisBehindHair(_) | Self::IrisBehindLight { .. } => {
                RejectionCode::IrisCovered
            }
            Self::TooBlurry(_) => RejectionCode::TooBlurry,
        }
    }

    /// The number behind it, where there is one.
    pub fn missed_limit(&self) -> Option<MissedLimit> {
        match *self {
            Self::EmptyFile
            | Self::NotAPhoto
            | Self::TruncatedFile { .. }
            | Self::DamagedFile { .. }
            | Self::UnsupportedFormat { .. } => None,
            Self::TooManyBytes(missed)
            | Self::TooManyPixels(missed)
            | Self::SideTooLong(missed)
            | Self::TooManyScans(missed)
            | Self::TooMuchMemory(missed)
            | Self::TooDark(missed)
            | Self::Overexposed(missed)
            | Self::IrisBehindLids(missed)
            | Self::IrisBehindHair(missed)
            | Self::TooBlurry(missed)
            | Self::LookingAway(missed)
            | Self::IrisUnclear {
                confidence: missed, ..
            }
            | Self::NoIrisFound {
                confidence: missed, ..
            }
            | Self::IrisTooSmall {
                radius_px: missed, ..
            }
            | Self::IrisCutOff {
                share_in_frame: missed,
                ..
            }
            | Self::IrisBehindLight {
                usable_share: missed,
                ..
            } => Some(missed),
        }
    }
}

impl std::fmt::Display for Rejection {
    /// For logs and developers: the code, and the number behind it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code().as_str())?;
        match self.missed_limit() {
            Some(missed) => write!(f, ": {missed}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Rejection {}

/// A number that was measured, and the limit that it missed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MissedLimit {
    /// Its stable name, as in `sharpness`: two numbers of one name can be compared.
    pub figure: &'static str,
    pub value: f64,
    pub threshold: f64,
}

impl MissedLimit {
    pub(crate) fn of_count(figure: &'static str, value: u64, threshold: u64) -> Self {
        Self {
            figure,
            value: value as f64,
            threshold: threshold as f64,
        }
    }

    pub(crate) fn of_measure(figure: &'static str, value: f32, threshold: f32) -> Self {
        // A limit of 0.65 is given as that, and not as the nearest number with half the digits.
        let exact = |value: f32| (f64::from(value) * 1e6).round() / 1e6;
        Self {
            figure,
            value: exact(value),
            threshold: exact(threshold),
        }
    }
}

impl std::fmt::Display for MissedLimit {
    /// As in "sharpness 0.0512 (limit 0.085)".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} (limit {})",
            self.figure, self.value, self.threshold
        )
    }
}

/// The stable name of a rejection; screens and tests match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectionCode {
    NotAnImage,
    UnsupportedFormat,
    ImageTooLarge,
    NoIrisFound,
    IrisUnclear,
    LookingAway,
    IrisTooSmall,
    TooBlurry,
    TooDark,
    Overexposed,
    IrisCovered,
    IrisCutOff,
}

impl RejectionCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAnImage => "not_an_image",
            Self::UnsupportedFormat => "unsupported_format",
            Self::ImageTooLarge => "image_too_large",
            Self::NoIrisFound => "no_iris_found",
            Self::IrisUnclear => "iris_unclear",
            Self::LookingAway => "looking_away",
            Self::IrisTooSmall => "iris_too_small",
            Self::TooBlurry => "too_blurry",
            Self::TooDark => "too_dark",
            Self::Overexposed => "overexposed",
            Self::IrisCovered => "iris_covered",
            Self::IrisCutOff => "iris_cut_off",
        }
    }
}
