//! `cargo xtask golden`: the golden pictures of the imaging core. Each folder below
//! `crates/irisflow-image/tests/golden` is a case: a photo, why it is there, and what the pipeline makes of
//! it. Without `--update` the pictures are made again and compared; with it they are stored anew.

mod case;
mod comparison;
mod outcome;
mod side_by_side;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, bail};

use crate::test::workspace_root;
use case::Case;
use comparison::{Comparison, Tolerance};
use outcome::Outcome;

const CASES: &str = "crates/irisflow-image/tests/golden";
/// Where pictures that differ are written beside what was expected.
const DIFFERENCES: &str = "target/golden";

#[derive(Debug, clap::Args)]
pub(crate) struct GoldenArgs {
    /// Store what the pipeline makes now. Look at the difference before you commit it.
    #[arg(long)]
    update: bool,
    /// Pictures may not agree less than this, in dB. Other processors and optimisers round floating-point
    /// numbers differently, which costs a level in some pixels: agreement stays above 50 dB.
    #[arg(long, default_value_t = 50.0)]
    min_psnr: f64,
    /// Refuse every difference, also of a single byte: for changes that must not change a picture.
    #[arg(long)]
    exact: bool,
    /// Only cases whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

impl Default for GoldenArgs {
    fn default() -> Self {
        Self {
            update: false,
            min_psnr: 50.0,
            exact: false,
            only: None,
        }
    }
}

pub(crate) fn run(arguments: &GoldenArgs) -> anyhow::Result<()> {
    let root = workspace_root()?;
    let mut cases = Case::all(&root.join(CASES))?;
    cases.retain(|case| {
        let only = arguments.only.as_deref();
        only.is_none_or(|only| case.name.contains(only))
    });
    if cases.is_empty() {
        bail!("no golden case is meant");
    }
    let outcomes = processed(&cases)?;
    if arguments.update {
        return update(&cases, &outcomes);
    }
    compare(&cases, &outcomes, arguments, &root.join(DIFFERENCES))
}

/// What the pipeline makes of each case, on as many threads as there are cores.
fn processed(cases: &[Case]) -> anyhow::Result<Vec<Outcome>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = case.photo().and_then(|photo| Outcome::of(&photo));
                    let outcome = outcome.with_context(|| case.name.clone());
                    if let Ok(mut done) = done.lock() {
                        done.push((case.name.clone(), outcome));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    anyhow::ensure!(done.len() == cases.len(), "a case was not processed");
    done.sort_by(|a, b| a.0.cmp(&b.0));
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn update(cases: &[Case], outcomes: &[Outcome]) -> anyhow::Result<()> {
    for (case, outcome) in cases.iter().zip(outcomes) {
        let changed = case.store(outcome)?;
        println!(
            "{}: {}",
            case.name,
            if changed { "stored anew" } else { "as before" }
        );
    }
    Ok(())
}

fn compare(
    cases: &[Case],
    outcomes: &[Outcome],
    arguments: &GoldenArgs,
    differences: &Path,
) -> anyhow::Result<()> {
    let tolerance = Tolerance {
        min_psnr: arguments.min_psnr,
        exact: arguments.exact,
    };
    println!("{}", Comparison::HEAD);
    let (mut failed, mut same, mut pictures) = (Vec::new(), 0, 0);
    for (case, outcome) in cases.iter().zip(outcomes) {
        let expected = case.expected()?;
        let complaints = expected.facts.differences(&outcome.facts, arguments.exact);
        for complaint in &complaints {
            println!(
                "| {} | figures | {complaint} | | | **differs** |",
                case.name
            );
        }
        let mut is_same = complaints.is_empty();
        for (name, expected) in &expected.pictures {
            let Some(actual) = outcome.picture(name) else {
                continue;
            };
            let comparison = Comparison::of(name, expected, actual)?;
            println!("{}", comparison.row(&case.name, name, &tolerance));
            pictures += 1;
            same += usize::from(comparison.same_bytes);
            if !comparison.is_within(&tolerance) {
                is_same = false;
                side_by_side::write(differences, &case.name, name, expected, actual)?;
            }
        }
        if !is_same {
            failed.push(case.name.as_str());
        }
    }
    println!(
        "{} cases; {same} of {pictures} pictures are the same to the byte",
        cases.len()
    );
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "{} differ: {}. Look at {DIFFERENCES} (expected, actual, 8 times the difference); \
         `cargo xtask golden --update` stores what is made now",
        failed.len(),
        failed.join(", ")
    )
}
