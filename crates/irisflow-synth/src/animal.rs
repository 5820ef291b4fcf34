//! Animal faces, as negative examples: an eye that is nearly all iris, without sclera, in fur.

use crate::colour::{Rgb, length, mix, scale, smoothstep, srgb};
use crate::lids::Lids;
use crate::noise::Tiles;
use crate::person::Person;
use crate::rng::Rng;

/// About half the height of the palpebral fissure (the opening between the lids).
const EYE_MM: f32 = 5.6;

#[derive(Debug, Clone)]
pub(crate) struct Fur {
    ground: Rgb,
    /// Colour of the stripes or patches, and around the eye.
    second: Rgb,
    pale: Rgb,
    /// Strength of the stripes, 0 to 1.
    striped: f32,
    /// Width of the dark skin around the eye, and of the pale fur around that, mm.
    rim_mm: f32,
    pale_mm: f32,
    /// Contrast and length of the hair.
    rough: f32,
    length_mm: f32,
    /// Half width of the nose; none at 0.
    nose_mm: f32,
    nose_y: f32,
    offset: f32,
}

impl Fur {
    fn sample(rng: &mut Rng) -> Self {
        let colours = [
            srgb(205.0, 140.0, 80.0),
            srgb(150.0, 100.0, 60.0),
            srgb(110.0, 80.0, 60.0),
            srgb(140.0, 136.0, 130.0),
            srgb(70.0, 66.0, 64.0),
            srgb(28.0, 26.0, 26.0),
            srgb(225.0, 220.0, 212.0),
            srgb(190.0, 170.0, 140.0),
            srgb(120.0, 50.0, 28.0),
        ];
        let ground = scale(rng.pick(&colours), rng.log_range(0.6, 1.4));
        let second = if rng.chance(0.6) {
            scale(ground, rng.log_range(0.15, 0.8))
        } else {
            rng.pick(&colours)
        };
        Self {
            ground,
            second,
            pale: mix(ground, srgb(230.0, 222.0, 210.0), rng.range(0.0, 0.8)),
            striped: rng.range(0.0, 1.0) * rng.unit(),
            rim_mm: rng.range(0.4, 2.4),
            pale_mm: rng.range(0.5, 6.0),
            rough: rng.range(0.15, 0.7),
            length_mm: rng.log_range(2.0, 9.0),
            nose_mm: if rng.chance(0.8) {
                rng.range(4.0, 13.0)
            } else {
                0.0
            },
            nose_y: rng.range(18.0, 42.0),
            offset: rng.range(0.0, 512.0),
        }
    }

    /// `face_x`, `y`: millimetres from the middle of the face and from the height of the eyes; `lid_x`:
    /// towards the outer corner, in half widths of the opening.
    pub(crate) fn colour_at(&self, tiles: &Tiles, face_x: f32, y: f32, lid_x: f32) -> Rgb {
        let beyond = EYE_MM * (length(lid_x, y / EYE_MM) - 1.0);
        // Hair grows away from the nose and around the eye.
        let flow = (y + 40.0).atan2(face_x + 2.5 * lid_x) * 26.0;
        let far = length(face_x, y + 40.0);
        let hair = tiles
            .rough
            .at(flow * 7.0 + self.offset, far * 9.0 / self.length_mm);
        let lock = tiles
            .cloud
            .at(flow * 3.0 + self.offset, far * 6.0 / self.length_mm);
        let stripe = tiles.drift.at(far * 3.0 + self.offset, flow * 0.6);
        let mut colour = mix(
            self.ground,
            self.second,
            self.striped * smoothstep(0.0, 0.7, stripe + 0.2 * hair),
        );
        let near_eye = smoothstep(self.rim_mm + self.pale_mm, self.rim_mm, beyond + 0.4 * lock);
        colour = mix(colour, self.pale, near_eye);
        colour = scale(
            colour,
            (1.0 + self.rough * (0.7 * hair + 0.5 * lock)).max(0.12),
        );
        let rim = smoothstep(self.rim_mm, 0.6 * self.rim_mm, beyond + 0.15 * hair);
        colour = mix(colour, [0.012, 0.009, 0.008], 0.92 * rim);
        if self.nose_mm > 0.0 {
            let (across, down) = (
                face_x.abs() / self.nose_mm,
                (y - self.nose_y) / self.nose_mm,
            );
            let nose = across + 0.6 * down.max(-1.2 * down);
            let skin = mix([0.02, 0.016, 0.015], [0.4, 0.2, 0.18], self.striped);
            colour = mix(colour, skin, smoothstep(1.05, 0.85, nose));
        }
        colour
    }
}

/// Keeps the head, light and position; replaces the human features (skin, lids, lashes, glasses).
pub(crate) fn turn_into_animal(rng: &mut Rng, person: &mut Person) {
    person.fur = Some(Fur::sample(rng));
    person.gaze = (rng.normal() * 0.1, rng.normal() * 0.08);
    person.lids = Lids::of_animal(rng);
    person.sclera.colour = scale(srgb(150.0, 120.0, 100.0), rng.log_range(0.03, 0.4));
    person.iris.make_animal(rng);
    person.brow_density = 0.0;
    person.lashes.upper_count = 0;
    person.lashes.lower_count = 0;
    person.glasses = None;
    person.strands = 0;
    person.eye_distance = rng.range(26.0, 66.0);
}
