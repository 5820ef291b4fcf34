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
use super::texture::{self, Colour, Texture, added, minus, plus, widened};
use super::unwrap::{ANGLES, Places, RINGS, TOGETHER, Unwrapped, index};
use crate::coverage::smoothstep;

/// How far light and colour of a fill may differ from those of the rings it lies on.
const MOST: Colour = [45.0, 14.0, 14.0];
/// The same behind a lid: its shadow goes on there, its skin must not.
const MOST_BEHIND_LIDS: Colour = [60.0, 6.0, 6.0];

/// How every filled place is made.
pub(super) struct Patches {
    /// What is painted at each place.
    fillings: Vec<Filling>,
    /// The opacity (0 as photographed, 1 filled), then for each channel what to add, or the colour itself
    /// without texture.
    strokes: Vec<[f32; 4]>,
    /// What texture is multiplied by, so that its contrast is that of the brightness it gets.
    gains: Vec<f32>,
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
        let gains = corners.places.map(|at| self.gains[at]);
        let weights: [f32; 4] = std::array::from_fn(|at| corners.weights[at] * gains[at]);
        if fillings == [nearest; 4] {
            strokes.add_source(pixel, weights.iter().sum(), nearest);
        } else {
            add_sources(pixel, weights, fillings, nearest, strokes);
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
}

/// Adds the sources of a pixel beside a cut: the same source once, and what stays as the nearest place.
fn add_sources(
    pixel: usize,
    weights: [f32; 4],
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
            let weight = same.map(|other| weights[other]).sum();
            strokes.add_source(pixel, weight, filling);
        }
    }
}

/// How far fills fade, in places, and beside a lid, where light and sharpness change gradually.
const FADE: usize = 3;
const LID_FADE: usize = 8;

/// Open places with those on which their fill fades.
pub(super) fn with_margin(open: &[bool], visible: &[bool]) -> Vec<bool> {
    let beside_lids = beside_lids(open, visible);
    let wide = widened(open, FADE);
    let places = wide.iter().zip(beside_lids);
    places.map(|(wide, beside)| *wide || beside).collect()
}

/// What is open behind lids, with the places beside it.
fn beside_lids(open: &[bool], visible: &[bool]) -> Vec<bool> {
    widened(&behind_lids(open, visible), LID_FADE)
}

fn behind_lids(open: &[bool], visible: &[bool]) -> Vec<bool> {
    let places = open.iter().zip(visible);
    places.map(|(open, visible)| *open && !visible).collect()
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
    let mut corrections = vec![[0.0; 4]; open.len()];
    let places = every_other_first(&open);
    let beside_lids = beside_lids(&open, &unwrapped.visible);
    let filling = Tiled {
        texture,
        offsets: &offsets,
        shade: shade(texture, &open, &beside_lids),
    };
    let light = membrane(&filling, &places, &beside_lids);
    let left = lid_shade(&open, &unwrapped.visible);
    let pupil = texture.pupil();
    for (&at, light) in places.iter().zip(light) {
        let lost = filling.shade[at].map(|shade| shade * (1.0 - left[at]));
        let colour = if at < index(quilt::FIRST_RING, 0) {
            pupil
        } else {
            minus(plus(texture.profile_at(at), light), lost)
        };
        corrections[at] = match filling.source(at) {
            Some((source, gain)) => {
                let base = texture.base(source).map(|base| base * gain);
                let [luma, cb, cr] = minus(colour, base);
                [luma, cb, cr, gain]
            }
            None => [colour[0], colour[1], colour[2], 1.0],
        };
    }
    extend_beyond(&mut corrections, &open);
    let strokes = opacity(unwrapped, &open, &beside_lids)
        .into_iter()
        .zip(&corrections);
    let fillings = open.iter().zip(offsets);
    Patches {
        strokes: strokes
            .map(|(opacity, [luma, cb, cr, _])| [opacity, *luma, *cb, *cr])
            .collect(),
        gains: corrections.iter().map(|correction| correction[3]).collect(),
        fillings: fillings
            .map(|(&open, offset)| Filling::of(open, offset))
            .collect(),
    }
}

/// Tiles laid over the open places.
struct Tiled<'a> {
    texture: &'a Texture,
    offsets: &'a [Option<Offset>],
    /// What is broad beside the profile around open places, carried on into them.
    shade: Vec<Colour>,
}

impl Tiled<'_> {
    /// Where the texture of a place comes from, and what its detail is multiplied by.
    fn source(&self, at: usize) -> Option<(usize, f32)> {
        let source = self.offsets[at]?.source(at)?;
        Some((source, self.gain(at, source)))
    }

    /// Contrast follows brightness: from that of a source to that of a place.
    fn gain(&self, at: usize, source: usize) -> f32 {
        /// Added to both lumas, so that noise of dark places is not enlarged.
        const DARK: f32 = 10.0;
        const GAINS: (f32, f32) = (0.4, 1.25);
        let new = self.texture.profile_at(at)[0] + self.shade[at][0];
        let gain = (new + DARK) / (self.texture.base(source)[0] + DARK).max(DARK);
        gain.clamp(GAINS.0, GAINS.1)
    }

    /// The detail that a tile shows at a place.
    fn detail(&self, at: usize, offset: Offset) -> Option<Colour> {
        let source = offset.source(at).filter(|&from| self.texture.known[from])?;
        let gain = self.gain(at, source);
        Some(self.texture.detail(source).map(|detail| detail * gain))
    }

    /// How much higher the light must be at a place than at its neighbour, so that no step shows where two tiles
    /// meet: half of what the two tiles differ at either of them.
    fn step_at_cut(&self, at: usize, near: usize) -> Colour {
        let (Some(here), Some(there)) = (self.offsets[at], self.offsets[near]) else {
            return [0.0; 3];
        };
        if here == there {
            return [0.0; 3];
        }
        let difference = |at: usize| match (self.detail(at, here), self.detail(at, there)) {
            (Some(here), Some(there)) => minus(there, here),
            _ => [0.0; 3],
        };
        plus(difference(at), difference(near)).map(|sum| sum / 2.0)
    }

    /// What a known place at the border has beside the profile and what the tile of its neighbour `at`
    /// continues with there.
    fn border_light(&self, at: usize, border: usize) -> Colour {
        let texture = self.texture;
        let beside = texture.beside_profile(border);
        let Some(offset) = self.offsets[at] else {
            return beside;
        };
        let source = offset.source(border).filter(|&from| texture.sources[from]);
        match source.filter(|_| texture.sources[border]) {
            Some(from) => {
                let gain = self.gain(at, from);
                minus(beside, texture.detail(from).map(|detail| detail * gain))
            }
            None => texture.light_around(border),
        }
    }
}

/// What is broad beside the profile around the open places, carried on into them from the nearest, and blurred.
fn shade(texture: &Texture, open: &[bool], beside_lids: &[bool]) -> Vec<Colour> {
    let mut shade = vec![[0.0; 3]; open.len()];
    let mut reached = vec![false; open.len()];
    let mut front = Vec::new();
    for at in (0..open.len()).filter(|&at| open[at]) {
        if let Some(near) = neighbours(at).find(|&near| texture.known[near]) {
            let most = if beside_lids[at] {
                MOST_BEHIND_LIDS
            } else {
                MOST
            };
            shade[at] = limited(texture.light_around(near), most);
            reached[at] = true;
            front.push(at);
        }
    }
    let mut next = 0;
    while let Some(&at) = front.get(next) {
        next += 1;
        for near in neighbours(at).filter(|&near| open[near]) {
            if !std::mem::replace(&mut reached[near], true) {
                shade[near] = shade[at];
                front.push(near);
            }
        }
    }
    texture::blurred(&shade, &reached)
}

/// How much of the light at the border of a lid goes on behind it: less and less of its shadow.
fn lid_shade(open: &[bool], visible: &[bool]) -> Vec<f32> {
    const FULL: usize = 12;
    const LEAST: f32 = 0.35;
    const REACH: usize = 110;
    let hidden = behind_lids(open, visible);
    let mut shade = vec![1.0; open.len()];
    let mut reached: Vec<bool> = hidden.iter().map(|hidden| !hidden).collect();
    let is_border = |&at: &usize| hidden[at] && neighbours(at).any(|near| !hidden[near]);
    let mut front: Vec<usize> = (0..open.len()).filter(is_border).collect();
    front.iter().for_each(|&at| reached[at] = true);
    let mut distance = 0;
    while !front.is_empty() {
        let far = distance as f32 - FULL as f32;
        let gone = smoothstep(0.0, (REACH - FULL) as f32, far);
        front
            .iter()
            .for_each(|&at| shade[at] = 1.0 - (1.0 - LEAST) * gone);
        let mut next = Vec::new();
        for near in front.iter().flat_map(|&at| neighbours(at)) {
            if !std::mem::replace(&mut reached[near], true) {
                next.push(near);
            }
        }
        front = next;
        distance += 1;
    }
    shade
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
fn membrane(filling: &Tiled<'_>, places: &[usize], beside_lids: &[bool]) -> Vec<Colour> {
    let mut number_of = vec![u32::MAX; filling.offsets.len()];
    for (number, &at) in places.iter().enumerate() {
        number_of[at] = number as u32;
    }
    let numbering = Numbering {
        number_of: &number_of,
        count: places.len(),
    };
    let cells: Vec<Cell> = places
        .iter()
        .map(|&at| numbering.cell(filling, at, beside_lids[at]))
        .collect();
    let starts = places.iter().map(|&at| filling.shade[at]);
    relax(&cells, starts)
}

/// The numbers of the unknown places.
struct Numbering<'a> {
    number_of: &'a [u32],
    count: usize,
}

impl Numbering<'_> {
    /// The equation of a place.
    fn cell(&self, filling: &Tiled<'_>, at: usize, is_beside_lid: bool) -> Cell {
        let (mut neighbours_of, mut unknown) = ([self.count as u32; 4], 0);
        let (mut fixed, mut known) = ([0.0; 4], 0.0);
        for near in neighbours(at) {
            let [luma, cb, cr] = if self.number_of[near] != u32::MAX {
                neighbours_of[unknown] = self.number_of[near];
                unknown += 1;
                filling.step_at_cut(at, near)
            } else if filling.texture.known[near] {
                known += 1.0;
                if is_beside_lid {
                    limited(filling.texture.light_around(near), MOST_BEHIND_LIDS)
                } else {
                    limited(filling.border_light(at, near), MOST)
                }
            } else {
                continue;
            };
            fixed = added(fixed, [luma, cb, cr, 0.0]);
        }
        Cell {
            neighbours: neighbours_of,
            fixed_sum: fixed,
            share: 1.0 / f32::max(unknown as f32 + known, 1.0),
        }
    }
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

/// Relaxes from the first values on (successive over-relaxation).
fn relax(cells: &[Cell], starts: impl Iterator<Item = Colour>) -> Vec<Colour> {
    const SWEEPS: usize = 36;
    let mut values: Vec<[f32; 4]> = starts.map(|[luma, cb, cr]| [luma, cb, cr, 0.0]).collect();
    // What stands for no neighbour.
    values.push([0.0; 4]);
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

/// Carries corrections two places beyond their region, for interpolation across its edge.
fn extend_beyond(corrections: &mut [[f32; 4]], highlights: &[bool]) {
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
            let (sum, count) = from.fold(([0.0; 4], 0.0), |(sum, count), near| {
                (added(sum, corrections[near]), count + 1.0)
            });
            corrections[at] = sum.map(|s| s / count);
        }
        beyond.iter().for_each(|&at| has_value[at] = true);
        edge = beyond;
    }
}

/// 1 inside a highlight, falling to 0 at its edge, and more slowly at the edge of what is open beside a lid;
/// towards hidden places it stays 1.
fn opacity(unwrapped: &Unwrapped, open: &[bool], beside_lids: &[bool]) -> Vec<f32> {
    let places = open.iter().zip(&unwrapped.visible);
    let counts: Vec<bool> = places.map(|(open, visible)| *open || !visible).collect();
    let near = shares_around(&counts, FADE);
    let far = shares_around(&counts, LID_FADE);
    let fade = |at: usize| {
        if !open[at] {
            return 0.0;
        }
        let is_fading_lid = beside_lids[at] && unwrapped.visible[at];
        let share = if is_fading_lid { far[at] } else { near[at] };
        smoothstep(0.5, 0.95, share)
    };
    (0..open.len()).map(fade).collect()
}

/// The share of marked places around each, up to `reach` rings and angles off.
fn shares_around(marks: &[bool], reach: usize) -> Vec<f32> {
    let mut round = vec![0_u16; marks.len()];
    for (sums, marks) in round
        .chunks_exact_mut(ANGLES)
        .zip(marks.chunks_exact(ANGLES))
    {
        let mark = |angle: usize| u16::from(marks[angle % ANGLES]);
        let mut sum: u16 = (ANGLES - reach..=ANGLES + reach).map(mark).sum();
        for (angle, out) in sums.iter_mut().enumerate() {
            *out = sum;
            sum = sum + mark(angle + reach + 1) - mark(angle + ANGLES - reach);
        }
    }
    let mut shares = Vec::with_capacity(marks.len());
    let mut sums = [0_u16; ANGLES];
    for ring in 0..RINGS {
        let rings = ring.saturating_sub(reach)..(ring + reach + 1).min(RINGS);
        let places = rings.len() * (2 * reach + 1);
        sums.fill(0);
        for round in round[index(rings.start, 0)..index(rings.end, 0)].chunks_exact(ANGLES) {
            sums.iter_mut()
                .zip(round)
                .for_each(|(sum, round)| *sum += round);
        }
        shares.extend(sums.iter().map(|sum| f32::from(*sum) / places as f32));
    }
    shares
}
