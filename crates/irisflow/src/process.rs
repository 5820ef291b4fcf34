//! `irisflow process`: processes photos offline, without server, account or network.
//!
//! A thin wrapper around the imaging library: it reads files, shows progress, and writes the results. Photos are
//! independent of each other: a failing one does not stop the others.

mod progress;
mod report;

use std::fs;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use irisflow_image::diagnostics::{label_picture, overlay_jpeg};
use irisflow_image::encode::grey_png;
use irisflow_image::finish::Background;
use irisflow_image::load::{Limits, load_photo, probe};
use irisflow_image::pipeline::{self, ProcessError, ProcessOptions, ProcessedIris};
use irisflow_image::rejection::Rejection;
use irisflow_image::segment::PhotoPixels as _;
use irisflow_image::threads::Threads;

use crate::atomic_file;
use crate::exit_code::Outcome;
use crate::output_names::{OutputNames, OutputNaming};
use crate::photo_file::read_photo;
use crate::picture_args::PictureArgs;
use progress::Progress;

/// Turn photos of eyes into pictures of their irises, offline.
///
/// Writes NAME.jpg (the iris), NAME_mask.png (0 not seen, 85 filled in, 255 measured),
/// NAME_before.jpg (the same part of the photo, untouched) and NAME.json (what was found) for each
/// photo; a photo that cannot be used gets NAME.json alone, which says why. NAME is the photo's name
/// without its extension; where two results would share a file, or one would replace a photo, the
/// later becomes NAME-2, NAME-3 and so on.
///
/// Exit status: 0 when every photo was completed, 1 when some were rejected, 2 for a wrong command
/// line, 3 when some could not be read, processed or written.
#[derive(Debug, clap::Args)]
pub(crate) struct ProcessArgs {
    /// Photos to process; `-` reads one from standard input.
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,

    /// Folder for the results; made when it does not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    #[command(flatten)]
    picture: PictureArgs,

    /// Also write the picture with the other outline, NAME_round.jpg or NAME_visible.jpg, and its mask.
    #[arg(long)]
    both_outlines: bool,

    /// Also write NAME_labels.png and NAME_overlay.jpg, which show what was found where.
    #[arg(long)]
    diagnostics: bool,
}

impl ProcessArgs {
    fn options(&self) -> ProcessOptions {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        ProcessOptions {
            both_outlines: self.both_outlines,
            threads: Threads::new(cores),
            ..self.picture.process_options()
        }
    }
}

/// Processes all photos, one after the other.
///
/// # Errors
/// When the folder for the results cannot be created. Errors of single photos are printed to stderr and reflected
/// in the exit code.
pub(crate) fn run(args: ProcessArgs) -> anyhow::Result<ExitCode> {
    fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let mut naming = OutputNaming::new(&args.out, &args.photos);
    let mut worst = Outcome::Completed;
    for photo in &args.photos {
        let names = naming.names_for(photo);
        let mut progress = Progress::start(photo);
        let outcome = process_one(photo, &names, &args, &mut progress);
        worst = worst.max(outcome.unwrap_or_else(|error| {
            progress.fail(&format!("{error:#}"));
            Outcome::Failed
        }));
    }
    Ok(worst.into())
}

fn process_one(
    photo: &Path,
    names: &OutputNames,
    args: &ProcessArgs,
    progress: &mut Progress,
) -> anyhow::Result<Outcome> {
    let options = args.options();
    let bytes = read_photo(photo, &options.limits)?;
    let mut observer = |stage, mark| {
        progress.stage(stage, mark);
        ControlFlow::Continue(())
    };
    match pipeline::process(&bytes, &options, &mut observer) {
        Ok(iris) => {
            write_iris(&iris, options.background, names)?;
            if args.diagnostics {
                write_diagnostics(&bytes, &iris, &options.limits, names)?;
            }
            write_json(names, &report::completed(&iris))?;
            progress.complete();
            print_result(&names.result_on(options.background));
            Ok(Outcome::Completed)
        }
        Err(ProcessError::Rejected(rejection)) => {
            reject(&bytes, &rejection, &options.limits, names)?;
            progress.reject(&rejection);
            Ok(Outcome::Rejected)
        }
        Err(error @ (ProcessError::Stopped | ProcessError::Internal(_))) => Err(error.into()),
    }
}

fn write_iris(
    iris: &ProcessedIris,
    background: Background,
    names: &OutputNames,
) -> anyhow::Result<()> {
    write_atomically(&names.before(), &iris.before_jpeg)?;
    if let Some(other) = &iris.other {
        write_atomically(&names.mask_of(other.outline), &other.mask_png)?;
        write_atomically(&names.result_of(other.outline, background), &other.result)?;
    }
    write_atomically(&names.mask(), &iris.mask_png)?;
    write_atomically(&names.result_on(background), &iris.result)
}

fn write_diagnostics(
    bytes: &[u8],
    iris: &ProcessedIris,
    limits: &Limits,
    names: &OutputNames,
) -> anyhow::Result<()> {
    let mut photo = load_photo(bytes, limits)?;
    if let Some(turn) = iris.turn {
        photo.turn(turn);
    }
    let labels = label_picture(&iris.segmentation, photo.size());
    write_atomically(&names.labels(), &grey_png(&labels)?)?;
    write_atomically(&names.overlay(), &overlay_jpeg(&photo, &iris.segmentation)?)
}

fn reject(
    bytes: &[u8],
    rejection: &Rejection,
    limits: &Limits,
    names: &OutputNames,
) -> anyhow::Result<()> {
    let header = probe(bytes, limits).ok();
    write_json(names, &report::rejected(rejection, header.as_ref()))
}

/// Writes the report. It must be the last file written, so that its presence means that all files exist.
fn write_json(names: &OutputNames, report: &serde_json::Value) -> anyhow::Result<()> {
    let text = format!("{report:#}\n");
    write_atomically(&names.report(), text.as_bytes())
}

fn write_atomically(target: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    atomic_file::write_atomically(target, bytes)
        .with_context(|| format!("cannot write {}", target.display()))
}

/// Prints the path of a result to stdout, one per line. A closed pipe is ignored.
fn print_result(result: &Path) {
    let _ = writeln!(io::stdout(), "{}", result.display());
}
