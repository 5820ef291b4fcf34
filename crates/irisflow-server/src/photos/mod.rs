//! Endpoints of photos: upload, confirm, check, show, list, delete.

pub(crate) mod check;
pub(crate) mod confirm;
pub(crate) mod create_upload_url;
pub(crate) mod create_with_bytes;
mod decoding;
pub(crate) mod delete;
mod intake;
pub(crate) mod list;
mod photo_body;
mod photo_locks;
mod receive;
pub(crate) mod show;

pub use decoding::DecodeLimits;
pub(crate) use decoding::PhotoDecoding;
pub(crate) use intake::StrippingPermits;
pub(crate) use photo_locks::PhotoLocks;
pub(crate) use receive::UploadsInProgress;
