//! Pupil and iris rolled out: a row per ring, a column per angle (the rubber sheet of Daugman, 1993).
//!
//! Rows run from the centre of the pupil over its border to the limbus. Angles are cyclic. Places in
//! the rectified iris are in shares of its side, so that one geometry serves luma and chroma.

use std::borrow::Cow;
use std::f32::consts::TAU;
use std::sync::LazyLock;

use multiversion::multiversion;

use crate::geometry::Ellipse;
use crate::plane::Plane;
use crate::rectified::{RectifiedIris, RectifiedView};
use crate::segment::{IrisSegmentation, Label};
use crate::threads::Threads;

pub(super) const ANGLES: usize = 1024;
pub(super) const PUPIL_RINGS: usize = 48;
pub(super) const IRIS_RINGS: usize = 208;
pub(super) const RINGS: usize = PUPIL_RINGS + IRIS_RINGS;

/// Rings near the pupil's border hold both pupil and iris when the pupil is not quite round.
pub(super) const BORDER_RINGS: std::ops::Range<usize> =
    PUPIL_RINGS - PUPIL_RINGS / 6..PUPIL_RINGS + IRIS_RINGS / 20;

const LAST_LABELLED_RING: usize = RINGS - 4;

/// Index of a place in a plane of rings.
pub(super) fn index(ring: usize, angle: usize) -> usize {
    ring * ANGLES + angle
}

/// What `of` gives for every place, in the order of the places.
pub(super) fn for_places<T: Clone + Default + Send>(
    threads: Threads,
    of: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    const TOGETHER: usize = 16 * ANGLES;
    if threads == Threads::default() {
        return (0..RINGS * ANGLES).map(of).collect();
    }
    let mut values = vec![T::default(); RINGS * ANGLES];
    let parts = values.chunks_mut(TOGETHER).enumerate().collect();
    threads.map(parts, |(number, values): (usize, &mut [T])| {
        for (at, value) in (number * TOGETHER..).zip(values) {
            *value = of(at);
        }
    });
    values
}

/// Pupil and limbus as circles in the rectified iris, in shares of its side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rings {
    pupil: (f32, f32),
    pupil_radius: f32,
    /// From the pupil's centre to the iris's.
    shift: (f32, f32),
    iris_radius: f32,
    /// The side of a pixel of the rectified iris, in shares of the iris's radius.
    pixel: f32,
}

impl Rings {
    pub(super) fn of(view: &RectifiedView, pupil: &Ellipse) -> Self {
        let side = view.side as f32;
        let iris_radius = view.iris_radius() / side;
        let (u, v) = view.view_point(pupil.cx, pupil.cy);
        let (edge_u, edge_v) = view.view_point(pupil.cx + pupil.mean_radius(), pupil.cy);
        let pupil_radius = ((edge_u - u).hypot(edge_v - v) / side).clamp(0.02, iris_radius * 0.85);
        // Rings must lie inside each other, or places would not be unique.
        let (shift_u, shift_v) = (0.5 - u / side, 0.5 - v / side);
        let room = (iris_radius - pupil_radius) * 0.8;
        let shrink = (room / shift_u.hypot(shift_v).max(1e-6)).min(1.0);
        let shift = (shift_u * shrink, shift_v * shrink);
        Self {
            pupil: (0.5 - shift.0, 0.5 - shift.1),
            pupil_radius,
            shift,
            iris_radius,
            pixel: 1.0 / view.iris_radius(),
        }
    }

    /// The side of a pixel of the rectified iris, in shares of the iris's radius.
    pub(super) fn pixel(&self) -> f32 {
        self.pixel
    }

    /// Radius of a ring in shares of the iris's radius.
    pub(super) fn radius(&self, ring: f32) -> f32 {
        let (_, radius) = self.circle(ring);
        radius / self.iris_radius
    }

    /// What one place of a ring covers, in shares of the iris's disc.
    pub(super) fn area(&self, ring: usize) -> f32 {
        2.0 * self.radius(ring as f32) * self.ring_step(ring) / ANGLES as f32
    }

    /// Distance between neighbouring rings in shares of the iris's radius.
    pub(super) fn ring_step(&self, ring: usize) -> f32 {
        let pupil = self.pupil_radius / self.iris_radius;
        if ring < PUPIL_RINGS {
            pupil / PUPIL_RINGS as f32
        } else {
            (1.0 - pupil) / IRIS_RINGS as f32
        }
    }

    /// How far a ring's circle has moved from the pupil's centre, and its radius.
    fn circle(&self, ring: f32) -> (f32, f32) {
        let ring = ring + 0.5;
        let out = (ring - PUPIL_RINGS as f32) / IRIS_RINGS as f32;
        if out <= 0.0 {
            return (0.0, ring.max(0.0) / PUPIL_RINGS as f32 * self.pupil_radius);
        }
        (
            out,
            self.pupil_radius + out * (self.iris_radius - self.pupil_radius),
        )
    }

    /// Where in the rectified iris a place of the rings lies, in this direction from the middle of its ring.
    pub(super) fn point(&self, ring: f32, (cos, sin): (f32, f32)) -> (f32, f32) {
        let (out, radius) = self.circle(ring);
        (
            self.pupil.0 + out * self.shift.0 + radius * cos,
            self.pupil.1 + out * self.shift.1 + radius * sin,
        )
    }

    /// Rows and columns of a picture of `side` pixels that what lies within a ring takes.
    pub(super) fn square_around(
        &self,
        ring: f32,
        side: usize,
    ) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let (out, radius) = self.circle(ring);
        let span = |middle: f32, shift: f32| {
            let limit = |at: f32| (at * side as f32).clamp(0.0, side as f32) as usize;
            let middle = middle + out * shift;
            limit(middle - radius)..limit(middle + radius + 1.0 / side as f32)
        };
        (
            span(self.pupil.1, self.shift.1),
            span(self.pupil.0, self.shift.0),
        )
    }

    /// The places of the rings that points on a row of the rectified iris have: the first at `u`, and each
    /// `step` further on.
    pub(super) fn places(&self, u: f32, step: f32, v: f32) -> Places {
        let mut places = Places::default();
        find_places(self, u, step, v, &mut places);
        places
    }

    /// Ring and direction (not of unit length) of a point, and its distance from the middle of the ring.
    #[inline(always)]
    fn polar(&self, u: f32, v: f32) -> (f32, f32, f32, f32) {
        let (dx, dy) = (u - self.pupil.0, v - self.pupil.1);
        let distance = (dx * dx + dy * dy).sqrt();
        let out = self.share_of_way_out(dx, dy).max(0.0);
        let radius = self.pupil_radius + out * (self.iris_radius - self.pupil_radius);
        let within = distance / self.pupil_radius * PUPIL_RINGS as f32;
        let beyond = PUPIL_RINGS as f32 + out * IRIS_RINGS as f32;
        if distance <= self.pupil_radius {
            (within, dx, dy, distance)
        } else {
            (
                beyond,
                dx - out * self.shift.0,
                dy - out * self.shift.1,
                radius,
            )
        }
    }

    /// Solves `|d - t * shift| = pupil_radius + t * (iris_radius - pupil_radius)` for `t`.
    #[inline(always)]
    fn share_of_way_out(&self, dx: f32, dy: f32) -> f32 {
        let growth = self.iris_radius - self.pupil_radius;
        let (sx, sy) = self.shift;
        let a = growth * growth - sx * sx - sy * sy;
        let b = dx * sx + dy * sy + self.pupil_radius * growth;
        let c = dx * dx + dy * dy - self.pupil_radius * self.pupil_radius;
        ((b * b + a * c).max(0.0).sqrt() - b) / a
    }
}

/// Points in turn whose places are found together.
pub(super) const TOGETHER: usize = 16;

/// Places between rings and angles; a ring may lie beyond the last.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) rings: [f32; TOGETHER],
    pub(super) angles: [f32; TOGETHER],
    /// The direction of each, seen from the middle of its ring.
    pub(super) cosines: [f32; TOGETHER],
    pub(super) sines: [f32; TOGETHER],
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn find_places(rings: &Rings, u: f32, step: f32, v: f32, places: &mut Places) {
    for at in 0..TOGETHER {
        let (ring, dx, dy, distance) = rings.polar(u + step * at as f32, v);
        let scale = 1.0 / distance.max(1e-9);
        places.rings[at] = ring - 0.5;
        places.angles[at] = turn(dx, dy) * ANGLES as f32 - 0.5;
        places.cosines[at] = dx * scale;
        places.sines[at] = dy * scale;
    }
}

/// Cosine and sine of every angle.
pub(super) fn directions() -> &'static [(f32, f32); ANGLES] {
    static DIRECTIONS: LazyLock<[(f32, f32); ANGLES]> = LazyLock::new(|| {
        std::array::from_fn(|angle| {
            let (sin, cos) = ((angle as f32 + 0.5) / ANGLES as f32 * TAU).sin_cos();
            (cos, sin)
        })
    });
    &DIRECTIONS
}

/// The angle of a vector in whole turns, 0 to 1, to a hundredth of the distance between two angles.
#[inline(always)]
fn turn(x: f32, y: f32) -> f32 {
    let (near, far) = (x.abs().min(y.abs()), x.abs().max(y.abs()));
    let slope = near / far.max(1e-20);
    let square = slope * slope;
    // A minimax polynomial for the arc tangent up to 1.
    let [a, b, c] = [-0.011_721_2, 0.052_653_32, -0.116_432_87];
    let [d, e, f] = [0.193_543_46, -0.332_623_47, 0.999_977_26];
    let polynomial = ((((a * square + b) * square + c) * square + d) * square + e) * square + f;
    let arc = polynomial * slope * (1.0 / TAU);
    let arc = if y.abs() > x.abs() { 0.25 - arc } else { arc };
    let arc = if x < 0.0 { 0.5 - arc } else { arc };
    if y < 0.0 { 1.0 - arc } else { arc }
}

/// The colours of the rectified iris on its rings, and which of them are seen.
pub(super) struct Unwrapped {
    /// Luma and chroma on the 8-bit scale.
    pub(super) colours: Vec<[f32; 3]>,
    /// Neither behind a lid or lashes nor outside the photo.
    pub(super) visible: Vec<bool>,
    /// Behind a lid or lashes.
    pub(super) hidden: Vec<bool>,
    /// Already known as a highlight from segmentation.
    pub(super) marked: Vec<bool>,
}

impl Unwrapped {
    pub(super) fn of(
        rectified: &RectifiedIris,
        labels: &IrisSegmentation,
        rings: &Rings,
        threads: Threads,
    ) -> Self {
        const RINGS_TOGETHER: usize = 16;
        let places = RINGS * ANGLES;
        let mut unwrapped = Self {
            colours: vec![[0.0; 3]; places],
            visible: vec![false; places],
            hidden: vec![false; places],
            marked: vec![false; places],
        };
        let eye = Eye {
            rectified,
            luma: small_enough(&rectified.luma),
            labels,
            rings,
        };
        let part = RINGS_TOGETHER * ANGLES;
        let colours = unwrapped.colours.chunks_mut(part);
        let kinds = (unwrapped.visible.chunks_mut(part))
            .zip(unwrapped.hidden.chunks_mut(part))
            .zip(unwrapped.marked.chunks_mut(part));
        let parts = colours.zip(kinds).enumerate().collect();
        threads.map(parts, |(number, (colours, ((visible, hidden), marked)))| {
            let first = number * RINGS_TOGETHER;
            let colours = colours.chunks_exact_mut(ANGLES).enumerate();
            colours.for_each(|(ring, colours)| eye.take_colours(first + ring, colours));
            for at in 0..visible.len() {
                let label = eye.label(first + at / ANGLES, at % ANGLES);
                visible[at] = !matches!(label, Label::Nothing | Label::Hidden);
                hidden[at] = label == Label::Hidden;
                marked[at] = label == Label::Reflection;
            }
        });
        unwrapped
    }
}

/// What is rolled out.
struct Eye<'a> {
    rectified: &'a RectifiedIris,
    luma: Cow<'a, Plane>,
    labels: &'a IrisSegmentation,
    rings: &'a Rings,
}

impl Eye<'_> {
    fn take_colours(&self, ring: usize, colours: &mut [[f32; 3]]) {
        let mut spots = Spots::default();
        spots.find(self.rings, ring, self.luma.width);
        for (angle, colour) in colours.iter_mut().enumerate() {
            colour[0] = spots.sample(angle, &self.luma);
        }
        let (cb, cr) = (&self.rectified.cb, &self.rectified.cr);
        spots.find(self.rings, ring, cb.width);
        for (angle, colour) in colours.iter_mut().enumerate() {
            colour[1] = spots.sample(angle, cb);
            colour[2] = spots.sample(angle, cr);
        }
    }

    /// Labels end at the limbus: on the last rings those of the ring before count.
    fn label(&self, ring: usize, angle: usize) -> Label {
        let ring = ring.min(LAST_LABELLED_RING) as f32;
        let (u, v) = self.rings.point(ring, directions()[angle]);
        let view = &self.rectified.view;
        let side = view.side as f32;
        let (x, y) = view.photo_point(u * side, v * side);
        self.labels.label_at(x, y)
    }
}

/// Where the places of a ring lie in a plane: the first of four samples, and how far towards the others.
struct Spots {
    first: [u32; ANGLES],
    across: [f32; ANGLES],
    down: [f32; ANGLES],
}

impl Default for Spots {
    fn default() -> Self {
        Self {
            first: [0; ANGLES],
            across: [0.0; ANGLES],
            down: [0.0; ANGLES],
        }
    }
}

impl Spots {
    /// In a square plane of so many samples per side.
    fn find(&mut self, rings: &Rings, ring: usize, width: u32) {
        let (out, radius) = rings.circle(ring as f32);
        let middle = (
            rings.pupil.0 + out * rings.shift.0,
            rings.pupil.1 + out * rings.shift.1,
        );
        find_spots(middle, radius, width, directions(), self);
    }

    /// A bilinear sample.
    #[inline(always)]
    fn sample(&self, angle: usize, plane: &Plane) -> f32 {
        let at = self.first[angle] as usize;
        let pair = |at: usize| {
            let [left, right] = *plane.samples[at..].first_chunk().unwrap_or(&[0; 2]);
            f32::from(left) + (f32::from(right) - f32::from(left)) * self.across[angle]
        };
        let (top, bottom) = (pair(at), pair(at + plane.width as usize));
        top + (bottom - top) * self.down[angle]
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn find_spots(
    middle: (f32, f32),
    radius: f32,
    width: u32,
    directions: &[(f32, f32); ANGLES],
    spots: &mut Spots,
) {
    let (last, last_first) = ((width - 1) as f32, width as i32 - 2);
    for (angle, (cos, sin)) in directions.iter().enumerate() {
        let (u, v) = (middle.0 + radius * cos, middle.1 + radius * sin);
        let (x, y) = (
            (u * width as f32 - 0.5).max(0.0).min(last),
            (v * width as f32 - 0.5).max(0.0).min(last),
        );
        // At the border the second sample counts whole.
        let (column, row) = ((x as i32).min(last_first), (y as i32).min(last_first));
        spots.first[angle] = (row * width as i32 + column) as u32;
        spots.across[angle] = x - column as f32;
        spots.down[angle] = y - row as f32;
    }
}

/// Halves a plane until its pixels are about as large as the distance between angles.
fn small_enough(plane: &Plane) -> Cow<'_, Plane> {
    let mut plane = Cow::Borrowed(plane);
    while plane.width > 1100 {
        plane = Cow::Owned(plane.halved());
    }
    plane
}

#[cfg(test)]
mod tests {
    use super::{Rings, directions};
    use crate::geometry::Ellipse;
    use crate::rectified::RectifiedView;

    #[test]
    fn every_place_finds_its_way_back_also_when_the_pupil_is_not_centred() {
        let view = RectifiedView::new(&Ellipse::circle(500.0, 400.0, 200.0), 512);
        let rings = Rings::of(&view, &Ellipse::circle(520.0, 395.0, 70.0));
        for (ring, angle) in [
            (3, 10),
            (40, 700),
            (60, 3),
            (255, 511),
            (100, 900),
            (200, 260),
        ] {
            let (u, v) = rings.point(ring as f32, directions()[angle]);
            let places = rings.places(u - 3.0, 1.0, v);
            let (found_ring, found_angle) = (places.rings[3], places.angles[3]);
            assert!(
                (found_ring - ring as f32).abs() < 0.01,
                "{found_ring} for {ring}"
            );
            assert!(
                (found_angle - angle as f32).abs() < 0.03,
                "{found_angle} for {angle}"
            );
            let (cos, sin) = directions()[angle];
            assert!((places.cosines[3] - cos).abs() < 1e-4 && (places.sines[3] - sin).abs() < 1e-4);
        }
    }
}
