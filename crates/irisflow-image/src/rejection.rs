//! Why a photo was turned down: what its owner can do about it. Outages and bugs are not rejections.

/// A photo that cannot be used, in words for the person who took it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} {suggestion}")]
pub struct Rejection {
    pub code: RejectionCode,
    /// What was found, with its number: short and kind.
    pub message: String,
    /// One thing to do.
    pub suggestion: String,
    /// The number that was measured, where there is one.
    pub value: Option<f64>,
    /// The limit it was held against, where there is one.
    pub threshold: Option<f64>,
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
