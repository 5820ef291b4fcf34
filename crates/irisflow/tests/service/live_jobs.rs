//! The jobs of an account on one socket of the running program.

use std::collections::HashMap;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::app::{App, Socket, good_eye, no_eye, text};

/// Receives until the events of this many jobs have ended; returns all of them.
async fn events_until_ended(socket: &mut Socket, jobs: usize) -> Vec<Value> {
    let (mut events, mut ended) = (Vec::new(), 0);
    while ended < jobs {
        let mut frame = socket.frame().await;
        if frame["type"] == "event" {
            let event = frame["event"].take();
            let is_final =
                ["completed", "failed"].contains(&event["kind"].as_str().expect("a kind"));
            ended += usize::from(is_final);
            events.push(event);
        }
    }
    events
}

#[tokio::test]
async fn one_socket_follows_all_jobs_of_an_account() {
    let app = App::start().await;
    let user = app.user("you").await;
    let mut socket = user.follow(json!({})).await;
    assert_eq!(socket.frame().await["type"], "snapshot");
    let mut jobs = Vec::new();
    for photo in [good_eye(), no_eye(), no_eye()] {
        jobs.push(user.upload_and_submit(photo).await);
    }

    let events = events_until_ended(&mut socket, 3).await;

    let mut of_jobs: HashMap<String, Vec<&Value>> = HashMap::new();
    for event in &events {
        of_jobs
            .entry(text(&event["job_id"]))
            .or_default()
            .push(event);
    }
    let progress = |job: &String| -> Vec<u64> {
        let events = of_jobs[job].iter();
        events
            .map(|event| event["progress"].as_u64().expect("progress"))
            .collect()
    };
    assert_eq!(
        progress(&jobs[0]),
        [0, 5, 10, 20, 40, 50, 60, 70, 90, 95, 100]
    );
    for job in &jobs[1..] {
        let last = of_jobs[job].last().expect("an event");
        assert_eq!(
            (&last["kind"], &last["error_type"]),
            (&json!("failed"), &json!("quality_issue"))
        );
        assert!(
            last["suggestion"].is_string() && last["photo_id"].is_string(),
            "{last}"
        );
    }
}

#[tokio::test]
async fn a_completed_event_has_links_that_work_whenever_it_is_sent() {
    let app = App::start().await;
    let user = app.user("you").await;
    let mut socket = user.follow(json!({})).await;
    let cursor = socket.frame().await["cursor"].clone();
    let job_id = user.upload_and_submit(good_eye()).await;
    let live = events_until_ended(&mut socket, 1).await;

    let mut resumed = user.follow(json!({ "cursor": cursor })).await;
    assert_eq!(resumed.frame().await["type"], "resumed");
    let later = events_until_ended(&mut resumed, 1).await;
    let snapshot = user.follow(json!({})).await.frame().await;

    let of_snapshot = snapshot["jobs"][0].clone();
    assert_eq!(of_snapshot["job_id"], job_id);
    for state in [live.last(), later.last(), Some(&of_snapshot)] {
        let state = state.expect("the end");
        assert!(state["urls_expire_at"].is_string(), "{state}");
        for url in ["result_url", "mask_url", "before_url"] {
            let picture = app.get(state[url].as_str().expect("a link")).await;
            assert_eq!(picture.status(), StatusCode::OK, "{url}");
        }
    }
}

#[tokio::test]
async fn the_published_schema_is_that_of_the_frames() {
    for (name, generated) in [
        ("events.schema.json", irisflow_server::event_schema()),
        ("asyncapi.json", irisflow_server::asyncapi()),
    ] {
        let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
        let committed = std::fs::read_to_string(path).expect("the file");
        let committed: Value = serde_json::from_str(&committed).expect("JSON");
        assert_eq!(
            committed, generated,
            "the frames changed: write docs/{name} anew with `cargo xtask openapi`, and look at the diff"
        );
    }
}
