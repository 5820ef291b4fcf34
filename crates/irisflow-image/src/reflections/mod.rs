//! Takes specular highlights off iris and pupil, completes what lids hide, and says which pixels that changed.
//!
//! `unwrap.rs` rolls pupil and iris out into rings, where iris fibres are straight and every ring has
//! its own brightness; `lids.rs` finds what lids do to the iris beside them, `detect.rs` highlights;
//! `texture.rs` takes the known iris apart, `quilt.rs` chooses which part of the same rings stands in for
//! what is missing, and `fill.rs` what light to add so that no seam shows; `pupil.rs` finds the true outline
//! of the pupil. `paint.rs` paints the answer at full resolution, `labels.rs` marks it in the photo's labels.
//! Texture is always that of the same iris, at about the same distance from the pupil.

mod detect;
mod fill;
mod labels;
mod lids;
mod paint;
mod pupil;
mod quilt;
mod texture;
mod unwrap;

use crate::plane::Plane;
use crate::rectified::{RectifiedIris, RectifiedView};
use crate::segment::{IrisSegmentation, Label};
use crate::threads::Threads;

use lids::Covered;
use paint::Painter;
use pupil::PupilDisc;
use quilt::Rules;
use texture::Texture;
use unwrap::{ANGLES, RINGS, Rings, TOGETHER, Unwrapped};

pub use detect::Sensitivity;

/// The least share of the ring that must be seen for the rest to be completed, and the least of any band of it.
const LEAST_SEEN: (f32, f32) = (0.7, 0.5);
/// Texture comes from at least 30 degrees away.
const LEAST_TURN: usize = ANGLES * 30 / 360;

/// What removing reflections makes.
#[derive(Debug)]
pub struct WithoutReflections {
    pub rectified: RectifiedIris,
    /// How far each luma pixel was filled: 0 as photographed, 255 filled.
    pub filled: Plane,
    /// Whether enough of the iris is seen that what lids hide was completed.
    pub completed: bool,
    /// Share of the iris ring that is hidden.
    pub hidden_share: f32,
    /// Whether the pupil can be told from the iris; if not, it is as photographed.
    pub pupil_certain: bool,
    /// Where the iris ends and blurred sclera begins, in shares of the radius of the limbus.
    pub clear_limbus: f32,
}

/// Removes highlights from a copy of `rectified`, and marks them as [`Label::Reflection`] in the segmentation.
/// What belongs to lids is marked as [`Label::Hidden`] there; where enough of the iris is seen it is completed.
pub fn remove_reflections(
    rectified: &RectifiedIris,
    segmentation: &mut IrisSegmentation,
    sensitivity: &Sensitivity,
    threads: Threads,
) -> WithoutReflections {
    let rings = Rings::of(&rectified.view, &segmentation.pupil);
    let mut unwrapped = Unwrapped::of(rectified, segmentation, &rings, threads);
    let covered = Covered::find(&unwrapped, &rings);
    hide_beside_lids(
        &covered.lids,
        &mut unwrapped,
        segmentation,
        &rings,
        &rectified.view,
        threads,
    );
    let found = detect::find_highlights(&unwrapped, &rings, sensitivity);
    let (seen, least_seen) = lids::seen_shares(&unwrapped, &rings);
    let completed = seen >= LEAST_SEEN.0 && least_seen >= LEAST_SEEN.1;
    let strays = covered.strays.iter().map(|stray| completed && *stray);
    let hidden = unwrapped
        .visible
        .iter()
        .map(|visible| completed && !visible);
    let open: Vec<bool> = (hidden.zip(strays).zip(&found.highlights))
        .map(|((hidden, stray), highlight)| hidden || stray || *highlight)
        .collect();
    let open = detect::without_islands(&open, &unwrapped.visible, &rings);
    let open = fill::with_margin(&open, &unwrapped.visible);
    let side = rectified.view.side;
    let mut without = WithoutReflections {
        rectified: rectified.clone(),
        filled: Plane::filled(side, side, 0),
        completed,
        hidden_share: 1.0 - seen,
        pupil_certain: true,
        clear_limbus: covered.clear_limbus(&rings),
    };
    let disc = PupilDisc::find(&unwrapped, &open);
    without.pupil_certain = disc.is_some();
    let under_light = PupilDisc::under_light(&open);
    if open.contains(&true) {
        let known = unwrapped
            .visible
            .iter()
            .zip(&open)
            .map(|(visible, open)| *visible && !open);
        let typical = found.typical.iter().zip(&covered.lines);
        let typical: Vec<bool> = typical.map(|(typical, line)| *typical && !line).collect();
        let texture = Texture::of(&unwrapped.colours, known.collect(), &typical);
        let rules = Rules {
            least_turn: LEAST_TURN,
        };
        let patches = fill::choose_patches(&texture, open, &unwrapped, rules);
        Painter::new(rings, &patches).paint(rectified, &mut without, threads);
        labels::mark_reflections(segmentation, &rectified.view, &without.filled, threads);
    }
    if let Some(disc) = disc.or(under_light) {
        darken_pupil(&mut without.rectified, &rings, &disc);
    }
    without
}

/// Marks visible places that belong to lids as hidden, on the rings and in the photo's labels.
fn hide_beside_lids(
    beside: &[bool],
    unwrapped: &mut Unwrapped,
    segmentation: &mut IrisSegmentation,
    rings: &Rings,
    view: &RectifiedView,
    threads: Threads,
) {
    const SIDE: usize = 512;
    if !beside.contains(&true) {
        return;
    }
    for (visible, beside) in unwrapped.visible.iter_mut().zip(beside) {
        *visible &= !beside;
    }
    let mut marks = Plane::filled(SIDE as u32, SIDE as u32, 0);
    let scale = 1.0 / SIDE as f32;
    for (row, marks) in marks.samples.chunks_exact_mut(SIDE).enumerate() {
        let v = (row as f32 + 0.5) * scale;
        for (first, marks) in marks.chunks_mut(TOGETHER).enumerate() {
            let places = rings.places(((first * TOGETHER) as f32 + 0.5) * scale, scale, v);
            for (at, mark) in marks.iter_mut().enumerate() {
                let ring = (places.rings[at] + 0.5).max(0.0) as usize;
                let angle = (places.angles[at] + 0.5 + ANGLES as f32) as usize % ANGLES;
                let is_beside = ring < RINGS && beside[unwrap::index(ring, angle)];
                *mark = if is_beside { 255 } else { 0 };
            }
        }
    }
    let view = view.with_side(SIDE as u32);
    labels::mark(segmentation, &view, &marks, Label::Hidden, threads);
}

/// Makes the pupil an even dark disc without colour.
fn darken_pupil(rectified: &mut RectifiedIris, rings: &Rings, disc: &PupilDisc) {
    let targets = [
        (&mut rectified.luma, disc.luma),
        (&mut rectified.cb, 128.0),
        (&mut rectified.cr, 128.0),
    ];
    for (plane, target) in targets {
        let side = plane.width as usize;
        let scale = 1.0 / side as f32;
        let (rows, columns) = rings.square_around(disc.last_ring() + 1.0, side);
        for row in rows {
            let v = (row as f32 + 0.5) * scale;
            for first in columns.clone().step_by(TOGETHER) {
                let places = rings.places((first as f32 + 0.5) * scale, scale, v);
                for at in 0..TOGETHER.min(columns.end - first) {
                    let share = disc.share(places.rings[at], places.angles[at]);
                    let sample = &mut plane.samples[row * side + first + at];
                    let old = f32::from(*sample);
                    *sample = (old + (target - old) * share + 0.5) as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
