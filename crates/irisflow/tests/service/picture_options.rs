//! `options` of a submit: outline, size, background and preset; both outlines of a result.

use irisflow_image::load::{Limits, probe};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::app::{App, User, good_eye, json_of, text};

async fn finished(user: &User<'_>, options: Value) -> Value {
    let photo_id = user.upload(good_eye()).await;
    let body = json!({ "photo_id": photo_id, "options": options });
    let answer = user.post("/processing/submit", &body).await;
    let job = json_of(answer, StatusCode::CREATED).await;
    user.until_ended(&text(&job["job_id"])).await
}

/// The bytes behind a URL, and their content type.
async fn picture(app: &App, url: &Value) -> (Vec<u8>, String) {
    let answer = app.get(url.as_str().expect("a URL")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let content_type = answer.headers()["content-type"]
        .to_str()
        .expect("text")
        .to_owned();
    (answer.bytes().await.expect("bytes").to_vec(), content_type)
}

fn side(bytes: &[u8]) -> u32 {
    let header = probe(bytes, &Limits::default()).expect("a picture");
    assert_eq!(header.width, header.height);
    header.width
}

#[tokio::test]
async fn both_outlines_are_kept_until_the_job_goes() {
    let app = App::start().await;
    let user = app.user("you").await;
    let job = finished(&user, json!({})).await;

    assert_eq!(job["outline"], "round");
    assert_eq!(job["alternative"]["outline"], "visible");
    let (round, _) = picture(&app, &job["result_url"]).await;
    let (visible, content_type) = picture(&app, &job["alternative"]["result_url"]).await;
    assert_eq!((side(&round), side(&visible)), (2048, 2048));
    assert_eq!(content_type, "image/jpeg");
    assert_ne!(round, visible);
    let (mask, content_type) = picture(&app, &job["alternative"]["mask_url"]).await;
    assert_eq!((side(&mask), content_type.as_str()), (2048, "image/png"));

    let job_id = text(&job["job_id"]);
    let status = user.delete(&format!("/processing/jobs/{job_id}")).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    app.until_no_objects("processed").await;
}

#[tokio::test]
async fn a_picture_is_made_as_its_options_say() {
    let app = App::start().await;
    let user = app.user("you").await;
    let options = json!({
        "outline": "visible", "size": 1024, "background": "transparent", "preset": "vivid",
    });
    let job = finished(&user, options.clone()).await;

    assert_eq!(job["options"], options);
    assert_eq!(
        (&job["outline"], &job["alternative"]),
        (&json!("visible"), &Value::Null)
    );
    assert_eq!(job["result_width"], 1024);
    let (result, content_type) = picture(&app, &job["result_url"]).await;
    assert_eq!((side(&result), content_type.as_str()), (1024, "image/png"));
    let (natural, _) = {
        let options = json!({ "outline": "visible", "size": 1024, "background": "transparent" });
        picture(&app, &finished(&user, options).await["result_url"]).await
    };
    assert_ne!(result, natural, "the preset makes a difference");
}

#[tokio::test]
async fn a_photo_is_processed_again_with_the_same_options_or_others() {
    let app = App::start().await;
    let user = app.user("you").await;
    let first = finished(&user, json!({ "preset": "vivid", "size": 1024 })).await;
    let path = format!("/processing/jobs/{}/reprocess", text(&first["job_id"]));

    let same = json_of(user.post(&path, &Value::Null).await, StatusCode::CREATED).await;
    assert_eq!(same["options"], first["options"]);

    let others = json!({ "options": { "background": "white" } });
    let others = json_of(user.post(&path, &others).await, StatusCode::CREATED).await;
    assert_eq!(
        others["options"],
        json!({ "size": 2048, "background": "white", "preset": "natural" })
    );
}

#[tokio::test]
async fn an_option_that_does_not_exist_is_rejected_and_nothing_is_queued() {
    let app = App::start().await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    for (options, reason) in [
        (
            json!({ "size": 5000 }),
            "give a number of pixels from 1024 to 4096",
        ),
        (json!({ "background": "pink" }), "unknown variant `pink`"),
        (json!({ "sharpen": 3 }), "unknown field `sharpen`"),
        (json!([]), "options"),
    ] {
        for (path, body) in [
            (
                "/processing/submit",
                json!({ "photo_id": photo_id, "options": options }),
            ),
            (
                "/processing/batch",
                json!({ "photo_ids": [photo_id], "options": options }),
            ),
        ] {
            let answer = user.post(path, &body).await;
            let answer = json_of(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
            assert!(answer.to_string().contains(reason), "{path}: {answer}");
        }
    }
    let jobs = json_of(user.get("/processing/jobs").await, StatusCode::OK).await;
    assert_eq!(jobs["total"], 0);
}
