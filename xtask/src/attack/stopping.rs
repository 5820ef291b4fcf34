//! SIGTERM, again and again, at random moments of a busy queue.

use std::time::Duration;

use rand::RngExt as _;

use super::Scene;
use super::account::Account;
use super::finding::Finding;
use super::victim::Recipe;

const STOPS: usize = 40;

pub(super) async fn at_random_moments(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let arguments = [
        "--workers",
        "2",
        "--drain-grace-ms",
        "50",
        "--lease-ms",
        "3000",
    ];
    let recipe = Recipe::new(scene, &arguments)?;
    let mut victim = recipe.start().await?;
    let mut account = Account::register(&victim.url, "owner").await?;
    let photo_id = account.upload(scene.good_eye()?).await?;
    let mut ended_badly = 0;
    let mut submitted = 0;
    for _ in 0..STOPS {
        account.submit(&photo_id).await?;
        submitted += 1;
        // Around the moment at which a worker claims it.
        let moment = rand::rng().random_range(0..12_000);
        tokio::time::sleep(Duration::from_micros(moment)).await;
        let (status, recipe) = victim.stop().await?;
        ended_badly += usize::from(!status.success());
        victim = recipe.start().await?;
        account.url.clone_from(&victim.url);
    }
    let all_ended = account.until_idle(Duration::from_secs(60)).await?;
    let jobs = account.jobs().await?;
    let spent: u64 = jobs
        .iter()
        .filter_map(|job| job["attempt_count"].as_u64())
        .sum();
    let log = recipe.log();
    let panics = log.matches("panicked").count();
    let lost = log.matches("lost").count();
    Ok(vec![
        Finding::none(format!("of {STOPS} stops, ended badly"), ended_badly),
        Finding::none("restarts counted against jobs", usize::try_from(spent)?),
        Finding::none("panics in the log", panics),
        Finding::note("lines of the log that say lost", lost),
        Finding::that("all jobs ended", all_ended),
        Finding::is(
            "jobs completed",
            account.count("completed").await?,
            submitted,
        ),
    ])
}
