//! Flooders fill the queue, then a newcomer submits one photo: how many jobs go first?

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Scene;
use super::account::{Account, expect, text};
use super::crowds::millis;
use super::finding::Finding;
use super::victim::Victim;

const BACKLOG: usize = 60;
const PATIENCE: Duration = Duration::from_secs(40);

pub(super) async fn one_job_for_the_newcomer(
    scene: &Scene,
    workers: usize,
    flooders: usize,
) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &["--workers", &workers.to_string()]).await?;
    let eye = scene.good_eye()?;
    let newcomer = Account::register(&victim.url, "newcomer").await?;
    let photo_id = newcomer.upload(eye.clone()).await?;
    let mut flood = Vec::new();
    for number in 0..flooders {
        flood.push(Account::register(&victim.url, &format!("flooder{number}")).await?);
    }
    let flooding = flood.iter().map(async |account| {
        account.submit_many(&eye, BACKLOG / 2).await?;
        // One by one they are more urgent than in batches.
        let photo_id = account.upload(eye.clone()).await?;
        for _ in 0..BACKLOG / 2 {
            account.submit(&photo_id).await?;
        }
        anyhow::Ok(())
    });
    futures_util::future::try_join_all(flooding).await?;
    // Each flooder is served at least once, so that the newcomer is the only new one.
    let served = Instant::now();
    for account in &flood {
        while account.count("pending").await? == BACKLOG && served.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let job = newcomer.submit(&photo_id).await?;
    let first = wait_in_line(&newcomer, &job, &flood).await?;
    // Again, right after having been served, and as a batch, which is less urgent.
    let body = serde_json::json!({ "photo_ids": [photo_id] });
    let batch = newcomer.post("/processing/batch", &body).await?;
    let batch = expect(batch, reqwest::StatusCode::CREATED).await?;
    let again = wait_in_line(&newcomer, &batch["jobs"][0], &flood).await?;
    Ok(vec![
        Finding::at_most(
            "jobs of flooders that went first",
            first.overtaken_by,
            workers as f64,
        ),
        Finding::at_most(
            "place told, minus the real one, +-",
            first.place_error(),
            1.0,
        ),
        Finding::note("newcomer's wait, ms", millis(first.wait)),
        Finding::at_most(
            "jobs that went first, when served just before",
            again.overtaken_by,
            (workers + flooders) as f64,
        ),
        Finding::at_most(
            "place told then, minus the real one, +-",
            again.place_error(),
            1.0,
        ),
    ])
}

struct Line {
    overtaken_by: f64,
    told_place: Option<f64>,
    wait: Duration,
}

impl Line {
    /// Place 1 is next; somebody who was told nothing was served at once.
    fn place_error(&self) -> f64 {
        self.told_place
            .map_or(0.0, |place| (place - 1.0 - self.overtaken_by).abs())
    }
}

async fn wait_in_line(account: &Account, job: &Value, flood: &[Account]) -> anyhow::Result<Line> {
    let begun = Instant::now();
    let before = waiting(flood).await?;
    let job_id = text(&job["job_id"])?;
    while account.job(&job_id).await?["status"] == "pending" && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let wait = begun.elapsed();
    let after = waiting(flood).await?;
    account.until_idle(PATIENCE).await?;
    Ok(Line {
        overtaken_by: before as f64 - after as f64,
        told_place: job["queue_position"].as_f64(),
        wait,
    })
}

async fn waiting(flood: &[Account]) -> anyhow::Result<usize> {
    let counts = flood.iter().map(|account| account.count("pending"));
    let counts = futures_util::future::try_join_all(counts).await?;
    Ok(counts.into_iter().sum())
}
