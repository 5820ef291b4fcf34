//! `cargo xtask faults`: the crash matrix. Every fault at every step and between any two writes, in the
//! real program (the build with the feature `faults`), with real photos, users and watchers. What is
//! counted must add up: nothing failed by an outage, nothing lost, nothing twice, nothing stuck, nothing
//! left over, no bar that moved back.

mod cell;
mod clock;
mod crowd;
pub(crate) mod disk;
mod fault;
mod hang_up;
mod keeper;
mod outage;
mod server;
mod tally;
mod watcher;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, stream};
use rand::seq::IndexedRandom as _;

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
    /// Only these faults, as in kill,terminate@claimed.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// At how many of its places each fault is played, chosen by the seed; at all when left out. Those
    /// that only one kind of fault has are always played.
    #[arg(long)]
    places: Option<usize>,
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
            only: Vec::new(),
            places: Some(1),
            at_once: 8,
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
    let mut cells = Cell::all();
    cells.retain(|cell| cell.is_meant_by(&args.only));
    if cells.is_empty() {
        bail!("{:?} names no fault", args.only);
    }
    if let Some(places) = args.places {
        cells = some_places(cells, places, seed);
    }
    // So that nothing long is left at the end.
    cells.sort_by_key(|cell| !cell.takes_long());
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

/// Some of the steps for each fault, and all other places.
fn some_places(mut cells: Vec<Cell>, places: usize, seed: u64) -> Vec<Cell> {
    for fault in Fault::ALL {
        let at_steps = |cell: &Cell| cell.fault == fault && cell.point.is_step();
        let steps: Vec<Point> = cells
            .iter()
            .filter(|cell| at_steps(cell))
            .map(|cell| cell.point)
            .collect();
        let mut random = Cell {
            fault,
            point: Point::Loading,
        }
        .random(seed);
        let chosen: Vec<Point> = steps.sample(&mut random, places).copied().collect();
        cells.retain(|cell| !at_steps(cell) || chosen.contains(&cell.point));
    }
    cells
}

/// What some faults need of the machine.
struct Requirement {
    of: fn(Fault) -> bool,
    is_met: fn() -> bool,
    words: &'static str,
}

const REQUIREMENTS: [Requirement; 4] = [
    Requirement {
        of: |fault| matches!(fault, Fault::FullDisk | Fault::ReadOnlyDisk),
        is_met: disk::can_be_mounted,
        words: "full and read-only disks (mounting takes root on Linux)",
    },
    Requirement {
        of: |fault| fault == Fault::IoErrors,
        is_met: disk::can_fail,
        words: "I/O errors (root, loop devices, and temp files on a file system with immutable files)",
    },
    Requirement {
        of: |fault| fault == Fault::NoDescriptors,
        is_met: outage::can_limit_descriptors,
        words: "no file descriptors (prlimit of util-linux)",
    },
    Requirement {
        of: |fault| matches!(fault, Fault::ClockBack | Fault::ClockForward),
        is_met: clock::can_be_set,
        words: "steps of the clock (libfaketime, in the Debian package faketime)",
    },
];

/// Without what cannot be made here, which is said aloud.
fn playable(mut cells: Vec<Cell>) -> (Vec<Cell>, Option<String>) {
    let mut skipped = Vec::new();
    for Requirement { of, is_met, words } in REQUIREMENTS {
        if cells.iter().any(|cell| of(cell.fault)) && !is_met() {
            println!("SKIPPED: {words}");
            skipped.push(words);
            cells.retain(|cell| !of(cell.fault));
        }
    }
    let words = format!("faults: {}", skipped.join(", "));
    (cells, (!skipped.is_empty()).then_some(words))
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
    println!("\nthe places of each fault together\n{}", Tally::HEAD);
    for fault in Fault::ALL {
        let mut places = Tally::default();
        let tallies = tallies.iter().filter(|(cell, _)| cell.fault == fault);
        for tally in tallies.filter_map(|(_, tally)| tally.as_ref().ok()) {
            places.add(tally);
        }
        if places != Tally::default() {
            println!("{}", places.row(&fault.to_string(), ""));
        }
    }
    println!("{}", whole.row("all", ""));
    if bad.is_empty() {
        return Ok(());
    }
    bail!("promises broken at {}", bad.join(", "))
}
