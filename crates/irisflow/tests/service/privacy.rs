//! Consents, and retention of originals and results.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, User, good_eye, json_of, text};

async fn consent(user: &User<'_>, consent_type: &str) -> reqwest::Response {
    let body = json!({ "consent_type": consent_type, "text_version": "2026-11" });
    user.post("/privacy/consent", &body).await
}

#[tokio::test]
async fn a_consent_records_the_version_of_its_text() {
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
async fn where_consent_is_required_uploads_and_jobs_need_it() {
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

async fn jurisdiction(app: &App, query: &str) -> Value {
    let request = app.request(Method::GET, &format!("/privacy/jurisdiction{query}"));
    json_of(request.send().await.expect("an answer"), StatusCode::OK).await
}

async fn has_biometric_consent(user: &User<'_>) -> bool {
    let status = user.get("/privacy/consent/biometric-status").await;
    let status = json_of(status, StatusCode::OK).await;
    status["has_consent"].as_bool().expect("a yes or no")
}

#[tokio::test]
async fn the_consent_text_is_returned_in_both_shapes_without_a_sign_in() {
    let app = App::start_with(&[
        ("IRISFLOW_CONSENT_TEXT", "We make a picture of your iris."),
        ("IRISFLOW_CONSENT_TEXT_VERSION", "2026-11"),
    ])
    .await;
    for (query, expected) in [
        ("", "generic"),
        ("?country_code=DE", "gdpr"),
        ("?country_code=us&state_code=il", "bipa"),
        ("?country_code=US&state_code=CA", "ccpa"),
    ] {
        let answer = jurisdiction(&app, query).await;
        for part in [&answer, &answer["consent_requirements"]] {
            assert_eq!(part["jurisdiction"], expected, "{query}: {part}");
            assert_eq!(part["consent_text"], "We make a picture of your iris.");
            assert_eq!(part["consent_text_version"], "2026-11");
            assert_eq!(part["requires_explicit_consent"], true);
            assert!(part["jurisdiction_name"].is_string(), "{part}");
        }
        let requirements = &answer["consent_requirements"];
        for always in [
            "explicit_consent",
            "purpose_disclosure",
            "right_to_withdraw",
        ] {
            assert_eq!(requirements[always], true, "{always}");
        }
        let written = &requirements["written_consent"];
        assert_eq!(*written == true, expected == "bipa", "{requirements}");
    }
}

#[tokio::test]
async fn a_consent_text_from_a_file_has_a_version_of_its_own() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let file = folder.path().join("consent.txt");
    std::fs::write(&file, "Ours is short.\n").expect("written");
    let file = file.to_str().expect("a path");
    let app = App::start_with(&[("IRISFLOW_CONSENT_TEXT_FILE", file)]).await;
    let plain = App::start().await;

    let (own, default) = (jurisdiction(&app, "").await, jurisdiction(&plain, "").await);

    assert_eq!(own["consent_text"], "Ours is short.");
    assert!(!text(&default["consent_text"]).is_empty());
    assert_ne!(own["consent_text_version"], default["consent_text_version"]);
}

#[tokio::test]
async fn a_consent_takes_both_names_of_the_version_and_keeps_the_jurisdiction() {
    let app = App::start().await;
    let user = app.user("you").await;
    let give = async |body: Value| user.post("/privacy/consent", &body).await;
    for version in [
        json!({ "text_version": "7" }),
        json!({ "consent_text_version": "7" }),
        json!({ "text_version": "7", "consent_text_version": "7" }),
    ] {
        let mut body = json!({ "consent_type": "biometric_capture", "jurisdiction": "BIPA" });
        let fields = version.as_object().expect("an object").clone();
        body.as_object_mut().expect("an object").extend(fields);
        let given = json_of(give(body).await, StatusCode::CREATED).await;
        assert_eq!(given["jurisdiction"], "bipa");
        assert_eq!(given["text_version"], "7");
        assert_eq!(given["consent_text_version"], "7");
        assert_eq!(
            (&given["granted"], &given["withdrawn_at"]),
            (&json!(true), &Value::Null)
        );
    }
    let listed = json_of(user.get("/privacy/consent").await, StatusCode::OK).await;
    assert_eq!(listed["consents"][0]["jurisdiction"], "bipa");
    for refused in [
        json!({ "consent_type": "marketing" }),
        json!({ "consent_type": "marketing", "text_version": "7", "consent_text_version": "8" }),
        json!({ "consent_type": "marketing", "text_version": "7", "jurisdiction": "mars" }),
    ] {
        json_of(give(refused).await, StatusCode::UNPROCESSABLE_ENTITY).await;
    }
}

#[tokio::test]
async fn after_a_withdrawal_uploads_are_rejected_and_the_record_stays() {
    let app = App::start_with(&[("IRISFLOW_CONSENT_REQUIRED", "true")]).await;
    let (user, stranger) = (app.user("you").await, app.user("stranger").await);
    assert!(!has_biometric_consent(&user).await);
    consent(&user, "biometric_capture").await;
    let given = consent(&user, "biometric_capture").await;
    let id = text(&json_of(given, StatusCode::CREATED).await["id"]);
    let photo_id = user.upload(good_eye()).await;
    let announced = user.post("/photos/upload", &json!({})).await;
    let announced = text(&json_of(announced, StatusCode::CREATED).await["photo_id"]);
    assert!(has_biometric_consent(&user).await);
    let path = format!("/privacy/consent/{id}/withdraw");
    let foreign = stranger.send(Method::POST, &path, None).await;
    assert_eq!(foreign.status(), StatusCode::NOT_FOUND);

    let withdrawn = user.send(Method::POST, &path, None).await;

    let withdrawn = json_of(withdrawn, StatusCode::OK).await;
    assert_eq!(withdrawn["granted"], false);
    assert!(withdrawn["withdrawn_at"].is_string(), "{withdrawn}");
    assert!(!has_biometric_consent(&user).await);
    for refused in [
        user.post_photo(good_eye()).await,
        user.post("/photos/upload", &json!({})).await,
        user.post(&format!("/photos/{announced}/confirm"), &json!({}))
            .await,
        user.post("/processing/submit", &json!({ "photo_id": photo_id }))
            .await,
    ] {
        let refused = json_of(refused, StatusCode::FORBIDDEN).await;
        assert_eq!(refused["code"], "consent_required");
    }
    let listed = json_of(user.get("/privacy/consent").await, StatusCode::OK).await;
    assert_eq!(
        listed["consents"].as_array().map(Vec::len),
        Some(2),
        "all stay"
    );
    assert_eq!(
        user.delete(&format!("/photos/{photo_id}")).await,
        StatusCode::NO_CONTENT
    );
}

async fn photo(user: &User<'_>, photo_id: &str) -> Value {
    json_of(
        user.get(&format!("/photos/{photo_id}")).await,
        StatusCode::OK,
    )
    .await
}

#[tokio::test]
async fn originals_are_deleted_after_their_retention_and_results_stay() {
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
async fn results_are_deleted_after_their_retention_and_originals_stay() {
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
