//! The check of a photo, before any work on it: decoded and judged, in well under a second.

use crate::geometry::QuarterTurn;
use crate::load::{Limits, load_photo, probe};
use crate::memory::keep_freed_memory;
use crate::segment::{PhotoPixels as _, Verdict};
use crate::upright::{Judged, judge_either_way_up, turned};

/// The verdict on a photo.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Width and height of the upright photo; none when not even that could be read.
    pub photo_size: Option<(u32, u32)>,
    pub verdict: Verdict,
    /// The photo must be turned like this for its eye to be upright. The verdict says where the eye is in the photo
    /// as it is.
    pub turn: Option<QuarterTurn>,
}

/// Decodes and judges a photo. Bytes that are none, or exceed `limits`, are a verdict too.
pub fn check_photo(bytes: &[u8], limits: &Limits) -> Checked {
    keep_freed_memory();
    match load_photo(bytes, limits) {
        Ok(photo) => {
            let photo_size = photo.size();
            let Judged {
                photo,
                mut verdict,
                turn,
            } = judge_either_way_up(photo);
            if let (Some(iris), Some(turn)) = (&mut verdict.iris, turn) {
                *iris = turned(iris, turn.reversed(), photo.size());
            }
            Checked {
                photo_size: Some(photo_size),
                verdict,
                turn,
            }
        }
        Err(rejection) => Checked {
            photo_size: probe(bytes, limits)
                .ok()
                .map(|header| (header.width, header.height)),
            verdict: Verdict::unreadable(rejection),
            turn: None,
        },
    }
}
