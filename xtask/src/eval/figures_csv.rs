//! CSV of the figures of every picture, from which limits and evidence weights are chosen.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use irisflow_image::segment::{Evidence, Quality};
use irisflow_synth::Usability;

use super::photo_eval::{EyeOutcome, NegativeOutcome};
use super::render_eval::{RenderOutcome, RenderTruth};
use super::scoring::{Figures, Rejection};

/// Columns of a row besides those of the figures.
#[derive(Default)]
struct Row<'a> {
    kind: &'a str,
    name: String,
    groups: Vec<&'a str>,
    rejection: Option<&'a Rejection>,
    figures: Option<&'a Figures>,
}

const GROUPS: [&str; 8] = [
    "framing",
    "gaze",
    "iris",
    "reflection_area",
    "reflection_kind",
    "blur",
    "skin",
    "light",
];

pub(super) fn write(
    path: &Path,
    eyes: &[EyeOutcome],
    negatives: &[NegativeOutcome],
    renders: &[RenderOutcome],
) -> anyhow::Result<()> {
    let mut csv = format!(
        "kind,name,why_unusable,{},overlap,centre_error,radius_error,pupil_error,code,value,threshold,confidence,{},{}\n",
        GROUPS.join(","),
        names(&Quality::default().named()).join(","),
        names(&Evidence::default().named()).join(","),
    );
    for eye in eyes {
        push(
            &mut csv,
            "",
            &Row {
                kind: "photo",
                name: eye.name.clone(),
                rejection: eye.found.as_ref().err(),
                figures: eye.figures.as_ref(),
                ..Row::default()
            },
        )?;
    }
    for negative in negatives {
        push(
            &mut csv,
            "",
            &Row {
                kind: "negative photo",
                name: negative.name.clone(),
                rejection: negative.accepted.as_ref().err(),
                figures: negative.figures.as_ref(),
                ..Row::default()
            },
        )?;
    }
    for render in renders {
        push_render(&mut csv, render)?;
    }
    std::fs::write(path, csv).with_context(|| format!("writing {}", path.display()))
}

fn push_render(csv: &mut String, render: &RenderOutcome) -> anyhow::Result<()> {
    let mut row = Row {
        name: render.index.to_string(),
        rejection: render.found.as_ref().err(),
        figures: render.figures.as_ref(),
        ..Row::default()
    };
    let mut why = "";
    match &render.truth {
        RenderTruth::Eye(traits, eye) => {
            row.groups = traits.groups().iter().map(|(_, name)| *name).collect();
            row.kind = match eye.usability {
                Usability::Usable => "usable render",
                Usability::Borderline => "borderline render",
                Usability::Unusable(reason) => {
                    why = reason;
                    "unusable render"
                }
            };
        }
        RenderTruth::Unclear => row.kind = "unclear render",
        RenderTruth::NoEye(kind) => row.kind = kind,
    }
    push(csv, why, &row)
}

fn push(csv: &mut String, why: &str, row: &Row<'_>) -> anyhow::Result<()> {
    write!(csv, "{},{},{why}", row.kind, row.name)?;
    for column in 0..GROUPS.len() {
        // Group names contain commas.
        let name = row.groups.get(column).unwrap_or(&"");
        write!(csv, ",{}", name.split(',').next().unwrap_or(""))?;
    }
    let cell = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
    let (rejection, figures) = (row.rejection, row.figures);
    let accuracy = figures.and_then(|figures| figures.accuracy);
    write!(
        csv,
        ",{},{},{},{},{},{},{}",
        cell(accuracy.map(|accuracy| accuracy.overlap)),
        cell(accuracy.map(|accuracy| accuracy.centre_error)),
        cell(accuracy.map(|accuracy| accuracy.radius_error)),
        cell(accuracy.and_then(|accuracy| accuracy.pupil_error)),
        rejection.map_or("accepted", |rejection| rejection.code),
        cell(rejection.and_then(|rejection| rejection.value)),
        cell(rejection.and_then(|rejection| rejection.threshold)),
    )?;
    write!(csv, ",{}", cell(figures.map(|f| f64::from(f.confidence))))?;
    let quality = figures.map_or([None; 14], |f| {
        f.quality.named().map(|(_, value)| Some(value))
    });
    let evidence = figures.map_or([None; 7], |f| f.evidence.named().map(|(_, value)| value));
    for value in quality.into_iter().chain(evidence) {
        write!(csv, ",{}", cell(value.map(f64::from)))?;
    }
    csv.push('\n');
    Ok(())
}

fn names<T>(named: &[(&'static str, T)]) -> Vec<&'static str> {
    named.iter().map(|(name, _)| *name).collect()
}
