//! `cargo xtask bench waiting`: error of the estimated times. Photos of several sizes go through the running
//! service in bursts; each frame's `eta_ms` is compared with the actual time until the final frame.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::program_or_release;
use super::session::Session;
use super::whole_job::{PHONE_HEIGHT, phone_photo};
use crate::running_server::RunningServer;

#[derive(Debug, clap::Args)]
pub(crate) struct WaitingArgs {
    /// Photos with a usable iris. The test photo in four sizes when left out.
    #[arg(long = "photo")]
    photos: Vec<PathBuf>,
    /// Use this build instead of a release build.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Number of bursts.
    #[arg(long, default_value_t = 6)]
    bursts: usize,
    /// Number of times that each photo is submitted in a burst.
    #[arg(long, default_value_t = 2)]
    times: usize,
}

/// One estimate and the actual time, in milliseconds.
struct EstimateSample {
    low: f64,
    high: f64,
    actual: f64,
    waiting: bool,
}

pub(super) async fn run(arguments: WaitingArgs, root: &Path) -> anyhow::Result<()> {
    let program = program_or_release(arguments.program, root)?;
    let mut photos = Vec::new();
    for path in &arguments.photos {
        photos.push(std::fs::read(path).with_context(|| path.display().to_string())?);
    }
    if photos.is_empty() {
        for height_px in [1000, 1700, 2400, PHONE_HEIGHT] {
            photos.push(phone_photo(root, height_px)?);
        }
    }
    let server = RunningServer::start(&program, &[])?;
    let session = Session::start(&server.url).await?;
    let mut photo_ids = Vec::new();
    for photo in photos {
        photo_ids.push(session.upload(photo).await?);
    }
    // The estimator needs some finished jobs as its history.
    for photo_id in photo_ids.iter().cycle().take(8) {
        session.submit_and_watch(photo_id).await?;
    }
    let mut samples = Vec::new();
    for _ in 0..arguments.bursts {
        let burst = photo_ids
            .iter()
            .cycle()
            .take(photo_ids.len() * arguments.times);
        let watched = burst.map(|photo_id| watch(&session, photo_id));
        samples.extend(try_join_all(watched).await?.into_iter().flatten());
    }
    let (waiting, running): (Vec<_>, Vec<_>) = samples.into_iter().partition(|one| one.waiting);
    println!(
        "{} photos, {} bursts of each {} times, after 8 jobs of history",
        photo_ids.len(),
        arguments.bursts,
        arguments.times
    );
    println!(
        "| when | estimates | median actual ms | median absolute error ms | within low..high |"
    );
    println!("|---|---|---|---|---|");
    report("while waiting", &waiting);
    report("while running", &running);
    Ok(())
}

async fn watch(session: &Session, photo_id: &str) -> anyhow::Result<Vec<EstimateSample>> {
    let job_id = session.submit(photo_id).await?;
    let mut stream = session.watch(&job_id).await?;
    let mut estimates: Vec<(Instant, f64, f64, bool)> = Vec::new();
    while let Some(message) = stream.next().await {
        let Message::Text(text) = message? else {
            continue;
        };
        let now = Instant::now();
        let frame: Value = serde_json::from_str(&text)?;
        if frame["status"] == "completed" {
            let actual = |at: Instant| millis(now.duration_since(at));
            let samples = estimates
                .into_iter()
                .map(|(at, low, high, waiting)| EstimateSample {
                    low,
                    high,
                    actual: actual(at),
                    waiting,
                });
            return Ok(samples.collect());
        }
        if frame["status"] == "failed" {
            bail!("the job failed: {frame}");
        }
        let eta = &frame["eta_ms"];
        if let (Some(low), Some(high)) = (eta["low"].as_f64(), eta["high"].as_f64()) {
            estimates.push((now, low, high, frame["queue_position"].is_number()));
        }
    }
    bail!("the socket ended before the job")
}

fn report(name: &str, samples: &[EstimateSample]) {
    let error = |one: &EstimateSample| (f64::midpoint(one.low, one.high) - one.actual).abs();
    let is_within = |one: &&EstimateSample| one.low <= one.actual && one.actual <= one.high;
    let within = samples.iter().filter(is_within).count() as f64 / samples.len().max(1) as f64;
    println!(
        "| {name} | {} | {:.0} | {:.0} | {:.0} % |",
        samples.len(),
        middle(samples.iter().map(|one| one.actual).collect()),
        middle(samples.iter().map(error).collect()),
        within * 100.0
    );
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
