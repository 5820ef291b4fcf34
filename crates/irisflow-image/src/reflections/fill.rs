//! What stands in for open places: quilted texture of the same rings, and the light that hides its seams.
//!
//! `quilt.rs` says where texture comes from. Its detail keeps the profile of the rings it is laid on, and what
//! differs along the border of the open places is spread smoothly over them (a membrane: Farbman et al.,
//! Coordinates for Instant Image Cloning, 2009, which is Poisson cloning of Pérez et al., 2003, without
//! gradients). Fibres run along the columns, so they stay whole. Places without texture, as in the middle of
//! the pupil, get the membrane alone.

use multiversion::multiversion;

use super::detect::neighbours;
use super::quilt::{self, Offset, Rules};
use super::texture::{Colour, Texture, added, minus, plus, widened};
use super::unwrap::{ANGLES, Places, RINGS, TOGETHER, Unwrapped, index};

/// How far light and colour of a fill may differ from those of the rings it lies on.
const MOST: Colour = [45.0, 14.0, 14.0];
/// The same beside a lid, whose shadow and skin must not spread over the iris.
const MOST_BEHIND_LIDS: Colour = [40.0, 6.0, 6.0];

/// How every filled place is made.
pub(super) struct Patches {
    /// What is painted at each place.
    fillings: Vec<Filling>,
    /// The opacity (0 as photographed, 1 filled), then for each channel what to add, or the colour itself
    /// without texture.
    strokes: Vec<[f32; 4]>,
}

/// What a place is filled with, as a number, so that places are compared at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Filling(u32);

impl Filling {
    /// The place stays as photographed.
    const NOTHING: Self = Self(0);
    /// A colour without texture.
    const COLOUR: Self = Self(1);

    fn of(is_open: bool, offset: Option<Offset>) -> Self {
        match offset {
            _ if !is_open => Self::NOTHING,
            None => Self::COLOUR,
            Some(offset) => {
                let [shift] = offset.shift.to_ne_bytes();
                Self(2 + (u32::from(offset.turn) << 8 | u32::from(shift)))
            }
        }
    }

    fn offset(self) -> Option<Offset> {
        let packed = self.0.checked_sub(2)?;
        Some(Offset {
            turn: (packed >> 8) as u16,
            shift: i8::from_ne_bytes([packed as u8]),
        })
    }
}

/// How pixels side by side are painted.
pub(super) struct Strokes {
    /// 0 as photographed, 1 filled.
    pub(super) opacities: [f32; TOGETHER],
    /// What is added to the texture, per channel.
    pub(super) corrections: [[f32; TOGETHER]; 3],
    /// Pixel, weight and offset of texture; several of one pixel beside a cut between tiles.
    sources: [(u8, f32, Offset); 4 * TOGETHER],
    count: usize,
}

impl Default for Strokes {
    fn default() -> Self {
        Self {
            opacities: [0.0; TOGETHER],
            corrections: [[0.0; TOGETHER]; 3],
            sources: [(0, 0.0, Offset { turn: 0, shift: 0 }); 4 * TOGETHER],
            count: 0,
        }
    }
}

impl Strokes {
    pub(super) fn sources(&self) -> &[(u8, f32, Offset)] {
        &self.sources[..self.count]
    }

    fn add_source(&mut self, pixel: usize, weight: f32, filling: Filling) {
        if let Some(offset) = filling.offset() {
            self.sources[self.count] = (pixel as u8, weight, offset);
            self.count += 1;
        }
    }
}

impl Patches {
    pub(super) fn reaches(&self, ring: usize, angle: usize) -> bool {
        self.fillings[index(ring, angle)] != Filling::NOTHING
    }

    /// What to do at the first `count` places; false if all of them stay as photographed.
    pub(super) fn strokes(&self, places: &Places, count: usize, strokes: &mut Strokes) -> bool {
        strokes.count = 0;
        let mut any = false;
        let between = between(places);
        for pixel in 0..count {
            let is_inside = places.rings[pixel] <= RINGS as f32 - 0.5;
            let is_painted = is_inside && self.add_stroke(pixel, &between, strokes);
            any |= is_painted;
            if !is_painted {
                strokes.opacities[pixel] = 0.0;
            }
        }
        any
    }

    /// False where the place stays as photographed.
    #[inline(always)]
    fn add_stroke(&self, pixel: usize, between: &Between, strokes: &mut Strokes) -> bool {
        const LEAST: f32 = 1.0 / 255.0;
        let corners = Corners::around(pixel, between);
        let fillings = corners.places.map(|at| self.fillings[at]);
        let nearest = fillings[corners.nearest()];
        if nearest == Filling::NOTHING {
            return false;
        }
        let [opacity, luma, cb, cr] = corners.mix(&self.strokes);
        if opacity < LEAST {
            return false;
        }
        strokes.opacities[pixel] = opacity;
        strokes.corrections[0][pixel] = luma;
        strokes.corrections[1][pixel] = cb;
        strokes.corrections[2][pixel] = cr;
        if fillings == [nearest; 4] {
            strokes.add_source(pixel, 1.0, nearest);
        } else {
            corners.add_sources(pixel, fillings, nearest, strokes);
        }
        true
    }
}

/// Between which rings and angles points lie, and how far towards the second.
#[derive(Default)]
struct Between {
    rings: [i32; TOGETHER],
    angles: [i32; TOGETHER],
    outwards: [f32; TOGETHER],
    round: [f32; TOGETHER],
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn between(places: &Places) -> Between {
    let mut between = Between::default();
    for at in 0..TOGETHER {
        let ring = places.rings[at].max(0.0).min(RINGS as f32 - 1.0);
        // Never below -1; so far up, rounding towards zero is a floor.
        let angle = places.angles[at] + ANGLES as f32;
        between.rings[at] = ring as i32;
        between.angles[at] = angle as i32;
        between.outwards[at] = ring - ring as i32 as f32;
        between.round[at] = angle - angle as i32 as f32;
    }
    between
}

/// The four places around a point, with bilinear weights.
struct Corners {
    places: [usize; 4],
    weights: [f32; 4],
}

impl Corners {
    #[inline(always)]
    fn around(pixel: usize, between: &Between) -> Self {
        let inner = between.rings[pixel] as usize;
        let outer = (inner + 1).min(RINGS - 1);
        let left = between.angles[pixel] as usize % ANGLES;
        let right = (left + 1) % ANGLES;
        let (fr, fa) = (between.outwards[pixel], between.round[pixel]);
        Self {
            places: [
                index(inner, left),
                index(inner, right),
                index(outer, left),
                index(outer, right),
            ],
            weights: [
                (1.0 - fr) * (1.0 - fa),
                (1.0 - fr) * fa,
                fr * (1.0 - fa),
                fr * fa,
            ],
        }
    }

    #[inline(always)]
    fn mix(&self, values: &[[f32; 4]]) -> [f32; 4] {
        let mut sum = [0.0; 4];
        for (&at, weight) in self.places.iter().zip(self.weights) {
            for (sum, value) in sum.iter_mut().zip(values[at]) {
                *sum += value * weight;
            }
        }
        sum
    }

    /// Which of the four is nearest.
    #[inline(always)]
    fn nearest(&self) -> usize {
        let [a, b, c, d] = self.weights;
        let (inner, inner_weight) = if b > a { (1, b) } else { (0, a) };
        let (outer, outer_weight) = if d > c { (3, d) } else { (2, c) };
        if outer_weight > inner_weight {
            outer
        } else {
            inner
        }
    }

    /// Adds the sources of a pixel beside a cut: the same source once, and what stays as the nearest place.
    fn add_sources(
        &self,
        pixel: usize,
        fillings: [Filling; 4],
        nearest: Filling,
        strokes: &mut Strokes,
    ) {
        let or_nearest = |filling| match filling {
            Filling::NOTHING => nearest,
            filling => filling,
        };
        let fillings = fillings.map(or_nearest);
        for (at, &filling) in fillings.iter().enumerate() {
            if !fillings[..at].contains(&filling) {
                let same = (0..4).filter(|&other| fillings[other] == filling);
                let weight = same.map(|other| self.weights[other]).sum();
                strokes.add_source(pixel, weight, filling);
            }
        }
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
    let places = every_other_first(&open);
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
    let fillings = open.iter().zip(offsets);
    Patches {
        strokes: strokes
            .map(|(opacity, [luma, cb, cr])| [opacity, luma, cb, cr])
            .collect(),
        fillings: fillings
            .map(|(&open, offset)| Filling::of(open, offset))
            .collect(),
    }
}

/// The open places in the order of relaxation: as on a chequerboard first one colour, then the other, so that
/// places in turn do not wait for each other.
fn every_other_first(open: &[bool]) -> Vec<usize> {
    let of_colour = |colour: usize| {
        let is_of_colour = move |at: usize| (at / ANGLES + at) % 2 == colour;
        (0..open.len()).filter(move |&at| open[at] && is_of_colour(at))
    };
    of_colour(0).chain(of_colour(1)).collect()
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
    for _ in 0..SWEEPS {
        (0..cells.len()).for_each(|number| relax_one(cells, number, &mut values));
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
