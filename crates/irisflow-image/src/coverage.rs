//! How much of the rectified iris is shown: the disc of the iris without what lids hide.
//!
//! With [`Outline::Visible`] the picture fades to its background along a lid; with [`Outline::Round`] the whole
//! disc is shown, which `reflections` has completed. Single lashes that were not filled stay as they were
//! photographed, because a black line is no more beautiful than a lash; the mask tells them apart.

use crate::filters::{Field, soft_blur};
use crate::plane::Plane;
use crate::rectified::RectifiedView;
use crate::segment::{IrisSegmentation, Label};
use crate::threads::Threads;

const SIDE: usize = 512;
/// What is hidden in a stripe narrower than twice this share of the iris's radius is a lash.
const LASH: f32 = 0.02;
/// Standard deviation of the fade along a lid, in shares of the iris's radius.
const LID_FADE: f32 = 0.022;
/// Width of the fade at the limbus, in shares of the iris's radius.
const LIMBUS_FADE: f32 = 0.045;

/// Opacity over a view, 0 black to 1 shown.
#[derive(Clone)]
pub struct Coverage {
    lids: Field,
    /// Radius of the disc in shares of the radius of the limbus.
    limbus: f32,
}

impl std::fmt::Debug for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Coverage({SIDE} x {SIDE})")
    }
}

/// What of the iris the result shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outline {
    /// A full disc: what lids hide is completed from the texture of the same iris.
    Round,
    /// What the photo shows.
    Visible,
}

impl Outline {
    pub fn other(self) -> Self {
        match self {
            Self::Round => Self::Visible,
            Self::Visible => Self::Round,
        }
    }

    /// The stable name that options and reports carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Round => "round",
            Self::Visible => "visible",
        }
    }
}

impl Coverage {
    /// `limbus` is where the iris ends, in shares of the radius of the fitted limbus.
    pub fn with(
        outline: Outline,
        segmentation: &IrisSegmentation,
        view: &RectifiedView,
        limbus: f32,
    ) -> Self {
        match outline {
            Outline::Round => Self::round(limbus),
            Outline::Visible => Self::of(segmentation, view, limbus),
        }
    }

    /// The whole disc, as far as the iris is clear of sclera.
    pub fn round(limbus: f32) -> Self {
        Self {
            limbus,
            lids: Field {
                width: SIDE,
                height: SIDE,
                samples: vec![1.0; SIDE * SIDE],
            },
        }
    }

    pub fn of(segmentation: &IrisSegmentation, view: &RectifiedView, limbus: f32) -> Self {
        let view = view.with_side(SIDE as u32);
        let reach = (LASH * view.iris_radius()).round().max(1.0) as usize;
        let seen = seen_in(segmentation, &view);
        let seen = without_corners(&closed(&seen, reach), &view);
        let samples = seen.iter().map(|&seen| f32::from(u8::from(seen))).collect();
        let hard = Field {
            width: SIDE,
            height: SIDE,
            samples,
        };
        let mut lids = soft_blur(&hard, LID_FADE * view.iris_radius());
        // Half shown is the lid's edge: fade inwards from it, so that no skin is left.
        lids.samples
            .iter_mut()
            .for_each(|share| *share = smoothstep(0.45, 0.95, *share));
        Self { lids, limbus }
    }

    /// Opacity of every pixel of a picture of the view with `side` pixels, 0 to 255.
    pub fn opacity(&self, side: u32, threads: Threads) -> Plane {
        const STRIP_ROWS: usize = 128;
        let columns: Vec<_> = (0..side).map(|u| grid_place(u, side)).collect();
        let mut opacity = Plane::filled(side, side, 0);
        let width = side as usize;
        let strips = opacity.samples.chunks_mut(width * STRIP_ROWS).enumerate();
        threads.map(strips.collect(), |(number, strip): (usize, &mut [u8])| {
            for (row, out) in strip.chunks_exact_mut(width).enumerate() {
                self.row((number * STRIP_ROWS + row) as u32, side, &columns, out);
            }
        });
        opacity
    }

    fn row(&self, v: u32, side: u32, columns: &[(usize, usize, f32)], out: &mut [u8]) {
        let half = side as f32 / 2.0;
        let radius = half * crate::rectified::IRIS_FILL * self.limbus;
        let dy = v as f32 + 0.5 - half;
        let within = |radius: f32| {
            let reach = (radius * radius - dy * dy).max(0.0).sqrt();
            let limit = |u: f32| (u - 0.5).ceil().clamp(0.0, side as f32) as usize;
            limit(half - reach)..limit(half + reach)
        };
        let disc = within(radius);
        let (top, bottom, fy) = grid_place(v, side);
        let row = |y: usize| &self.lids.samples[y * SIDE..][..SIDE];
        let lids: Vec<f32> = row(top)
            .iter()
            .zip(row(bottom))
            .map(|(a, b)| a + (b - a) * fy)
            .collect();
        if lids.iter().all(|&shown| shown >= 1.0) {
            out[disc.clone()].fill(255);
        } else {
            for (out, &(left, right, fx)) in
                out[disc.clone()].iter_mut().zip(&columns[disc.clone()])
            {
                let shown = lids[left] + (lids[right] - lids[left]) * fx;
                *out = (shown * 255.0 + 0.5) as i32 as u8;
            }
        }
        let inner = within(radius * (1.0 - LIMBUS_FADE));
        let rims = [
            disc.start..inner.start.min(disc.end),
            inner.end.max(disc.start)..disc.end,
        ];
        for u in rims.into_iter().flatten() {
            let dx = u as f32 + 0.5 - half;
            let distance = (dx * dx + dy * dy).sqrt() / radius;
            let shown = f32::from(out[u]) * smoothstep(1.0, 1.0 - LIMBUS_FADE, distance);
            out[u] = (shown + 0.5) as i32 as u8;
        }
    }
}

/// Where a row or column of `side` lies on the grid: the two neighbours, and how far towards the second.
fn grid_place(at: u32, side: u32) -> (usize, usize, f32) {
    between((at as f32 + 0.5) * SIDE as f32 / side as f32 - 0.5)
}

/// The two neighbours of a place on the grid, and how far it lies towards the second.
fn between(at: f32) -> (usize, usize, f32) {
    let at = at.clamp(0.0, SIDE as f32 - 1.0);
    let first = at as usize;
    (first, (first + 1).min(SIDE - 1), at - first as f32)
}

/// 0 at `from`, 1 at `to`, level at both ends; `from` may be the larger one.
pub(crate) fn smoothstep(from: f32, to: f32, value: f32) -> f32 {
    let t = ((value - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Where iris or pupil is seen. Beyond the limbus the grid goes on as at the limbus, so that the fade
/// of a lid does not bend there.
fn seen_in(segmentation: &IrisSegmentation, view: &RectifiedView) -> Vec<bool> {
    let half = SIDE as f32 / 2.0;
    let edge = view.iris_radius() * 0.985;
    let seen = |place: usize| {
        let (dx, dy) = (
            (place % SIDE) as f32 + 0.5 - half,
            (place / SIDE) as f32 + 0.5 - half,
        );
        let inwards = (edge / dx.hypot(dy)).min(1.0);
        let (x, y) = view.photo_point(half + dx * inwards, half + dy * inwards);
        matches!(
            segmentation.label_at(x, y),
            Label::VisibleIris | Label::Pupil | Label::Reflection
        )
    };
    (0..SIDE * SIDE).map(seen).collect()
}

/// Leaves out sharp corners, as where a lid meets the limbus, and single teeth.
fn without_corners(seen: &[bool], view: &RectifiedView) -> Vec<bool> {
    const ROUNDING: f32 = 0.07;
    /// Half is a straight edge, a quarter a right angle.
    const LEAST: f32 = 0.4;
    let radius = view.iris_radius();
    let half = SIDE as f32 / 2.0;
    let in_disc = |place: usize| {
        let (dx, dy) = (
            (place % SIDE) as f32 + 0.5 - half,
            (place / SIDE) as f32 + 0.5 - half,
        );
        dx.hypot(dy) <= radius
    };
    let shown = |place: usize| f32::from(u8::from(seen[place] && in_disc(place)));
    let hard = Field {
        width: SIDE,
        height: SIDE,
        samples: (0..SIDE * SIDE).map(shown).collect(),
    };
    let soft = soft_blur(&hard, ROUNDING * radius);
    let kept = |place: usize| seen[place] && (soft.samples[place] >= LEAST || !in_disc(place));
    (0..SIDE * SIDE).map(kept).collect()
}

/// Bridges gaps of up to `2 * reach`: grows what is seen, then shrinks it again.
fn closed(seen: &[bool], reach: usize) -> Vec<bool> {
    let grown = spread(seen, reach);
    let hidden: Vec<bool> = grown.iter().map(|seen| !seen).collect();
    spread(&hidden, reach)
        .iter()
        .map(|hidden| !hidden)
        .collect()
}

/// Spreads `true` by `reach` to all sides (a square window, one axis after the other).
fn spread(places: &[bool], reach: usize) -> Vec<bool> {
    let across = spread_along(places, reach, |line, at| line * SIDE + at);
    spread_along(&across, reach, |line, at| at * SIDE + line)
}

fn spread_along(places: &[bool], reach: usize, index: impl Fn(usize, usize) -> usize) -> Vec<bool> {
    let mut wide = vec![false; places.len()];
    for line in 0..SIDE {
        for at in (0..SIDE).filter(|&at| places[index(line, at)]) {
            for near in at.saturating_sub(reach)..=(at + reach).min(SIDE - 1) {
                wide[index(line, near)] = true;
            }
        }
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::Coverage;
    use crate::geometry::Ellipse;
    use crate::plane::Plane;
    use crate::rectified::RectifiedView;
    use crate::segment::Label;
    use crate::segment::testing::segmentation;
    use crate::threads::Threads;

    const SIDE: u32 = 400;

    /// An iris that fills the view, hidden in the given rows.
    fn coverage_hidden_in(rows: std::ops::Range<u32>) -> Coverage {
        let mut labels = Plane::filled(SIDE, SIDE, Label::VisibleIris as u8);
        for row in rows {
            labels.row_mut(row).fill(Label::Hidden as u8);
        }
        let iris = Ellipse::circle(200.0, 200.0, 200.0 * crate::rectified::IRIS_FILL);
        let segmentation = segmentation(iris, Ellipse::circle(200.0, 200.0, 50.0), labels);
        Coverage::of(&segmentation, &RectifiedView::new(&iris, SIDE), 1.0)
    }

    fn opacity_at(coverage: &Coverage, u: u32, v: u32) -> f32 {
        let opacity = coverage.opacity(SIDE, Threads::default());
        f32::from(opacity.at(u, v)) / 255.0
    }

    #[test]
    fn the_disc_is_shown_and_the_corners_are_not() {
        let coverage = coverage_hidden_in(0..0);
        assert!(opacity_at(&coverage, 200, 200) > 0.999);
        assert!(opacity_at(&coverage, 300, 100) > 0.999);
        assert!(opacity_at(&coverage, 3, 3) < 0.001);
        assert!(opacity_at(&coverage, 200, 8) < 0.001);
    }

    #[test]
    fn a_lid_fades_to_black_and_never_shows_its_skin() {
        let coverage = coverage_hidden_in(0..120);
        assert!(opacity_at(&coverage, 200, 60) < 0.001);
        assert!(opacity_at(&coverage, 200, 117) < 0.1);
        assert!((0.1..0.9).contains(&opacity_at(&coverage, 200, 122)));
        assert!(opacity_at(&coverage, 200, 140) > 0.99);
    }

    #[test]
    fn a_lash_stays_in_the_picture() {
        let coverage = coverage_hidden_in(150..154);
        assert!(opacity_at(&coverage, 200, 152) > 0.99);
    }

    #[test]
    fn opacity_is_the_same_at_every_size_it_is_asked_for() {
        let coverage = coverage_hidden_in(0..120);
        let large = coverage.opacity(2 * SIDE, Threads::default());
        let small = coverage.opacity(SIDE, Threads::new(2));
        for u in (50..350).step_by(50) {
            let difference = large.at(2 * u, 250).abs_diff(small.at(u, 125));
            assert!(difference < 30);
        }
    }
}
