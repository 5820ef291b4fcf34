//! Uploading, listing and deleting photos.

pub(crate) mod confirm;
pub(crate) mod create;
pub(crate) mod delete;
mod intake;
pub(crate) mod list;
pub(crate) mod show;
pub(crate) mod upload;
mod view;

pub(crate) const UNKNOWN_PHOTO: &str = "Photo not found or access denied";
