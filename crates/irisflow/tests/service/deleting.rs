//! Deletion of jobs and photos is complete: afterwards no table and no stored object contains their ids.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::app::{App, good_eye, json_of, text};

/// Short leases and upload URLs, since the last sweep runs after they have expired.
const SOON: [(&str, &str); 3] = [
    ("IRISFLOW_LEASE_MS", "500"),
    ("IRISFLOW_UPLOAD_URL_MS", "3000"),
    ("IRISFLOW_UPLOAD_LIMIT_MS", "3000"),
];

async fn start_with_fault(fault: &str) -> App {
    let mut settings = SOON.to_vec();
    settings.push(("IRISFLOW_FAULTS", fault));
    App::start_with(&settings).await
}

#[tokio::test]
async fn nothing_is_left_of_a_deleted_job_and_its_photo_stays() {
    let app = App::start_with(&SOON).await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    let job_id = user.submit(&photo_id).await;
    let result = text(&user.until_ended(&job_id).await["result_url"]);
    assert_ne!(app.columns_with_id(&job_id).await, Vec::<String>::new());
    let path = format!("/processing/jobs/{job_id}");

    assert_eq!(user.delete(&path).await, StatusCode::NO_CONTENT);

    json_of(user.get(&path).await, StatusCode::NOT_FOUND).await;
    app.until_id_is_gone(&job_id).await;
    assert_eq!(app.get(&result).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(user.delete(&path).await, StatusCode::NOT_FOUND);
    let photo = user.get(&format!("/photos/{photo_id}")).await;
    assert_eq!(photo.status(), StatusCode::OK);
    assert_eq!(app.objects("iris").len(), 2, "with its thumbnail");
}

#[tokio::test]
async fn nothing_is_left_of_a_job_that_is_deleted_while_it_runs() {
    let app = start_with_fault("after_result:hang1500:1").await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let socket = user.watch(&job_id).await;
    app.until("a first object is written", async || {
        !app.objects("processed").is_empty()
    })
    .await;

    let path = format!("/processing/jobs/{job_id}");
    assert_eq!(user.delete(&path).await, StatusCode::NO_CONTENT);

    let watched = socket.until_the_end().await;
    assert_eq!(watched.last()["detail"], "Job was deleted");
    assert_eq!(watched.close_code, 1000);
    app.until_id_is_gone(&job_id).await;
}

#[tokio::test]
async fn nothing_is_left_of_a_deleted_photo_and_its_jobs() {
    let app = start_with_fault("enhancing:hang1500:1").await;
    let user = app.user("you").await;
    let announced = user.post("/photos/upload", &json!({})).await;
    let announced = json_of(announced, StatusCode::CREATED).await;
    let (photo_id, url) = (text(&announced["photo_id"]), text(&announced["upload_url"]));
    let put = async || {
        let client = reqwest::Client::new();
        let request = client.put(&url).header("Content-Type", "image/jpeg");
        request.body(good_eye()).send().await.expect("an answer")
    };
    assert_eq!(put().await.status(), StatusCode::OK);
    let confirm = format!("/photos/{photo_id}/confirm");
    json_of(
        user.send(Method::POST, &confirm, None).await,
        StatusCode::OK,
    )
    .await;
    let running = user.submit(&photo_id).await;
    let waiting = user.submit(&photo_id).await;

    let path = format!("/photos/{photo_id}");
    assert_eq!(user.delete(&path).await, StatusCode::NO_CONTENT);

    // Rejected because the photo was deleted, or because the URL has expired by now.
    assert!(put().await.status().is_client_error());
    for id in [&running, &waiting, &photo_id] {
        app.until_id_is_gone(id).await;
    }
    assert_eq!(app.objects(""), Vec::<std::path::PathBuf>::new());
}
