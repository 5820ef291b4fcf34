//! `cargo xtask faults --cluster`: three nodes of the API and four workers on PostgreSQL, NATS and S3, under a steady
//! load with a watcher on every node. One thing breaks at a time, at moments that are drawn from the seed. The
//! invariants afterwards: no job lost, finished twice or stuck, no event missed, no orphaned objects.

mod case;
mod cluster_counts;
mod cluster_fault;
mod cluster_state;
mod injection;
mod load;
mod node;
mod nodes;
mod servers;
mod slow_proxy;
mod timeline_watcher;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context as _, bail};
use irisflow_test_servers::PostgresServer;

use crate::test::nats_server;
use case::Case;
use cluster_counts::ClusterCounts;
use cluster_fault::ClusterFault;
use nodes::Cluster;
use servers::Servers;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ClusterArgs {
    /// How often each fault of the cluster is injected.
    #[arg(long, default_value_t = 20, requires = "cluster")]
    times: usize,
    /// Of the injections, only the part I of N, for a run in several sittings with one seed.
    #[arg(long, value_name = "I/N", requires = "cluster", default_value_t)]
    shard: Shard,
    /// The program of the previous version, built with the feature `faults`: a node and a worker run it for a while.
    #[arg(long, requires = "cluster")]
    previous: Option<PathBuf>,
}

/// One of several parts of the injections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shard {
    /// From 1.
    part: usize,
    of: usize,
}

impl Default for ClusterArgs {
    fn default() -> Self {
        Self {
            times: 1,
            shard: Shard::default(),
            previous: None,
        }
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self { part: 1, of: 1 }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl FromStr for Shard {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.split_once('/').and_then(|(part, of)| {
            let (part, of) = (part.parse().ok()?, of.parse().ok()?);
            Some(Self { part, of })
        });
        let shard = numbers.filter(|shard| (1..=shard.of).contains(&shard.part));
        shard.ok_or("write I/N, as in 2/5")
    }
}

/// The faults that the small run injects.
pub(super) fn quick_faults() -> Vec<String> {
    let faults = ClusterFault::QUICK.iter();
    faults.map(ToString::to_string).collect()
}

/// Returns a description of what this machine cannot inject, if anything.
pub(super) fn run(
    args: &ClusterArgs,
    root: &Path,
    program: &Path,
    seed: u64,
    only: &[String],
) -> anyhow::Result<Option<String>> {
    let is_selected = |fault: &ClusterFault| only.is_empty() || only.contains(&fault.to_string());
    let faults: Vec<ClusterFault> = ClusterFault::ALL.into_iter().filter(is_selected).collect();
    if faults.is_empty() {
        bail!("{only:?} names no fault of a cluster");
    }
    if !PostgresServer::is_installed() {
        return Ok(Some(
            "faults of a cluster (PostgreSQL is not installed)".to_owned(),
        ));
    }
    nats_server::find_or_install(root);
    println!(
        "seed {seed}, {} times each, part {}",
        args.times, args.shard
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("a runtime")?;
    runtime.block_on(async {
        tokio::select! {
            outcome = run_all(args, root, program, seed, &faults) => outcome,
            // Processes are killed on the way out.
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    })
}

async fn run_all(
    args: &ClusterArgs,
    root: &Path,
    program: &Path,
    seed: u64,
    faults: &[ClusterFault],
) -> anyhow::Result<Option<String>> {
    let begun = Instant::now();
    let disks = tempfile::tempdir()?;
    let is_disk_needed = faults.iter().any(|fault| fault.needs_small_disk());
    let servers = Servers::start(is_disk_needed.then_some(disks.path())).await?;
    let mut cluster = Cluster::start(program, args.previous.as_deref(), servers).await?;
    let (faults, skipped) = split_by_what_is_here(faults, &cluster);
    println!("started within {:.1?}", begun.elapsed());
    let photos = root.join("crates/irisflow-image/tests/photos");
    let mut all_counts = Vec::new();
    let mut failure = None;
    for case in cases(&faults, args) {
        match case.run(&mut cluster, &photos, seed).await {
            Ok(counts) => {
                println!("{}", counts.row(&case.to_string()));
                all_counts.push((case, counts));
            }
            Err(error) => {
                // The cluster may be broken now.
                failure = Some(error.context(case.to_string()));
                break;
            }
        }
    }
    let violated = report(&all_counts, &faults);
    println!("{} s", begun.elapsed().as_secs());
    if failure.is_none() && violated.is_empty() {
        cluster.stop().await?;
        return Ok(skipped);
    }
    println!("the logs are in {}", cluster.keep_logs().display());
    match failure {
        Some(error) => Err(error),
        None => bail!("invariants violated at {}", violated.join(", ")),
    }
}

/// The faults that can be injected, and a description of the others, if any.
fn split_by_what_is_here(
    faults: &[ClusterFault],
    cluster: &Cluster,
) -> (Vec<ClusterFault>, Option<String>) {
    let mut skipped = Vec::new();
    let mut runnable = Vec::new();
    for fault in faults {
        match fault.missing(cluster) {
            Some(reason) => {
                println!("SKIPPED: {fault}, {reason}");
                skipped.push(format!("{fault} ({reason})"));
            }
            None => runnable.push(*fault),
        }
    }
    let summary = format!("faults of a cluster: {}", skipped.join(", "));
    (runnable, (!skipped.is_empty()).then_some(summary))
}

/// All faults once, then all again.
fn cases(faults: &[ClusterFault], args: &ClusterArgs) -> Vec<Case> {
    let rounds = 1..=args.times;
    let all = rounds.flat_map(|round| faults.iter().map(move |&fault| Case { fault, round }));
    all.skip(args.shard.part - 1)
        .step_by(args.shard.of)
        .collect()
}

/// Prints the table. Returns the cases that violate an invariant.
fn report(all_counts: &[(Case, ClusterCounts)], faults: &[ClusterFault]) -> Vec<String> {
    println!("\n{}", ClusterCounts::HEAD);
    let mut total = ClusterCounts::default();
    for fault in faults {
        let mut of_fault = ClusterCounts::default();
        for (_, counts) in all_counts.iter().filter(|(case, _)| case.fault == *fault) {
            of_fault.add(counts);
        }
        println!("{}", of_fault.row(&fault.to_string()));
        total.add(&of_fault);
    }
    println!("{}", total.row("all"));
    let violated = all_counts.iter().filter(|(_, counts)| !counts.is_clean());
    violated.map(|(case, _)| case.to_string()).collect()
}
