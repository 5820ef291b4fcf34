//! End-to-end latency of a job on a 12-megapixel photo in the running service. Baseline: the same pipeline
//! called directly in the same run; the difference is the overhead of the service.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use irisflow_image::pipeline::{self, ProcessOptions, Stage, StageMark};

use super::camera_jpeg::camera_jpeg;
use super::session::Session;
use super::{median, program_or_release};
use crate::running_server::RunningServer;

/// Height in pixels of a 4:3 photo with 12 megapixels.
pub(crate) const PHONE_HEIGHT: u16 = 3024;

#[derive(Debug, clap::Args)]
pub(super) struct WholeJobArgs {
    /// Number of jobs, run one after another.
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// Use this build instead of a release build.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Use this photo instead of the enlarged test photo.
    #[arg(long)]
    photo: Option<PathBuf>,
}

pub(super) async fn run(arguments: WholeJobArgs, root: &Path) -> anyhow::Result<()> {
    let program = program_or_release(arguments.program, root)?;
    let photo = match &arguments.photo {
        Some(path) => std::fs::read(path).with_context(|| path.display().to_string())?,
        None => phone_photo(root, PHONE_HEIGHT)?,
    };
    compare(&program, photo, arguments.runs).await
}

async fn compare(program: &Path, photo: Vec<u8>, runs: usize) -> anyhow::Result<()> {
    let server = RunningServer::start(program, &[])?;
    let session = Session::start(&server.url).await?;
    let photo_id = session.upload(photo.clone()).await?;
    let (mut alone, mut whole, mut worked) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..=runs {
        let direct = pipeline_alone(&photo)?;
        let (total, processing) = session.submit_and_watch(&photo_id).await?;
        // The first run warms up caches and is not counted.
        if run > 0 {
            alone.push(direct);
            whole.push(total);
            worked.push(processing);
        }
    }
    let peak_mb = peak_memory_mb(server.process_id())?;
    let (alone, whole, worked) = (median(alone), median(whole), median(worked));
    println!(
        "photo: {} bytes; medians of {runs} runs, one job at a time",
        photo.len()
    );
    println!("| what | ms | against the pipeline alone |");
    println!("|---|---|---|");
    let row = |what: &str, time: Duration| {
        let ratio = time.as_secs_f64() / alone.as_secs_f64();
        println!(
            "| {what} | {:.0} | {ratio:.2} |",
            time.as_secs_f64() * 1000.0
        );
    };
    row("baseline: the pipeline alone, called directly", alone);
    row(
        "the attempt in the worker (fetch, pipeline, three synced files)",
        worked,
    );
    row("submit to final frame, over HTTP and WebSocket", whole);
    let added = whole.saturating_sub(worked).as_secs_f64() * 1000.0;
    println!("added by queue, events and delivery: {added:.0} ms");
    println!("peak memory of the service: {peak_mb} MB");
    Ok(())
}

fn pipeline_alone(photo: &[u8]) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut observer = |_: Stage, _: StageMark| ControlFlow::Continue(());
    pipeline::process(photo, &ProcessOptions::default(), &mut observer)
        .map_err(|error| anyhow::anyhow!("the photo is not processed: {error}"))?;
    Ok(begun.elapsed())
}

pub(super) fn peak_memory_mb(process_id: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .context("VmHWM")?;
    let kilobytes: u64 = line
        .split_whitespace()
        .nth(1)
        .context("a number")?
        .parse()?;
    Ok(kilobytes / 1024)
}

/// A JPEG like a phone's: the test photo enlarged to 4:3 at this height (phones take 4032 x 3024), with the
/// eye in the middle and sensor noise, so that decoding costs as much as for a real one.
pub(crate) fn phone_photo(root: &Path, height_px: u16) -> anyhow::Result<Vec<u8>> {
    enlarged(root, "pixabay_eye_2154384.jpg", height_px)
}

/// A test photo enlarged to a 4:3 JPEG of this height, with sensor noise.
pub(super) fn enlarged(root: &Path, name: &str, height_px: u16) -> anyhow::Result<Vec<u8>> {
    use irisflow_image::geometry::PixelRect;
    use irisflow_image::load::{Limits, load_photo};
    use irisflow_image::segment::PhotoPixels as _;

    let width_px = height_px / 3 * 4;
    let path = root.join("crates/irisflow-image/tests/photos").join(name);
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let eye = load_photo(&bytes, &Limits::default())
        .map_err(|rejection| anyhow::anyhow!("{rejection}"))?;
    let (width, height) = eye.size();
    let planes = eye.crop(PixelRect {
        x: 0,
        y: 0,
        width,
        height,
    });
    let scale = f32::from(height_px) / height as f32;
    let left = (f32::from(width_px) - width as f32 * scale) / 2.0;
    camera_jpeg(&planes, (width_px, height_px), |x, y| {
        ((f32::from(x) - left) / scale, f32::from(y) / scale)
    })
}
