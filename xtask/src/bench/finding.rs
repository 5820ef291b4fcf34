//! Finding the iris in a 12-megapixel photo on one core, decoding left out; beside it, decoding the same
//! photo in the same run.

use std::path::Path;
use std::time::Duration;

use irisflow_image::load::{Limits, load_photo};
use irisflow_image::segment::{explain, judge_photo};

use super::median;
use super::whole_job::{PHONE_HEIGHT, phone_photo};

#[derive(Debug, clap::Args)]
pub(super) struct FindingArgs {
    /// How often each is done; medians are printed
    #[arg(long, default_value_t = 25)]
    runs: usize,
}

pub(super) fn run(arguments: &FindingArgs, root: &Path) -> anyhow::Result<()> {
    let bytes = phone_photo(root, PHONE_HEIGHT)?;
    let photo = load_photo(&bytes, &Limits::default())
        .map_err(|rejection| anyhow::anyhow!("{rejection}"))?;
    // The weights are unpacked once per process.
    anyhow::ensure!(!explain(&photo).is_empty(), "no eye is seen in the photo");
    let decoding = median_of(arguments.runs, || {
        load_photo(&bytes, &Limits::default()).is_ok()
    });
    let finding = median_of(arguments.runs, || !explain(&photo).is_empty());
    let verdict = median_of(arguments.runs, || judge_photo(&photo).rejection.is_none());
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let share = |duration: Duration| ms(duration) / ms(decoding);
    println!(
        "baseline, decoding the photo:        {:6.1} ms",
        ms(decoding)
    );
    println!(
        "all looks and the fits:              {:6.1} ms, {:.2} of the baseline",
        ms(finding),
        share(finding)
    );
    println!(
        "and the mask, quality and verdict:   {:6.1} ms, {:.2} of the baseline",
        ms(verdict),
        share(verdict)
    );
    Ok(())
}

fn median_of(runs: usize, mut once: impl FnMut() -> bool) -> Duration {
    let times = (0..runs.max(1)).map(|_| {
        let begun = std::time::Instant::now();
        std::hint::black_box(once());
        begun.elapsed()
    });
    median(times.collect())
}
