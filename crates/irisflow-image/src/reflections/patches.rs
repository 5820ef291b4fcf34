//! How filled places are made, and how pixels that lie between them are painted.
//!
//! Pixels side by side mostly lie between places of one tile. They share one offset, and what is painted there is
//! mixed from the places around; beside a cut each pixel gets a list of sources.

use multiversion::multiversion;

use super::quilt::Offset;
use super::unwrap::{ANGLES, Places, RINGS, TOGETHER, index};

/// One value for each of some pixels side by side.
pub(super) type Pixels = [f32; TOGETHER];

/// How a place is painted: the opacity (0 as photographed, 1 filled), for two channels what to add, or the colour
/// itself without texture, and what texture is multiplied by, so that its contrast is that of its brightness.
/// The four are read and mixed together.
pub(super) type Stroke = [f32; 4];

/// How every filled place is made.
pub(super) struct Patches {
    /// What is painted at each place.
    fillings: Vec<Filling>,
    /// The filling of a place and of its neighbours further round, further out and both, if it is the same.
    shared: Vec<Filling>,
    /// For luma, with one channel unused, and for both planes of chroma.
    luma: Vec<Stroke>,
    chroma: Vec<Stroke>,
}

/// The planes that strokes are looked up for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Channels {
    Luma,
    Chroma,
}

/// What a place is filled with, as a number, so that places are compared at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filling(u32);

impl Filling {
    /// The place stays as photographed.
    const NOTHING: Self = Self(0);
    /// A colour without texture.
    const COLOUR: Self = Self(1);
    /// Places that are not filled alike.
    const MIXED: Self = Self(u32::MAX);

    pub(super) fn of(is_open: bool, offset: Option<Offset>) -> Self {
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
#[derive(Default)]
pub(super) struct Strokes {
    /// 0 as photographed, 1 filled.
    pub(super) opacities: Pixels,
    /// What is added to the texture, per channel.
    pub(super) corrections: [Pixels; 2],
    /// Where the texture of all pixels comes from, if that is one offset: then it is multiplied by the gains.
    pub(super) common: Option<Offset>,
    pub(super) gains: Pixels,
    sources: SourceList,
}

/// Pixel, weight and offset of texture; several of one pixel beside a cut between tiles.
struct SourceList {
    entries: [(u8, f32, Offset); 4 * TOGETHER],
    count: usize,
}

impl Default for SourceList {
    fn default() -> Self {
        Self {
            entries: [(0, 0.0, Offset { turn: 0, shift: 0 }); 4 * TOGETHER],
            count: 0,
        }
    }
}

impl Strokes {
    /// The sources of pixels that do not have one in common.
    pub(super) fn sources(&self) -> &[(u8, f32, Offset)] {
        &self.sources.entries[..self.sources.count]
    }

    /// Takes the strokes of all pixels apart.
    fn set(&mut self, strokes: &[Stroke; TOGETHER]) {
        for (pixel, &[opacity, first, second, gain]) in strokes.iter().enumerate() {
            self.opacities[pixel] = opacity;
            self.corrections[0][pixel] = first;
            self.corrections[1][pixel] = second;
            self.gains[pixel] = gain;
        }
    }

    fn add_source(&mut self, pixel: usize, weight: f32, filling: Filling) {
        if let Some(offset) = filling.offset() {
            let list = &mut self.sources;
            list.entries[list.count] = (pixel as u8, weight, offset);
            list.count += 1;
        }
    }
}

/// What is less opaque is not painted.
const LEAST: f32 = 1.0 / 255.0;

impl Patches {
    /// `lights` are luma, blue and red chroma, and what texture is multiplied by.
    pub(super) fn new(fillings: Vec<Filling>, opacities: &[f32], lights: &[[f32; 4]]) -> Self {
        let places = || opacities.iter().zip(lights);
        Self {
            shared: shared(&fillings),
            luma: places()
                .map(|(&opacity, &[luma, _, _, gain])| [opacity, luma, 0.0, gain])
                .collect(),
            chroma: places()
                .map(|(&opacity, &[_, cb, cr, gain])| [opacity, cb, cr, gain])
                .collect(),
            fillings,
        }
    }

    pub(super) fn reaches(&self, at: usize) -> bool {
        self.fillings[at] != Filling::NOTHING
    }

    /// What to do at the first `count` places; false if all of them stay as photographed.
    pub(super) fn strokes(
        &self,
        places: &Places,
        count: usize,
        channels: Channels,
        strokes: &mut Strokes,
    ) -> bool {
        let table = match channels {
            Channels::Luma => &self.luma,
            Channels::Chroma => &self.chroma,
        };
        let between = between(places);
        let filling = |pixel: usize| match places.rings[pixel] <= RINGS as f32 - 0.5 {
            true => self.shared[between.first_place(pixel)],
            false => Filling::NOTHING,
        };
        let first = filling(0);
        strokes.sources.count = 0;
        strokes.common = None;
        let mut mixed = [[0.0; 4]; TOGETHER];
        if first == Filling::MIXED || (1..count).any(|pixel| filling(pixel) != first) {
            for (pixel, mixed) in mixed[..count].iter_mut().enumerate() {
                if let Some(stroke) = self.stroke(pixel, filling(pixel), &between, table, strokes) {
                    *mixed = stroke;
                }
            }
        } else if first != Filling::NOTHING {
            strokes.common = first.offset();
            for (pixel, mixed) in mixed[..count].iter_mut().enumerate() {
                let stroke = Corners::around(pixel, &between).mix(table);
                *mixed = if stroke[0] < LEAST { [0.0; 4] } else { stroke };
            }
        } else {
            return false;
        }
        strokes.set(&mixed);
        mixed.iter().any(|stroke| stroke[0] > 0.0)
    }

    /// The stroke of one pixel of several that differ, and its sources. None where the place stays as photographed.
    #[inline(always)]
    fn stroke(
        &self,
        pixel: usize,
        shared: Filling,
        between: &Between,
        table: &[Stroke],
        strokes: &mut Strokes,
    ) -> Option<Stroke> {
        if shared == Filling::NOTHING {
            return None;
        }
        let corners = Corners::around(pixel, between);
        if shared != Filling::MIXED {
            let stroke = corners.mix(table);
            return (stroke[0] >= LEAST).then(|| {
                strokes.add_source(pixel, stroke[3], shared);
                stroke
            });
        }
        let fillings = corners.places.map(|at| self.fillings[at]);
        let nearest = fillings[corners.nearest()];
        if nearest == Filling::NOTHING {
            return None;
        }
        let stroke = corners.mix(table);
        (stroke[0] >= LEAST).then(|| {
            let gains = corners.places.map(|at| table[at][3]);
            let weights = std::array::from_fn(|at| corners.weights[at] * gains[at]);
            add_sources(pixel, weights, fillings, nearest, strokes);
            stroke
        })
    }
}

/// For each place the filling that it has in common with the three others between which pixels lie.
fn shared(fillings: &[Filling]) -> Vec<Filling> {
    let row = |ring: usize| &fillings[index(ring, 0)..index(ring + 1, 0)];
    let mut shared = Vec::with_capacity(fillings.len());
    for ring in 0..RINGS {
        let (inner, outer) = (row(ring), row((ring + 1).min(RINGS - 1)));
        shared.extend((0..ANGLES).map(|left| {
            let (filling, right) = (inner[left], (left + 1) % ANGLES);
            let others = [inner[right], outer[left], outer[right]];
            match others == [filling; 3] {
                true => filling,
                false => Filling::MIXED,
            }
        }));
    }
    shared
}

/// Between which rings and angles points lie, and how far towards the second.
#[derive(Default)]
struct Between {
    rings: [i32; TOGETHER],
    angles: [i32; TOGETHER],
    outwards: Pixels,
    round: Pixels,
}

impl Between {
    /// The place inwards and before a point.
    #[inline(always)]
    fn first_place(&self, pixel: usize) -> usize {
        index(
            self.rings[pixel] as usize,
            self.angles[pixel] as usize % ANGLES,
        )
    }
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
    fn mix(&self, values: &[Stroke]) -> Stroke {
        let [a, b, c, d] = self.places.map(|at| values[at]);
        let [wa, wb, wc, wd] = self.weights;
        std::array::from_fn(|lane| a[lane] * wa + b[lane] * wb + c[lane] * wc + d[lane] * wd)
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

#[cfg(test)]
mod tests {
    use super::{Channels, Filling, Patches, Strokes};
    use crate::reflections::quilt::Offset;
    use crate::reflections::unwrap::{ANGLES, Places, RINGS, TOGETHER, index};

    const SEAM: usize = 500;

    fn offset(turn: u16) -> Option<Offset> {
        Some(Offset { turn, shift: 3 })
    }

    fn light(at: usize) -> [f32; 4] {
        let (ring, angle) = ((at / ANGLES) as f32, (at % ANGLES) as f32);
        [ring, 100.0 - angle / 8.0, 3.0, 0.5 + ring / 512.0]
    }

    /// Two tiles that meet at an angle; within the first rings nothing is filled.
    fn patches() -> Patches {
        let fillings = (0..RINGS * ANGLES).map(|at| {
            let turn = if at % ANGLES < SEAM { 100 } else { 200 };
            Filling::of(at / ANGLES >= 60, offset(turn))
        });
        let lights: Vec<_> = (0..RINGS * ANGLES).map(light).collect();
        Patches::new(fillings.collect(), &vec![1.0; lights.len()], &lights)
    }

    fn strokes_at(ring: f32, angle: f32) -> Option<Strokes> {
        let places = Places {
            rings: [ring; TOGETHER],
            angles: std::array::from_fn(|at| angle + at as f32 / 4.0),
            ..Places::default()
        };
        let mut strokes = Strokes::default();
        let any = patches().strokes(&places, TOGETHER, Channels::Luma, &mut strokes);
        any.then_some(strokes)
    }

    #[test]
    fn within_a_tile_strokes_lie_between_those_of_its_places_and_share_its_offset() {
        let strokes = strokes_at(120.25, 300.0).expect("painted");
        assert_eq!(strokes.common, offset(100));
        for pixel in 0..TOGETHER {
            assert_eq!(strokes.opacities[pixel], 1.0);
            assert!((strokes.corrections[0][pixel] - 120.25).abs() < 1e-3);
            assert!((strokes.gains[pixel] - light(index(120, 0))[3]).abs() < 1e-3);
        }
    }

    #[test]
    fn across_a_cut_the_weights_of_both_offsets_add_up_to_the_gain() {
        let strokes = strokes_at(120.0, SEAM as f32 - 2.0).expect("painted");
        assert_eq!(strokes.common, None);
        let gain = light(index(120, 0))[3];
        for pixel in 0..TOGETHER {
            let sources = strokes.sources().iter();
            let own = sources.filter(|source| usize::from(source.0) == pixel);
            let weight: f32 = own.map(|source| source.1).sum();
            assert!(
                (weight - gain).abs() < 1e-3,
                "{weight} of {gain} at {pixel}"
            );
        }
        let offsets = |turn| {
            strokes
                .sources()
                .iter()
                .any(|source| Some(source.2) == offset(turn))
        };
        assert!(offsets(100) && offsets(200));
    }

    #[test]
    fn what_is_not_filled_stays() {
        assert!(strokes_at(40.0, 300.0).is_none());
        assert!(strokes_at(RINGS as f32, 300.0).is_none());
        let border = strokes_at(59.4, 300.0);
        assert!(border.is_none(), "the nearest place is not filled");
    }
}
