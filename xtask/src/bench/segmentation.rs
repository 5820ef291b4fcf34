//! `cargo xtask bench finding`: segmentation of a 12-megapixel photo on one core, without decoding.
//! Baseline: decoding the same photo.

use std::path::Path;
use std::time::Duration;

use irisflow_image::load::{EyePhoto, Limits, load_photo};
use irisflow_image::network::{EyeNetwork, INPUT_SIDE, LETTERBOX, NetworkKind};
use irisflow_image::segment::{find_candidates, judge_photo};

use super::median;
use super::whole_job::{PHONE_HEIGHT, enlarged, phone_photo};

#[derive(Debug, clap::Args)]
pub(super) struct FindingArgs {
    /// Repetitions of each measurement; medians are printed
    #[arg(long, default_value_t = 25)]
    runs: usize,
}

pub(super) fn run(arguments: &FindingArgs, root: &Path) -> anyhow::Result<()> {
    let bytes = phone_photo(root, PHONE_HEIGHT)?;
    let photo = load(&bytes)?;
    let no_eye = load(&enlarged(root, "mdn_teddy-bear.jpg", PHONE_HEIGHT)?)?;
    // Warm-up: the weights are unpacked once per process.
    anyhow::ensure!(
        !find_candidates(&photo).is_empty(),
        "no eye is seen in the photo"
    );
    let decoding = median_of(arguments.runs, || load(&bytes).is_ok());
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let row = |what: &str, took: Duration| {
        let of_baseline = ms(took) / ms(decoding);
        println!("| {what} | {:.1} | {of_baseline:.2} |", ms(took));
    };
    println!("| what | ms | of the baseline |");
    println!("|---|---|---|");
    row("baseline: decoding the photo", decoding);
    row(
        "all passes of the networks, and the fits",
        median_of(arguments.runs, || !find_candidates(&photo).is_empty()),
    );
    row(
        "and the mask, the quality and the verdict",
        median_of(arguments.runs, || judge_photo(&photo).rejection.is_none()),
    );
    row(
        "the verdict on a photo without an eye, of the same size",
        median_of(arguments.runs, || judge_photo(&no_eye).rejection.is_some()),
    );
    let (network, input) = (
        EyeNetwork::of(NetworkKind::Measurement),
        Box::new([LETTERBOX; INPUT_SIDE * INPUT_SIDE * 3]),
    );
    row(
        "one inference of the measurement network",
        median_of(arguments.runs, || network.run(&input).presence.is_finite()),
    );
    Ok(())
}

fn load(bytes: &[u8]) -> anyhow::Result<EyePhoto> {
    load_photo(bytes, &Limits::default()).map_err(|rejection| anyhow::anyhow!("{rejection}"))
}

fn median_of(runs: usize, mut once: impl FnMut() -> bool) -> Duration {
    let times = (0..runs.max(1)).map(|_| {
        let begun = std::time::Instant::now();
        std::hint::black_box(once());
        begun.elapsed()
    });
    median(times.collect())
}
