//! Readiness probe and start of a server that cannot serve: full disk, damaged database.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::AttackContext;
use super::measurement::Measurement;
use super::outage::readiness;
use super::target_server::{ServerConfig, TargetServer};
use super::test_account::Account;

/// On a full disk the readiness must agree with the responses to submits.
pub(super) async fn on_a_full_disk(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let config = ServerConfig::new(context, &["--workers", "1"])?;
    let disk = config.mount_data(700)?;
    let server = config.start().await?;
    let account = Account::register(&server.url, "owner").await?;
    let photo_id = account.upload(context.good_eye()?).await?;
    disk.fill()?;
    let (mut refused, mut wrongly_ready, mut unexpected) = (0, 0, 0);
    for _ in 0..30 {
        let answer = account
            .post("/processing/submit", &json!({ "photo_id": photo_id }))
            .await?;
        let submitted = answer.status().as_u16();
        let ready = readiness(&account).await;
        refused += usize::from(submitted == 503);
        unexpected += usize::from(submitted != 503 && submitted != 201);
        wrongly_ready += usize::from(submitted == 503 && ready == 200);
    }
    disk.empty()?;
    let begun = Instant::now();
    while readiness(&account).await != 200 && begun.elapsed() < Duration::from_secs(15) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(vec![
        Measurement::info("of 30 submits, answered 503", refused),
        Measurement::zero("other responses", unexpected),
        Measurement::zero("with readiness 200", wrongly_ready),
        Measurement::at_most(
            "seconds until ready again",
            begun.elapsed().as_secs_f64(),
            10.0,
        ),
    ])
}

/// Overwrites parts of the database of a running server.
pub(super) async fn with_a_damaged_database(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    let mut server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    account.submit_many(&context.good_eye()?, 5).await?;
    account.wait_until_idle(Duration::from_secs(20)).await?;
    let database = server.data().join("irisflow.sqlite");
    // Header and schema stay intact, so that the database opens.
    damage(&database, 0.02, 1.0)?;
    let begun = Instant::now();
    let mut status = readiness(&account).await;
    while status == 200 && begun.elapsed() < Duration::from_secs(15) {
        // Use the database meanwhile.
        let _ = account.get("/users/me").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        status = readiness(&account).await;
    }
    let ended = !server.is_alive();
    Ok(vec![
        Measurement::is_true("not ready, or ended", status == 503 || ended),
        Measurement::at_most("seconds until then", begun.elapsed().as_secs_f64(), 10.0),
    ])
}

/// A database that was damaged while the server was stopped.
pub(super) async fn damaged_before_the_start(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    let mut measurements = Vec::new();
    for (what, from, to) in [
        ("its header", 0.0, 0.004),
        ("pages in its middle", 0.3, 0.7),
        ("all but its header", 0.02, 1.0),
    ] {
        let server = TargetServer::start(context, &["--workers", "1"]).await?;
        let account = Account::register(&server.url, "owner").await?;
        account.submit_many(&context.good_eye()?, 10).await?;
        account.wait_until_idle(Duration::from_secs(20)).await?;
        let (_, config) = server.stop().await?;
        damage(&config.data().join("irisflow.sqlite"), from, to)?;
        let start = config.try_to_start(Duration::from_secs(5)).await?;
        let refuses = start.exit_code.is_some_and(|code| code != 0) && !start.announced;
        measurements.push(Measurement::is_true(
            format!("damaged in {what}: refuses to start"),
            refuses,
        ));
        let sentence = start.log.lines().last().unwrap_or_default();
        measurements.push(Measurement::info(
            format!("damaged in {what}: last log line"),
            sentence
                .chars()
                .take(160)
                .collect::<String>()
                .replace('|', "/"),
        ));
    }
    Ok(measurements)
}

/// Overwrites a part of a file (shares of its length, 0 to 1) with noise; the length stays the same.
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
