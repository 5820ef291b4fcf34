//! Consent, and what is kept only for a while.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::app::{App, User, good_eye, json_of};

async fn consent(user: &User<'_>, consent_type: &str) -> reqwest::Response {
    let body = json!({ "consent_type": consent_type, "text_version": "2026-11" });
    user.post("/privacy/consent", &body).await
}

#[tokio::test]
async fn consents_are_kept_with_their_wording() {
    let app = App::start().await;
    let user = app.user("you").await;
    json_of(consent(&user, "marketing").await, StatusCode::CREATED).await;

    let list = json_of(user.get("/privacy/consent").await, StatusCode::OK).await;

    assert_eq!(list["consents"][0]["consent_type"], "marketing");
    assert_eq!(list["consents"][0]["text_version"], "2026-11");
    assert_eq!(list["consent_required"], false);
}

#[tokio::test]
async fn an_unknown_consent_is_refused() {
    let app = App::start().await;
    let user = app.user("you").await;
    let refused = consent(&user, "everything").await;
    let refused = json_of(refused, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(refused["detail"][0]["loc"], json!(["body", "consent_type"]));
}

#[tokio::test]
async fn where_consent_is_required_uploads_and_jobs_wait_for_it() {
    let app = App::start_with(&[("IRISFLOW_CONSENT_REQUIRED", "true")]).await;
    let user = app.user("you").await;
    json_of(consent(&user, "marketing").await, StatusCode::CREATED).await;
    let announce = user.post("/photos/upload", &json!({})).await;
    let upload = user.post_photo(good_eye()).await;
    for refused in [announce, upload] {
        let refused = json_of(refused, StatusCode::FORBIDDEN).await;
        assert_eq!(refused["code"], "consent_required");
    }

    json_of(
        consent(&user, "biometric_capture").await,
        StatusCode::CREATED,
    )
    .await;

    user.upload_and_submit(good_eye()).await;
}

async fn photo(user: &User<'_>, photo_id: &str) -> Value {
    json_of(
        user.get(&format!("/photos/{photo_id}")).await,
        StatusCode::OK,
    )
    .await
}

#[tokio::test]
async fn originals_go_after_their_time_and_results_stay() {
    let app = App::start_with(&[("IRISFLOW_KEEP_ORIGINALS_MS", "1500")]).await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    let job_id = user.submit(&photo_id).await;
    user.until_ended(&job_id).await;

    app.until("the original has expired", async || {
        photo(&user, &photo_id).await["upload_status"] == "expired"
    })
    .await;
    app.until_no_objects("iris").await;

    let job = user.job(&job_id).await;
    let result = app.get(job["result_url"].as_str().expect("a link")).await;
    assert_eq!(result.status(), StatusCode::OK);
    assert_eq!(job["original_url"], Value::Null);
    let again = user
        .post(&format!("/processing/jobs/{job_id}/reprocess"), &json!({}))
        .await;
    assert_eq!(
        json_of(again, StatusCode::GONE).await["code"],
        "photo_expired"
    );
}

#[tokio::test]
async fn results_go_after_their_time_and_originals_stay() {
    let app = App::start_with(&[("IRISFLOW_KEEP_RESULTS_MS", "500")]).await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    let job_id = user.submit(&photo_id).await;
    let path = format!("/processing/jobs/{job_id}");

    app.until("the job is gone", async || {
        user.get(&path).await.status() == StatusCode::NOT_FOUND
    })
    .await;

    app.until_no_objects("processed").await;
    assert_eq!(photo(&user, &photo_id).await["upload_status"], "uploaded");
}
