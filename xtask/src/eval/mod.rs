//! `cargo xtask eval`: evaluates the segmenter: overlap, fit errors, false rejections and false acceptances.
//!
//! `photo_eval.rs` evaluates annotated photos and photos without a usable iris, `render_eval.rs` fresh renders.
//! `picture_eval.rs` evaluates the finished picture (`--picture`), `picture_marks.rs` the marks it may hold.
//! `scoring.rs` compares one result with the ground truth; `report.rs` and `group_table.rs` write the tables,
//! `overlays.rs` draws, `figures_csv.rs` lists every picture for choosing thresholds, `limit_sweep.rs` sweeps
//! the limits, `candidate_evidence.rs` prints candidates. All pictures go through the calls the product makes,
//! from the bytes of a file on; every figure comes from the run that printed it.

mod candidate_evidence;
mod figures_csv;
mod group_table;
mod limit_sweep;
mod overlays;
mod photo_eval;
mod picture_eval;
mod picture_marks;
mod render_eval;
mod report;
mod score_rank;
mod scoring;

use std::path::PathBuf;

use anyhow::Context as _;

/// Training uses small seeds, so that renders of this seed were never trained on.
const FRESH_SEED: u64 = 9_000_000;

/// Evaluate the segmenter on annotated photos and on renders that were never trained on.
#[derive(Debug, clap::Args)]
pub(crate) struct EvalArgs {
    /// Folder with annotated photos: `eyes/` (annotations.json, NAME.jpg, NAME.mask.png) and
    /// `negatives/` (labels.json)
    #[arg(long)]
    data: Option<PathBuf>,
    /// Number of renders with an eye; a quarter as many without an eye are added
    #[arg(long, default_value_t = 600)]
    renders: u64,
    #[arg(long, default_value_t = FRESH_SEED)]
    seed: u64,
    /// Write the tables here as well, with a picture of the worst renders beside them
    #[arg(long, default_value = "docs/accuracy.md")]
    out: PathBuf,
    /// Print only, for a partial run
    #[arg(long)]
    dry: bool,
    /// Write the figures of every picture to target/eval-curves.csv, and a contact sheet of false rejections
    /// to target/eval-turned-down.jpg
    #[arg(long)]
    curves: bool,
    /// Write an overlay of the segmentation per photo into this folder
    #[arg(long)]
    overlays: Option<PathBuf>,
    /// Evaluate the picture instead: how well reflections are removed from renders
    #[arg(long)]
    picture: bool,
    /// A Python with opencv-python-headless and numpy, to compare the picture with inpainting
    #[arg(long)]
    python: Option<PathBuf>,
    /// Print the best candidates of each photo with their evidence
    #[arg(long)]
    explain: bool,
}

const CURVES: &str = "target/eval-curves.csv";
const FALSE_REJECTIONS: &str = "target/eval-turned-down.jpg";

pub(crate) fn run(args: EvalArgs) -> anyhow::Result<()> {
    if args.picture {
        return evaluate_picture(&args);
    }
    if let Some(folder) = &args.overlays {
        std::fs::create_dir_all(folder)?;
    }
    let (eyes, negatives) = match &args.data {
        Some(data) => (
            photo_eval::measure_eyes(&args, data)?,
            photo_eval::measure_negatives(&args, data)?,
        ),
        None => (Vec::new(), Vec::new()),
    };
    let renders = render_eval::measure(args.renders, args.seed)?;
    let worst = args.out.with_file_name("accuracy-worst.jpg");
    let report = report::write(&report::ReportInput {
        eyes: &eyes,
        negatives: &negatives,
        renders: &renders.outcomes,
        seed: args.seed,
        worst: &worst,
    })?;
    println!("{report}");
    if args.curves {
        figures_csv::write(CURVES.as_ref(), &eyes, &negatives, &renders.outcomes)?;
        overlays::write_contact_sheet(FALSE_REJECTIONS.as_ref(), &renders.false_rejections)?;
    }
    if args.dry || args.data.is_none() {
        println!("Not written: needs --data and no --dry.");
        return Ok(());
    }
    std::fs::write(&args.out, &report)
        .with_context(|| format!("writing {}", args.out.display()))?;
    overlays::write_contact_sheet(&worst, &renders.worst)
}

fn evaluate_picture(args: &EvalArgs) -> anyhow::Result<()> {
    let photos = args.data.as_ref().map(|data| data.join("eyes"));
    let python = args.python.as_deref();
    let report = picture_eval::run(args.renders, args.seed, python, photos.as_deref())?;
    println!("{report}");
    if args.dry {
        return Ok(());
    }
    let out = args.out.with_file_name("picture.md");
    std::fs::write(&out, report).with_context(|| format!("writing {}", out.display()))
}
