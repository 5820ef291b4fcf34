//! Whether the quality score follows what is wrong with a render: rank correlation of the score with the render's true
//! faults, which the score never sees.

use std::fmt::Write as _;

use irisflow_synth::{Traits, TrueEye};

use super::render_eval::{RenderOutcome, RenderTruth};

/// What can be wrong with a photo of an iris.
const FAULTS: [&str; 5] = [
    "few real pixels",
    "hidden",
    "under reflections",
    "gaze",
    "dark",
];

/// How bad each fault is, in the order of [`FAULTS`]: 0 where it does no harm, 1 where little is left of the iris.
fn faults(traits: &Traits, eye: &TrueEye) -> [f64; FAULTS.len()] {
    let gaze_deg = f64::from(traits.gaze).asin().to_degrees();
    [
        few_pixels(traits, eye),
        ramp(f64::from(eye.visible_share), 0.85, 0.25),
        ramp(f64::from(traits.reflected), 0.0, 0.4),
        ramp(gaze_deg, 20.0, 55.0),
        ramp(f64::from(traits.luma), 60.0, 10.0),
    ]
}

/// Pixels across the iris, or fewer where blur leaves no more: a Gaussian blur of standard deviation s passes half of
/// the contrast at 0.187 / s cycles a pixel, as pixels of 2.67 s do.
fn few_pixels(traits: &Traits, eye: &TrueEye) -> f64 {
    let resolved = 2.0 / (2.67 * f64::from(traits.softness).max(1e-4));
    let diameter = f64::from(eye.iris.rx + eye.iris.ry);
    ramp(diameter.min(resolved).ln(), 700.0_f64.ln(), 60.0_f64.ln())
}

/// 0 at `none` and before, 1 at `worst` and beyond.
fn ramp(value: f64, none: f64, worst: f64) -> f64 {
    ((value - none) / (worst - none)).clamp(0.0, 1.0)
}

/// One render with an eye that was measured.
struct Scored {
    score: f64,
    faults: [f64; FAULTS.len()],
}

pub(super) fn write(text: &mut String, outcomes: &[RenderOutcome]) -> anyhow::Result<()> {
    let scored: Vec<Scored> = outcomes.iter().filter_map(scored).collect();
    if scored.len() < 3 {
        return Ok(());
    }
    writeln!(
        text,
        "\n### The score\n\nRank correlation (Spearman) between the score and what is truly wrong with a render: five faults, each from 0 (does no harm) to 1, by the parameters that it was rendered with. Noise, compression and exposure of the iris are none of these parameters, though the score counts them. Renders whose eye was measured, accepted or not: {}.\n\n| correlation of the score with | |\n|---|---|",
        scored.len()
    )?;
    let scores: Vec<f64> = scored.iter().map(|render| render.score).collect();
    let left = |render: &Scored| -> f64 {
        render
            .faults
            .iter()
            .map(|fault| 1.0 - 0.97 * fault)
            .product()
    };
    let sum = |render: &Scored| -> f64 { -render.faults.iter().sum::<f64>() };
    let left: Vec<f64> = scored.iter().map(left).collect();
    let sums: Vec<f64> = scored.iter().map(sum).collect();
    writeln!(
        text,
        "| **what all faults leave (product)** | {:.2} |\n| **sum of all faults** | {:.2} |",
        rank_correlation(&scores, &left),
        rank_correlation(&scores, &sums)
    )?;
    for (number, name) in FAULTS.iter().enumerate() {
        let fault: Vec<f64> = scored.iter().map(|render| -render.faults[number]).collect();
        writeln!(
            text,
            "| {name} alone | {:.2} |",
            rank_correlation(&scores, &fault)
        )?;
    }
    Ok(())
}

fn scored(outcome: &RenderOutcome) -> Option<Scored> {
    let RenderTruth::Eye(traits, eye) = &outcome.truth else {
        return None;
    };
    let figures = outcome.figures.as_ref()?;
    // Another candidate than the eye says nothing about it.
    figures
        .accuracy
        .as_ref()
        .filter(|accuracy| accuracy.overlap > 0.5)?;
    Some(Scored {
        score: f64::from(figures.quality.score()),
        faults: faults(traits, eye),
    })
}

/// Spearman's, of two lists of one length; equal values share their mean rank.
fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        let pairs = x.iter().zip(y);
        pairs.map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    product(&a, &b)
        / (product(&a, &a) * product(&b, &b))
            .sqrt()
            .max(f64::MIN_POSITIVE)
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |value: f64| values.iter().filter(|other| **other < value).count() as f64;
    let equal = |value: f64| values.iter().filter(|other| **other == value).count() as f64;
    let rank = |&value: &f64| below(value) + (equal(value) - 1.0) / 2.0;
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_alone_count() {
        assert!((rank_correlation(&[1.0, 2.0, 30.0], &[-5.0, 0.0, 0.1]) - 1.0).abs() < 1e-9);
        assert!((rank_correlation(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]) + 1.0).abs() < 1e-9);
        assert!(rank_correlation(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]).abs() < 1e-9);
    }
}
