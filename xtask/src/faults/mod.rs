//! `cargo xtask faults`: the crash matrix. Every fault at every step and between any two writes, in the
//! real program (the build with the feature `faults`), with real photos, users and watchers. What is
//! counted must add up: nothing lost, nothing twice, nothing stuck, nothing left over, no bar that
//! moved back.

mod cell;
pub(crate) mod disk;
mod fault;
mod server;
mod tally;
mod watcher;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, stream};

use crate::test::workspace_root;
use cell::Cell;
use fault::{Fault, Point};
use tally::Tally;

#[derive(Debug, clap::Args)]
pub(crate) struct FaultsArgs {
    /// How many jobs are struck, for each fault and step.
    #[arg(long, default_value_t = 20)]
    repetitions: usize,
    /// Decides photos, users, arrival and durations; chosen and printed when left out.
    #[arg(long)]
    seed: Option<u64>,
    /// Only this fault, as in kill or kill@after_mask.
    #[arg(long)]
    only: Option<String>,
    /// How many servers run at once.
    #[arg(long, default_value_t = 4)]
    at_once: usize,
    /// A build with the feature `faults` that is there already.
    #[arg(long)]
    program: Option<PathBuf>,
}

impl FaultsArgs {
    /// The small run that belongs to the tests.
    pub(crate) fn small(program: PathBuf) -> Self {
        Self {
            repetitions: 3,
            seed: None,
            only: None,
            at_once: 4,
            program: Some(program),
        }
    }
}

/// Plays the matrix. Returns what could not be played here.
pub(crate) fn run(args: FaultsArgs) -> anyhow::Result<Option<String>> {
    let root = workspace_root()?;
    let program = match args.program {
        Some(program) => program,
        None => build(&root)?,
    };
    let seed = args.seed.unwrap_or_else(rand::random);
    let cells: Vec<Cell> = Fault::ALL
        .into_iter()
        .flat_map(|fault| Point::ALL.map(|point| Cell { fault, point }))
        .filter(|cell| cell.is_meant_by(args.only.as_deref()))
        .collect();
    if cells.is_empty() {
        bail!("{:?} names no fault", args.only.unwrap_or_default());
    }
    println!("seed {seed}, {} repetitions", args.repetitions);
    let (cells, skipped) = playable(cells);
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("a runtime")?;
    let scene = cell::Scene {
        program,
        photos: root.join("crates/irisflow-image/tests/photos"),
        repetitions: args.repetitions,
        seed,
    };
    let played = stream::iter(cells)
        .map(async |cell| (cell, cell.play(&scene).await))
        .buffered(args.at_once.max(1))
        .inspect(|(cell, tally)| say_progress(cell, tally))
        .collect::<Vec<_>>();
    let tallies = runtime.block_on(async {
        tokio::select! {
            tallies = played => Ok(tallies),
            // Servers are killed and disks unmounted on the way out.
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        }
    })?;
    report(&tallies)?;
    println!("{} s", begun.elapsed().as_secs());
    Ok(skipped)
}

/// Disks fail only where one can be mounted.
fn playable(cells: Vec<Cell>) -> (Vec<Cell>, Option<String>) {
    if disk::can_be_mounted() {
        println!(
            "disks are tmpfs mounts: full_disk fills that of the whole data folder, \
             read_only_disk remounts that of photos and results"
        );
        return (cells, None);
    }
    let needs_disk = |cell: &Cell| matches!(cell.fault, Fault::FullDisk | Fault::ReadOnlyDisk);
    let (skipped, cells): (Vec<Cell>, Vec<Cell>) = cells.into_iter().partition(needs_disk);
    let words = format!(
        "{} faults of disks (mounting takes root on Linux)",
        skipped.len()
    );
    println!("SKIPPED: {words}");
    (cells, Some(words))
}

fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let built = Command::new("cargo")
        .args(["build", "--locked", "--package", "irisflow"])
        .args(["--features", "irisflow/faults"])
        .current_dir(root)
        .status()
        .context("building with the feature faults")?;
    if !built.success() {
        bail!("the program does not build with the feature faults");
    }
    Ok(root.join("target/debug/irisflow"))
}

fn say_progress(cell: &Cell, tally: &anyhow::Result<Tally>) {
    match tally {
        Ok(tally) if tally.is_clean() => {}
        Ok(tally) => println!("{cell}: {tally:?}"),
        Err(error) => println!("{cell}: {error:#}"),
    }
}

/// The table, and an error unless all of it is as it must be.
fn report(tallies: &[(Cell, anyhow::Result<Tally>)]) -> anyhow::Result<()> {
    println!("{}", Tally::HEAD);
    let mut whole = Tally::default();
    let mut bad = Vec::new();
    for (cell, tally) in tallies {
        match tally {
            Ok(tally) => {
                println!(
                    "{}",
                    tally.row(&cell.fault.to_string(), &cell.point.to_string())
                );
                whole.add(tally);
                if !tally.is_clean() {
                    bad.push(cell.to_string());
                }
            }
            Err(_) => bad.push(cell.to_string()),
        }
    }
    println!("{}", whole.row("all", ""));
    if bad.is_empty() {
        return Ok(());
    }
    bail!("promises broken at {}", bad.join(", "))
}
