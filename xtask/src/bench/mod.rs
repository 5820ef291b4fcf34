//! `cargo xtask bench`: benchmarks, each with a baseline measured in the same run. Without a subcommand, a whole
//! job in the running service.

mod camera_jpeg;
mod claims;
mod estimate_error;
mod history;
mod image;
mod process_cpu;
mod queue;
mod rendering;
mod segmentation;
mod session;
mod store;
mod watch;
mod whole_job;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::test::workspace_root;
pub(crate) use whole_job::{PHONE_HEIGHT, phone_photo};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    section: Option<Section>,
    #[command(flatten)]
    whole_job: whole_job::WholeJobArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Section {
    /// Latency of a claim with a long queue of many users, compared with an empty one.
    Claims(claims::ClaimsArgs),
    /// Segmentation of a 12-megapixel photo, compared with decoding it.
    Finding(segmentation::FindingArgs),
    /// Latency of a claim beside a long history of finished jobs, compared with an empty one.
    History(history::HistoryArgs),
    /// One photo to its pictures, step by step, beside three programs in Python and OpenCV.
    Image(image::ImageArgs),
    #[command(hide = true)]
    ImageRun(image::ImageRunArgs),
    /// Pictures a second of the renderer, against saving them.
    Rendering(rendering::RenderingArgs),
    /// Throughput of the queue with an empty pipeline, on SQLite and on PostgreSQL with NATS, compared with Celery, Redis
    /// and PostgreSQL.
    Queue(queue::QueueArgs),
    /// Error of the wait estimates.
    Waiting(estimate_error::WaitingArgs),
    /// Cost and latency of watching.
    Watch(watch::WatchArgs),
    #[command(hide = true)]
    WatchServe(watch::ServeArgs),
}

pub(crate) fn run(arguments: BenchArgs) -> anyhow::Result<()> {
    let root = workspace_root()?;
    let turbo = matches!(&arguments.section, Some(Section::Image(image)) if image.turbo);
    if cfg!(debug_assertions) || turbo && !cfg!(feature = "turbo") {
        return run_again_in_release(&root, turbo);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("a runtime")?;
    match arguments.section {
        None => runtime.block_on(whole_job::run(arguments.whole_job, &root)),
        Some(Section::Claims(arguments)) => runtime.block_on(claims::run(arguments)),
        Some(Section::History(arguments)) => runtime.block_on(history::run(arguments)),
        Some(Section::Finding(arguments)) => segmentation::run(&arguments, &root),
        Some(Section::Image(arguments)) => image::run(&arguments, &root),
        Some(Section::ImageRun(arguments)) => image::run_ours(&arguments),
        Some(Section::Rendering(arguments)) => rendering::run(&arguments),
        Some(Section::Queue(arguments)) => runtime.block_on(queue::run(arguments)),
        Some(Section::Waiting(arguments)) => {
            runtime.block_on(estimate_error::run(arguments, &root))
        }
        Some(Section::Watch(arguments)) => runtime.block_on(watch::run(arguments)),
        Some(Section::WatchServe(arguments)) => runtime.block_on(watch::serve(arguments)),
    }
}

/// Runs the same command as a release build, since figures of a development build are meaningless.
fn run_again_in_release(root: &Path, turbo: bool) -> anyhow::Result<()> {
    let features: &[&str] = if turbo { &["--features", "turbo"] } else { &[] };
    let status = Command::new("cargo")
        .args(["run", "--release", "--locked", "--quiet"])
        .args(["--package", "xtask"])
        .args(features)
        .arg("--")
        .args(std::env::args_os().skip(1))
        .current_dir(root)
        .status()
        .context("building the release of the developer commands")?;
    if !status.success() {
        bail!("the measurement failed");
    }
    Ok(())
}

/// The given program, or a fresh release build.
fn program_or_release(program: Option<PathBuf>, root: &Path) -> anyhow::Result<PathBuf> {
    if let Some(program) = program {
        return Ok(program);
    }
    let built = Command::new("cargo")
        .args(["build", "--release", "--locked", "--package", "irisflow"])
        .current_dir(root)
        .status()
        .context("building the release")?;
    if !built.success() {
        bail!("the release does not build");
    }
    Ok(root.join("target/release/irisflow"))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
