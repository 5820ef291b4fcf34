//! Paints a person: one pass over the pixels for skin and eyeballs, then lashes, brows, hair, glasses.

use crate::canvas::{Canvas, label};
use crate::clothes::Clothes;
use crate::colour::{Rgb, bell, length, luminance, mix, scale, smoothstep, srgb, times};
use crate::eyeball::{Disc, Eyeball, label_eye};
use crate::ground_truth::TrueEye;
use crate::hair_and_glasses;
use crate::lighting::{Lighting, face_normal, socket_depth};
use crate::noise::Tiles;
use crate::person::Person;
use crate::reflections::Mirrored;
use crate::rng::Rng;
use crate::view::{Framing, IRIS_RADIUS_MM, View, Window};

/// Extent of the crease's shading above it.
const CREASE_REACH_MM: f32 = 9.0;

/// Paints the person onto the canvas; returns the ground-truth ellipses of the eyes in the picture.
pub(crate) fn paint(
    canvas: &mut Canvas,
    tiles: &Tiles,
    rng: &mut Rng,
    view: &View,
    person: &Person,
    lighting: &Lighting,
    mirrored: &Mirrored,
) -> Vec<TrueEye> {
    let side = canvas.side;
    let camera_mm = match view.framing {
        Framing::Macro | Framing::Crop => rng.range(60.0, 250.0),
        _ => rng.range(150.0, 600.0),
    };
    let radius_px = view.px_per_mm * IRIS_RADIUS_MM;
    let eyeball = Eyeball {
        tiles,
        person,
        lighting,
        mirrored,
        disc: Disc::of(person.gaze, camera_mm),
        detail: smoothstep(5.0, 40.0, radius_px),
        px_per_mm: view.px_per_mm,
    };
    let half_distance = person.eye_distance * 0.5;
    let bag = rng.range(0.0, 2.0);
    let painter = Painter {
        view,
        person,
        lighting,
        eyeball: &eyeball,
        light_map: LightMap::new(view, person, lighting, half_distance, bag),
        surface: Surface {
            tiles,
            person,
            view,
            backdrop: Backdrop::sample(rng),
            clothes: Clothes::sample(rng),
        },
        half_distance,
        soft_mm: 0.7 / view.px_per_mm,
        // A margin around the photo, because blur mixes it in.
        drawn: view.window.grown(0.06 * side as f32),
    };
    for py in 0..side {
        for px in 0..side {
            painter.paint_pixel(canvas, px, py);
        }
    }
    for &mirror in &SIDES {
        let eye_offset = painter.eye_offset(mirror);
        hair_and_glasses::lashes(canvas, rng, view, person, eye_offset, mirror);
        hair_and_glasses::brow(canvas, rng, view, person, eye_offset, mirror);
        if let Some(glasses) = &person.glasses {
            hair_and_glasses::glasses(canvas, rng, view, glasses, eye_offset, mirror);
        }
    }
    hair_and_glasses::strands(canvas, rng, view, person);
    let eyes = SIDES
        .iter()
        .map(|&mirror| eyeball.ground_truth(view, painter.eye_offset(mirror)));
    eyes.filter(|eye| {
        // Including an eye that the border cuts through.
        let reach = eye.iris.rx.max(eye.iris.ry);
        let span = -reach..side as f32 + reach;
        span.contains(&eye.iris.cx) && span.contains(&eye.iris.cy)
    })
    .collect()
}

/// The eyes: -1 is the other eye, mirrored across the nose.
const SIDES: [f32; 2] = [-1.0, 1.0];

/// Inputs of the per-pixel pass over skin and eyeballs.
struct Painter<'a> {
    view: &'a View,
    person: &'a Person,
    lighting: &'a Lighting,
    eyeball: &'a Eyeball<'a>,
    light_map: LightMap,
    surface: Surface<'a>,
    /// Half the distance of the eyes, mm.
    half_distance: f32,
    /// Width of the antialiased lid margins, mm.
    soft_mm: f32,
    /// The painted part of the canvas; outside of it only labels are set.
    drawn: Window,
}

impl Painter<'_> {
    /// Offset of an eye from the one in focus, mm.
    fn eye_offset(&self, mirror: f32) -> f32 {
        (mirror * self.half_distance - self.half_distance) * self.view.yaw_cos
    }

    fn paint_pixel(&self, canvas: &mut Canvas, px: usize, py: usize) {
        let (view, person) = (self.view, self.person);
        let index = py * canvas.side + px;
        let (centre_x, centre_y) = (px as f32 + 0.5, py as f32 + 0.5);
        let (x, y) = view
            .to_mm
            .apply(centre_x - view.origin.0, centre_y - view.origin.1);
        // The eye in focus is on the right of the picture plane; the nose is at negative x.
        let face_x = x / view.yaw_cos + self.half_distance;
        let mirror = SIDES[if face_x < 0.0 { 0 } else { 1 }];
        let eye_x = x - self.eye_offset(mirror);
        let lid_x = eye_x / view.yaw_cos * mirror;
        let margin = person.lids.margin(lid_x);
        let under_upper = (y - margin.upper) * margin.upper_across;
        let over_lower = (margin.lower - y) * margin.lower_across;
        let near = eye_x.abs() < 20.0 && y.abs() < 18.0;
        if !self.drawn.contains(centre_x, centre_y) {
            if near {
                self.eyeball.label_disc(&mut canvas.labels[index], eye_x, y);
            }
            return;
        }
        let inside = under_upper.min(over_lower);
        let open = smoothstep(-self.soft_mm, self.soft_mm, inside);
        let shadowed = self.lighting.unshadowed(face_x - self.half_distance, y);
        let light = scale(self.light_map.at(px, py), shadowed);
        if open < 1.0 {
            let spot = Spot {
                face_x,
                y,
                lid_x,
                under_upper,
                over_lower,
                above_fold: margin.fold - y,
            };
            let (colour, background) = self.surface.at(&spot, light);
            canvas.base[index] = colour;
            if background {
                canvas.labels[index] |= label::BACKGROUND;
            }
        }
        if open > 0.0 && near {
            let (under_upper, over_lower) = (under_upper.max(0.0), over_lower.max(0.0));
            let seen = self.eyeball.at(eye_x, y, lid_x, under_upper, over_lower);
            canvas.base[index] = mix(canvas.base[index], scale(seen.base, shadowed), open);
            canvas.glow[index] = scale(seen.glow, open);
            if seen.is_combed && open > 0.5 {
                canvas.labels[index] |= label::COMBED;
            }
            label_eye(
                &mut canvas.labels[index],
                seen.r,
                seen.p,
                person.iris.pupil,
                open > 0.5,
            );
        } else if near {
            self.eyeball.label_disc(&mut canvas.labels[index], eye_x, y);
        }
    }
}

/// Light on the face, precomputed at every eighth pixel and interpolated.
struct LightMap {
    cells: usize,
    step: f32,
    light: Vec<Rgb>,
}

impl LightMap {
    fn new(
        view: &View,
        person: &Person,
        lighting: &Lighting,
        half_distance: f32,
        bag: f32,
    ) -> Self {
        let cells = 33;
        let step = view.side as f32 / (cells - 1) as f32;
        let mut light = Vec::with_capacity(cells * cells);
        for row in 0..cells {
            for column in 0..cells {
                let (x, y) = view.to_mm.apply(
                    column as f32 * step - view.origin.0,
                    row as f32 * step - view.origin.1,
                );
                let face_x = x / view.yaw_cos + half_distance;
                let normal = face_normal(face_x, y, person.face_half, bag);
                let hollow = 1.0 - person.skin.socket * socket_depth(face_x, y);
                light.push(scale(lighting.on(normal), hollow));
            }
        }
        Self { cells, step, light }
    }

    #[inline]
    fn at(&self, px: usize, py: usize) -> Rgb {
        let (gx, gy) = ((px as f32 + 0.5) / self.step, (py as f32 + 0.5) / self.step);
        let (x0, y0) = (gx as usize, gy as usize);
        let (fx, fy) = (gx - x0 as f32, gy - y0 as f32);
        let i = y0 * self.cells + x0;
        mix(
            mix(self.light[i], self.light[i + 1], fx),
            mix(
                self.light[i + self.cells],
                self.light[i + self.cells + 1],
                fx,
            ),
            fy,
        )
    }
}

/// The background behind the person.
struct Backdrop {
    one: Rgb,
    two: Rgb,
    scale: f32,
    offset: f32,
}

impl Backdrop {
    fn sample(rng: &mut Rng) -> Self {
        let colour = |rng: &mut Rng| {
            let value = rng.log_range(0.01, 0.9);
            [
                value * rng.log_range(0.6, 1.6),
                value,
                value * rng.log_range(0.6, 1.6),
            ]
        };
        Self {
            one: colour(rng),
            two: colour(rng),
            scale: rng.log_range(0.15, 3.0),
            offset: rng.range(0.0, 500.0),
        }
    }
}

/// A position on the face in millimetres: `lid_x` towards the outer corner; the distances are
/// perpendicular to the lid margins and the crease.
struct Spot {
    face_x: f32,
    y: f32,
    lid_x: f32,
    under_upper: f32,
    over_lower: f32,
    above_fold: f32,
}

struct Surface<'a> {
    tiles: &'a Tiles,
    person: &'a Person,
    view: &'a View,
    backdrop: Backdrop,
    clothes: Clothes,
}

impl Surface<'_> {
    /// Colour of everything but the eyeball; `true` for background.
    fn at(&self, spot: &Spot, light: Rgb) -> (Rgb, bool) {
        let (face_x, y) = (spot.face_x, spot.y);
        let person = self.person;
        let tiles = self.tiles;
        let wide = self.view.framing == Framing::Face
            || self.view.framing == Framing::Region
            || self.view.framing == Framing::Close;
        if wide {
            let wave = tiles.cloud.at(face_x * 2.0 + person.skin.offset.0, y * 2.0) * 2.5;
            let half = person.face_half;
            let centre_y = 12.0;
            let across = length(face_x / half.0, (y - centre_y) / half.1);
            let hairline = -person.hairline + 0.006 * face_x * face_x + wave * 1.5;
            if across > 1.0 || y < hairline {
                let hair_across = length(
                    face_x / (half.0 * 1.18),
                    (y - centre_y + 8.0) / (half.1 * 1.18),
                );
                if let Some(cloth) = self.clothes.at(tiles, face_x, y) {
                    return (times(cloth, light), false);
                }
                let neck = (60.0..140.0).contains(&y) && face_x.abs() < 48.0;
                if hair_across < 1.0 + wave * 0.02 && (y < 20.0 || person.beard > 0.5)
                    || y < hairline && hair_across < 1.05
                {
                    let lock = tiles.rough.at(face_x * 9.0 + y * 1.5, y * 1.2);
                    return (
                        scale(times(person.hair, light), (1.0 + 0.45 * lock).max(0.2)),
                        false,
                    );
                }
                if neck {
                    return (scale(times(person.skin.colour, light), 0.6), false);
                }
                if across > 1.0 {
                    let b = &self.backdrop;
                    let t = tiles.cloud.at(face_x * b.scale + b.offset, y * b.scale);
                    return (mix(b.one, b.two, (0.5 + 0.4 * t).clamp(0.0, 1.0)), true);
                }
            }
        }
        let mut colour = self.skin_at(spot);
        if wide && y > 20.0 && person.fur.is_none() {
            colour = self.features(colour, face_x, y);
        }
        let skin = &person.skin;
        let gleam = skin.shine
            * smoothstep(0.7, 1.2, luminance(light))
            * 0.25
            * (1.0 + 0.5 * tiles.grain.at(face_x * 30.0, y * 30.0)).max(0.0);
        let lit = times(colour, light);
        ([lit[0] + gleam, lit[1] + gleam, lit[2] + gleam], false)
    }

    fn skin_at(&self, spot: &Spot) -> Rgb {
        let person = self.person;
        let lids = &person.lids;
        let lid_x = spot.lid_x;
        if let Some(fur) = &person.fur {
            return fur.colour_at(self.tiles, spot.face_x, spot.y, lid_x / lids.outer_x);
        }
        let blotch = self.skin_blotch(spot);
        let mut colour = self.bare_skin(spot, blotch);
        let within = smoothstep(lids.inner_x - 4.0, lids.inner_x + 2.0, lid_x)
            * smoothstep(lids.outer_x + 6.0, lids.outer_x - 2.0, lid_x);
        let is_upper = -spot.under_upper > -spot.over_lower;
        if within > 0.0 {
            colour = if is_upper {
                self.upper_lid(colour, spot, within, blotch)
            } else {
                self.lower_lid(colour, spot, within, blotch)
            };
        }
        let across = if is_upper {
            -spot.under_upper
        } else {
            -spot.over_lower
        };
        colour = self.wrinkles(colour, lid_x, across);
        self.beard(colour, spot)
    }

    /// Strength of the pores and wrinkles that this many pixels can show, 0 to 1.
    fn skin_detail(&self) -> f32 {
        smoothstep(1.2, 6.0, self.view.px_per_mm)
    }

    /// Noise of the skin's larger patches of colour.
    fn skin_blotch(&self, spot: &Spot) -> f32 {
        let (ox, oy) = self.person.skin.offset;
        let tiles = self.tiles;
        tiles.cloud.at(spot.face_x * 4.0 + ox, spot.y * 4.0 + oy)
    }

    /// Skin with its patches, pores and freckles.
    fn bare_skin(&self, spot: &Spot, blotch: f32) -> Rgb {
        let &Spot { face_x, y, .. } = spot;
        let (skin, tiles) = (&self.person.skin, self.tiles);
        let detail = self.skin_detail();
        let (ox, oy) = skin.offset;
        let mut colour = scale(skin.colour, 1.0 + skin.blotches * blotch);
        colour = mix(
            colour,
            times(colour, [1.05, 0.8, 0.75]),
            (0.25 + 0.25 * tiles.drift.at(face_x * 2.0, y * 2.0 + oy)).clamp(0.0, 0.8),
        );
        if detail > 0.0 {
            let pore = tiles.grain.at(face_x * 22.0 + ox, y * 22.0);
            let leather = tiles.spots.at(face_x * 24.0, y * 20.0 + ox);
            let rough = 1.0 + detail * skin.pores * (0.6 * pore + 0.5 * leather);
            colour = scale(colour, rough.max(0.15));
        }
        if skin.freckles > 0.0 {
            let fine = skin.freckle_scale;
            let large = tiles.spots.at(face_x * fine + ox, y * fine + oy);
            let small = tiles.spots.at(face_x * fine * 1.9, y * fine * 1.9 + ox) + 0.25;
            let edge = 0.25 * tiles.rough.at(face_x * 12.0, y * 12.0);
            let dot = large.min(small) + 0.7 * blotch + edge;
            let amount = smoothstep(-1.2, -1.9, dot) * skin.freckles * 0.75;
            colour = mix(colour, times(colour, [0.55, 0.38, 0.28]), amount);
        }
        colour
    }

    /// The upper lid: plate, fold, make-up, margin. `within` is the weight of the lid between its corners.
    fn upper_lid(&self, mut colour: Rgb, spot: &Spot, within: f32, blotch: f32) -> Rgb {
        let &Spot {
            lid_x, above_fold, ..
        } = spot;
        let person = self.person;
        let (skin, lids) = (&person.skin, &person.lids);
        // Millimetres above the upper margin.
        let above = -spot.under_upper;
        let plate = lids.plate_mm;
        let at_corners = smoothstep(lids.inner_x, lids.inner_x + 5.0, lid_x)
            * smoothstep(lids.outer_x + 1.0, lids.outer_x - 4.0, lid_x);
        let on_plate = within * at_corners * smoothstep(0.6, -0.6, above_fold);
        colour = scale(colour, 1.0 + (skin.lid_gain - 1.0) * on_plate);
        colour = mix(
            colour,
            scale(person.sclera.colour, 0.8),
            skin.lid_pallor * on_plate,
        );
        // The lid is curved: it darkens towards the crease.
        colour = scale(
            colour,
            1.0 - 0.35 * lids.crease_depth * on_plate * smoothstep(0.2 * plate, plate, above),
        );
        if lids.has_crease && above_fold < CREASE_REACH_MM {
            let place = above_fold - 0.2 * blotch;
            colour = scale(
                colour,
                1.0 - lids.crease_depth
                    * within
                    * (bell(place / 0.35) * 0.7 + bell((place - 0.5) / 1.4) * 0.35),
            );
            colour = scale(
                colour,
                1.0 + within
                    * (0.12 * bell((place + plate * 0.5) / 1.2) + 0.14 * bell((place - 3.0) / 1.6)),
            );
        }
        if let Some((tint, strength, reach)) = person.makeup.shadow {
            colour = mix(
                colour,
                tint,
                strength * within * at_corners * smoothstep(reach, 0.0, above),
            );
        }
        let (dark, width) = person.makeup.liner_upper;
        colour = mix(
            colour,
            [0.008, 0.007, 0.008],
            dark * within * smoothstep(width, width * 0.6, above),
        );
        let rim = smoothstep(0.9, 0.0, above) * within;
        colour = mix(colour, times(colour, [0.75, 0.5, 0.48]), 0.6 * rim);
        colour
    }

    /// The lower lid: wet margin, make-up, folds, shadow.
    fn lower_lid(&self, mut colour: Rgb, spot: &Spot, within: f32, blotch: f32) -> Rgb {
        let person = self.person;
        let (skin, lids) = (&person.skin, &person.lids);
        // Millimetres below the lower margin.
        let below = -spot.over_lower;
        let margin = lids.margin_mm;
        let wet = smoothstep(margin + 0.5, margin - 0.4, below) * within;
        let flesh = mix(
            times(skin.colour, [1.02, 0.76, 0.7]),
            srgb(200.0, 150.0, 140.0),
            0.2,
        );
        colour = mix(colour, flesh, 0.6 * wet);
        let (dark, width) = person.makeup.liner_lower;
        let along = below - margin;
        colour = mix(
            colour,
            [0.01, 0.008, 0.009],
            dark * within * smoothstep(width, 0.3 * width, along.abs()),
        );
        let fold = bell((below - 4.5 - 0.3 * blotch) / 0.5) * 0.3
            + bell((below - 9.0 - blotch) / 1.2) * 0.2;
        colour = scale(colour, 1.0 - fold * (0.2 + skin.wrinkles) * within);
        colour = mix(
            colour,
            times(colour, [0.85, 0.72, 0.78]),
            0.5 * within * smoothstep(16.0, 3.0, below) * (0.3 + skin.wrinkles),
        );
        colour
    }

    /// Fine wrinkles; `across` is the distance from the lid margin in millimetres.
    fn wrinkles(&self, mut colour: Rgb, lid_x: f32, across: f32) -> Rgb {
        let (skin, tiles) = (&self.person.skin, self.tiles);
        let (ox, oy) = skin.offset;
        let detail = self.skin_detail();
        if skin.wrinkles > 0.05 && detail > 0.0 {
            let line = tiles.cloud.at(lid_x * 2.2 + ox, across * 9.0);
            let fine = tiles.drift.at(lid_x * 7.0, across * 16.0 + oy);
            let furrow = 0.3 * bell(line / 0.12) + 0.15 * bell(fine / 0.15);
            colour = scale(colour, 1.0 - detail * skin.wrinkles * furrow);
        }
        colour
    }

    fn beard(&self, mut colour: Rgb, spot: &Spot) -> Rgb {
        let &Spot { face_x, y, .. } = spot;
        let (person, tiles) = (self.person, self.tiles);
        if person.beard > 0.0 && y > 38.0 {
            let stubble = tiles.grain.at(face_x * 14.0, y * 14.0);
            let where_it_grows = smoothstep(40.0, 60.0, y) * person.beard;
            colour = mix(
                colour,
                person.hair,
                where_it_grows * (0.5 + 0.3 * stubble).clamp(0.0, 1.0),
            );
        }
        colour
    }

    fn features(&self, mut colour: Rgb, face_x: f32, y: f32) -> Rgb {
        let person = self.person;
        let nostril = ((face_x.abs() - 8.0) / 4.5).hypot((y - 53.0) / 2.2);
        colour = mix(
            colour,
            [0.02, 0.01, 0.01],
            0.9 * smoothstep(1.1, 0.7, nostril),
        );
        let wing = bell(((face_x.abs() - 15.0 + 0.1 * (y - 46.0)) / 1.5).hypot((y - 46.0) / 6.0));
        colour = scale(colour, 1.0 - 0.35 * wing);
        let mouth = &person.mouth;
        let t = face_x / mouth.half_mm;
        let reach = (1.0 - t * t).max(0.0).sqrt();
        let lips_y = y - 76.0 + mouth.smile_mm * (t * t - 0.4);
        let open = mouth.open_mm * reach;
        let upper = -6.5 * reach + 2.0 * bell(face_x / 4.0) - open;
        let lower = 8.5 * reach + open;
        if reach > 0.0 && lips_y > upper && lips_y < lower {
            colour = mix(colour, mouth.lips, 0.9);
            let seam = if open > 0.5 {
                smoothstep(open + 0.5, open - 0.5, lips_y.abs())
            } else {
                0.75 * bell(lips_y / 0.9)
            };
            colour = mix(colour, self.within_mouth(t, face_x, lips_y, open), seam);
        }
        colour
    }

    /// Inside an open mouth: teeth above, darkness below and beside them.
    fn within_mouth(&self, t: f32, face_x: f32, lips_y: f32, open: f32) -> Rgb {
        let dark = [0.02, 0.008, 0.007];
        let mouth = &self.person.mouth;
        if open < 0.5 || mouth.teeth < 0.1 {
            return dark;
        }
        let gap = bell((face_x * 0.42).sin() / 0.12);
        let bite = 0.45 * open + 0.4 * (face_x * 0.84).cos().abs();
        let there = smoothstep(bite + 0.4, bite - 0.4, lips_y) * smoothstep(0.86, 0.7, t.abs());
        let tooth = scale(
            [1.0, 0.95, 0.84],
            mouth.teeth * (1.0 - 0.4 * gap - 0.5 * t * t),
        );
        mix(dark, tooth, there)
    }
}
