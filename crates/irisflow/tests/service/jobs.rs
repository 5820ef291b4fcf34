//! Submitting, batches, lists and reprocessing; the OpenAPI description; health endpoints.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, good_eye, json_of, no_eye, text};

#[tokio::test]
async fn a_submitted_job_has_all_promised_fields() {
    // The only worker is busy, so that the job is still waiting.
    let settings = [
        ("IRISFLOW_WORKERS", "1"),
        ("IRISFLOW_FAULTS", "loading:hang4000:1"),
    ];
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    let running = user.submit(&photo_id).await;
    user.until_progress(&running, 5).await;
    let answer = user
        .post("/processing/submit", &json!({ "photo_id": photo_id }))
        .await;
    let job = json_of(answer, StatusCode::CREATED).await;
    assert_eq!(job["photo_id"], json!(photo_id));
    assert_eq!(
        job["websocket_url"],
        json!(format!("/ws/jobs/{}", text(&job["job_id"])))
    );
    assert_eq!(
        (&job["status"], &job["progress"]),
        (&json!("pending"), &json!(0))
    );
    assert_eq!(
        (&job["attempt_count"], &job["step"]),
        (&json!(0), &json!("Processing..."))
    );
    assert_eq!(
        (&job["queue_position"], &job["slower_than_usual"]),
        (&json!(1), &json!(false))
    );
    // Without a finished job there is nothing to estimate from.
    for null in ["batch_id", "current_step", "eta_ms", "retrying"] {
        assert_eq!(job.get(null), Some(&Value::Null), "{null}");
    }
}

#[tokio::test]
async fn a_finished_job_links_to_result_mask_before_and_original() {
    let app = App::start().await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let job = user.until_ended(&job_id).await;
    assert_eq!(
        (&job["current_step"], &job["step"]),
        (&json!("completed"), &json!("Complete!"))
    );
    let links = [
        "result_url",
        "mask_url",
        "before_url",
        "thumbnail_url",
        "original_url",
    ];
    for link in links {
        let got = app.get(job[link].as_str().expect(link)).await;
        assert_eq!(got.status(), StatusCode::OK, "{link}");
        assert!(got.bytes().await.expect("bytes").len() > 1000, "{link}");
    }
    assert!(
        job["quality"]["iris_radius_px"]
            .as_f64()
            .is_some_and(|radius| radius > 90.0)
    );
}

#[tokio::test]
async fn a_batch_processes_valid_photos_and_lists_skipped_ones() {
    let app = App::start().await;
    let (user, other) = (app.user("you").await, app.user("other").await);
    let (first, second) = (user.upload(good_eye()).await, user.upload(no_eye()).await);
    let foreign = other.upload(good_eye()).await;
    let body = json!({ "photo_ids": [first, foreign, second, first] });
    let batch = json_of(
        user.post("/processing/batch", &body).await,
        StatusCode::CREATED,
    )
    .await;
    let photos: Vec<&Value> = batch["jobs"]
        .as_array()
        .expect("jobs")
        .iter()
        .map(|job| &job["photo_id"])
        .collect();
    assert_eq!(photos, [&json!(first), &json!(second)]);
    assert!(batch["jobs"][0]["batch_id"] == batch["batch_id"]);
    let reasons: Vec<&Value> = batch["skipped"]
        .as_array()
        .expect("skipped")
        .iter()
        .map(|skip| &skip["reason"])
        .collect();
    assert_eq!(reasons, ["not_found", "duplicate"]);
    for job in batch["jobs"].as_array().expect("jobs") {
        user.until_ended(&text(&job["job_id"])).await;
    }
}

#[tokio::test]
async fn a_batch_that_is_too_long_or_empty_is_refused() {
    let app = App::start().await;
    let user = app.user("you").await;
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let long = user
        .post("/processing/batch", &json!({ "photo_ids": vec![id; 11] }))
        .await;
    json_of(long, StatusCode::UNPROCESSABLE_ENTITY).await;
    for ids in [json!([]), json!([id])] {
        let none = user
            .post("/processing/batch", &json!({ "photo_ids": ids }))
            .await;
        let body = json_of(none, StatusCode::BAD_REQUEST).await;
        assert_eq!(body["detail"], "No valid photos found for processing");
    }
}

#[tokio::test]
async fn reprocessing_makes_a_new_job_of_the_same_photo() {
    let app = App::start().await;
    let user = app.user("you").await;
    let photo_id = user.upload(no_eye()).await;
    let job_id = user.submit(&photo_id).await;
    user.until_ended(&job_id).await;
    let path = format!("/processing/jobs/{job_id}/reprocess");
    let again = json_of(
        user.send(Method::POST, &path, None).await,
        StatusCode::CREATED,
    )
    .await;
    assert_ne!(again["job_id"], json!(job_id));
    assert_eq!(again["photo_id"], json!(photo_id));
}

#[tokio::test]
async fn jobs_are_listed_newest_first_and_by_status() {
    let app = App::start().await;
    let user = app.user("you").await;
    let good = user.upload_and_submit(good_eye()).await;
    let bad = user.upload_and_submit(no_eye()).await;
    user.until_ended(&good).await;
    user.until_ended(&bad).await;
    let listed = async |query: &str| {
        let page = user.get(&format!("/processing/jobs{query}")).await;
        let page = json_of(page, StatusCode::OK).await;
        let items = page["items"].as_array().expect("items").clone();
        items
            .iter()
            .map(|item| text(&item["job_id"]))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, [bad.clone(), good.clone()]);
    assert_eq!(listed("?status=completed").await, [good]);
    assert_eq!(listed("?status=failed").await, [bad]);
    let unknown = user.get("/processing/jobs?status=sleeping").await;
    json_of(unknown, StatusCode::UNPROCESSABLE_ENTITY).await;
}

#[tokio::test]
async fn jobs_of_others_are_not_found() {
    let app = App::start().await;
    let (mine, other) = (app.user("mine").await, app.user("other").await);
    let job_id = mine.upload_and_submit(no_eye()).await;
    json_of(
        other.get(&format!("/processing/jobs/{job_id}")).await,
        StatusCode::NOT_FOUND,
    )
    .await;
    let path = format!("/processing/jobs/{job_id}/reprocess");
    json_of(
        other.send(Method::POST, &path, None).await,
        StatusCode::NOT_FOUND,
    )
    .await;
    json_of(
        mine.get("/processing/jobs/not-a-uuid").await,
        StatusCode::UNPROCESSABLE_ENTITY,
    )
    .await;
}

#[tokio::test]
async fn liveness_and_readiness_are_reported() {
    let app = App::start().await;
    let health = app.get(&format!("{}/health", app.url)).await;
    assert_eq!(json_of(health, StatusCode::OK).await["status"], "ok");
    let ready = app.get(&format!("{}/health/ready", app.url)).await;
    let ready = json_of(ready, StatusCode::OK).await;
    assert_eq!(
        (&ready["database"], &ready["storage"]),
        (&json!("ok"), &json!("ok"))
    );
}

#[tokio::test]
async fn the_page_the_documentation_and_unknown_paths_answer() {
    let app = App::start().await;
    let page = app.get(&format!("{}/", app.url)).await;
    assert!(page.headers()["content-security-policy"].to_str().is_ok());
    assert!(page.text().await.expect("text").contains("<!doctype html>"));
    let docs = app.get(&format!("{}/docs/", app.url)).await;
    assert_eq!(docs.status(), StatusCode::OK);
    let unknown = app.get(&format!("{}/api/v1/nothing", app.url)).await;
    assert_eq!(
        json_of(unknown, StatusCode::NOT_FOUND).await["code"],
        "not_found"
    );
}

#[tokio::test]
async fn the_description_of_the_api_is_the_committed_one() {
    let app = App::start().await;
    let served = app.get(&format!("{}/api/v1/openapi.json", app.url)).await;
    let served = json_of(served, StatusCode::OK).await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let committed = std::fs::read_to_string(path).expect("docs/openapi.json");
    let committed: Value = serde_json::from_str(&committed).expect("JSON");
    assert_eq!(
        served, committed,
        "the API changed: write docs/openapi.json anew with `cargo xtask openapi`, and look at the \
         difference"
    );
}
