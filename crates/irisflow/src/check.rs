//! `irisflow check`: verdict and quality figures of photos, offline and without processing them.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use irisflow_image::check::{Checked, check_photo};
use irisflow_image::geometry::QuarterTurn;
use irisflow_image::load::Limits;
use irisflow_image::segment::Verdict;
use irisflow_messages::{Language, Text, photos, text};
use serde_json::{Value, json};

use crate::exit_code::Outcome;
use crate::iris_report;
use crate::photo_file::read_photo;
use crate::print_error;

/// Say of photos of eyes whether they can be used, and how good they are, offline.
///
/// Prints one line for each photo: the verdict, the score from 0 to 100, and what to do for a better
/// photo.
///
/// Exit status: 0 when every photo can be used, 1 when some cannot, 2 for a wrong command line, 3 when
/// some could not be read.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Photos to look at; `-` reads one from standard input.
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,

    /// One JSON object per line instead of words: figures, outlines, limits.
    #[arg(long)]
    json: bool,
}

/// Checks all photos, one after the other. Errors of single photos are printed to stderr and reflected in the exit
/// code.
pub(crate) fn run(args: CheckArgs) -> ExitCode {
    let format = if args.json { as_json } else { as_text };
    let outcomes = args.photos.iter().map(|photo| {
        check_one(photo, format).unwrap_or_else(|error| {
            print_error(&error);
            Outcome::Failed
        })
    });
    outcomes.max().unwrap_or(Outcome::Completed).into()
}

type Formatter = fn(&Path, &Checked, u128) -> String;

fn check_one(photo: &Path, format: Formatter) -> anyhow::Result<Outcome> {
    let limits = Limits::default();
    let bytes = read_photo(photo, &limits)?;
    let begun = Instant::now();
    let checked = check_photo(&bytes, &limits);
    let line = format(photo, &checked, begun.elapsed().as_millis());
    // A closed pipe is ignored.
    let _ = writeln!(io::stdout(), "{line}");
    Ok(match checked.verdict.rejection {
        None => Outcome::Completed,
        Some(_) => Outcome::Rejected,
    })
}

fn as_text(photo: &Path, checked: &Checked, _checked_in_ms: u128) -> String {
    let verdict = &checked.verdict;
    let words = [photos::headline(verdict), photos::tip(verdict)];
    let words: Vec<String> = words.into_iter().flatten().map(localized).collect();
    let usable = localized(usable(verdict));
    format!("{}: {usable}: {}", photo.display(), words.join(" "))
}

/// Whether the photo can be used, and the number behind it.
fn usable(verdict: &Verdict) -> Text {
    let Some(rejection) = &verdict.rejection else {
        return match &verdict.iris {
            Some(iris) => text!(
                "cli-usable-with-score",
                score = u32::from(iris.quality.score()),
            ),
            None => text!("cli-usable"),
        };
    };
    let code = rejection.code().as_str();
    match rejection.missed_limit() {
        Some(missed) => text!(
            "cli-not-usable-with-figure",
            code = code,
            figure = photos::missed_limit(&missed),
        ),
        None => text!("cli-not-usable", code = code),
    }
}

fn localized(text: Text) -> String {
    text.in_language(Language::PROGRAM)
}

/// The fields of the response of `POST /photos/{id}/check`, and the file name.
fn as_json(photo: &Path, checked: &Checked, checked_in_ms: u128) -> String {
    let verdict = &checked.verdict;
    let report: Value = json!({
        "file": photo.display().to_string(),
        "usable": verdict.rejection.is_none(),
        "eyes_seen": verdict.eyes_seen,
        "message": photos::headline(verdict).map(localized).unwrap_or_default(),
        "suggestion": photos::tip(verdict).map(localized),
        "rejection": verdict.rejection.as_ref().map(iris_report::rejection),
        "photo": checked.photo_size.map(iris_report::photo),
        "turn": checked.turn.map(QuarterTurn::as_str),
        "checked_in_ms": u64::try_from(checked_in_ms).unwrap_or(u64::MAX),
    });
    iris_report::with_iris(report, verdict.iris.as_ref()).to_string()
}
