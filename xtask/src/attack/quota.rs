//! Storage quota: everything on the disk, including unconfirmed uploads and results, counts against it.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::AttackContext;
use super::load::{StatusCounts, send_concurrently};
use super::measurement::Measurement;
use super::target_server::TargetServer;
use super::test_account::Account;
use super::test_photos::{megabytes_below, padded_jpeg};

/// Uploads that are never confirmed.
pub(super) async fn unconfirmed_bytes(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(
        context,
        &["--workers", "1", "--storage-quota-bytes", "1000000"],
    )
    .await?;
    let account = Account::register(&server.url, "owner").await?;
    let photo = padded_jpeg(&context.good_eye()?, 300_000);
    let mut answers = StatusCounts::default();
    for _ in 0..60 {
        // A rejection at creation counts like one at the PUT.
        match account.create_upload("image/jpeg").await {
            Ok(upload) => {
                let status = account.put(&upload, "image/jpeg", photo.clone()).await?;
                answers.add(status.as_u16());
            }
            Err(_) => answers.add(413),
        }
    }
    let stored = megabytes_below(&server.data().join("files"));
    Ok(vec![
        Measurement::at_most("MB stored under a quota of 1 MB", stored, 1.4),
        Measurement::zero("broken or 5xx other than 503", answers.errors()),
        Measurement::info("answers to 60 uploads of 0.3 MB", answers),
    ])
}

/// Concurrent unconfirmed uploads without `Content-Length`.
pub(super) async fn chunked_without_length(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(
        context,
        &["--workers", "1", "--storage-quota-bytes", "1000000"],
    )
    .await?;
    let account = Account::register(&server.url, "owner").await?;
    let mut requests = Vec::new();
    for _ in 0..10 {
        let Ok(upload) = account.create_upload("image/jpeg").await else {
            continue;
        };
        let pieces = (0..80).map(|_| Ok::<_, std::io::Error>(vec![0xAB_u8; 100_000]));
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let put = account.client.put(&upload.upload_url);
        requests.push(put.header("Content-Type", "image/jpeg").body(body));
    }
    let answers = send_concurrently(requests.into_iter(), 10, Duration::from_secs(25)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let stored = megabytes_below(&server.data().join("files"));
    Ok(vec![
        Measurement::at_most("MB stored under a quota of 1 MB", stored, 1.4),
        Measurement::zero(
            "PUTs of 8 MB accepted",
            answers.count(|status| (200..300).contains(&status)),
        ),
        Measurement::info("answers", answers),
    ])
}

/// Photos that are created and never uploaded.
pub(super) async fn rows_without_upload(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    const TRIES: usize = 5000;
    // The rate limit is not under test.
    let fast = ["--user-rate", "100000", "--user-burst", "100000"];
    let server = TargetServer::start(context, &fast).await?;
    let account = Account::register(&server.url, "owner").await?;
    let body = json!({ "content_type": "image/jpeg" });
    let requests = (0..TRIES).map(|_| account.request(Method::POST, "/photos/upload").json(&body));
    let answers = send_concurrently(requests, 64, Duration::from_secs(30)).await;
    Ok(vec![
        Measurement::at_most(
            format!("of {TRIES} created photos, accepted"),
            answers.with(201) as f64,
            1000.0,
        ),
        Measurement::info("answers", answers),
    ])
}

/// Results count against the quota.
pub(super) async fn results(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(
        context,
        &["--workers", "1", "--storage-quota-bytes", "3000000"],
    )
    .await?;
    let account = Account::register(&server.url, "owner").await?;
    let photo_id = account.upload(context.good_eye()?).await?;
    let mut answers = StatusCounts::default();
    for _ in 0..15 {
        let answer = account
            .post("/processing/submit", &json!({ "photo_id": photo_id }))
            .await?;
        answers.add(answer.status().as_u16());
        account.wait_until_idle(Duration::from_secs(10)).await?;
    }
    let stored = megabytes_below(&server.data().join("files"));
    Ok(vec![
        Measurement::at_most("MB stored under a quota of 3 MB", stored, 4.0),
        Measurement::info("answers to 15 submits", answers),
    ])
}
