//! Usage limits: each rejection has a stable code, names its limit and says what to do.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, good_eye, json_of, no_eye};

/// A job that runs for a while, so that others wait.
const BUSY: (&str, &str) = ("IRISFLOW_FAULTS", "loading:hang3000:9");

async fn refusal(answer: Response, status: StatusCode) -> (Value, Option<u64>) {
    let wait = answer.headers().get("retry-after");
    let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
    (json_of(answer, status).await, wait)
}

#[tokio::test]
async fn an_account_above_its_rate_limit_is_rejected_and_others_are_not() {
    let app = App::start_with(&[("IRISFLOW_USER_BURST", "5"), ("IRISFLOW_USER_RATE", "1")]).await;
    let (user, other) = (app.user("you").await, app.user("other").await);
    let mut last = user.get("/users/me").await;
    for _ in 0..10 {
        last = user.get("/users/me").await;
    }
    let (refused, wait) = refusal(last, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(refused["code"], "rate_limited");
    assert_eq!(wait, Some(1));
    let sentence = refused["detail"].as_str().expect("a sentence");
    assert!(sentence.starts_with("The limit is 1 requests a second for one account."));
    json_of(other.get("/users/me").await, StatusCode::OK).await;
}

#[tokio::test]
async fn an_address_above_its_rate_limit_is_rejected_behind_a_trusted_proxy_too() {
    let app = App::start_with(&[
        ("IRISFLOW_ADDRESS_BURST", "5"),
        ("IRISFLOW_ADDRESS_RATE", "1"),
        ("IRISFLOW_TRUSTED_PROXIES", "1"),
    ])
    .await;
    let ask = async |address: &str| {
        let request = app.client().get(format!("{}/health", app.url));
        let request = request.header("X-Forwarded-For", address);
        request.send().await.expect("an answer")
    };
    let mut last = ask("203.0.113.1").await;
    for _ in 0..10 {
        last = ask("203.0.113.1").await;
    }
    let (refused, wait) = refusal(last, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!((&refused["code"], wait), (&json!("rate_limited"), Some(1)));
    assert_eq!(ask("203.0.113.2").await.status(), StatusCode::OK);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_at_one_node_is_owed_at_the_others() {
    const BURST: usize = 100;
    let Some(shared) = crate::cluster::database().await else {
        return;
    };
    let mut settings = shared.settings();
    settings.extend([
        ("IRISFLOW_USER_BURST", "100"),
        ("IRISFLOW_USER_RATE", "1"),
        ("IRISFLOW_NO_WORK", "true"),
    ]);
    let first = App::start_with(&settings).await;
    let second = App::start_with(&settings).await;
    let (user, other) = (first.user("you").await, first.user("other").await);
    let elsewhere = second.sign_in(&user.email).await;
    for _ in 0..BURST {
        user.get("/users/me").await;
    }
    let mut answered = 0;
    while elsewhere.get("/users/me").await.status() == StatusCode::OK {
        answered += 1;
        assert!(
            answered < BURST / 2,
            "the other node has a burst of its own"
        );
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let other = second.sign_in(&other.email).await;
    json_of(other.get("/users/me").await, StatusCode::OK).await;
}

#[tokio::test]
async fn photos_beyond_the_quota_are_refused_until_some_are_deleted() {
    let limit = (no_eye().len() + good_eye().len() / 2).to_string();
    let app = App::start_with(&[("IRISFLOW_STORAGE_QUOTA_BYTES", &limit)]).await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;

    let (refused, _) = refusal(
        user.post_photo(no_eye()).await,
        StatusCode::PAYLOAD_TOO_LARGE,
    )
    .await;
    assert_eq!(refused["code"], "storage_full");

    user.delete(&format!("/photos/{photo_id}")).await;
    user.upload(no_eye()).await;
}

#[tokio::test]
async fn an_account_with_too_many_unfinished_jobs_is_rejected_until_they_end() {
    let app = App::start_with(&[("IRISFLOW_USER_QUEUE_LIMIT", "2"), BUSY]).await;
    let (user, other) = (app.user("you").await, app.user("other").await);
    let photo_id = user.upload(good_eye()).await;
    user.submit(&photo_id).await;
    user.submit(&photo_id).await;
    let submit = json!({ "photo_id": photo_id });
    let batch = json!({ "photo_ids": [photo_id] });
    for (path, body) in [
        ("/processing/submit", &submit),
        ("/processing/batch", &batch),
    ] {
        let answer = user.post(path, body).await;
        let (refused, wait) = refusal(answer, StatusCode::TOO_MANY_REQUESTS).await;
        assert_eq!(refused["code"], "queue_full", "{path}");
        assert!(wait.is_some(), "{path}");
    }
    other.upload_and_submit(good_eye()).await;
}

#[tokio::test]
async fn a_full_queue_rejects_jobs_of_all_accounts() {
    let app = App::start_with(&[
        ("IRISFLOW_QUEUE_LIMIT", "1"),
        ("IRISFLOW_WORKERS", "1"),
        BUSY,
    ])
    .await;
    let (user, other) = (app.user("you").await, app.user("other").await);
    let running = user.upload_and_submit(good_eye()).await;
    user.until_status(&running, &["processing"]).await;
    user.upload_and_submit(good_eye()).await;
    let photo_id = other.upload(good_eye()).await;
    let answer = other
        .post("/processing/submit", &json!({ "photo_id": photo_id }))
        .await;
    let (refused, _) = refusal(answer, StatusCode::TOO_MANY_REQUESTS).await;
    let sentence = refused["detail"].as_str().expect("a sentence");
    assert!(
        sentence.contains("1 unfinished jobs for this server"),
        "{sentence}"
    );
}
