//! Synthetic renderer: labelled eye photos, and negative examples, to train and to evaluate the
//! segmenter. Not used by product code.
//!
//! `picture.rs` is the entry point: [`render`] is deterministic in seed and index. A person (`person.rs`)
//! is lit (`lighting.rs`), projected by a view (`view.rs`), painted (`portrait.rs`, `eyeball.rs`,
//! `clothes.rs`, `hair_and_glasses.rs`) and turned into an 8-bit photo by a camera model (`camera.rs`).
//! `light_pair.rs` renders irises with and without the light that they mirror (`foreground.rs` holds what
//! stands before that light). Negative examples that resemble an eye are in `lookalike/`; ground-truth ellipses are in
//! `ground_truth.rs`, and the properties by which the evaluation groups its figures in
//! `photo_traits.rs`.

mod animal;
mod camera;
mod canvas;
mod clothes;
mod colour;
mod eyeball;
mod foreground;
mod ground_truth;
mod hair_and_glasses;
mod iris;
mod jpeg;
mod lids;
mod light_pair;
mod lighting;
mod lookalike;
mod noise;
mod person;
mod photo_traits;
mod picture;
mod portrait;
mod reflections;
mod rng;

mod view;

pub use canvas::label;
pub use ground_truth::{TrueEllipse, TrueEye};
pub use iris::IrisColour;
pub use light_pair::{LightPair, PAIR_SIDE, pair_bits, render_light_pair};
pub use noise::Tiles;
pub use photo_traits::{Traits, Usability};
pub use picture::{Picture, Presence, SceneKind, render};
pub use view::{Framing, Window};
