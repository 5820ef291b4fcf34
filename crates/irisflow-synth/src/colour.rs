//! Linear-light RGB triples, and small interpolation functions.

pub(crate) type Rgb = [f32; 3];

/// From 8-bit sRGB to linear light.
pub(crate) fn srgb(red: f32, green: f32, blue: f32) -> Rgb {
    [red, green, blue].map(|c| (c / 255.0).powf(2.2))
}

#[inline]
pub(crate) fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    [
        a[0] + (b[0] - a[0]) * t,
        a[1] + (b[1] - a[1]) * t,
        a[2] + (b[2] - a[2]) * t,
    ]
}

/// Perceptual mix: interpolates square roots of light, which is close to gamma encoding.
#[inline]
pub(crate) fn mix_seen(a: Rgb, b: Rgb, t: f32) -> Rgb {
    let roots = mix(
        a.map(|c| c.max(0.0).sqrt()),
        b.map(|c| c.max(0.0).sqrt()),
        t,
    );
    times(roots, roots)
}

#[inline]
pub(crate) fn scale(a: Rgb, k: f32) -> Rgb {
    [a[0] * k, a[1] * k, a[2] * k]
}

#[inline]
pub(crate) fn times(a: Rgb, b: Rgb) -> Rgb {
    [a[0] * b[0], a[1] * b[1], a[2] * b[2]]
}

#[inline]
pub(crate) fn luminance(a: Rgb) -> f32 {
    0.2126 * a[0] + 0.7152 * a[1] + 0.0722 * a[2]
}

/// 0 below `low`, 1 above `high`, smooth between.
#[inline]
pub(crate) fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    // The reciprocal is a constant in most calls.
    let t = ((x - low) * (1.0 / (high - low))).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A fast approximation of the Gaussian `exp(-x * x)`: 1 at 0, under 0.01 beyond 2.
#[inline]
pub(crate) fn bell(x: f32) -> f32 {
    let d = 1.0 + x * x * 0.5;
    let d2 = d * d;
    1.0 / (d2 * d2 * 0.8 + 0.2 * d2)
}

/// Euclidean length. Faster than `hypot`, which is a function call that also guards against overflow.
#[inline]
pub(crate) fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}
