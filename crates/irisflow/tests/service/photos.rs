//! Photos: both ways to upload, lists, downloads, deletion.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, User, good_eye, json_of, text};

async fn announce(user: &User<'_>, content_type: &str) -> Value {
    let body = json!({ "content_type": content_type });
    json_of(
        user.post("/photos/upload", &body).await,
        StatusCode::CREATED,
    )
    .await
}

async fn put(url: &str, content_type: &str, bytes: Vec<u8>) -> reqwest::Response {
    let request = reqwest::Client::new()
        .put(url)
        .header("Content-Type", content_type);
    request.body(bytes).send().await.expect("an answer")
}

#[tokio::test]
async fn a_photo_is_announced_put_and_confirmed() {
    let app = App::start().await;
    let user = app.user("you").await;
    let announced = announce(&user, "image/jpeg").await;
    let stored = put(&text(&announced["upload_url"]), "image/jpeg", good_eye()).await;
    assert!(stored.status().is_success());
    let path = format!("/photos/{}/confirm", text(&announced["photo_id"]));
    let lies = json!({ "file_size": 1, "width": 1, "height": 1 });
    let photo = json_of(user.post(&path, &lies).await, StatusCode::OK).await;
    assert_eq!(
        (&photo["width"], &photo["height"]),
        (&json!(400), &json!(400))
    );
    assert_eq!(photo["upload_status"], "uploaded");
    let again = json_of(user.send(Method::POST, &path, None).await, StatusCode::OK).await;
    assert_eq!(again["s3_key"], photo["s3_key"]);
    app.until_no_objects("incoming").await;
}

#[tokio::test]
async fn an_upload_url_takes_only_what_it_was_signed_for() {
    let app = App::start().await;
    let user = app.user("you").await;
    let url = text(&announce(&user, "image/jpeg").await["upload_url"]);
    let other_type = json_of(
        put(&url, "image/png", good_eye()).await,
        StatusCode::FORBIDDEN,
    )
    .await;
    assert_eq!(other_type["code"], "content_type_differs");
    let tampered = url.replace("exp=1", "exp=2");
    let tampered = json_of(
        put(&tampered, "image/jpeg", good_eye()).await,
        StatusCode::FORBIDDEN,
    );
    assert_eq!(tampered.await["code"], "link_invalid");
    assert_eq!(app.get(&url).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_upload_url_expires() {
    let app = App::start_with(&[("IRISFLOW_UPLOAD_URL_MS", "0")]).await;
    let user = app.user("you").await;
    let url = text(&announce(&user, "image/jpeg").await["upload_url"]);
    let late = json_of(
        put(&url, "image/jpeg", good_eye()).await,
        StatusCode::FORBIDDEN,
    )
    .await;
    assert_eq!(late["code"], "link_expired");
}

#[tokio::test]
async fn confirming_before_uploading_says_what_is_missing() {
    let app = App::start().await;
    let user = app.user("you").await;
    let photo_id = text(&announce(&user, "image/jpeg").await["photo_id"]);
    let path = format!("/photos/{photo_id}/confirm");
    let early = json_of(
        user.send(Method::POST, &path, None).await,
        StatusCode::CONFLICT,
    )
    .await;
    assert_eq!(early["code"], "photo_not_uploaded");
    let submit = user
        .post("/processing/submit", &json!({ "photo_id": photo_id }))
        .await;
    json_of(submit, StatusCode::CONFLICT).await;
}

#[tokio::test]
async fn a_multipart_form_is_one_call_too() {
    let app = App::start().await;
    let user = app.user("you").await;
    let file = reqwest::multipart::Part::bytes(good_eye()).file_name("eye.png");
    let form = reqwest::multipart::Form::new()
        .text("note", "hello")
        .part("photo", file);
    let request = app
        .request(Method::POST, "/photos")
        .bearer_auth(&user.token)
        .multipart(form);
    let photo = json_of(
        request.send().await.expect("an answer"),
        StatusCode::CREATED,
    )
    .await;
    assert!(
        text(&photo["s3_key"]).ends_with(".jpg"),
        "known by its bytes, not its name: {photo}"
    );
}

#[tokio::test]
async fn downloads_understand_ranges_and_etags_and_expire() {
    let app = App::start().await;
    let user = app.user("you").await;
    let photo = json_of(user.post_photo(good_eye()).await, StatusCode::CREATED).await;
    let url = text(&photo["original_url"]);
    let whole = app.get(&url).await;
    assert_eq!(whole.headers()["x-content-type-options"], "nosniff");
    assert!(
        whole.headers()["content-security-policy"]
            .to_str()
            .expect("text")
            .contains("sandbox")
    );
    let etag = whole.headers()["etag"].clone();
    let bytes = whole.bytes().await.expect("bytes");

    let client = reqwest::Client::new();
    let part = client
        .get(&url)
        .header("Range", "bytes=2-5")
        .send()
        .await
        .expect("an answer");
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.expect("bytes"), bytes.slice(2..6));
    let known = client
        .get(&url)
        .header("If-None-Match", etag)
        .send()
        .await
        .expect("an answer");
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    let outside = client
        .get(&url)
        .header("Range", "bytes=9999999-")
        .send()
        .await
        .expect("answer");
    assert_eq!(outside.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let unsigned = url.split('?').next().expect("a path");
    assert_eq!(app.get(unsigned).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn urls_stay_the_same_for_some_minutes_and_may_be_cached() {
    let app = App::start().await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    // The link, and the second in which it was signed.
    let link = async || {
        let photo = user.get(&format!("/photos/{photo_id}")).await;
        let second = photo.headers()["date"].clone();
        let link = text(&json_of(photo, StatusCode::OK).await["original_url"]);
        (second, link)
    };
    let (mut second, first) = link().await;
    let mut links = vec![first];
    while links.len() < 3 {
        let before = second.clone();
        app.until("another second", async || link().await.0 != before)
            .await;
        let (now, signed) = link().await;
        second = now;
        links.push(signed);
    }
    // Expiry times lie on a grid; of three requests in a row, at most one pair has a step between them.
    assert!(links[0] == links[1] || links[1] == links[2], "{links:?}");

    let request = app.client().get(&links[2]);
    let whole = request.send().await.expect("an answer");
    let cache_control = whole.headers()["cache-control"].to_str().expect("text");
    let max_age = cache_control.strip_prefix("private, max-age=");
    let max_age = max_age.and_then(|rest| rest.strip_suffix(", immutable"));
    let max_age: u64 = max_age.expect(cache_control).parse().expect("seconds");
    assert!((3590..=4500).contains(&max_age), "{max_age}");
    let etag = whole.headers()["etag"].to_str().expect("text").to_owned();
    for known in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"other\", {etag}"),
        "*".to_owned(),
    ] {
        let request = app.client().get(&links[2]).header("If-None-Match", &known);
        let unchanged = request.send().await.expect("an answer");
        assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(unchanged.headers()["etag"], etag.as_str());
        assert!(unchanged.headers().contains_key("cache-control"));
    }
}

#[tokio::test]
async fn photos_are_listed_newest_first_in_pages() {
    let app = App::start().await;
    let user = app.user("you").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(user.upload(good_eye()).await);
    }
    let page = json_of(user.get("/photos?page=1&page_size=2").await, StatusCode::OK).await;
    assert_eq!((&page["total"], &page["page_size"]), (&json!(3), &json!(2)));
    let listed: Vec<String> = page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| text(&item["id"]))
        .collect();
    assert_eq!(listed, [ids[2].clone(), ids[1].clone()]);
    for query in ["page=0", "page_size=0", "page_size=101", "page=x"] {
        let refused = user.get(&format!("/photos?{query}")).await;
        json_of(refused, StatusCode::UNPROCESSABLE_ENTITY).await;
    }
}

#[tokio::test]
async fn photos_of_another_account_are_not_found() {
    let app = App::start().await;
    let (mine, other) = (app.user("mine").await, app.user("other").await);
    let photo_id = mine.upload(good_eye()).await;
    let path = format!("/photos/{photo_id}");
    json_of(other.get(&path).await, StatusCode::NOT_FOUND).await;
    json_of(
        other.send(Method::DELETE, &path, None).await,
        StatusCode::NOT_FOUND,
    )
    .await;
    let submit = other
        .post("/processing/submit", &json!({ "photo_id": photo_id }))
        .await;
    json_of(submit, StatusCode::NOT_FOUND).await;
    json_of(mine.get(&path).await, StatusCode::OK).await;
}

#[tokio::test]
async fn deleting_a_photo_deletes_everything_made_from_it() {
    let app = App::start().await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    let job_id = user.submit(&photo_id).await;
    let result = text(&user.until_ended(&job_id).await["result_url"]);
    assert_eq!(app.get(&result).await.status(), StatusCode::OK);

    let path = format!("/photos/{photo_id}");
    let deleted = user.send(Method::DELETE, &path, None).await;
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);

    json_of(user.get(&path).await, StatusCode::NOT_FOUND).await;
    json_of(
        user.get(&format!("/processing/jobs/{job_id}")).await,
        StatusCode::NOT_FOUND,
    )
    .await;
    for area in ["incoming", "iris", "processed"] {
        app.until_no_objects(area).await;
    }
    assert_eq!(app.get(&result).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn urls_use_a_private_host_and_never_a_foreign_one() {
    let app = App::start().await;
    let user = app.user("you").await;
    let link = async |host: &str| {
        let request = app.request(Method::POST, "/photos/upload");
        let request = request.bearer_auth(&user.token).header("Host", host);
        let answer = request.send().await.expect("an answer");
        text(&json_of(answer, StatusCode::CREATED).await["upload_url"])
    };
    for host in ["10.0.2.2:8080", "192.168.1.20:8080", "[fd00::1]:8080"] {
        let link = link(host).await;
        assert!(link.starts_with(&format!("http://{host}/")), "{link}");
    }
    for host in ["evil.example", "192.168.1.20.evil.example:8080"] {
        let link = link(host).await;
        assert!(link.starts_with(&app.url), "{link}");
    }
}

#[tokio::test]
async fn the_upload_response_states_the_size_limit() {
    let limit = good_eye().len() as u64;
    let app = App::start_with(&[("IRISFLOW_MAX_PHOTO_BYTES", &limit.to_string())]).await;
    let user = app.user("you").await;
    let announced = announce(&user, "image/jpeg").await;
    assert_eq!(announced["max_bytes"], limit);
    let url = text(&announced["upload_url"]);
    let sent = put(&url, "image/jpeg", good_eye()).await;
    assert_eq!(sent.status(), StatusCode::OK);
    let larger = [good_eye(), vec![0]].concat();
    let refused = put(&url, "image/jpeg", larger).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
}
