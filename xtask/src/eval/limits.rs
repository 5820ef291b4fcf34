//! What other limits would do: how many usable irises each figure would turn down, and how many of those it
//! is there for it would hold back, with its limit moved. The curves the limits were chosen from.

use irisflow_image::segment::{LIMITS, Quality};
use irisflow_synth::Usability;

use super::renders::{RenderOutcome, Shown};
use super::score::Figures;
use super::tables::share;

/// The limit as it is, and moved by these factors.
const FACTORS: [f32; 5] = [0.6, 0.8, 1.0, 1.2, 1.4];

/// A figure and the faults it is there for, as renders name them; the confidence is there for non-eyes.
const GUARDS: [(&str, &[&str]); 6] = [
    ("confidence", &[]),
    ("iris_radius_px", &["too small"]),
    ("median_luma", &["dark"]),
    ("visible_share", &["hidden"]),
    ("usable_share", &["burnt out", "reflections"]),
    ("sharpness", &["blurred", "too few pixels"]),
];

/// As Markdown. Each figure by itself, whatever the others say.
pub(super) fn table(renders: &[RenderOutcome]) -> String {
    let mut text = String::from(
        "\nWhat each limit does by itself, and what others would do; of eyes that were seen, before the colon usable ones it would turn down, after it those with the fault it is there for that it would hold back (of the confidence: what is no eye).\n\n| figure, limit |",
    );
    for factor in FACTORS {
        text.push_str(&format!(" limit x {factor} |"));
    }
    text.push_str(&format!("\n|---|{}\n", "---|".repeat(FACTORS.len())));
    for (figure, faults) in GUARDS {
        text.push_str(&format!("| {figure}, {} |", limit(figure)));
        for factor in FACTORS {
            text.push_str(&format!(" {} |", cell(renders, figure, faults, factor)));
        }
        text.push('\n');
    }
    text
}

fn cell(renders: &[RenderOutcome], figure: &str, faults: &[&str], factor: f32) -> String {
    let (mut usable, mut usable_refused, mut faulty, mut faulty_held) = (0, 0, 0, 0);
    for render in renders {
        let Some(figures) = &render.figures else {
            continue;
        };
        let refused = is_refused(figures, figure, factor);
        let is_faulty = match &render.shown {
            Shown::NoEye(_) => figure == "confidence",
            Shown::Unclear => false,
            Shown::Eye(_, eye) => match eye.usability {
                Usability::Unusable(fault) => faults.contains(&fault),
                Usability::Borderline => false,
                Usability::Usable => {
                    usable += 1;
                    usable_refused += usize::from(refused);
                    false
                }
            },
        };
        faulty += usize::from(is_faulty);
        faulty_held += usize::from(is_faulty && refused);
    }
    format!(
        "{} : {}",
        share(usable_refused, usable),
        share(faulty_held, faulty)
    )
}

fn is_refused(figures: &Figures, figure: &str, factor: f32) -> bool {
    let value = |name: &str| match name {
        "confidence" => figures.confidence,
        _ => of_quality(&figures.quality, name),
    };
    let misses = |name: &str| value(name) < factor * limit(name);
    // A blurred iris is one with blurred surroundings.
    misses(figure) && (figure != "sharpness" || misses("sharpness_around"))
}

fn of_quality(quality: &Quality, figure: &str) -> f32 {
    named(&quality.named(), figure)
}

fn limit(figure: &str) -> f32 {
    named(&LIMITS, figure)
}

/// Not a number where the name is unknown, which no comparison holds for.
fn named(values: &[(&str, f32)], wanted: &str) -> f32 {
    let found = values.iter().find(|(name, _)| *name == wanted);
    found.map_or(f32::NAN, |&(_, value)| value)
}
