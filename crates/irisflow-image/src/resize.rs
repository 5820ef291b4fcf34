//! Squares made larger or smaller, with a Lanczos kernel that is widened when shrinking.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::plane::Plane;

/// `plane` with `side` pixels per side.
pub(crate) fn resized(plane: &Plane, side: u32) -> Plane {
    if plane.width == side && plane.height == side {
        return plane.clone();
    }
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .use_alpha(false);
    let mut out = Image::new(side, side, PixelType::U8);
    let source = ImageRef::new(plane.width, plane.height, &plane.samples, PixelType::U8);
    let done = source
        .ok()
        .map(|source| Resizer::new().resize(&source, &mut out, &options));
    debug_assert!(
        matches!(done, Some(Ok(()))),
        "a plane has the samples its size says"
    );
    Plane {
        width: side,
        height: side,
        samples: out.into_vec(),
    }
}
