//! Paints a person: one pass over the pixels for skin and eyeballs, then everything that grows.

use crate::canvas::{Canvas, label};
use crate::clothes::Clothes;
use crate::colour::{Rgb, bell, length, luminance, mix, mix_seen, scale, smoothstep, srgb, times};
use crate::growth;
use crate::lighting::{Lighting, face_normal, socket_depth};
use crate::noise::Tiles;
use crate::person::Person;
use crate::reflections::Mirrored;
use crate::rng::Rng;
use crate::traits::Usability;
use crate::view::{Framing, IRIS_RADIUS_MM, Linear, View};

const EYEBALL_MM: f32 = 12.0;
const CORNEA_MM: f32 = 7.8;
/// Farther above a crease nothing of it shows.
const CREASE_REACH_MM: f32 = 9.0;

/// An ellipse of the finished picture, in pixels.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrueEllipse {
    pub cx: f32,
    pub cy: f32,
    pub rx: f32,
    pub ry: f32,
    pub angle_rad: f32,
}

impl TrueEllipse {
    /// The radius of the circle of the same area.
    pub fn mean_radius(&self) -> f32 {
        (self.rx * self.ry).sqrt()
    }

    /// 0 at the centre, 1 on the outline.
    pub fn distance(&self, x: f32, y: f32) -> f32 {
        let (sin, cos) = self.angle_rad.sin_cos();
        let (dx, dy) = (x - self.cx, y - self.cy);
        ((dx * cos + dy * sin) / self.rx).hypot((dy * cos - dx * sin) / self.ry)
    }
}

/// One eye as it is in the picture.
#[derive(Debug, Clone, Copy)]
pub struct TrueEye {
    pub iris: TrueEllipse,
    pub pupil: TrueEllipse,
    /// Share of the whole disc that nothing hides and the frame does not cut off.
    pub visible_share: f32,
    pub usability: Usability,
}

/// The iris of one eye in the picture plane.
struct Disc {
    /// Centre, millimetres of the picture plane around the eyeball.
    centre: (f32, f32),
    /// Picture plane millimetres to iris radii.
    to_disc: Linear,
    from_disc: Linear,
    cornea: (f32, f32),
}

/// From the centre of the eyeball to that of the iris, millimetres.
fn iris_depth_mm() -> f32 {
    (EYEBALL_MM * EYEBALL_MM - IRIS_RADIUS_MM * IRIS_RADIUS_MM).sqrt()
}

/// Where the iris is beside the middle of the eyeball, millimetres of the picture plane.
pub(crate) fn iris_offset_mm(gaze: (f32, f32)) -> (f32, f32) {
    (gaze.0 * iris_depth_mm(), gaze.1 * iris_depth_mm())
}

impl Disc {
    fn of(gaze: (f32, f32), camera_mm: f32) -> Self {
        let depth = iris_depth_mm();
        let z = (1.0 - gaze.0 * gaze.0 - gaze.1 * gaze.1).max(0.04).sqrt();
        let nearness = camera_mm / (camera_mm + EYEBALL_MM - z * depth);
        let bearing = gaze.1.atan2(gaze.0);
        let (sin, cos) = bearing.sin_cos();
        let radius = IRIS_RADIUS_MM * nearness;
        // Refraction at the cornea makes the tilted disc look a little rounder than it is.
        let flat = z + 0.08 * (1.0 - z);
        let turn = Linear {
            xx: cos,
            xy: -sin,
            yx: sin,
            yy: cos,
        };
        let back = Linear {
            xx: cos,
            xy: sin,
            yx: -sin,
            yy: cos,
        };
        let squash = Linear {
            xx: radius * flat,
            xy: 0.0,
            yx: 0.0,
            yy: radius,
        };
        let from_disc = turn.after(&squash).after(&back);
        let centre_depth = depth - (CORNEA_MM * CORNEA_MM - IRIS_RADIUS_MM * IRIS_RADIUS_MM).sqrt();
        Self {
            centre: (gaze.0 * depth * nearness, gaze.1 * depth * nearness),
            to_disc: from_disc.inverse(),
            from_disc,
            cornea: (gaze.0 * centre_depth, gaze.1 * centre_depth),
        }
    }
}

struct Eyeball<'a> {
    tiles: &'a Tiles,
    person: &'a Person,
    lighting: &'a Lighting,
    mirrored: &'a Mirrored,
    disc: Disc,
    detail: f32,
    px_per_mm: f32,
}

/// What one look at the eyeball gives.
struct Seen {
    base: Rgb,
    glow: Rgb,
    r: f32,
    p: f32,
}

impl Eyeball<'_> {
    /// `x`, `y`: picture plane millimetres around the eyeball; `lid_x`: towards the outer corner;
    /// `under_upper`, `over_lower`: distance to the margins.
    fn at(&self, x: f32, y: f32, lid_x: f32, under_upper: f32, over_lower: f32) -> Seen {
        let person = self.person;
        let (u, v) = self
            .disc
            .to_disc
            .apply(x - self.disc.centre.0, y - self.disc.centre.1);
        let r = length(u, v);
        let iris = &person.iris;
        let (pu, pv) = (u - iris.pupil_shift.0, v - iris.pupil_shift.1);
        let p = length(pu / iris.pupil_width, pv);
        let (sx, sy) = (x / EYEBALL_MM, y / EYEBALL_MM);
        let sz = (1.0 - sx * sx - sy * sy).max(0.1).sqrt();
        let soft = iris.limbus_softness + 0.35 / (IRIS_RADIUS_MM * self.px_per_mm);
        let white_share = smoothstep(1.0 - soft, 1.0 + soft, r);
        let mut base = [0.0; 3];
        if white_share < 1.0 {
            base = self.iris_at(u, v, r, pu, pv, p);
        }
        if white_share > 0.0 {
            let length = (sx * sx + sy * sy + sz * sz).sqrt();
            let lit = self.lighting.on([sx / length, sy / length, sz / length]);
            base = mix_seen(base, times(self.sclera_at(x, y, lid_x), lit), white_share);
        }
        let sclera = &person.sclera;
        let occlusion = 1.0
            - sclera.shade
                * (0.75 * (-under_upper / sclera.shade_mm).exp()
                    + 0.35 * (-over_lower / 0.8).exp());
        let corner = 1.0 - sclera.corner_shade * smoothstep(6.0, 14.5, lid_x.abs());
        base = scale(base, occlusion.max(0.05) * corner);
        let glow = self.glow_at(x, y, lid_x, sx, sy, sz, r, under_upper, over_lower);
        Seen { base, glow, r, p }
    }

    /// The label where nothing of the eye shows.
    fn label_disc(&self, labels: &mut u8, x: f32, y: f32) {
        let (u, v) = self
            .disc
            .to_disc
            .apply(x - self.disc.centre.0, y - self.disc.centre.1);
        let iris = &self.person.iris;
        let p = length(u - iris.pupil_shift.0, v - iris.pupil_shift.1);
        label_eye(labels, length(u, v), p, iris.pupil, false);
    }

    fn iris_at(&self, u: f32, v: f32, r: f32, pu: f32, pv: f32, p: f32) -> Rgb {
        let iris = &self.person.iris;
        let aa = 0.012 + 0.5 / (IRIS_RADIUS_MM * self.px_per_mm);
        let open = smoothstep(iris.pupil - aa, iris.pupil + aa, p);
        let mut colour = iris.pupil_colour();
        if open > 0.0 {
            let turn = pv.atan2(pu) * 0.159_155 + 0.5;
            let texture = iris.colour_at(self.tiles, turn, r, p, self.detail);
            let key = self.lighting.key();
            // The iris is a bowl behind a lens: light gathers on the side away from the lamp.
            let gather = 1.0 - 0.45 * (u * key[0] + v * key[1]);
            let lit = self.lighting.on([0.0, 0.0, 1.0]);
            colour = mix(colour, scale(times(texture, lit), gather.max(0.3)), open);
        }
        colour
    }

    fn sclera_at(&self, x: f32, y: f32, lid_x: f32) -> Rgb {
        let sclera = &self.person.sclera;
        let lids = &self.person.lids;
        let offset = self.person.skin.offset;
        let tiles = self.tiles;
        let mut colour = sclera.colour;
        let mottled = tiles.cloud.at(x * 9.0 + offset.0, y * 9.0 + offset.1);
        colour = scale(colour, 1.0 + 0.05 * mottled);
        let corner = smoothstep(5.0, 13.0, lid_x.abs());
        let red = (sclera.redness + 0.25 * corner * (0.5 + sclera.redness)).clamp(0.0, 0.8);
        colour = times(colour, mix([1.0; 3], [0.95, 0.68, 0.64], red));
        if sclera.vessels > 0.02 && self.detail > 0.15 {
            // Lines of equal value wind and branch like vessels; they fade in and out.
            let line = tiles.cloud.at(x * 8.0 + offset.1, y * 15.0 + offset.0);
            let fine = tiles.drift.at(x * 17.0, y * 30.0 + offset.0);
            let strong = smoothstep(-0.8, 1.0, tiles.drift.at(x * 5.0, y * 5.0 + offset.1));
            let vein = bell(line / 0.09) * strong + bell(fine / 0.12) * 0.5;
            let amount = vein * sclera.vessels * (0.3 + 0.7 * corner) * self.detail;
            colour = mix(colour, times(colour, [0.85, 0.35, 0.32]), amount.min(0.85));
        }
        // Caruncle and the fold beside it.
        let meat = smoothstep(
            lids.inner_x + 4.2 * lids.caruncle,
            lids.inner_x + 2.2 * lids.caruncle,
            lid_x + 0.3 * mottled,
        );
        colour = mix(
            colour,
            times(self.person.skin.colour, [1.0, 0.55, 0.5]),
            0.85 * meat,
        );
        colour
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the values are at hand in the one caller"
    )]
    fn glow_at(
        &self,
        x: f32,
        y: f32,
        lid_x: f32,
        sx: f32,
        sy: f32,
        sz: f32,
        r: f32,
        under_upper: f32,
        over_lower: f32,
    ) -> Rgb {
        let sclera = &self.person.sclera;
        let mut glow = [0.0; 3];
        if r < 1.6 || sclera.gloss > 0.3 {
            let (cx, cy) = (
                (x - self.disc.cornea.0) / CORNEA_MM,
                (y - self.disc.cornea.1) / CORNEA_MM,
            );
            let cz = (1.0 - cx * cx - cy * cy).max(0.12).sqrt();
            let beyond = smoothstep(1.0, 1.3, r);
            let mut nx = cx / cz + (sx / sz - cx / cz) * beyond;
            let mut ny = cy / cz + (sy / sz - cy / cz) * beyond;
            let ripple = 0.004 + 0.05 * beyond;
            nx += ripple * self.tiles.drift.at(x * 16.0, y * 16.0);
            ny += ripple * self.tiles.cloud.at(x * 16.0 + 91.0, y * 16.0);
            let seen = self.mirrored.at(self.tiles, nx, ny);
            let share = (1.0 - beyond) + beyond * sclera.gloss * 0.15;
            let rising = smoothstep(0.0, 0.6, under_upper);
            glow = scale(seen, share * rising);
        }
        // The line of tears along the lower lid, and sparkles.
        let tears = bell((over_lower - 0.25) / 0.22) * sclera.gloss;
        if tears > 0.03 {
            let broken = smoothstep(0.1, 1.6, self.tiles.cloud.at(x * 14.0, y * 6.0 + 31.0));
            let shine = tears * broken * 0.4 * smoothstep(14.0, 9.0, lid_x.abs());
            glow = [glow[0] + shine, glow[1] + shine, glow[2] + shine];
        }
        glow
    }
}

/// Paints the person as the view shows them; returns the true ellipses of eyes in the picture.
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
    let sides = [-1.0f32, 1.0];
    let half_distance = person.eye_distance * 0.5;
    let bag = rng.range(0.0, 2.0);
    let light_map = LightMap::new(view, person, lighting, half_distance, bag);
    let surface = Surface {
        tiles,
        person,
        view,
        backdrop: Backdrop::sample(rng),
        clothes: Clothes::sample(rng),
    };
    let soft_mm = 0.7 / view.px_per_mm;
    // Beyond the frame only what blur brings in.
    let drawn = view.window.grown(0.06 * side as f32);
    for py in 0..side {
        for px in 0..side {
            let index = py * side + px;
            let (centre_x, centre_y) = (px as f32 + 0.5, py as f32 + 0.5);
            let (x, y) = view
                .to_mm
                .apply(centre_x - view.origin.0, centre_y - view.origin.1);
            // The eye in focus is the right one of the picture plane; the nose is at negative x.
            let face_x = x / view.yaw_cos + half_distance;
            let mirror = if face_x < 0.0 { 0 } else { 1 };
            let eye_x = x - (sides[mirror] * half_distance - half_distance) * view.yaw_cos;
            let lid_x = eye_x / view.yaw_cos * sides[mirror];
            let margin = person.lids.margin(lid_x);
            let under_upper = (y - margin.upper) * margin.upper_across;
            let over_lower = (margin.lower - y) * margin.lower_across;
            let near = eye_x.abs() < 20.0 && y.abs() < 18.0;
            if !drawn.contains(centre_x, centre_y) {
                if near {
                    eyeball.label_disc(&mut canvas.labels[index], eye_x, y);
                }
                continue;
            }
            let inside = under_upper.min(over_lower);
            let open = smoothstep(-soft_mm, soft_mm, inside);
            let shadowed = lighting.unshadowed(face_x - half_distance, y);
            let light = scale(light_map.at(px, py), shadowed);
            if open < 1.0 {
                let spot = Spot {
                    face_x,
                    y,
                    lid_x,
                    under_upper,
                    over_lower,
                    above_fold: margin.fold - y,
                };
                let (colour, background) = surface.at(&spot, light);
                canvas.base[index] = colour;
                if background {
                    canvas.labels[index] |= label::BACKGROUND;
                }
            }
            if open > 0.0 && near {
                let seen = eyeball.at(eye_x, y, lid_x, under_upper.max(0.0), over_lower.max(0.0));
                canvas.base[index] = mix(canvas.base[index], scale(seen.base, shadowed), open);
                canvas.glow[index] = scale(seen.glow, open);
                label_eye(
                    &mut canvas.labels[index],
                    seen.r,
                    seen.p,
                    person.iris.pupil,
                    open > 0.5,
                );
            } else if near {
                eyeball.label_disc(&mut canvas.labels[index], eye_x, y);
            }
        }
    }
    for &mirror in &sides {
        let eye_offset = (mirror * half_distance - half_distance) * view.yaw_cos;
        growth::lashes(canvas, rng, view, person, eye_offset, mirror);
        growth::brow(canvas, rng, view, person, eye_offset, mirror);
        if let Some(glasses) = &person.glasses {
            growth::glasses(canvas, rng, view, glasses, eye_offset, mirror);
        }
    }
    growth::strands(canvas, rng, view, person);
    sides
        .iter()
        .map(|&mirror| {
            true_eye(
                view,
                person,
                &eyeball.disc,
                (mirror * half_distance - half_distance) * view.yaw_cos,
            )
        })
        .filter(|eye| {
            // Also one that the frame cuts through the middle.
            let reach = eye.iris.rx.max(eye.iris.ry);
            let span = -reach..side as f32 + reach;
            span.contains(&eye.iris.cx) && span.contains(&eye.iris.cy)
        })
        .collect()
}

fn label_eye(labels: &mut u8, r: f32, p: f32, pupil: f32, open: bool) {
    if open {
        *labels |= label::OPENING;
    }
    if r <= 1.0 {
        *labels |= label::IRIS;
        if open {
            *labels |= label::VISIBLE;
        }
        if p <= pupil {
            *labels |= label::PUPIL;
        }
    }
}

fn true_eye(view: &View, person: &Person, disc: &Disc, eye_offset: f32) -> TrueEye {
    let shape = view.to_px.after(&disc.from_disc);
    let (cx, cy) = view.to_px.apply(disc.centre.0 + eye_offset, disc.centre.1);
    let (rx, ry, angle_rad) = shape.circle_image();
    let iris = TrueEllipse {
        cx: cx + view.origin.0,
        cy: cy + view.origin.1,
        rx,
        ry,
        angle_rad,
    };
    let (sx, sy) = shape.apply(person.iris.pupil_shift.0, person.iris.pupil_shift.1);
    let pupil = person.iris.pupil;
    TrueEye {
        iris,
        pupil: TrueEllipse {
            cx: iris.cx + sx,
            cy: iris.cy + sy,
            rx: rx * pupil,
            ry: ry * pupil,
            angle_rad,
        },
        visible_share: 0.0,
        usability: Usability::Unusable("not judged"),
    }
}

/// Light on the face at every eighth pixel.
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

/// What is behind the person.
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

/// A place on the face, in millimetres: towards the outer corner, and across margins and fold.
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
    /// Everything that is not eyeball; true for what is behind the person.
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
        let &Spot {
            face_x,
            y,
            lid_x,
            under_upper,
            over_lower,
            above_fold,
        } = spot;
        let person = self.person;
        let skin = &person.skin;
        let tiles = self.tiles;
        if let Some(fur) = &person.fur {
            return fur.colour_at(tiles, face_x, y, lid_x / person.lids.outer_x);
        }
        let detail = smoothstep(1.2, 6.0, self.view.px_per_mm);
        let (ox, oy) = skin.offset;
        let blotch = tiles.cloud.at(face_x * 4.0 + ox, y * 4.0 + oy);
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
        let lids = &person.lids;
        // Across the lid: positive above the upper margin, or below the lower one.
        let above = -under_upper;
        let below = -over_lower;
        let within = smoothstep(lids.inner_x - 4.0, lids.inner_x + 2.0, lid_x)
            * smoothstep(lids.outer_x + 6.0, lids.outer_x - 2.0, lid_x);
        let upper_side = above > below;
        if within > 0.0 {
            if upper_side {
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
                // The lid is round: it darkens towards the fold above it.
                colour = scale(
                    colour,
                    1.0 - 0.35
                        * lids.crease_depth
                        * on_plate
                        * smoothstep(0.2 * plate, plate, above),
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
                            * (0.12 * bell((place + plate * 0.5) / 1.2)
                                + 0.14 * bell((place - 3.0) / 1.6)),
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
            } else {
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
            }
        }
        if skin.wrinkles > 0.05 && detail > 0.0 {
            let across = if upper_side { above } else { below };
            let line = tiles.cloud.at(lid_x * 2.2 + ox, across * 9.0);
            let fine = tiles.drift.at(lid_x * 7.0, across * 16.0 + oy);
            let furrow = 0.3 * bell(line / 0.12) + 0.15 * bell(fine / 0.15);
            colour = scale(colour, 1.0 - detail * skin.wrinkles * furrow);
        }
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

    /// Teeth above, and the dark, which the corners show beside the teeth.
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
