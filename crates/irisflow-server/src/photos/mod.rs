//! Uploading, listing and deleting photos.

pub(crate) mod check;
pub(crate) mod confirm;
pub(crate) mod create;
pub(crate) mod delete;
mod intake;
pub(crate) mod list;
mod locks;
mod reading;
mod receive;
pub(crate) mod show;
pub(crate) mod upload;
mod view;

pub(crate) use locks::PhotoLocks;
pub(crate) use reading::PhotoReading;
pub use reading::ReadLimits;
pub(crate) use receive::UploadsUnderWay;

pub(crate) const UNKNOWN_PHOTO: &str = "Photo not found or access denied";
