//! The machine fails under a queue: a full or read-only disk, or no file descriptors. Nothing may fail for
//! good, and everything goes on afterwards.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::net::TcpStream;

use super::Scene;
use super::account::{Account, client_from};
use super::crowds::{Latencies, status_of};
use super::finding::Finding;
use super::victim::Recipe;
use super::wire;
use crate::faults::faulty_disk::TmpfsDisk;

const JOBS: usize = 40;
const OUTAGE: Duration = Duration::from_secs(25);
const RECOVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No room for photos and results.
    FilesFull,
    /// No room for the database either.
    AllFull,
    /// Photos and results cannot be written.
    FilesReadOnly,
}

pub(super) async fn with_a_queue(scene: &Scene, trouble: Trouble) -> anyhow::Result<Vec<Finding>> {
    let recipe = Recipe::new(scene, &["--workers", "2"])?;
    let disk = match trouble {
        Trouble::AllFull => recipe.mount_data(700)?,
        Trouble::FilesFull | Trouble::FilesReadOnly => recipe.mount_files(600)?,
    };
    let mut victim = recipe.start().await?;
    let account = Account::register(&victim.url, "owner").await?;
    let job_ids = account.submit_many(&scene.good_eye()?, JOBS).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    break_down(&disk, trouble).await?;
    let begun = Instant::now();
    let mut readiness_while_broken = Vec::new();
    while begun.elapsed() < OUTAGE {
        tokio::time::sleep(Duration::from_millis(500)).await;
        readiness_while_broken.push(readiness(&account).await);
    }
    let waiting_says = reason_of_waiting(&account).await;
    mend(&disk, trouble)?;
    let mended = Instant::now();
    let (completed, all_ended) = until_ended(&account).await;
    let recovery = mended.elapsed();
    let attempts = attempts_spent(&account).await;
    let failed = count_failed(&account).await;
    Ok(vec![
        Finding::none(
            format!("of {} jobs, failed for good", job_ids.len()),
            failed,
        ),
        Finding::that("all ended afterwards", all_ended && victim.is_alive()),
        Finding::is("jobs completed", completed, JOBS),
        Finding::none("attempts that the outage spent", attempts),
        Finding::is(
            "readiness after the first 5 s of it",
            readiness_while_broken
                .iter()
                .skip(10)
                .map(u16::to_string)
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
                .join(" and "),
            503,
        ),
        Finding::note("what a waiting job says of it", waiting_says),
        Finding::is("readiness afterwards", readiness(&account).await, 200),
        Finding::note(
            "seconds until all had ended",
            format!("{:.1}", recovery.as_secs_f64()),
        ),
    ])
}

async fn break_down(disk: &TmpfsDisk, trouble: Trouble) -> anyhow::Result<()> {
    if trouble != Trouble::FilesReadOnly {
        return disk.fill();
    }
    // Not while a file is open for writing.
    for _ in 0..2000 {
        if disk.make_read_only().is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    anyhow::bail!("the disk is always being written")
}

fn mend(disk: &TmpfsDisk, trouble: Trouble) -> anyhow::Result<()> {
    match trouble {
        Trouble::FilesReadOnly => disk.make_writable(),
        Trouble::FilesFull | Trouble::AllFull => disk.empty(),
    }
}

pub(super) async fn readiness(account: &Account) -> u16 {
    let request = account.client.get(format!("{}/health/ready", account.url));
    let answer = request.timeout(Duration::from_secs(5)).send().await;
    status_of(&answer)
}

async fn reason_of_waiting(account: &Account) -> String {
    let jobs = account
        .get("/processing/jobs?page_size=1&status=pending")
        .await
        .unwrap_or_default();
    let reason = &jobs["items"][0]["waiting_because"]["code"];
    reason.as_str().unwrap_or("-").to_owned()
}

/// How many completed, and whether all ended.
async fn until_ended(account: &Account) -> (usize, bool) {
    let begun = Instant::now();
    let mut all_ended = false;
    while begun.elapsed() < RECOVERY && !all_ended {
        // While it recovers it may still refuse.
        all_ended = account
            .until_idle(Duration::from_secs(1))
            .await
            .unwrap_or(false);
    }
    let completed = account.count("completed").await.unwrap_or(0);
    (completed, all_ended)
}

async fn count_failed(account: &Account) -> usize {
    account.count("failed").await.unwrap_or(usize::MAX)
}

async fn attempts_spent(account: &Account) -> usize {
    let jobs = account.jobs().await.unwrap_or_default();
    let spent = jobs
        .iter()
        .filter_map(|job: &Value| job["attempt_count"].as_u64());
    usize::try_from(spent.sum::<u64>()).unwrap_or(usize::MAX)
}

/// Connections that say nothing, from so many addresses, to a server with 1,024 descriptors and a queue.
pub(super) async fn idle_connections(
    scene: &Scene,
    connections: u16,
    addresses: u16,
) -> anyhow::Result<Vec<Finding>> {
    let recipe = Recipe::new(scene, &["--workers", "2"])?.with_descriptors(1024);
    let victim = recipe.start().await?;
    let account = Account::register(&victim.url, "owner").await?;
    let job_ids = account.submit_many(&scene.good_eye()?, 20).await?;
    let to = victim.address()?;
    let connecting = (0..connections).map(async |number| {
        let connecting = wire::connect_from(wire::stranger(number % addresses), to);
        tokio::time::timeout(Duration::from_secs(2), connecting).await
    });
    let connected: Vec<_> = stream::iter(connecting)
        .buffer_unordered(200)
        .collect()
        .await;
    // One that is refused is a success of the defence.
    let idle: Vec<TcpStream> = connected.into_iter().flatten().flatten().collect();
    let health = client_from(std::net::Ipv4Addr::new(127, 0, 0, 77))?;
    let (latencies, idle_again) = Latencies::of_health_while(&health, &victim.url, async {
        account
            .until_idle(Duration::from_secs(25))
            .await
            .unwrap_or(false)
    })
    .await;
    drop(idle);
    account.until_idle(Duration::from_secs(20)).await?;
    Ok(vec![
        Finding::none(
            format!("of {} jobs, failed for good", job_ids.len()),
            count_failed(&account).await,
        ),
        Finding::none("attempts spent", attempts_spent(&account).await),
        Finding::that("the queue ended under it", idle_again),
        Finding::at_most("longest health check, ms", latencies.longest_ms(), 1000.0),
        Finding::note("middle health check, ms", latencies.median_ms()),
        Finding::at_most("peak memory, MB", victim.peak_memory_mb()?, 600.0),
    ])
}
