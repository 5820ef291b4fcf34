//! Colour profiles: pixels stay in the colours of their source, and results carry its profile.
//!
//! Phones photograph in Display P3. Converting to sRGB would clip its greens and oranges, which
//! irises have, and cost time; embedding the profile keeps every colour and costs nothing, and every
//! browser and printer understands it. Display P3 and sRGB share one tone curve, so the steps between
//! see the same luma in both. A profile that is not a plain RGB one is not passed on: such a photo is
//! treated as sRGB. Grey profiles cannot stand in a colour file, so their tone curve is applied here.

use moxcms::{ColorProfile, DataColorSpace, Layout, ProfileClass, TransformOptions};

use super::frame::{Frame, Samples};

/// An RGB profile that was parsed once and may be embedded.
#[derive(Clone, PartialEq, Eq)]
pub struct ColourProfile {
    icc: Vec<u8>,
}

impl ColourProfile {
    /// The profile as it was in the photo.
    pub fn icc(&self) -> &[u8] {
        &self.icc
    }
}

impl std::fmt::Debug for ColourProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ColourProfile({} bytes)", self.icc.len())
    }
}

/// Decides what to do with the profile of `frame`.
pub(super) fn adopt(icc: Vec<u8>, frame: &mut Frame) -> Option<ColourProfile> {
    let parsed = ColorProfile::new_from_slice(&icc).ok()?;
    match (parsed.color_space, &mut frame.samples) {
        (DataColorSpace::Gray, Samples::Grey(samples)) => {
            apply_grey_curve(&parsed, samples);
            None
        }
        (_, Samples::Grey(_)) => None,
        (DataColorSpace::Rgb, _) if is_embeddable(parsed.profile_class) => {
            Some(ColourProfile { icc })
        }
        _ => None,
    }
}

fn is_embeddable(class: ProfileClass) -> bool {
    matches!(
        class,
        ProfileClass::DisplayDevice | ProfileClass::InputDevice | ProfileClass::ColorSpace
    )
}

fn apply_grey_curve(profile: &ColorProfile, samples: &mut [u8]) {
    let srgb = ColorProfile::new_srgb();
    let options = TransformOptions::default();
    let Ok(to_srgb) = profile.create_transform_8bit(Layout::Gray, &srgb, Layout::Rgb, options)
    else {
        return;
    };
    let grey: [u8; 256] = std::array::from_fn(|level| level as u8);
    let mut rgb = [0; 768];
    if to_srgb.transform(&grey, &mut rgb).is_ok() {
        for sample in samples {
            *sample = rgb[usize::from(*sample) * 3 + 1];
        }
    }
}
