//! Pictures made larger or smaller by `fast_image_resize`, for one and three interleaved channels.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use crate::geometry::PixelRect;
use crate::plane::Plane;

/// The part of a picture that is resized, in its pixels; it may begin between two of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl From<PixelRect> for Part {
    fn from(rect: PixelRect) -> Self {
        Self {
            left: rect.x.into(),
            top: rect.y.into(),
            width: rect.width.into(),
            height: rect.height.into(),
        }
    }
}

impl Part {
    /// The same part of a copy whose sides are so many times shorter.
    pub(crate) fn divided_by(self, times: f64) -> Self {
        Self {
            left: self.left / times,
            top: self.top / times,
            width: self.width / times,
            height: self.height / times,
        }
    }

    /// Cut to a picture of this size.
    pub(crate) fn within(self, width: u32, height: u32) -> Self {
        let (left, top) = (
            self.left.min(f64::from(width) - 1.0),
            self.top.min(f64::from(height) - 1.0),
        );
        Self {
            left,
            top,
            width: self.width.min(f64::from(width) - left),
            height: self.height.min(f64::from(height) - top),
        }
    }
}

/// `plane` with `side` pixels per side, by a Lanczos kernel that is widened when shrinking.
pub(crate) fn resized(plane: &Plane, side: u32) -> Plane {
    if plane.width == side && plane.height == side {
        return plane.clone();
    }
    let options = options(FilterType::Lanczos3);
    let size = (plane.width, plane.height);
    Plane {
        width: side,
        height: side,
        samples: resize::<U8>(&plane.samples, size, (side, side), &options),
    }
}

/// `part` of a picture of `channels` (1 or 3) interleaved, shrunk to `size` without aliasing.
pub(crate) fn shrunk(
    samples: &[u8],
    channels: usize,
    from: (u32, u32),
    part: Part,
    size: (u32, u32),
) -> Vec<u8> {
    let options = options(FilterType::Hamming).crop(part.left, part.top, part.width, part.height);
    match channels {
        1 => resize::<U8>(samples, from, size, &options),
        _ => resize::<U8x3>(samples, from, size, &options),
    }
}

fn options(filter: FilterType) -> ResizeOptions {
    ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter))
        .use_alpha(false)
}

fn resize<P: PixelTrait>(
    samples: &[u8],
    from: (u32, u32),
    to: (u32, u32),
    options: &ResizeOptions,
) -> Vec<u8> {
    let mut out = vec![0; to.0 as usize * to.1 as usize * P::size()];
    let done = TypedImageRef::<P>::from_buffer(from.0, from.1, samples)
        .ok()
        .zip(TypedImage::<P>::from_buffer(to.0, to.1, &mut out).ok())
        .map(|(source, mut target)| Resizer::new().resize_typed(&source, &mut target, options));
    debug_assert!(matches!(done, Some(Ok(()))), "sizes fit their samples");
    out
}
