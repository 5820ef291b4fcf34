//! What the server says of itself when it cannot serve.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Scene;
use super::account::Account;
use super::finding::Finding;
use super::outage::readiness;
use super::victim::{Recipe, Victim};

/// Everything full: what is told must fit what is done.
pub(super) async fn on_a_full_disk(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let recipe = Recipe::new(scene, &["--workers", "1"])?;
    let disk = recipe.mount_data(700)?;
    let victim = recipe.start().await?;
    let account = Account::register(&victim.url, "owner").await?;
    let photo_id = account.upload(scene.good_eye()?).await?;
    disk.fill()?;
    let (mut refused, mut lies, mut odd) = (0, 0, 0);
    for _ in 0..30 {
        let answer = account
            .post("/processing/submit", &json!({ "photo_id": photo_id }))
            .await?;
        let submitted = answer.status().as_u16();
        let ready = readiness(&account).await;
        refused += usize::from(submitted == 503);
        odd += usize::from(submitted != 503 && submitted != 201);
        lies += usize::from(submitted == 503 && ready == 200);
    }
    disk.empty()?;
    let begun = Instant::now();
    while readiness(&account).await != 200 && begun.elapsed() < Duration::from_secs(15) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(vec![
        Finding::note("of 30 submits, answered 503", refused),
        Finding::none("answered otherwise, and not taken", odd),
        Finding::none("ready all the same", lies),
        Finding::at_most(
            "seconds until ready again",
            begun.elapsed().as_secs_f64(),
            10.0,
        ),
    ])
}

/// Noise over the database of a running server.
pub(super) async fn with_a_damaged_database(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let mut victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    account.submit_many(&scene.good_eye()?, 5).await?;
    account.until_idle(Duration::from_secs(20)).await?;
    let database = victim.data().join("irisflow.sqlite");
    // The header and the schema stay: it opens.
    damage(&database, 0.02, 1.0)?;
    let begun = Instant::now();
    let mut said = readiness(&account).await;
    while said == 200 && begun.elapsed() < Duration::from_secs(15) {
        // Somebody tries to use it meanwhile.
        let _ = account.get("/users/me").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        said = readiness(&account).await;
    }
    let ended = !victim.is_alive();
    Ok(vec![
        Finding::that("not ready, or ended", said == 503 || ended),
        Finding::at_most(
            "seconds until it said so",
            begun.elapsed().as_secs_f64(),
            10.0,
        ),
    ])
}

/// A database that was damaged while the server was down.
pub(super) async fn damaged_before_the_start(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (what, from, to) in [
        ("its header", 0.0, 0.004),
        ("pages in its middle", 0.3, 0.7),
        ("all but its header", 0.02, 1.0),
    ] {
        let victim = Victim::start(scene, &["--workers", "1"]).await?;
        let account = Account::register(&victim.url, "owner").await?;
        account.submit_many(&scene.good_eye()?, 10).await?;
        account.until_idle(Duration::from_secs(20)).await?;
        let (_, recipe) = victim.stop().await?;
        damage(&recipe.data().join("irisflow.sqlite"), from, to)?;
        let start = recipe.try_to_start(Duration::from_secs(5)).await?;
        let refuses = start.exit_code.is_some_and(|code| code != 0) && !start.announced;
        findings.push(Finding::that(
            format!("damaged in {what}: refuses to start"),
            refuses,
        ));
        let sentence = start.log.lines().last().unwrap_or_default();
        findings.push(Finding::note(
            format!("damaged in {what}: last words"),
            sentence
                .chars()
                .take(160)
                .collect::<String>()
                .replace('|', "/"),
        ));
    }
    Ok(findings)
}

/// Noise over a part of a file; its length stays.
fn damage(path: &Path, from: f64, to: f64) -> anyhow::Result<()> {
    let Ok(mut file) = std::fs::File::options().write(true).open(path) else {
        return Ok(());
    };
    let length = file.metadata()?.len() as f64;
    let (from, to) = ((length * from) as u64, (length * to) as u64);
    file.seek(SeekFrom::Start(from))?;
    let noise: Vec<u8> = (from..to)
        .map(|at| (at.wrapping_mul(167) >> 3) as u8)
        .collect();
    file.write_all(&noise)?;
    file.sync_all()?;
    Ok(())
}
