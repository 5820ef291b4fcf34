//! The words for a photo that cannot be loaded. One function per reason, so that they stay alike.

use super::PhotoFormat;
use crate::rejection::{MissedLimit, Rejection, RejectionCode};

fn refuse(code: RejectionCode, message: String, suggestion: &str) -> Rejection {
    Rejection {
        code,
        message,
        suggestion: suggestion.to_owned(),
        measured: None,
    }
}

pub(super) fn empty() -> Rejection {
    refuse(
        RejectionCode::NotAnImage,
        "The file is empty.".to_owned(),
        "Send the photo again.",
    )
}

pub(super) fn not_a_photo() -> Rejection {
    refuse(
        RejectionCode::NotAnImage,
        "This file is not a photo.".to_owned(),
        "Choose a JPEG, PNG or WebP photo of an eye.",
    )
}

pub(super) fn cut_off(format: PhotoFormat) -> Rejection {
    refuse(
        RejectionCode::NotAnImage,
        format!("The {format} file is cut off: its end is missing."),
        "Send it again, and wait until the upload has finished.",
    )
}

pub(super) fn damaged(format: PhotoFormat) -> Rejection {
    refuse(
        RejectionCode::NotAnImage,
        format!("The {format} file is damaged and cannot be read."),
        "Send the original photo again, or take a new one.",
    )
}

/// A picture in a format we do not read; `name` as people call it.
pub(super) fn unsupported(name: &str) -> Rejection {
    refuse(
        RejectionCode::UnsupportedFormat,
        format!("{name} pictures cannot be read."),
        "Save the photo as JPEG and send that.",
    )
}

pub(super) fn heic(name: &str) -> Rejection {
    refuse(
        RejectionCode::UnsupportedFormat,
        format!("{name} photos cannot be read yet."),
        "Send it as JPEG. On an iPhone choose Settings > Camera > Formats > Most Compatible and take \
         the photo again.",
    )
}

pub(super) fn too_many_bytes(found: usize, limit: usize) -> Rejection {
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    too_large(
        format!(
            "The file has {:.1} MiB and at most {:.0} MiB can be read.",
            mib(found),
            mib(limit)
        ),
        "bytes",
        found as f64,
        limit as f64,
    )
}

pub(super) fn too_many_pixels(found: u64, limit: u64) -> Rejection {
    let megapixels = |pixels: u64| pixels as f64 / 1e6;
    too_large(
        format!(
            "The photo has {:.1} megapixels and at most {:.1} can be read.",
            megapixels(found),
            megapixels(limit)
        ),
        "pixels",
        found as f64,
        limit as f64,
    )
}

pub(super) fn side_too_long(found: u32, limit: u32) -> Rejection {
    too_large(
        format!("The photo is {found} pixels long and at most {limit} can be read."),
        "longer_side_px",
        f64::from(found),
        f64::from(limit),
    )
}

pub(super) fn too_many_scans(found: usize, limit: usize) -> Rejection {
    too_large(
        format!("The JPEG file is stored in {found} passes and at most {limit} can be read."),
        "passes",
        found as f64,
        limit as f64,
    )
}

pub(super) fn too_much_memory(found: u64, limit: u64) -> Rejection {
    let mib = |bytes: u64| bytes / (1 << 20);
    too_large(
        format!(
            "Decoding the photo takes {} MiB of memory and at most {} MiB are given to one photo.",
            mib(found),
            mib(limit)
        ),
        "decode_bytes",
        found as f64,
        limit as f64,
    )
}

fn too_large(message: String, figure: &'static str, value: f64, threshold: f64) -> Rejection {
    Rejection {
        measured: Some(MissedLimit {
            figure,
            value,
            threshold,
        }),
        ..refuse(
            RejectionCode::ImageTooLarge,
            message,
            "Send a smaller copy of the photo.",
        )
    }
}
