//! `cargo xtask attack`: what a hostile outsider can do, done to a real server over HTTP, WebSockets and
//! signals. Each attack starts its own server on a private port with a temp folder, measures, and holds the
//! figures against bounds. It knows the API, the command line and `/proc`, and nothing of the inside.

mod account;
mod accounts;
mod crowds;
mod edge;
mod fairness;
mod finding;
mod http2;
mod intake;
mod list;
mod outage;
mod phone_app;
mod photos;
mod poison;
mod process;
mod queue;
mod quota;
mod readiness;
mod sockets;
mod starting;
mod stopping;
mod storage;
mod victim;
mod wire;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::test::workspace_root;
use finding::Finding;
use list::{ATTACKS, Attack};

#[derive(Debug, clap::Args)]
pub(crate) struct AttackArgs {
    /// The program to attack.
    #[arg(long, default_value = "target/release/irisflow")]
    binary: PathBuf,
    /// Only attacks whose name contains this, as in `outage` or `fairness_1_worker`. May be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// Say which attacks there are.
    #[arg(long)]
    list: bool,
}

/// What all attacks have in common.
#[derive(Debug)]
struct Scene {
    program: PathBuf,
    /// The folder of test photos.
    photos: PathBuf,
    root: PathBuf,
}

/// An attack that takes longer has failed.
const LONGEST: Duration = Duration::from_secs(120);

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
    let scene = Scene {
        program,
        photos: root.join("crates/irisflow-image/tests/photos"),
        root,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("a runtime")?;
    let broken = runtime.block_on(async {
        tokio::select! {
            broken = carry_out(&chosen, &scene) => Ok(broken),
            // Servers are killed and disks unmounted on the way out.
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
            () = terminated() => Err(anyhow::anyhow!("terminated")),
        }
    })?;
    if broken.is_empty() {
        return Ok(());
    }
    bail!("bounds broken by {}", broken.join(", "))
}

/// Returns at SIGTERM.
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    if let Ok(mut terminate) = signal(SignalKind::terminate()) {
        terminate.recv().await;
    }
}

/// One after another: most of them measure time. The names of those that broke a bound.
async fn carry_out(chosen: &[&Attack], scene: &Scene) -> Vec<&'static str> {
    println!("{}", Finding::HEAD);
    let mut broken = Vec::new();
    for attack in chosen {
        let begun = Instant::now();
        let findings = match tokio::time::timeout(LONGEST, (attack.run)(scene)).await {
            Ok(Ok(findings)) => findings,
            Ok(Err(error)) => vec![Finding::broken_off(format!("{error:#}"))],
            Err(_) => vec![Finding::broken_off(format!(
                "not over after {} s",
                LONGEST.as_secs()
            ))],
        };
        for finding in &findings {
            println!("{}", finding.row(attack.name));
        }
        if findings.iter().any(|finding| !finding.holds()) {
            broken.push(attack.name);
        }
        let took = begun.elapsed().as_secs();
        if took > 40 {
            println!("| {} | seconds the attack took | | {took} | |", attack.name);
        }
    }
    broken
}
