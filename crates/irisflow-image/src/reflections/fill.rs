//! What stands in for open places: quilted texture of the same rings, and the light that hides its seams.
//!
//! `quilt.rs` says where texture comes from. Its detail keeps the profile of the rings it is laid on, and what
//! differs along the border of the open places is spread smoothly over them (a membrane: Farbman et al.,
//! Coordinates for Instant Image Cloning, 2009, which is Poisson cloning of Pérez et al., 2003, without
//! gradients). Fibres run along the columns, so they stay whole. Places without texture, as in the middle of
//! the pupil, get the membrane alone.

use super::detect::neighbours;
use super::membrane::{Equation, Membrane};
use super::patches::{Filling, Patches};
use super::quilt::{self, Offset, Rules};
use super::texture::{self, Colour, Texture, added, minus, plus, widened};
use super::unwrap::{ANGLES, RINGS, Unwrapped, for_places, index};
use crate::coverage::smoothstep;
use crate::threads::Threads;

/// How far light and colour of a fill may differ from those of the rings it lies on.
const MOST: Colour = [45.0, 14.0, 14.0];
/// The same behind a lid: its shadow goes on there, its skin must not.
const MOST_BEHIND_LIDS: Colour = [60.0, 6.0, 6.0];

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
    threads: Threads,
) -> Patches {
    // What takes more memory runs on the caller's thread, whose allocator keeps it for the next job.
    let (offsets, (surroundings, opacities)) = threads.both(
        || quilt::quilt(texture, &open, rules),
        || {
            let surroundings = Surroundings::of(texture, &open, unwrapped);
            let opacities = opacity(unwrapped, &open, &surroundings.beside_lids);
            (surroundings, opacities)
        },
    );
    let filling = Tiled {
        texture,
        offsets: &offsets,
        shade: &surroundings.shade,
    };
    let lights = lights(&filling, &surroundings, &open, threads);
    let fillings = open.iter().zip(&offsets);
    let fillings = fillings.map(|(&open, &offset)| Filling::of(open, offset));
    Patches::new(fillings.collect(), &opacities, &lights)
}

/// What around the open places decides on their light.
struct Surroundings {
    beside_lids: Vec<bool>,
    /// What is broad beside the profile around open places, carried on into them.
    shade: Vec<Colour>,
    /// How much of it goes on behind a lid.
    lid_shade: Vec<f32>,
}

impl Surroundings {
    fn of(texture: &Texture, open: &[bool], unwrapped: &Unwrapped) -> Self {
        let beside_lids = beside_lids(open, &unwrapped.visible);
        Self {
            shade: shade(texture, open, &beside_lids),
            lid_shade: lid_shade(open, &unwrapped.visible),
            beside_lids,
        }
    }
}

/// For every open place, and a little beyond, what is added to texture, or the colour itself, and what texture is
/// multiplied by.
fn lights(
    filling: &Tiled<'_>,
    around: &Surroundings,
    open: &[bool],
    threads: Threads,
) -> Vec<[f32; 4]> {
    let texture = filling.texture;
    let places: Vec<usize> = (0..open.len()).filter(|&at| open[at]).collect();
    let membrane = membrane(filling, open, &places, &around.beside_lids, threads);
    let pupil = texture.pupil();
    let mut lights = for_places(threads, |at| {
        if !open[at] {
            return [0.0; 4];
        }
        let lost = filling.shade[at].map(|shade| shade * (1.0 - around.lid_shade[at]));
        let colour = if at < index(quilt::FIRST_RING, 0) {
            pupil
        } else {
            minus(plus(texture.profile_at(at), membrane.at(at)), lost)
        };
        match filling.source(at) {
            Some((source, gain)) => {
                let base = texture.base(source).map(|base| base * gain);
                let [luma, cb, cr] = minus(colour, base);
                [luma, cb, cr, gain]
            }
            None => [colour[0], colour[1], colour[2], 1.0],
        }
    });
    extend_beyond(&mut lights, &places, open);
    lights
}

/// Tiles laid over the open places.
struct Tiled<'a> {
    texture: &'a Texture,
    offsets: &'a [Option<Offset>],
    /// What is broad beside the profile around open places, carried on into them.
    shade: &'a [Colour],
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

    /// The light of a place between that of its neighbours.
    fn equation(&self, open: &[bool], at: usize, is_beside_lid: bool) -> Equation {
        let (mut fixed, mut count) = ([0.0; 3], 0.0);
        for near in neighbours(at) {
            let light = if open[near] {
                self.step_at_cut(at, near)
            } else if !self.texture.known[near] {
                continue;
            } else if is_beside_lid {
                limited(self.texture.light_around(near), MOST_BEHIND_LIDS)
            } else {
                limited(self.border_light(at, near), MOST)
            };
            fixed = plus(fixed, light);
            count += 1.0;
        }
        Equation {
            fixed,
            share: 1.0 / f32::max(count, 1.0),
            start: self.shade[at],
        }
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
    texture::blurred(|at| shade[at], &reached, Threads::default())
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

/// What is added to the profile and to the detail of the tiles: a membrane over the open `places`, with what the
/// known places around them have beside profile and continued detail, and steps where tiles meet.
fn membrane(
    filling: &Tiled<'_>,
    open: &[bool],
    places: &[usize],
    beside_lids: &[bool],
    threads: Threads,
) -> Membrane {
    const TOGETHER: usize = 4096;
    let parts = places.chunks(TOGETHER).collect();
    let equations = threads.map(parts, |places: &[usize]| -> Vec<(usize, Equation)> {
        let equation = |&at: &usize| (at, filling.equation(open, at, beside_lids[at]));
        places.iter().map(equation).collect()
    });
    Membrane::solve(&equations.concat())
}

fn limited(colour: Colour, most: Colour) -> Colour {
    std::array::from_fn(|channel| colour[channel].clamp(-most[channel], most[channel]))
}

/// Carries corrections two places beyond their region, for interpolation across its edge.
fn extend_beyond(corrections: &mut [[f32; 4]], places: &[usize], open: &[bool]) {
    let mut has_value = open.to_vec();
    let mut edge = places.to_vec();
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
