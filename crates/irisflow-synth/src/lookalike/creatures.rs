//! Look-alikes from living things and toys: animals' eyes, snouts, mouths, googly and drawn eyes.

use crate::colour::{bell, length, luminance, mix, scale, smoothstep};
use crate::noise::Tiles;

use super::{Kind, Painted, Spot, Thing};

impl Thing {
    pub(super) fn animal_eye(&self, tiles: &Tiles, spot: &Spot) -> Painted {
        let Spot {
            u,
            v,
            r,
            aa,
            around,
            ..
        } = *spot;
        let [a, b, c, _] = self.colours;
        let mut glow = [0.0; 3];
        let slit = if matches!(self.kind, Kind::SlitEye) {
            0.18 + 0.25 * self.radii[0]
        } else {
            1.0
        };
        let pupil_size = if matches!(self.kind, Kind::SlitEye) {
            0.75
        } else {
            0.25 + 0.65 * self.radii[1]
        };
        let inside = length(u / slit, v) / pupil_size;
        let strand = tiles.rough.at(around, r * 20.0);
        let texture = scale(
            mix(a, b, smoothstep(0.3, 1.0, r)),
            (1.0 + 0.35 * strand).max(0.1),
        );
        let eye = mix(texture, [0.004; 3], smoothstep(1.06, 0.94, inside));
        if let Some(mirrored) = &self.mirrored
            && r < 1.0
        {
            let z = (1.0 - 0.5 * r * r).max(0.2).sqrt();
            glow = mirrored.at(tiles, u * 0.8 / z, v * 0.8 / z).light;
        }
        // A dark rim, then fur radiating away.
        let lid = smoothstep(0.92, 1.05, r) * smoothstep(1.5, 1.15, r);
        let hair = tiles.rough.at(around * 3.0, r * 6.0);
        let fur = scale(c, (1.0 + 0.5 * hair).max(0.1));
        let cover = smoothstep(2.2, 1.2, r);
        let colour = mix(
            mix(eye, fur, smoothstep(1.0 - aa, 1.1, r)),
            [0.006, 0.005, 0.005],
            0.85 * lid,
        );
        Painted {
            colour,
            glow,
            cover,
        }
    }

    pub(super) fn drawn_eye(&self, tiles: &Tiles, spot: &Spot) -> Painted {
        let Spot { u, v, r, .. } = *spot;
        let [a, _, _, d] = self.colours;
        let corner = (1.0 - (u / 2.0).powi(2)).max(0.0);
        let high = 0.8 + 0.5 * self.radii[3];
        // An almond or an ellipse; the upper line is often the thicker one.
        let line = v.abs()
            - high
                * if self.count > 14.0 {
                    corner
                } else {
                    corner.sqrt()
                };
        let pen = 0.03 + 0.12 * self.radii[0] * if v < 0.0 { 1.0 } else { 0.5 };
        let ink = bell(line / pen);
        let cover = if line < pen { 1.0 } else { ink };
        let white = mix([0.85; 3], d, if self.count > 12.0 { 0.6 } else { 0.0 });
        let crayon = 1.0 + 0.5 * self.radii[1] * tiles.rough.at(u * 90.0 + self.offset, v * 90.0);
        let size = 0.55 + 0.4 * self.radii[4];
        let mut colour = mix(white, scale(a, crayon.max(0.1)), spot.disc(size));
        colour = mix(
            colour,
            scale(a, 0.2),
            bell((r - size) / 0.04) * self.radii[2],
        );
        colour = mix(
            colour,
            [0.004; 3],
            spot.disc(size * (0.35 + 0.4 * self.radii[2])),
        );
        let gleam = (u - 0.3 * self.light.0).hypot(v - 0.35) / (0.08 + 0.15 * self.radii[1]);
        colour = mix(colour, [0.9; 3], smoothstep(1.1, 0.9, gleam));
        let colour = mix(colour, [0.004; 3], ink);
        Painted {
            colour,
            glow: [0.0; 3],
            cover,
        }
    }

    pub(super) fn googly(&self, tiles: &Tiles, spot: &Spot) -> Painted {
        let Spot {
            u, v, r, aa, shade, ..
        } = *spot;
        let [a, _, _, d] = self.colours;
        let mut glow = [0.0; 3];
        // A loose black disc in a white one, or sewn and painted variants.
        let loose = 0.5 * (1.0 - self.radii[3]);
        let (du, dv) = (u - loose * self.light.0, v - loose * self.light.1);
        let black = length(du, dv) / (0.25 + 0.5 * self.radii[3]);
        let white = mix([0.8; 3], d, if self.count > 16.0 { 0.7 } else { 0.05 });
        let mut colour = scale(white, shade * (1.0 - 0.4 * r * r));
        let ring = if self.count > 12.0 { a } else { [0.004; 3] };
        colour = mix(colour, ring, smoothstep(1.0 + aa, 1.0 - aa, black));
        colour = mix(colour, [0.004; 3], smoothstep(0.7, 0.62, black));
        let rim = bell((r - 0.97) / 0.03) * self.radii[1];
        if let Some(mirrored) = &self.mirrored {
            let z = (1.1 - r * r).max(0.2).sqrt();
            glow = scale(mirrored.at(tiles, u / z, v / z).light, 0.5 * spot.disc(1.0));
        }
        let colour = mix(colour, [0.01; 3], rim);
        Painted {
            colour,
            glow,
            cover: spot.disc(1.0),
        }
    }

    pub(super) fn snout(&self, tiles: &Tiles, spot: &Spot) -> Painted {
        let Spot {
            u, v, r, around, ..
        } = *spot;
        let [a, _, c, _] = self.colours;
        let hair = tiles.rough.at(around * 3.0, r * 6.0);
        let fur = scale(c, (1.0 + 0.5 * hair).max(0.1));
        let leather = tiles.spots.at(u * 60.0 + self.offset, v * 60.0);
        let nose = scale(mix(a, c, 0.4), (0.6 - 0.3 * v + 0.12 * leather).max(0.05));
        let cover = smoothstep(2.2, 1.3, r);
        let bare = (u / 0.95).hypot(v / 0.7);
        let hole = ((u.abs() - 0.45) / 0.26).hypot((v - 0.1 + 0.3 * (u.abs() - 0.45)) / 0.17);
        let groove = bell(u / 0.04) * smoothstep(0.1, 0.4, v);
        let colour = mix(fur, nose, smoothstep(1.1, 0.85, bare));
        let colour = scale(
            colour,
            1.0 - 0.95 * smoothstep(1.15, 0.8, hole) - 0.5 * groove.min(0.8),
        )
        .map(|v| v.max(0.002));
        Painted {
            colour,
            glow: [0.0; 3],
            cover,
        }
    }

    pub(super) fn mouth(&self, tiles: &Tiles, spot: &Spot) -> Painted {
        let Spot { u, v, .. } = *spot;
        let [a, _, _, _] = self.colours;
        let corner = (1.0 - (u / 1.9).powi(2)).max(0.0);
        let dip = 1.0 - 0.3 * bell(u / 0.3);
        let open = 0.5 * self.radii[0] * corner;
        let (top, bottom) = (-0.62 * corner.sqrt() * dip, 0.8 * corner.sqrt());
        let cover =
            smoothstep(top - 0.05, top + 0.02, v) * smoothstep(bottom + 0.05, bottom - 0.02, v);
        let value = luminance(a).max(0.02);
        let crinkle = 1.0 + 0.2 * tiles.rough.at(u * 70.0 + self.offset, v * 12.0);
        let lips = scale(
            [1.7 * value, 0.62 * value, 0.6 * value],
            crinkle * (1.1 - 0.5 * v.abs()),
        );
        let teeth = if self.count > 12.0 && v < open * 0.2 {
            scale([0.6, 0.57, 0.5], 1.0 - 0.5 * bell((u * 3.5).sin() / 0.2))
        } else {
            [0.02, 0.008, 0.008]
        };
        let colour = mix(lips, teeth, smoothstep(open + 0.02, open - 0.02, v.abs()));
        Painted {
            colour,
            glow: [0.0; 3],
            cover,
        }
    }
}
