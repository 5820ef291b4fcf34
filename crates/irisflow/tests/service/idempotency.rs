//! `Idempotency-Key`: a retried request submits nothing again and gets the first response.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, User, good_eye, json_of, no_eye, text};

async fn post(app: &App, user: &User<'_>, path: &str, key: &str, body: &Value) -> Response {
    let request = app.request(Method::POST, path).bearer_auth(&user.token);
    let request = request.header("Idempotency-Key", key).json(body);
    request.send().await.expect("an answer")
}

async fn total(user: &User<'_>) -> u64 {
    let listed = json_of(user.get("/processing/jobs").await, StatusCode::OK).await;
    listed["total"].as_u64().expect("a total")
}

#[tokio::test]
async fn a_hundred_identical_submits_at_once_make_one_job() {
    let app = App::start().await;
    let user = app.user("you").await;
    let body = json!({ "photo_id": user.upload(no_eye()).await });

    let taps = (0..100).map(|_| post(&app, &user, "/processing/submit", "one tap", &body));
    let answers = join_all(taps).await;

    let mut job_ids = BTreeSet::new();
    for answer in answers {
        job_ids.insert(text(&json_of(answer, StatusCode::CREATED).await["job_id"]));
    }
    assert_eq!(job_ids.len(), 1);
    assert_eq!(total(&user).await, 1);
}

#[tokio::test]
async fn the_first_answer_is_given_again_after_the_job_has_ended() {
    let app = App::start().await;
    let user = app.user("you").await;
    let body = json!({ "photo_id": user.upload(no_eye()).await });
    let first = post(&app, &user, "/processing/submit", "one tap", &body).await;
    let first = json_of(first, StatusCode::CREATED).await;
    user.until_ended(&text(&first["job_id"])).await;

    let again = post(&app, &user, "/processing/submit", "one tap", &body).await;

    let again = json_of(again, StatusCode::CREATED).await;
    for field in ["job_id", "photo_id", "status", "progress", "created_at"] {
        assert_eq!(again[field], first[field], "{field}");
    }
}

#[tokio::test]
async fn the_first_answer_is_given_again_after_the_photo_has_expired() {
    let app = App::start_with(&[("IRISFLOW_KEEP_ORIGINALS_MS", "1500")]).await;
    let user = app.user("you").await;
    let photo_id = user.upload(no_eye()).await;
    let one = json!({ "photo_id": photo_id });
    let many = json!({ "photo_ids": [photo_id] });
    let submitted = post(&app, &user, "/processing/submit", "submit", &one).await;
    let submitted = json_of(submitted, StatusCode::CREATED).await;
    let job_id = text(&submitted["job_id"]);
    let batch = post(&app, &user, "/processing/batch", "batch", &many).await;
    let batch = json_of(batch, StatusCode::CREATED).await;
    let reprocess = format!("/processing/jobs/{job_id}/reprocess");
    let again = post(&app, &user, &reprocess, "reprocess", &Value::Null).await;
    let again = json_of(again, StatusCode::CREATED).await;
    app.until("the photo has expired", async || {
        let photo = json_of(
            user.get(&format!("/photos/{photo_id}")).await,
            StatusCode::OK,
        );
        photo.await["upload_status"] == "expired"
    })
    .await;

    for (path, key, body, first) in [
        ("/processing/submit", "submit", &one, &submitted["job_id"]),
        ("/processing/batch", "batch", &many, &batch["batch_id"]),
        (
            reprocess.as_str(),
            "reprocess",
            &Value::Null,
            &again["job_id"],
        ),
    ] {
        let repeated = post(&app, &user, path, key, body).await;
        let repeated = json_of(repeated, StatusCode::CREATED).await;
        assert!(
            [&repeated["job_id"], &repeated["batch_id"]].contains(&first),
            "{path}"
        );
        let new = post(&app, &user, path, "another", body).await;
        assert!(
            new.status().is_client_error(),
            "{path} still takes expired photos"
        );
    }
    assert_eq!(total(&user).await, 3);
}

#[tokio::test]
async fn a_key_that_was_used_for_another_request_is_refused() {
    let app = App::start().await;
    let user = app.user("you").await;
    let (one, other) = (user.upload(no_eye()).await, user.upload(no_eye()).await);
    let one = json!({ "photo_id": one });
    let job = post(&app, &user, "/processing/submit", "key", &one).await;
    let job_id = text(&json_of(job, StatusCode::CREATED).await["job_id"]);

    let photo_ids = json!({ "photo_ids": [other] });
    let other = json!({ "photo_id": other });
    let reprocess = format!("/processing/jobs/{job_id}/reprocess");
    for (path, body) in [
        ("/processing/submit", &other),
        ("/processing/batch", &photo_ids),
        (reprocess.as_str(), &Value::Null),
    ] {
        let refused = post(&app, &user, path, "key", body).await;
        let refused = json_of(refused, StatusCode::CONFLICT).await;
        assert_eq!(refused["code"], "idempotency_key_reused", "{path}");
    }
    assert_eq!(total(&user).await, 1);
}

#[tokio::test]
async fn batch_and_reprocess_take_keys_too() {
    let app = App::start().await;
    let user = app.user("you").await;
    let photo_id = user.upload(no_eye()).await;
    let body = json!({ "photo_ids": [photo_id, photo_id] });
    let mut batches = Vec::new();
    for _ in 0..2 {
        let batch = post(&app, &user, "/processing/batch", "batch", &body).await;
        batches.push(json_of(batch, StatusCode::CREATED).await);
    }
    assert_eq!(batches[0]["batch_id"], batches[1]["batch_id"]);
    assert_eq!(batches[0]["skipped"], batches[1]["skipped"]);
    assert_eq!(batches[1]["skipped"][0]["reason"], "duplicate");

    let job_id = text(&batches[0]["jobs"][0]["job_id"]);
    let path = format!("/processing/jobs/{job_id}/reprocess");
    let mut jobs = BTreeSet::new();
    for _ in 0..2 {
        let job = post(&app, &user, &path, "again", &Value::Null).await;
        jobs.insert(text(&json_of(job, StatusCode::CREATED).await["job_id"]));
    }
    assert_eq!(jobs.len(), 1);
    assert_eq!(total(&user).await, 2);
}

#[tokio::test]
async fn a_key_expires_and_one_without_characters_is_refused() {
    let app = App::start_with(&[("IRISFLOW_IDEMPOTENCY_KEY_MS", "50")]).await;
    let user = app.user("you").await;
    let body = json!({ "photo_id": user.upload(good_eye()).await });
    json_of(
        post(&app, &user, "/processing/submit", "key", &body).await,
        StatusCode::CREATED,
    )
    .await;
    app.until("the key has expired", async || {
        let again = post(&app, &user, "/processing/submit", "key", &body).await;
        json_of(again, StatusCode::CREATED).await;
        total(&user).await > 1
    })
    .await;
    for key in ["", &"k".repeat(256)] {
        let refused = post(&app, &user, "/processing/submit", key, &body).await;
        json_of(refused, StatusCode::UNPROCESSABLE_ENTITY).await;
    }
}
