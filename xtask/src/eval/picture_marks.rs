//! Marks that making the picture may leave: seams, repetition and wrong colour where a lid was, the outline of
//! a light, bright rims at pupil and limbus; and lights of known strength added to real photos.

use std::path::Path;

use anyhow::Context as _;
use irisflow_image::coverage::Coverage;
use irisflow_image::enhance::{Enhancement, enhance};
use irisflow_image::load::{Limits, load_photo};
use irisflow_image::plane::Plane;
use irisflow_image::rectified::{RectifiedIris, rectify_iris};
use irisflow_image::reflections::{Sensitivity, WithoutReflections, remove_reflections};
use irisflow_image::segment::{IrisSegmentation, segment_iris};
use irisflow_image::threads::Threads;

use super::picture_eval::{
    LIGHT, MAX_SIDE, Scores, difference, lab_of, middle, places, ring_of, scores,
};

/// Fewer pixels on either side of a border do not tell.
const LEAST: usize = 200;

/// What one render yields; figures that it cannot tell are missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    /// Gradient along the border of what was completed, relative to that beside it.
    pub(super) seam: Option<f64>,
    /// How much more the completed ring repeats itself than what is seen of it (correlation).
    pub(super) repetition: Option<f64>,
    /// Mean over rings of the colour difference (CIEDE2000) between completed and seen parts.
    pub(super) colour: Option<f64>,
    /// Gradient along the border of removed light, relative to the truth.
    pub(super) outline: Option<f64>,
    /// Bright rims that enhancement makes at pupil and limbus, in shares of the step there.
    pub(super) overshoot: [f64; 2],
}

/// The parts of a rectified iris.
pub(super) struct Parts<'a> {
    pub(super) segmentation: &'a IrisSegmentation,
    /// Seen iris.
    pub(super) ring: &'a [bool],
    /// Light that lies on it.
    pub(super) light: &'a [bool],
    pub(super) truth: &'a RectifiedIris,
}

pub(super) fn of_render(removed: &WithoutReflections, parts: &Parts<'_>) -> Marks {
    let iris = &removed.rectified;
    let side = iris.luma.width as usize;
    let near_light = shares(parts.light, side, 6);
    let filled: Vec<bool> = removed.filled.samples.iter().map(|&f| f >= 128).collect();
    let is_clear = |at: usize| near_light[at] == 0.0;
    let within = within_limbus(parts.segmentation, iris);
    let done = places(&iris.luma, |at| {
        removed.completed && filled[at] && within[at] && is_clear(at)
    });
    let seen = places(&iris.luma, |at| {
        parts.ring[at] && !filled[at] && is_clear(at)
    });
    let count = |places: &[bool]| places.iter().filter(|place| **place).count();
    let has_both = count(&done) > LEAST && count(&seen) > LEAST;
    let outline = outline(&iris.luma, &parts.truth.luma, parts.light);
    Marks {
        seam: has_both.then(|| seam(&iris.luma, &done, &seen)).flatten(),
        repetition: has_both.then(|| repetition(iris, &done, &seen)),
        colour: has_both
            .then(|| colour_by_ring(iris, parts.segmentation, &done, &seen))
            .flatten(),
        outline,
        overshoot: overshoot(iris, parts.segmentation, parts.ring),
    }
}

/// Inside the limbus and outside the pupil, seen or not.
fn within_limbus(segmentation: &IrisSegmentation, iris: &RectifiedIris) -> Vec<bool> {
    let side = iris.luma.width as usize;
    places(&iris.luma, |at| {
        let (u, v) = ((at % side) as f32 + 0.5, (at / side) as f32 + 0.5);
        let (x, y) = iris.view.photo_point(u, v);
        segmentation.pupil.normalised_distance(x, y) > 1.15
            && segmentation.iris.normalised_distance(x, y) < 0.92
    })
}

/// The share of marked pixels in the window of `reach` pixels around each.
fn shares(marks: &[bool], side: usize, reach: usize) -> Vec<f32> {
    let mut sums = vec![0_u32; (side + 1) * (side + 1)];
    for y in 0..side {
        for x in 0..side {
            let above = sums[y * (side + 1) + x + 1] + sums[(y + 1) * (side + 1) + x];
            let both = sums[y * (side + 1) + x];
            sums[(y + 1) * (side + 1) + x + 1] = above - both + u32::from(marks[y * side + x]);
        }
    }
    let share = |at: usize| {
        let span = |at: usize| (at.saturating_sub(reach), (at + reach + 1).min(side));
        let ((left, right), (top, bottom)) = (span(at % side), span(at / side));
        let corner = |x: usize, y: usize| sums[y * (side + 1) + x];
        let sum =
            corner(right, bottom) + corner(left, top) - corner(left, bottom) - corner(right, top);
        sum as f32 / ((right - left) * (bottom - top)) as f32
    };
    (0..marks.len()).map(share).collect()
}

/// Mean gradient of luma over some places.
fn mean_gradient(luma: &Plane, counted: impl Fn(usize) -> bool) -> Option<f64> {
    let side = luma.width as usize;
    let (mut sum, mut count) = (0.0, 0);
    for at in side..luma.samples.len() - side {
        if counted(at) {
            let level = |at: usize| f64::from(luma.samples[at]);
            sum += (level(at + 1) - level(at - 1)).hypot(level(at + side) - level(at - side));
            count += 1;
        }
    }
    (count >= LEAST).then(|| sum / count as f64)
}

fn seam(luma: &Plane, done: &[bool], seen: &[bool]) -> Option<f64> {
    const NEAR: f32 = 0.2;
    let side = luma.width as usize;
    let [near, apart, far] =
        [2, 4, 16].map(|reach| [shares(done, side, reach), shares(seen, side, reach)]);
    let on_border = |at: usize| near[0][at] > NEAR && near[1][at] > NEAR;
    let beside = |at: usize| {
        let is_off = apart[0][at] == 0.0 && apart[1][at] == 1.0
            || apart[0][at] == 1.0 && apart[1][at] == 0.0;
        is_off && far[0][at] > 0.02 && far[1][at] > 0.02
    };
    Some(mean_gradient(luma, on_border)? / mean_gradient(luma, beside)?.max(0.1))
}

/// The gradient along the border of a light after its removal, relative to that of the truth.
fn outline(luma: &Plane, truth: &Plane, light: &[bool]) -> Option<f64> {
    let share = shares(light, luma.width as usize, 2);
    let on_border = |at: usize| (0.25..0.75).contains(&share[at]);
    Some(mean_gradient(luma, on_border)? / mean_gradient(truth, on_border)?.max(0.1))
}

const ANGLES: usize = 512;

/// Luma on circles around the middle without what is broad, and which places are among `counted`.
fn unrolled(iris: &RectifiedIris, counted: &[bool]) -> (Vec<f64>, Vec<bool>) {
    const RINGS: usize = 48;
    const BROAD: usize = 12;
    let side = iris.luma.width as usize;
    let half = side as f64 / 2.0;
    let (mut details, mut known) = (Vec::new(), Vec::new());
    for ring in 0..RINGS {
        let radius =
            f64::from(iris.view.iris_radius()) * (0.45 + 0.45 * ring as f64 / RINGS as f64);
        let at = |angle: usize| {
            let (sin, cos) = (angle as f64 / ANGLES as f64 * std::f64::consts::TAU).sin_cos();
            ((half + radius * sin) as usize * side + (half + radius * cos) as usize)
                .min(counted.len() - 1)
        };
        let row: Vec<f64> = (0..ANGLES)
            .map(|angle| f64::from(iris.luma.samples[at(angle)]))
            .collect();
        for angle in 0..ANGLES {
            let near = (0..=2 * BROAD).map(|turn| row[(angle + ANGLES - BROAD + turn) % ANGLES]);
            details.push(row[angle] - near.sum::<f64>() / (2 * BROAD + 1) as f64);
            known.push(counted[at(angle)]);
        }
    }
    (details, known)
}

/// The highest correlation of the ring with itself, turned by 30 degrees or more.
fn self_likeness(iris: &RectifiedIris, counted: &[bool]) -> f64 {
    let (details, known) = unrolled(iris, counted);
    let likeness = |turn: usize| {
        let (mut both, mut one, mut other, mut count) = (0.0, 1e-6, 1e-6, 0);
        for at in 0..details.len() {
            let turned = at / ANGLES * ANGLES + (at % ANGLES + turn) % ANGLES;
            if known[at] && known[turned] {
                both += details[at] * details[turned];
                one += details[at] * details[at];
                other += details[turned] * details[turned];
                count += 1;
            }
        }
        if count < details.len() / 8 {
            0.0
        } else {
            both / (one * other).sqrt()
        }
    };
    (ANGLES / 12..=ANGLES / 2).map(likeness).fold(0.0, f64::max)
}

fn repetition(iris: &RectifiedIris, done: &[bool], seen: &[bool]) -> f64 {
    let all: Vec<bool> = done
        .iter()
        .zip(seen)
        .map(|(done, seen)| *done || *seen)
        .collect();
    self_likeness(iris, &all) - self_likeness(iris, seen)
}

fn colour_by_ring(
    iris: &RectifiedIris,
    segmentation: &IrisSegmentation,
    done: &[bool],
    seen: &[bool],
) -> Option<f64> {
    const RINGS: usize = 12;
    let side = iris.luma.width as usize;
    let mut sums = [[[0.0; 4]; 2]; RINGS];
    for at in (0..done.len())
        .step_by(3)
        .filter(|&at| done[at] || seen[at])
    {
        let (u, v) = ((at % side) as f32 + 0.5, (at / side) as f32 + 0.5);
        let (x, y) = iris.view.photo_point(u, v);
        let ring = (segmentation.iris.normalised_distance(x, y) * RINGS as f32) as usize;
        let sum = &mut sums[ring.min(RINGS - 1)][usize::from(seen[at])];
        let [l, a, b] = lab_of(iris, at);
        [l, a, b, 1.0]
            .iter()
            .zip(sum)
            .for_each(|(value, sum)| *sum += value);
    }
    let told = sums
        .iter()
        .filter(|sums| sums.iter().all(|sum| sum[3] >= 50.0));
    let differences: Vec<f64> = told
        .map(|[done, seen]| {
            let mean = |[l, a, b, count]: [f64; 4]| [l / count, a / count, b / count];
            difference(mean(*done), mean(*seen))
        })
        .collect();
    let count = differences.len();
    (count > 0).then(|| differences.iter().sum::<f64>() / count as f64)
}

/// How much higher luma rises beside pupil and limbus after enhancement than before, in shares of the step.
fn overshoot(iris: &RectifiedIris, segmentation: &IrisSegmentation, ring: &[bool]) -> [f64; 2] {
    let mut finished = iris.clone();
    let threads = Threads::default();
    let opacity = Coverage::round(1.0).opacity(iris.view.side, threads);
    enhance(
        &mut finished,
        &segmentation.pupil,
        &opacity,
        &Enhancement::default(),
        threads,
    );
    let side = iris.luma.width as usize;
    let level = |luma: &Plane, is_pupil: bool, range: (f32, f32)| {
        let (mut sum, mut count) = (0.0, 0.0);
        for at in (0..ring.len()).step_by(3) {
            let (u, v) = ((at % side) as f32 + 0.5, (at / side) as f32 + 0.5);
            let (x, y) = iris.view.photo_point(u, v);
            let ellipse = if is_pupil {
                &segmentation.pupil
            } else {
                &segmentation.iris
            };
            let distance = ellipse.normalised_distance(x, y);
            let counts = ring[at] || is_pupil && distance < 1.15;
            if counts && (range.0..range.1).contains(&distance) {
                sum += f64::from(luma.samples[at]);
                count += 1.0;
            }
        }
        sum / f64::max(count, 1.0)
    };
    let rise = |luma: &Plane, is_pupil: bool, rim: [(f32, f32); 3], far: (f32, f32)| {
        let highest = rim.map(|range| level(luma, is_pupil, range));
        highest.into_iter().fold(0.0, f64::max) - level(luma, is_pupil, far)
    };
    let of = |is_pupil: bool, rim: [(f32, f32); 3], far: (f32, f32), dark: (f32, f32)| {
        let step =
            (level(&finished.luma, is_pupil, far) - level(&finished.luma, is_pupil, dark)).abs();
        let more = rise(&finished.luma, is_pupil, rim, far) - rise(&iris.luma, is_pupil, rim, far);
        (more / step.max(10.0)).max(0.0)
    };
    [
        of(
            true,
            [(1.02, 1.08), (1.08, 1.15), (1.15, 1.25)],
            (1.4, 1.6),
            (0.5, 0.8),
        ),
        of(
            false,
            [(0.84, 0.87), (0.87, 0.9), (0.9, 0.92)],
            (0.74, 0.8),
            (0.0, 0.3),
        ),
    ]
}

/// A light of known strength on a real iris: what stays of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownLight {
    pub(super) is_burnt: bool,
    pub(super) untouched: Scores,
    pub(super) ours: Scores,
    pub(super) outline: f64,
}

/// Adds lights, in linear light, to the photos of a folder where nothing shines.
pub(super) fn known_lights(folder: &Path) -> anyhow::Result<Vec<KnownLight>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "jpg"))
        .collect();
    paths.sort();
    let mut lights = Vec::new();
    for path in paths {
        let Ok(photo) = load_photo(&std::fs::read(&path)?, &Limits::default()) else {
            continue;
        };
        let Ok(segmentation) = segment_iris(&photo) else {
            continue;
        };
        let iris = rectify_iris(&photo, &segmentation.iris, MAX_SIDE, Threads::default());
        for turn in 0..8 {
            for strength in [0.12, 1.5] {
                let angle = turn as f32 / 8.0 * std::f32::consts::TAU;
                lights.extend(known_light(&iris, &segmentation, angle, strength));
            }
        }
    }
    Ok(lights)
}

/// None where something shines or hides the iris already.
fn known_light(
    iris: &RectifiedIris,
    segmentation: &IrisSegmentation,
    angle: f32,
    strength: f32,
) -> Option<KnownLight> {
    let removed = |iris: &RectifiedIris| {
        let mut segmentation = segmentation.clone();
        remove_reflections(
            iris,
            &mut segmentation,
            &Sensitivity::default(),
            Threads::default(),
        )
    };
    let clean = removed(iris);
    let lit = with_light(iris, angle, strength);
    let ring = ring_of(segmentation, iris);
    let light = places(&iris.luma, |at| {
        lit.luma.samples[at].saturating_sub(iris.luma.samples[at]) >= LIGHT
    });
    let share = |of: &dyn Fn(usize) -> bool| {
        let all = (0..light.len()).filter(|&at| light[at]);
        let (hits, count) = all.fold((0, 0), |(hits, count), at| {
            (hits + usize::from(of(at)), count + 1)
        });
        hits as f64 / f64::from(count.max(1) as u32)
    };
    if share(&|at| ring[at]) < 0.97 || share(&|at| clean.filled.samples[at] > 0) > 0.02 {
        return None;
    }
    let ours = removed(&lit);
    let truth = &clean.rectified.luma;
    Some(KnownLight {
        is_burnt: strength > 1.0,
        untouched: scores(&lit.luma, truth, &light),
        ours: scores(&ours.rectified.luma, truth, &light),
        outline: outline(&ours.rectified.luma, truth, &light).unwrap_or(f64::NAN),
    })
}

/// The iris under a window with soft edges at this angle, which adds so much linear light.
fn with_light(iris: &RectifiedIris, angle: f32, strength: f32) -> RectifiedIris {
    let mut lit = iris.clone();
    let added = |side: u32, at: usize| {
        let half = side as f32 / 2.0;
        let place = |at: usize| (at as f32 + 0.5 - half) / (half * 0.94);
        let (x, y) = (place(at % side as usize), place(at / side as usize));
        let (sin, cos) = angle.sin_cos();
        let (out, round) = (x * cos + y * sin - 0.62, y * cos - x * sin);
        let edge =
            |distance: f32, reach: f32| ((reach - distance.abs()) / 0.03 + 0.5).clamp(0.0, 1.0);
        strength * edge(out, 0.13) * edge(round, 0.16)
    };
    let (side, chroma_side) = (iris.luma.width, iris.chroma_side());
    for at in 0..lit.luma.samples.len() {
        let chroma_at = chroma_place(at, side, chroma_side);
        let colour = [
            iris.luma.samples[at],
            iris.cb.samples[chroma_at],
            iris.cr.samples[chroma_at],
        ];
        lit.luma.samples[at] = brightened(colour, added(side, at))[0];
    }
    for at in 0..lit.cb.samples.len() {
        let luma = iris.luma.samples[chroma_place(at, chroma_side, side)];
        let colour = [luma, iris.cb.samples[at], iris.cr.samples[at]];
        [_, lit.cb.samples[at], lit.cr.samples[at]] = brightened(colour, added(chroma_side, at));
    }
    lit
}

/// The pixel at the same place of a square plane of another size.
fn chroma_place(at: usize, side: u32, other: u32) -> usize {
    let (side, other) = (side as usize, other as usize);
    (at / side * other / side) * other + at % side * other / side
}

/// A colour with more linear light of all wavelengths.
fn brightened([luma, cb, cr]: [u8; 3], added: f32) -> [u8; 3] {
    if added <= 0.0 {
        return [luma, cb, cr];
    }
    let (luma, cb, cr) = (
        f32::from(luma),
        f32::from(cb) - 128.0,
        f32::from(cr) - 128.0,
    );
    let rgb = [
        luma + 1.402 * cr,
        luma - 0.344_136 * cb - 0.714_136 * cr,
        luma + 1.772 * cb,
    ];
    let [r, g, b] = rgb.map(|value| {
        let linear = (value.clamp(0.0, 255.0) / 255.0).powf(2.2) + added;
        255.0 * linear.min(1.0).powf(1.0 / 2.2)
    });
    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
    let (cb, cr) = ((b - luma) / 1.772 + 128.0, (r - luma) / 1.402 + 128.0);
    [luma, cb, cr].map(|value| (value + 0.5).clamp(0.0, 255.0) as u8)
}

/// The lines of the report about renders.
pub(super) fn report(marks: &[Marks]) -> String {
    let row = |what: &str, wanted: &str, of: &dyn Fn(&Marks) -> Option<f64>| {
        let mut values: Vec<f64> = marks.iter().filter_map(of).collect();
        let count = values.len();
        values.sort_by(f64::total_cmp);
        let tail = values.get(count * 9 / 10).copied().unwrap_or(f64::NAN);
        format!(
            "| {what} | {count} | {:.2} | {tail:.2} | {wanted} |\n",
            middle(&mut values)
        )
    };
    [
        "\n| mark | renders | median | worst tenth from | wanted |\n|---|---|---|---|---|\n"
            .to_owned(),
        row(
            "completed sectors: gradient along the seam, relative to beside it",
            "0.9 to 1.1",
            &|m| m.seam,
        ),
        row(
            "completed sectors: how much more the ring repeats itself",
            "0.1",
            &|m| m.repetition,
        ),
        row(
            "completed sectors: colour difference of ring means (CIEDE2000)",
            "2",
            &|m| m.colour,
        ),
        row(
            "removed light: gradient along its border, relative to the truth",
            "0.9 to 1.1",
            &|m| m.outline,
        ),
        row("overshoot at the pupil, share of the step", "0.03", &|m| {
            Some(m.overshoot[0])
        }),
        row("overshoot at the limbus, share of the step", "0.03", &|m| {
            Some(m.overshoot[1])
        }),
    ]
    .concat()
}

/// The lines of the report about real photos.
pub(super) fn report_known(lights: &[KnownLight]) -> String {
    let mut text = "\nWindows of known strength added in linear light to real photos where nothing shines:\n\n\
        | light | lights | left as it is, dB | ours, dB | gradient along its border, relative to the clean photo |\n\
        |---|---|---|---|---|\n"
        .to_owned();
    for (name, is_burnt) in [("soft", false), ("burnt", true)] {
        let group = || lights.iter().filter(|light| light.is_burnt == is_burnt);
        let mean = |of: &dyn Fn(&KnownLight) -> f64| {
            group().map(of).sum::<f64>() / group().count().max(1) as f64
        };
        let mut outlines: Vec<f64> = group()
            .map(|light| light.outline)
            .filter(|o| o.is_finite())
            .collect();
        text += &format!(
            "| {name} | {} | {:.1} | {:.1} | {:.2} |\n",
            group().count(),
            mean(&|light| light.untouched.psnr),
            mean(&|light| light.ours.psnr),
            middle(&mut outlines),
        );
    }
    text
}
