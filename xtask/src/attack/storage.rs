//! Consistency of stored files: overwritten, damaged, removed and orphaned objects.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::AttackContext;
use super::measurement::Measurement;
use super::raw_connection;
use super::target_server::TargetServer;
use super::test_account::{Account, expect, text};
use super::test_photos::{files_below, padded_jpeg};

/// Confirm, PUT another photo to the same URL, confirm again: row and object must stay consistent.
pub(super) async fn swap_between_confirms(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    // Decoding the first photo takes a while, during which the second arrives.
    let first = padded_jpeg(&context.good_eye()?, 20 << 20);
    let second = std::fs::read(context.photos.join("pixabay_eye_3221498_gray.jpg"))?;
    let mut photo_ids = Vec::new();
    for number in 0..20 {
        let upload = account.create_upload("image/jpeg").await?;
        account.put(&upload, "image/jpeg", first.clone()).await?;
        let swap = async {
            tokio::time::sleep(Duration::from_millis(number * 3)).await;
            account.put(&upload, "image/jpeg", second.clone()).await?;
            account.confirm(&upload.photo_id).await
        };
        let (confirm, swapped) = tokio::join!(account.confirm(&upload.photo_id), swap);
        confirm?;
        swapped?;
        photo_ids.push(upload.photo_id);
    }
    let mut differ = 0;
    for photo_id in &photo_ids {
        let photo = account.get(&format!("/photos/{photo_id}")).await?;
        let link = text(&photo["original_url"]).context("an original")?;
        let object = account.client.get(link).send().await?.bytes().await?;
        differ += usize::from(photo["file_size"].as_u64() != Some(object.len() as u64));
    }
    let (code, stderr) = back_up(&server).await?;
    Ok(vec![
        Measurement::zero("of 20 photos, row and object differ", differ),
        Measurement::equals("exit code of irisflow backup", code, 0),
        Measurement::info("its last line", last_line(&stderr)),
    ])
}

/// One damaged original must not prevent the backup of all others.
pub(super) async fn backup_of_a_damaged_object(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    use std::os::unix::fs::PermissionsExt as _;
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    for _ in 0..3 {
        account.upload(context.good_eye()?).await?;
    }
    let originals = files_below(&server.data().join("files/objects/iris"));
    let (damaged, _) = originals
        .iter()
        .max_by_key(|(_, size)| *size)
        .context("an original")?;
    std::fs::write(damaged, b"not a photo any more")?;
    let (code, stderr) = back_up(&server).await?;
    let out = server.config().extra_path("backup");
    let copied = files_below(&out).len();
    let secrets = std::fs::metadata(out.join("secrets.json"));
    let mode = secrets.map_or(0, |metadata| metadata.permissions().mode() & 0o777);
    Ok(vec![
        Measurement::is_true("the backup completes", copied > 3),
        Measurement::is_true("with a distinct exit code", !matches!(code, 0 | 1)),
        Measurement::info(
            "exit code and last line",
            format!("{code}, {}", last_line(&stderr)),
        ),
        Measurement::equals("mode of its secrets", format!("{mode:o}"), "600"),
    ])
}

async fn back_up(server: &TargetServer) -> anyhow::Result<(i32, String)> {
    let (data, out) = (server.data(), server.config().extra_path("backup"));
    let arguments = [
        "backup",
        "--data-dir",
        &data.to_string_lossy(),
        &out.to_string_lossy(),
    ];
    server.config().command(&arguments).await
}

fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.chars().take(140).collect::<String>().replace('|', "/")
}

/// Clients that disconnect during a confirm must leave no object without a row.
pub(super) async fn hang_up_during_confirm(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    const TRIES: u64 = 40;
    let arguments = [
        "--workers",
        "1",
        "--upload-url-ms",
        "3000",
        "--lease-ms",
        "2000",
    ];
    let server = TargetServer::start(context, &arguments).await?;
    let account = Account::register(&server.url, "owner").await?;
    let photo = padded_jpeg(&context.good_eye()?, 2 << 20);
    let to = server.address()?;
    for number in 0..TRIES {
        let upload = account.create_upload("image/jpeg").await?;
        account.put(&upload, "image/jpeg", photo.clone()).await?;
        let request = format!(
            "POST /api/v1/photos/{}/confirm HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
            upload.photo_id, account.token
        );
        let mut stream = raw_connection::connect_from(account.from, to).await?;
        stream.write_all(request.as_bytes()).await?;
        tokio::time::sleep(Duration::from_micros(number * 1500)).await;
        raw_connection::reset(stream);
    }
    let begun = Instant::now();
    let mut orphans = orphans(&account, &server).await?;
    while orphans > 0 && begun.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        orphans = self::orphans(&account, &server).await?;
    }
    Ok(vec![
        Measurement::zero(
            format!("after {TRIES} disconnects and the sweeps, objects without a row"),
            orphans,
        ),
        Measurement::info(
            "seconds until they were swept",
            format!("{:.1}", begun.elapsed().as_secs_f64()),
        ),
    ])
}

/// Number of stored originals and thumbnails without a confirmed photo.
async fn orphans(account: &Account, server: &TargetServer) -> anyhow::Result<usize> {
    let listed = account.get("/photos?page_size=100").await?;
    let photos = listed["items"].as_array().context("photos")?;
    let confirmed: Vec<&str> = photos
        .iter()
        .filter(|photo| photo["upload_status"] == "uploaded")
        .filter_map(|photo| photo["id"].as_str())
        .collect();
    // Of several originals of one photo, all but the recorded one are orphans.
    let recorded: Vec<&str> = photos
        .iter()
        .filter_map(|photo| photo["s3_key"].as_str())
        .collect();
    let stored = files_below(&server.data().join("files/objects/iris"));
    let orphan = |path: &std::path::Path| {
        let path = path.to_string_lossy();
        let is_thumbnail = path.contains("thumb");
        let has_row = confirmed.iter().any(|id| path.contains(id));
        !has_row || (!is_thumbnail && !recorded.iter().any(|key| path.ends_with(key)))
    };
    Ok(stored.iter().filter(|(path, _)| orphan(path)).count())
}

/// A PUT that continues after its account was deleted and its URL has expired.
pub(super) async fn put_outlives_the_account(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    let arguments = [
        "--workers",
        "1",
        "--upload-url-ms",
        "2500",
        "--lease-ms",
        "1500",
    ];
    let server = TargetServer::start(context, &arguments).await?;
    let account = Account::register(&server.url, "owner").await?;
    let upload = account.create_upload("image/jpeg").await?;
    let (sender, receiver) = body_channel();
    let putting = account.put(&upload, "image/jpeg", reqwest::Body::wrap_stream(receiver));
    let deletion = async {
        sender.send(vec![0xFF; 1 << 16]).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let answer = account
            .request(Method::DELETE, "/users/me")
            .json(&json!({ "confirm": true }))
            .send()
            .await?;
        expect(answer, StatusCode::OK).await?;
        // Longer than URLs and leases last.
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            // The server may have closed the connection.
            let _ = sender.send(vec![0xFF; 1 << 16]).await;
        }
        drop(sender);
        anyhow::Ok(())
    };
    let (put, deleted) = tokio::join!(putting, deletion);
    deleted?;
    let begun = Instant::now();
    let files = server.data().join("files");
    while !files_below(&files).is_empty() && begun.elapsed() < Duration::from_secs(15) {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let left: Vec<String> = files_below(&files)
        .iter()
        .map(|(path, size)| {
            format!(
                "{} ({size} bytes)",
                path.file_name()
                    .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
            )
        })
        .collect();
    Ok(vec![
        Measurement::zero("remaining files of the deleted account", left.len()),
        Measurement::info("status of the PUT", put.map_or(0, |status| status.as_u16())),
    ])
}

type Chunk = Result<Vec<u8>, std::io::Error>;

#[derive(Debug)]
struct ChunkSender(tokio::sync::mpsc::Sender<Chunk>);

impl ChunkSender {
    async fn send(&self, chunk: Vec<u8>) -> anyhow::Result<()> {
        self.0
            .send(Ok(chunk))
            .await
            .context("the request has ended")
    }
}

/// A streamed request body with the sender for its chunks.
fn body_channel() -> (
    ChunkSender,
    impl futures_util::Stream<Item = Chunk> + Send + 'static,
) {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let stream = futures_util::stream::unfold(receiver, async |mut receiver| {
        let chunk = receiver.recv().await?;
        Some((chunk, receiver))
    });
    (ChunkSender(sender), stream)
}

/// A completed job whose result was deleted from the disk.
pub(super) async fn result_removed(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    let photo_id = account.upload(context.good_eye()?).await?;
    let job_id = text(&account.submit(&photo_id).await?["job_id"])?;
    account.wait_until_idle(Duration::from_secs(15)).await?;
    for (path, _) in files_below(&server.data().join("files/objects/processed")) {
        std::fs::remove_file(path)?;
    }
    let job = account.job(&job_id).await?;
    let offers = job["result_url"].is_string();
    Ok(vec![
        Measurement::is_true("no URL of the missing result", !offers),
        Measurement::info(
            "status and code",
            format!("{} {}", job["status"], job["error_code"]),
        ),
        Measurement::is_true(
            "with a suggestion",
            !offers && job["suggestion"].is_string(),
        ),
    ])
}

/// A submit repeated with the same idempotency key after its photo has expired.
pub(super) async fn key_after_expiry(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let arguments = ["--workers", "1", "--keep-originals-ms", "1500"];
    let server = TargetServer::start(context, &arguments).await?;
    let account = Account::register(&server.url, "owner").await?;
    let photo_id = account.upload(context.good_eye()?).await?;
    let submit = async || {
        let request = account.request(Method::POST, "/processing/submit");
        let request = request.header("Idempotency-Key", "one-tap");
        let answer = request
            .json(&json!({ "photo_id": photo_id }))
            .send()
            .await?;
        let status = answer.status().as_u16();
        let body: serde_json::Value = answer.json().await.unwrap_or_default();
        anyhow::Ok((status, body["job_id"].as_str().map(str::to_owned)))
    };
    let (first, job_id) = submit().await?;
    let begun = Instant::now();
    let mut expired = false;
    // Expiry runs once a minute.
    while !expired && begun.elapsed() < Duration::from_secs(75) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let photo = account.get(&format!("/photos/{photo_id}")).await?;
        expired = photo["upload_status"] == "expired";
    }
    let (again, same_job_id) = submit().await?;
    Ok(vec![
        Measurement::is_true("the photo has expired", expired),
        Measurement::equals("status of the first submit", first, 201),
        Measurement::equals("status of the retry", again, 201),
        Measurement::is_true("the same job", job_id.is_some() && job_id == same_job_id),
    ])
}
