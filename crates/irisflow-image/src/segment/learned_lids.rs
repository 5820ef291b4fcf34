//! The lids as the network sees them: where the eye opening ends, as parabolas. Only where the network
//! sees the same iris as the geometry; otherwise it has no say.

use super::closeup::Closeup;
use super::lids::{LidCurve, Lids};
use crate::geometry::Ellipse;
use crate::network::{EyeMaps, EyeNetwork, INPUT_SIDE, LETTERBOX, MAP_SIDE};

/// The side of the square that the network is shown, in radii of the iris: within the range of its
/// training, and all that a closeup has.
const SIDE_RADII: f32 = 3.6;
/// The least overlap (intersection over union) of the network's iris with the fitted one.
const LEAST_AGREEMENT: f32 = 0.7;
/// Columns that are asked, from edge to edge of the iris.
const COLUMNS: usize = 41;

/// Both lids around the iris (pixels of the closeup); `None` when the network sees another iris here,
/// or none.
pub(super) fn learned_lids(closeup: &Closeup, iris: &Ellipse) -> Option<Lids> {
    let view = View::around(iris);
    let maps = EyeNetwork::load().run(&view.picture(closeup));
    if view.agreement(&maps, iris) < LEAST_AGREEMENT {
        return None;
    }
    Some(Lids {
        upper: view.margin(&maps, iris, -1.0),
        lower: view.margin(&maps, iris, 1.0),
    })
}

/// The square of the closeup that the network is shown.
struct View {
    left: f32,
    top: f32,
    side: f32,
}

impl View {
    fn around(iris: &Ellipse) -> Self {
        let side = SIDE_RADII * iris.mean_radius();
        Self {
            left: iris.cx - side / 2.0,
            top: iris.cy - side / 2.0,
            side,
        }
    }

    /// The square as RGB, grey beyond the photo.
    fn picture(&self, closeup: &Closeup) -> Box<[u8; INPUT_SIDE * INPUT_SIDE * 3]> {
        let mut picture = Box::new([LETTERBOX; INPUT_SIDE * INPUT_SIDE * 3]);
        let step = self.side / INPUT_SIDE as f32;
        for (index, rgb) in picture.chunks_exact_mut(3).enumerate() {
            let x = self.left + ((index % INPUT_SIDE) as f32 + 0.5) * step;
            let y = self.top + ((index / INPUT_SIDE) as f32 + 0.5) * step;
            let sampled = [&closeup.luma, &closeup.cb, &closeup.cr].map(|plane| plane.sample(x, y));
            if let [Some(luma), Some(cb), Some(cr)] = sampled {
                let (cb, cr) = (cb - 128.0, cr - 128.0);
                // JFIF: full-range BT.601.
                let green = luma - 0.344_136 * cb - 0.714_136 * cr;
                for (byte, value) in
                    rgb.iter_mut()
                        .zip([luma + 1.402 * cr, green, luma + 1.772 * cb])
                {
                    *byte = value.round().clamp(0.0, 255.0) as u8;
                }
            }
        }
        picture
    }

    /// The centre of a cell of the maps, in pixels of the closeup.
    fn point(&self, column: usize, row: usize) -> (f32, f32) {
        let step = self.side / MAP_SIDE as f32;
        (
            self.left + (column as f32 + 0.5) * step,
            self.top + (row as f32 + 0.5) * step,
        )
    }

    /// Intersection over union of the network's iris and the fitted one.
    fn agreement(&self, maps: &EyeMaps, iris: &Ellipse) -> f32 {
        let (mut both, mut either) = (0_u32, 0_u32);
        for (index, &probability) in maps.iris.iter().enumerate() {
            let (x, y) = self.point(index % MAP_SIDE, index / MAP_SIDE);
            let (seen, fitted) = (probability >= 0.5, iris.contains(x, y));
            both += u32::from(seen && fitted);
            either += u32::from(seen || fitted);
        }
        both as f32 / either.max(1) as f32
    }

    /// Where the opening ends above (`outward` -1) or below (+1) the iris's middle. `None` when the
    /// whole iris is open on that side.
    fn margin(&self, maps: &EyeMaps, iris: &Ellipse, outward: f32) -> Option<LidCurve> {
        let radius = iris.mean_radius();
        let mut points = Vec::with_capacity(COLUMNS);
        let mut nearest = f32::MAX;
        for column in 0..COLUMNS {
            let u = (column as f32 / (COLUMNS - 1) as f32 - 0.5) * 2.0;
            let end = self.opening_end(maps, iris.cx + u * radius, iris.cy, outward);
            let height = (end - iris.cy) / radius;
            let limbus = outward * (1.0 - u * u).max(0.0).sqrt();
            nearest = nearest.min(outward * (height - limbus));
            points.push((u, height));
        }
        // A margin that stays clear of the limbus hides nothing.
        (nearest < CLEAR).then(|| LidCurve::fitted(iris, &points))?
    }

    /// The `y` (pixels of the closeup) at which the opening ends in the column `x`, going outward from
    /// `y`; the edge of the square when it does not end. Interpolated between cells.
    fn opening_end(&self, maps: &EyeMaps, x: f32, y: f32, outward: f32) -> f32 {
        let step = self.side / MAP_SIDE as f32;
        let column = (((x - self.left) / step) as usize).min(MAP_SIDE - 1);
        let first = ((y - self.top) / step) as i64;
        let open = |row: i64| {
            let row = usize::try_from(row).ok().filter(|&row| row < MAP_SIDE)?;
            maps.opening.get(row * MAP_SIDE + column).copied()
        };
        let mut row = first;
        let mut before = open(row).unwrap_or(0.0);
        loop {
            let next = row + outward as i64;
            let Some(probability) = open(next) else { break };
            if probability < 0.5 {
                let share = ((before - 0.5) / (before - probability).max(1e-3)).clamp(0.0, 1.0);
                return self.top + (row as f32 + 0.5 + outward * share) * step;
            }
            (row, before) = (next, probability);
        }
        self.top + (row as f32 + 0.5) * step
    }
}

/// In radii of the iris.
const CLEAR: f32 = 0.03;
