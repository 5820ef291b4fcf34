//! Fair scheduling: flooders fill the queue, then a newcomer submits one photo. Measures how many jobs of
//! the flooders are served first.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::AttackContext;
use super::load::millis;
use super::measurement::Measurement;
use super::target_server::TargetServer;
use super::test_account::{Account, expect, text};

const BACKLOG: usize = 60;
const WAIT_LIMIT: Duration = Duration::from_secs(40);

pub(super) async fn one_job_for_the_newcomer(
    context: &AttackContext,
    workers: usize,
    flooders: usize,
) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &["--workers", &workers.to_string()]).await?;
    let eye = context.good_eye()?;
    let newcomer = Account::register(&server.url, "newcomer").await?;
    let photo_id = newcomer.upload(eye.clone()).await?;
    let mut flood = Vec::new();
    for number in 0..flooders {
        flood.push(Account::register(&server.url, &format!("flooder{number}")).await?);
    }
    let flooding = flood.iter().map(async |account| {
        account.submit_many(&eye, BACKLOG / 2).await?;
        // Single jobs have precedence over jobs of batches.
        let photo_id = account.upload(eye.clone()).await?;
        for _ in 0..BACKLOG / 2 {
            account.submit(&photo_id).await?;
        }
        anyhow::Ok(())
    });
    futures_util::future::try_join_all(flooding).await?;
    // Wait until each flooder was served at least once, so that only the newcomer is new.
    let served = Instant::now();
    for account in &flood {
        while account.count("pending").await? == BACKLOG && served.elapsed() < WAIT_LIMIT {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let job = newcomer.submit(&photo_id).await?;
    let first = wait_in_queue(&newcomer, &job, &flood).await?;
    // Again right after having been served, and as a batch, which has lower precedence.
    let body = serde_json::json!({ "photo_ids": [photo_id] });
    let batch = newcomer.post("/processing/batch", &body).await?;
    let batch = expect(batch, reqwest::StatusCode::CREATED).await?;
    let again = wait_in_queue(&newcomer, &batch["jobs"][0], &flood).await?;
    Ok(vec![
        Measurement::at_most(
            "jobs of flooders served first",
            first.flooder_jobs_first,
            workers as f64,
        ),
        Measurement::at_most(
            "reported queue position, error +-",
            first.position_error(),
            1.0,
        ),
        Measurement::info("newcomer's wait, ms", millis(first.wait)),
        Measurement::at_most(
            "jobs served first, after just having been served",
            again.flooder_jobs_first,
            (workers + flooders) as f64,
        ),
        Measurement::at_most(
            "reported queue position then, error +-",
            again.position_error(),
            1.0,
        ),
    ])
}

struct QueueWait {
    flooder_jobs_first: f64,
    reported_position: Option<f64>,
    wait: Duration,
}

impl QueueWait {
    /// Difference between the reported queue position (counted from 1) and the real one; 0 without a
    /// reported position, since the job was then served at once.
    fn position_error(&self) -> f64 {
        self.reported_position.map_or(0.0, |position| {
            (position - 1.0 - self.flooder_jobs_first).abs()
        })
    }
}

async fn wait_in_queue(
    account: &Account,
    job: &Value,
    flood: &[Account],
) -> anyhow::Result<QueueWait> {
    let begun = Instant::now();
    let before = waiting(flood).await?;
    let job_id = text(&job["job_id"])?;
    while account.job(&job_id).await?["status"] == "pending" && begun.elapsed() < WAIT_LIMIT {
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let wait = begun.elapsed();
    let after = waiting(flood).await?;
    account.wait_until_idle(WAIT_LIMIT).await?;
    Ok(QueueWait {
        flooder_jobs_first: before as f64 - after as f64,
        reported_position: job["queue_position"].as_f64(),
        wait,
    })
}

async fn waiting(flood: &[Account]) -> anyhow::Result<usize> {
    let counts = flood.iter().map(|account| account.count("pending"));
    let counts = futures_util::future::try_join_all(counts).await?;
    Ok(counts.into_iter().sum())
}
