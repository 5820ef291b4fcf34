//! What stands between the lights and the eye, seen as silhouettes in the reflection: the person's own
//! lashes, and the phone and fingers of the photographer.
//!
//! Positions are stereographic coordinates of the surface normal, as in `reflections.rs`.

use std::f32::consts::TAU;

use crate::colour::{length, smoothstep};
use crate::rng::Rng;

#[derive(Debug, Clone, Default)]
pub(crate) struct Foreground {
    combs: Vec<LashComb>,
    phone: Option<Phone>,
}

impl Foreground {
    pub(crate) fn sample(rng: &mut Rng) -> Self {
        let combs = match rng.weighted(&[0.38, 0.38, 0.16, 0.08]) {
            0 => Vec::new(),
            1 => vec![LashComb::sample(rng, false)],
            2 => vec![LashComb::sample(rng, false), LashComb::sample(rng, false)],
            _ => vec![LashComb::sample(rng, false), LashComb::sample(rng, true)],
        };
        Self {
            combs,
            phone: rng.chance(0.25).then(|| Phone::sample(rng)),
        }
    }

    /// Share of the light that lashes hide, and the share that reaches the eye past everything.
    pub(crate) fn shade(&self, x: f32, y: f32) -> (f32, f32) {
        let mut left = 1.0;
        for comb in &self.combs {
            left *= 1.0 - comb.shade(x, y);
        }
        let lashes = 1.0 - left;
        if let Some(phone) = &self.phone {
            left *= 1.0 - phone.shade(x, y);
        }
        (lashes, left)
    }
}

/// A row of lashes that fans out from a point behind the lid.
#[derive(Debug, Clone)]
struct LashComb {
    pivot: (f32, f32),
    /// -1 for the lashes of the lower lid.
    down: f32,
    /// Strands per radian.
    density: f32,
    /// Half width of a strand, in strand distances.
    width: f32,
    /// Distance from the pivot at which the shortest and the longest strands end.
    ends: (f32, f32),
    bend: f32,
    softness: f32,
    opacity: f32,
    missing: f32,
    seed: u32,
}

impl LashComb {
    fn sample(rng: &mut Rng, is_lower: bool) -> Self {
        let away = rng.range(1.6, 4.0);
        let reach = if is_lower {
            rng.range(-0.8, 0.1)
        } else {
            rng.range(-0.6, 0.9)
        };
        Self {
            pivot: (rng.normal() * 0.3, -away),
            down: if is_lower { -1.0 } else { 1.0 },
            density: away * rng.log_range(5.0, 22.0),
            width: rng.range(0.12, 0.4),
            ends: (away + reach - rng.range(0.2, 0.9), away + reach),
            bend: rng.normal() * 0.12,
            softness: rng.log_range(0.03, 0.2),
            opacity: rng.range(0.5, 1.0),
            missing: rng.range(0.0, 0.5),
            seed: rng.next_u32(),
        }
    }

    fn shade(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (x - self.pivot.0, y * self.down - self.pivot.1);
        let far = length(dx, dy);
        if far > self.ends.1 {
            return 0.0;
        }
        let position = ((dx / dy.max(0.1)).atan() + self.bend * (far - self.ends.1)) * self.density;
        let nearest = position.round();
        let mut shade = 0.0f32;
        for strand in [nearest - 1.0, nearest, nearest + 1.0] {
            let [shift, end, gap] = self.random(strand as i32);
            if gap < self.missing {
                continue;
            }
            let end = self.ends.0 + (self.ends.1 - self.ends.0) * end;
            let taper = ((end - far) * 3.0).clamp(0.0, 1.0).sqrt();
            if taper > 0.0 {
                let across = (position - strand - 0.9 * (shift - 0.5)).abs();
                let half = self.width * taper;
                shade = shade.max(smoothstep(
                    half + self.softness,
                    half - self.softness,
                    across,
                ));
            }
        }
        shade * self.opacity
    }

    /// Three numbers in `[0, 1)` that belong to a strand.
    fn random(&self, strand: i32) -> [f32; 3] {
        let mut bits = (strand as u32).wrapping_mul(0x9e37_79b9) ^ self.seed;
        bits = (bits ^ (bits >> 15)).wrapping_mul(0x2c1b_3c6d);
        bits = (bits ^ (bits >> 12)).wrapping_mul(0x297a_2d39);
        bits ^= bits >> 15;
        [0, 10, 20].map(|shift| ((bits >> shift) & 0x3ff) as f32 / 1024.0)
    }
}

/// A phone or camera, with the fingers or the head behind it.
#[derive(Debug, Clone)]
struct Phone {
    at: (f32, f32),
    half: (f32, f32),
    turn: (f32, f32),
    fingers: usize,
    /// -1 left, 1 right.
    side: f32,
    head: f32,
    opacity: f32,
    softness: f32,
}

impl Phone {
    fn sample(rng: &mut Rng) -> Self {
        let angle = rng.range(0.0, TAU) * if rng.chance(0.3) { 1.0 } else { 0.04 };
        let size = rng.log_range(0.06, 0.35);
        Self {
            at: (rng.normal() * 0.15, rng.normal() * 0.15),
            half: (size * rng.range(0.45, 0.7), size),
            turn: (angle.cos(), angle.sin()),
            fingers: rng.below(5),
            side: rng.sign(),
            head: if rng.chance(0.4) {
                rng.range(1.2, 2.2) * size
            } else {
                0.0
            },
            opacity: rng.range(0.6, 1.0),
            softness: rng.log_range(0.01, 0.06),
        }
    }

    fn shade(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (x - self.at.0, y - self.at.1);
        let u = dx * self.turn.0 + dy * self.turn.1;
        let v = dy * self.turn.0 - dx * self.turn.1;
        let corner = 0.2 * self.half.0;
        let body = length(
            (u.abs() - self.half.0 + corner).max(0.0),
            (v.abs() - self.half.1 + corner).max(0.0),
        ) - corner;
        let mut outside = body;
        for finger in 0..self.fingers {
            let high = (finger as f32 - 1.0) * 0.42 * self.half.1;
            let along = (u * self.side - self.half.0).abs() - 0.3 * self.half.0;
            let capsule = length(along.max(0.0), v - high) - 0.16 * self.half.1;
            outside = outside.min(capsule);
        }
        if self.head > 0.0 {
            let skull = length(u, v * 0.8 + 0.3 * self.half.1) - self.head;
            let shoulders = (u.abs() - 2.2 * self.head).max(self.head - v);
            outside = outside.min(skull).min(shoulders);
        }
        self.opacity * smoothstep(self.softness, -self.softness, outside)
    }
}
