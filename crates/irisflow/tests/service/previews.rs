//! Previews of a job in the running program: on every way to watch it, and gone with it.

use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::app::{App, good_eye, json_of, text};

/// A short lease, since the last sweep runs after it has expired.
const SOON: [(&str, &str); 1] = [("IRISFLOW_LEASE_MS", "500")];

fn kinds(state: &Value) -> Vec<String> {
    let previews = state["previews"].as_array().expect("previews");
    previews
        .iter()
        .map(|preview| text(&preview["kind"]))
        .collect()
}

async fn assert_small_jpegs(app: &App, state: &Value) {
    for preview in state["previews"].as_array().expect("previews") {
        let sides = ["width", "height"].map(|side| preview[side].as_u64().expect("a side"));
        assert!(
            sides.iter().all(|side| (64..=512).contains(side)),
            "{preview}"
        );
        let got = app.get(&text(&preview["url"])).await;
        assert_eq!(got.status(), StatusCode::OK, "{preview}");
        assert_eq!(got.headers()[header::CONTENT_TYPE], "image/jpeg");
        let size = got.bytes().await.expect("bytes").len();
        assert!((1_000..100_000).contains(&size), "{size} bytes: {preview}");
    }
}

#[tokio::test]
async fn each_step_shows_what_the_one_before_made() {
    let app = App::start().await;
    let user = app.user("you").await;
    let mut socket = user.follow(json!({})).await;
    assert_eq!(socket.frame().await["type"], "snapshot");

    let job_id = user.upload_and_submit(good_eye()).await;
    let of_job = user.frames_of(&job_id).await;

    let mut events = Vec::new();
    while events
        .last()
        .is_none_or(|event: &Value| event["kind"] != "completed")
    {
        let mut frame = socket.frame().await;
        if frame["type"] == "event" {
            events.push(frame["event"].take());
        }
    }
    for states in [&events, &of_job.frames] {
        let shown = |progress: u64| {
            let state = states.iter().rfind(|state| state["progress"] == progress);
            kinds(state.expect("a checkpoint"))
        };
        assert_eq!(shown(20), Vec::<String>::new());
        assert_eq!(shown(50), ["outline"]);
        assert_eq!(shown(70), ["outline", "light"]);
        assert_eq!(shown(95), ["outline", "light", "result"]);
        assert_eq!(shown(100), ["outline", "light", "result"]);
        assert_small_jpegs(&app, states.last().expect("the end")).await;
    }
}

#[tokio::test]
async fn a_preview_survives_a_reload_and_goes_with_the_job() {
    let mut settings = SOON.to_vec();
    settings.push(("IRISFLOW_FAULTS", "enhancing:hang1500:1"));
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let path = format!("/processing/jobs/{job_id}");
    app.until("two steps are shown", async || {
        let job = json_of(user.get(&path).await, StatusCode::OK).await;
        kinds(&job) == ["outline", "light"]
    })
    .await;

    let running = json_of(user.get(&path).await, StatusCode::OK).await;
    assert_eq!(running["status"], "processing");
    assert_small_jpegs(&app, &running).await;
    let snapshot = user.follow(json!({})).await.frame().await;
    assert_eq!(kinds(&snapshot["jobs"][0]), ["outline", "light"]);

    let finished = user.until_ended(&job_id).await;
    assert_eq!(kinds(&finished), ["outline", "light", "result"]);
    assert_small_jpegs(&app, &finished).await;
    assert_eq!(user.delete(&path).await, StatusCode::NO_CONTENT);
    app.until_no_objects("processed").await;
    let url = text(&finished["previews"][0]["url"]);
    assert_eq!(app.get(&url).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_retried_attempt_replaces_the_previews_of_the_first() {
    let app = App::start_with(&[
        ("IRISFLOW_FAULTS", "saving:transient:1"),
        ("IRISFLOW_BACKOFF_MS", "50"),
    ])
    .await;
    let user = app.user("you").await;
    let mut socket = user.follow(json!({})).await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let retrying = loop {
        let mut frame = socket.frame().await;
        if frame["event"]["kind"] == "retrying" {
            break frame["event"].take();
        }
    };
    assert_eq!(
        kinds(&retrying),
        Vec::<String>::new(),
        "their objects are deleted"
    );

    let finished = user.until_ended(&job_id).await;

    assert_eq!(kinds(&finished), ["outline", "light", "result"]);
    assert_small_jpegs(&app, &finished).await;
}
