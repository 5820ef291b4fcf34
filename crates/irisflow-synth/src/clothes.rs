//! Neck and clothes below the face.

use crate::colour::{Rgb, bell, mix, scale, smoothstep};
use crate::noise::Tiles;
use crate::rng::Rng;

/// Positions of collar and shoulder ends, in millimetres below the eyes.
const COLLAR_MM: f32 = 118.0;
const SHOULDER_MM: f32 = 190.0;

#[derive(Debug)]
pub(crate) struct Clothes {
    cloth: Rgb,
    shirt: Rgb,
    tie: Option<Rgb>,
    /// Half width of the neckline at the collar, and its narrowing per millimetre.
    neckline: (f32, f32),
    shoulders: f32,
    folds: f32,
    offset: f32,
}

impl Clothes {
    pub(crate) fn sample(rng: &mut Rng) -> Self {
        let colour = |rng: &mut Rng, low: f32, high: f32| {
            let value = rng.log_range(low, high);
            [
                value * rng.log_range(0.6, 1.7),
                value,
                value * rng.log_range(0.6, 1.7),
            ]
        };
        Self {
            cloth: if rng.chance(0.55) {
                colour(rng, 0.003, 0.04)
            } else {
                colour(rng, 0.03, 0.7)
            },
            shirt: colour(rng, 0.05, 0.8),
            tie: rng.chance(0.25).then(|| colour(rng, 0.01, 0.4)),
            neckline: (rng.range(30.0, 75.0), rng.range(0.2, 1.4)),
            shoulders: rng.range(150.0, 230.0),
            folds: rng.range(0.1, 0.6),
            offset: rng.range(0.0, 512.0),
        }
    }

    /// Albedo at a position in face millimetres; `None` outside the clothes.
    pub(crate) fn at(&self, tiles: &Tiles, x: f32, y: f32) -> Option<Rgb> {
        let top = COLLAR_MM + 10.0 * smoothstep(20.0, 0.0, x.abs());
        if y < top {
            return None;
        }
        let fall = smoothstep(COLLAR_MM, SHOULDER_MM, y);
        let half = 50.0 + (self.shoulders - 50.0) * fall.sqrt();
        if x.abs() > half {
            return None;
        }
        let fold = tiles
            .cloud
            .at(x * 1.3 + self.offset, y * 0.7 + 0.2 * x + self.offset);
        let shade = (1.0 + self.folds * fold).max(0.15) * (1.0 - 0.5 * (x / half).powi(4));
        let opening = self.neckline.0 - self.neckline.1 * (y - COLLAR_MM);
        let mut colour = scale(self.cloth, shade);
        if opening > 0.0 {
            let inside = smoothstep(opening + 2.0, opening - 2.0, x.abs());
            let under = scale(self.shirt, shade);
            colour = mix(colour, under, inside);
            colour = scale(colour, 1.0 - 0.5 * bell((x.abs() - opening) / 3.0));
        }
        if let Some(tie) = self.tie {
            let width = 14.0 + 0.12 * (y - COLLAR_MM);
            let stripe = 1.0 + 0.4 * ((x + y) * 0.25).sin();
            let on = smoothstep(width, width - 3.0, x.abs());
            colour = mix(colour, scale(tie, stripe * shade), on);
        }
        Some(colour)
    }
}
