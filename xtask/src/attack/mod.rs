//! `cargo xtask attack`: black-box attacks (denial of service, abuse, outages) on a real server over HTTP,
//! WebSockets and signals. Each attack starts its own server on a private port with a temp folder, measures,
//! and compares the figures with bounds. It uses the API, the command line and `/proc` only.

mod attack_list;
mod connections;
mod fairness;
mod headers;
mod http2;
mod large_photos;
mod load;
mod long_queue;
mod malformed_photos;
mod measurement;
mod outage;
mod phone_app;
mod proc_fs;
mod quota;
mod raw_connection;
mod readiness;
mod shutdown;
mod sign_in;
mod startup;
mod storage;
mod target_server;
mod test_account;
mod test_photos;
mod websockets;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::test::workspace_root;
use attack_list::{ATTACKS, Attack};
use measurement::Measurement;

#[derive(Debug, clap::Args)]
pub(crate) struct AttackArgs {
    /// The program to attack.
    #[arg(long, default_value = "target/release/irisflow")]
    binary: PathBuf,
    /// Only attacks whose name contains this, for example `outage` or `fairness_1_worker`. May be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// List the attacks.
    #[arg(long)]
    list: bool,
}

/// The settings that all attacks share.
#[derive(Debug)]
struct AttackContext {
    program: PathBuf,
    /// The folder of test photos.
    photos: PathBuf,
    root: PathBuf,
}

/// Timeout of one attack.
const ATTACK_TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) fn run(arguments: AttackArgs) -> anyhow::Result<()> {
    if arguments.list {
        for attack in ATTACKS {
            println!("{:<28} {}", attack.name, attack.about);
        }
        return Ok(());
    }
    let chosen: Vec<&Attack> = ATTACKS
        .iter()
        .filter(|attack| attack.is_chosen(&arguments.only))
        .collect();
    if chosen.is_empty() {
        bail!("{:?} names no attack; see --list", arguments.only);
    }
    let root = workspace_root()?;
    let program = std::path::absolute(&arguments.binary)?;
    if !program.exists() {
        bail!(
            "{} is not there; build it, or name another with --binary",
            program.display()
        );
    }
    let context = AttackContext {
        program,
        photos: root.join("crates/irisflow-image/tests/photos"),
        root,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("a runtime")?;
    let failed = runtime.block_on(async {
        tokio::select! {
            failed = run_attacks(&chosen, &context) => Ok(failed),
            // Servers are killed and disks unmounted on the way out.
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
            () = terminated() => Err(anyhow::anyhow!("terminated")),
        }
    })?;
    if failed.is_empty() {
        return Ok(());
    }
    bail!("bounds exceeded by {}", failed.join(", "))
}

/// Waits for SIGTERM.
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    if let Ok(mut terminate) = signal(SignalKind::terminate()) {
        terminate.recv().await;
    }
}

/// Runs the attacks one after another, since most of them measure time. Returns the names of those that
/// failed or exceeded a bound.
async fn run_attacks(chosen: &[&Attack], context: &AttackContext) -> Vec<&'static str> {
    println!("{}", Measurement::HEAD);
    let mut failed = Vec::new();
    for attack in chosen {
        let begun = Instant::now();
        let measurements = match tokio::time::timeout(ATTACK_TIMEOUT, (attack.run)(context)).await {
            Ok(Ok(measurements)) => measurements,
            Ok(Err(error)) => vec![Measurement::failed(format!("{error:#}"))],
            Err(_) => vec![Measurement::failed(format!(
                "not over after {} s",
                ATTACK_TIMEOUT.as_secs()
            ))],
        };
        for measurement in &measurements {
            println!("{}", measurement.row(attack.name));
        }
        if measurements
            .iter()
            .any(|measurement| !measurement.is_within_bound())
        {
            failed.push(attack.name);
        }
        let took = begun.elapsed().as_secs();
        if took > 40 {
            println!("| {} | seconds the attack took | | {took} | |", attack.name);
        }
    }
    failed
}
