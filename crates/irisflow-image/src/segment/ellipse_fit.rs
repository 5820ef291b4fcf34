//! A robust ellipse through edge points, of which many may lie elsewhere.
//!
//! Near a circle an ellipse is a Fourier series of its radius over the angle with two harmonics;
//! Daugman ("New methods in iris recognition", 2007) describes limbus and pupil this way. One
//! Gauss-Newton step solves five linear equations for radius, centre and elongation, and is repeated
//! with Tukey's biweight (IRLS) so that reflections and lashes get low weight. Where arcs are missing
//! (lids, frame) the elongation would be undetermined: a prior assumes that eyes are nearly round.

use crate::geometry::Ellipse;

/// An edge point in pixels; `weight` is its weight before robust reweighting.
#[derive(Debug, Clone, Copy)]
pub(super) struct EdgePoint {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) weight: f32,
}

/// What is known about edges and eyes before looking, as shares of the radius.
#[derive(Debug, Clone, Copy)]
pub(super) struct FitPrior {
    /// Typical scatter of true edge points.
    pub(super) scatter: f32,
    /// Typical elongation beyond that of the start, (longer - shorter) / (longer + shorter).
    pub(super) elongation: f32,
    /// Typical error of the starting centre and radius.
    pub(super) start: f32,
}

/// Beyond what the network saw of it: a limbus differs from a circle by about 2 %, and gaze adds to that.
pub(super) const LIMBUS_PRIOR: FitPrior = FitPrior {
    scatter: 0.011,
    elongation: 0.03,
    start: 0.1,
};
/// Pupils are rounder, but the start is coarser in relation to their radius.
pub(super) const PUPIL_PRIOR: FitPrior = FitPrior {
    scatter: 0.04,
    elongation: 0.04,
    start: 0.2,
};

const ITERATIONS: usize = 12;
/// Points on one outline are not independent: texture and blur move neighbours together.
const POINTS_PER_INDEPENDENT: f32 = 4.0;

/// Fits an ellipse, starting from `start`. None when the points leave it undetermined.
pub(super) fn fit_ellipse(
    points: &[EdgePoint],
    start: &Ellipse,
    prior: FitPrior,
) -> Option<Ellipse> {
    let mut fit = NearCircle::from_ellipse(start);
    let anchor = fit;
    for iteration in 0..ITERATIONS {
        let shrinking = 1.0 / (1.0 + iteration as f32 * 0.5);
        let reach = fit.radius * prior.scatter * (2.5 + 4.0 * shrinking);
        fit = gauss_newton_step(points, fit, anchor, prior, reach)?;
    }
    fit.to_ellipse()
}

/// Centre, mean radius, and the two second harmonics of the radius.
#[derive(Debug, Clone, Copy)]
struct NearCircle {
    cx: f32,
    cy: f32,
    radius: f32,
    cos2: f32,
    sin2: f32,
}

impl NearCircle {
    fn from_ellipse(ellipse: &Ellipse) -> Self {
        let half_difference = 0.5 * (ellipse.rx - ellipse.ry);
        let (sin, cos) = (2.0 * ellipse.angle_deg.to_radians()).sin_cos();
        Self {
            cx: ellipse.cx,
            cy: ellipse.cy,
            radius: 0.5 * (ellipse.rx + ellipse.ry),
            cos2: half_difference * cos,
            sin2: half_difference * sin,
        }
    }

    fn to_ellipse(self) -> Option<Ellipse> {
        let half_difference = self.cos2.hypot(self.sin2);
        let (rx, ry) = (self.radius + half_difference, self.radius - half_difference);
        let whole = [self.cx, self.cy, rx, ry].iter().all(|v| v.is_finite());
        (whole && ry > 1.0 && ry > 0.6 * rx).then(|| Ellipse {
            cx: self.cx,
            cy: self.cy,
            rx,
            ry,
            angle_deg: (0.5 * self.sin2.atan2(self.cos2))
                .to_degrees()
                .rem_euclid(180.0),
        })
    }

    /// Exact distance from the centre to the outline in the direction `theta`.
    fn radius_towards(&self, theta: f32) -> f32 {
        let half_difference = self.cos2.hypot(self.sin2);
        let (a, b) = (self.radius + half_difference, self.radius - half_difference);
        let (sin, cos) = (theta - 0.5 * self.sin2.atan2(self.cos2)).sin_cos();
        a * b / (b * cos).hypot(a * sin)
    }
}

fn gauss_newton_step(
    points: &[EdgePoint],
    fit: NearCircle,
    anchor: NearCircle,
    prior: FitPrior,
    reach: f32,
) -> Option<NearCircle> {
    let mut normal = [[0.0_f64; 6]; 5];
    let mut total_weight = 0.0_f64;
    for point in points {
        let (dx, dy) = (point.x - fit.cx, point.y - fit.cy);
        let theta = dy.atan2(dx);
        let residual = dx.hypot(dy) - fit.radius_towards(theta);
        let weight = point.weight * tukey(residual / reach);
        if weight <= 0.0 {
            continue;
        }
        let (sin, cos) = theta.sin_cos();
        let (sin2, cos2) = (2.0 * theta).sin_cos();
        let basis = [1.0, cos, sin, cos2, sin2].map(f64::from);
        for (row, lhs) in normal.iter_mut().zip(basis) {
            for (cell, rhs) in row.iter_mut().zip(basis) {
                *cell += f64::from(weight) * lhs * rhs;
            }
            row[5] += f64::from(weight) * lhs * f64::from(residual);
        }
        total_weight += f64::from(weight);
    }
    if total_weight < 3.0 {
        return None;
    }
    add_prior(&mut normal, fit, anchor, prior);
    let step = solve(normal)?;
    Some(NearCircle {
        radius: fit.radius + step[0],
        cx: fit.cx + step[1],
        cy: fit.cy + step[2],
        cos2: fit.cos2 + step[3],
        sin2: fit.sin2 + step[4],
    })
}

fn add_prior(normal: &mut [[f64; 6]; 5], fit: NearCircle, anchor: NearCircle, prior: FitPrior) {
    let strength =
        |typical: f32| f64::from(POINTS_PER_INDEPENDENT * (prior.scatter / typical).powi(2));
    let pulls = [
        (anchor.radius - fit.radius, prior.start),
        (anchor.cx - fit.cx, prior.start),
        (anchor.cy - fit.cy, prior.start),
        (anchor.cos2 - fit.cos2, prior.elongation),
        (anchor.sin2 - fit.sin2, prior.elongation),
    ];
    for (index, (distance, typical)) in pulls.into_iter().enumerate() {
        normal[index][index] += strength(typical);
        normal[index][5] += strength(typical) * f64::from(distance);
    }
}

/// Tukey's biweight: 1 at the outline, 0 beyond the reach.
fn tukey(relative: f32) -> f32 {
    let inside = 1.0 - relative * relative;
    if inside <= 0.0 { 0.0 } else { inside * inside }
}

/// Gaussian elimination with pivoting.
fn solve(mut rows: [[f64; 6]; 5]) -> Option<[f32; 5]> {
    for column in 0..5 {
        let pivot =
            (column..5).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        if rows[pivot][column].abs() < 1e-9 {
            return None;
        }
        rows.swap(column, pivot);
        let lead = rows[column];
        for (index, row) in rows.iter_mut().enumerate() {
            if index != column {
                let factor = row[column] / lead[column];
                for (cell, above) in row.iter_mut().zip(lead) {
                    *cell -= factor * above;
                }
            }
        }
    }
    let mut solution = [0.0; 5];
    for (index, value) in solution.iter_mut().enumerate() {
        *value = (rows[index][5] / rows[index][index]) as f32;
    }
    Some(solution)
}
