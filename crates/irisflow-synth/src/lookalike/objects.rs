//! Look-alikes from round objects: rings, wheels, lenses, plates, flowers, jewellery.

use crate::colour::{bell, mix, scale, smoothstep};
use crate::noise::Tiles;

use super::{Painted, Spot, Thing};

impl Thing {
    pub(super) fn rings(&self, spot: &Spot) -> Painted {
        let [a, b, c, d] = self.colours;
        let mut colour = a;
        for (i, &edge) in self.radii.iter().rev().enumerate() {
            colour = mix(colour, [b, c, d, a, b][i], spot.disc(edge));
        }
        let colour = colour;
        Painted::on_disc(spot, colour)
    }

    pub(super) fn button(&self, spot: &Spot) -> Painted {
        let Spot {
            u, v, r, aa, shade, ..
        } = *spot;
        let [a, b, _, _] = self.colours;
        let mut colour = mix(a, scale(a, 0.55), bell((r - 0.78) / 0.06));
        for k in 0..4 {
            let hole =
                (u - 0.2 * [1.0, -1.0, 1.0, -1.0][k]).hypot(v - 0.2 * [1.0, 1.0, -1.0, -1.0][k]);
            colour = mix(
                colour,
                scale(b, 0.2),
                smoothstep(0.11 + aa, 0.11 - aa, hole),
            );
        }
        let colour = scale(colour, shade);
        Painted::on_disc(spot, colour)
    }

    pub(super) fn wheel(&self, spot: &Spot) -> Painted {
        let Spot { angle, shade, .. } = *spot;
        let [a, b, c, d] = self.colours;
        let spoke = smoothstep(0.2, 0.4, (angle * self.count * 0.5).sin().abs());
        let inner = mix(b, scale(c, 0.3), spoke);
        let rim = mix(scale(a, 0.2), inner, spot.disc(self.radii[3].max(0.5)));
        let colour = scale(mix(rim, d, spot.disc(0.15)), shade);
        Painted::on_disc(spot, colour)
    }

    pub(super) fn flower(&self, spot: &Spot) -> Painted {
        let Spot { r, aa, angle, .. } = *spot;
        let [a, b, c, _] = self.colours;
        let layer = (r * (2.0 + self.count * 0.2)).floor();
        let petal = (angle * self.count * 0.5 + layer * 1.3).sin().abs();
        let cover = smoothstep(1.0 + aa, 1.0 - aa, r / (0.75 + 0.25 * petal));
        let body = scale(
            mix(a, b, r),
            0.5 + 0.7 * petal - 0.3 * (r * (2.0 + self.count * 0.2)).fract(),
        );
        let colour = mix(body, c, spot.disc(self.radii[0]));
        Painted {
            colour,
            glow: [0.0; 3],
            cover,
        }
    }

    pub(super) fn ball(&self, tiles: &Tiles, spot: &Spot) -> Painted {
        let Spot { u, v, r, .. } = *spot;
        let [a, b, _, _] = self.colours;
        let mut glow = [0.0; 3];
        let z = (1.0 - r * r).max(0.0).sqrt();
        let lit = (0.5 + 0.5 * z + 0.5 * (u * self.light.0 + v * self.light.1)).max(0.05);
        let skin = 1.0 + 0.15 * tiles.rough.at(u * 60.0 + self.offset, v * 60.0);
        let stem = mix(a, b, bell((u - 0.2).hypot(v + 0.1) / 0.16));
        if let Some(mirrored) = &self.mirrored {
            let z = z.max(0.15);
            glow = mirrored.at(tiles, u / z, v / z).light;
        }
        let colour = scale(stem, lit * skin);
        Painted {
            colour,
            glow,
            cover: spot.disc(1.0),
        }
    }

    pub(super) fn gem(&self, spot: &Spot) -> Painted {
        let Spot {
            r, angle, shade, ..
        } = *spot;
        let [a, b, _, _] = self.colours;
        let facet = ((angle * 1.6 + self.offset).sin() * 2.0
            + (r * 3.5).floor() * 1.7
            + (angle * 2.5).floor())
        .sin();
        let shine = 0.6 + 0.6 * facet;
        let stone = scale(a, shine.max(0.1));
        let colour = mix(scale(b, shade), stone, spot.disc(0.72));
        Painted::on_disc(spot, colour)
    }

    pub(super) fn lens(&self, tiles: &Tiles, spot: &Spot) -> Painted {
        let Spot { u, v, r, .. } = *spot;
        let [a, b, _, _] = self.colours;
        let mut glow = [0.0; 3];
        let mut colour = scale(mix(a, [0.02; 3], 0.8), 1.0);
        for &edge in &self.radii {
            colour = mix(colour, scale(b, 0.25), bell((r - edge) / 0.015));
        }
        if let Some(mirrored) = &self.mirrored {
            let z = (1.2 - r * r).max(0.15).sqrt();
            glow = scale(mirrored.at(tiles, u / z, v / z).light, spot.disc(0.8));
        }
        let colour = mix(colour, [0.003; 3], spot.disc(self.radii[1]));
        Painted {
            colour,
            glow,
            cover: spot.disc(1.0),
        }
    }

    pub(super) fn hole(&self, spot: &Spot) -> Painted {
        let Spot { shade, .. } = *spot;
        let [a, _, _, _] = self.colours;
        let colour = mix(
            scale(a, shade),
            [0.003, 0.003, 0.003],
            spot.disc(self.radii[2]),
        );
        Painted::on_disc(spot, colour)
    }

    pub(super) fn coin(&self, tiles: &Tiles, spot: &Spot) -> Painted {
        let Spot { u, v, r, shade, .. } = *spot;
        let [a, _, _, _] = self.colours;
        let relief = tiles.cloud.at(u * 40.0 + self.offset, v * 40.0)
            - tiles.cloud.at(u * 40.0 + self.offset + 2.0, v * 40.0 + 2.0);
        let edge = bell((r - 0.92) / 0.04);
        let colour = scale(a, (shade + 2.0 * relief + 0.5 * edge).max(0.05));
        Painted::on_disc(spot, colour)
    }

    pub(super) fn plate(&self, spot: &Spot) -> Painted {
        let Spot {
            u,
            v,
            r,
            angle,
            shade,
            ..
        } = *spot;
        let [a, b, c, _] = self.colours;
        let well = 0.5 + 0.25 * self.radii[2];
        let slope = bell((r - well) / 0.06) - bell((r - 0.97) / 0.03);
        let lit = shade + 0.6 * slope * (u * self.light.0 + v * self.light.1);
        let border = smoothstep(0.2, 0.6, (angle * self.count).sin()) * bell((r - 0.8) / 0.08);
        let glaze = mix(a, b, spot.disc(well * self.radii[4]) * self.radii[1]);
        let colour = scale(mix(glaze, c, border * self.radii[0]), lit.max(0.1));
        Painted::on_disc(spot, colour)
    }

    pub(super) fn jewel(&self, tiles: &Tiles, spot: &Spot) -> Painted {
        let Spot {
            u,
            v,
            r,
            angle,
            shade,
            ..
        } = *spot;
        let [a, b, _, _] = self.colours;
        let mut glow = [0.0; 3];
        // A smooth stone in a setting of dots or claws.
        let edge = 0.55 + 0.35 * self.radii[2];
        let z = (1.0 - (r / edge).powi(2)).max(0.0).sqrt();
        let lit = 0.25 + 0.6 * z + 0.5 * (u * self.light.0 + v * self.light.1) / edge;
        let cloudy = 1.0 + 0.2 * tiles.cloud.at(u * 50.0 + self.offset, v * 50.0);
        let stone = scale(
            mix(a, scale(a, 0.2), smoothstep(0.6, 1.0, r / edge)),
            lit.max(0.05) * cloudy,
        );
        if let Some(mirrored) = &self.mirrored
            && r < edge
        {
            glow = mirrored
                .at(tiles, u / edge / z.max(0.3), v / edge / z.max(0.3))
                .light;
        }
        let beads = (angle * self.count * 2.0).sin() * bell((r - edge - 0.1) / 0.08);
        let metal = scale(b, (shade * 0.7 + 0.6 * beads).max(0.05));
        let colour = mix(metal, stone, spot.disc(edge));
        Painted {
            colour,
            glow,
            cover: spot.disc(1.0),
        }
    }

    pub(super) fn finger_ring(&self, spot: &Spot) -> Painted {
        let Spot { u, v, r, angle, .. } = *spot;
        let [a, b, _, _] = self.colours;
        let mut cover = spot.disc(1.0);
        let inner = 0.62 + 0.28 * self.radii[3];
        cover *= 1.0 - spot.disc(inner);
        let across = ((r - inner) / (1.0 - inner) * 2.0 - 1.0).clamp(-1.0, 1.0);
        let facing = (angle * 2.0 + 3.0 * across + self.offset).sin();
        let metal = 0.25 + 0.35 * (1.0 - across * across) + 0.5 * facing.max(0.0).powi(3);
        let stone = (u - 0.85).hypot(v) / (0.15 + 0.4 * self.radii[1]);
        cover = cover.max(smoothstep(1.05, 0.95, stone));
        let gem = scale(b, 0.3 + 0.8 * (1.0 - stone).max(0.0) + 0.3 * facing.abs());
        let colour = mix(scale(a, metal), gem, smoothstep(1.05, 0.95, stone));
        Painted {
            colour,
            glow: [0.0; 3],
            cover,
        }
    }

    pub(super) fn spectacles(&self, tiles: &Tiles, spot: &Spot) -> Painted {
        let Spot {
            u, v, aa, shade, ..
        } = *spot;
        let [a, b, _, _] = self.colours;
        let mut glow = [0.0; 3];
        let half = 0.85;
        let power = 2.0 + 3.0 * self.radii[2];
        let lens = (((u.abs() - 1.1) / half).abs().powf(power)
            + (v / (0.5 + 0.4 * self.radii[3])).abs().powf(power))
        .powf(1.0 / power);
        let rim = 0.04 + 0.1 * self.radii[1];
        let on_rim = smoothstep(rim + aa, rim - aa, (lens - 1.0).abs() * half);
        let bridge = smoothstep(0.07, 0.05, (v + 0.25 - 0.3 * u * u).abs())
            * smoothstep(0.36, 0.33, u.abs());
        let mut cover = on_rim.max(bridge);
        if lens < 1.0 {
            cover = cover.max(0.25 * self.radii[0]);
            if let Some(mirrored) = &self.mirrored {
                glow = scale(mirrored.at(tiles, u - u.signum() * 1.1, v).light, 0.4);
            }
        }
        let colour = scale(mix(b, a, cover), shade);
        Painted {
            colour,
            glow,
            cover,
        }
    }
}
