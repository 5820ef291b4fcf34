//! How the picture of a job is to be made.

use serde::{Deserialize, Serialize};

/// Chosen when a job is submitted, and kept with it. The defaults suit most people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PictureOptions {
    /// None: round where enough of the iris is seen to complete the rest, else what is visible; both are kept
    /// where both can be made.
    pub outline: Option<Outline>,
    pub size: PictureSize,
    pub background: Background,
    pub preset: Preset,
}

/// What of the iris the picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outline {
    /// A full disc: what lids hide is completed from the texture of the same iris.
    Round,
    /// What the photo shows.
    Visible,
}

/// Width and height of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureSize {
    /// [`PictureSize::LEAST`] to [`PictureSize::MOST`].
    Pixels(u32),
    /// As many as the photo has of the iris, within the same limits.
    Auto,
}

impl PictureSize {
    pub const LEAST: u32 = 1024;
    pub const MOST: u32 = 4096;

    /// None outside of the limits.
    pub fn from_pixels(pixels: u64) -> Option<Self> {
        let pixels = u32::try_from(pixels).ok()?;
        (Self::LEAST..=Self::MOST)
            .contains(&pixels)
            .then_some(Self::Pixels(pixels))
    }
}

impl Default for PictureSize {
    fn default() -> Self {
        Self::Pixels(2048)
    }
}

/// What surrounds the iris.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Background {
    #[default]
    Black,
    White,
    /// Nothing: the picture is a PNG.
    Transparent,
    /// The photo itself.
    Photo,
}

/// How much is made of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The person's own colours and light; fibres a little clearer.
    #[default]
    Natural,
    /// More contrast and colour.
    Vivid,
}
