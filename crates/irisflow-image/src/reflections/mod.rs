//! Takes specular highlights off iris and pupil, and says which pixels that changed.
//!
//! `unwrap.rs` rolls pupil and iris out into rings, where iris fibres are straight and every ring has
//! its own brightness; `detect.rs` finds highlights there; `fill.rs` decides which part of the same
//! rings stands in for each, and what light to add so that no seam shows; this file paints the answer
//! at full resolution. Texture is always that of the same iris, at the same distance from the pupil.

mod detect;
mod fill;
mod unwrap;

use crate::geometry::Ellipse;
use crate::plane::Plane;
use crate::rectified::{RectifiedIris, RectifiedView};
use crate::segment::{IrisSegmentation, Label};

use fill::Patches;
use unwrap::{RINGS, Rings, Unwrapped};

pub use detect::Sensitivity;

/// Removes highlights from `rectified`, marks them as [`Label::Reflection`] in the segmentation, and
/// returns how far each luma pixel was filled: 0 as photographed, 255 filled.
pub fn remove_reflections(
    rectified: &mut RectifiedIris,
    segmentation: &mut IrisSegmentation,
    sensitivity: &Sensitivity,
) -> Plane {
    let rings = Rings::of(&rectified.view, &segmentation.pupil);
    let unwrapped = Unwrapped::of(rectified, segmentation, &rings);
    let found = detect::find_highlights(&unwrapped, &rings, sensitivity);
    let side = rectified.view.side;
    if !found.highlights.contains(&true) {
        return Plane::filled(side, side, 0);
    }
    let patches = fill::choose_patches(&unwrapped, &found);
    let filled = paint(rectified, &rings, &patches);
    relabel(segmentation, &rectified.view, &filled);
    filled
}

/// Cells per side of the grid that says where there is anything to paint.
const CELLS: usize = 128;

fn paint(rectified: &mut RectifiedIris, rings: &Rings, patches: &Patches) -> Plane {
    let cells = cells_to_paint(rings, patches);
    let mut filled = Plane::filled(rectified.view.side, rectified.view.side, 0);
    paint_planes(
        [(0, &mut rectified.luma)],
        rings,
        patches,
        &cells,
        |at, opacity| {
            filled.samples[at] = (opacity * 255.0 + 0.5) as u8;
        },
    );
    let chroma = [(1, &mut rectified.cb), (2, &mut rectified.cr)];
    paint_planes(chroma, rings, patches, &cells, |_at, _opacity| {});
    filled
}

fn cells_to_paint(rings: &Rings, patches: &Patches) -> Vec<bool> {
    let mut cells = vec![false; CELLS * CELLS];
    for ring in 0..RINGS {
        for angle in (0..unwrap::ANGLES).filter(|&angle| patches.reaches(ring, angle)) {
            let (u, v) = rings.point(ring as f32, angle as f32);
            let cell = |at: f32| ((at * CELLS as f32) as usize).min(CELLS - 1);
            for y in cell(v).saturating_sub(1)..=(cell(v) + 1).min(CELLS - 1) {
                for x in cell(u).saturating_sub(1)..=(cell(u) + 1).min(CELLS - 1) {
                    cells[y * CELLS + x] = true;
                }
            }
        }
    }
    cells
}

/// Paints planes of one size, given with their channels, and tells the opacity of each stroke.
fn paint_planes<const N: usize>(
    mut planes: [(usize, &mut Plane); N],
    rings: &Rings,
    patches: &Patches,
    cells: &[bool],
    mut tell: impl FnMut(usize, f32),
) {
    let originals: Vec<Plane> = planes.iter().map(|(_, plane)| (*plane).clone()).collect();
    let side = originals.first().map_or(0, |plane| plane.width as usize);
    let place_of = |pixel: usize| (pixel as f32 + 0.5) / side as f32;
    for row in 0..side {
        let cell_row = &cells[row * CELLS / side * CELLS..][..CELLS];
        if !cell_row.contains(&true) {
            continue;
        }
        for column in (0..side).filter(|column| cell_row[column * CELLS / side]) {
            let (ring, angle) = rings.place(place_of(column), place_of(row));
            let Some(stroke) = patches.stroke(ring, angle) else {
                continue;
            };
            let source = stroke.offset.map(|offset| {
                let (u, v) = rings.point(ring, angle + offset);
                (u * side as f32, v * side as f32)
            });
            let at = row * side + column;
            for ((channel, plane), original) in planes.iter_mut().zip(&originals) {
                let texture = source.map_or(0.0, |(u, v)| sample_bicubic(original, u, v));
                let new = (texture + stroke.correction[*channel]).clamp(0.0, 255.0);
                let old = f32::from(original.samples[at]);
                plane.samples[at] = (old + (new - old) * stroke.opacity + 0.5) as u8;
            }
            tell(at, stroke.opacity);
        }
    }
}

/// Catmull-Rom sample at `(x, y)` in pixel coordinates, clamped to the border.
fn sample_bicubic(plane: &Plane, x: f32, y: f32) -> f32 {
    let (x, y) = ((x - 0.5).max(0.0), (y - 0.5).max(0.0));
    let (x0, y0) = (x.trunc(), y.trunc());
    let (wx, wy) = (catmull_rom(x - x0), catmull_rom(y - y0));
    let limit = |at: i32, side: u32| at.clamp(0, side as i32 - 1) as u32;
    let row_sum = |dy: usize| -> f32 {
        let row = plane.row(limit(y0 as i32 + dy as i32 - 1, plane.height));
        let sample = |dx: usize| row[limit(x0 as i32 + dx as i32 - 1, plane.width) as usize];
        (0..4).map(|dx| f32::from(sample(dx)) * wx[dx]).sum()
    };
    (0..4).map(|dy| row_sum(dy) * wy[dy]).sum()
}

fn catmull_rom(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        (2.0 * t2 - t3 - t) / 2.0,
        (3.0 * t3 - 5.0 * t2 + 2.0) / 2.0,
        (4.0 * t2 - 3.0 * t3 + t) / 2.0,
        (t3 - t2) / 2.0,
    ]
}

/// Marks what was filled in the photo's labels, and counts its share of the iris ring.
fn relabel(segmentation: &mut IrisSegmentation, view: &RectifiedView, filled: &Plane) {
    let (mut ring_pixels, mut reflections) = (0_u32, 0_u32);
    let rect = segmentation.rect;
    let pupil: Ellipse = segmentation.pupil;
    for row in 0..segmentation.labels.height {
        let y = (rect.y + row) as f32 + 0.5;
        for (column, label) in segmentation.labels.row_mut(row).iter_mut().enumerate() {
            let is_seen = *label == Label::VisibleIris as u8
                || *label == Label::Pupil as u8
                || *label == Label::Reflection as u8;
            if !is_seen {
                continue;
            }
            let x = rect.x as f32 + column as f32 + 0.5;
            let (u, v) = view.view_point(x, y);
            let (u, v) = (u.max(0.0) as u32, v.max(0.0) as u32);
            let is_filled = u < view.side && v < view.side && filled.at(u, v) >= 128;
            if is_filled {
                *label = Label::Reflection as u8;
            }
            if *label != Label::Pupil as u8 && !pupil.contains(x, y) {
                ring_pixels += 1;
                reflections += u32::from(is_filled);
            }
        }
    }
    segmentation.quality.reflection_share = reflections as f32 / ring_pixels.max(1) as f32;
}

#[cfg(test)]
mod tests;
