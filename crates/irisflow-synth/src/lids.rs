//! Lid margins and crease as tabulated curves, in millimetres around the centre of the eyeball: x from
//! the inner to the outer corner, y down.

use crate::rng::Rng;

/// Half of the tabulated span.
pub(crate) const SPAN_MM: f32 = 24.0;
const CELLS: usize = 192;

#[derive(Debug, Clone)]
pub(crate) struct Lids {
    cells: Vec<Cell>,
    pub inner_x: f32,
    pub outer_x: f32,
    /// Height of the lid between margin and fold.
    pub plate_mm: f32,
    pub has_crease: bool,
    /// Visible share of the caruncle.
    pub caruncle: f32,
    pub crease_depth: f32,
    pub margin_mm: f32,
}

/// The margins between two table entries: value at the first, and difference to the second.
#[derive(Debug, Clone, Copy)]
struct Cell {
    upper: (f32, f32),
    lower: (f32, f32),
    /// The crease of the upper lid; below the margin where there is none.
    fold: (f32, f32),
    upper_across: f32,
    lower_across: f32,
}

/// Shape of the upper lid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    Usual,
    /// Epicanthic fold: no crease, or a low one that begins at the covered inner corner.
    Single,
    /// Hooded: the skin above hangs over the crease, most at the outer corner.
    Hooded,
}

impl Fold {
    pub(crate) fn sample(rng: &mut Rng) -> Self {
        [Self::Usual, Self::Single, Self::Hooded][rng.weighted(&[0.66, 0.2, 0.14])]
    }

    /// Distance and slope of the crease.
    fn crease(self, rng: &mut Rng) -> (Option<f32>, f32) {
        match self {
            Self::Usual => (
                rng.chance(0.9).then(|| rng.range(1.2, 5.5)),
                rng.normal() * 0.15,
            ),
            Self::Single => (
                rng.chance(0.45).then(|| rng.range(0.6, 2.2)),
                rng.range(0.2, 0.8),
            ),
            Self::Hooded => (Some(rng.range(0.5, 2.0)), -rng.range(0.2, 1.0)),
        }
    }
}

/// Margins at one x.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Margin {
    pub upper: f32,
    pub lower: f32,
    pub fold: f32,
    /// Factors from vertical distances to distances perpendicular to the margin.
    pub upper_across: f32,
    pub lower_across: f32,
}

impl Lids {
    /// `gaze_y` is the vertical component of the gaze, which the lids follow.
    pub(crate) fn sample(rng: &mut Rng, gaze_y: f32, fold: Fold, closed: bool) -> Self {
        let inner_x = -rng.range(13.2, 16.2);
        let outer_x = rng.range(12.5, 16.0);
        let line = rng.range(0.2, 2.2);
        let tilt = match fold {
            Fold::Usual => rng.range(-1.2, 2.6),
            Fold::Single => rng.range(0.2, 3.4),
            Fold::Hooded => rng.range(-2.0, 1.5),
        };
        let (mut height_up, mut height_low) = match rng.weighted(&[0.72, 0.17, 0.11]) {
            0 => (rng.range(5.0, 7.8), rng.range(3.2, 5.2)),
            1 => (rng.range(2.6, 5.0), rng.range(1.8, 4.0)),
            _ => (rng.range(7.6, 11.0), rng.range(4.8, 7.5)),
        };
        if fold != Fold::Usual {
            height_up = height_up.min(7.0) * rng.range(0.68, 0.95);
            height_low *= rng.range(0.75, 1.0);
        }
        height_up = (height_up - 7.0 * gaze_y).clamp(2.2, 13.0);
        height_low = (height_low + 4.0 * gaze_y).clamp(1.2, 9.0);
        if closed {
            height_up = -rng.range(2.5, 4.5);
            height_low = -height_up;
        }
        let (p_up, q_up, skew_up) = (
            rng.range(1.9, 2.8),
            rng.range(0.75, 1.1),
            rng.range(-0.1, 0.32),
        );
        let (p_low, q_low, skew_low) = (
            rng.range(1.9, 2.7),
            rng.range(0.8, 1.15),
            rng.range(-0.32, 0.1),
        );
        let wobble = rng.range(0.0, 0.25);
        let phase = rng.range(0.0, 6.0);
        let half = (outer_x - inner_x) * 0.5;
        let middle = (outer_x + inner_x) * 0.5;
        let curve = |x: f32, height: f32, p: f32, q: f32, skew: f32| {
            let t = (x - middle) / half;
            let base = line - tilt * t * 0.5;
            if t.abs() >= 1.0 {
                return base;
            }
            let tau = t + skew * (1.0 - t * t);
            let bulge = (1.0 - tau.abs().powf(p)).max(0.0).powf(q);
            base + height * bulge + wobble * (1.0 - t * t) * (x * 0.7 + phase).sin()
        };
        let (crease_mm, crease_slope) = fold.crease(rng);
        let plate_mm = crease_mm.unwrap_or(4.0) * if closed { 2.0 } else { 1.0 };
        // The crease continues past the corners, where the margins meet.
        let wide = rng.range(2.0, 5.0);
        let fold_at = |x: f32| {
            let t = (x - middle) / half;
            let arch = (1.0 - (t * half / (half + wide)).powi(2)).max(-0.3);
            let along = (1.0 + crease_slope * t).max(0.1);
            line - tilt * t * 0.5 - (height_up.max(0.0) + plate_mm * along) * arch
        };
        Self {
            cells: tabulate(
                |x| curve(x, -height_up, p_up, q_up, skew_up),
                |x| curve(x, height_low, p_low, q_low, skew_low),
                fold_at,
            ),
            inner_x,
            outer_x,
            plate_mm,
            has_crease: crease_mm.is_some(),
            caruncle: if fold == Fold::Single {
                rng.range(0.0, 0.5)
            } else {
                rng.range(0.6, 1.4)
            },
            crease_depth: rng.range(0.25, 0.85),
            margin_mm: rng.range(0.8, 2.0),
        }
    }

    /// An animal's lids: the opening is nearly round and hardly larger than the iris.
    pub(crate) fn of_animal(rng: &mut Rng) -> Self {
        let half = rng.range(5.8, 9.0);
        let (height_up, height_low) = (rng.range(4.2, 6.8), rng.range(4.4, 6.8));
        let tilt = rng.range(-0.6, 1.4);
        let curve = |x: f32, height: f32| {
            let t = x / half;
            -tilt * t.clamp(-1.5, 1.5) * 0.5 + height * (1.0 - t * t).max(0.0).sqrt()
        };
        Self {
            cells: tabulate(
                |x| curve(x, -height_up),
                |x| curve(x, height_low),
                |_| -height_up - 4.0,
            ),
            inner_x: -half,
            outer_x: half,
            plate_mm: 4.0,
            has_crease: false,
            caruncle: 0.0,
            crease_depth: 0.0,
            margin_mm: 0.8,
        }
    }

    #[inline]
    pub(crate) fn margin(&self, x: f32) -> Margin {
        let position = ((x / SPAN_MM + 1.0) * 0.5 * CELLS as f32).clamp(0.0, CELLS as f32 - 1.001);
        let index = position as usize;
        let t = position - index as f32;
        let cell = &self.cells[index];
        let along = |(from, more): (f32, f32)| from + more * t;
        Margin {
            upper: along(cell.upper),
            lower: along(cell.lower),
            fold: along(cell.fold),
            upper_across: cell.upper_across,
            lower_across: cell.lower_across,
        }
    }
}

/// Samples the curves into a table over x.
fn tabulate(
    upper: impl Fn(f32) -> f32,
    lower: impl Fn(f32) -> f32,
    fold: impl Fn(f32) -> f32,
) -> Vec<Cell> {
    const STEP: f32 = 2.0 * SPAN_MM / CELLS as f32;
    let values = |index: usize| {
        let x = index as f32 * STEP - SPAN_MM;
        [upper(x), lower(x), fold(x)]
    };
    let across = |rise: f32| 1.0 / (1.0 + (rise / STEP) * (rise / STEP)).sqrt();
    (0..CELLS)
        .map(|index| {
            let (first, second) = (values(index), values(index + 1));
            let [upper, lower, fold] = std::array::from_fn(|i| (first[i], second[i] - first[i]));
            Cell {
                upper,
                lower,
                fold,
                upper_across: across(upper.1),
                lower_across: across(lower.1),
            }
        })
        .collect()
}
