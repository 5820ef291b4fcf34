//! The guided filter (He, Sun, Tang: Guided Image Filtering, 2010), row by row: only the rows that its windows
//! reach are held, so that all of it stays in the cache.

use multiversion::multiversion;

use crate::plane::Plane;

/// Sums over windows of `2 * radius + 1` pixels squared, of rows that come in from above.
struct WindowSums {
    radius: usize,
    /// The row sums that the window holds, oldest overwritten.
    held: Vec<Vec<f32>>,
    oldest: usize,
    /// Of the window around each column.
    sums: Vec<f32>,
}

impl WindowSums {
    fn new(width: usize, radius: usize) -> Self {
        Self {
            radius,
            held: vec![vec![0.0; width]; 2 * radius + 1],
            oldest: 0,
            sums: vec![0.0; width],
        }
    }

    /// Takes in a row with `radius` more samples at either end.
    fn push(&mut self, padded: &[f32]) {
        let row = &mut self.held[self.oldest];
        self.oldest = (self.oldest + 1) % (2 * self.radius + 1);
        exchange_row(&mut self.sums, row, padded);
    }
}

/// Takes the old row sums out of `sums`, and those of `padded` in.
fn exchange_row(sums: &mut [f32], row: &mut [f32], padded: &[f32]) {
    match padded.len() - row.len() {
        4 => exchange::<5>(sums, row, padded),
        6 => exchange::<7>(sums, row, padded),
        8 => exchange::<9>(sums, row, padded),
        _ => exchange_any(sums, row, padded),
    }
}

/// For windows of a width that is known, so that each sum is made at once.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn exchange<const WINDOW: usize>(sums: &mut [f32], row: &mut [f32], padded: &[f32]) {
    let windows = padded.windows(WINDOW);
    for ((sum, held), window) in sums.iter_mut().zip(row).zip(windows) {
        let mut new = 0.0;
        for sample in window {
            new += sample;
        }
        *sum += new - *held;
        *held = new;
    }
}

fn exchange_any(sums: &mut [f32], row: &mut [f32], padded: &[f32]) {
    let windows = padded.windows(padded.len() - row.len() + 1);
    for ((sum, held), window) in sums.iter_mut().zip(row).zip(windows) {
        let new: f32 = window.iter().sum();
        *sum += new - *held;
        *held = new;
    }
}

/// A row with room for copies of its first and last sample.
struct Padded {
    radius: usize,
    samples: Vec<f32>,
}

impl Padded {
    fn new(width: usize, radius: usize) -> Self {
        Self {
            radius,
            samples: vec![0.0; width + 2 * radius],
        }
    }

    fn inner(&mut self) -> &mut [f32] {
        let end = self.samples.len() - self.radius;
        &mut self.samples[self.radius..end]
    }

    fn fill_ends(&mut self) {
        let end = self.samples.len() - self.radius;
        let (first, last) = (self.samples[self.radius], self.samples[end - 1]);
        self.samples[..self.radius].fill(first);
        self.samples[end..].fill(last);
    }
}

/// Smooths a plane where it varies by less than the variance `epsilon`, and keeps stronger edges.
pub(super) struct SelfGuided<'a> {
    pub(super) input: &'a Plane,
    pub(super) radius: usize,
    pub(super) epsilon: f32,
}

impl SelfGuided<'_> {
    /// Calls `take` with each of these rows, smoothed, from the top.
    pub(super) fn rows(&self, rows: std::ops::Range<usize>, mut take: impl FnMut(usize, &[f32])) {
        let (width, height, radius) = (
            self.input.width as usize,
            self.input.height as i64,
            self.radius,
        );
        let row_at = |y: i64| self.input.row(y.clamp(0, height - 1) as u32);
        let mut padded = Padded::new(width, radius);
        let [mut means, mut squares] = [(); 2].map(|()| WindowSums::new(width, radius));
        let [mut slopes, mut offsets] = [(); 2].map(|()| WindowSums::new(width, radius));
        let [mut slope, mut offset] = [(); 2].map(|()| Padded::new(width, radius));
        let mut out = vec![0.0; width];
        let reach = radius as i64;
        for entering in rows.start as i64 - 2 * reach..rows.end as i64 + 2 * reach {
            to_floats(row_at(entering), padded.inner());
            padded.fill_ends();
            means.push(&padded.samples);
            square(&mut padded.samples);
            squares.push(&padded.samples);
            if entering < rows.start as i64 {
                continue;
            }
            fit_self(
                &means.sums,
                &squares.sums,
                radius,
                self.epsilon,
                slope.inner(),
                offset.inner(),
            );
            slope.fill_ends();
            offset.fill_ends();
            slopes.push(&slope.samples);
            offsets.push(&offset.samples);
            let done = entering - 2 * reach;
            if done >= rows.start as i64 {
                apply(&slopes.sums, &offsets.sums, row_at(done), radius, &mut out);
                take(done as usize, &out);
            }
        }
    }
}

/// Smooths two planes, but not across the edges of the guide.
pub(super) struct Guided<'a> {
    pub(super) inputs: [&'a Plane; 2],
    pub(super) guide: &'a Plane,
    pub(super) radius: usize,
    pub(super) epsilon: f32,
}

impl Guided<'_> {
    /// Calls `take` with these rows of both planes, smoothed, from the top.
    pub(super) fn rows(
        &self,
        rows: std::ops::Range<usize>,
        mut take: impl FnMut(usize, [&[f32]; 2]),
    ) {
        let (width, height, radius) = (
            self.guide.width as usize,
            self.guide.height as i64,
            self.radius,
        );
        let at = |y: i64| y.clamp(0, height - 1) as u32;
        let [mut guide, mut product] = [(); 2].map(|()| Padded::new(width, radius));
        let [mut means, mut squares] = [(); 2].map(|()| WindowSums::new(width, radius));
        let mut channels = self.inputs.map(|input| Channel::new(input, radius));
        let reach = radius as i64;
        for entering in rows.start as i64 - 2 * reach..rows.end as i64 + 2 * reach {
            to_floats(self.guide.row(at(entering)), guide.inner());
            guide.fill_ends();
            means.push(&guide.samples);
            for channel in &mut channels {
                channel.enter(at(entering), &guide.samples, &mut product);
            }
            square(&mut guide.samples);
            squares.push(&guide.samples);
            if entering < rows.start as i64 {
                continue;
            }
            let done = entering - 2 * reach;
            for channel in &mut channels {
                channel.fit(&means.sums, &squares.sums, self.epsilon);
                if done >= rows.start as i64 {
                    let guide = self.guide.row(done as u32);
                    apply(
                        &channel.slopes.sums,
                        &channel.offsets.sums,
                        guide,
                        radius,
                        &mut channel.out,
                    );
                }
            }
            if done >= rows.start as i64 {
                take(done as usize, [&channels[0].out, &channels[1].out]);
            }
        }
    }
}

/// One plane that is smoothed by a guide.
struct Channel<'a> {
    input: &'a Plane,
    radius: usize,
    samples: Padded,
    means: WindowSums,
    products: WindowSums,
    slope: Padded,
    offset: Padded,
    slopes: WindowSums,
    offsets: WindowSums,
    out: Vec<f32>,
}

impl<'a> Channel<'a> {
    fn new(input: &'a Plane, radius: usize) -> Self {
        let width = input.width as usize;
        let sums = || WindowSums::new(width, radius);
        let padded = || Padded::new(width, radius);
        Self {
            input,
            radius,
            samples: padded(),
            means: sums(),
            products: sums(),
            slope: padded(),
            offset: padded(),
            slopes: sums(),
            offsets: sums(),
            out: vec![0.0; width],
        }
    }

    fn enter(&mut self, y: u32, guide: &[f32], product: &mut Padded) {
        to_floats(self.input.row(y), self.samples.inner());
        self.samples.fill_ends();
        self.means.push(&self.samples.samples);
        multiply(&self.samples.samples, guide, &mut product.samples);
        self.products.push(&product.samples);
    }

    fn fit(&mut self, guide_means: &[f32], guide_squares: &[f32], epsilon: f32) {
        let sums = [
            guide_means,
            guide_squares,
            &self.means.sums,
            &self.products.sums,
        ];
        fit(
            sums,
            self.radius,
            epsilon,
            self.slope.inner(),
            self.offset.inner(),
        );
        self.slope.fill_ends();
        self.offset.fill_ends();
        self.slopes.push(&self.slope.samples);
        self.offsets.push(&self.offset.samples);
    }
}

/// One over the pixels of a window.
fn share(radius: usize) -> f32 {
    let length = 2 * radius + 1;
    1.0 / (length * length) as f32
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn to_floats(row: &[u8], out: &mut [f32]) {
    for (out, &sample) in out.iter_mut().zip(row) {
        *out = f32::from(sample);
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn square(row: &mut [f32]) {
    for sample in row {
        *sample *= *sample;
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn multiply(a: &[f32], b: &[f32], out: &mut [f32]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = a * b;
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn fit_self(
    means: &[f32],
    squares: &[f32],
    radius: usize,
    epsilon: f32,
    slope: &mut [f32],
    offset: &mut [f32],
) {
    let share = share(radius);
    let out = slope.iter_mut().zip(offset);
    for ((slope, offset), (mean, square)) in out.zip(means.iter().zip(squares)) {
        let mean = mean * share;
        let variance = (square * share - mean * mean).max(0.0);
        *slope = variance / (variance + epsilon);
        *offset = mean - *slope * mean;
    }
}

/// Sums of guide, its square, input, and both multiplied.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn fit(sums: [&[f32]; 4], radius: usize, epsilon: f32, slope: &mut [f32], offset: &mut [f32]) {
    let share = share(radius);
    let [guides, squares, inputs, products] = sums;
    let out = slope.iter_mut().zip(offset);
    let sums = guides.iter().zip(squares).zip(inputs.iter().zip(products));
    for ((slope, offset), ((guide, square), (input, product))) in out.zip(sums) {
        let (guide, input) = (guide * share, input * share);
        let variance = (square * share - guide * guide).max(0.0);
        *slope = (product * share - guide * input) / (variance + epsilon);
        *offset = input - *slope * guide;
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn apply(slopes: &[f32], offsets: &[f32], guide: &[u8], radius: usize, out: &mut [f32]) {
    let share = share(radius);
    let terms = slopes.iter().zip(offsets).zip(guide);
    for (out, ((slope, offset), &guide)) in out.iter_mut().zip(terms) {
        *out = (slope * f32::from(guide) + offset) * share;
    }
}

#[cfg(test)]
mod tests {
    use super::{Guided, SelfGuided};
    use crate::filters::{Field, guided};
    use crate::plane::Plane;

    fn plane(samples: impl Fn(u32, u32) -> u8) -> Plane {
        let mut plane = Plane::filled(40, 40, 0);
        for y in 0..40 {
            for x in 0..40 {
                plane.row_mut(y)[x as usize] = samples(x, y);
            }
        }
        plane
    }

    /// Apart from the border, where rows beyond it are made differently.
    fn assert_alike(y: usize, row: &[f32], plain: &Field) {
        if !(8..32).contains(&y) {
            return;
        }
        let expected_row = &plain.samples[y * 40..];
        for (x, (found, expected)) in row.iter().zip(expected_row).enumerate().take(32).skip(8) {
            assert!(
                (found - expected).abs() < 0.05,
                "{found} {expected} at {x} {y}"
            );
        }
    }

    #[test]
    fn rows_are_those_of_the_plain_filter() {
        let a = plane(|x, y| ((x * 7919 + y * 104_729) % 251) as u8);
        let b = plane(|x, y| if x < y { 60 } else { 180 + ((x + y) % 5) as u8 });
        let plain = guided(&Field::of(&a), &Field::of(&a), 3, 40.0);
        let own = SelfGuided {
            input: &a,
            radius: 3,
            epsilon: 40.0,
        };
        own.rows(5..40, |y, row| assert_alike(y, row, &plain));
        let plain = [&a, &b].map(|input| guided(&Field::of(input), &Field::of(&b), 2, 90.0));
        let both = Guided {
            inputs: [&a, &b],
            guide: &b,
            radius: 2,
            epsilon: 90.0,
        };
        both.rows(0..40, |y, rows| {
            assert_alike(y, rows[0], &plain[0]);
            assert_alike(y, rows[1], &plain[1]);
        });
    }
}
