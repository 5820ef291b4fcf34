//! Renders labelled eye photos, and pictures that are no eyes, to train and to measure the segmenter.
//!
//! `picture.rs` is the entry: a seed and an index give a [`Picture`], always the same one. A person
//! (`person.rs`) is lit (`lighting.rs`), seen by a view (`view.rs`), painted (`portrait.rs`,
//! `eyeball.rs`, `clothes.rs`, `growth.rs`) and developed by a camera (`camera.rs`). Things that look like eyes and
//! are none are in `lookalike.rs`; what a picture shows, for measuring by group, in `traits.rs`. No
//! product code uses this crate.

mod animal;
mod camera;
mod canvas;
mod clothes;
mod colour;
mod eyeball;
mod growth;
mod iris;
mod jpeg;
mod lids;
mod lighting;
mod lookalike;
mod noise;
mod person;
mod picture;
mod portrait;
mod reflections;
mod rng;
mod traits;
mod truth;
mod view;

pub use canvas::label;
pub use iris::IrisColour;
pub use noise::Tiles;
pub use picture::{Picture, Presence, Wish, render};
pub use traits::{Traits, Usability};
pub use truth::{TrueEllipse, TrueEye};
pub use view::{Framing, Window};
