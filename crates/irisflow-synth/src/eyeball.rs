//! Eyeball geometry (iris and pupil ellipses for a gaze) and shading of iris, sclera and cornea.

use crate::canvas::label;
use crate::colour::{Rgb, bell, length, mix, mix_seen, scale, smoothstep, times};
use crate::ground_truth::{TrueEllipse, TrueEye};
use crate::lighting::Lighting;
use crate::noise::Tiles;
use crate::person::Person;
use crate::photo_traits::Usability;
use crate::reflections::Mirrored;
use crate::view::{IRIS_RADIUS_MM, Linear, View};

const EYEBALL_MM: f32 = 12.0;
const CORNEA_MM: f32 = 7.8;

/// The iris of one eye in the picture plane.
pub(crate) struct Disc {
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

/// Offset of the iris centre from the eyeball's centre, in millimetres of the picture plane.
pub(crate) fn iris_offset_mm(gaze: (f32, f32)) -> (f32, f32) {
    (gaze.0 * iris_depth_mm(), gaze.1 * iris_depth_mm())
}

impl Disc {
    pub(crate) fn of(gaze: (f32, f32), camera_mm: f32) -> Self {
        let depth = iris_depth_mm();
        let z = (1.0 - gaze.0 * gaze.0 - gaze.1 * gaze.1).max(0.04).sqrt();
        let nearness = camera_mm / (camera_mm + EYEBALL_MM - z * depth);
        let bearing = gaze.1.atan2(gaze.0);
        let (sin, cos) = bearing.sin_cos();
        let radius = IRIS_RADIUS_MM * nearness;
        // Corneal refraction reduces the foreshortening of a tilted iris.
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

/// The eyeball of a person with everything its shading needs.
pub(crate) struct Eyeball<'a> {
    pub(crate) tiles: &'a Tiles,
    pub(crate) person: &'a Person,
    pub(crate) lighting: &'a Lighting,
    pub(crate) mirrored: &'a Mirrored,
    pub(crate) disc: Disc,
    pub(crate) detail: f32,
    pub(crate) px_per_mm: f32,
}

/// Shading of one pixel of the eyeball, in linear light.
pub(crate) struct EyeballSample {
    pub(crate) base: Rgb,
    pub(crate) glow: Rgb,
    /// Mirrored lashes hide most of the light.
    pub(crate) is_combed: bool,
    /// Distance from the centre of the iris (`r`) and of the pupil (`p`), in iris radii.
    pub(crate) r: f32,
    pub(crate) p: f32,
}

impl Eyeball<'_> {
    /// `x`, `y`: picture plane millimetres around the eyeball; `lid_x`: towards the outer corner;
    /// `under_upper`, `over_lower`: distance to the lid margins in millimetres.
    pub(crate) fn at(
        &self,
        x: f32,
        y: f32,
        lid_x: f32,
        under_upper: f32,
        over_lower: f32,
    ) -> EyeballSample {
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
        let (glow, is_combed) = self.glow_at(x, y, lid_x, sx, sy, sz, r, under_upper, over_lower);
        EyeballSample {
            base,
            glow,
            is_combed,
            r,
            p,
        }
    }

    /// Labels of the iris and pupil discs where the eyeball is occluded.
    pub(crate) fn label_disc(&self, labels: &mut u8, x: f32, y: f32) {
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
            // Caustic: the cornea focuses light on the side of the iris away from the lamp.
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
            // Isolines of the noise wind and branch like blood vessels.
            let line = tiles.cloud.at(x * 8.0 + offset.1, y * 15.0 + offset.0);
            let fine = tiles.drift.at(x * 17.0, y * 30.0 + offset.0);
            let strong = smoothstep(-0.8, 1.0, tiles.drift.at(x * 5.0, y * 5.0 + offset.1));
            let vein = bell(line / 0.09) * strong + bell(fine / 0.12) * 0.5;
            let amount = vein * sclera.vessels * (0.3 + 0.7 * corner) * self.detail;
            colour = mix(colour, times(colour, [0.85, 0.35, 0.32]), amount.min(0.85));
        }
        // Caruncle and plica semilunaris.
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
    ) -> (Rgb, bool) {
        let sclera = &self.person.sclera;
        let mut glow = [0.0; 3];
        let mut is_combed = false;
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
            glow = scale(seen.light, share * rising);
            is_combed = seen.is_combed;
        }
        // Tear meniscus along the lower lid, and sparkles.
        let tears = bell((over_lower - 0.25) / 0.22) * sclera.gloss;
        if tears > 0.03 {
            let broken = smoothstep(0.1, 1.6, self.tiles.cloud.at(x * 14.0, y * 6.0 + 31.0));
            let shine = tears * broken * 0.4 * smoothstep(14.0, 9.0, lid_x.abs());
            glow = [glow[0] + shine, glow[1] + shine, glow[2] + shine];
        }
        (glow, is_combed)
    }

    /// Ground-truth ellipses of the eye whose eyeball is `eye_offset` millimetres from the one in focus.
    pub(crate) fn ground_truth(&self, view: &View, eye_offset: f32) -> TrueEye {
        let (disc, person) = (&self.disc, self.person);
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
}

pub(crate) fn label_eye(labels: &mut u8, r: f32, p: f32, pupil: f32, open: bool) {
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
