//! Evaluation of the picture: reflections on renders, whose iris without them is known.
//!
//! Photo and reflection-free photo are cut out by the segmentation of the photo, so that only what becomes of
//! the light is measured. Each is compared inside the light: the iris left as it is, ours, and OpenCV's Telea
//! and Navier-Stokes inpainting of the same places where a Python with OpenCV is given.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use irisflow_image::coverage::Coverage;
use irisflow_image::enhance::{Enhancement, enhance};
use irisflow_image::load::{EyePhoto, Limits, load_photo};
use irisflow_image::plane::Plane;
use irisflow_image::rectified::{RectifiedIris, rectify_iris};
use irisflow_image::reflections::{Sensitivity, remove_reflections};
use irisflow_image::segment::{IrisSegmentation, Label, segment_iris};
use irisflow_image::threads::Threads;
use irisflow_synth::{Framing, Picture, SceneKind, Tiles, render};

use super::picture_marks::{self, Marks, Parts};
use super::render_eval::jpeg;

/// Levels of luma that mirrored light adds at least.
pub(super) const LIGHT: u8 = 6;
/// Luma that nothing is left of the iris at.
const BURNT: u8 = 246;
/// A light of fewer pixels is not judged.
const LEAST_PIXELS: usize = 150;
pub(super) const MAX_SIDE: u32 = 2048;

/// What one render yields.
struct Outcome {
    kind: &'static str,
    size: &'static str,
    untouched: Scores,
    ours: Scores,
    /// Telea, Navier-Stokes.
    inpainted: Option<[Scores; 2]>,
    /// Mean change of luma of the reflection-free photo, beside the pupil.
    change_without_light: f64,
    /// Median colour difference (CIEDE2000) outside the light: before enhancement, after it.
    colour_difference: [f64; 2],
    marks: Marks,
}

/// Agreement of luma with the truth inside the light.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scores {
    pub(super) psnr: f64,
    ssim: f64,
    /// Root mean square error of the gradient, in levels.
    gradient: f64,
}

/// Renders irises and prints how well their reflections were removed.
pub(super) fn run(
    renders: u64,
    seed: u64,
    python: Option<&Path>,
    photos: Option<&Path>,
) -> anyhow::Result<String> {
    let tiles = Tiles::new();
    let mut outcomes = Vec::new();
    for index in 0..renders {
        outcomes.extend(evaluate(&tiles, seed, index, python)?);
    }
    let mut text = report(&outcomes, renders, seed);
    if let Some(photos) = photos {
        text += &picture_marks::report_known(&picture_marks::known_lights(photos)?);
    }
    Ok(text)
}

fn evaluate(
    tiles: &Tiles,
    seed: u64,
    index: u64,
    python: Option<&Path>,
) -> anyhow::Result<Option<Outcome>> {
    let (framing, side) = match index % 3 {
        0 => (Framing::Macro, 768),
        1 => (Framing::Crop, 768),
        _ => (Framing::Close, 1280),
    };
    let picture = render(tiles, seed, index, side, SceneKind::Eye(framing), true);
    let Some([photo, clean]) = photos(picture)? else {
        return Ok(None);
    };
    let Ok(segmentation) = segment_iris(&photo) else {
        return Ok(None);
    };
    let cut =
        |photo: &EyePhoto| rectify_iris(photo, &segmentation.iris, MAX_SIDE, Threads::default());
    let (before, truth) = (cut(&photo), cut(&clean));
    let ring = ring_of(&segmentation, &before);
    let light = places(&before.luma, |at| {
        ring[at] && before.luma.samples[at].saturating_sub(truth.luma.samples[at]) >= LIGHT
    });
    let lit: usize = light.iter().map(|&lit| usize::from(lit)).sum();
    if lit < LEAST_PIXELS {
        return Ok(None);
    }
    let removed = |iris: &RectifiedIris| {
        let mut segmentation = segmentation.clone();
        let threads = Threads::default();
        remove_reflections(iris, &mut segmentation, &Sensitivity::default(), threads)
    };
    let ours = removed(&before);
    let parts = Parts {
        segmentation: &segmentation,
        ring: &ring,
        light: &light,
        truth: &truth,
    };
    let marks = picture_marks::of_render(&ours, &parts);
    let ours = ours.rectified;
    let burnt = places(&before.luma, |at| {
        light[at] && before.luma.samples[at] >= BURNT
    });
    let burnt: usize = burnt.iter().map(|&burnt| usize::from(burnt)).sum();
    let ring_pixels: usize = ring.iter().map(|&ring| usize::from(ring)).sum();
    let score = |luma: &Plane| scores(luma, &truth.luma, &light);
    let inpainted = python.map(|python| inpainted(python, &before.luma, &light));
    Ok(Some(Outcome {
        kind: if burnt * 3 > lit { "burnt" } else { "soft" },
        size: if lit * 12 > ring_pixels {
            "large"
        } else {
            "small"
        },
        untouched: score(&before.luma),
        inpainted: inpainted
            .transpose()?
            .map(|lumas| lumas.map(|luma| score(&luma))),
        change_without_light: mean_change(&removed(&truth).rectified.luma, &truth.luma, &ring),
        colour_difference: colour_differences(&segmentation, &ours, &truth, &ring, &light),
        ours: score(&ours.luma),
        marks,
    }))
}

/// The photo with and without reflections, decoded again; none where the window is empty.
fn photos(mut picture: Picture) -> anyhow::Result<Option<[EyePhoto; 2]>> {
    let decoded = |picture: &Picture| -> anyhow::Result<Option<EyePhoto>> {
        let (width, height, rgb) = picture.photo_without_letterbox();
        if width < 64 || height < 64 {
            return Ok(None);
        }
        let bytes = jpeg(&rgb, width, height)?;
        let photo = load_photo(&bytes, &Limits::default());
        Ok(Some(
            photo.map_err(|rejection| anyhow::anyhow!("{rejection}"))?,
        ))
    };
    let photo = decoded(&picture)?;
    picture.photo = picture
        .without_reflections
        .take()
        .context("a clean render")?;
    let clean = decoded(&picture)?;
    Ok(photo.zip(clean).map(<[EyePhoto; 2]>::from))
}

pub(super) fn places(plane: &Plane, is: impl Fn(usize) -> bool) -> Vec<bool> {
    (0..plane.samples.len()).map(is).collect()
}

/// Visible iris beside the pupil and within the limbus.
pub(super) fn ring_of(segmentation: &IrisSegmentation, iris: &RectifiedIris) -> Vec<bool> {
    let side = iris.luma.width as usize;
    places(&iris.luma, |at| {
        let (u, v) = ((at % side) as f32 + 0.5, (at / side) as f32 + 0.5);
        let (x, y) = iris.view.photo_point(u, v);
        let is_iris = matches!(
            segmentation.label_at(x, y),
            Label::VisibleIris | Label::Reflection
        );
        is_iris
            && segmentation.pupil.normalised_distance(x, y) > 1.15
            && segmentation.iris.normalised_distance(x, y) < 0.92
    })
}

fn mean_change(a: &Plane, b: &Plane, counted: &[bool]) -> f64 {
    let pairs = a.samples.iter().zip(&b.samples).zip(counted);
    let (sum, count) = pairs
        .filter(|pair| *pair.1)
        .fold((0.0, 0.0), |(sum, count), pair| {
            (sum + f64::from(pair.0.0.abs_diff(*pair.0.1)), count + 1.0)
        });
    sum / f64::max(count, 1.0)
}

pub(super) fn scores(luma: &Plane, truth: &Plane, light: &[bool]) -> Scores {
    let side = luma.width as usize;
    let (mut squares, mut slopes, mut similar, mut count) = (0.0, 0.0, 0.0, 0.0);
    for at in (0..light.len()).filter(|&at| light[at]) {
        let (x, y) = (at % side, at / side);
        if x < 4 || y < 4 || x + 4 >= side || y + 4 >= side {
            continue;
        }
        let level = |plane: &Plane, at: usize| f64::from(plane.samples[at]);
        squares += (level(luma, at) - level(truth, at)).powi(2);
        let slope =
            |plane: &Plane, step: usize| (level(plane, at + step) - level(plane, at - step)) / 2.0;
        slopes += (slope(luma, 1) - slope(truth, 1)).powi(2);
        slopes += (slope(luma, side) - slope(truth, side)).powi(2);
        similar += similarity(luma, truth, at);
        count += 1.0;
    }
    let count = f64::max(count, 1.0);
    Scores {
        psnr: 10.0 * (255.0_f64.powi(2) / f64::max(squares / count, 0.01)).log10(),
        ssim: similar / count,
        gradient: (slopes / count).sqrt(),
    }
}

/// Structural similarity (Wang et al., 2004) in a window of 7 x 7 pixels.
fn similarity(a: &Plane, b: &Plane, at: usize) -> f64 {
    const REACH: usize = 3;
    const STABLE: [f64; 2] = [6.5025, 58.5225];
    let side = a.width as usize;
    let mut sums = [0.0; 5];
    for row in 0..=2 * REACH {
        let start = at - REACH - REACH * side + row * side;
        for at in start..=start + 2 * REACH {
            let (a, b) = (f64::from(a.samples[at]), f64::from(b.samples[at]));
            let terms = [a, b, a * a, b * b, a * b];
            sums.iter_mut()
                .zip(terms)
                .for_each(|(sum, term)| *sum += term);
        }
    }
    let [a, b, aa, bb, ab] = sums.map(|sum| sum / 49.0);
    let (va, vb, cov) = (aa - a * a, bb - b * b, ab - a * b);
    (2.0 * a * b + STABLE[0]) * (2.0 * cov + STABLE[1])
        / ((a * a + b * b + STABLE[0]) * (va + vb + STABLE[1]))
}

/// Medians outside the light and what it touches: of the iris without reflections, and of the finished one.
fn colour_differences(
    segmentation: &IrisSegmentation,
    ours: &RectifiedIris,
    truth: &RectifiedIris,
    ring: &[bool],
    light: &[bool],
) -> [f64; 2] {
    let mut finished = ours.clone();
    let opacity = Coverage::round(1.0).opacity(ours.view.side, Threads::default());
    let enhancement = Enhancement::default();
    let threads = Threads::default();
    enhance(
        &mut finished,
        &segmentation.pupil,
        &opacity,
        &enhancement,
        threads,
    );
    [ours, &finished].map(|iris| {
        let differences = (0..ring.len())
            .step_by(7)
            .filter(|&at| ring[at] && !light[at])
            .map(|at| difference(lab_of(iris, at), lab_of(truth, at)));
        middle(&mut differences.collect::<Vec<_>>())
    })
}

/// CIELAB (D65) of a pixel.
pub(super) fn lab_of(iris: &RectifiedIris, at: usize) -> [f64; 3] {
    let side = iris.luma.width as usize;
    let chroma_at = {
        let scale = iris.chroma_side() as usize;
        (at / side * scale / side) * scale + at % side * scale / side
    };
    let luma = f64::from(iris.luma.samples[at]);
    let (cb, cr) = (
        f64::from(iris.cb.samples[chroma_at]) - 128.0,
        f64::from(iris.cr.samples[chroma_at]) - 128.0,
    );
    let rgb = [
        luma + 1.402 * cr,
        luma - 0.344_136 * cb - 0.714_136 * cr,
        luma + 1.772 * cb,
    ];
    let [r, g, b] = rgb.map(|value| {
        let value = (value / 255.0).clamp(0.0, 1.0);
        if value <= 0.040_45 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    });
    let xyz = [
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.950_47,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.088_83,
    ];
    let [x, y, z] = xyz.map(|t| {
        if t > 0.008_856 {
            t.cbrt()
        } else {
            7.787 * t + 16.0 / 116.0
        }
    });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// CIEDE2000 (Sharma, Wu, Dalal, 2005).
pub(super) fn difference([l1, a1, b1]: [f64; 3], [l2, a2, b2]: [f64; 3]) -> f64 {
    let seven = |c: f64| (c.powi(7) / (c.powi(7) + 25.0_f64.powi(7))).sqrt();
    let g = 0.5 * (1.0 - seven(f64::midpoint(a1.hypot(b1), a2.hypot(b2))));
    let (a1, a2) = (a1 * (1.0 + g), a2 * (1.0 + g));
    let (c1, c2) = (a1.hypot(b1), a2.hypot(b2));
    let hue = |a: f64, b: f64| b.atan2(a).to_degrees().rem_euclid(360.0);
    let (h1, h2) = (hue(a1, b1), hue(a2, b2));
    let mut dh = h2 - h1;
    if c1 * c2 == 0.0 {
        dh = 0.0;
    } else if dh.abs() > 180.0 {
        dh -= 360.0 * dh.signum();
    }
    let (dl, dc) = (l2 - l1, c2 - c1);
    let dh_metric = 2.0 * (c1 * c2).sqrt() * (dh / 2.0).to_radians().sin();
    let (l, c) = (f64::midpoint(l1, l2), f64::midpoint(c1, c2));
    let h = if (h1 - h2).abs() > 180.0 {
        (h1 + h2 + 360.0) / 2.0
    } else {
        f64::midpoint(h1, h2)
    };
    let cosine = |factor: f64, off: f64| (factor * h + off).to_radians().cos();
    let t = 1.0 - 0.17 * cosine(1.0, -30.0) + 0.24 * cosine(2.0, 0.0) + 0.32 * cosine(3.0, 6.0)
        - 0.20 * cosine(4.0, -63.0);
    let sl = 1.0 + 0.015 * (l - 50.0).powi(2) / (20.0 + (l - 50.0).powi(2)).sqrt();
    let (sc, sh) = (1.0 + 0.045 * c, 1.0 + 0.015 * c * t);
    let turn = 60.0 * (-((h - 275.0) / 25.0).powi(2)).exp();
    let rt = -2.0 * seven(c) * turn.to_radians().sin();
    let (l, c, h) = (dl / sl, dc / sc, dh_metric / sh);
    (l * l + c * c + h * h + rt * c * h).max(0.0).sqrt()
}

/// Telea and Navier-Stokes by OpenCV.
fn inpainted(python: &Path, luma: &Plane, light: &[bool]) -> anyhow::Result<[Plane; 2]> {
    const SCRIPT: &str = "import sys, numpy, cv2\n\
        side = int(sys.argv[2]); folder = sys.argv[1]\n\
        load = lambda name: numpy.fromfile(f'{folder}/{name}', numpy.uint8).reshape(side, side)\n\
        luma, mask = load('luma'), load('mask')\n\
        mask = cv2.dilate(mask, numpy.ones((5, 5), numpy.uint8))\n\
        cv2.inpaint(luma, mask, 5, cv2.INPAINT_TELEA).tofile(f'{folder}/telea')\n\
        cv2.inpaint(luma, mask, 5, cv2.INPAINT_NS).tofile(f'{folder}/ns')\n";
    let folder = tempfile::tempdir()?;
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    std::fs::write(path("luma"), &luma.samples)?;
    let mask: Vec<u8> = light.iter().map(|&lit| u8::from(lit) * 255).collect();
    std::fs::write(path("mask"), mask)?;
    let status = Command::new(python)
        .args(["-c", SCRIPT])
        .arg(folder.path())
        .arg(luma.width.to_string())
        .status()
        .with_context(|| python.display().to_string())?;
    ensure!(status.success(), "OpenCV failed");
    let read = |name: &str| -> anyhow::Result<Plane> {
        Ok(Plane {
            samples: std::fs::read(path(name))?,
            ..*luma
        })
    };
    Ok([read("telea")?, read("ns")?])
}

pub(super) fn middle(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let at = values.len() / 2;
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / f64::max(count, 1.0)
}

fn report(outcomes: &[Outcome], renders: u64, seed: u64) -> String {
    let mut text = format!(
        "# Accuracy of the picture\n\n\
         Written by `cargo xtask eval --picture`: {renders} renders of seed {seed}, of which {} have a light of at \
         least {LEAST_PIXELS} pixels on an iris that was found. PSNR, SSIM and gradient error (levels) of luma inside \
         the light, means over renders. A light is *burnt* when a third of it is clipped, *large* when it covers \
         a twelfth of the visible ring.\n\n\
         | light | renders | method | PSNR, dB | SSIM | gradient error |\n|---|---|---|---|---|---|\n",
        outcomes.len()
    );
    for (kind, size) in [
        ("soft", "small"),
        ("soft", "large"),
        ("burnt", "small"),
        ("burnt", "large"),
    ] {
        let group: Vec<&Outcome> = (outcomes.iter())
            .filter(|outcome| outcome.kind == kind && outcome.size == size)
            .collect();
        if group.is_empty() {
            continue;
        }
        let mut row = |method: &str, scores: Vec<Scores>| {
            if !scores.is_empty() {
                let _ = writeln!(
                    text,
                    "| {kind}, {size} | {} | {method} | {:.1} | {:.3} | {:.1} |",
                    scores.len(),
                    mean(scores.iter().map(|scores| scores.psnr)),
                    mean(scores.iter().map(|scores| scores.ssim)),
                    mean(scores.iter().map(|scores| scores.gradient)),
                );
            }
        };
        row(
            "left as it is",
            group.iter().map(|outcome| outcome.untouched).collect(),
        );
        for (number, method) in ["OpenCV, Telea", "OpenCV, Navier-Stokes"]
            .into_iter()
            .enumerate()
        {
            let scores = group
                .iter()
                .filter_map(|outcome| outcome.inpainted.map(|all| all[number]));
            row(method, scores.collect());
        }
        row("ours", group.iter().map(|outcome| outcome.ours).collect());
    }
    let mut changes: Vec<f64> = outcomes
        .iter()
        .map(|outcome| outcome.change_without_light)
        .collect();
    let colour = |step: usize| {
        let values = outcomes
            .iter()
            .map(|outcome| outcome.colour_difference[step]);
        middle(&mut values.filter(|value| value.is_finite()).collect::<Vec<_>>())
    };
    let _ = write!(
        text,
        "\nThe same renders without reflections change by {:.2} levels in the median and {:.2} in the mean. Outside \
         the light the median colour difference (CIEDE2000) is {:.2} before and {:.2} after enhancement (`natural`).\n",
        middle(&mut changes),
        mean(changes.iter().copied()),
        colour(0),
        colour(1),
    );
    let marks: Vec<Marks> = outcomes.iter().map(|outcome| outcome.marks).collect();
    text + &picture_marks::report(&marks)
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn colour_differences_are_those_of_the_published_test_data() {
        let pairs = [
            ([50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485], 2.0425),
            ([50.0, 2.5, 0.0], [73.0, 25.0, -18.0], 27.1492),
            ([2.0776, 0.0795, -1.135], [0.9033, -0.0636, -0.5514], 0.9082),
        ];
        for (a, b, expected) in pairs {
            let found = difference(a, b);
            assert!((found - expected).abs() < 1e-3, "{found} for {expected}");
        }
    }
}
