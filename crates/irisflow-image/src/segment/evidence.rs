//! What speaks for a human eye: independent measurements around a fitted limbus. No judgement here;
//! `verdict.rs` weighs them.

use super::closeup::Closeup;
use super::float_image::median;
use super::limbus::{Colour, Limbus, LimbusSpoke, is_lateral, point_on_ray, sclera_colour};
use super::pupil::FoundPupil;
use crate::geometry::Ellipse;

/// Measurements of one candidate. Shares are 0 to 1; lumas and chroma are 0 to 255 steps.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evidence {
    /// Share of the rays to the left (right) of the iris with an edge on the ellipse.
    pub left_edge: f32,
    pub right_edge: f32,
    /// Luma just outside minus just inside, divided by the outside, median of each side.
    pub left_step: f32,
    pub right_step: f32,
    /// Share of the in-frame rays of the whole turn with an edge on the ellipse.
    pub all_edge: f32,
    /// The same of the rays that point down; none when the frame cuts the iris there.
    pub lower_edge: Option<f32>,
    /// Chroma of the sclera divided by its luma.
    pub sclera_tint: f32,
    /// Median luma of the sclera.
    pub sclera_luma: f32,
    /// Shorter axis over longer.
    pub roundness: f32,
    /// Share of the pupil's outline with a fitting edge.
    pub pupil_edge: f32,
    /// (iris - pupil) / iris, in luma.
    pub pupil_contrast: f32,
    /// Distance of the centres over the iris radius.
    pub pupil_offset: f32,
    /// Pupil radius over iris radius.
    pub pupil_ratio: f32,
    /// Share of the rays up and down, from the limbus to 1.8 radii, that meet something that is not
    /// sclera: lids. None when the frame ends before.
    pub lid_share: Option<f32>,
    /// How much redder the surroundings beyond the lids are than the sclera, as share of luma. None
    /// for a grey photo or when the frame ends before.
    pub skin_warmth: Option<f32>,
    /// Local scatter of luma in the iris ring, in shares of the step to the sclera.
    pub iris_texture: f32,
    /// Scatter of the colour just inside the limbus, left, right and below, in shares of the step.
    pub rim_scatter: f32,
    /// Local scatter of luma in the sclera, in shares of the step.
    pub sclera_texture: f32,
    /// Share of sclera and pupil without any grain at all: drawings.
    pub flat_share: f32,
    /// Median luma of iris and pupil.
    pub iris_luma: f32,
    pub pupil_luma: f32,
}

/// An edge this near to the ellipse (in radii) lies on it.
const ON_ELLIPSE: f32 = 0.05;

pub(super) fn gather(closeup: &Closeup, found: &Limbus, pupil: &FoundPupil) -> Option<Evidence> {
    let Limbus {
        ellipse: limbus,
        spokes,
    } = found;
    let sclera = sclera_colour(spokes)?;
    let iris = ring_colour(closeup, limbus, pupil)?;
    let [left, right] = [false, true].map(|to_right| Side::of(spokes, to_right));
    let (left, right) = (left?, right?);
    let step = iris.distance(sclera).max(4.0);
    let pupil_luma = disc_luma(closeup, &pupil.ellipse)?;
    let around_pupil = pupil_surroundings(closeup, &pupil.ellipse)?;
    let offset = (pupil.ellipse.cx - limbus.cx).hypot(pupil.ellipse.cy - limbus.cy);
    Some(Evidence {
        left_edge: left.edge_share,
        right_edge: right.edge_share,
        left_step: left.step,
        right_step: right.step,
        all_edge: edge_share(spokes.iter())?,
        lower_edge: edge_share(spokes.iter().filter(|spoke| spoke.theta.sin() > 0.6)),
        sclera_tint: sclera.cb.hypot(sclera.cr) / sclera.luma.max(1.0),
        sclera_luma: sclera.luma,
        roundness: limbus.ry.min(limbus.rx) / limbus.rx.max(limbus.ry),
        pupil_edge: pupil.edge_share,
        pupil_contrast: (around_pupil - pupil_luma) / around_pupil.max(1.0),
        pupil_offset: offset / limbus.mean_radius(),
        pupil_ratio: pupil.ellipse.mean_radius() / limbus.mean_radius(),
        lid_share: lid_share(closeup, limbus, sclera, iris),
        skin_warmth: skin_warmth(closeup, limbus, sclera),
        iris_texture: texture(closeup, limbus, pupil) / step,
        rim_scatter: rim_scatter(spokes)? / step,
        sclera_texture: sclera_texture(closeup, limbus) / step,
        flat_share: flat_share(closeup, limbus, pupil),
        iris_luma: iris.luma,
        pupil_luma,
    })
}

struct Side {
    edge_share: f32,
    step: f32,
}

impl Side {
    fn of(spokes: &[LimbusSpoke], to_right: bool) -> Option<Self> {
        let side: Vec<&LimbusSpoke> = spokes
            .iter()
            .filter(|spoke| is_lateral(spoke.theta) && (spoke.theta.cos() > 0.0) == to_right)
            .collect();
        let mut steps: Vec<f32> = side
            .iter()
            .filter_map(|spoke| {
                let (inside, outside) = (spoke.inside?, spoke.outside?);
                Some((outside.luma - inside.luma) / outside.luma.max(1.0))
            })
            .collect();
        Some(Self {
            edge_share: edge_share(side.iter().copied())?,
            step: median(&mut steps)?,
        })
    }
}

fn edge_share<'a>(spokes: impl Iterator<Item = &'a LimbusSpoke>) -> Option<f32> {
    let (mut fitting, mut count) = (0, 0);
    for spoke in spokes {
        if spoke.outside.is_none() {
            continue;
        }
        count += 1;
        if spoke
            .edge
            .is_some_and(|edge| (edge - 1.0).abs() < ON_ELLIPSE)
        {
            fitting += 1;
        }
    }
    (count >= 8).then(|| fitting as f32 / count as f32)
}

/// Directions over the full turn, with their cosine and sine.
fn directions(count: usize) -> impl Iterator<Item = (f32, f32, f32)> {
    (0..count).map(move |index| {
        let theta = index as f32 * std::f32::consts::TAU / count as f32;
        let (sin, cos) = theta.sin_cos();
        (theta, cos, sin)
    })
}

/// Median colour between pupil and limbus on the sides and below.
fn ring_colour(closeup: &Closeup, limbus: &Ellipse, pupil: &FoundPupil) -> Option<Colour> {
    let inner = (pupil.ellipse.mean_radius() / limbus.mean_radius() + 0.1).min(0.7);
    let mut colours = Vec::new();
    for (theta, _, sin) in directions(48) {
        if sin < -0.5 {
            continue;
        }
        for step in 0..5 {
            let share = inner + (0.9 - inner) * step as f32 / 4.0;
            let (x, y) = point_on_ray(limbus, theta, share);
            colours.extend(closeup.colour_at(x, y));
        }
    }
    Colour::median_of(&colours)
}

/// Median luma within seven tenths of an ellipse.
fn disc_luma(closeup: &Closeup, ellipse: &Ellipse) -> Option<f32> {
    ellipse_lumas(closeup, ellipse, &[0.1, 0.3, 0.5, 0.7])
}

/// Median luma of the iris just around the pupil.
fn pupil_surroundings(closeup: &Closeup, pupil: &Ellipse) -> Option<f32> {
    ellipse_lumas(closeup, pupil, &[1.2, 1.3, 1.4, 1.5])
}

fn ellipse_lumas(closeup: &Closeup, ellipse: &Ellipse, shares: &[f32]) -> Option<f32> {
    let mut lumas = Vec::new();
    for (theta, _, _) in directions(24) {
        for &share in shares {
            let (x, y) = point_on_ray(ellipse, theta, share);
            lumas.extend(closeup.luma.sample(x, y));
        }
    }
    median(&mut lumas)
}

fn lid_share(closeup: &Closeup, limbus: &Ellipse, sclera: Colour, iris: Colour) -> Option<f32> {
    let limit = 0.35 * iris.distance(sclera).max(20.0);
    let (mut meeting, mut count) = (0, 0);
    for (theta, cos, _) in directions(64) {
        if cos.abs() > 0.6 {
            continue;
        }
        let mut unlike = 0;
        let mut seen = 0;
        for step in 0..10 {
            let (x, y) = point_on_ray(limbus, theta, 1.15 + 0.07 * step as f32);
            if let Some(colour) = closeup.colour_at(x, y) {
                seen += 1;
                unlike += usize::from(colour.distance(sclera) > limit);
            }
        }
        if seen >= 3 {
            count += 1;
            meeting += usize::from(3 * unlike >= seen);
        }
    }
    (count >= 8).then(|| meeting as f32 / count as f32)
}

fn skin_warmth(closeup: &Closeup, limbus: &Ellipse, sclera: Colour) -> Option<f32> {
    let mut warmth = Vec::new();
    let mut chroma = Vec::new();
    for (theta, cos, _) in directions(64) {
        if cos.abs() > 0.75 {
            continue;
        }
        for share in [1.45, 1.6, 1.75, 1.9, 2.05] {
            let (x, y) = point_on_ray(limbus, theta, share);
            if let Some(colour) = closeup.colour_at(x, y)
                && colour.luma > 16.0
            {
                let own = (colour.cr - colour.cb) / colour.luma;
                warmth.push(own - (sclera.cr - sclera.cb) / sclera.luma.max(1.0));
                chroma.push(colour.cb.hypot(colour.cr));
            }
        }
    }
    let grey = median(&mut chroma)? < 2.5 && sclera.cb.hypot(sclera.cr) < 2.5;
    (warmth.len() >= 40 && !grey)
        .then(|| median(&mut warmth))
        .flatten()
}

/// Mean absolute second difference of luma around the iris, along circles.
fn texture(closeup: &Closeup, limbus: &Ellipse, pupil: &FoundPupil) -> f32 {
    let inner = (pupil.ellipse.mean_radius() / limbus.mean_radius() + 0.08).min(0.75);
    let mut changes = Vec::new();
    for step in 0..4 {
        let share = inner + (0.88 - inner) * step as f32 / 3.0;
        let lumas: Vec<Option<f32>> = directions(96)
            .map(|(theta, _, _)| {
                let (x, y) = point_on_ray(limbus, theta, share);
                closeup.luma.sample(x, y)
            })
            .collect();
        for three in lumas.windows(3) {
            if let [Some(a), Some(b), Some(c)] = *three {
                changes.push((a - 2.0 * b + c).abs());
            }
        }
    }
    median(&mut changes).unwrap_or(0.0)
}

/// Median distance of the colours just inside the limbus from their median, where no lid is usual.
fn rim_scatter(spokes: &[LimbusSpoke]) -> Option<f32> {
    let rim: Vec<Colour> = spokes
        .iter()
        .filter(|spoke| is_lateral(spoke.theta) || spoke.theta.sin() > 0.0)
        .filter_map(|spoke| spoke.inside)
        .collect();
    let middle = Colour::median_of(&rim)?;
    median(
        &mut rim
            .iter()
            .map(|colour| colour.distance(middle))
            .collect::<Vec<_>>(),
    )
}

/// Mean absolute second difference of luma along short arcs in the sclera.
fn sclera_texture(closeup: &Closeup, limbus: &Ellipse) -> f32 {
    let mut changes = Vec::new();
    for share in [1.12, 1.18, 1.24] {
        let lumas: Vec<Option<f32>> = directions(96)
            .map(|(theta, _, _)| {
                let (x, y) = point_on_ray(limbus, theta, share);
                is_lateral(theta)
                    .then(|| closeup.luma.sample(x, y))
                    .flatten()
            })
            .collect();
        for three in lumas.windows(3) {
            if let [Some(a), Some(b), Some(c)] = *three {
                changes.push((a - 2.0 * b + c).abs());
            }
        }
    }
    median(&mut changes).unwrap_or(0.0)
}

/// Share of samples in sclera and pupil whose neighbourhood is of one single value.
fn flat_share(closeup: &Closeup, limbus: &Ellipse, pupil: &FoundPupil) -> f32 {
    let (mut flat, mut count) = (0, 0);
    for (theta, cos, sin) in directions(48) {
        let mut places = vec![(&pupil.ellipse, 0.5)];
        if cos.abs() > 0.85 || (sin > 0.0 && cos.abs() > 0.7) {
            places.extend([(limbus, 1.15), (limbus, 1.2)]);
        }
        for (ellipse, share) in places {
            let (x, y) = point_on_ray(ellipse, theta, share);
            if let Some(same) = is_flat(closeup, x, y) {
                count += 1;
                flat += usize::from(same);
            }
        }
    }
    flat as f32 / count.max(1) as f32
}

fn is_flat(closeup: &Closeup, x: f32, y: f32) -> Option<bool> {
    let image = &closeup.luma;
    let (x, y) = (x as usize, y as usize);
    if x < 1 || y < 1 || x + 1 >= image.width || y + 1 >= image.height {
        return None;
    }
    let centre = image.at(x, y);
    let mut around = (y - 1..=y + 1).flat_map(|py| (x - 1..=x + 1).map(move |px| (px, py)));
    Some(around.all(|(px, py)| (image.at(px, py) - centre).abs() < 0.51))
}
