//! Storage: everything that lies on the disk belongs to somebody's quota.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::Scene;
use super::account::Account;
use super::crowds::{Answers, all_at_once};
use super::finding::Finding;
use super::photos::{megabytes_below, padded_jpeg};
use super::victim::Victim;

/// Uploads that are never confirmed.
pub(super) async fn unconfirmed_bytes(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(
        scene,
        &["--workers", "1", "--storage-quota-bytes", "1000000"],
    )
    .await?;
    let account = Account::register(&victim.url, "owner").await?;
    let photo = padded_jpeg(&scene.good_eye()?, 300_000);
    let mut answers = Answers::default();
    for _ in 0..60 {
        // Refused already when it is announced is as good.
        match account.announce("image/jpeg").await {
            Ok(announced) => {
                let status = account.put(&announced, "image/jpeg", photo.clone()).await?;
                answers.add(status.as_u16());
            }
            Err(_) => answers.add(413),
        }
    }
    let stored = megabytes_below(&victim.data().join("files"));
    Ok(vec![
        Finding::at_most("MB stored under a quota of 1 MB", stored, 1.4),
        Finding::none("broken or 5xx other than 503", answers.bad()),
        Finding::note("answers to 60 uploads of 0.3 MB", answers),
    ])
}

/// The same, at the same moment and without saying how long they are.
pub(super) async fn chunked_without_length(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(
        scene,
        &["--workers", "1", "--storage-quota-bytes", "1000000"],
    )
    .await?;
    let account = Account::register(&victim.url, "owner").await?;
    let mut requests = Vec::new();
    for _ in 0..10 {
        let Ok(announced) = account.announce("image/jpeg").await else {
            continue;
        };
        let pieces = (0..80).map(|_| Ok::<_, std::io::Error>(vec![0xAB_u8; 100_000]));
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let put = account.client.put(&announced.upload_url);
        requests.push(put.header("Content-Type", "image/jpeg").body(body));
    }
    let answers = all_at_once(requests.into_iter(), 10, Duration::from_secs(25)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let stored = megabytes_below(&victim.data().join("files"));
    Ok(vec![
        Finding::at_most("MB stored under a quota of 1 MB", stored, 1.4),
        Finding::none(
            "PUTs of 8 MB taken",
            answers.count(|status| (200..300).contains(&status)),
        ),
        Finding::note("answers", answers),
    ])
}

/// Photos that are announced and never come.
pub(super) async fn announced_rows(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    const TRIES: usize = 5000;
    // How often it may ask is not what is tried here.
    let fast = ["--user-rate", "100000", "--user-burst", "100000"];
    let victim = Victim::start(scene, &fast).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let body = json!({ "content_type": "image/jpeg" });
    let requests = (0..TRIES).map(|_| account.request(Method::POST, "/photos/upload").json(&body));
    let answers = all_at_once(requests, 64, Duration::from_secs(30)).await;
    Ok(vec![
        Finding::at_most(
            format!("of {TRIES} announcements, taken"),
            answers.with(201) as f64,
            1000.0,
        ),
        Finding::note("answers", answers),
    ])
}

/// Results count as well.
pub(super) async fn results(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(
        scene,
        &["--workers", "1", "--storage-quota-bytes", "3000000"],
    )
    .await?;
    let account = Account::register(&victim.url, "owner").await?;
    let photo_id = account.upload(scene.good_eye()?).await?;
    let mut answers = Answers::default();
    for _ in 0..15 {
        let answer = account
            .post("/processing/submit", &json!({ "photo_id": photo_id }))
            .await?;
        answers.add(answer.status().as_u16());
        account.until_idle(Duration::from_secs(10)).await?;
    }
    let stored = megabytes_below(&victim.data().join("files"));
    Ok(vec![
        Finding::at_most("MB stored under a quota of 3 MB", stored, 4.0),
        Finding::note("answers to 15 submits", answers),
    ])
}
