//! One channel of 8-bit samples, rows one after another. Colour is three planes of the same size.

use multiversion::multiversion;

/// A `width` x `height` plane of 8-bit samples in row order, without padding.
#[derive(Clone, PartialEq, Eq)]
pub struct Plane {
    pub width: u32,
    pub height: u32,
    pub samples: Vec<u8>,
}

impl std::fmt::Debug for Plane {
    /// Says the size only: pixels of an eye identify its owner and never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plane({} x {})", self.width, self.height)
    }
}

impl Plane {
    /// A plane of which every sample is `value`.
    pub fn filled(width: u32, height: u32, value: u8) -> Self {
        Self {
            width,
            height,
            samples: vec![value; width as usize * height as usize],
        }
    }

    /// The samples of row `y`.
    pub fn row(&self, y: u32) -> &[u8] {
        let start = y as usize * self.width as usize;
        &self.samples[start..start + self.width as usize]
    }

    pub fn row_mut(&mut self, y: u32) -> &mut [u8] {
        let start = y as usize * self.width as usize;
        &mut self.samples[start..start + self.width as usize]
    }

    /// The sample at `(x, y)`.
    pub fn at(&self, x: u32, y: u32) -> u8 {
        self.samples[y as usize * self.width as usize + x as usize]
    }

    /// Half the width and height, each sample the mean of four; an odd last row or column is dropped.
    pub fn halved(&self) -> Self {
        let mut half = Self::filled(self.width / 2, self.height / 2, 0);
        for y in 0..half.height {
            halve_rows(self.row(y * 2), self.row(y * 2 + 1), half.row_mut(y));
        }
        half
    }

    /// Bilinear sample at `(x, y)` in pixel coordinates (centres at `+0.5`), clamped to the border.
    pub fn sample_bilinear(&self, x: f32, y: f32) -> f32 {
        let x = (x - 0.5).clamp(0.0, (self.width - 1) as f32);
        let y = (y - 0.5).clamp(0.0, (self.height - 1) as f32);
        let (x0, y0) = (x as u32, y as u32);
        let (x1, y1) = ((x0 + 1).min(self.width - 1), (y0 + 1).min(self.height - 1));
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let top = f32::from(self.at(x0, y0)) * (1.0 - fx) + f32::from(self.at(x1, y0)) * fx;
        let bottom = f32::from(self.at(x0, y1)) * (1.0 - fx) + f32::from(self.at(x1, y1)) * fx;
        top * (1.0 - fy) + bottom * fy
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn halve_rows(top: &[u8], bottom: &[u8], out: &mut [u8]) {
    let (top, bottom) = (top.as_chunks::<2>().0, bottom.as_chunks::<2>().0);
    for (out, ([a, b], [c, d])) in out.iter_mut().zip(top.iter().zip(bottom)) {
        let sum = u16::from(*a) + u16::from(*b) + u16::from(*c) + u16::from(*d);
        *out = ((sum + 2) / 4) as u8;
    }
}

/// How many bytes have this value.
pub(crate) fn count_bytes(bytes: &[u8], value: u8) -> usize {
    // Bytes add up to bytes, so that many are counted at a time.
    let parts = bytes.chunks(255);
    parts.map(|part| usize::from(count_few(part, value))).sum()
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn count_few(bytes: &[u8], value: u8) -> u8 {
    bytes.iter().map(|&byte| u8::from(byte == value)).sum()
}

/// Full-range BT.601 YCbCr (as in JFIF), three planes of the same size.
#[derive(Debug, Clone)]
pub struct YCbCr {
    pub y: Plane,
    pub cb: Plane,
    pub cr: Plane,
}

/// A reduced copy of the whole upright photo, for finding things.
#[derive(Debug, Clone)]
pub struct ReducedPhoto {
    pub planes: YCbCr,
    /// Upright photo pixels per reduced pixel, at least 1. `photo = reduced * scale`, in both axes.
    pub scale: f32,
}
