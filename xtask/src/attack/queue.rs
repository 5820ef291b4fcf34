//! A queue of thousands: what looking at it costs, and costs others.

use std::time::{Duration, Instant};

use super::Scene;
use super::account::Account;
use super::crowds::Latencies;
use super::finding::Finding;
use super::victim::Victim;

pub(super) async fn list_of_a_long_queue(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    const JOBS: usize = 4900;
    const LISTS: usize = 20;
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let other = Account::register(&victim.url, "other").await?;
    let begun = Instant::now();
    account.submit_many(&scene.good_eye()?, JOBS).await?;
    let queueing = begun.elapsed();
    let quiet = latencies_of(&other, Duration::from_secs(2)).await?;
    let lists = async {
        let mut lists = Latencies::default();
        for _ in 0..LISTS {
            let begun = Instant::now();
            account
                .get("/processing/jobs?page_size=100&status=pending")
                .await?;
            lists.add(begun.elapsed());
        }
        anyhow::Ok(lists)
    };
    let (lists, meanwhile) = tokio::join!(lists, latencies_of(&other, Duration::from_secs(2)));
    let (lists, meanwhile) = (lists?, meanwhile?);
    Ok(vec![
        Finding::note(
            "seconds to queue 4,900 jobs",
            format!("{:.1}", queueing.as_secs_f64()),
        ),
        Finding::at_most("a list of 100, middle, ms", lists.median_ms(), 50.0),
        Finding::note("a list of 100, longest, ms", lists.longest_ms()),
        Finding::note("another's request before, middle, ms", quiet.median_ms()),
        Finding::at_most(
            "another's request meanwhile, middle, ms",
            meanwhile.median_ms(),
            20.0,
        ),
    ])
}

async fn latencies_of(account: &Account, time: Duration) -> anyhow::Result<Latencies> {
    let (begun, mut latencies) = (Instant::now(), Latencies::default());
    while begun.elapsed() < time {
        let asked = Instant::now();
        account.get("/users/me").await?;
        latencies.add(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(latencies)
}
