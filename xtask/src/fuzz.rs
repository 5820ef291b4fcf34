//! `cargo xtask fuzz`: fuzzing of all external input for a given time. Runs the fuzz tests in
//! `crates/irisflow/tests/service/hostile`, of which the ordinary test run tries a fixed number of inputs.

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::test::{FEATURES, workspace_root};

#[derive(Debug, clap::Args)]
pub(crate) struct FuzzArgs {
    /// Total time in seconds, divided evenly among the kinds of input.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seed; the same seed generates the same inputs.
    #[arg(long, default_value_t = 20_261_123)]
    seed: u64,
}

/// Photos, EXIF, ICC profiles, JSON bodies, tokens, presigned URLs, WebSocket frames, sign-ins.
const KINDS: u64 = 8;

pub(crate) fn run(args: FuzzArgs) -> anyhow::Result<()> {
    let seconds = (args.seconds / KINDS).max(1);
    let status = Command::new("cargo")
        .args(["test", "--locked", "-p", "irisflow", "--features", FEATURES])
        .args(["--test", "service", "--", "hostile::"])
        .args(["--nocapture", "--test-threads", "1"])
        .env("IRISFLOW_FUZZ_SECONDS", seconds.to_string())
        .env("IRISFLOW_FUZZ_SEED", args.seed.to_string())
        .current_dir(workspace_root()?)
        .status()
        .context("starting cargo")?;
    if !status.success() {
        bail!("an input broke the server; its number and the seed are printed above");
    }
    Ok(())
}
