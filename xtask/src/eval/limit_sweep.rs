//! Sweep over the quality limits: false rejections of usable irises and true rejections of irises with the
//! defect in question, for each figure with its limit scaled. The limits were chosen from these tables.

use irisflow_image::segment::{LIMITS, Quality};
use irisflow_synth::Usability;

use super::group_table::share;
use super::render_eval::{RenderOutcome, RenderTruth};
use super::scoring::Figures;

/// Factors on the present limit.
const FACTORS: [f32; 5] = [0.6, 0.8, 1.0, 1.2, 1.4];

/// Each figure with the defects that it should detect, named as by the renderer. The confidence should
/// reject pictures without an eye.
const FIGURES_WITH_DEFECTS: [(&str, &[&str]); 6] = [
    ("confidence", &[]),
    ("iris_radius_px", &["too small"]),
    ("median_luma", &["dark"]),
    ("visible_share", &["hidden"]),
    ("usable_share", &["burnt out", "reflections"]),
    ("sharpness", &["blurred", "too few pixels"]),
];

/// A Markdown table; each figure is judged alone, independent of the others.
pub(super) fn table(renders: &[RenderOutcome]) -> String {
    let mut text = String::from(
        "\nEffect of each limit alone, and of the limit scaled by a factor, on renders with a candidate. Before the colon: usable irises that it would reject (false rejections). After it: irises with the defect in question (for the confidence: pictures without an eye) that it would reject (true rejections).\n\n| figure, limit |",
    );
    for factor in FACTORS {
        text.push_str(&format!(" limit x {factor} |"));
    }
    text.push_str(&format!("\n|---|{}\n", "---|".repeat(FACTORS.len())));
    for (figure, defects) in FIGURES_WITH_DEFECTS {
        text.push_str(&format!("| {figure}, {} |", limit(figure)));
        for factor in FACTORS {
            text.push_str(&format!(" {} |", cell(renders, figure, defects, factor)));
        }
        text.push('\n');
    }
    text
}

fn cell(renders: &[RenderOutcome], figure: &str, defects: &[&str], factor: f32) -> String {
    let (mut usable, mut usable_rejected, mut defective, mut defective_rejected) = (0, 0, 0, 0);
    for render in renders {
        let Some(figures) = &render.figures else {
            continue;
        };
        let rejected = is_rejected(figures, figure, factor);
        let is_defective = match &render.truth {
            RenderTruth::NoEye(_) => figure == "confidence",
            RenderTruth::Unclear => false,
            RenderTruth::Eye(_, eye) => match eye.usability {
                Usability::Unusable(defect) => defects.contains(&defect),
                Usability::Borderline => false,
                Usability::Usable => {
                    usable += 1;
                    usable_rejected += usize::from(rejected);
                    false
                }
            },
        };
        defective += usize::from(is_defective);
        defective_rejected += usize::from(is_defective && rejected);
    }
    format!(
        "{} : {}",
        share(usable_rejected, usable),
        share(defective_rejected, defective)
    )
}

fn is_rejected(figures: &Figures, figure: &str, factor: f32) -> bool {
    let value = |name: &str| match name {
        "confidence" => figures.confidence,
        _ => of_quality(&figures.quality, name),
    };
    let misses = |name: &str| value(name) < factor * limit(name);
    // As in the product, an iris counts as blurred only when its surroundings are blurred, too.
    misses(figure) && (figure != "sharpness" || misses("sharpness_around"))
}

fn of_quality(quality: &Quality, figure: &str) -> f32 {
    named(&quality.named(), figure)
}

fn limit(figure: &str) -> f32 {
    named(&LIMITS, figure)
}

/// NaN for an unknown name, with which every comparison is false.
fn named(values: &[(&str, f32)], wanted: &str) -> f32 {
    let found = values.iter().find(|(name, _)| *name == wanted);
    found.map_or(f32::NAN, |&(_, value)| value)
}
