//! `cargo xtask fuzz`: the tests of hostile input, for as long as one likes. They stand beside the
//! product's black-box tests, which run them for some seconds each.

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::test::{FEATURES, workspace_root};

#[derive(Debug, clap::Args)]
pub(crate) struct FuzzArgs {
    /// How long in all; each kind of input gets its share.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The same seed damages in the same way.
    #[arg(long, default_value_t = 20_261_123)]
    seed: u64,
}

/// Photos, EXIF, profiles, bodies, tokens, links, frames, sign-ins.
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
        bail!("something did not stand it; the input's number and the seed are above");
    }
    Ok(())
}
