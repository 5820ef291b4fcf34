//! From the bytes of an eye photo to a picture of its iris.
//!
//! A pure library: pixels in, pixels out, progress through a callback. It knows no files, network,
//! clock, async or jobs. `pipeline.rs` is the order of the steps; each step is a folder or file with
//! one function. All coordinates are pixels of the *upright* photo (EXIF orientation applied), origin
//! at its top left corner, x to the right, y down; pixel centres are at `+0.5`.

pub mod check;
pub mod coverage;
pub mod diagnostics;
pub mod encode;
pub mod enhance;
mod filters;
pub mod finish;
pub mod geometry;
pub mod load;
mod memory;
pub mod network;
pub mod pipeline;
pub mod plane;
pub mod previews;
pub mod rectified;
pub mod reflections;
pub mod rejection;
mod resize;
pub mod segment;
pub mod threads;
pub mod thumbnail;
pub mod upright;
