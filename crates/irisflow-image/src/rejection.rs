//! Why a photo was rejected, and what its owner can do about it. Outages and bugs are not rejections.

/// A photo that cannot be used, in words for the person who took it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} {suggestion}")]
pub struct Rejection {
    pub code: RejectionCode,
    /// What was found: short and kind.
    pub message: String,
    /// One thing to do.
    pub suggestion: String,
    /// The number behind it, where there is one.
    pub measured: Option<MissedLimit>,
}

/// A number that was measured, and the limit that it missed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MissedLimit {
    /// Its stable name, as in `sharpness`: two numbers of one name can be compared.
    pub figure: &'static str,
    pub value: f64,
    pub threshold: f64,
}

impl std::fmt::Display for MissedLimit {
    /// As in "sharpness 0.051, at least 0.085 needed".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bound = if self.value < self.threshold {
            "at least"
        } else {
            "at most"
        };
        let (value, threshold) = (rounded(self.value), rounded(self.threshold));
        write!(f, "{} {value}, {bound} {threshold} needed", self.figure)
    }
}

/// To three digits behind the point, without trailing zeros.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The stable name of a rejection; screens and tests match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectionCode {
    NotAnImage,
    UnsupportedFormat,
    ImageTooLarge,
    NoIrisFound,
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
            Self::IrisTooSmall => "iris_too_small",
            Self::TooBlurry => "too_blurry",
            Self::TooDark => "too_dark",
            Self::Overexposed => "overexposed",
            Self::IrisCovered => "iris_covered",
            Self::IrisCutOff => "iris_cut_off",
        }
    }
}
