//! Camera placement: the mapping from millimetres on the face to pixels, and the framing.

use std::f32::consts::{FRAC_PI_2, PI};

use crate::rng::Rng;

/// How much a picture shows around the eye. The segmenter's first pass over a whole photo gets all of
/// them but `Crop`; its close-up passes get that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Macro,
    Crop,
    Close,
    Region,
    Face,
}

impl Framing {
    pub const ALL: [Self; 5] = [
        Self::Macro,
        Self::Crop,
        Self::Close,
        Self::Region,
        Self::Face,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Macro => "macro",
            Self::Crop => "crop",
            Self::Close => "close",
            Self::Region => "region",
            Self::Face => "face",
        }
    }
}

/// The photo's area within the square picture, half-open, in pixels; the rest is letterbox.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub x0: f32,
    pub y0: f32,
    pub x1: f32,
    pub y1: f32,
}

impl Window {
    /// Enlarged by `by` pixels on each side.
    pub(crate) fn grown(&self, by: f32) -> Self {
        Self {
            x0: self.x0 - by,
            y0: self.y0 - by,
            x1: self.x1 + by,
            y1: self.y1 + by,
        }
    }

    pub(crate) fn contains(&self, x: f32, y: f32) -> bool {
        x >= self.x0 && x < self.x1 && y >= self.y0 && y < self.y1
    }
}

/// A linear map of the plane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Linear {
    pub xx: f32,
    pub xy: f32,
    pub yx: f32,
    pub yy: f32,
}

impl Linear {
    pub(crate) fn apply(&self, x: f32, y: f32) -> (f32, f32) {
        (self.xx * x + self.xy * y, self.yx * x + self.yy * y)
    }

    pub(crate) fn scaled(&self, by: f32) -> Self {
        Self {
            xx: self.xx * by,
            xy: self.xy * by,
            yx: self.yx * by,
            yy: self.yy * by,
        }
    }

    pub(crate) fn after(&self, first: &Self) -> Self {
        Self {
            xx: self.xx * first.xx + self.xy * first.yx,
            xy: self.xx * first.xy + self.xy * first.yy,
            yx: self.yx * first.xx + self.yy * first.yx,
            yy: self.yx * first.xy + self.yy * first.yy,
        }
    }

    pub(crate) fn inverse(&self) -> Self {
        let k = 1.0 / (self.xx * self.yy - self.xy * self.yx);
        Self {
            xx: self.yy * k,
            xy: -self.xy * k,
            yx: -self.yx * k,
            yy: self.xx * k,
        }
    }

    /// Semi-axes and angle (radians) of the image of the unit circle (singular value decomposition).
    pub(crate) fn circle_image(&self) -> (f32, f32, f32) {
        let (e, f) = ((self.xx + self.yy) * 0.5, (self.xx - self.yy) * 0.5);
        let (g, h) = ((self.yx + self.xy) * 0.5, (self.yx - self.xy) * 0.5);
        let (q, r) = (e.hypot(h), f.hypot(g));
        let angle = (g.atan2(f) + h.atan2(e)) * 0.5;
        (q + r, (q - r).abs(), angle)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct View {
    pub side: usize,
    pub framing: Framing,
    pub window: Window,
    /// Pixel position of the centre of the eyeball in focus.
    pub origin: (f32, f32),
    pub px_per_mm: f32,
    /// Millimetres of the image plane to pixels.
    pub to_px: Linear,
    pub to_mm: Linear,
    /// Cosine of the head's rotation around the vertical axis.
    pub yaw_cos: f32,
}

pub(crate) const IRIS_RADIUS_MM: f32 = 5.9;

impl View {
    pub(crate) fn sample(rng: &mut Rng, side: usize, framing: Framing) -> Self {
        let full = side as f32;
        let window = sample_window(rng, full, framing);
        let (width, height) = (window.x1 - window.x0, window.y1 - window.y0);
        let short = width.min(height);
        let unit = full / 256.0;
        let mut radius = unit
            * match framing {
                Framing::Macro => rng.log_range(88.0, 230.0),
                Framing::Crop if rng.chance(0.8) => rng.log_range(56.0, 90.0),
                Framing::Crop => rng.log_range(40.0, 118.0),
                Framing::Close => rng.log_range(22.0, 62.0),
                Framing::Region => rng.log_range(9.5, 24.0),
                // A head, or the upper half of a person.
                Framing::Face if rng.chance(0.78) => rng.log_range(3.6, 10.5),
                Framing::Face => rng.log_range(0.5, 3.6),
            };
        if short < 0.45 * full && matches!(framing, Framing::Macro | Framing::Close | Framing::Crop)
        {
            radius = rng.log_range(0.4, 2.2) * short * 0.5;
        }
        let middle = ((window.x0 + window.x1) * 0.5, (window.y0 + window.y1) * 0.5);
        let spread = match framing {
            Framing::Macro => 0.55 * radius.min(0.6 * width),
            Framing::Crop => 0.5 * radius,
            _ => 0.0,
        };
        let origin = if spread > 0.0 {
            (
                middle.0 + spread * 0.6 * rng.normal(),
                middle.1 + spread * 0.5 * rng.normal(),
            )
        } else {
            let inset_x = (0.9 * radius).min(0.5 * width);
            let inset_y = (0.9 * radius).min(0.5 * height);
            let centred = rng.chance(0.5);
            let mut place = |low: f32, high: f32| {
                let t = if centred {
                    0.5 + 0.16 * rng.normal()
                } else {
                    rng.unit()
                };
                low + (high - low) * t.clamp(0.0, 1.0)
            };
            (
                place(window.x0 + inset_x, window.x1 - inset_x),
                place(window.y0 + inset_y, window.y1 - inset_y),
            )
        };
        let px_per_mm = radius / IRIS_RADIUS_MM;
        let roll = match rng.weighted(&[0.80, 0.15, 0.05]) {
            0 => rng.normal() * 0.13,
            1 => rng.range(-0.8, 0.8),
            _ => rng.range(-PI, PI),
        };
        let squeeze = if rng.chance(0.07) {
            rng.log_range(0.72, 1.4)
        } else {
            rng.log_range(0.97, 1.03)
        };
        let flip = rng.sign();
        let (sin, cos) = roll.sin_cos();
        let rotate = Linear {
            xx: cos * flip,
            xy: -sin,
            yx: sin * flip,
            yy: cos,
        };
        let stretch = Linear {
            xx: px_per_mm * squeeze.sqrt(),
            xy: 0.0,
            yx: 0.0,
            yy: px_per_mm / squeeze.sqrt(),
        };
        let to_px = stretch.after(&rotate);
        let yaw = if rng.chance(0.7) {
            0.2 * rng.normal()
        } else {
            rng.range(-0.85, 0.85)
        };
        Self {
            side,
            framing,
            window,
            origin,
            px_per_mm,
            to_px,
            to_mm: to_px.inverse(),
            yaw_cos: yaw.cos(),
        }
    }
}

impl View {
    /// An iris of the given radius in pixels, in the middle of the picture.
    pub(crate) fn of_iris(rng: &mut Rng, side: usize, radius: f32) -> Self {
        let view = Self::sample(rng, side, Framing::Macro);
        let scale = radius / (view.px_per_mm * IRIS_RADIUS_MM);
        let (full, middle) = (side as f32, side as f32 * 0.5);
        Self {
            window: Window {
                x0: 0.0,
                y0: 0.0,
                x1: full,
                y1: full,
            },
            origin: (middle, middle),
            ..view.zoomed(scale)
        }
    }

    /// Zoomed in by the factor `by`, around the middle of the picture.
    pub(crate) fn zoomed(mut self, by: f32) -> Self {
        let middle = self.side as f32 * 0.5;
        let away = |from: f32| middle + (from - middle) * by;
        self.origin = (away(self.origin.0), away(self.origin.1));
        self.px_per_mm *= by;
        self.to_px = self.to_px.scaled(by);
        self.to_mm = self.to_px.inverse();
        self
    }

    /// Moves the camera so that the point at offset `mm` from the eyeball's centre takes its place.
    pub(crate) fn centre_on(&mut self, mm: (f32, f32)) {
        let (x, y) = self.to_px.apply(mm.0, mm.1);
        self.origin = (self.origin.0 - x, self.origin.1 - y);
    }

    /// Moves the camera to another part of the face, with no eye in the picture.
    pub(crate) fn look_away(&mut self, rng: &mut Rng) {
        let middle = self.side as f32 * 0.5;
        // The offset exceeds half the picture plus half an eye.
        let bearing =
            rng.pick(&[FRAC_PI_2, FRAC_PI_2, FRAC_PI_2, -FRAC_PI_2, 0.0, PI]) + 0.3 * rng.normal();
        let away_px = 1.45 * middle + self.px_per_mm * 19.0 * rng.range(0.9, 1.6);
        self.origin = (
            middle - bearing.cos() * away_px,
            middle - bearing.sin() * away_px,
        );
    }
}

fn sample_window(rng: &mut Rng, full: f32, framing: Framing) -> Window {
    let whole = Window {
        x0: 0.0,
        y0: 0.0,
        x1: full,
        y1: full,
    };
    if framing == Framing::Crop {
        // A crop that extends beyond the border of the photo.
        if rng.chance(0.8) {
            return whole;
        }
        let mut window = whole;
        let cut = |rng: &mut Rng| {
            if rng.chance(0.4) {
                rng.range(0.0, 0.42) * full
            } else {
                0.0
            }
        };
        window.x0 = cut(rng);
        window.x1 = full - cut(rng);
        window.y0 = cut(rng);
        window.y1 = full - cut(rng);
        return window;
    }
    let aspect = match rng.weighted(&[0.3, 0.25, 0.2, 0.12, 0.13]) {
        0 => return whole,
        1 => 4.0 / 3.0,
        2 => 1.5,
        3 => 16.0 / 9.0,
        _ if framing == Framing::Face => 1.3,
        _ => rng.log_range(1.8, 13.0),
    };
    let wide = rng.chance(if aspect > 2.0 { 0.9 } else { 0.65 });
    let margin = (full - full / aspect) * 0.5;
    if wide {
        Window {
            y0: margin.round(),
            y1: (full - margin).round(),
            ..whole
        }
    } else {
        Window {
            x0: margin.round(),
            x1: (full - margin).round(),
            ..whole
        }
    }
}
