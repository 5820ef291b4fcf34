//! `cargo xtask eval`: how well irises are found, and what is wrongly turned down or let through.
//!
//! `photos.rs` measures annotated photos and photos without a usable iris, `renders.rs` fresh renders.
//! `score.rs` compares one answer with the truth, `report.rs` and `tables.rs` write, `drawing.rs` draws,
//! `curves.rs` lists every picture for choosing thresholds. All pictures go through the calls the
//! product makes, from the bytes of a file on; every figure comes from the run that printed it.

mod curves;
mod drawing;
mod explanation;
mod limits;
mod photos;
mod renders;
mod report;
mod score;
mod tables;

use std::path::PathBuf;

use anyhow::Context as _;

/// Renders for training have small seeds; this one they never reach.
const FRESH_SEED: u64 = 9_000_000;

/// Measure how well irises are found in annotated photos and in fresh renders.
#[derive(Debug, clap::Args)]
pub(crate) struct EvalArgs {
    /// Folder with annotated photos: `eyes/` (annotations.json, NAME.jpg, NAME.mask.png) and
    /// `negatives/` (labels.json)
    #[arg(long)]
    data: Option<PathBuf>,
    /// How many fresh renders with an eye; a quarter as many without are added
    #[arg(long, default_value_t = 600)]
    renders: u64,
    #[arg(long, default_value_t = FRESH_SEED)]
    seed: u64,
    /// Write the tables here as well, with a picture of the worst renders beside them
    #[arg(long, default_value = "docs/accuracy.md")]
    out: PathBuf,
    /// Print only: for a part of the whole
    #[arg(long)]
    dry: bool,
    /// Write the figures behind the verdict on every picture to target/eval-curves.csv, and drawings of
    /// usable renders that were turned down to target/eval-turned-down.jpg
    #[arg(long)]
    curves: bool,
    /// Write a picture per photo with what was found drawn into it
    #[arg(long)]
    overlays: Option<PathBuf>,
    /// Show the best candidates of each photo with what spoke for and against them
    #[arg(long)]
    explain: bool,
}

const CURVES: &str = "target/eval-curves.csv";
const TURNED_DOWN: &str = "target/eval-turned-down.jpg";

pub(crate) fn run(args: EvalArgs) -> anyhow::Result<()> {
    if let Some(folder) = &args.overlays {
        std::fs::create_dir_all(folder)?;
    }
    let (eyes, negatives) = match &args.data {
        Some(data) => (
            photos::measure_eyes(&args, data)?,
            photos::measure_negatives(&args, data)?,
        ),
        None => (Vec::new(), Vec::new()),
    };
    let renders = renders::measure(args.renders, args.seed)?;
    let worst = args.out.with_file_name("accuracy-worst.jpg");
    let report = report::write(&report::Measured {
        eyes: &eyes,
        negatives: &negatives,
        renders: &renders.outcomes,
        seed: args.seed,
        worst: &worst,
    })?;
    println!("{report}");
    if args.curves {
        curves::write(CURVES.as_ref(), &eyes, &negatives, &renders.outcomes)?;
        drawing::write_mosaic(TURNED_DOWN.as_ref(), &renders.turned_down)?;
    }
    if args.dry || args.data.is_none() {
        println!("Not written: needs --data and no --dry.");
        return Ok(());
    }
    std::fs::write(&args.out, &report)
        .with_context(|| format!("writing {}", args.out.display()))?;
    drawing::write_mosaic(&worst, &renders.worst)
}
