//! `cargo xtask bench claims`: latency of a claim from a long queue of many users, compared with a queue
//! that holds only the claimed job; and latency of the reads behind wait estimates on the long queue.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use irisflow_jobs::{Fence, Job, JobResult, PictureFormat, Priority, UserId, WorkerId};

use super::median;
use super::store::{OpenStore, Sqlite};

#[derive(Debug, clap::Args)]
pub(crate) struct ClaimsArgs {
    /// Number of waiting jobs.
    #[arg(long, default_value_t = 100_000)]
    jobs: usize,
    /// Number of users who own them.
    #[arg(long, default_value_t = 1_000)]
    users: usize,
    /// Number of claims to measure per queue.
    #[arg(long, default_value_t = 500)]
    claims: usize,
    /// Parent folder of the database; the system's temp folder by default.
    #[arg(long)]
    folder: Option<PathBuf>,
}

pub(super) async fn run(arguments: ClaimsArgs) -> anyhow::Result<()> {
    let database = Sqlite::new(arguments.folder.as_deref())?;
    let store = database.open().await?;
    let mut users = Vec::new();
    for _ in 0..arguments.users {
        users.push(store.user_with_photo().await?);
    }
    let (user_id, _) = *users.first().context("at least one user")?;

    let mut empty = Vec::new();
    for _ in 0..arguments.claims {
        store.enqueue(&users[..1], 1, Priority::High).await?;
        empty.push(timed_claim(&store, Some(user_id)).await?);
    }
    for round in 0..arguments.jobs.div_ceil(arguments.users) {
        let left = arguments.jobs - round * arguments.users;
        let some = &users[..left.min(arguments.users)];
        store.enqueue(some, 1, Priority::Default).await?;
    }
    let mut full = Vec::new();
    for _ in 0..arguments.claims {
        full.push(timed_claim(&store, None).await?);
    }

    let (empty, full) = (Times::of(empty), Times::of(full));
    println!(
        "claims of {} jobs of {} users; {} of each queue",
        arguments.jobs, arguments.users, arguments.claims
    );
    println!("| queue | median ms | 99th of 100 ms |");
    println!("|---|---|---|");
    for (name, times) in [("empty", &empty), ("full", &full)] {
        println!("| {name} | {:.3} | {:.3} |", times.median_ms, times.p99_ms);
    }
    println!(
        "full against empty: {:.2}",
        full.median_ms / empty.median_ms
    );
    print_estimate_reads(&store, user_id).await
}

/// The reads of the full queue from which wait estimates and queue limits are computed.
async fn print_estimate_reads(store: &OpenStore, user_id: UserId) -> anyhow::Result<()> {
    let jobs = &store.jobs;
    let waiting = jobs.waiting_jobs(user_id).await?;
    let last = waiting.last().context("the user has a job that waits")?.id;
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..100 {
        let begun = Instant::now();
        jobs.queued_users().await?;
        let users = Instant::now();
        jobs.waiting_jobs(user_id).await?;
        let own = Instant::now();
        jobs.own_place(user_id, last).await?;
        let place = Instant::now();
        jobs.queue().await?;
        let moments = [begun, users, own, place, Instant::now()];
        for (times, moments) in times.iter_mut().zip(moments.windows(2)) {
            times.push(moments[1] - moments[0]);
        }
    }
    println!();
    println!("| read of the full queue | median ms | 99th of 100 ms |");
    println!("|---|---|---|");
    let own_jobs = format!("the {} waiting jobs of one user", waiting.len());
    let names = [
        "all users with waiting jobs (cached for all requests)",
        &own_jobs,
        "the queue position of the last of them",
        "the length of the queue",
    ];
    for (name, times) in names.into_iter().zip(times) {
        let times = Times::of(times);
        println!("| {name} | {:.3} | {:.3} |", times.median_ms, times.p99_ms);
    }
    Ok(())
}

/// Claims a job and finishes it; only the claim is timed.
pub(super) async fn timed_claim(store: &OpenStore, of: Option<UserId>) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let claimed = store.jobs.claim_next(WorkerId::generate()).await?;
    let taken = begun.elapsed();
    let job = claimed.context("a job is due")?;
    if of.is_some_and(|user_id| user_id != job.user_id) {
        bail!("the queue was not empty");
    }
    finish(store, &job).await?;
    Ok(taken)
}

async fn finish(store: &OpenStore, job: &Job) -> anyhow::Result<()> {
    let fence = Fence {
        job_id: job.id,
        epoch: job.epoch,
    };
    let result = JobResult {
        epoch: job.epoch,
        width_px: 0,
        height_px: 0,
        processing_time_ms: 0,
        step_ms: [0; 5],
        quality: serde_json::Value::Null,
        quality_score: None,
        quality_message: None,
        stored_bytes: 0,
        has_thumbnail: false,
        format: PictureFormat::Jpeg,
        outline: None,
        alternative: None,
    };
    store.jobs.finish(fence, result).await?;
    Ok(())
}

pub(super) struct Times {
    pub(super) median_ms: f64,
    pub(super) p99_ms: f64,
}

impl Times {
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let p99 = times
            .get(times.len() * 99 / 100)
            .copied()
            .unwrap_or_default();
        Self {
            median_ms: median(times).as_secs_f64() * 1000.0,
            p99_ms: p99.as_secs_f64() * 1000.0,
        }
    }
}
