//! Render buffers: the scene's linear light, the light of reflections (a separate layer), and the label
//! bits of every pixel.

use crate::colour::{Rgb, mix, scale};

/// Label bits of a pixel.
pub mod label {
    /// Between the lids, also under lashes.
    pub const OPENING: u8 = 1;
    /// The full iris disc with its pupil, including occluded parts.
    pub const IRIS: u8 = 2;
    /// The full pupil disc, including occluded parts.
    pub const PUPIL: u8 = 4;
    /// A reflection changes the pixel noticeably.
    pub const REFLECTION: u8 = 8;
    /// Visible iris or pupil: not occluded by lid, lash, hair, glasses or the picture's border.
    pub const VISIBLE: u8 = 16;
    /// Neither person nor object: may be replaced by another background (augmentation).
    pub const BACKGROUND: u8 = 32;
    /// Iris or pupil between the lids that lashes, hair or glasses occlude by more than half, after the
    /// photo's blur: a lash that blur has made invisible does not count.
    pub const COVERED: u8 = 64;
    /// Mirrored lashes hide most of a light that would be noticeable here. Only in light pairs.
    pub const COMBED: u8 = 128;
}

#[derive(Debug)]
pub(crate) struct Canvas {
    pub side: usize,
    pub base: Vec<Rgb>,
    pub glow: Vec<Rgb>,
    pub labels: Vec<u8>,
}

/// A curved hair: quadratic Bezier, in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hair {
    pub from: (f32, f32),
    pub bend: (f32, f32),
    pub to: (f32, f32),
    pub root_width: f32,
    pub colour: Rgb,
    pub opacity: f32,
}

impl Canvas {
    pub(crate) fn new(side: usize) -> Self {
        Self {
            side,
            base: vec![[0.0; 3]; side * side],
            glow: vec![[0.0; 3]; side * side],
            labels: vec![0; side * side],
        }
    }

    /// Alpha blending of an occluding colour over the pixel.
    #[inline]
    pub(crate) fn cover(&mut self, index: usize, colour: Rgb, alpha: f32) {
        self.base[index] = mix(self.base[index], colour, alpha);
        self.glow[index] = scale(self.glow[index], 1.0 - alpha);
        if alpha > 0.5 {
            self.labels[index] &= !(label::VISIBLE | label::REFLECTION | label::BACKGROUND);
        }
    }

    /// Draws a hair that tapers to its tip.
    pub(crate) fn hair(&mut self, hair: &Hair) {
        self.trace(hair, |canvas, index, coverage| {
            canvas.cover(index, hair.colour, coverage * hair.opacity);
        });
    }

    /// Darkens the pixels below a hair's shadow by `depth`.
    pub(crate) fn hair_shadow(&mut self, hair: &Hair, depth: f32) {
        self.trace(hair, |canvas, index, coverage| {
            canvas.base[index] = scale(canvas.base[index], 1.0 - depth * coverage);
        });
    }

    fn trace(&mut self, hair: &Hair, mut paint: impl FnMut(&mut Self, usize, f32)) {
        let side = self.side as f32;
        let reach = hair.root_width + 2.0;
        let xs = [hair.from.0, hair.bend.0, hair.to.0];
        let ys = [hair.from.1, hair.bend.1, hair.to.1];
        let outside =
            |v: [f32; 3]| v.iter().all(|&p| p < -reach) || v.iter().all(|&p| p > side + reach);
        if outside(xs) || outside(ys) {
            return;
        }
        let length = distance(hair.from, hair.bend) + distance(hair.bend, hair.to);
        let steps = ((length / 3.0).ceil() as usize).clamp(2, 60);
        let mut previous = hair.from;
        for step in 1..=steps {
            let t = step as f32 / steps as f32;
            let s = 1.0 - t;
            let point = (
                s * s * hair.from.0 + 2.0 * s * t * hair.bend.0 + t * t * hair.to.0,
                s * s * hair.from.1 + 2.0 * s * t * hair.bend.1 + t * t * hair.to.1,
            );
            let middle = t - 0.5 / steps as f32;
            let width = hair.root_width * (1.0 - 0.95 * middle * middle.sqrt());
            self.segment(previous, point, width, &mut paint);
            previous = point;
        }
    }

    /// Each pixel belongs to the segment onto which it projects, so that neighbouring segments do not
    /// paint it twice.
    fn segment(
        &mut self,
        a: (f32, f32),
        b: (f32, f32),
        width: f32,
        paint: &mut impl FnMut(&mut Self, usize, f32),
    ) {
        let half = width.max(1.0) * 0.5;
        let faint = width.min(1.0);
        let reach = half + 0.5;
        let side = self.side as f32;
        let x0 = (a.0.min(b.0) - reach).floor().clamp(0.0, side) as usize;
        let x1 = (a.0.max(b.0) + reach).ceil().clamp(0.0, side) as usize;
        let y0 = (a.1.min(b.1) - reach).floor().clamp(0.0, side) as usize;
        let y1 = (a.1.max(b.1) + reach).ceil().clamp(0.0, side) as usize;
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let length_squared = (dx * dx + dy * dy).max(1e-6);
        for y in y0..y1 {
            for x in x0..x1 {
                let (px, py) = (x as f32 + 0.5 - a.0, y as f32 + 0.5 - a.1);
                let along = (px * dx + py * dy) / length_squared;
                if !(0.0..1.0).contains(&along) {
                    continue;
                }
                let across = (px * dy - py * dx).abs() / length_squared.sqrt();
                let coverage = (reach - across).clamp(0.0, 1.0) * faint;
                if coverage > 0.01 {
                    paint(self, y * self.side + x, coverage);
                }
            }
        }
    }
}

fn distance(a: (f32, f32), b: (f32, f32)) -> f32 {
    (a.0 - b.0).hypot(a.1 - b.1)
}
