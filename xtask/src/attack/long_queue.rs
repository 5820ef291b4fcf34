//! Latency of job lists on a queue of thousands of jobs, for its owner and for other accounts.

use std::time::{Duration, Instant};

use super::AttackContext;
use super::load::Latencies;
use super::measurement::Measurement;
use super::target_server::TargetServer;
use super::test_account::Account;

pub(super) async fn list_of_a_long_queue(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    const JOBS: usize = 4900;
    const LISTS: usize = 20;
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    let other = Account::register(&server.url, "other").await?;
    let begun = Instant::now();
    account.submit_many(&context.good_eye()?, JOBS).await?;
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
        Measurement::info(
            "seconds to queue 4,900 jobs",
            format!("{:.1}", queueing.as_secs_f64()),
        ),
        Measurement::at_most("a list of 100, median, ms", lists.median_ms(), 50.0),
        Measurement::info("a list of 100, longest, ms", lists.longest_ms()),
        Measurement::info("another's request before, median, ms", quiet.median_ms()),
        Measurement::at_most(
            "another's request meanwhile, median, ms",
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
