//! Graceful shutdown (SIGTERM) at random moments around the claim of a job, many times.

use std::time::Duration;

use rand::RngExt as _;

use super::AttackContext;
use super::measurement::Measurement;
use super::target_server::ServerConfig;
use super::test_account::Account;

const STOPS: usize = 40;

pub(super) async fn at_random_moments(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let arguments = [
        "--workers",
        "2",
        "--drain-grace-ms",
        "50",
        "--lease-ms",
        "3000",
    ];
    let config = ServerConfig::new(context, &arguments)?;
    let mut server = config.start().await?;
    let mut account = Account::register(&server.url, "owner").await?;
    let photo_id = account.upload(context.good_eye()?).await?;
    let mut ended_badly = 0;
    let mut submitted = 0;
    for _ in 0..STOPS {
        account.submit(&photo_id).await?;
        submitted += 1;
        // Around the moment at which a worker claims the job.
        let moment = rand::rng().random_range(0..12_000);
        tokio::time::sleep(Duration::from_micros(moment)).await;
        let (status, config) = server.stop().await?;
        ended_badly += usize::from(!status.success());
        server = config.start().await?;
        account.url.clone_from(&server.url);
    }
    let all_ended = account.wait_until_idle(Duration::from_secs(60)).await?;
    let jobs = account.jobs().await?;
    let spent: u64 = jobs
        .iter()
        .filter_map(|job| job["attempt_count"].as_u64())
        .sum();
    let log = config.log();
    let panics = log.matches("panicked").count();
    let lost = log.matches("lost").count();
    Ok(vec![
        Measurement::zero(format!("of {STOPS} shutdowns, failed"), ended_badly),
        Measurement::zero("restarts counted against jobs", usize::try_from(spent)?),
        Measurement::zero("panics in the log", panics),
        Measurement::info("log lines with the word lost", lost),
        Measurement::is_true("all jobs ended", all_ended),
        Measurement::equals(
            "jobs completed",
            account.count("completed").await?,
            submitted,
        ),
    ])
}
