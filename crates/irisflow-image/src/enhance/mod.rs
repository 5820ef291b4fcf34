//! Makes the clean rectified iris worth printing: less noise, more local contrast, crisper fibres.
//!
//! Everything is measured on the visible iris alone, so the black around it changes nothing, and
//! everything is gentle: a person must recognise their own eye. The pupil keeps its black.

mod contrast;
mod noise;

use crate::coverage::{Coverage, smoothstep};
use crate::filters::{Field, box_mean, broad_blur, guided, self_guided};
use crate::geometry::Ellipse;
use crate::plane::Plane;
use crate::rectified::RectifiedIris;
use crate::resize::resized;

/// How strongly each part works. Amounts are shares: 0 leaves the picture as it is.
#[derive(Debug, Clone, Copy)]
pub struct Enhancement {
    /// Variance that is smoothed away, in variances of the noise.
    pub denoise: f32,
    /// Share of the equalised luma in the picture.
    pub local_contrast: f32,
    /// Contrast of parts of about a twentieth of the iris.
    pub clarity: f32,
    /// Contrast of the finest parts that the photo holds.
    pub sharpness: f32,
    /// Median luma that a dark iris is raised half-way to.
    pub dark_target: f32,
    /// Factor on chroma.
    pub vibrance: f32,
}

impl Default for Enhancement {
    /// Set by eye on prints of light, dark and grey irises.
    fn default() -> Self {
        Self {
            denoise: 3.0,
            local_contrast: 0.45,
            clarity: 0.22,
            sharpness: 0.7,
            dark_target: 105.0,
            vibrance: 1.08,
        }
    }
}

/// Enhances `rectified` in place. `pupil` is in pixels of the photo.
pub fn enhance(
    rectified: &mut RectifiedIris,
    pupil: &Ellipse,
    coverage: &Coverage,
    enhancement: &Enhancement,
) {
    let iris = IrisWeight::of(rectified, pupil, coverage);
    let chroma_side = rectified.chroma_side();
    let original = Field::of(&rectified.luma);
    let sigma = noise::standard_deviation(&rectified.luma, &iris.seen);
    smooth_chroma(rectified, sigma);
    let radius = (rectified.view.side as usize / 500).clamp(2, 4);
    let smooth = self_guided(&original, radius, enhancement.denoise * sigma * sigma + 0.5);
    drop(original);
    let mut luma = contrast::equalised(&smooth, &iris.seen, enhancement.local_contrast);
    contrast::raise_dark(&mut luma, &iris.seen, enhancement.dark_target);
    sharpen(&mut luma, sigma, enhancement);
    keep_pupil(&mut luma, &smooth, &iris.share);
    let before = resized(&rectified.luma, chroma_side);
    rectified.luma = luma.to_plane();
    let after = resized(&rectified.luma, chroma_side);
    let chroma = [&mut rectified.cb, &mut rectified.cr];
    follow_luma(chroma, &before, &after, enhancement.vibrance);
}

/// Where the visible iris is in the luma of a rectified iris.
struct IrisWeight {
    /// Clearly visible iris: what statistics are taken of.
    seen: Vec<bool>,
    /// 0 in the pupil, 255 outside it, soft between.
    share: Vec<u8>,
}

impl IrisWeight {
    fn of(rectified: &RectifiedIris, pupil: &Ellipse, coverage: &Coverage) -> Self {
        let view = &rectified.view;
        let places = view.side as usize * view.side as usize;
        let (mut seen, mut share) = (Vec::with_capacity(places), Vec::with_capacity(places));
        let (x0, y0) = view.view_point(pupil.cx, pupil.cy);
        let (x1, y1) = view.view_point(pupil.cx + pupil.mean_radius(), pupil.cy);
        let radius = (x1 - x0).hypot(y1 - y0).max(1.0);
        for v in 0..view.side {
            let dy = (v as f32 + 0.5 - y0) / radius;
            for (u, opacity) in coverage.row(v, view.side).enumerate() {
                let dx = (u as f32 + 0.5 - x0) / radius;
                let square = dx * dx + dy * dy;
                let outside = if square > 1.21 {
                    1.0
                } else {
                    smoothstep(0.8, 1.1, square.sqrt())
                };
                share.push((outside * 255.0) as u8);
                seen.push(opacity > 0.9 && square > 1.2);
            }
        }
        Self { seen, share }
    }
}

/// Colour noise is coarse and ugly: it is smoothed more than luma, but not across luma's edges.
fn smooth_chroma(rectified: &mut RectifiedIris, sigma: f32) {
    let side = rectified.chroma_side();
    let guide = Field::of(&resized(&rectified.luma, side));
    let radius = (side as usize / 256).max(2);
    let epsilon = 30.0 + 6.0 * sigma * sigma;
    for chroma in [&mut rectified.cb, &mut rectified.cr] {
        *chroma = guided(&Field::of(chroma), &guide, radius, epsilon).to_plane();
    }
}

/// Unsharp masking at two scales; differences below the noise are left alone.
fn sharpen(luma: &mut Field, sigma: f32, enhancement: &Enhancement) {
    let side = luma.width as f32;
    let fine = box_mean(&box_mean(luma, 1), 1);
    let broad = broad_blur(luma, side * 0.022);
    let blurs = fine.samples.iter().zip(&broad.samples);
    for (sample, (fine, broad)) in luma.samples.iter_mut().zip(blurs) {
        let detail = *sample - fine;
        let cored = detail * detail.abs() / (detail.abs() + 0.6 * sigma + 0.3);
        let clarity = ((*sample - broad) * enhancement.clarity).clamp(-22.0, 22.0);
        *sample += (enhancement.sharpness * cored).clamp(-18.0, 18.0) + clarity;
    }
}

fn keep_pupil(luma: &mut Field, smooth: &Field, share: &[u8]) {
    for ((sample, smooth), share) in luma
        .samples
        .iter_mut()
        .zip(&smooth.samples)
        .zip(share.iter().copied())
    {
        *sample = smooth + (*sample - smooth) * (f32::from(share) / 255.0);
    }
}

/// Scales chroma with luma, so that brighter parts do not look washed out and darker ones not garish.
fn follow_luma(chroma: [&mut Plane; 2], before: &Plane, after: &Plane, vibrance: f32) {
    // Gains from 0 to 2 in steps of 1/128; colour follows brightness less than fully.
    let curve: [f32; 257] = std::array::from_fn(|step| {
        let gain = step as f32 / 128.0;
        gain.clamp(0.6, 1.6).powf(0.7) * vibrance
    });
    let [cb, cr] = chroma;
    let luma = before.samples.iter().zip(&after.samples);
    for ((cb, cr), (&before, &after)) in cb.samples.iter_mut().zip(&mut cr.samples).zip(luma) {
        let gain = (f32::from(after) + 12.0) / (f32::from(before) + 12.0);
        let gain = curve[((gain * 128.0) as usize).min(256)];
        *cb = scaled(*cb, gain);
        *cr = scaled(*cr, gain);
    }
}

fn scaled(chroma: u8, gain: f32) -> u8 {
    (128.5 + (f32::from(chroma) - 128.0) * gain).clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests;
