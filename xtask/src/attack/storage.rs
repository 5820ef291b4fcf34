//! Files that vanish, change under the server's hands, or outlive their owner.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::Scene;
use super::account::{Account, expect, text};
use super::finding::Finding;
use super::photos::{files_below, padded_jpeg};
use super::victim::Victim;
use super::wire;

/// Confirm, PUT another photo to the same URL, confirm again: row and object must stay one.
pub(super) async fn swap_between_confirms(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    // Reading the first takes a while, in which the second arrives.
    let first = padded_jpeg(&scene.good_eye()?, 20 << 20);
    let second = std::fs::read(scene.photos.join("pixabay_eye_3221498_gray.jpg"))?;
    let mut photo_ids = Vec::new();
    for number in 0..20 {
        let announced = account.announce("image/jpeg").await?;
        account.put(&announced, "image/jpeg", first.clone()).await?;
        let swap = async {
            tokio::time::sleep(Duration::from_millis(number * 3)).await;
            account
                .put(&announced, "image/jpeg", second.clone())
                .await?;
            account.confirm(&announced.photo_id).await
        };
        let (confirm, swapped) = tokio::join!(account.confirm(&announced.photo_id), swap);
        confirm?;
        swapped?;
        photo_ids.push(announced.photo_id);
    }
    let mut differ = 0;
    for photo_id in &photo_ids {
        let photo = account.get(&format!("/photos/{photo_id}")).await?;
        let link = text(&photo["original_url"]).context("an original")?;
        let object = account.client.get(link).send().await?.bytes().await?;
        differ += usize::from(photo["file_size"].as_u64() != Some(object.len() as u64));
    }
    let (code, words) = back_up(&victim).await?;
    Ok(vec![
        Finding::none("of 20 photos, row and object differ", differ),
        Finding::is("exit code of irisflow backup", code, 0),
        Finding::note("its last words", last_line(&words)),
    ])
}

/// One damaged original must not keep everybody else's from the backup.
pub(super) async fn backup_of_a_damaged_object(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    use std::os::unix::fs::PermissionsExt as _;
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    for _ in 0..3 {
        account.upload(scene.good_eye()?).await?;
    }
    let originals = files_below(&victim.data().join("files/objects/iris"));
    let (damaged, _) = originals
        .iter()
        .max_by_key(|(_, size)| *size)
        .context("an original")?;
    std::fs::write(damaged, b"not a photo any more")?;
    let (code, words) = back_up(&victim).await?;
    let out = victim.recipe().aside("backup");
    let copied = files_below(&out).len();
    let secrets = std::fs::metadata(out.join("secrets.json"));
    let mode = secrets.map_or(0, |metadata| metadata.permissions().mode() & 0o777);
    Ok(vec![
        Finding::that("the backup is made all the same", copied > 3),
        Finding::that("with an exit code of its own", !matches!(code, 0 | 1)),
        Finding::note(
            "exit code and last words",
            format!("{code}, {}", last_line(&words)),
        ),
        Finding::is("mode of its secrets", format!("{mode:o}"), "600"),
    ])
}

async fn back_up(victim: &Victim) -> anyhow::Result<(i32, String)> {
    let (data, out) = (victim.data(), victim.recipe().aside("backup"));
    let arguments = [
        "backup",
        "--data-dir",
        &data.to_string_lossy(),
        &out.to_string_lossy(),
    ];
    victim.recipe().command(&arguments).await
}

fn last_line(words: &str) -> String {
    let line = words.lines().last().unwrap_or_default();
    line.chars().take(140).collect::<String>().replace('|', "/")
}

/// Clients that hang up while their photo is taken in: no object without a row.
pub(super) async fn hang_up_during_confirm(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    const TRIES: u64 = 40;
    let arguments = [
        "--workers",
        "1",
        "--upload-url-ms",
        "3000",
        "--lease-ms",
        "2000",
    ];
    let victim = Victim::start(scene, &arguments).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let photo = padded_jpeg(&scene.good_eye()?, 2 << 20);
    let to = victim.address()?;
    for number in 0..TRIES {
        let announced = account.announce("image/jpeg").await?;
        account.put(&announced, "image/jpeg", photo.clone()).await?;
        let request = format!(
            "POST /api/v1/photos/{}/confirm HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
            announced.photo_id, account.token
        );
        let mut stream = wire::connect_from(account.from, to).await?;
        stream.write_all(request.as_bytes()).await?;
        tokio::time::sleep(Duration::from_micros(number * 1500)).await;
        wire::hang_up(stream);
    }
    let begun = Instant::now();
    let mut orphans = orphans(&account, &victim).await?;
    while orphans > 0 && begun.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        orphans = self::orphans(&account, &victim).await?;
    }
    Ok(vec![
        Finding::none(
            format!("after {TRIES} hang-ups and the sweeps, objects without a row"),
            orphans,
        ),
        Finding::note(
            "seconds until they were swept",
            format!("{:.1}", begun.elapsed().as_secs_f64()),
        ),
    ])
}

/// Stored originals that belong to no photo that was taken in.
async fn orphans(account: &Account, victim: &Victim) -> anyhow::Result<usize> {
    let listed = account.get("/photos?page_size=100").await?;
    let photos = listed["items"].as_array().context("photos")?;
    let taken_in: Vec<&str> = photos
        .iter()
        .filter(|photo| photo["upload_status"] == "uploaded")
        .filter_map(|photo| photo["id"].as_str())
        .collect();
    // Several objects of one photo: all but the recorded original are too many.
    let recorded: Vec<&str> = photos
        .iter()
        .filter_map(|photo| photo["s3_key"].as_str())
        .collect();
    let stored = files_below(&victim.data().join("files/objects/iris"));
    let orphan = |path: &std::path::Path| {
        let path = path.to_string_lossy();
        let is_thumbnail = path.contains("thumb");
        let has_row = taken_in.iter().any(|id| path.contains(id));
        !has_row || (!is_thumbnail && !recorded.iter().any(|key| path.ends_with(key)))
    };
    Ok(stored.iter().filter(|(path, _)| orphan(path)).count())
}

/// A PUT that goes on after its account was deleted and its URL has run out.
pub(super) async fn put_outlives_the_account(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let arguments = [
        "--workers",
        "1",
        "--upload-url-ms",
        "2500",
        "--lease-ms",
        "1500",
    ];
    let victim = Victim::start(scene, &arguments).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let announced = account.announce("image/jpeg").await?;
    let (sender, receiver) = futures_channel();
    let putting = account.put(
        &announced,
        "image/jpeg",
        reqwest::Body::wrap_stream(receiver),
    );
    let life = async {
        sender.send(vec![0xFF; 1 << 16]).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let answer = account
            .request(Method::DELETE, "/users/me")
            .json(&json!({ "confirm": true }))
            .send()
            .await?;
        expect(answer, StatusCode::OK).await?;
        // Longer than URLs and leases live.
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            // The server may have had enough of it.
            let _ = sender.send(vec![0xFF; 1 << 16]).await;
        }
        drop(sender);
        anyhow::Ok(())
    };
    let (put, lived) = tokio::join!(putting, life);
    lived?;
    let begun = Instant::now();
    let files = victim.data().join("files");
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
        Finding::none("files left of the deleted account", left.len()),
        Finding::note(
            "what the PUT was answered",
            put.map_or(0, |status| status.as_u16()),
        ),
    ])
}

type Piece = Result<Vec<u8>, std::io::Error>;

#[derive(Debug)]
struct Pieces(tokio::sync::mpsc::Sender<Piece>);

impl Pieces {
    async fn send(&self, piece: Vec<u8>) -> anyhow::Result<()> {
        self.0
            .send(Ok(piece))
            .await
            .context("nobody reads any more")
    }
}

/// A body that is written by hand.
fn futures_channel() -> (
    Pieces,
    impl futures_util::Stream<Item = Piece> + Send + 'static,
) {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let stream = futures_util::stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    (Pieces(sender), stream)
}

/// A finished job whose result was taken from the disk.
pub(super) async fn result_removed(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let photo_id = account.upload(scene.good_eye()?).await?;
    let job_id = text(&account.submit(&photo_id).await?["job_id"])?;
    account.until_idle(Duration::from_secs(15)).await?;
    for (path, _) in files_below(&victim.data().join("files/objects/processed")) {
        std::fs::remove_file(path)?;
    }
    let job = account.job(&job_id).await?;
    let offers = job["result_url"].is_string();
    Ok(vec![
        Finding::that("no link to a picture that is not there", !offers),
        Finding::note(
            "status and code",
            format!("{} {}", job["status"], job["error_code"]),
        ),
        Finding::that(
            "message says what to do",
            !offers && job["suggestion"].is_string(),
        ),
    ])
}

/// The same submit again, after its photo has expired.
pub(super) async fn key_after_expiry(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let arguments = ["--workers", "1", "--keep-originals-ms", "1500"];
    let victim = Victim::start(scene, &arguments).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let photo_id = account.upload(scene.good_eye()?).await?;
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
    // Expiry comes once a minute.
    while !expired && begun.elapsed() < Duration::from_secs(75) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let photo = account.get(&format!("/photos/{photo_id}")).await?;
        expired = photo["upload_status"] == "expired";
    }
    let (again, same_job_id) = submit().await?;
    Ok(vec![
        Finding::that("the photo has expired", expired),
        Finding::is("status of the first submit", first, 201),
        Finding::is("status of the same one again", again, 201),
        Finding::that("the same job", job_id.is_some() && job_id == same_job_id),
    ])
}
