//! The check of a photo, before any work on it: decoded and judged, in well under a second.

use crate::load::{Limits, load_photo, probe};
use crate::memory::keep_freed_memory;
use crate::segment::{PhotoPixels as _, Verdict, judge_photo};

/// The verdict on a photo.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Width and height of the upright photo; none when not even that could be read.
    pub photo_size: Option<(u32, u32)>,
    pub verdict: Verdict,
}

/// Decodes and judges a photo. Bytes that are none, or exceed `limits`, are a verdict too.
pub fn check_photo(bytes: &[u8], limits: &Limits) -> Checked {
    keep_freed_memory();
    match load_photo(bytes, limits) {
        Ok(photo) => Checked {
            photo_size: Some(photo.size()),
            verdict: judge_photo(&photo),
        },
        Err(rejection) => Checked {
            photo_size: probe(bytes, limits)
                .ok()
                .map(|header| (header.width, header.height)),
            verdict: Verdict::unreadable(rejection),
        },
    }
}
