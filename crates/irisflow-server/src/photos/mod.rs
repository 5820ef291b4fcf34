//! Uploading, listing and deleting photos.

pub(crate) mod check;
pub(crate) mod confirm;
pub(crate) mod create;
pub(crate) mod delete;
mod intake;
pub(crate) mod list;
pub(crate) mod show;
mod turns;
pub(crate) mod upload;
mod view;

pub use turns::CheckLimits;
pub(crate) use turns::Checks;

pub(crate) const UNKNOWN_PHOTO: &str = "Photo not found or access denied";
