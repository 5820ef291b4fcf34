//! `cargo xtask faults`: the crash matrix (fault injection). Each cell injects one kind of fault at one
//! point (every pipeline step, and between any two writes) into the real program, built with the feature
//! `faults`, with real photos, users and watchers. The invariants afterwards: no job failed because of an
//! outage, none lost, finished twice or stuck, no orphaned objects, and progress that never decreases.

mod cluster;
mod fake_clock;
mod fault;
pub(crate) mod faulty_disk;
mod hang_up;
mod job_watcher;
mod matrix_cell;
mod outage;
mod outcome_counts;
mod recorded_state;
mod server_process;
mod server_supervisor;
mod test_users;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, stream};
use rand::seq::IndexedRandom as _;

use crate::test::{apt_install, workspace_root};
use fault::{Fault, InjectionPoint};
use matrix_cell::MatrixCell;
use outcome_counts::OutcomeCounts;

#[derive(Debug, clap::Args)]
pub(crate) struct FaultsArgs {
    /// How many jobs get the fault, per fault and injection point.
    #[arg(long, default_value_t = 20)]
    repetitions: usize,
    /// Several processes on shared servers, and faults of both, in place of one server.
    #[arg(long)]
    cluster: bool,
    #[command(flatten)]
    cluster_args: cluster::ClusterArgs,
    /// Seed of the random photos, users, arrival times and durations; random, and printed, by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Only these faults, for example kill,terminate@claimed.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Number of steps at which each fault is injected, chosen by the seed; all by default. Injection
    /// points other than steps are always included.
    #[arg(long)]
    places: Option<usize>,
    /// How many servers run at once.
    #[arg(long, default_value_t = 4)]
    at_once: usize,
    /// Use this existing build with the feature `faults`.
    #[arg(long)]
    program: Option<PathBuf>,
}

impl FaultsArgs {
    /// The small run as part of `cargo xtask test`.
    pub(crate) fn small(program: PathBuf) -> Self {
        Self {
            repetitions: 3,
            cluster: false,
            cluster_args: cluster::ClusterArgs::default(),
            seed: None,
            only: Vec::new(),
            places: Some(1),
            at_once: 8,
            program: Some(program),
        }
    }

    /// The small run of a cluster as part of `cargo xtask test`.
    pub(crate) fn small_cluster(program: PathBuf) -> Self {
        Self {
            cluster: true,
            only: cluster::quick_faults(),
            ..Self::small(program)
        }
    }
}

/// Runs the matrix. Returns a description of the faults that this machine cannot inject, if any.
pub(crate) fn run(args: FaultsArgs) -> anyhow::Result<Option<String>> {
    let root = workspace_root()?;
    let program = match args.program {
        Some(program) => program,
        None => build(&root)?,
    };
    let seed = args.seed.unwrap_or_else(rand::random);
    if args.cluster {
        return cluster::run(&args.cluster_args, &root, &program, seed, &args.only);
    }
    let mut cells = MatrixCell::all();
    cells.retain(|cell| cell.is_selected(&args.only));
    if cells.is_empty() {
        bail!("{:?} names no fault", args.only);
    }
    if let Some(places) = args.places {
        cells = sample_steps(cells, places, seed);
    }
    // Slow cells first, for a shorter total time.
    cells.sort_by_key(|cell| !cell.is_slow());
    println!("seed {seed}, {} repetitions", args.repetitions);
    let (cells, skipped) = retain_runnable(cells);
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("a runtime")?;
    let matrix = matrix_cell::MatrixConfig {
        program,
        photos: root.join("crates/irisflow-image/tests/photos"),
        repetitions: args.repetitions,
        seed,
    };
    let runs = stream::iter(cells)
        .map(async |cell| (cell, cell.run(&matrix).await))
        .buffered(args.at_once.max(1))
        .inspect(|(cell, counts)| print_violations(cell, counts))
        .collect::<Vec<_>>();
    let all_counts = runtime.block_on(async {
        tokio::select! {
            all_counts = runs => Ok(all_counts),
            // Servers are killed and disks unmounted on the way out.
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        }
    })?;
    report(&all_counts)?;
    println!("{} s", begun.elapsed().as_secs());
    Ok(skipped)
}

/// For each fault, `places` of its steps and all other injection points.
fn sample_steps(mut cells: Vec<MatrixCell>, places: usize, seed: u64) -> Vec<MatrixCell> {
    for fault in Fault::ALL {
        let at_steps = |cell: &MatrixCell| cell.fault == fault && cell.point.is_step();
        let steps: Vec<InjectionPoint> = cells
            .iter()
            .filter(|cell| at_steps(cell))
            .map(|cell| cell.point)
            .collect();
        let mut random = MatrixCell {
            fault,
            point: InjectionPoint::Loading,
        }
        .random(seed);
        let chosen: Vec<InjectionPoint> = steps.sample(&mut random, places).copied().collect();
        cells.retain(|cell| !at_steps(cell) || chosen.contains(&cell.point));
    }
    cells
}

/// A capability of the machine that some faults need.
struct Requirement {
    of: fn(Fault) -> bool,
    is_met: fn() -> bool,
    description: &'static str,
}

const REQUIREMENTS: [Requirement; 4] = [
    Requirement {
        of: |fault| matches!(fault, Fault::FullDisk | Fault::ReadOnlyDisk),
        is_met: faulty_disk::can_be_mounted,
        description: "full and read-only disks (mounting takes root on Linux)",
    },
    Requirement {
        of: |fault| fault == Fault::IoErrors,
        is_met: faulty_disk::can_fail,
        description: "I/O errors (root, loop devices, and temp files on a file system with immutable files)",
    },
    Requirement {
        of: |fault| fault == Fault::NoDescriptors,
        is_met: outage::can_limit_descriptors,
        description: "no file descriptors (prlimit of util-linux)",
    },
    Requirement {
        of: |fault| matches!(fault, Fault::ClockBack | Fault::ClockForward),
        is_met: fake_clock::can_be_set,
        description: "steps of the clock (libfaketime, in the Debian package faketime)",
    },
];

/// Installs the Debian packages that some faults need, where that is possible.
pub(crate) fn install_requirements() {
    if !fake_clock::can_be_set() {
        println!("== libfaketime is missing; installing it with apt-get");
        apt_install(&["faketime"]);
    }
}

/// Drops the cells whose requirements this machine does not meet, and prints what is skipped.
fn retain_runnable(mut cells: Vec<MatrixCell>) -> (Vec<MatrixCell>, Option<String>) {
    let mut skipped = Vec::new();
    for Requirement {
        of,
        is_met,
        description,
    } in REQUIREMENTS
    {
        if cells.iter().any(|cell| of(cell.fault)) && !is_met() {
            println!("SKIPPED: {description}");
            skipped.push(description);
            cells.retain(|cell| !of(cell.fault));
        }
    }
    let summary = format!("faults: {}", skipped.join(", "));
    (cells, (!skipped.is_empty()).then_some(summary))
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

fn print_violations(cell: &MatrixCell, counts: &anyhow::Result<OutcomeCounts>) {
    match counts {
        Ok(counts) if counts.is_clean() => {}
        Ok(counts) => println!("{cell}: {counts:?}"),
        Err(error) => println!("{cell}: {error:#}"),
    }
}

/// Prints the table.
///
/// # Errors
/// When a cell failed or violated an invariant.
fn report(all_counts: &[(MatrixCell, anyhow::Result<OutcomeCounts>)]) -> anyhow::Result<()> {
    println!("{}", OutcomeCounts::HEAD);
    let mut total = OutcomeCounts::default();
    let mut violated = Vec::new();
    for (cell, counts) in all_counts {
        match counts {
            Ok(counts) => {
                println!(
                    "{}",
                    counts.row(&cell.fault.to_string(), &cell.point.to_string())
                );
                total.add(counts);
                if !counts.is_clean() {
                    violated.push(cell.to_string());
                }
            }
            Err(_) => violated.push(cell.to_string()),
        }
    }
    println!("\ntotals per fault\n{}", OutcomeCounts::HEAD);
    for fault in Fault::ALL {
        let mut places = OutcomeCounts::default();
        let all_counts = all_counts.iter().filter(|(cell, _)| cell.fault == fault);
        for counts in all_counts.filter_map(|(_, counts)| counts.as_ref().ok()) {
            places.add(counts);
        }
        if places != OutcomeCounts::default() {
            println!("{}", places.row(&fault.to_string(), ""));
        }
    }
    println!("{}", total.row("all", ""));
    if violated.is_empty() {
        return Ok(());
    }
    bail!("invariants violated at {}", violated.join(", "))
}
