//! Large photos over each upload route, and many of them concurrently: memory of the server.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, StatusCode};

use super::AttackContext;
use super::load::{StatusCounts, send_concurrently};
use super::measurement::Measurement;
use super::target_server::TargetServer;
use super::test_account::{Account, expect};
use super::test_photos::{noisy_png, padded_jpeg};

const MAX_MEMORY_MB: f64 = 600.0;
/// Side in pixels of a grey PNG of 46 MB.
const LARGE_SIDE: u32 = 6780;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Large {
    Png,
    Jpeg,
}

impl Large {
    fn bytes(self, context: &AttackContext) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Png => noisy_png(LARGE_SIDE),
            Self::Jpeg => Ok(padded_jpeg(&context.phone_photo()?, 46_000_000)),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }
}

/// One upload of 46 MB, confirmed by a hundred concurrent requests.
pub(super) async fn one_confirmed_by_many(
    context: &AttackContext,
    large: Large,
) -> anyhow::Result<Vec<Measurement>> {
    let mut server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    let (photo_id, put) = upload(&account, large, large.bytes(context)?).await?;
    let confirms = (0..100).map(|_| confirm_request(&account, &photo_id));
    let answers = send_concurrently(confirms, 100, Duration::from_secs(40)).await;
    let mut measurements = vec![Measurement::equals("the upload", put.as_u16(), 200)];
    measurements.extend(survival(&mut server));
    measurements.extend(confirmations(answers, 1.0));
    Ok(measurements)
}

/// Twelve uploads of 46 MB of three accounts, each confirmed by three concurrent requests.
pub(super) async fn many_confirmed_at_once(
    context: &AttackContext,
    large: Large,
) -> anyhow::Result<Vec<Measurement>> {
    let mut server = TargetServer::start(context, &["--workers", "1"]).await?;
    let bytes = large.bytes(context)?;
    let mut requests = Vec::new();
    for number in 0..3 {
        let account = Account::register(&server.url, &format!("owner{number}")).await?;
        for _ in 0..4 {
            let (photo_id, _) = upload(&account, large, bytes.clone()).await?;
            requests.extend((0..3).map(|_| confirm_request(&account, &photo_id)));
        }
    }
    let count = requests.len();
    let answers = send_concurrently(requests.into_iter(), count, Duration::from_secs(40)).await;
    let mut measurements = Vec::from(survival(&mut server));
    measurements.extend(confirmations(answers, 4.0));
    Ok(measurements)
}

/// A hundred concurrent checks of one large photo.
pub(super) async fn many_checks(
    context: &AttackContext,
    large: Large,
) -> anyhow::Result<Vec<Measurement>> {
    let mut server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    let (photo_id, _) = upload(&account, large, large.bytes(context)?).await?;
    account.confirm(&photo_id).await?;
    let checks = (0..100).map(|_| check_request(&account, &photo_id));
    let answers = send_concurrently(checks, 100, Duration::from_secs(30)).await;
    let mut measurements = Vec::from(survival(&mut server));
    measurements.push(Measurement::zero(
        "broken or 5xx other than 503",
        answers.errors(),
    ));
    measurements.push(Measurement::info("answers", answers));
    Ok(measurements)
}

/// Concurrent one-call uploads of 46 MB by eight accounts, as raw body and as multipart form.
pub(super) async fn many_whole_uploads(
    context: &AttackContext,
    large: Large,
) -> anyhow::Result<Vec<Measurement>> {
    let mut server = TargetServer::start(context, &["--workers", "1"]).await?;
    let bytes = large.bytes(context)?;
    let mut requests = Vec::new();
    for number in 0..8 {
        let account = Account::register(&server.url, &format!("owner{number}")).await?;
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
    let answers = send_concurrently(requests.into_iter(), count, Duration::from_secs(40)).await;
    let mut measurements = Vec::from(survival(&mut server));
    measurements.push(Measurement::zero(
        "5xx other than 503",
        answers.count(|status| status >= 500 && status != 503),
    ));
    measurements.push(Measurement::info("answers", answers));
    Ok(measurements)
}

/// Jobs on large photos with the default number of workers, beside concurrent checks.
pub(super) async fn large_jobs(
    context: &AttackContext,
    large: Large,
) -> anyhow::Result<Vec<Measurement>> {
    let mut server = TargetServer::start(context, &[]).await?;
    let account = Account::register(&server.url, "owner").await?;
    let (photo_id, _) = upload(&account, large, large.bytes(context)?).await?;
    account.confirm(&photo_id).await?;
    for _ in 0..6 {
        account.submit(&photo_id).await?;
    }
    let checks = (0..20).map(|_| check_request(&account, &photo_id));
    let answers = send_concurrently(checks, 20, Duration::from_secs(30)).await;
    account.wait_until_idle(Duration::from_secs(40)).await?;
    let failed = account.count("failed").await?;
    let mut measurements = Vec::from(survival(&mut server));
    measurements.push(Measurement::info("checks meanwhile", answers));
    measurements.push(Measurement::info("jobs that failed", failed));
    Ok(measurements)
}

/// Creates an upload and PUTs the photo; returns the photo's id and the status of the PUT.
async fn upload(
    account: &Account,
    large: Large,
    bytes: Vec<u8>,
) -> anyhow::Result<(String, StatusCode)> {
    let created = account.create_upload(large.content_type()).await?;
    let status = account.put(&created, large.content_type(), bytes).await?;
    Ok((created.photo_id, status))
}

fn confirm_request(account: &Account, photo_id: &str) -> RequestBuilder {
    let request = account.request(Method::POST, &format!("/photos/{photo_id}/confirm"));
    request.json(&serde_json::json!({}))
}

fn check_request(account: &Account, photo_id: &str) -> RequestBuilder {
    account.request(Method::POST, &format!("/photos/{photo_id}/check"))
}

/// The bounds that every attack has: memory, and that the server still runs.
fn survival(server: &mut TargetServer) -> [Measurement; 2] {
    let alive = server.is_alive();
    [
        Measurement::at_most("peak memory, MB", peak(server), MAX_MEMORY_MB),
        Measurement::is_true("the server still runs", alive),
    ]
}

/// `answers` are those to confirm requests, of which at least `expected` must succeed.
fn confirmations(answers: StatusCounts, expected: f64) -> [Measurement; 3] {
    [
        Measurement::zero("broken or 5xx other than 503", answers.errors()),
        Measurement::at_least("confirmed", answers.with(200) as f64, expected),
        Measurement::info("answers", answers),
    ]
}

fn peak(server: &TargetServer) -> f64 {
    // A dead server counts as having exceeded every bound.
    server.peak_memory_mb().unwrap_or(f64::INFINITY)
}

/// A phone photo of 12 megapixels over each upload route.
pub(super) async fn phone_photo_over_each_way(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    let photo = context.phone_photo()?;
    let mut measurements = vec![Measurement::info("bytes of the photo", photo.len())];
    for field in ["file", "photo"] {
        let part = Part::bytes(photo.clone())
            .file_name("iris.jpg")
            .mime_str("image/jpeg")?;
        let form = Form::new()
            .text("note", "before the file")
            .part(field, part);
        let sent = account.request(Method::POST, "/photos").multipart(form);
        let status = sent.send().await?.status().as_u16();
        measurements.push(Measurement::equals(
            format!("multipart, in the field {field}"),
            status,
            201,
        ));
    }
    let raw = account.post_photo(photo.clone()).await?.status().as_u16();
    measurements.push(Measurement::equals("as the body", raw, 201));
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
    measurements.push(Measurement::equals(
        "as the body, in chunks",
        chunked.send().await?.status().as_u16(),
        201,
    ));
    let upload = account.create_upload("image/jpeg").await?;
    let put = account.put(&upload, "image/jpeg", photo).await?;
    measurements.push(Measurement::equals(
        "PUT to the upload URL",
        put.as_u16(),
        200,
    ));
    let confirmed = expect(account.confirm(&upload.photo_id).await?, StatusCode::OK).await?;
    measurements.push(Measurement::equals(
        "width after the confirm",
        &confirmed["width"],
        4032,
    ));
    measurements.push(Measurement::at_most(
        "peak memory, MB",
        peak(&server),
        MAX_MEMORY_MB,
    ));
    Ok(measurements)
}
