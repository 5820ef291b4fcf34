//! How much of the rectified iris is shown: the disc of the iris without what lids hide.
//!
//! Hidden iris is never invented: along a lid the picture fades to black. Single lashes stay as they
//! were photographed, because a black line is no more beautiful than a lash; the mask tells them
//! apart from iris either way.

use crate::filters::{Field, soft_blur};
use crate::rectified::RectifiedView;
use crate::segment::{IrisSegmentation, Label};

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
}

impl std::fmt::Debug for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Coverage({SIDE} x {SIDE})")
    }
}

impl Coverage {
    pub fn of(segmentation: &IrisSegmentation, view: &RectifiedView) -> Self {
        let view = view.with_side(SIDE as u32);
        let reach = (LASH * view.iris_radius()).round().max(1.0) as usize;
        let seen = seen_in(segmentation, &view);
        let seen = closed(&seen, reach);
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
        Self { lids }
    }

    /// Opacity of the pixels `0..side` of row `v` in a picture of `side` pixels.
    pub fn row(&self, v: u32, side: u32) -> impl Iterator<Item = f32> {
        let scale = SIDE as f32 / side as f32;
        let y = (v as f32 + 0.5) * scale - 0.5;
        let (top, bottom, fy) = between(y);
        let (top, bottom) = (top * SIDE, bottom * SIDE);
        let half = side as f32 / 2.0;
        let radius = half * crate::rectified::IRIS_FILL;
        let dy = v as f32 + 0.5 - half;
        (0..side).map(move |u| {
            let dx = u as f32 + 0.5 - half;
            let distance = (dx * dx + dy * dy) / (radius * radius);
            if distance >= 1.0 {
                return 0.0;
            }
            let (left, right, fx) = between((u as f32 + 0.5) * scale - 0.5);
            let mix = |row: usize| {
                self.lids.samples[row + left] * (1.0 - fx) + self.lids.samples[row + right] * fx
            };
            let lids = mix(top) * (1.0 - fy) + mix(bottom) * fy;
            if distance < (1.0 - LIMBUS_FADE) * (1.0 - LIMBUS_FADE) {
                return lids;
            }
            lids * smoothstep(1.0, 1.0 - LIMBUS_FADE, distance.sqrt())
        })
    }
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

    const SIDE: u32 = 400;

    /// An iris that fills the view, hidden in the given rows.
    fn coverage_hidden_in(rows: std::ops::Range<u32>) -> Coverage {
        let mut labels = Plane::filled(SIDE, SIDE, Label::VisibleIris as u8);
        for row in rows {
            labels.row_mut(row).fill(Label::Hidden as u8);
        }
        let iris = Ellipse::circle(200.0, 200.0, 200.0 * crate::rectified::IRIS_FILL);
        let segmentation = segmentation(iris, Ellipse::circle(200.0, 200.0, 50.0), labels);
        Coverage::of(&segmentation, &RectifiedView::new(&iris, SIDE))
    }

    fn opacity_at(coverage: &Coverage, u: usize, v: u32) -> f32 {
        coverage.row(v, SIDE).nth(u).unwrap_or_default()
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
        let large: Vec<f32> = coverage.row(2 * 125, 2 * SIDE).collect();
        let small: Vec<f32> = coverage.row(125, SIDE).collect();
        for u in (50..350).step_by(50) {
            assert!((large[2 * u] - small[u]).abs() < 0.12);
        }
    }
}
