//! From the bytes of an eye photo to a picture of its iris.
//!
//! A pure library: pixels in, pixels out, progress through a callback. It knows no files, network,
//! clock, async or jobs. `pipeline.rs` is the order of the steps; each step is a folder or file with
//! one function. All coordinates are pixels of the *upright* photo (EXIF orientation applied), origin
//! at its top left corner, x to the right, y down; pixel centres are at `+0.5`.

pub mod geometry;
pub mod load;
pub mod plane;
pub mod rejection;
pub mod segment;
