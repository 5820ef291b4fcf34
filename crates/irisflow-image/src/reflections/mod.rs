//! Takes specular highlights off iris and pupil, completes what lids hide, and says which pixels that changed.
//!
//! `unwrap.rs` rolls pupil and iris out into rings, where iris fibres are straight and every ring has
//! its own brightness (`levels.rs`); `lids.rs` finds what lids do to the iris beside them, `detect.rs` highlights;
//! `texture.rs` takes the known iris apart, `quilt.rs` chooses which part of the same rings stands in for
//! what is missing, and `fill.rs` what light to add so that no seam shows; `pupil.rs` finds the true outline
//! of the pupil. `patches.rs` holds the answer, `paint.rs` paints it at full resolution, `labels.rs` marks it in the photo's labels.
//! Texture is always that of the same iris, at about the same distance from the pupil.

mod comparison;
mod cuts;
mod detect;
mod fill;
mod labels;
mod levels;
mod lids;
mod marks;
mod membrane;
mod paint;
mod patches;
mod percentile;
mod pupil;
mod quilt;
mod regions;
mod texture;
mod unwrap;

use crate::plane::Plane;
use crate::rectified::{RectifiedIris, RectifiedView};
use crate::segment::{IrisSegmentation, Label};
use crate::threads::Threads;

use detect::Found;
use lids::Covered;
use paint::Painter;
use patches::Patches;
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
    let covered = Covered::find(&unwrapped, &rings, threads);
    hide_beside_lids(
        &covered.lids,
        &mut unwrapped,
        segmentation,
        &rings,
        &rectified.view,
        threads,
    );
    let levels = covered.levels.without(&covered.lids, &unwrapped, threads);
    let found = detect::find_highlights(&unwrapped, &levels.rings, &rings, sensitivity, threads);
    let (seen, least_seen) = lids::seen_shares(&unwrapped, &rings);
    let completed = seen >= LEAST_SEEN.0 && least_seen >= LEAST_SEEN.1;
    let open = open_places(&unwrapped, &covered, &found, completed, &rings);
    let disc = PupilDisc::find(&unwrapped, &open);
    let pupil_certain = disc.is_some();
    let disc = disc.or_else(|| PupilDisc::under_light(&open));
    let side = rectified.view.side;
    let patches = patches_for(open, &unwrapped, &covered, &found, threads);
    let mut without = WithoutReflections {
        rectified: rectified.clone(),
        filled: Plane::filled(side, side, 0),
        completed,
        hidden_share: 1.0 - seen,
        pupil_certain,
        clear_limbus: covered.clear_limbus(&rings),
    };
    if let Some(patches) = patches {
        Painter::new(rings, &patches).paint(rectified, &mut without, threads);
        labels::mark_reflections(segmentation, &rectified.view, &without.filled, threads);
    }
    if let Some(disc) = disc {
        disc.darken(&mut without.rectified, &rings, threads);
    }
    without
}

/// What is painted over: highlights, and with a completed iris what is hidden.
fn open_places(
    unwrapped: &Unwrapped,
    covered: &Covered,
    found: &Found,
    completed: bool,
    rings: &Rings,
) -> Vec<bool> {
    let strays = covered.strays.iter().map(|stray| completed && *stray);
    let visible = unwrapped.visible.iter();
    let hidden = visible.map(|visible| completed && !visible);
    let open: Vec<bool> = (hidden.zip(strays).zip(&found.highlights))
        .map(|((hidden, stray), highlight)| hidden || stray || *highlight)
        .collect();
    let open = detect::without_islands(&open, &unwrapped.visible, rings);
    fill::with_margin(&open, &unwrapped.visible)
}

/// What stands in for open places, if there are any.
fn patches_for(
    open: Vec<bool>,
    unwrapped: &Unwrapped,
    covered: &Covered,
    found: &Found,
    threads: Threads,
) -> Option<Patches> {
    if !open.contains(&true) {
        return None;
    }
    let places = unwrapped.visible.iter().zip(&open);
    let known = places.map(|(visible, open)| *visible && !open);
    let typical = found.typical.iter().zip(&covered.lines);
    let typical: Vec<bool> = typical.map(|(typical, line)| *typical && !line).collect();
    let texture = Texture::of(&unwrapped.colours, known.collect(), &typical, threads);
    let rules = Rules {
        least_turn: LEAST_TURN,
    };
    Some(fill::choose_patches(
        &texture, open, unwrapped, rules, threads,
    ))
}

/// Marks what of a row of a small view lies on marked places of the rings.
fn mark_row(rings: &Rings, places: &[bool], row: usize, marks: &mut [u8]) {
    let scale = 1.0 / marks.len() as f32;
    let v = (row as f32 + 0.5) * scale;
    for (first, marks) in marks.chunks_mut(TOGETHER).enumerate() {
        let found = rings.places(((first * TOGETHER) as f32 + 0.5) * scale, scale, v);
        for (at, mark) in marks.iter_mut().enumerate() {
            let ring = (found.rings[at] + 0.5).max(0.0) as i32 as usize;
            let angle = (found.angles[at] + 0.5 + ANGLES as f32) as i32 as usize % ANGLES;
            let is_marked = ring < RINGS && places[unwrap::index(ring, angle)];
            *mark = if is_marked { 255 } else { 0 };
        }
    }
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
    const ROWS_TOGETHER: usize = 64;
    if !beside.contains(&true) {
        return;
    }
    for (visible, beside) in unwrapped.visible.iter_mut().zip(beside) {
        *visible &= !beside;
    }
    let mut marks = Plane::filled(SIDE as u32, SIDE as u32, 0);
    let strips = marks.samples.chunks_mut(SIDE * ROWS_TOGETHER).enumerate();
    threads.map(strips.collect(), |(number, strip): (usize, &mut [u8])| {
        for (row, marks) in strip.chunks_exact_mut(SIDE).enumerate() {
            mark_row(rings, beside, number * ROWS_TOGETHER + row, marks);
        }
    });
    let view = view.with_side(SIDE as u32);
    labels::mark(segmentation, &view, &marks, Label::Hidden, threads);
}

#[cfg(test)]
mod tests;
