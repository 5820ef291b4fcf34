//! Storage of photos: large uploads over each endpoint, concurrent confirms, immutable originals, the quota, and
//! removal of files that no row records.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{Stream, StreamExt as _, stream};
use reqwest::{Body, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, User, good_eye, json_of, no_eye, text};

const MIB: usize = 1 << 20;

/// A photo as from a phone: 12 megapixels, several MB.
fn large_photo() -> Vec<u8> {
    const WIDTH: usize = 4000;
    const HEIGHT: usize = 3000;
    let mut noise = 1_u32;
    let samples: Vec<u8> = (0..WIDTH * HEIGHT)
        .flat_map(|pixel| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (x, y) = (pixel % WIDTH, pixel / WIDTH);
            let luma = (x * 200 / WIDTH + y * 30 / HEIGHT) as u8 + (noise >> 28) as u8;
            [luma, 120, 136]
        })
        .collect();
    let photo =
        irisflow_image::encode::jpeg_interleaved(&samples, WIDTH as u16, HEIGHT as u16, 92, None);
    let photo = photo.expect("a JPEG");
    assert!(photo.len() > 3 * MIB, "{} bytes are too few", photo.len());
    photo
}

/// The photo, padded with metadata to a file of `length` bytes.
fn padded(photo: &[u8], length: usize) -> Vec<u8> {
    const SEGMENT: usize = 65_000;
    let mut file = photo[..2].to_vec();
    while file.len() + photo.len() + SEGMENT < length {
        file.extend(b"\xff\xef");
        file.extend((SEGMENT as u16 + 2).to_be_bytes());
        file.extend([7; SEGMENT]);
    }
    file.extend(&photo[2..]);
    file
}

/// A body in chunks, without `Content-Length`.
fn chunked(bytes: &[u8]) -> Body {
    let pieces: Vec<Bytes> = bytes.chunks(100_000).map(Bytes::copy_from_slice).collect();
    Body::wrap_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)))
}

struct Announced {
    photo_id: String,
    url: String,
}

async fn announce(user: &User<'_>) -> Announced {
    let body = json!({ "content_type": "image/jpeg" });
    let answer = user.post("/photos/upload", &body).await;
    let announced = json_of(answer, StatusCode::CREATED).await;
    Announced {
        photo_id: text(&announced["photo_id"]),
        url: text(&announced["upload_url"]),
    }
}

async fn put(app: &App, url: &str, body: impl Into<Body>) -> Response {
    let request = app.client().put(url).header("Content-Type", "image/jpeg");
    request.body(body).send().await.expect("an answer")
}

async fn confirm(user: &User<'_>, photo_id: &str) -> Response {
    let path = format!("/photos/{photo_id}/confirm");
    user.send(Method::POST, &path, None).await
}

/// Stored photos and partially written files.
fn stored(app: &App) -> Vec<PathBuf> {
    let mut found = app.objects("iris");
    found.extend(app.objects("incoming"));
    let staging = std::fs::read_dir(app.data_dir().join("files/staging")).expect("a folder");
    found.extend(staging.flatten().map(|entry| entry.path()));
    found
}

#[tokio::test]
async fn a_photo_of_12_megapixels_comes_in_every_way() {
    let app = App::start().await;
    let user = app.user("you").await;
    let photo = large_photo();
    let mut photos = Vec::new();
    for body in [Body::from(photo.clone()), chunked(&photo)] {
        let announced = announce(&user).await;
        let answer = put(&app, &announced.url, body).await;
        assert_eq!(answer.status(), StatusCode::OK);
        photos.push(json_of(confirm(&user, &announced.photo_id).await, StatusCode::OK).await);
    }
    let raw = || {
        let request = app.request(Method::POST, "/photos");
        request
            .bearer_auth(&user.token)
            .header("Content-Type", "image/jpeg")
    };
    let form = reqwest::multipart::Form::new().part(
        "file",
        reqwest::multipart::Part::bytes(photo.clone()).file_name("eye.jpg"),
    );
    let multipart = app.request(Method::POST, "/photos");
    for request in [
        raw().body(photo.clone()),
        raw().body(chunked(&photo)),
        multipart.bearer_auth(&user.token).multipart(form),
    ] {
        let answer = request.send().await.expect("an answer");
        photos.push(json_of(answer, StatusCode::CREATED).await);
    }
    for photo_body in &photos {
        let size = (&photo_body["width"], &photo_body["height"]);
        assert_eq!(size, (&json!(4000), &json!(3000)));
        let original = app.get(&text(&photo_body["original_url"])).await;
        assert_eq!(original.bytes().await.expect("bytes").len(), photo.len());
        assert_eq!(thumbnail_size(&app, photo_body).await, (400, 300));
    }
}

async fn thumbnail_size(app: &App, photo: &Value) -> (u32, u32) {
    let thumbnail = app.get(&text(&photo["thumbnail_url"])).await;
    assert_eq!(thumbnail.status(), StatusCode::OK);
    assert_eq!(thumbnail.headers()["content-type"], "image/jpeg");
    let bytes = thumbnail.bytes().await.expect("bytes");
    let limits = irisflow_image::load::Limits::default();
    let header = irisflow_image::load::probe(&bytes, &limits).expect("a picture");
    (header.width, header.height)
}

#[tokio::test]
async fn a_form_that_is_larger_than_a_photo_may_be_is_refused() {
    let app = App::start_with(&[("IRISFLOW_MAX_PHOTO_BYTES", "1000000")]).await;
    let user = app.user("you").await;
    let photo = padded(&good_eye(), 1_200_000);
    let part = reqwest::multipart::Part::bytes(photo).file_name("eye.jpg");
    let form = reqwest::multipart::Form::new().part("file", part);
    let request = app.request(Method::POST, "/photos");
    let request = request.bearer_auth(&user.token).multipart(form);
    let refused = request.send().await.expect("an answer");
    let refused = json_of(refused, StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(refused["code"], "image_too_large");
}

#[tokio::test]
async fn a_hundred_confirms_at_once_are_one_intake_and_little_memory() {
    let app = App::start().await;
    let user = app.user("you").await;
    let announced = announce(&user).await;
    let upload = padded(&large_photo(), 46 * MIB);
    assert_eq!(
        put(&app, &announced.url, upload).await.status(),
        StatusCode::OK
    );

    let confirms = (0..100).map(|_| confirm(&user, &announced.photo_id));
    for answer in join_all(confirms).await {
        let photo = json_of(answer, StatusCode::OK).await;
        assert_eq!(photo["upload_status"], "uploaded");
    }

    assert_eq!(
        app.objects("iris").len(),
        2,
        "an original and its thumbnail"
    );
    #[cfg(target_os = "linux")]
    assert!(
        app.peak_memory_bytes() < 300_000_000,
        "{}",
        app.peak_memory_bytes()
    );
}

#[tokio::test]
async fn many_large_uploads_at_once_stay_within_the_memory_for_photos() {
    let app = App::start().await;
    let user = app.user("you").await;
    let upload = padded(&large_photo(), 46 * MIB);
    let mut announced = Vec::new();
    for _ in 0..20 {
        let photo = announce(&user).await;
        let answer = put(&app, &photo.url, upload.clone()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        announced.push(photo);
    }

    let confirms = announced
        .iter()
        .map(|photo| confirm(&user, &photo.photo_id));
    for answer in join_all(confirms).await {
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            assert!(answer.headers().contains_key("retry-after"));
            assert_eq!(
                json_of(answer, StatusCode::SERVICE_UNAVAILABLE).await["code"],
                "busy"
            );
        } else {
            json_of(answer, StatusCode::OK).await;
        }
    }

    #[cfg(target_os = "linux")]
    assert!(
        app.peak_memory_bytes() < 600_000_000,
        "{}",
        app.peak_memory_bytes()
    );
}

#[tokio::test]
async fn an_original_does_not_change_once_it_is_confirmed() {
    let app = App::start().await;
    let user = app.user("you").await;
    let announced = announce(&user).await;
    put(&app, &announced.url, good_eye()).await;
    let photo = json_of(confirm(&user, &announced.photo_id).await, StatusCode::OK).await;
    let original = async || {
        let original = app.get(&text(&photo["original_url"])).await;
        original.bytes().await.expect("bytes")
    };
    let before = original().await;

    let other = put(&app, &announced.url, no_eye()).await;

    let other = json_of(other, StatusCode::CONFLICT).await;
    assert_eq!(other["code"], "photo_already_confirmed");
    let again = json_of(confirm(&user, &announced.photo_id).await, StatusCode::OK).await;
    assert_eq!(again["s3_key"], photo["s3_key"]);
    assert_eq!(original().await, before);
    app.until_no_objects("incoming").await;
}

#[tokio::test]
async fn confirms_and_uploads_at_once_leave_the_original_that_the_row_names() {
    let app = App::start().await;
    let user = app.user("you").await;
    for _ in 0..10 {
        let announced = announce(&user).await;
        put(&app, &announced.url, good_eye()).await;
        let confirms = join_all((0..4).map(|_| confirm(&user, &announced.photo_id)));
        let puts = join_all((0..4).map(|_| put(&app, &announced.url, no_eye())));
        let (confirms, _) = futures_util::future::join(confirms, puts).await;
        for answer in confirms {
            let photo = json_of(answer, StatusCode::OK).await;
            let original = app.get(&text(&photo["original_url"])).await;
            let bytes = original.bytes().await.expect("bytes").len();
            assert_eq!(json!(bytes), photo["file_size"]);
        }
    }
    app.until_no_objects("incoming").await;
    let folder = tempfile::tempdir().expect("a temp folder");
    let backup = std::process::Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .args(["backup", "--data-dir"])
        .args([app.data_dir(), &folder.path().join("backup")])
        .output()
        .expect("the program starts");
    assert!(backup.status.success(), "{backup:?}");
}

#[tokio::test]
async fn a_client_that_disconnects_during_its_confirm_leaves_nothing_behind() {
    let app = App::start_with(&[("IRISFLOW_LEASE_MS", "1000")]).await;
    let user = app.user("you").await;
    let mut announced = Vec::new();
    for _ in 0..20 {
        let photo = announce(&user).await;
        put(&app, &photo.url, good_eye()).await;
        announced.push(photo);
    }
    let hang_ups = announced.iter().enumerate().map(async |(number, photo)| {
        let retry_policy = Duration::from_millis(number as u64 * 3);
        let _ = tokio::time::timeout(retry_policy, confirm(&user, &photo.photo_id)).await;
    });
    join_all(hang_ups).await;

    app.until("every object is recorded", async || {
        let listed = user.get("/photos?page_size=100").await;
        let listed = json_of(listed, StatusCode::OK).await;
        let recorded = listed["total"].as_u64().expect("a total") as usize;
        let pending = announced.len() - recorded;
        stored(&app).len() == recorded * 2 + pending
    })
    .await;
}

#[tokio::test]
async fn an_upload_without_a_length_is_cut_off_at_the_quota() {
    let app = App::start_with(&[("IRISFLOW_STORAGE_QUOTA_BYTES", "1000000")]).await;
    let user = app.user("you").await;
    let announced = announce(&user).await;
    let refused = put(&app, &announced.url, chunked(&vec![7; 5 * MIB])).await;
    let refused = json_of(refused, StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(refused["code"], "storage_full");
    let sentence = text(&refused["detail"]);
    assert!(
        sentence.contains("976 KB") && sentence.contains("Delete some"),
        "{sentence}"
    );
    app.until("nothing is kept of it", async || stored(&app).is_empty())
        .await;
}

#[tokio::test]
async fn uploads_that_are_not_confirmed_count_towards_the_quota() {
    let app = App::start_with(&[("IRISFLOW_STORAGE_QUOTA_BYTES", "1000000")]).await;
    let user = app.user("you").await;
    let (first, second) = (announce(&user).await, announce(&user).await);
    let upload = padded(&good_eye(), 700_000);
    assert_eq!(
        put(&app, &first.url, upload.clone()).await.status(),
        StatusCode::OK
    );

    let refused = put(&app, &second.url, upload.clone()).await;
    json_of(refused, StatusCode::PAYLOAD_TOO_LARGE).await;

    // After the confirm it is stored without its metadata, which makes it small.
    json_of(confirm(&user, &first.photo_id).await, StatusCode::OK).await;
    assert_eq!(
        put(&app, &second.url, upload).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn results_count_towards_the_quota() {
    let app = App::start_with(&[("IRISFLOW_STORAGE_QUOTA_BYTES", "2300000")]).await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    let job_id = user.submit(&photo_id).await;
    user.until_ended(&job_id).await;

    let submit = json!({ "photo_id": photo_id });
    let batch = json!({ "photo_ids": [photo_id] });
    let reprocess = format!("/processing/jobs/{job_id}/reprocess");
    for (path, body) in [
        ("/processing/submit", &submit),
        ("/processing/batch", &batch),
        (reprocess.as_str(), &json!({})),
    ] {
        let refused = json_of(user.post(path, body).await, StatusCode::PAYLOAD_TOO_LARGE).await;
        assert_eq!(refused["code"], "storage_full", "{path}");
    }

    user.delete(&format!("/processing/jobs/{job_id}")).await;
    user.submit(&photo_id).await;
}

#[tokio::test]
async fn unconfirmed_photos_are_limited_and_expire() {
    let app = App::start_with(&[
        ("IRISFLOW_UNCONFIRMED_LIMIT", "3"),
        ("IRISFLOW_UPLOAD_URL_MS", "1500"),
        ("IRISFLOW_UPLOAD_LIMIT_MS", "1500"),
    ])
    .await;
    let user = app.user("you").await;
    let first = announce(&user).await;
    put(&app, &first.url, good_eye()).await;
    for _ in 0..2 {
        announce(&user).await;
    }

    let refused = user.post("/photos/upload", &json!({})).await;
    assert!(refused.headers().contains_key("retry-after"));
    let refused = json_of(refused, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(refused["code"], "too_many_unconfirmed");
    assert!(text(&refused["detail"]).starts_with("The limit is 3 announced photos"));
    let raw = user.post_photo(good_eye()).await;
    json_of(raw, StatusCode::TOO_MANY_REQUESTS).await;

    app.until_id_is_gone(&first.photo_id).await;
    announce(&user).await;
}

/// A body whose chunks are sent through a channel.
fn slow_body() -> (
    tokio::sync::mpsc::Sender<Bytes>,
    impl Stream<Item = Result<Bytes, Infallible>>,
) {
    let (pieces, arriving) = tokio::sync::mpsc::channel(1);
    let body = stream::unfold(arriving, async |mut arriving| {
        arriving.recv().await.map(|piece| (Ok(piece), arriving))
    });
    (pieces, body.boxed())
}

#[tokio::test]
async fn an_upload_in_progress_whose_photo_is_deleted_is_discarded() {
    let app = App::start().await;
    for account_too in [false, true] {
        let user = app.user(if account_too { "other" } else { "you" }).await;
        let announced = announce(&user).await;
        let (pieces, body) = slow_body();
        let request = app
            .client()
            .put(&announced.url)
            .header("Content-Type", "image/jpeg");
        let upload = tokio::spawn(request.body(Body::wrap_stream(body)).send());
        let photo = good_eye();
        let (begin, end) = photo.split_at(10_000);
        pieces
            .send(Bytes::copy_from_slice(begin))
            .await
            .expect("taken");
        app.until("the upload is under way", async || !stored(&app).is_empty())
            .await;

        if account_too {
            let sure = json!({ "confirm": true });
            let gone = user.send(Method::DELETE, "/users/me", Some(&sure)).await;
            assert!(gone.status().is_success());
        } else {
            user.delete(&format!("/photos/{}", announced.photo_id))
                .await;
        }
        pieces
            .send(Bytes::copy_from_slice(end))
            .await
            .expect("taken");
        drop(pieces);

        let answer = upload.await.expect("no panic").expect("an answer");
        json_of(answer, StatusCode::NOT_FOUND).await;
        assert_eq!(stored(&app), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn photos_that_were_never_uploaded_are_listed_on_request_only() {
    let app = App::start().await;
    let user = app.user("you").await;
    let uploaded = user.upload(good_eye()).await;
    let announced = announce(&user).await.photo_id;
    let ids = async |query: &str| {
        let page = json_of(user.get(&format!("/photos{query}")).await, StatusCode::OK).await;
        let items = page["items"].as_array().expect("items");
        items
            .iter()
            .map(|photo| text(&photo["id"]))
            .collect::<Vec<_>>()
    };

    assert_eq!(ids("").await, std::slice::from_ref(&uploaded));
    assert_eq!(ids("?include=pending").await, [announced.clone(), uploaded]);
    let pending = user.get(&format!("/photos/{announced}")).await;
    let pending = json_of(pending, StatusCode::OK).await;
    assert_eq!(pending["upload_status"], "pending");
    assert!(text(&pending["updated_at"]).ends_with('Z'));
    for null in [
        "thumbnail_url",
        "original_url",
        "width",
        "height",
        "file_size",
    ] {
        assert_eq!(pending.get(null), Some(&Value::Null), "{null}");
    }
    let refused = user.get("/photos?include=everything").await;
    json_of(refused, StatusCode::UNPROCESSABLE_ENTITY).await;
}
