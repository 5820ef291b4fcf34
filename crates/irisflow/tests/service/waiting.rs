//! Estimates for waiting jobs: queue position, reason for waiting, ETA, retries.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::app::{App, good_eye, json_of, no_eye, text};

#[tokio::test]
async fn a_waiting_job_has_its_queue_position_and_reason() {
    let settings = [
        ("IRISFLOW_WORKERS", "1"),
        ("IRISFLOW_FAULTS", "loading:hang1500:1"),
    ];
    let app = App::start_with(&settings).await;
    let (user, other) = (app.user("you").await, app.user("other").await);
    let photo_id = user.upload(good_eye()).await;
    let running = user.submit(&photo_id).await;
    user.until_progress(&running, 5).await;
    let second = user.submit(&photo_id).await;
    let third = user.submit(&photo_id).await;
    let foreign = other.upload_and_submit(good_eye()).await;

    let position = |job: &Value| {
        (
            job["queue_position"].clone(),
            job["waiting_because"]["code"].clone(),
        )
    };
    assert_eq!(
        position(&user.job(&running).await),
        (Value::Null, Value::Null)
    );
    // The other user has no running job and therefore goes first.
    assert_eq!(
        position(&other.job(&foreign).await),
        (json!(1), json!("workers_busy"))
    );
    assert_eq!(
        position(&user.job(&second).await),
        (json!(2), json!("fairness_turn"))
    );
    assert_eq!(
        position(&user.job(&third).await),
        (json!(3), json!("queue_ahead"))
    );
    let message = user.job(&third).await["waiting_because"]["message"].clone();
    assert_eq!(message, "2 photos ahead of this one, 1 of them your own.");
}

/// With one worker, no user has a running job when it claims the next one.
#[tokio::test]
async fn with_one_worker_a_newcomer_waits_for_one_job_of_a_flood() {
    let app = App::start_with(&[("IRISFLOW_WORKERS", "1")]).await;
    let (flooding, newcomer) = (app.user("flooding").await, app.user("newcomer").await);
    let photo_id = flooding.upload(no_eye()).await;
    let mine = newcomer.upload(no_eye()).await;
    let first = flooding.submit(&photo_id).await;
    for _ in 1..60 {
        flooding.submit(&photo_id).await;
    }
    flooding.until_ended(&first).await;

    let page = "/processing/jobs?page_size=100";
    let flood = async || json_of(flooding.get(page).await, StatusCode::OK).await["items"].clone();
    let is_over = |job: &Value| job["status"] == "failed";

    let job_id = newcomer.submit(&mine).await;
    // The submission is committed: jobs that have ended by now were claimed before it, or one is running.
    let at_submission = flood().await;
    let job = newcomer.until_ended(&job_id).await;

    let over_before = |id: &Value| {
        let mut jobs = at_submission.as_array().expect("a page").iter();
        jobs.any(|job| job["job_id"] == *id && is_over(job))
    };
    let served_between = |other: &&Value| {
        let ended_first = other["updated_at"].as_str() < job["updated_at"].as_str();
        is_over(other) && ended_first && !over_before(&other["job_id"])
    };
    let flood = flood().await;
    let flood = flood.as_array().expect("a page");
    let served: Vec<&Value> = flood.iter().filter(served_between).collect();
    assert!(served.len() <= 1, "before {job:#}\nwent {served:#?}");
    let waiting = flood.iter().filter(|other| other["status"] == "pending");
    assert!(waiting.count() > 10, "the flood still waits");
}

#[tokio::test]
async fn a_page_of_jobs_has_their_queue_positions() {
    let settings = [
        ("IRISFLOW_WORKERS", "1"),
        ("IRISFLOW_FAULTS", "loading:hang3000:1"),
    ];
    let app = App::start_with(&settings).await;
    let (user, other) = (app.user("you").await, app.user("other").await);
    let photo_id = user.upload(no_eye()).await;
    let running = user.submit(&photo_id).await;
    user.until_progress(&running, 5).await;
    other.upload_and_submit(no_eye()).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(user.submit(&photo_id).await);
    }

    let page = json_of(user.get("/processing/jobs").await, StatusCode::OK).await;

    let items = page["items"].as_array().expect("a page").iter();
    let places: Vec<_> = items.map(|job| job["queue_position"].as_u64()).collect();
    assert_eq!(places, [Some(5), Some(4), Some(3), Some(2), None]);
    for (place, job_id) in (2_u64..).zip(&waiting) {
        assert_eq!(user.job(job_id).await["queue_position"], place);
    }
}

#[tokio::test]
async fn counters_that_were_damaged_are_repaired_and_the_queue_goes_on() {
    let settings = [
        ("IRISFLOW_WORKERS", "1"),
        ("IRISFLOW_COUNTER_CHECK_MS", "100"),
        ("IRISFLOW_FAULTS", "loading:hang1500:1"),
    ];
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let photo_id = user.upload(no_eye()).await;
    let running = user.submit(&photo_id).await;
    user.until_progress(&running, 5).await;
    let waiting = user.submit(&photo_id).await;

    app.edit_database("UPDATE timelines SET queued = 0, running = 0, next_run_at = NULL")
        .await;

    assert_eq!(user.until_ended(&waiting).await["status"], "failed");
    assert!(
        app.log()
            .contains("did not match its jobs and were repaired")
    );
}

#[tokio::test]
async fn a_watcher_gets_a_frame_when_the_queue_position_changes() {
    let settings = [
        ("IRISFLOW_WORKERS", "1"),
        ("IRISFLOW_FAULTS", "loading:hang4000:2"),
    ];
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let photo_id = user.upload(no_eye()).await;
    let running = user.submit(&photo_id).await;
    user.until_progress(&running, 5).await;
    let ahead = user.submit(&photo_id).await;
    let waiting = user.submit(&photo_id).await;
    let mut socket = user.watch(&waiting).await;
    let first = socket.frame().await;
    user.cancel(&ahead).await;

    let watched = socket.until_the_end().await;

    let places = std::iter::once(&first)
        .chain(&watched.frames)
        .map(|frame| frame["queue_position"].as_u64());
    let mut places: Vec<u64> = places.flatten().collect();
    places.dedup();
    assert_eq!(places, [2, 1]);
}

#[tokio::test]
async fn a_retry_is_shown_as_such() {
    let settings = [
        ("IRISFLOW_BACKOFF_MS", "60000"),
        ("IRISFLOW_FAULTS", "enhancing:transient:1"),
    ];
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let mut socket = user.watch(&job_id).await;
    let retrying = loop {
        let frame = socket.frame().await;
        if frame["attempt_count"] == 1 {
            break frame;
        }
    };

    let job = user.job(&job_id).await;
    for body in [&retrying, &job] {
        assert_eq!(body["retrying"], "Trying again, attempt 2");
        assert_eq!(body["waiting_because"]["code"], "retry_backoff");
        assert_eq!(
            (&body["status"], &body["progress"]),
            (&json!("processing"), &json!(70))
        );
    }
}

#[tokio::test]
async fn an_estimate_uses_the_step_times_of_finished_jobs() {
    let app = App::start_with(&[("IRISFLOW_WORKERS", "1")]).await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    for _ in 0..5 {
        let job_id = user.submit(&photo_id).await;
        user.until_ended(&job_id).await;
    }
    // The server caches the step times for two seconds, so that the first submissions may have no estimate.
    let submit = async || {
        let body = json!({ "photo_id": photo_id });
        let answer = user.post("/processing/submit", &body).await;
        json_of(answer, StatusCode::CREATED).await
    };
    let mut job = submit().await;
    for _ in 0..100 {
        if job["eta_ms"]["low"].is_u64() {
            break;
        }
        user.until_ended(&text(&job["job_id"])).await;
        job = submit().await;
    }

    let (low, high) = (
        job["eta_ms"]["low"].as_u64(),
        job["eta_ms"]["high"].as_u64(),
    );
    assert!(low > Some(0) && low <= high, "{job}");
    let ended = user
        .until_ended(job["job_id"].as_str().expect("an id"))
        .await;
    assert_eq!(ended["eta_ms"], Value::Null, "nothing is left to wait for");
}
