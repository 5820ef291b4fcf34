//! Occluders in front of the eye: lashes, brows, strands of hair, glasses.

use crate::canvas::{Canvas, Hair, label};
use crate::colour::{Rgb, scale, smoothstep};
use crate::person::{Glasses, Person};
use crate::rng::Rng;
use crate::view::View;

/// From millimetres of the picture plane around the eye in focus, to pixels.
fn to_px(view: &View, x: f32, y: f32) -> (f32, f32) {
    let (px, py) = view.to_px.apply(x, y);
    (px + view.origin.0, py + view.origin.1)
}

fn is_in_view(view: &View, x: f32, y: f32, reach_mm: f32) -> bool {
    let (px, py) = to_px(view, x, y);
    let reach = reach_mm * view.px_per_mm * 1.3;
    let side = view.side as f32;
    px > -reach && py > -reach && px < side + reach && py < side + reach
}

/// Lashes with their shadows.
pub(crate) fn lashes(
    canvas: &mut Canvas,
    rng: &mut Rng,
    view: &View,
    person: &Person,
    eye_x: f32,
    mirror: f32,
) {
    if !is_in_view(view, eye_x, 0.0, 26.0) {
        return;
    }
    let lashes = &person.lashes;
    // At low resolution, fewer and thicker hairs represent many.
    let thin_out = (view.px_per_mm / 3.0).clamp(0.3, 1.0);
    let count = |n: usize| (n as f32 * thin_out) as usize;
    let widen = 1.0 / thin_out;
    let mut drawn = Vec::new();
    let lean = rng.range(-0.3, 0.3);
    for upper in [true, false] {
        let total = count(if upper {
            lashes.upper_count
        } else {
            lashes.lower_count
        });
        let mut clump = (0.0, 0.0);
        for number in 0..total {
            let t = (number as f32 + rng.unit()) / total as f32;
            if number % 4 == 0 {
                clump = (rng.normal(), rng.normal());
            }
            let hair = if upper {
                upper_lash(rng, person, t, lean, clump)
            } else {
                lower_lash(rng, person, t, lean, clump)
            };
            let Some((from, bend, to)) = hair else {
                continue;
            };
            let spot = |p: (f32, f32)| to_px(view, p.0 * mirror * view.yaw_cos + eye_x, p.1);
            let width_mm = lashes.width_mm * if upper { 1.0 } else { 0.75 } * rng.range(0.7, 1.2);
            drawn.push(Hair {
                from: spot(from),
                bend: spot(bend),
                to: spot(to),
                root_width: width_mm * view.px_per_mm * widen,
                colour: scale(lashes.colour, rng.range(0.5, 1.5)),
                opacity: lashes.opacity,
            });
        }
    }
    if view.px_per_mm > 2.0 {
        let cast = (
            rng.range(-0.6, 0.6) * view.px_per_mm,
            rng.range(0.3, 1.6) * view.px_per_mm,
        );
        let depth = rng.range(0.0, 0.4);
        for hair in &drawn {
            let moved = |p: (f32, f32)| (p.0 + cast.0, p.1 + cast.1);
            let shadow = Hair {
                from: moved(hair.from),
                bend: moved(hair.bend),
                to: moved(hair.to),
                root_width: hair.root_width * 2.0 + 1.0,
                ..*hair
            };
            canvas.hair_shadow(&shadow, depth);
        }
    }
    for hair in &drawn {
        canvas.hair(hair);
    }
}

type Curve = ((f32, f32), (f32, f32), (f32, f32));

fn upper_lash(
    rng: &mut Rng,
    person: &Person,
    t: f32,
    lean: f32,
    clump: (f32, f32),
) -> Option<Curve> {
    let (lids, lashes) = (&person.lids, &person.lashes);
    let x = lids.inner_x + 2.5 + (lids.outer_x - lids.inner_x - 2.5) * t;
    let root = (x, lids.margin(x).upper - rng.range(0.1, 0.8));
    let length = lashes.upper_mm * rng.range(0.6, 1.15) * (0.55 + 0.45 * smoothstep(0.0, 0.35, t));
    let fan = (t - 0.42) * 1.5 + lean + 0.1 * rng.normal() + lashes.clumping * 0.12 * clump.0;
    let curl = lashes.curl + 0.12 * rng.normal() + lashes.clumping * 0.1 * clump.1;
    let rise = curl * 0.75;
    let bend = (
        root.0 + length * fan * 0.35,
        root.1 + length * (0.28 - 0.3 * rise.max(0.0)),
    );
    let to = (
        root.0 + length * fan * 0.95,
        root.1 - length * (rise - 0.12),
    );
    Some((root, bend, to))
}

fn lower_lash(
    rng: &mut Rng,
    person: &Person,
    t: f32,
    lean: f32,
    clump: (f32, f32),
) -> Option<Curve> {
    let (lids, lashes) = (&person.lids, &person.lashes);
    if rng.chance(0.15) {
        return None;
    }
    let x = lids.inner_x + 4.0 + (lids.outer_x - lids.inner_x - 4.5) * t;
    let root = (
        x,
        lids.margin(x).lower + lids.margin_mm * rng.range(0.8, 1.3),
    );
    let length = lashes.lower_mm * rng.range(0.5, 1.15);
    let fan = (t - 0.4) * 1.3 + lean + 0.15 * rng.normal() + lashes.clumping * 0.2 * clump.0;
    let bend = (root.0 + length * fan * 0.3, root.1 + length * 0.55);
    let to = (
        root.0 + length * fan,
        root.1 + length * (0.72 + 0.1 * clump.1 * lashes.clumping),
    );
    Some((root, bend, to))
}

pub(crate) fn brow(
    canvas: &mut Canvas,
    rng: &mut Rng,
    view: &View,
    person: &Person,
    eye_x: f32,
    mirror: f32,
) {
    let lift = person.brow_lift;
    if !is_in_view(view, eye_x, -lift, 30.0) {
        return;
    }
    let thin_out = (view.px_per_mm / 3.5).clamp(0.15, 1.0);
    let count = (100.0 * person.brow_thick_mm * person.brow_density * thin_out) as usize;
    for _ in 0..count {
        let t = rng.unit();
        let x = -19.0 + 46.0 * t;
        let arch = person.brow_shape * (1.0 - ((t - 0.62) / 0.6).powi(2)).max(-0.6);
        let thick = person.brow_thick_mm * (1.0 - t * 0.75);
        let y = -lift - arch + thick * (rng.unit() - 0.5);
        let length = rng.range(3.0, 7.0);
        let rise = 0.9 - 1.4 * t + 0.25 * rng.normal();
        let spot = |x: f32, y: f32| to_px(view, x * mirror * view.yaw_cos + eye_x, y);
        canvas.hair(&Hair {
            from: spot(x, y),
            bend: spot(x + length * 0.5, y - length * rise * 0.45),
            to: spot(x + length * 0.95, y - length * rise * 0.6),
            root_width: 0.14 * view.px_per_mm / thin_out,
            colour: scale(person.brow, rng.range(0.4, 1.6)),
            opacity: 0.75,
        });
    }
}

/// Long hair falling across the picture.
pub(crate) fn strands(canvas: &mut Canvas, rng: &mut Rng, view: &View, person: &Person) {
    if person.strands == 0 {
        return;
    }
    let middle = (rng.range(-25.0, 25.0), rng.range(-20.0, 20.0));
    let bearing = rng.range(0.9, 2.3) * rng.sign();
    let spread = rng.range(1.0, 12.0);
    for _ in 0..person.strands {
        let angle = bearing + 0.12 * rng.normal();
        let (dx, dy) = (angle.cos() * 60.0, angle.sin() * 60.0);
        let (ox, oy) = (
            middle.0 + spread * rng.normal(),
            middle.1 + spread * rng.normal(),
        );
        let sway = (6.0 * rng.normal(), 6.0 * rng.normal());
        canvas.hair(&Hair {
            from: to_px(view, ox - dx, oy - dy),
            bend: to_px(view, ox + sway.0, oy + sway.1),
            to: to_px(view, ox + dx, oy + dy),
            root_width: 0.09 * view.px_per_mm * rng.range(0.7, 1.6),
            colour: scale(person.hair, rng.range(0.5, 1.8)),
            opacity: rng.range(0.5, 0.9),
        });
    }
}

/// Glasses: rim, tint of the lenses, and reflections on them.
pub(crate) fn glasses(
    canvas: &mut Canvas,
    rng: &mut Rng,
    view: &View,
    glasses: &Glasses,
    eye_x: f32,
    mirror: f32,
) {
    // A streak across the lens, or the patch of a screen or window.
    let streak: Option<(f32, f32, f32, Rgb, f32, f32)> = rng.chance(0.6).then(|| {
        let cool = rng.pick(&[[1.0, 1.0, 1.0], [0.6, 0.8, 1.0], [0.6, 1.0, 0.75]]);
        let tall = if rng.chance(0.5) {
            60.0
        } else {
            rng.range(2.5, 9.0)
        };
        (
            rng.range(-18.0, 18.0),
            rng.range(-1.0, 1.0),
            rng.range(1.5, 9.0),
            scale(cool, rng.log_range(0.04, 0.9)),
            rng.range(-9.0, 9.0),
            tall,
        )
    });
    let soft = 0.7 / view.px_per_mm;
    for py in 0..canvas.side {
        for px in 0..canvas.side {
            let (x, y) = view.to_mm.apply(
                px as f32 + 0.5 - view.origin.0,
                py as f32 + 0.5 - view.origin.1,
            );
            let gx = (x - eye_x) / view.yaw_cos * mirror - glasses.centre.0;
            let gy = y - glasses.centre.1;
            let (u, v) = (gx / glasses.half.0, gy / glasses.half.1);
            if u.abs() > 1.3 || v.abs() > 1.4 {
                continue;
            }
            let index = py * canvas.side + px;
            let d = (u.abs().powf(glasses.roundness) + v.abs().powf(glasses.roundness))
                .powf(1.0 / glasses.roundness);
            let out_mm = (d - 1.0) * glasses.half.0.min(glasses.half.1);
            if out_mm < 0.0 {
                let kept = 1.0 - glasses.tint;
                canvas.base[index] = scale(canvas.base[index], kept);
                if let Some((at, slope, width, colour, middle, tall)) = streak {
                    let band = smoothstep(width, width * 0.7, (gx + slope * gy - at).abs())
                        * smoothstep(tall, tall * 0.8, (gy - middle).abs());
                    let glow = &mut canvas.glow[index];
                    *glow = [
                        glow[0] + band * colour[0],
                        glow[1] + band * colour[1],
                        glow[2] + band * colour[2],
                    ];
                    if band > 0.5 {
                        canvas.labels[index] &= !label::BACKGROUND;
                    }
                }
            }
            let rim = smoothstep(
                glasses.rim_mm * 0.5 + soft,
                glasses.rim_mm * 0.5 - soft,
                (out_mm - glasses.rim_mm * 0.5).abs(),
            );
            if rim > 0.0 {
                canvas.cover(index, glasses.frame, rim);
            }
        }
    }
}
