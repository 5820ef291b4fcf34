//! Outages of the machine with jobs in the queue: a full or read-only disk, or exhausted file descriptors.
//! No job may fail permanently, and all must complete afterwards.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::net::TcpStream;

use super::AttackContext;
use super::load::{Latencies, status_of};
use super::measurement::Measurement;
use super::raw_connection;
use super::target_server::ServerConfig;
use super::test_account::{Account, client_from};
use crate::faults::faulty_disk::TmpfsDisk;

const JOBS: usize = 40;
const OUTAGE_DURATION: Duration = Duration::from_secs(25);
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outage {
    /// The disk of photos and results is full.
    FilesFull,
    /// The disk of the database, photos and results is full.
    AllFull,
    /// The disk of photos and results is read-only.
    FilesReadOnly,
}

pub(super) async fn with_a_queue(
    context: &AttackContext,
    outage: Outage,
) -> anyhow::Result<Vec<Measurement>> {
    let config = ServerConfig::new(context, &["--workers", "2"])?;
    let disk = match outage {
        Outage::AllFull => config.mount_data(700)?,
        Outage::FilesFull | Outage::FilesReadOnly => config.mount_files(600)?,
    };
    let mut server = config.start().await?;
    let account = Account::register(&server.url, "owner").await?;
    let job_ids = account.submit_many(&context.good_eye()?, JOBS).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    begin_outage(&disk, outage).await?;
    let begun = Instant::now();
    let mut readiness_during_outage = Vec::new();
    while begun.elapsed() < OUTAGE_DURATION {
        tokio::time::sleep(Duration::from_millis(500)).await;
        readiness_during_outage.push(readiness(&account).await);
    }
    let waiting_reason = reason_of_waiting(&account).await;
    end_outage(&disk, outage)?;
    let outage_ended = Instant::now();
    let (completed, all_ended) = wait_until_ended(&account).await;
    let recovery = outage_ended.elapsed();
    let attempts = attempts_spent(&account).await;
    let failed = count_failed(&account).await;
    Ok(vec![
        Measurement::zero(
            format!("of {} jobs, failed permanently", job_ids.len()),
            failed,
        ),
        Measurement::is_true("all jobs ended afterwards", all_ended && server.is_alive()),
        Measurement::equals("jobs completed", completed, JOBS),
        Measurement::zero("attempts counted during the outage", attempts),
        Measurement::equals(
            "readiness after the first 5 s of the outage",
            readiness_during_outage
                .iter()
                .skip(10)
                .map(u16::to_string)
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
                .join(" and "),
            503,
        ),
        Measurement::info("waiting_because of a waiting job", waiting_reason),
        Measurement::equals("readiness afterwards", readiness(&account).await, 200),
        Measurement::info(
            "seconds until all jobs had ended",
            format!("{:.1}", recovery.as_secs_f64()),
        ),
    ])
}

async fn begin_outage(disk: &TmpfsDisk, outage: Outage) -> anyhow::Result<()> {
    if outage != Outage::FilesReadOnly {
        return disk.fill();
    }
    // This fails while a file is open for writing.
    for _ in 0..2000 {
        if disk.make_read_only().is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    anyhow::bail!("the disk is always being written")
}

fn end_outage(disk: &TmpfsDisk, outage: Outage) -> anyhow::Result<()> {
    match outage {
        Outage::FilesReadOnly => disk.make_writable(),
        Outage::FilesFull | Outage::AllFull => disk.empty(),
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

/// Waits for the end of all jobs; returns how many completed, and whether all ended in time.
async fn wait_until_ended(account: &Account) -> (usize, bool) {
    let begun = Instant::now();
    let mut all_ended = false;
    while begun.elapsed() < RECOVERY_TIMEOUT && !all_ended {
        // During recovery requests may still fail.
        all_ended = account
            .wait_until_idle(Duration::from_secs(1))
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

/// Idle connections from this number of addresses to a server with 1,024 file descriptors and queued jobs.
pub(super) async fn idle_connections(
    context: &AttackContext,
    connections: u16,
    addresses: u16,
) -> anyhow::Result<Vec<Measurement>> {
    let config = ServerConfig::new(context, &["--workers", "2"])?.with_descriptors(1024);
    let server = config.start().await?;
    let account = Account::register(&server.url, "owner").await?;
    let job_ids = account.submit_many(&context.good_eye()?, 20).await?;
    let to = server.address()?;
    let connecting = (0..connections).map(async |number| {
        let connecting =
            raw_connection::connect_from(raw_connection::client_address(number % addresses), to);
        tokio::time::timeout(Duration::from_secs(2), connecting).await
    });
    let connected: Vec<_> = stream::iter(connecting)
        .buffer_unordered(200)
        .collect()
        .await;
    // A rejected connection is fine.
    let idle: Vec<TcpStream> = connected.into_iter().flatten().flatten().collect();
    let health = client_from(std::net::Ipv4Addr::new(127, 0, 0, 77))?;
    let (latencies, idle_again) = Latencies::of_health_while(&health, &server.url, async {
        account
            .wait_until_idle(Duration::from_secs(25))
            .await
            .unwrap_or(false)
    })
    .await;
    drop(idle);
    account.wait_until_idle(Duration::from_secs(20)).await?;
    Ok(vec![
        Measurement::zero(
            format!("of {} jobs, failed permanently", job_ids.len()),
            count_failed(&account).await,
        ),
        Measurement::zero("attempts counted", attempts_spent(&account).await),
        Measurement::is_true("all jobs ended meanwhile", idle_again),
        Measurement::at_most("longest health check, ms", latencies.longest_ms(), 1000.0),
        Measurement::info("median health check, ms", latencies.median_ms()),
        Measurement::at_most("peak memory, MB", server.peak_memory_mb()?, 600.0),
    ])
}
