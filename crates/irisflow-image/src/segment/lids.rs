//! The margins of the lids where they come near the iris: where the eye opening that the network sees
//! ends above and below, column by column.

use super::float_image::median;
use super::inference::Inference;
use crate::geometry::{Ellipse, Polyline};

/// Number of sampled columns, from edge to edge of the iris.
const COLUMNS: usize = 64;
/// Two inferences whose openings have a smaller intersection over union than this disagree; 99 % of correct
/// pairs agree by 0.9.
const LEAST_AGREEMENT: f32 = 0.87;
/// Weight of the measurement crop when the two disagree.
const NEAR_WEIGHT: f32 = 0.6;
/// How far beyond the limbus a margin is followed, in radii.
const BEYOND: f32 = 0.4;

/// Where the eye is open over the iris. Pixels of the photo.
#[derive(Debug)]
pub(super) struct Opening {
    columns: Vec<Column>,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    x: f32,
    upper: Margin,
    lower: Margin,
}

/// Where a column stops being open.
#[derive(Debug, Clone, Copy)]
struct Margin {
    y: f32,
    /// Whether a lid is there; else it is open as far as it was followed.
    is_lid: bool,
}

impl Opening {
    /// The opening over the iris with this limbus: by the measurement crop, which locates its border best. Where the
    /// detection crop disagrees, a weighted mean of both, since one of them is wrong. `agreement` is the
    /// intersection over union of both openings.
    pub(super) fn over(iris: &Ellipse, near: &Inference, far: &Inference, agreement: f32) -> Self {
        let at_odds = agreement < LEAST_AGREEMENT;
        let near_weight = if at_odds { NEAR_WEIGHT } else { 1.0 };
        let open = |x: f32, y: f32| {
            let from = |inference: &Inference| inference.at(&inference.maps.opening, x, y);
            near_weight * from(near) + (1.0 - near_weight) * from(far)
        };
        let reach = 0.995 * iris.rx.max(iris.ry);
        let column = |index: usize| {
            let share = (index as f32 + 0.5) / COLUMNS as f32;
            Column::at(iris.cx + (2.0 * share - 1.0) * reach, iris, near, &open)
        };
        let mut columns: Vec<Column> = (0..COLUMNS).filter_map(column).collect();
        let uppers: Vec<Margin> = columns.iter().map(|column| column.upper).collect();
        let lowers: Vec<Margin> = columns.iter().map(|column| column.lower).collect();
        let smooth = smoothed(&uppers).into_iter().zip(smoothed(&lowers));
        for (column, (upper, lower)) in columns.iter_mut().zip(smooth) {
            (column.upper, column.lower) = (upper, lower);
        }
        Self { columns }
    }

    /// From where to where the eye is open at `x`.
    pub(super) fn at(&self, x: f32) -> (f32, f32) {
        let after = self.columns.partition_point(|column| column.x < x);
        let (Some(left), Some(right)) = (
            self.columns.get(after.saturating_sub(1)),
            self.columns.get(after).or(self.columns.last()),
        ) else {
            return (f32::MIN, f32::MAX);
        };
        let width = (right.x - left.x).max(1e-3);
        let share = ((x - left.x) / width).clamp(0.0, 1.0);
        let between = |a: Margin, b: Margin| a.y + share * (b.y - a.y);
        (
            between(left.upper, right.upper),
            between(left.lower, right.lower),
        )
    }

    /// The margin of the upper lid, left to right; empty where none comes near the iris.
    pub(super) fn upper_lid(&self) -> Polyline {
        self.lid(|column| column.upper)
    }

    /// The same of the lower lid.
    pub(super) fn lower_lid(&self) -> Polyline {
        self.lid(|column| column.lower)
    }

    fn lid(&self, margin: impl Fn(&Column) -> Margin) -> Polyline {
        let margins = self.columns.iter().map(|column| (column.x, margin(column)));
        margins
            .filter(|(_, margin)| margin.is_lid)
            .map(|(x, margin)| (x, margin.y))
            .collect()
    }
}

/// Margins of lids are smooth; lashes, which cross them, and the cells of a map are not. A local straight
/// line (Cleveland 1979, with Tukey's biweight against single columns that are far off) through the lid
/// margins around each; what is no lid stays.
fn smoothed(margins: &[Margin]) -> Vec<Margin> {
    const REACH: usize = 14;
    const ROUNDS: usize = 3;
    let mut lines: Vec<f32> = margins.iter().map(|margin| margin.y).collect();
    for round in 0..ROUNDS {
        let off = |at: usize| (margins[at].y - lines[at]).abs();
        let lids = (0..margins.len()).filter(|&at| margins[at].is_lid);
        let typical = median(&mut lids.map(off).collect::<Vec<_>>()).unwrap_or(0.0);
        let trust = |at: usize| {
            if round == 0 || typical <= 0.0 {
                return 1.0;
            }
            let far = off(at) / (6.0 * typical);
            (1.0 - far * far).max(0.0).powi(2)
        };
        let next = (0..margins.len()).map(|at| {
            let from = at.saturating_sub(REACH);
            let to = (at + REACH + 1).min(margins.len());
            let near = (from..to).filter(|&other| margins[other].is_lid);
            let points = near.map(|other| {
                let distance = other as f32 - at as f32;
                let share = distance.abs() / (REACH as f32 + 1.0);
                let weight = (1.0 - share.powi(3)).powi(3) * trust(other);
                (distance, margins[other].y, weight)
            });
            line_at_zero(points).unwrap_or(lines[at])
        });
        lines = next.collect();
    }
    let pairs = margins.iter().zip(lines);
    pairs
        .map(|(margin, y)| Margin {
            y: if margin.is_lid { y } else { margin.y },
            ..*margin
        })
        .collect()
}

/// Where the weighted least-squares line through `(x, y, weight)` passes zero; none without weight.
fn line_at_zero(points: impl Iterator<Item = (f32, f32, f32)>) -> Option<f32> {
    let (mut s, mut sx, mut sy, mut sxx, mut sxy) = (0.0_f32, 0.0, 0.0, 0.0, 0.0);
    for (x, y, weight) in points {
        s += weight;
        sx += weight * x;
        sy += weight * y;
        sxx += weight * x * x;
        sxy += weight * x * y;
    }
    if s < 1e-3 {
        return None;
    }
    let spread = s * sxx - sx * sx;
    if spread < 1e-3 {
        return Some(sy / s);
    }
    Some((sxx * sy - sx * sxy) / spread)
}

impl Column {
    /// Goes up and down from where the column is most surely open. None beside the iris.
    fn at(
        x: f32,
        iris: &Ellipse,
        inference: &Inference,
        open: &dyn Fn(f32, f32) -> f32,
    ) -> Option<Self> {
        let (top, bottom) = iris.rows_at(x)?;
        let step = 0.5 * inference.cell();
        let steps = ((bottom - top) / step) as usize + 1;
        let open = |y: f32| open(x, y);
        let rows = (0..=steps).map(|index| top + (bottom - top) * index as f32 / steps as f32);
        let seen = rows.filter(|&y| inference.covers(x, y));
        let middle = seen.max_by(|&a, &b| open(a).total_cmp(&open(b)))?;
        let beyond = BEYOND * iris.mean_radius();
        let follow = |outward: f32, end: f32| {
            let (mut y, mut before) = (middle, open(middle));
            if before < 0.5 {
                return Margin { y, is_lid: true };
            }
            while outward * (end - y) > 0.0 {
                let next = y + outward * step;
                // Where the frame ends no lid is seen, so none is claimed.
                if !inference.covers(x, next) {
                    break;
                }
                let here = open(next);
                if here < 0.5 {
                    let share = (before - 0.5) / (before - here).max(1e-3);
                    return Margin {
                        y: y + outward * share * step,
                        is_lid: true,
                    };
                }
                (y, before) = (next, here);
            }
            Margin {
                y: end,
                is_lid: false,
            }
        };
        Some(Self {
            x,
            upper: follow(-1.0, top - beyond),
            lower: follow(1.0, bottom + beyond),
        })
    }
}
