//! Batches: submit, progress, cancel, list.

use std::cell::RefCell;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, User, good_eye, json_of, no_eye, text};

async fn submit_batch(user: &User<'_>, photos: Vec<Vec<u8>>) -> Value {
    let mut photo_ids = Vec::new();
    for photo in photos {
        photo_ids.push(user.upload(photo).await);
    }
    let body = json!({ "photo_ids": photo_ids });
    json_of(
        user.post("/processing/batch", &body).await,
        StatusCode::CREATED,
    )
    .await
}

async fn batch(user: &User<'_>, batch_id: &str) -> Value {
    let batch = user.get(&format!("/processing/batches/{batch_id}")).await;
    json_of(batch, StatusCode::OK).await
}

#[tokio::test]
async fn the_progress_of_a_batch_rises_to_100_when_all_have_ended() {
    let app = App::start().await;
    let user = app.user("you").await;
    let submitted = submit_batch(&user, vec![good_eye(), no_eye(), good_eye()]).await;
    let batch_id = text(&submitted["batch_id"]);

    let seen = RefCell::new(Vec::new());
    app.until("the batch has ended", async || {
        let now = batch(&user, &batch_id).await;
        let ended = now["progress"] == 100;
        seen.borrow_mut().push(now);
        ended
    })
    .await;
    let seen = seen.into_inner();

    let progress: Vec<_> = seen
        .iter()
        .map(|batch| batch["progress"].as_u64())
        .collect();
    assert!(progress.is_sorted(), "{progress:?}");
    let last = seen.last().expect("one");
    let counts = (&last["counts"]["completed"], &last["counts"]["failed"]);
    assert_eq!(counts, (&json!(2), &json!(1)));
    assert_eq!(last["counts"]["total"], 3);
    let ids = |jobs: &Value| -> Vec<String> {
        let jobs = jobs.as_array().expect("jobs").iter();
        jobs.map(|job| text(&job["job_id"])).collect()
    };
    assert_eq!(ids(&last["jobs"]), ids(&submitted["jobs"]));
}

#[tokio::test]
async fn a_cancelled_batch_ends_what_runs_and_what_waits() {
    let settings = [
        ("IRISFLOW_WORKERS", "1"),
        ("IRISFLOW_FAULTS", "enhancing:hang2000:1"),
    ];
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let submitted = submit_batch(&user, vec![good_eye(), good_eye(), good_eye()]).await;
    let batch_id = text(&submitted["batch_id"]);
    user.until_progress(&text(&submitted["jobs"][0]["job_id"]), 70)
        .await;

    let path = format!("/processing/batches/{batch_id}/cancel");
    json_of(user.send(Method::POST, &path, None).await, StatusCode::OK).await;

    app.until("all are cancelled", async || {
        batch(&user, &batch_id).await["counts"]["cancelled"] == 3
    })
    .await;
    assert_eq!(batch(&user, &batch_id).await["progress"], 100);
    app.until_no_objects("processed").await;
}

#[tokio::test]
async fn jobs_are_listed_by_batch_and_batches_of_others_are_not_found() {
    let app = App::start().await;
    let (user, other) = (app.user("you").await, app.user("other").await);
    user.upload_and_submit(no_eye()).await;
    let submitted = submit_batch(&user, vec![no_eye(), no_eye()]).await;
    let batch_id = text(&submitted["batch_id"]);

    let listed = user
        .get(&format!("/processing/jobs?batch_id={batch_id}"))
        .await;
    assert_eq!(json_of(listed, StatusCode::OK).await["total"], 2);

    let path = format!("/processing/batches/{batch_id}");
    json_of(other.get(&path).await, StatusCode::NOT_FOUND).await;
    let cancel = format!("{path}/cancel");
    let cancelled = other.send(Method::POST, &cancel, None).await;
    json_of(cancelled, StatusCode::NOT_FOUND).await;
}
