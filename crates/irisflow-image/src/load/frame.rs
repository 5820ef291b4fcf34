//! The decoded pixels as stored, and the two ways out of them: a reduced copy and a crop, upright.

use multiversion::multiversion;

use super::Orientation;
use crate::geometry::PixelRect;
use crate::plane::{Plane, ReducedPhoto, YCbCr};
use crate::resize::{Part, shrunk};

/// All pixels of the photo, in stored (not upright) order.
pub(super) struct Frame {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) channels: Channels,
    /// `width * height * channels` samples, rows one after another.
    pub(super) samples: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channels {
    Grey,
    /// Full-range BT.601, interleaved.
    YCbCr,
}

impl Channels {
    pub(super) fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::YCbCr => 3,
        }
    }
}

impl std::fmt::Debug for Frame {
    /// Says the size only: pixels of an eye identify its owner and never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Frame({} x {} {:?})",
            self.width, self.height, self.channels
        )
    }
}

impl Frame {
    /// See [`crate::segment::PhotoPixels::reduced`]. A triangle-like filter over the whole footprint
    /// of each reduced pixel (Hamming), so that nothing aliases; the scale is the same on both axes,
    /// which may leave a remainder of less than one reduced pixel at the right or bottom edge.
    pub(super) fn reduced(&self, max_side: u32, orientation: Orientation) -> ReducedPhoto {
        let scale = f64::from(self.width.max(self.height)) / f64::from(max_side.max(1));
        if scale <= 1.0 {
            return ReducedPhoto {
                planes: self.whole(orientation),
                scale: 1.0,
            };
        }
        let planes = self.shrunk(scale, orientation);
        ReducedPhoto {
            planes: planes.whole(orientation),
            scale: scale as f32,
        }
    }

    fn shrunk(&self, scale: f64, orientation: Orientation) -> Frame {
        let shrink = |side: u32| ((f64::from(side) / scale + 1e-9) as u32).max(1);
        let (width, height) = (shrink(self.width), shrink(self.height));
        let (left, top) = self.remainder(width, height, scale, orientation);
        let part = Part {
            left,
            top,
            width: (f64::from(width) * scale).min(f64::from(self.width)),
            height: (f64::from(height) * scale).min(f64::from(self.height)),
        };
        let from = (self.width, self.height);
        let channels = self.channels.count();
        Frame {
            width,
            height,
            channels: self.channels,
            samples: shrunk(&self.samples, channels, from, part, (width, height)),
        }
    }

    /// See [`crate::segment::PhotoPixels::scaled`]. `quarter` makes this frame's own
    /// [`quartered`](Self::quartered) copy, for what is shrunk so far that it tells as much.
    pub(super) fn scaled<'a>(
        &'a self,
        rect: PixelRect,
        (width, height): (u32, u32),
        orientation: Orientation,
        quarter: impl FnOnce() -> &'a Self,
    ) -> YCbCr {
        if rect.width >= 8 * width && rect.height >= 8 * height {
            return self.scaled_from_quarter(quarter(), rect, (width, height), orientation);
        }
        let stored = orientation.stored_rect(rect, self.width, self.height);
        let part = Part {
            left: f64::from(stored.x),
            top: f64::from(stored.y),
            width: f64::from(stored.width),
            height: f64::from(stored.height),
        };
        self.shrunk_part(part, (width, height), orientation)
    }

    /// `rect` of this frame as `size` upright pixels, from its [`quartered`](Self::quartered) copy.
    pub(super) fn scaled_from_quarter(
        &self,
        quarter: &Self,
        rect: PixelRect,
        size: (u32, u32),
        orientation: Orientation,
    ) -> YCbCr {
        let stored = orientation.stored_rect(rect, self.width, self.height);
        let of_quarter = |length: u32| f64::from(length) / 4.0;
        let part = Part {
            left: of_quarter(stored.x),
            top: of_quarter(stored.y),
            width: of_quarter(stored.width),
            height: of_quarter(stored.height),
        };
        let part = part.within(quarter.width, quarter.height);
        quarter.shrunk_part(part, size, orientation)
    }

    /// A part of the stored frame as `size` upright pixels.
    fn shrunk_part(
        &self,
        part: Part,
        (width, height): (u32, u32),
        orientation: Orientation,
    ) -> YCbCr {
        let (width, height) = orientation.upright_size(width, height);
        let (from, channels) = ((self.width, self.height), self.channels.count());
        let frame = Frame {
            width,
            height,
            channels: self.channels,
            samples: shrunk(&self.samples, channels, from, part, (width, height)),
        };
        frame.whole(orientation)
    }

    /// What the reduced copy leaves out, as the stored left and top offset that puts it at the right
    /// and bottom of the upright photo, so that upright origins coincide.
    fn remainder(
        &self,
        width: u32,
        height: u32,
        scale: f64,
        orientation: Orientation,
    ) -> (f64, f64) {
        let spare_x = (f64::from(self.width) - f64::from(width) * scale).max(0.0);
        let spare_y = (f64::from(self.height) - f64::from(height) * scale).max(0.0);
        use Orientation::{
            MirroredHorizontally, MirroredVertically, Transposed, Transversed, TurnedLeft,
            TurnedRight, Upright, UpsideDown,
        };
        match orientation {
            Upright | Transposed => (0.0, 0.0),
            MirroredHorizontally | TurnedRight => (spare_x, 0.0),
            MirroredVertically | TurnedLeft => (0.0, spare_y),
            UpsideDown | Transversed => (spare_x, spare_y),
        }
    }

    /// A quarter of the width and height, each pixel the mean of sixteen; what is left over is dropped.
    pub(super) fn quartered(&self) -> Self {
        let channels = self.channels.count();
        let (width, height) = ((self.width / 4).max(1), (self.height / 4).max(1));
        let row = self.width as usize * channels;
        let mut samples = vec![0; width as usize * height as usize * channels];
        let mut sums = vec![0_u16; row];
        let out = samples.chunks_exact_mut(width as usize * channels);
        for (rows, out) in self.samples.chunks(4 * row).zip(out) {
            sums.fill(0);
            rows.chunks_exact(row)
                .for_each(|row| add_row(&mut sums, row));
            match channels {
                1 => mean_of_fours::<1, 4>(&sums, out),
                _ => mean_of_fours::<3, 12>(&sums, out),
            }
        }
        Self {
            width,
            height,
            channels: self.channels,
            samples,
        }
    }

    /// The upright pixels of `rect`, which is cut to the photo, chroma at half the size. None where the photo
    /// is not stored upright.
    pub(super) fn crop_with_half_chroma(
        &self,
        rect: PixelRect,
        orientation: Orientation,
    ) -> Option<YCbCr> {
        if orientation != Orientation::Upright || self.channels != Channels::YCbCr {
            return None;
        }
        let mut planes = YCbCr {
            y: Plane::filled(rect.width, rect.height, 0),
            cb: Plane::filled(rect.width / 2, rect.height / 2, 128),
            cr: Plane::filled(rect.width / 2, rect.height / 2, 128),
        };
        let stored = |row: u32| {
            let start = (rect.y + row) as usize * self.width as usize + rect.x as usize;
            &self.samples[start * 3..(start + rect.width as usize) * 3]
        };
        for row in 0..rect.height {
            take_luma(stored(row), planes.y.row_mut(row));
        }
        for row in 0..rect.height / 2 {
            let pair = [stored(2 * row), stored(2 * row + 1)];
            halve_chroma(pair, planes.cb.row_mut(row), planes.cr.row_mut(row));
        }
        Some(planes)
    }

    fn whole(&self, orientation: Orientation) -> YCbCr {
        let (width, height) = orientation.upright_size(self.width, self.height);
        self.crop(
            PixelRect {
                x: 0,
                y: 0,
                width,
                height,
            },
            orientation,
        )
    }

    /// The upright pixels of `rect`, which is cut to the photo.
    pub(super) fn crop(&self, rect: PixelRect, orientation: Orientation) -> YCbCr {
        let (width, height) = orientation.upright_size(self.width, self.height);
        let (x, y) = (rect.x.min(width), rect.y.min(height));
        let (columns, rows) = (rect.width.min(width - x), rect.height.min(height - y));
        let mut planes = YCbCr {
            y: Plane::filled(columns, rows, 0),
            cb: Plane::filled(columns, rows, 128),
            cr: Plane::filled(columns, rows, 128),
        };
        let walk = orientation.walk(self.width, self.height);
        for row in 0..rows {
            let stored = walk.row(x, y + row, columns);
            match self.channels {
                Channels::Grey => self.copy_grey(stored, planes.y.row_mut(row)),
                Channels::YCbCr => self.copy_colour(stored, row, &mut planes),
            }
        }
        planes
    }

    fn copy_grey(&self, stored: impl Iterator<Item = usize>, y: &mut [u8]) {
        for (index, y) in stored.zip(y) {
            *y = self.samples[index];
        }
    }

    fn copy_colour(&self, stored: impl Iterator<Item = usize>, row: u32, planes: &mut YCbCr) {
        let chroma = planes
            .cb
            .row_mut(row)
            .iter_mut()
            .zip(planes.cr.row_mut(row));
        for ((index, y), (cb, cr)) in stored.zip(planes.y.row_mut(row)).zip(chroma) {
            let pixel = &self.samples[index * 3..index * 3 + 3];
            (*y, *cb, *cr) = (pixel[0], pixel[1], pixel[2]);
        }
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn add_row(sums: &mut [u16], row: &[u8]) {
    for (sum, &sample) in sums.iter_mut().zip(row) {
        *sum += u16::from(sample);
    }
}

/// Of sums of four rows, the means of every four pixels; `SPAN` is four times the channels.
fn mean_of_fours<const CHANNELS: usize, const SPAN: usize>(sums: &[u16], out: &mut [u8]) {
    let (spans, _) = sums.as_chunks::<SPAN>();
    for (span, out) in spans.iter().zip(out.chunks_exact_mut(CHANNELS)) {
        for (channel, out) in out.iter_mut().enumerate() {
            let sum: u16 = (0..4).map(|pixel| span[pixel * CHANNELS + channel]).sum();
            *out = ((sum + 8) / 16) as u8;
        }
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn take_luma(pixels: &[u8], out: &mut [u8]) {
    for (out, pixel) in out.iter_mut().zip(pixels.as_chunks::<3>().0) {
        *out = pixel[0];
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn halve_chroma(rows: [&[u8]; 2], cb: &mut [u8], cr: &mut [u8]) {
    let [top, bottom] = rows.map(|row| row.as_chunks::<6>().0);
    for ((cb, cr), (a, b)) in cb.iter_mut().zip(cr).zip(top.iter().zip(bottom)) {
        let mean = |at: usize| {
            let sum =
                u16::from(a[at]) + u16::from(a[at + 3]) + u16::from(b[at]) + u16::from(b[at + 3]);
            ((sum + 2) / 4) as u8
        };
        (*cb, *cr) = (mean(1), mean(2));
    }
}

/// Full-range BT.601 (JFIF) from R'G'B', 16-bit fixed point, rounded.
pub(super) fn ycbcr_from_rgb(r: u8, g: u8, b: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    const CENTRE: i32 = 128 << 16;
    let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
    let y = (19_595 * r + 38_470 * g + 7_471 * b + HALF) >> 16;
    let cb = (-11_056 * r - 21_712 * g + 32_768 * b + CENTRE + HALF - 1) >> 16;
    let cr = (32_768 * r - 27_440 * g - 5_328 * b + CENTRE + HALF - 1) >> 16;
    [y as u8, cb as u8, cr as u8]
}

/// Converts interleaved R'G'B' in place.
pub(super) fn rgb_to_ycbcr_in_place(samples: &mut [u8]) {
    for pixel in samples.chunks_exact_mut(3) {
        pixel.copy_from_slice(&ycbcr_from_rgb(pixel[0], pixel[1], pixel[2]));
    }
}

/// One transparent sample over middle grey: neither a pupil nor a highlight to the finder.
pub(super) fn over_grey(sample: u8, alpha: u8) -> u8 {
    const BACKDROP: u32 = 128;
    let (sample, alpha) = (u32::from(sample), u32::from(alpha));
    ((sample * alpha + BACKDROP * (255 - alpha) + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::{Channels, Frame};
    use crate::geometry::PixelRect;
    use crate::load::Orientation;

    fn frame() -> Frame {
        let samples = (0..23 * 18 * 3).map(|at: u32| (at * 7919 % 251) as u8);
        Frame {
            width: 23,
            height: 18,
            channels: Channels::YCbCr,
            samples: samples.collect(),
        }
    }

    #[test]
    fn chroma_taken_out_halved_is_chroma_halved() {
        let rect = PixelRect {
            x: 4,
            y: 2,
            width: 15,
            height: 11,
        };
        let direct = frame().crop_with_half_chroma(rect, Orientation::Upright);
        let direct = direct.expect("a photo stored upright");
        let cropped = frame().crop(rect, Orientation::Upright);
        assert!(direct.y == cropped.y);
        assert!(direct.cb == cropped.cb.halved() && direct.cr == cropped.cr.halved());
    }

    #[test]
    fn a_quarter_has_the_means_of_sixteen_pixels() {
        let quarter = frame().quartered();
        assert_eq!((quarter.width, quarter.height), (5, 4));
        let twice_halved = frame().crop(
            PixelRect {
                x: 0,
                y: 0,
                width: 20,
                height: 16,
            },
            Orientation::Upright,
        );
        let luma = twice_halved.y.halved().halved();
        for (at, &sample) in luma.samples.iter().enumerate() {
            assert!(quarter.samples[3 * at].abs_diff(sample) <= 1);
        }
    }
}
