//! One channel of `f32` samples with the few filters that finding an iris needs.
//! Generic. Samples outside the picture are `None`.

use crate::plane::Plane;

/// A `width` x `height` picture in row order. Pixel centres are at `+0.5`.
#[derive(Debug, Clone)]
pub(super) struct FloatImage {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) samples: Vec<f32>,
}

impl FloatImage {
    pub(super) fn filled(width: usize, height: usize, value: f32) -> Self {
        Self {
            width,
            height,
            samples: vec![value; width * height],
        }
    }

    pub(super) fn from_plane(plane: &Plane) -> Self {
        Self {
            width: plane.width as usize,
            height: plane.height as usize,
            samples: plane.samples.iter().map(|&v| f32::from(v)).collect(),
        }
    }

    pub(super) fn at(&self, x: usize, y: usize) -> f32 {
        self.samples[y * self.width + x]
    }

    /// Bilinear sample at `(x, y)`; none outside the picture.
    pub(super) fn sample(&self, x: f32, y: f32) -> Option<f32> {
        if !(x >= 0.0 && y >= 0.0 && x <= self.width as f32 && y <= self.height as f32) {
            return None;
        }
        let x = (x - 0.5).clamp(0.0, (self.width - 1) as f32);
        let y = (y - 0.5).clamp(0.0, (self.height - 1) as f32);
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(self.width - 1), (y0 + 1).min(self.height - 1));
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let top = self.at(x0, y0) * (1.0 - fx) + self.at(x1, y0) * fx;
        let bottom = self.at(x0, y1) * (1.0 - fx) + self.at(x1, y1) * fx;
        Some(top * (1.0 - fy) + bottom * fy)
    }

    /// Twice the width and height, bilinear.
    pub(super) fn doubled(&self) -> Self {
        let columns = Self::neighbours(self.width);
        let rows = self.samples.chunks_exact(self.width.max(1));
        let wide = rows.flat_map(|row| {
            let blend = |&(left, right, share): &(usize, usize, f32)| {
                row[left] * (1.0 - share) + row[right] * share
            };
            columns.iter().map(blend)
        });
        let (wide, width): (Vec<f32>, usize) = (wide.collect(), 2 * self.width);
        let mut samples = Vec::with_capacity(wide.len() * 2);
        for (top, bottom, share) in Self::neighbours(self.height) {
            let row = |y: usize| &wide[y * width..(y + 1) * width];
            let pairs = row(top).iter().zip(row(bottom));
            samples.extend(pairs.map(|(top, bottom)| top * (1.0 - share) + bottom * share));
        }
        Self {
            width,
            height: 2 * self.height,
            samples,
        }
    }

    /// For each of `2 * length` samples, between which two of `length` it lies, and the share of the second.
    fn neighbours(length: usize) -> Vec<(usize, usize, f32)> {
        let last = length.saturating_sub(1);
        let places = (0..2 * length).map(|at| {
            let place = ((at as f32 + 0.5) / 2.0 - 0.5).clamp(0.0, last as f32);
            let first = place as usize;
            (first, (first + 1).min(last), place - first as f32)
        });
        places.collect()
    }

    /// Mean over the `(2 * radius + 1)`-wide square around each pixel, of the pixels that exist.
    pub(super) fn box_mean(&self, radius: usize) -> Self {
        self.box_mean_rows(radius).box_mean_columns(radius)
    }

    /// Two box filters in each direction: close to a Gaussian of `sigma` pixels.
    pub(super) fn blurred(&self, sigma: f32) -> Self {
        // The variance of a box of radius k is k (k + 1) / 3; two of them add up.
        let radius = ((0.25 + 1.5 * sigma * sigma).sqrt() - 0.5).round() as usize;
        if radius == 0 {
            return self.clone();
        }
        self.box_mean(radius).box_mean(radius)
    }

    /// Four rows at a time, since each running sum waits for its last addition.
    fn box_mean_rows(&self, radius: usize) -> Self {
        let width = self.width.max(1);
        let mut samples = vec![0.0; self.samples.len()];
        let groups = self.samples.chunks(4 * width);
        for (rows, means) in groups.zip(samples.chunks_mut(4 * width)) {
            if rows.len() == 4 * width {
                running_means::<4>(rows, radius, means);
            } else {
                let single = rows.chunks(width).zip(means.chunks_mut(width));
                single.for_each(|(row, means)| running_means::<1>(row, radius, means));
            }
        }
        Self {
            width: self.width,
            height: self.height,
            samples,
        }
    }

    /// Whole rows are added and taken away, so that memory is walked in order.
    fn box_mean_columns(&self, radius: usize) -> Self {
        let width = self.width;
        let row = |y: usize| &self.samples[y * width..(y + 1) * width];
        let mut sums = vec![0.0_f32; width];
        let mut count = 0;
        for y in 0..radius.min(self.height) {
            sums.iter_mut()
                .zip(row(y))
                .for_each(|(sum, value)| *sum += value);
            count += 1;
        }
        let mut samples = Vec::with_capacity(self.samples.len());
        for y in 0..self.height {
            if y + radius < self.height {
                sums.iter_mut()
                    .zip(row(y + radius))
                    .for_each(|(sum, value)| *sum += value);
                count += 1;
            }
            if let Some(leaving) = y.checked_sub(radius + 1) {
                sums.iter_mut()
                    .zip(row(leaving))
                    .for_each(|(sum, value)| *sum -= value);
                count -= 1;
            }
            let weight = 1.0 / count as f32;
            samples.extend(sums.iter().map(|sum| sum * weight));
        }
        Self {
            width,
            height: self.height,
            samples,
        }
    }
}

/// Of each of `ROWS` rows, the means over `radius` samples to either side.
fn running_means<const ROWS: usize>(rows: &[f32], radius: usize, means: &mut [f32]) {
    let width = rows.len() / ROWS;
    let mut sums: [f32; ROWS] = std::array::from_fn(|number| {
        let row = &rows[number * width..][..width];
        row.iter().take(radius).sum()
    });
    let mut count = radius.min(width);
    for x in 0..width {
        if x + radius < width {
            for (number, sum) in sums.iter_mut().enumerate() {
                *sum += rows[number * width + x + radius];
            }
            count += 1;
        }
        if let Some(leaving) = x.checked_sub(radius + 1) {
            for (number, sum) in sums.iter_mut().enumerate() {
                *sum -= rows[number * width + leaving];
            }
            count -= 1;
        }
        for (number, sum) in sums.iter().enumerate() {
            means[number * width + x] = sum / count as f32;
        }
    }
}

/// Horizontal and vertical derivative, per pixel, by central differences (0 at the border).
#[derive(Debug)]
pub(super) struct Gradient {
    pub(super) gx: FloatImage,
    pub(super) gy: FloatImage,
}

impl Gradient {
    pub(super) fn of(image: &FloatImage) -> Self {
        let (width, height) = (image.width, image.height);
        let mut gx = FloatImage::filled(width, height, 0.0);
        let mut gy = FloatImage::filled(width, height, 0.0);
        for y in 0..height {
            for x in 1..width.saturating_sub(1) {
                gx.samples[y * width + x] = 0.5 * (image.at(x + 1, y) - image.at(x - 1, y));
            }
        }
        for y in 1..height.saturating_sub(1) {
            for x in 0..width {
                gy.samples[y * width + x] = 0.5 * (image.at(x, y + 1) - image.at(x, y - 1));
            }
        }
        Self { gx, gy }
    }

    /// The derivative at `(x, y)` along the direction `(cos, sin)`; none outside the picture.
    pub(super) fn along(&self, x: f32, y: f32, (cos, sin): (f32, f32)) -> Option<f32> {
        Some(self.gx.sample(x, y)? * cos + self.gy.sample(x, y)? * sin)
    }
}

/// The value below which `share` of the values lie; none when there are none. Reorders the slice.
pub(super) fn percentile(values: &mut [f32], share: f32) -> Option<f32> {
    if values.is_empty() {
        return None;
    }
    let index = ((values.len() - 1) as f32 * share).round() as usize;
    Some(*values.select_nth_unstable_by(index, f32::total_cmp).1)
}

/// The middle value; none when there are none. Reorders the slice.
pub(super) fn median(values: &mut [f32]) -> Option<f32> {
    percentile(values, 0.5)
}
