//! How far lids reach into what segmentation took for iris: lash roots, the shadow of a lid, a rim of skin; and
//! sclera within a limbus that was fitted a little wide.
//!
//! From the places behind a lid a region grows over neighbours that are darker or warmer than their ring, a
//! little way only, and along single lashes further. A margin is added, and the border is smoothed.

use super::detect::{closed, neighbours, with_halo};
use super::levels::{RingLevel, RingLevels, warmth_of};
use super::marks::Marks;
use super::regions::regions;
use super::unwrap::{ANGLES, IRIS_RINGS, PUPIL_RINGS, RINGS, Rings, Unwrapped, for_places, index};
use crate::threads::Threads;

/// Hidden places that cover less of the disc are a lash.
const LEAST_LID: f32 = 0.004;
/// How far shadow and lash roots reach beyond a lid, in shares of the iris's radius.
const REACH: f32 = 0.12;
/// How far lashes do.
const LASH_REACH: f32 = 0.6;
/// What is always left out beside a lid.
const MARGIN: f32 = 0.02;
/// Bays of the border up to twice this wide are left out, too.
const SMOOTH: f32 = 0.05;
/// How much of a lash's surroundings goes with it.
const LASH_MARGIN: f32 = 0.008;
/// Sclera lies outside this ring only.
const LAST_SURE_RING: usize = RINGS - IRIS_RINGS * 9 / 100;
/// Lashes and shadow are not looked for inside this ring.
const FIRST_ODD_RING: usize = PUPIL_RINGS + 12;

/// Visible places that are not iris.
pub(super) struct Covered {
    /// Belong to a lid.
    pub(super) lids: Vec<bool>,
    /// Lie behind a single lash, or are sclera at the limbus.
    pub(super) strays: Vec<bool>,
    /// Narrow dark lines, wherever they are: lashes, mostly, and not fit to be copied.
    pub(super) lines: Vec<bool>,
    /// As measured before `lids` are hidden.
    pub(super) levels: RingLevels,
}

impl Covered {
    pub(super) fn find(unwrapped: &Unwrapped, rings: &Rings, threads: Threads) -> Self {
        let all_levels = RingLevels::of(unwrapped, threads);
        let levels = &all_levels.rings;
        let mut lids = behind_lids(unwrapped, rings);
        let mut strays = with_sclera(unwrapped, levels);
        if lids.contains(&true) {
            let near = with_halo(&lids, rings, REACH);
            let rim = grown(&lids, |at| near[at] && is_odd(unwrapped, levels, at));
            let near = with_halo(&lids, rings, LASH_REACH);
            lids = closed(&with_halo(&rim, rings, MARGIN), rings, SMOOTH);
            let lashes = grown(&lids, |at| near[at] && is_lash(unwrapped, levels, at));
            let lashes = with_halo(&lashes, rings, LASH_MARGIN);
            strays
                .iter_mut()
                .zip(&lashes)
                .for_each(|(stray, lash)| *stray |= *lash);
        }
        for (at, visible) in unwrapped.visible.iter().enumerate() {
            lids[at] &= *visible;
            strays[at] &= *visible && !lids[at];
        }
        Self {
            lids,
            strays,
            lines: for_places(threads, |at| is_lash(unwrapped, levels, at)),
            levels: all_levels,
        }
    }

    /// Where the iris ends and the blurred sclera begins, in shares of the radius of the fitted limbus.
    pub(super) fn clear_limbus(&self, rings: &Rings) -> f32 {
        const BRIGHTER: f32 = 5.0;
        const WARMER: f32 = 5.0;
        const LEAST: f32 = 0.93;
        let levels = &self.levels.rings;
        let outer = RINGS - IRIS_RINGS * 16 / 100..RINGS;
        let luma = |ring: usize| levels[ring].light[0];
        let Some(darkest) = outer.clone().min_by(|&a, &b| luma(a).total_cmp(&luma(b))) else {
            return 1.0;
        };
        let (least, most) = (luma(darkest), luma(RINGS - 1));
        let brighter = (most - least > BRIGHTER)
            .then(|| (darkest..RINGS).find(|&ring| luma(ring) > least + 0.35 * (most - least)))
            .flatten();
        let warmth = |ring: usize| levels[ring].warmth;
        let (within, without) = (warmth(outer.start), warmth(RINGS - 1));
        let warmer = (without - within > WARMER)
            .then(|| {
                outer
                    .clone()
                    .find(|&ring| warmth(ring) > within + 0.4 * (without - within))
            })
            .flatten();
        let end = brighter.unwrap_or(RINGS).min(warmer.unwrap_or(RINGS));
        rings.radius(end as f32).clamp(LEAST, 1.0)
    }
}

/// Hidden places that are more than a lash.
fn behind_lids(unwrapped: &Unwrapped, rings: &Rings) -> Vec<bool> {
    let mut lids = vec![false; unwrapped.visible.len()];
    let regions = regions(&Marks::of(&unwrapped.hidden)).into_iter();
    for region in regions.filter(|region| region.area(rings) >= LEAST_LID) {
        region.places().for_each(|at| lids[at] = true);
    }
    lids
}

/// `places` and what is connected with them and belongs to them.
fn grown(places: &[bool], belongs: impl Fn(usize) -> bool) -> Vec<bool> {
    let mut grown = places.to_vec();
    let mut front: Vec<usize> = (0..places.len()).filter(|&at| places[at]).collect();
    while let Some(at) = front.pop() {
        for next in neighbours(at) {
            if !grown[next] && belongs(next) {
                grown[next] = true;
                front.push(next);
            }
        }
    }
    grown
}

/// Clearly darker or warmer than its ring, as shadow and skin are.
fn is_odd(unwrapped: &Unwrapped, levels: &[RingLevel], at: usize) -> bool {
    const SHADE: f32 = 1.9;
    const WARMER: f32 = 10.0;
    if !unwrapped.visible[at] || at < index(FIRST_ODD_RING, 0) {
        return false;
    }
    let level = levels[at / ANGLES];
    let colour = unwrapped.colours[at];
    let excess = colour[0] - level.luma(at % ANGLES);
    excess < -SHADE * level.spread || warmth_of(colour) - level.warmth > WARMER
}

/// A narrow dark line: darker than what lies a little way off to both sides.
fn is_lash(unwrapped: &Unwrapped, levels: &[RingLevel], at: usize) -> bool {
    const ANGLES_OFF: usize = 14;
    const RINGS_OFF: usize = 12;
    const DARKER: f32 = 0.75;
    if !unwrapped.visible[at] || at < index(FIRST_ODD_RING, 0) {
        return false;
    }
    let (ring, angle) = (at / ANGLES, at % ANGLES);
    let (within, without) = (
        ring.saturating_sub(RINGS_OFF).max(PUPIL_RINGS + 4),
        (ring + RINGS_OFF).min(RINGS - 1),
    );
    let (left, right) = (
        (angle + ANGLES - ANGLES_OFF) % ANGLES,
        (angle + ANGLES_OFF) % ANGLES,
    );
    let luma = |ring: usize, angle: usize| unwrapped.colours[index(ring, angle)][0];
    // Of each pair of opposite places the darker one: both sides must be lighter.
    let pairs = [
        luma(ring, left).min(luma(ring, right)),
        luma(within, left).min(luma(without, right)),
        luma(within, right).min(luma(without, left)),
    ];
    let around = pairs.into_iter().fold(0.0, f32::max);
    let luma = unwrapped.colours[at][0];
    luma < around - (0.8 * levels[ring].spread).max(10.0) && luma < DARKER * around
}

/// Places connected with the limbus that are clearly lighter or warmer than their ring.
fn with_sclera(unwrapped: &Unwrapped, levels: &[RingLevel]) -> Vec<bool> {
    const LIGHTER: f32 = 42.0;
    const SPREADS: f32 = 4.0;
    const WARMER: f32 = 12.0;
    let inner = levels[LAST_SURE_RING - 4];
    let is_sclera = |at: usize| {
        let level = levels[at / ANGLES];
        let colour = unwrapped.colours[at];
        let excess = colour[0] - level.luma(at % ANGLES).min(inner.luma(at % ANGLES));
        at >= index(LAST_SURE_RING, 0)
            && unwrapped.visible[at]
            && (excess > LIGHTER.max(SPREADS * inner.spread)
                || warmth_of(colour) - inner.warmth > WARMER)
    };
    let outermost = index(RINGS - 2, 0);
    let seeds: Vec<bool> = (0..unwrapped.visible.len())
        .map(|at| at >= outermost && is_sclera(at))
        .collect();
    grown(&seeds, is_sclera)
}

/// Shares of the iris ring that are seen: of all of it, and of the least seen of some bands from pupil to limbus.
pub(super) fn seen_shares(unwrapped: &Unwrapped, rings: &Rings) -> (f32, f32) {
    const BANDS: usize = 4;
    let (mut seen, mut all) = ([0.0; BANDS], [0.0; BANDS]);
    for ring in PUPIL_RINGS..RINGS {
        let band = (ring - PUPIL_RINGS) * BANDS / (RINGS - PUPIL_RINGS);
        let places = &unwrapped.visible[index(ring, 0)..index(ring + 1, 0)];
        let visible = places.iter().filter(|visible| **visible).count();
        seen[band] += visible as f32 * rings.area(ring);
        all[band] += ANGLES as f32 * rings.area(ring);
    }
    let bands = seen.iter().zip(&all).map(|(seen, all)| seen / all);
    (
        seen.iter().sum::<f32>() / all.iter().sum::<f32>(),
        bands.fold(1.0, f32::min),
    )
}
