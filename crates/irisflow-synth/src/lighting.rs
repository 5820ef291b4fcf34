//! Lighting of the face: key and ambient light over a coarse normal map of the face.

use std::f32::consts::TAU;

use crate::colour::{Rgb, bell, scale, smoothstep, srgb};
use crate::rng::Rng;

#[derive(Debug, Clone)]
pub(crate) struct Lighting {
    key: [f32; 3],
    key_colour: Rgb,
    ambient: Rgb,
    /// A hard shadow across the face: direction, position (mm), softness (mm), remaining light (0 to 1).
    shadow: Option<((f32, f32), f32, f32, f32)>,
}

impl Lighting {
    pub(crate) fn sample(rng: &mut Rng) -> Self {
        // Low-key lighting: one lamp from the side and hardly any ambient light.
        let low_key = rng.chance(0.18);
        let tints = [
            [1.0, 1.0, 1.0],
            srgb(255.0, 244.0, 230.0),
            srgb(255.0, 228.0, 196.0),
            srgb(228.0, 238.0, 255.0),
        ];
        let (x, y): (f32, f32) = match if low_key {
            1
        } else {
            rng.weighted(&[0.5, 0.3, 0.2])
        } {
            0 => (rng.normal() * 0.4, -0.4 + rng.normal() * 0.3),
            1 => (rng.sign() * rng.range(0.6, 1.6), rng.range(-0.8, 0.3)),
            _ => (rng.normal() * 0.1, rng.normal() * 0.1),
        };
        let z = rng.range(0.35, 1.1);
        let length = (x * x + y * y + z * z).sqrt();
        let ratio = if low_key || rng.chance(0.08) {
            rng.range(0.9, 0.99)
        } else {
            rng.range(0.15, 0.9)
        };
        let bearing = rng.range(0.0, TAU);
        Self {
            key: [x / length, y / length, z / length],
            key_colour: scale(rng.pick(&tints), ratio),
            ambient: scale(rng.pick(&tints), 1.05 - ratio),
            shadow: rng.chance(0.11).then(|| {
                (
                    (bearing.cos(), bearing.sin()),
                    rng.range(-10.0, 16.0),
                    rng.log_range(0.6, 18.0),
                    rng.range(0.15, 0.7),
                )
            }),
        }
    }

    /// Irradiance of a surface with this normal.
    #[inline]
    pub(crate) fn on(&self, normal: [f32; 3]) -> Rgb {
        let facing = normal[0] * self.key[0] + normal[1] * self.key[1] + normal[2] * self.key[2];
        // Subsurface scattering: light bleeds around the terminator.
        let lit = ((facing + 0.2) / 1.2).max(0.0);
        let above = 0.85 - 0.15 * normal[1];
        [
            self.key_colour[0] * lit + self.ambient[0] * above,
            self.key_colour[1] * lit + self.ambient[1] * above,
            self.key_colour[2] * lit + self.ambient[2] * above,
        ]
    }

    /// Share of light that the hard shadow leaves at a position of the face.
    #[inline]
    pub(crate) fn unshadowed(&self, x: f32, y: f32) -> f32 {
        match self.shadow {
            None => 1.0,
            Some(((dx, dy), place, soft, left)) => {
                left + (1.0 - left) * smoothstep(-soft, soft, x * dx + y * dy - place)
            }
        }
    }

    pub(crate) fn key(&self) -> [f32; 3] {
        self.key
    }
}

/// Ambient occlusion of the eye socket, 0 to about 0.6.
pub(crate) fn socket_depth(x: f32, y: f32) -> f32 {
    let dent = |cx: f32, cy: f32, width: f32, height: f32| {
        let (u, v) = ((x.abs() - cx) / width, (y - cy) / height);
        bell((u * u + v * v).sqrt())
    };
    let sum = 0.5 * dent(17.0, -3.0, 7.0, 9.0)
        + 0.4 * dent(29.0, -11.5, 15.0, 5.5)
        + 0.22 * dent(31.0, 3.0, 21.0, 13.0)
        + 0.25 * dent(13.0, 30.0, 5.0, 18.0);
    sum.min(0.75)
}

/// Bumps of the face: x (mirrored for both sides), y, width, height, elevation; in millimetres.
const RELIEF: [(f32, f32, f32, f32, f32); 10] = [
    (0.0, 22.0, 10.0, 34.0, 15.0),
    (0.0, 46.0, 13.0, 10.0, 9.0),
    (30.0, -19.0, 26.0, 8.0, 5.0),
    (32.0, 1.0, 20.0, 15.0, -7.0),
    (32.0, 1.0, 14.0, 11.0, 7.0),
    (40.0, 38.0, 26.0, 22.0, 8.0),
    (0.0, 74.0, 24.0, 12.0, 5.0),
    (0.0, 100.0, 20.0, 14.0, 6.0),
    (32.0, 14.0, 15.0, 5.0, 1.6),
    (11.0, 50.0, 7.0, 7.0, 4.0),
];

/// Surface normal at a position in face millimetres ((0, 0) is between the eyes).
pub(crate) fn face_normal(x: f32, y: f32, half: (f32, f32), bag: f32) -> [f32; 3] {
    let (mut slope_x, mut slope_y) = (0.0, 0.0);
    for (index, &(bx, by, width, height, high)) in RELIEF.iter().enumerate() {
        let high = if index == 8 { high * bag } else { high };
        for side in [1.0, -1.0] {
            if side < 0.0 && bx == 0.0 {
                continue;
            }
            let (u, v) = ((x - bx * side) / width, (y - by) / height);
            let g = high * bell((u * u + v * v).sqrt());
            slope_x += -2.0 * u / width * g;
            slope_y += -2.0 * v / height * g;
        }
    }
    let (hx, hy) = (x / (half.0 * 1.15), (y - 10.0) / (half.1 * 1.25));
    let away = (1.0 - hx * hx - hy * hy).max(0.06).sqrt();
    let normal = [hx / away * 0.75 - slope_x, hy / away * 0.5 - slope_y, 1.0];
    let length = (normal[0] * normal[0] + normal[1] * normal[1] + 1.0).sqrt();
    normal.map(|c| c / length)
}
