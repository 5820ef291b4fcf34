//! `POST /photos/{id}/check`: the verdict on a photo without a job, and who may request it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, User, good_eye, json_of, no_eye, text};

async fn check(user: &User<'_>, photo_id: &str, status: StatusCode) -> Value {
    let path = format!("/photos/{photo_id}/check");
    json_of(user.send(Method::POST, &path, None).await, status).await
}

#[tokio::test]
async fn a_usable_photo_gets_a_verdict_with_ellipses_and_no_job() {
    let app = App::start().await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    let verdict = check(&user, &photo_id, StatusCode::OK).await;
    assert_eq!(verdict["usable"], true, "{verdict}");
    assert_eq!(verdict["rejection"], Value::Null);
    assert_eq!(verdict["photo"], json!({ "width": 400, "height": 400 }));
    assert!(
        verdict["message"]
            .as_str()
            .is_some_and(|words| words.contains("photo") || words.contains("enough")),
        "{verdict}"
    );
    let (iris, pupil) = (&verdict["iris"], &verdict["pupil"]);
    let axis = |ellipse: &Value| ellipse["rx"].as_f64().expect("a number");
    assert!(axis(pupil) < axis(iris) && axis(iris) < 400.0, "{verdict}");
    assert!(verdict["quality"]["sharpness"].is_number());
    assert!(
        verdict["quality_score"]
            .as_u64()
            .is_some_and(|score| score <= 100)
    );
    let jobs = json_of(user.get("/processing/jobs").await, StatusCode::OK).await;
    assert_eq!(jobs["total"], 0);
}

#[tokio::test]
async fn a_finished_job_has_the_same_quality_as_the_check() {
    let app = App::start().await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    let verdict = check(&user, &photo_id, StatusCode::OK).await;
    let job_id = user.submit(&photo_id).await;
    let job = user.until_ended(&job_id).await;
    assert_eq!(job["quality_score"], verdict["quality_score"], "{job}");
    assert_eq!(job["quality_message"], verdict["message"]);
    let figures = verdict["quality"].as_object().expect("named figures");
    for (name, figure) in figures {
        assert_eq!(&job["quality"][name], figure, "{name}");
    }
}

#[tokio::test]
async fn a_photo_without_an_eye_is_rejected_with_figure_and_suggestion() {
    let app = App::start().await;
    let user = app.user("you").await;
    let photo_id = user.upload(no_eye()).await;
    let verdict = check(&user, &photo_id, StatusCode::OK).await;
    assert_eq!(verdict["usable"], false, "{verdict}");
    assert_eq!(verdict["rejection"]["code"], "no_iris_found");
    assert_eq!(verdict["message"], verdict["rejection"]["message"]);
    assert_eq!(verdict["suggestion"], verdict["rejection"]["suggestion"]);
    assert_eq!(verdict["rejection"]["threshold"], 0.65);
    assert_eq!(verdict["iris"], Value::Null);
    assert_eq!(verdict["quality_score"], Value::Null);
}

#[tokio::test]
async fn a_job_fails_with_the_same_message_and_figure_as_the_check() {
    let app = App::start().await;
    let user = app.user("you").await;
    let photo_id = user.upload(no_eye()).await;
    let rejection = check(&user, &photo_id, StatusCode::OK).await["rejection"].clone();
    let job_id = user.submit(&photo_id).await;
    let job = user.until_ended(&job_id).await;
    let last = user.frames_of(&job_id).await.frames.pop().expect("a frame");
    let measured = json!({
        "figure": rejection["figure"],
        "value": rejection["value"],
        "threshold": rejection["threshold"],
    });
    assert_eq!(measured["figure"], "confidence");
    for (body, field) in [(&job, "error_measured"), (&last, "measured")] {
        assert_eq!(body["suggestion"], rejection["suggestion"], "{body}");
        assert_eq!(body[field], measured, "{body}");
    }
    assert_eq!(job["error_message"], rejection["message"]);
    assert_eq!(last["message"], rejection["message"]);
}

#[tokio::test]
async fn a_photo_of_another_account_is_not_found() {
    let app = App::start().await;
    let photo_id = app.user("owner").await.upload(good_eye()).await;
    let other = app.user("other").await;
    let foreign = check(&other, &photo_id, StatusCode::NOT_FOUND).await;
    let unused_id = uuid::Uuid::new_v4().to_string();
    let unknown = check(&other, &unused_id, StatusCode::NOT_FOUND).await;
    assert_eq!(foreign, unknown);
}

#[tokio::test]
async fn a_photo_that_is_not_confirmed_cannot_be_checked() {
    let app = App::start().await;
    let user = app.user("you").await;
    let announced = user
        .post("/photos/upload", &json!({ "content_type": "image/jpeg" }))
        .await;
    let photo_id = text(&json_of(announced, StatusCode::CREATED).await["photo_id"]);
    let refused = check(&user, &photo_id, StatusCode::CONFLICT).await;
    assert_eq!(refused["code"], "photo_not_uploaded");
}

#[tokio::test]
async fn a_check_needs_a_session() {
    let app = App::start().await;
    let path = format!("/photos/{}/check", uuid::Uuid::new_v4());
    let answer = app.request(Method::POST, &path).send().await;
    let refused = json_of(answer.expect("an answer"), StatusCode::UNAUTHORIZED).await;
    assert_eq!(refused["code"], "not_authenticated");
}
