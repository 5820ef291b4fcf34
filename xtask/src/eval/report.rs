//! The page of figures, as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use irisflow_synth::Usability;

use super::limits;
use super::photos::{EyeOutcome, NegativeLabel, NegativeOutcome};
use super::renders::{RenderOutcome, Shown};
use super::score::Accuracy;
use super::tables::{GROUP_HEAD, Sorted, counted, group_row, number, share};

pub(super) struct Measured<'a> {
    pub eyes: &'a [EyeOutcome],
    pub negatives: &'a [NegativeOutcome],
    pub renders: &'a [RenderOutcome],
    pub seed: u64,
    pub worst: &'a Path,
}

pub(super) fn write(measured: &Measured<'_>) -> anyhow::Result<String> {
    let mut text = String::from("# How well the iris is found\n\n");
    text.push_str("Printed by `cargo xtask eval --data FOLDER`; every figure comes from the run that wrote this page, through the calls the product makes, from the bytes of a file on. Overlap is intersection over union of what shows of iris and pupil (reflections belong to them), over photos that were accepted. Errors are in per cent of the true iris radius.\n");
    write_eyes(&mut text, measured.eyes)?;
    write_negatives(&mut text, measured.negatives)?;
    write_renders(&mut text, measured)?;
    Ok(text)
}

fn write_eyes(text: &mut String, eyes: &[EyeOutcome]) -> anyhow::Result<()> {
    if eyes.is_empty() {
        return Ok(());
    }
    text.push_str("\n## Annotated photos\n\nThe truth is drawn by hand, to about 1 to 2 % of the radius. These few photos were looked at while the segmenter was made.\n\n");
    text.push_str("| photo | verdict | overlap | limbus centre | limbus radius | pupil | confidence | ms |\n|---|---|---|---|---|---|---|---|\n");
    for eye in eyes {
        let ms = eye.milliseconds;
        match &eye.found {
            Ok(a) => writeln!(
                text,
                "| {} | accepted | {:.3} | {:.1} | {:+.1} | {} | {:.2} | {ms:.0} |",
                eye.name,
                a.overlap,
                a.centre_error,
                a.radius_error,
                number(a.pupil_error, 1),
                a.confidence
            )?,
            Err(refusal) => writeln!(
                text,
                "| {} | {} | - | - | - | - | - | {ms:.0} |",
                eye.name, refusal.code
            )?,
        }
    }
    let overlaps: Sorted = eyes
        .iter()
        .filter_map(|eye| Some(eye.found.as_ref().ok()?.overlap))
        .collect();
    writeln!(
        text,
        "\n{} of {} accepted; overlap mean {}, median {}, lowest {}.",
        overlaps.len(),
        eyes.len(),
        number(overlaps.mean(), 3),
        number(overlaps.quantile(0.5), 3),
        number(overlaps.quantile(0.0), 3),
    )?;
    Ok(())
}

fn write_negatives(text: &mut String, negatives: &[NegativeOutcome]) -> anyhow::Result<()> {
    if negatives.is_empty() {
        return Ok(());
    }
    let accepted = negatives.iter().filter(|n| n.accepted.is_ok()).count();
    writeln!(
        text,
        "\n## Photos without a usable iris\n\n{} accepted. Said to the others: {}. Told something else than expected:\n",
        share(accepted, negatives.len()),
        counted(
            negatives
                .iter()
                .filter_map(|n| Some(n.accepted.as_ref().err()?.code))
        )
    )?;
    for negative in negatives {
        let NegativeLabel { expect, kind } = &negative.label;
        let said = match &negative.accepted {
            Ok(confidence) => format!("accepted with {confidence:.2}"),
            Err(refusal) if is_expected(refusal.code, expect) => continue,
            Err(refusal) => refusal.code.to_owned(),
        };
        writeln!(
            text,
            "- {}: {said} ({kind}; expected {expect})",
            negative.name
        )?;
    }
    Ok(())
}

/// A photo in which nothing at all is to be seen may be called dark, bright or blurred as well.
fn is_expected(code: &str, expected: &str) -> bool {
    match expected {
        "iris_too_small" => code == expected,
        _ => code != "iris_too_small",
    }
}

fn write_renders(text: &mut String, measured: &Measured<'_>) -> anyhow::Result<()> {
    let with_eye: Vec<&RenderOutcome> = measured
        .renders
        .iter()
        .filter(|outcome| matches!(outcome.shown, Shown::Eye(..)))
        .collect();
    if with_eye.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\n## Fresh renders\n\nOf `irisflow-synth` with seed {}; training uses small seeds, so none of these was ever trained on. They are rendered at 512 to 1536 pixels, because limits are in pixels of the photo, and saved as JPEG. They come from the same program as the training pictures: they say how well what was learnt carries over to new faces, light and cameras of that program, not how well it carries over to real ones.\n\nWhether an iris is usable is decided from the truth: at least 48 pixels of radius (and 30 of the camera's own), 55 % of the disc visible, softness under 4.5 % of the radius, ring neither dark nor burnt, distinct from the white, little noise, under 35 % reflections and under 25 % that are burnt out, no gaze far aside. It is unusable where one of these fails clearly (under 40 pixels, under 38 %, over 9 %, ...); between the two neither answer counts as wrong, but its overlap does. What lashes and hair hide is no visible iris, in the sharpness of the photo: a lash that blur has made invisible hides nothing. `turned down`: usable irises that were refused. `accepted`: unusable ones that were not. Limbus and pupil errors are medians.\n",
        measured.seed
    )?;
    text.push_str(GROUP_HEAD);
    text.push_str(&group_row("**all**", &with_eye));
    let mut groups: BTreeMap<(usize, &str, &str), Vec<&RenderOutcome>> = BTreeMap::new();
    for outcome in &with_eye {
        if let Shown::Eye(traits, _) = &outcome.shown {
            for (place, (kind, name)) in traits.groups().into_iter().enumerate() {
                groups.entry((place, kind, name)).or_default().push(outcome);
            }
        }
    }
    for ((_, kind, name), group) in &groups {
        text.push_str(&group_row(&format!("{kind}: {name}"), group));
    }
    write_errors(text, &with_eye)?;
    write_refusals(text, &with_eye)?;
    text.push_str(&limits::table(measured.renders));
    write_empty(text, measured.renders)?;
    let milliseconds: Sorted = measured.renders.iter().map(|r| r.milliseconds).collect();
    writeln!(
        text,
        "\nOne answer took {} ms in the median, {} ms at the 95th percentile (decoding not counted, one core of this machine, beside whatever else ran).",
        number(milliseconds.quantile(0.5), 0),
        number(milliseconds.quantile(0.95), 0)
    )?;
    if let Some(name) = measured.worst.file_name().and_then(|name| name.to_str()) {
        writeln!(
            text,
            "\nThe twenty worst of those accepted, truth dotted yellow, found green, lids red, hidden dotted magenta:\n\n![worst]({name})"
        )?;
    }
    Ok(())
}

/// Fit errors where the photo is sharp, and how many masks are poor.
fn write_errors(text: &mut String, with_eye: &[&RenderOutcome]) -> anyhow::Result<()> {
    let accepted = |only_sharp: bool| {
        with_eye.iter().filter_map(move |outcome| {
            let Shown::Eye(traits, eye) = &outcome.shown else {
                return None;
            };
            let sharp = traits.softness < 0.015 && eye.usability == Usability::Usable;
            let accuracy: Accuracy = (*outcome.found.as_ref().ok()?)?;
            (sharp || !only_sharp).then_some(accuracy)
        })
    };
    let two = |values: Sorted| {
        format!(
            "{} / {}",
            number(values.quantile(0.5), 2),
            number(values.quantile(0.9), 2)
        )
    };
    writeln!(
        text,
        "\nOn sharp usable renders, median / 90th percentile: limbus centre {} %, limbus radius {} %, pupil {} %.",
        two(accepted(true).map(|a| a.centre_error).collect()),
        two(accepted(true).map(|a| a.radius_error.abs()).collect()),
        two(accepted(true).filter_map(|a| a.pupil_error).collect()),
    )?;
    let within = |limit: f64| {
        let both = |a: &Accuracy| a.centre_error <= limit && a.radius_error.abs() <= limit;
        share(accepted(true).filter(both).count(), accepted(true).count())
    };
    writeln!(
        text,
        "Centre and radius both within 0.5 %: {}; within 1 %: {}; within 2 %: {}.",
        within(0.5),
        within(1.0),
        within(2.0),
    )?;
    let usable: Sorted = with_eye
        .iter()
        .filter(|outcome| outcome.usability() == Some(Usability::Usable))
        .filter_map(|outcome| Some((*outcome.found.as_ref().ok()?)?.overlap))
        .collect();
    writeln!(
        text,
        "Of the accepted ones that are usable: overlap mean {}, median {}, 10th percentile {}. The table holds borderline and unusable ones that were accepted as well.",
        number(usable.mean(), 3),
        number(usable.quantile(0.5), 3),
        number(usable.quantile(0.1), 3),
    )?;
    let overlaps: Sorted = accepted(false).map(|a| a.overlap).collect();
    writeln!(
        text,
        "Of all accepted, {:.1} % have an overlap under 0.85 and {:.1} % under 0.5.",
        100.0 * overlaps.share_below(0.85),
        100.0 * overlaps.share_below(0.5)
    )?;
    Ok(())
}

fn write_refusals(text: &mut String, with_eye: &[&RenderOutcome]) -> anyhow::Result<()> {
    let codes = |wanted: fn(&Usability) -> bool| {
        counted(with_eye.iter().filter_map(move |outcome| {
            let usability = outcome.usability()?;
            wanted(&usability).then_some(outcome.found.as_ref().err()?.code)
        }))
    };
    writeln!(
        text,
        "\nSaid to usable ones that were turned down: {}. To borderline ones: {}. To unusable ones: {}.",
        codes(|u| *u == Usability::Usable),
        codes(|u| *u == Usability::Borderline),
        codes(|u| matches!(u, Usability::Unusable(_)))
    )?;
    let why = |accepted: bool| {
        counted(
            with_eye
                .iter()
                .filter_map(move |outcome| match outcome.usability()? {
                    Usability::Unusable(reason) if outcome.found.is_ok() == accepted => {
                        Some(reason)
                    }
                    _ => None,
                }),
        )
    };
    writeln!(
        text,
        "What was wrong with unusable ones: turned down: {}; accepted: {}.",
        why(false),
        why(true)
    )?;
    Ok(())
}

fn write_empty(text: &mut String, renders: &[RenderOutcome]) -> anyhow::Result<()> {
    let mut kinds: BTreeMap<&str, (usize, Vec<u64>)> = BTreeMap::new();
    for outcome in renders {
        if let Shown::NoEye(kind) = outcome.shown {
            let (count, accepted) = kinds.entry(kind).or_default();
            *count += 1;
            if outcome.found.is_ok() {
                accepted.push(outcome.index);
            }
        }
    }
    text.push_str("\n| rendered without an iris | accepted | which |\n|---|---|---|\n");
    for (kind, (count, accepted)) in kinds {
        let which: Vec<String> = accepted.iter().map(u64::to_string).collect();
        writeln!(
            text,
            "| {kind} | {} | {} |",
            share(accepted.len(), count),
            which.join(", ")
        )?;
    }
    Ok(())
}
