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

    fn box_mean_rows(&self, radius: usize) -> Self {
        let mut samples = Vec::with_capacity(self.samples.len());
        for row in self.samples.chunks_exact(self.width.max(1)) {
            let mut sum: f32 = row.iter().take(radius).sum();
            let mut count = radius.min(row.len());
            for x in 0..row.len() {
                if let Some(entering) = row.get(x + radius) {
                    sum += entering;
                    count += 1;
                }
                if let Some(leaving) = x.checked_sub(radius + 1) {
                    sum -= row[leaving];
                    count -= 1;
                }
                samples.push(sum / count as f32);
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
