//! The decoded pixels as stored, and the ways out of them: reduced copies and crops, upright.

use multiversion::multiversion;

use super::Orientation;
use crate::geometry::PixelRect;
use crate::plane::{Plane, ReducedPhoto, YCbCr};
use crate::resize::{Part, shrunk};

/// All pixels of the photo, in stored (not upright) order.
pub(super) struct Frame {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) samples: Samples,
}

/// Rows one after another, full-range BT.601 where there is colour.
pub(super) enum Samples {
    Grey(Vec<u8>),
    /// Luma and chroma interleaved, `3 * width * height`.
    Interleaved(Vec<u8>),
    /// Luma, and Cb and Cr at half the width and height, rounded up. As libjpeg-turbo decodes photos of cameras.
    #[cfg_attr(
        not(any(test, feature = "turbo")),
        expect(dead_code, reason = "the other decoders write interleaved samples")
    )]
    HalfChroma(Plane, [Plane; 2]),
}

impl std::fmt::Debug for Frame {
    /// Says the size only: pixels of an eye identify its owner and never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} x {})", self.width, self.height)
    }
}

impl Frame {
    /// See [`crate::segment::PhotoPixels::reduced`]. A triangle-like filter over the whole footprint
    /// of each reduced pixel (Hamming), so that nothing aliases; the scale is the same on both axes,
    /// which may leave a remainder of less than one reduced pixel at the right or bottom edge.
    pub(super) fn reduced(&self, max_side: u32, orientation: Orientation) -> ReducedPhoto {
        let scale = f64::from(self.width.max(self.height)) / f64::from(max_side.max(1));
        if scale <= 1.0 {
            let (width, height) = orientation.upright_size(self.width, self.height);
            let whole = PixelRect {
                x: 0,
                y: 0,
                width,
                height,
            };
            return ReducedPhoto {
                planes: self.crop(whole, orientation),
                scale: 1.0,
            };
        }
        let shrink = |side: u32| ((f64::from(side) / scale + 1e-9) as u32).max(1);
        let (width, height) = (shrink(self.width), shrink(self.height));
        let (left, top) = self.remainder(width, height, scale, orientation);
        let part = Part {
            left,
            top,
            width: (f64::from(width) * scale).min(f64::from(self.width)),
            height: (f64::from(height) * scale).min(f64::from(self.height)),
        };
        ReducedPhoto {
            planes: turned(self.shrunk(part, (width, height)), orientation),
            scale: scale as f32,
        }
    }

    /// See [`crate::segment::PhotoPixels::scaled`]. `quarter` makes this frame's own
    /// [`quartered`](Self::quartered) copy, for what is shrunk so far that it tells as much.
    pub(super) fn scaled<'a>(
        &'a self,
        rect: PixelRect,
        size: (u32, u32),
        orientation: Orientation,
        quarter: impl FnOnce() -> &'a Self,
    ) -> YCbCr {
        if rect.width >= 8 * size.0 && rect.height >= 8 * size.1 {
            return self.scaled_from_quarter(quarter(), rect, size, orientation);
        }
        let part = Part::from(orientation.stored_rect(rect, self.width, self.height));
        let stored_size = orientation.upright_size(size.0, size.1);
        turned(self.shrunk(part, stored_size), orientation)
    }

    /// `rect` of this frame as `size` upright pixels, from its [`quartered`](Self::quartered) copy.
    pub(super) fn scaled_from_quarter(
        &self,
        quarter: &Self,
        rect: PixelRect,
        size: (u32, u32),
        orientation: Orientation,
    ) -> YCbCr {
        let part = Part::from(orientation.stored_rect(rect, self.width, self.height));
        let part = part.divided_by(4.0).within(quarter.width, quarter.height);
        let stored_size = orientation.upright_size(size.0, size.1);
        turned(quarter.shrunk(part, stored_size), orientation)
    }

    /// A part as `size` pixels, as stored.
    fn shrunk(&self, part: Part, size: (u32, u32)) -> YCbCr {
        let from = (self.width, self.height);
        let plane = |samples: Vec<u8>| Plane {
            width: size.0,
            height: size.1,
            samples,
        };
        match &self.samples {
            Samples::Grey(samples) => YCbCr {
                y: plane(shrunk(samples, 1, from, part, size)),
                cb: Plane::filled(size.0, size.1, 128),
                cr: Plane::filled(size.0, size.1, 128),
            },
            Samples::Interleaved(samples) => {
                let frame = Self {
                    width: size.0,
                    height: size.1,
                    samples: Samples::Interleaved(shrunk(samples, 3, from, part, size)),
                };
                frame.crop(frame.rect(), Orientation::Upright)
            }
            Samples::HalfChroma(luma, chroma) => {
                let [cb, cr] = chroma.each_ref().map(|chroma| {
                    let from = (chroma.width, chroma.height);
                    let part = part.divided_by(2.0).within(from.0, from.1);
                    plane(shrunk(&chroma.samples, 1, from, part, size))
                });
                YCbCr {
                    y: plane(shrunk(&luma.samples, 1, from, part, size)),
                    cb,
                    cr,
                }
            }
        }
    }

    fn rect(&self) -> PixelRect {
        PixelRect {
            x: 0,
            y: 0,
            width: self.width,
            height: self.height,
        }
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
        let (width, height) = ((self.width / 4).max(1), (self.height / 4).max(1));
        let from = self.width as usize;
        let samples = match &self.samples {
            Samples::Grey(samples) => {
                Samples::Grey(quarter_of::<1, 4>(samples, from, (width, height)))
            }
            Samples::Interleaved(samples) => {
                Samples::Interleaved(quarter_of::<3, 12>(samples, from, (width, height)))
            }
            Samples::HalfChroma(luma, chroma) => {
                let luma = quarter_of::<1, 4>(&luma.samples, from, (width, height));
                let [cb, cr] = chroma.each_ref().map(Plane::halved);
                let mut samples = Vec::with_capacity(3 * luma.len());
                let rows = luma.chunks_exact(width as usize).enumerate();
                for (row, luma) in rows.take(cb.height as usize) {
                    let chroma = cb.row(row as u32).iter().zip(cr.row(row as u32));
                    let pixels = luma.iter().zip(chroma);
                    samples.extend(pixels.flat_map(|(&y, (&cb, &cr))| [y, cb, cr]));
                }
                samples.resize(3 * luma.len(), 128);
                Samples::Interleaved(samples)
            }
        };
        Self {
            width,
            height,
            samples,
        }
    }

    /// The upright pixels of `rect`, which is cut to the photo, chroma at half the size. None where that takes more
    /// than copying.
    pub(super) fn crop_with_half_chroma(
        &self,
        rect: PixelRect,
        orientation: Orientation,
    ) -> Option<YCbCr> {
        let is_upright = orientation == Orientation::Upright;
        match &self.samples {
            Samples::Interleaved(samples) if is_upright => {
                Some(take_with_half_chroma(samples, self.width as usize, rect))
            }
            Samples::HalfChroma(luma, chroma) => {
                // Halves of an odd length begin elsewhere when they are turned around.
                let is_even = self.width.is_multiple_of(2) && self.height.is_multiple_of(2);
                let begins_even = rect.x.is_multiple_of(2) && rect.y.is_multiple_of(2);
                if !begins_even || !(is_even || is_upright) {
                    return None;
                }
                let stored = orientation.stored_rect(rect, self.width, self.height);
                let half = rect.halved();
                let [cb, cr] = chroma.each_ref().map(|chroma| {
                    let stored = orientation.stored_rect(half, chroma.width, chroma.height);
                    turned_plane(taken_from(chroma, stored), orientation)
                });
                let y = turned_plane(taken_from(luma, stored), orientation);
                Some(YCbCr { y, cb, cr })
            }
            _ => None,
        }
    }

    /// The upright pixels of `rect`, which is cut to the photo.
    pub(super) fn crop(&self, rect: PixelRect, orientation: Orientation) -> YCbCr {
        let (width, height) = orientation.upright_size(self.width, self.height);
        let (x, y) = (rect.x.min(width), rect.y.min(height));
        let rect = PixelRect {
            x,
            y,
            width: rect.width.min(width - x),
            height: rect.height.min(height - y),
        };
        let stored = orientation.stored_rect(rect, self.width, self.height);
        let planes = match &self.samples {
            Samples::Grey(samples) => YCbCr {
                y: rows_of(samples, self.width, stored),
                cb: Plane::filled(stored.width, stored.height, 128),
                cr: Plane::filled(stored.width, stored.height, 128),
            },
            Samples::Interleaved(samples) => taken_apart(samples, self.width as usize, stored),
            Samples::HalfChroma(luma, chroma) => {
                let [cb, cr] = chroma.each_ref().map(|chroma| doubled(chroma, stored));
                YCbCr {
                    y: taken_from(luma, stored),
                    cb,
                    cr,
                }
            }
        };
        turned(planes, orientation)
    }
}

/// Planes as stored to upright ones.
fn turned(planes: YCbCr, orientation: Orientation) -> YCbCr {
    YCbCr {
        y: turned_plane(planes.y, orientation),
        cb: turned_plane(planes.cb, orientation),
        cr: turned_plane(planes.cr, orientation),
    }
}

fn turned_plane(plane: Plane, orientation: Orientation) -> Plane {
    if orientation == Orientation::Upright {
        return plane;
    }
    let (width, height) = orientation.upright_size(plane.width, plane.height);
    let walk = orientation.walk(plane.width, plane.height);
    let mut upright = Plane::filled(width, height, 0);
    for row in 0..height {
        for (sample, stored) in upright.row_mut(row).iter_mut().zip(walk.row(0, row, width)) {
            *sample = plane.samples[stored];
        }
    }
    upright
}

fn taken_from(plane: &Plane, rect: PixelRect) -> Plane {
    rows_of(&plane.samples, plane.width, rect)
}

fn rows_of(samples: &[u8], width: u32, rect: PixelRect) -> Plane {
    let mut taken = Vec::with_capacity(rect.width as usize * rect.height as usize);
    for row in rect.y..rect.y + rect.height {
        let start = row as usize * width as usize + rect.x as usize;
        taken.extend_from_slice(&samples[start..start + rect.width as usize]);
    }
    Plane {
        width: rect.width,
        height: rect.height,
        samples: taken,
    }
}

/// Of interleaved rows of `width` pixels.
fn taken_apart(samples: &[u8], width: usize, rect: PixelRect) -> YCbCr {
    let mut planes = YCbCr {
        y: Plane::filled(rect.width, rect.height, 0),
        cb: Plane::filled(rect.width, rect.height, 0),
        cr: Plane::filled(rect.width, rect.height, 0),
    };
    for row in 0..rect.height {
        let start = (rect.y + row) as usize * width + rect.x as usize;
        let pixels = &samples[start * 3..(start + rect.width as usize) * 3];
        take_channel::<0>(pixels, planes.y.row_mut(row));
        take_channel::<1>(pixels, planes.cb.row_mut(row));
        take_channel::<2>(pixels, planes.cr.row_mut(row));
    }
    planes
}

fn take_with_half_chroma(samples: &[u8], width: usize, rect: PixelRect) -> YCbCr {
    let mut planes = YCbCr {
        y: Plane::filled(rect.width, rect.height, 0),
        cb: Plane::filled(rect.width / 2, rect.height / 2, 128),
        cr: Plane::filled(rect.width / 2, rect.height / 2, 128),
    };
    let stored = |row: u32| {
        let start = (rect.y + row) as usize * width + rect.x as usize;
        &samples[start * 3..(start + rect.width as usize) * 3]
    };
    for row in 0..rect.height {
        take_channel::<0>(stored(row), planes.y.row_mut(row));
    }
    for row in 0..rect.height / 2 {
        let pair = [stored(2 * row), stored(2 * row + 1)];
        halve_chroma(pair, planes.cb.row_mut(row), planes.cr.row_mut(row));
    }
    planes
}

/// `rect` of a plane that is stored at half the width and height: each sample lies between four stored ones, and the
/// nearest counts nine sixteenths.
fn doubled(half: &Plane, rect: PixelRect) -> Plane {
    let mut plane = Plane::filled(rect.width, rect.height, 0);
    let last = half.height.saturating_sub(1);
    let first = rect.x as usize / 2;
    let columns = (rect.x + rect.width).div_ceil(2) as usize - first;
    let mut mixed = vec![0_u16; columns + 2];
    let mut pairs = vec![[0; 2]; columns];
    for (row, out) in (rect.y..).zip(plane.samples.chunks_exact_mut(rect.width.max(1) as usize)) {
        let near = row / 2;
        let far = if row % 2 == 0 {
            near.saturating_sub(1)
        } else {
            (near + 1).min(last)
        };
        let (near, far) = (half.row(near), half.row(far));
        let at = |place: usize| 3 * u16::from(near[place]) + u16::from(far[place]);
        let end = first + columns;
        mix_rows(&near[first..end], &far[first..end], &mut mixed[1..=columns]);
        mixed[0] = at(first.saturating_sub(1));
        mixed[columns + 1] = at(end.min(near.len() - 1));
        double_row(&mixed, &mut pairs);
        let start = rect.x as usize % 2;
        out.copy_from_slice(&pairs.as_flattened()[start..start + rect.width as usize]);
    }
    plane
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn mix_rows(near: &[u8], far: &[u8], out: &mut [u16]) {
    for (out, (&near, &far)) in out.iter_mut().zip(near.iter().zip(far)) {
        *out = 3 * u16::from(near) + u16::from(far);
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn double_row(mixed: &[u16], pairs: &mut [[u8; 2]]) {
    let before_after = mixed.iter().zip(&mixed[2..]);
    for (pair, ((before, after), here)) in pairs.iter_mut().zip(before_after.zip(&mixed[1..])) {
        let near = 3 * here + 8;
        *pair = [(near + before) >> 4, (near + after) >> 4].map(|sample| sample as u8);
    }
}

/// Of rows of `from` pixels; `SPAN` is four times the channels.
fn quarter_of<const CHANNELS: usize, const SPAN: usize>(
    samples: &[u8],
    from: usize,
    (width, height): (u32, u32),
) -> Vec<u8> {
    let row = from * CHANNELS;
    let mut quarter = vec![0; width as usize * height as usize * CHANNELS];
    let mut sums = vec![0_u16; row];
    let out = quarter.chunks_exact_mut(width as usize * CHANNELS);
    for (rows, out) in samples.chunks(4 * row).zip(out) {
        sums.fill(0);
        rows.chunks_exact(row)
            .for_each(|row| add_row(&mut sums, row));
        mean_of_fours::<CHANNELS, SPAN>(&sums, out);
    }
    quarter
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
fn take_channel<const CHANNEL: usize>(pixels: &[u8], out: &mut [u8]) {
    for (out, pixel) in out.iter_mut().zip(pixels.as_chunks::<3>().0) {
        *out = pixel[CHANNEL];
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
    use super::{Frame, Samples, doubled};
    use crate::geometry::PixelRect;
    use crate::load::Orientation;
    use crate::plane::{Plane, YCbCr};

    fn frame() -> Frame {
        let samples = (0..23 * 18 * 3).map(|at: u32| (at * 7919 % 251) as u8);
        Frame {
            width: 23,
            height: 18,
            samples: Samples::Interleaved(samples.collect()),
        }
    }

    const RECT: PixelRect = PixelRect {
        x: 4,
        y: 2,
        width: 15,
        height: 11,
    };

    #[test]
    fn chroma_taken_out_halved_is_chroma_halved() {
        let direct = frame().crop_with_half_chroma(RECT, Orientation::Upright);
        let direct = direct.expect("a photo stored upright");
        let cropped = frame().crop(RECT, Orientation::Upright);
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
        let quarter = quarter.crop(quarter.rect(), Orientation::Upright);
        for (quarter, sample) in quarter.y.samples.iter().zip(luma.samples) {
            assert!(quarter.abs_diff(sample) <= 1);
        }
    }

    /// A smooth photo with halved chroma, and the same with every pixel in full.
    fn both_kinds(width: u32, height: u32) -> [Frame; 2] {
        let ramp = |width: u32, height: u32, step: u32| Plane {
            width,
            height,
            samples: (0..width * height)
                .map(|at| (60 + step * (at % width) + 2 * step * (at / width)) as u8)
                .collect(),
        };
        let chroma = ramp(width.div_ceil(2), height.div_ceil(2), 2);
        let luma = ramp(width, height, 1);
        let whole = PixelRect {
            x: 0,
            y: 0,
            width,
            height,
        };
        let full = doubled(&chroma, whole);
        let pixels = luma.samples.iter().zip(&full.samples);
        let samples = pixels.flat_map(|(&y, &chroma)| [y, chroma, chroma]);
        let frame = |samples| Frame {
            width,
            height,
            samples,
        };
        let interleaved = frame(Samples::Interleaved(samples.collect()));
        [
            frame(Samples::HalfChroma(luma, [chroma.clone(), chroma])),
            interleaved,
        ]
    }

    fn agree(a: &YCbCr, b: &YCbCr, levels: u8) -> bool {
        let planes = [(&a.y, &b.y), (&a.cb, &b.cb), (&a.cr, &b.cr)];
        planes.iter().all(|(a, b)| {
            let pairs = a.samples.iter().zip(&b.samples);
            let same_size = (a.width, a.height) == (b.width, b.height);
            same_size && pairs.into_iter().all(|(a, b)| a.abs_diff(*b) <= levels)
        })
    }

    #[test]
    fn halved_chroma_gives_the_same_pixels_however_the_photo_is_turned() {
        for value in 1..=8 {
            let orientation = Orientation::from_exif(value).expect("one of eight");
            for (width, height) in [(30, 22), (29, 23)] {
                let [half, full] = both_kinds(width, height);
                let rect = PixelRect {
                    width: 13,
                    height: 12,
                    ..RECT
                };
                let crops = [&half, &full].map(|frame| frame.crop(rect, orientation));
                assert!(agree(&crops[0], &crops[1], 0), "{orientation:?}");
                let reduced = [&half, &full].map(|frame| frame.reduced(11, orientation).planes);
                assert!(agree(&reduced[0], &reduced[1], 2), "{orientation:?}");
                let Some(direct) = half.crop_with_half_chroma(rect, orientation) else {
                    assert!(width == 29 && value != 1);
                    continue;
                };
                let halved = crate::segment::with_half_chroma(full.crop(rect, orientation));
                assert!(agree(&direct, &halved, 1), "{orientation:?}");
            }
        }
    }

    #[test]
    fn a_quarter_of_a_photo_with_halved_chroma_is_that_of_the_same_in_full() {
        let [half, full] = both_kinds(30, 22).map(|frame| {
            let quarter = frame.quartered();
            quarter.crop(quarter.rect(), Orientation::Upright)
        });
        assert!(agree(&half, &full, 1));
    }
}
