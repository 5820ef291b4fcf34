//! Large photos: taken in over each way, and many at once.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};

use super::Scene;
use super::account::{Account, expect};
use super::crowds::all_at_once;
use super::finding::Finding;
use super::photos::{noisy_png, padded_jpeg};
use super::victim::Victim;

const LARGEST_MEMORY_MB: f64 = 600.0;
/// 46 MB as a grey PNG.
const LARGE_SIDE: u32 = 6780;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Large {
    Png,
    Jpeg,
}

impl Large {
    fn bytes(self, scene: &Scene) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Png => noisy_png(LARGE_SIDE),
            Self::Jpeg => Ok(padded_jpeg(&scene.phone_photo()?, 46_000_000)),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }
}

/// One upload of 46 MB, confirmed by a hundred requests at the same moment.
pub(super) async fn one_confirmed_by_many(
    scene: &Scene,
    large: Large,
) -> anyhow::Result<Vec<Finding>> {
    let mut victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let announced = account.announce(large.content_type()).await?;
    let put = account
        .put(&announced, large.content_type(), large.bytes(scene)?)
        .await?;
    let path = format!("/photos/{}/confirm", announced.photo_id);
    let confirms = (0..100).map(|_| {
        account
            .request(Method::POST, &path)
            .json(&serde_json::json!({}))
    });
    let answers = all_at_once(confirms, 100, Duration::from_secs(40)).await;
    let alive = victim.is_alive();
    Ok(vec![
        Finding::is("the upload", put.as_u16(), 200),
        Finding::at_most("peak memory, MB", peak(&victim), LARGEST_MEMORY_MB),
        Finding::that("the server lives", alive),
        Finding::none("broken or 5xx other than 503", answers.bad()),
        Finding::at_least("confirmed", answers.with(200) as f64, 1.0),
        Finding::note("answers", answers),
    ])
}

/// Twelve different uploads of 46 MB, confirmed at the same moment by three accounts, each thrice.
pub(super) async fn many_confirmed_at_once(
    scene: &Scene,
    large: Large,
) -> anyhow::Result<Vec<Finding>> {
    let mut victim = Victim::start(scene, &["--workers", "1"]).await?;
    let bytes = large.bytes(scene)?;
    let mut requests = Vec::new();
    for number in 0..3 {
        let account = Account::register(&victim.url, &format!("owner{number}")).await?;
        for _ in 0..4 {
            let announced = account.announce(large.content_type()).await?;
            account
                .put(&announced, large.content_type(), bytes.clone())
                .await?;
            let path = format!("/photos/{}/confirm", announced.photo_id);
            for _ in 0..3 {
                requests.push(
                    account
                        .request(Method::POST, &path)
                        .json(&serde_json::json!({})),
                );
            }
        }
    }
    let count = requests.len();
    let answers = all_at_once(requests.into_iter(), count, Duration::from_secs(40)).await;
    let alive = victim.is_alive();
    Ok(vec![
        Finding::at_most("peak memory, MB", peak(&victim), LARGEST_MEMORY_MB),
        Finding::that("the server lives", alive),
        Finding::none("broken or 5xx other than 503", answers.bad()),
        Finding::at_least("confirmed", answers.with(200) as f64, 4.0),
        Finding::note("answers", answers),
    ])
}

/// Looks at a large photo by the hundred.
pub(super) async fn many_looks(scene: &Scene, large: Large) -> anyhow::Result<Vec<Finding>> {
    let mut victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let announced = account.announce(large.content_type()).await?;
    account
        .put(&announced, large.content_type(), large.bytes(scene)?)
        .await?;
    account.confirm(&announced.photo_id).await?;
    let path = format!("/photos/{}/check", announced.photo_id);
    let looks = (0..100).map(|_| account.request(Method::POST, &path));
    let answers = all_at_once(looks, 100, Duration::from_secs(30)).await;
    let alive = victim.is_alive();
    Ok(vec![
        Finding::at_most("peak memory, MB", peak(&victim), LARGEST_MEMORY_MB),
        Finding::that("the server lives", alive),
        Finding::none("broken or 5xx other than 503", answers.bad()),
        Finding::note("answers", answers),
    ])
}

/// Whole uploads of 46 MB in one call, of eight accounts at once, raw and as a form.
pub(super) async fn many_whole_uploads(
    scene: &Scene,
    large: Large,
) -> anyhow::Result<Vec<Finding>> {
    let mut victim = Victim::start(scene, &["--workers", "1"]).await?;
    let bytes = large.bytes(scene)?;
    let mut requests = Vec::new();
    for number in 0..8 {
        let account = Account::register(&victim.url, &format!("owner{number}")).await?;
        for _ in 0..2 {
            let raw = account.request(Method::POST, "/photos");
            let raw = raw.header("Content-Type", large.content_type());
            requests.push(raw.body(bytes.clone()));
            let part = Part::bytes(bytes.clone()).file_name("iris");
            let form = Form::new().part("file", part.mime_str(large.content_type())?);
            requests.push(account.request(Method::POST, "/photos").multipart(form));
        }
    }
    let count = requests.len();
    let answers = all_at_once(requests.into_iter(), count, Duration::from_secs(40)).await;
    let alive = victim.is_alive();
    Ok(vec![
        Finding::at_most("peak memory, MB", peak(&victim), LARGEST_MEMORY_MB),
        Finding::that("the server lives", alive),
        Finding::none(
            "5xx other than 503",
            answers.count(|status| status >= 500 && status != 503),
        ),
        Finding::note("answers", answers),
    ])
}

/// Jobs on large photos, with the workers that there are by default, while more are taken in.
pub(super) async fn large_jobs(scene: &Scene, large: Large) -> anyhow::Result<Vec<Finding>> {
    let mut victim = Victim::start(scene, &[]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let announced = account.announce(large.content_type()).await?;
    account
        .put(&announced, large.content_type(), large.bytes(scene)?)
        .await?;
    account.confirm(&announced.photo_id).await?;
    for _ in 0..6 {
        account.submit(&announced.photo_id).await?;
    }
    let path = format!("/photos/{}/check", announced.photo_id);
    let looks = (0..20).map(|_| account.request(Method::POST, &path));
    let answers = all_at_once(looks, 20, Duration::from_secs(30)).await;
    account.until_idle(Duration::from_secs(40)).await?;
    let alive = victim.is_alive();
    Ok(vec![
        Finding::at_most("peak memory, MB", peak(&victim), LARGEST_MEMORY_MB),
        Finding::that("the server lives", alive),
        Finding::note("looks meanwhile", answers),
        Finding::note("jobs that failed", account.count("failed").await?),
    ])
}

fn peak(victim: &Victim) -> f64 {
    // A server that has died had all the memory there was.
    victim.peak_memory_mb().unwrap_or(f64::INFINITY)
}

/// What phones take, over each way in.
pub(super) async fn phone_photo_over_each_way(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let photo = scene.phone_photo()?;
    let mut findings = vec![Finding::note("bytes of the photo", photo.len())];
    for field in ["file", "photo"] {
        let part = Part::bytes(photo.clone())
            .file_name("iris.jpg")
            .mime_str("image/jpeg")?;
        let form = Form::new()
            .text("note", "before the file")
            .part(field, part);
        let sent = account.request(Method::POST, "/photos").multipart(form);
        let status = sent.send().await?.status().as_u16();
        findings.push(Finding::is(
            format!("multipart, in the field {field}"),
            status,
            201,
        ));
    }
    let raw = account.post_photo(photo.clone()).await?.status().as_u16();
    findings.push(Finding::is("as the body", raw, 201));
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = photo
        .chunks(50_000)
        .map(|piece| Ok(piece.to_vec()))
        .collect();
    let chunked = account
        .request(Method::POST, "/photos")
        .header("Content-Type", "image/jpeg")
        .body(reqwest::Body::wrap_stream(futures_util::stream::iter(
            pieces,
        )));
    findings.push(Finding::is(
        "as the body, in chunks",
        chunked.send().await?.status().as_u16(),
        201,
    ));
    let announced = account.announce("image/jpeg").await?;
    let put = account.put(&announced, "image/jpeg", photo).await?;
    findings.push(Finding::is("PUT to the announced URL", put.as_u16(), 200));
    let confirmed = expect(account.confirm(&announced.photo_id).await?, StatusCode::OK).await?;
    findings.push(Finding::is(
        "width after the confirm",
        &confirmed["width"],
        4032,
    ));
    findings.push(Finding::at_most(
        "peak memory, MB",
        peak(&victim),
        LARGEST_MEMORY_MB,
    ));
    Ok(findings)
}
