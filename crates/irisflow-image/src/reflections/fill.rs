//! What stands in for open places: quilted texture of the same rings, and the light that hides its seams.
//!
//! `quilt.rs` says where texture comes from. Its detail keeps the profile of the rings it is laid on, and what
//! differs along the border of the open places is spread smoothly over them (a membrane: Farbman et al.,
//! Coordinates for Instant Image Cloning, 2009, which is Poisson cloning of Pérez et al., 2003, without
//! gradients). Fibres run along the columns, so they stay whole. Places without texture, as in the middle of
//! the pupil, get the membrane alone.

use super::detect::neighbours;
use super::quilt::{self, Offset, Rules};
use super::texture::{Colour, Texture, added, minus, plus, widened};
use super::unwrap::{ANGLES, RINGS, Unwrapped, index};

/// How far light and colour of a fill may differ from those of the rings it lies on.
const MOST: Colour = [45.0, 14.0, 14.0];
/// The same beside a lid, whose shadow and skin must not spread over the iris.
const MOST_BEHIND_LIDS: Colour = [40.0, 6.0, 6.0];

/// How every filled place is made.
pub(super) struct Patches {
    /// Where to copy from, for filled places that have texture.
    offsets: Vec<Option<Offset>>,
    /// The opacity (0 as photographed, 1 filled), then for each channel what to add, or the colour itself
    /// without texture.
    strokes: Vec<[f32; 4]>,
    filled: Vec<bool>,
}

/// How one pixel is painted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stroke {
    pub(super) opacity: f32,
    /// Per channel.
    pub(super) correction: Colour,
    /// Sources with their weights; more than one beside a cut between tiles.
    sources: [(f32, Offset); 4],
    count: usize,
}

impl Stroke {
    pub(super) fn sources(&self) -> &[(f32, Offset)] {
        &self.sources[..self.count]
    }
}

impl Patches {
    pub(super) fn reaches(&self, ring: usize, angle: usize) -> bool {
        self.filled[index(ring, angle)]
    }

    /// What to do at a place between rings and angles; `None` leaves it as photographed.
    pub(super) fn stroke(&self, ring: f32, angle: f32) -> Option<Stroke> {
        if ring > RINGS as f32 - 0.5 {
            return None;
        }
        let corners = Corners::around(ring, angle);
        let nearest = corners.nearest();
        if !self.filled[nearest] {
            return None;
        }
        let [opacity, luma, cb, cr] = corners.mix(&self.strokes);
        if opacity < 1.0 / 255.0 {
            return None;
        }
        let mut stroke = Stroke {
            opacity,
            correction: [luma, cb, cr],
            sources: [(0.0, Offset { turn: 0, shift: 0 }); 4],
            count: 0,
        };
        for (at, weight) in corners.0 {
            let at = if self.filled[at] { at } else { nearest };
            if let Some(offset) = self.offsets[at] {
                stroke.add(weight, offset);
            }
        }
        Some(stroke)
    }
}

impl Stroke {
    fn add(&mut self, weight: f32, offset: Offset) {
        let present = &mut self.sources[..self.count];
        match present.iter_mut().find(|(_, present)| *present == offset) {
            Some((sum, _)) => *sum += weight,
            None => {
                self.sources[self.count] = (weight, offset);
                self.count += 1;
            }
        }
    }
}

/// The four places around a point, with bilinear weights.
struct Corners([(usize, f32); 4]);

impl Corners {
    fn around(ring: f32, angle: f32) -> Self {
        let ring = ring.clamp(0.0, RINGS as f32 - 1.0);
        // Never below -1; so far up, rounding towards zero is a floor.
        let angle = angle + ANGLES as f32;
        let (inner, left) = (ring as usize, angle as usize);
        let (fr, fa) = (ring - inner as f32, angle - left as f32);
        let outer = (inner + 1).min(RINGS - 1);
        let (left, right) = (left % ANGLES, (left + 1) % ANGLES);
        Self([
            (index(inner, left), (1.0 - fr) * (1.0 - fa)),
            (index(inner, right), (1.0 - fr) * fa),
            (index(outer, left), fr * (1.0 - fa)),
            (index(outer, right), fr * fa),
        ])
    }

    fn mix(&self, values: &[[f32; 4]]) -> [f32; 4] {
        let mut sum = [0.0; 4];
        for &(at, weight) in &self.0 {
            for (sum, value) in sum.iter_mut().zip(values[at]) {
                *sum += value * weight;
            }
        }
        sum
    }

    fn nearest(&self) -> usize {
        let heavier = |a: (usize, f32), b: (usize, f32)| if b.1 > a.1 { b } else { a };
        self.0.iter().copied().fold((0, -1.0), heavier).0
    }
}

/// How far fills fade, in places.
const FADE: usize = 2;

/// Open places with those on which their fill fades.
pub(super) fn with_margin(open: &[bool]) -> Vec<bool> {
    widened(open, FADE)
}

/// Chooses what stands in for the open places. Towards hidden places they do not fade. The middle of the pupil
/// becomes one colour.
pub(super) fn choose_patches(
    texture: &Texture,
    open: Vec<bool>,
    unwrapped: &Unwrapped,
    rules: Rules,
) -> Patches {
    let offsets = quilt::quilt(texture, &open, rules);
    let mut corrections = vec![[0.0; 3]; open.len()];
    let places: Vec<usize> = (0..open.len()).filter(|&at| open[at]).collect();
    let light = membrane(texture, &offsets, &places, &unwrapped.visible);
    let pupil = texture.pupil();
    for (&at, light) in places.iter().zip(light) {
        let is_pupil = at < index(quilt::FIRST_RING, 0);
        let colour = if is_pupil {
            pupil
        } else {
            plus(texture.profile_at(at), light)
        };
        corrections[at] = match offsets[at].and_then(|offset| offset.source(at)) {
            Some(source) => minus(colour, texture.base(source)),
            None => colour,
        };
    }
    extend_beyond(&mut corrections, &open);
    let strokes = opacity(unwrapped, &open).into_iter().zip(corrections);
    Patches {
        strokes: strokes
            .map(|(opacity, [luma, cb, cr])| [opacity, luma, cb, cr])
            .collect(),
        offsets,
        filled: open,
    }
}

/// What is added to the profile and to the detail of the tiles: solves Poisson's equation over `places`, with
/// what the known places around them have beside profile and continued detail, and steps where tiles meet.
fn membrane(
    texture: &Texture,
    offsets: &[Option<Offset>],
    places: &[usize],
    visible: &[bool],
) -> Vec<Colour> {
    let mut number_of = vec![u32::MAX; offsets.len()];
    for (number, &at) in places.iter().enumerate() {
        number_of[at] = number as u32;
    }
    let numbering = Numbering {
        number_of: &number_of,
        count: places.len(),
    };
    let (cells, starts): (Vec<Cell>, Vec<Option<[f32; 4]>>) = places
        .iter()
        .map(|&at| numbering.cell(texture, offsets, at, visible[at]))
        .unzip();
    relax(&cells, &starts)
}

/// The numbers of the unknown places.
struct Numbering<'a> {
    number_of: &'a [u32],
    count: usize,
}

impl Numbering<'_> {
    /// The equation of a place, and the mean of its known neighbours.
    fn cell(
        &self,
        texture: &Texture,
        offsets: &[Option<Offset>],
        at: usize,
        is_visible: bool,
    ) -> (Cell, Option<[f32; 4]>) {
        let most = if is_visible { MOST } else { MOST_BEHIND_LIDS };
        let (mut neighbours_of, mut unknown) = ([self.count as u32; 4], 0);
        let (mut steps, mut border, mut known) = ([0.0; 4], [0.0; 4], 0.0);
        for near in neighbours(at) {
            if self.number_of[near] != u32::MAX {
                neighbours_of[unknown] = self.number_of[near];
                unknown += 1;
                let [luma, cb, cr] = step_at_cut(texture, offsets, at, near);
                steps = added(steps, [luma, cb, cr, 0.0]);
            } else if texture.known[near] {
                let [luma, cb, cr] =
                    limited(border_light(texture, offsets[at], near, is_visible), most);
                border = added(border, [luma, cb, cr, 0.0]);
                known += 1.0;
            }
        }
        let cell = Cell {
            neighbours: neighbours_of,
            fixed_sum: added(steps, border),
            share: 1.0 / f32::max(unknown as f32 + known, 1.0),
        };
        (cell, (known > 0.0).then(|| border.map(|sum| sum / known)))
    }
}

/// What a known place at the border has beside the profile and what a tile continues with there.
/// Beside a lid its shadow, which is narrower than what counts as broad, goes on into the fill.
fn border_light(texture: &Texture, offset: Option<Offset>, at: usize, is_visible: bool) -> Colour {
    let beside = texture.beside_profile(at);
    let Some(offset) = offset else {
        return beside;
    };
    let source = offset.source(at).filter(|&from| texture.sources[from]);
    if !is_visible {
        return source.map_or(beside, |from| minus(beside, texture.detail(from)));
    }
    let detail = match source.filter(|_| texture.sources[at]) {
        Some(from) => texture.detail(from),
        None => texture.detail(at),
    };
    minus(beside, detail)
}

/// How much higher the light must be at a place than at its neighbour, so that no step shows where two tiles
/// meet: half of what the two tiles differ at either of them.
fn step_at_cut(texture: &Texture, offsets: &[Option<Offset>], at: usize, near: usize) -> Colour {
    let (Some(here), Some(there)) = (offsets[at], offsets[near]) else {
        return [0.0; 3];
    };
    if here == there {
        return [0.0; 3];
    }
    let difference = |at: usize| {
        let known = |offset: Offset| offset.source(at).filter(|&from| texture.known[from]);
        match (known(here), known(there)) {
            (Some(here), Some(there)) => minus(texture.detail(there), texture.detail(here)),
            _ => [0.0; 3],
        }
    };
    plus(difference(at), difference(near)).map(|sum| sum / 2.0)
}

fn limited(colour: Colour, most: Colour) -> Colour {
    std::array::from_fn(|channel| colour[channel].clamp(-most[channel], most[channel]))
}

/// One unknown of the membrane. Colours have a fourth lane, which says nothing, so that a register holds one.
struct Cell {
    /// The numbers of its unknown neighbours; that of no cell in place of others.
    neighbours: [u32; 4],
    /// Of its known neighbours, and the steps to neighbours of other tiles.
    fixed_sum: [f32; 4],
    /// One over the number of all its neighbours.
    share: f32,
}

/// Starts from values spread inwards from the border, then relaxes (successive over-relaxation).
fn relax(cells: &[Cell], starts: &[Option<[f32; 4]>]) -> Vec<Colour> {
    const SWEEPS: usize = 36;
    let mut values = spread_inwards(cells, starts);
    for sweep in 0..SWEEPS {
        if sweep % 2 == 0 {
            (0..cells.len()).for_each(|number| relax_one(cells, number, &mut values));
        } else {
            (0..cells.len())
                .rev()
                .for_each(|number| relax_one(cells, number, &mut values));
        }
    }
    values.truncate(cells.len());
    values
        .into_iter()
        .map(|[luma, cb, cr, _]| [luma, cb, cr])
        .collect()
}

#[inline]
fn relax_one(cells: &[Cell], number: usize, values: &mut [[f32; 4]]) {
    const OVERSHOOT: f32 = 1.85;
    let cell = &cells[number];
    let [a, b, c, d] = cell.neighbours.map(|neighbour| values[neighbour as usize]);
    let sum = added(added(cell.fixed_sum, added(a, b)), added(c, d));
    for (value, sum) in values[number].iter_mut().zip(sum) {
        *value += OVERSHOOT * (sum * cell.share - *value);
    }
}

/// A value for each cell, and zero in the end for what is none.
fn spread_inwards(cells: &[Cell], starts: &[Option<[f32; 4]>]) -> Vec<[f32; 4]> {
    let mut values = vec![[0.0; 4]; cells.len() + 1];
    let mut reached = vec![false; cells.len()];
    let mut front: Vec<u32> = Vec::new();
    for (number, start) in starts.iter().enumerate() {
        if let Some(start) = start {
            values[number] = *start;
            reached[number] = true;
            front.push(number as u32);
        }
    }
    let mut next = 0;
    while let Some(&number) = front.get(next) {
        next += 1;
        for &neighbour in &cells[number as usize].neighbours {
            if let Some(reached) = reached
                .get_mut(neighbour as usize)
                .filter(|reached| !**reached)
            {
                *reached = true;
                values[neighbour as usize] = values[number as usize];
                front.push(neighbour);
            }
        }
    }
    values
}

/// Carries corrections two places beyond their region, for interpolation across its edge.
fn extend_beyond(corrections: &mut [[f32; 3]], highlights: &[bool]) {
    let mut has_value = highlights.to_vec();
    let mut edge: Vec<usize> = (0..highlights.len()).filter(|&at| highlights[at]).collect();
    for _ in 0..2 {
        let mut beyond: Vec<usize> = edge
            .iter()
            .flat_map(|&at| neighbours(at))
            .filter(|&at| !has_value[at])
            .collect();
        beyond.sort_unstable();
        beyond.dedup();
        for &at in &beyond {
            let from = neighbours(at).filter(|&near| has_value[near]);
            let (sum, count) = from.fold(([0.0; 3], 0.0), |(sum, count), near| {
                (plus(sum, corrections[near]), count + 1.0)
            });
            corrections[at] = sum.map(|s| s / count);
        }
        beyond.iter().for_each(|&at| has_value[at] = true);
        edge = beyond;
    }
}

/// 1 inside a highlight, falling to 0 at its edge; towards lids it stays 1.
fn opacity(unwrapped: &Unwrapped, highlights: &[bool]) -> Vec<f32> {
    const REACH: usize = FADE;
    let counts = |at: usize| highlights[at] || !unwrapped.visible[at];
    let share_around = |at: usize| {
        let (ring, angle) = (at / ANGLES, at % ANGLES);
        let (mut inside, mut all) = (0.0_f32, 0.0_f32);
        for ring in ring.saturating_sub(REACH)..=(ring + REACH).min(RINGS - 1) {
            for turn in ANGLES - REACH..=ANGLES + REACH {
                all += 1.0;
                inside += f32::from(u8::from(counts(index(ring, (angle + turn) % ANGLES))));
            }
        }
        inside / all
    };
    let fade = |at: usize| {
        if !highlights[at] {
            return 0.0;
        }
        let t = ((share_around(at) - 0.5) / 0.45).clamp(0.0, 1.0);
        t * t * (3.0 - 2.0 * t)
    };
    (0..highlights.len()).map(fade).collect()
}
