//! Previews of a job: small pictures of the work in progress, stored by the attempt that made them.

use serde::{Deserialize, Serialize};

/// What a preview shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreviewKind {
    /// The outline that was found, drawn on the photo.
    Outline,
    /// The light that was taken off.
    Light,
    /// The result, small.
    Result,
}

/// A stored preview. Its key follows from user, job, epoch and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    pub kind: PreviewKind,
    /// Of the attempt that made it.
    pub epoch: i64,
    pub width_px: u32,
    pub height_px: u32,
    pub size_bytes: u64,
}
