//! What the iris looks like on its rings: the profile from pupil to limbus, what is broad beside it, and the
//! detail that fills are made of; and which places are fit to be copied.

use super::marks::Marks;
use super::quilt::FIRST_RING;
use super::unwrap::{ANGLES, RINGS, for_places, index};
use crate::threads::Threads;

/// A colour: luma, blue and red chroma.
pub(super) type Colour = [f32; 3];

/// How far the blur reaches that parts what is broad from detail.
const BROAD_ANGLES: usize = 24;
const BROAD_RINGS: usize = 9;
/// Detail that exceeds the spread of its rings so many times is a freckle, a lash or the border of a crypt.
const OUTLIER: f32 = 5.0;
/// Places around an unusual one that are not copied either.
const OUTLIER_REACH: usize = 1;
/// Places beside unknown ones, which light or lash may have touched, are not copied.
const BORDER_REACH: usize = 4;

/// Known colours, taken apart.
pub(super) struct Texture {
    /// As seen, a little smoothed so that noise on a border does not spread.
    pub(super) smooth: Vec<Colour>,
    /// Seen, and neither under a highlight nor behind a lid.
    pub(super) known: Vec<bool>,
    /// The mean colour of each ring.
    profile: Vec<Colour>,
    /// What is left of the colours without the profile and what is broad beside it.
    detail: Vec<Colour>,
    /// Known and fit to be copied.
    pub(super) sources: Vec<bool>,
}

impl Texture {
    /// `typical` places look like the rest of their ring.
    pub(super) fn of(
        colours: &[Colour],
        known: Vec<bool>,
        typical: &[bool],
        threads: Threads,
    ) -> Self {
        let smooth = smoothed(colours, &known, threads);
        let profile = profile(&smooth, &known, typical);
        let beside = |at: usize| minus(smooth[at], profile[at / ANGLES]);
        let broad = blurred(beside, &known, threads);
        let mut texture = Self {
            detail: for_places(threads, |at| {
                minus(smooth[at], plus(profile[at / ANGLES], broad[at]))
            }),
            smooth,
            known,
            profile,
            sources: Vec::new(),
        };
        texture.sources = texture.fit_to_copy(typical, threads);
        texture
    }

    pub(super) fn profile_at(&self, at: usize) -> Colour {
        self.profile[at / ANGLES]
    }

    /// The colour of the dark of the pupil.
    pub(super) fn pupil(&self) -> Colour {
        const BLACK: Colour = [12.0, 128.0, 128.0];
        const LEAST_PLACES: usize = 40;
        let places = (0..index(FIRST_RING, 0)).step_by(5);
        let mut known: Vec<Colour> = places
            .filter(|&at| self.known[at])
            .map(|at| self.smooth[at])
            .collect();
        if known.len() < LEAST_PLACES {
            return BLACK;
        }
        let at = known.len() * 3 / 10;
        *known
            .select_nth_unstable_by(at, |a, b| a[0].total_cmp(&b[0]))
            .1
    }

    /// The colour of a place beside that of its ring.
    pub(super) fn beside_profile(&self, at: usize) -> Colour {
        minus(self.smooth[at], self.profile_at(at))
    }

    /// What the known places around one have beside the profile, as the shadow of a lid does, which is
    /// narrower than what counts as broad.
    pub(super) fn light_around(&self, at: usize) -> Colour {
        const NEAR_RINGS: usize = 3;
        const NEAR_ANGLES: usize = 12;
        let (ring, angle) = (at / ANGLES, at % ANGLES);
        let rings = ring.saturating_sub(NEAR_RINGS)..=(ring + NEAR_RINGS).min(RINGS - 1);
        let [luma, cb, cr, count] = rings
            .flat_map(|ring| {
                let turns = ANGLES - NEAR_ANGLES..=ANGLES + NEAR_ANGLES;
                turns.map(move |turn| index(ring, (angle + turn) % ANGLES))
            })
            .filter(|&near| self.known[near])
            .fold([0.0; 4], |sum, near| {
                added(sum, counted(self.beside_profile(near)))
            });
        let share = 1.0 / f32::max(count, 1.0);
        [luma * share, cb * share, cr * share]
    }

    /// The colour of a place without its detail.
    pub(super) fn base(&self, at: usize) -> Colour {
        minus(self.smooth[at], self.detail[at])
    }

    pub(super) fn detail(&self, at: usize) -> Colour {
        self.detail[at]
    }

    fn fit_to_copy(&self, typical: &[bool], threads: Threads) -> Vec<bool> {
        let rings = threads.map((0..RINGS).collect(), |ring| self.spread_around(ring));
        let unusual = for_places(threads, |at| {
            let is_known = self.known[at];
            !is_known || !typical[at] || self.is_strange(at, rings[at / ANGLES])
        });
        let unknown: Vec<bool> = self.known.iter().map(|known| !known).collect();
        let near = Marks::of(&unknown).widened(BORDER_REACH);
        let unusual = Marks::of(&unusual).widened(OUTLIER_REACH);
        Marks::all().without(&near).without(&unusual).places()
    }

    /// Whether the detail of a place is off by many spreads.
    fn is_strange(&self, at: usize, [luma, chroma]: [f32; 2]) -> bool {
        let [l, cb, cr] = self.detail(at);
        let reach = OUTLIER * chroma;
        l.abs() > OUTLIER * luma || cb * cb + cr * cr > reach * reach
    }

    /// The robust spread of detail around a ring: luma, chroma.
    fn spread_around(&self, ring: usize) -> [f32; 2] {
        let first = ring.saturating_sub(4);
        let places = index(first, 0)..index((ring + 5).min(RINGS), 0);
        let (mut lumas, mut chromas) = (Vec::new(), Vec::new());
        for at in places.step_by(17).filter(|&at| self.known[at]) {
            let [l, cb, cr] = self.detail(at);
            lumas.push(l.abs());
            chromas.push((cb * cb + cr * cr).sqrt());
        }
        [
            1.48 * median(&mut lumas).max(1.5),
            (1.2 * median(&mut chromas)).max(2.5),
        ]
    }
}

fn median(values: &mut [f32]) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let at = values.len() / 2;
    *values.select_nth_unstable_by(at, f32::total_cmp).1
}

/// The mean colour of each ring, over a few rings; where hardly anything is known that of the next ring.
fn profile(smooth: &[Colour], known: &[bool], typical: &[bool]) -> Vec<Colour> {
    const REACH: usize = 2;
    const LEAST: f32 = 24.0;
    let sums: Vec<[f32; 4]> = (0..RINGS)
        .map(|ring| {
            let places = index(ring, 0)..index(ring + 1, 0);
            let taken = places.filter(|&at| known[at] && typical[at]);
            taken.fold([0.0; 4], |sum, at| added(sum, counted(smooth[at])))
        })
        .collect();
    let mut means: Vec<Option<Colour>> = (0..RINGS)
        .map(|ring| {
            let near = ring.saturating_sub(REACH)..=(ring + REACH).min(RINGS - 1);
            let [l, cb, cr, count] = near.fold([0.0; 4], |sum, ring| added(sum, sums[ring]));
            (count >= LEAST).then(|| [l / count, cb / count, cr / count])
        })
        .collect();
    for ring in 1..RINGS {
        means[ring] = means[ring].or(means[ring - 1]);
    }
    for ring in (0..RINGS - 1).rev() {
        means[ring] = means[ring].or(means[ring + 1]);
    }
    means
        .into_iter()
        .map(|mean| mean.unwrap_or([0.0, 128.0, 128.0]))
        .collect()
}

fn counted([l, cb, cr]: Colour) -> [f32; 4] {
    [l, cb, cr, 1.0]
}

/// A broad blur of what is known (normalised convolution with a box, twice).
pub(super) fn blurred(
    colour: impl Fn(usize) -> Colour + Sync,
    known: &[bool],
    threads: Threads,
) -> Vec<Colour> {
    let mut sums: Vec<[f32; 4]> = for_places(threads, |at| match known[at] {
        true => counted(colour(at)),
        false => [0.0; 4],
    });
    for _ in 0..2 {
        let rings = sums.chunks_mut(16 * ANGLES).collect();
        threads.map(rings, sum_round);
        sum_outwards(&mut sums);
    }
    for_places(threads, |at| {
        let [l, cb, cr, count] = sums[at];
        match count > 0.5 {
            true => [l / count, cb / count, cr / count],
            false => [0.0; 3],
        }
    })
}

/// Sums over [`BROAD_ANGLES`] to both sides, in place; running sums.
fn sum_round(values: &mut [[f32; 4]]) {
    let mut row = [[0.0; 4]; ANGLES];
    for ring in values.chunks_exact_mut(ANGLES) {
        row.copy_from_slice(ring);
        let mut sum = [0.0; 4];
        for turn in 0..=2 * BROAD_ANGLES {
            sum = added(sum, row[(ANGLES - BROAD_ANGLES + turn) % ANGLES]);
        }
        for angle in 0..ANGLES {
            ring[angle] = sum;
            sum = added(sum, row[(angle + BROAD_ANGLES + 1) % ANGLES]);
            sum = less(sum, row[(angle + ANGLES - BROAD_ANGLES) % ANGLES]);
        }
    }
}

/// The same over [`BROAD_RINGS`] inwards and outwards.
fn sum_outwards(values: &mut [[f32; 4]]) {
    let original = values.to_vec();
    let row = |ring: usize| &original[index(ring, 0)..index(ring + 1, 0)];
    let mut sums = vec![[0.0; 4]; ANGLES];
    for ring in 0..BROAD_RINGS.min(RINGS) {
        add_row(&mut sums, row(ring));
    }
    for ring in 0..RINGS {
        if ring + BROAD_RINGS < RINGS {
            add_row(&mut sums, row(ring + BROAD_RINGS));
        }
        values[index(ring, 0)..index(ring + 1, 0)].copy_from_slice(&sums);
        if let Some(left) = ring.checked_sub(BROAD_RINGS) {
            for (sum, value) in sums.iter_mut().zip(row(left)) {
                *sum = less(*sum, *value);
            }
        }
    }
}

fn add_row(sums: &mut [[f32; 4]], row: &[[f32; 4]]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum = added(*sum, *value);
    }
}

/// Mean over the known places of a 3 x 3 window.
fn smoothed(colours: &[Colour], known: &[bool], threads: Threads) -> Vec<Colour> {
    // Colours and a count, added along each ring and then across three of them.
    let along: Vec<[f32; 4]> = for_places(threads, |at| {
        let (ring, angle) = (at / ANGLES * ANGLES, at % ANGLES);
        let near = [(angle + ANGLES - 1) % ANGLES, angle, (angle + 1) % ANGLES];
        near.iter()
            .map(|angle| ring + angle)
            .filter(|&at| known[at])
            .fold([0.0; 4], |sum, at| added(sum, counted(colours[at])))
    });
    for_places(threads, |at| {
        let (ring, angle) = (at / ANGLES, at % ANGLES);
        let rings = ring.saturating_sub(1)..=(ring + 1).min(RINGS - 1);
        let [luma, cb, cr, count] =
            rings.fold([0.0; 4], |sum, ring| added(sum, along[index(ring, angle)]));
        if count > 0.0 {
            [luma / count, cb / count, cr / count]
        } else {
            colours[at]
        }
    })
}

/// Widens `true` by so many places to all sides.
pub(super) fn widened(places: &[bool], reach: usize) -> Vec<bool> {
    Marks::of(places).widened(reach).places()
}

pub(super) fn added(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
    std::array::from_fn(|lane| a[lane] + b[lane])
}

fn less(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
    std::array::from_fn(|lane| a[lane] - b[lane])
}

pub(super) fn plus(a: Colour, b: Colour) -> Colour {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// How different two details look.
#[inline(always)]
pub(super) fn difference(a: Colour, b: Colour) -> f32 {
    let [l, cb, cr] = minus(a, b);
    l * l + 0.5 * (cb * cb + cr * cr)
}

pub(super) fn minus(a: Colour, b: Colour) -> Colour {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}
