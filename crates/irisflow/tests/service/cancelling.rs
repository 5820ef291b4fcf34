//! Cancellation of jobs, as seen by the API and by sockets.

use reqwest::{Method, StatusCode};

use crate::app::{App, good_eye, is_complete_failure_frame, json_of};

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once_and_its_watcher_is_notified() {
    let settings = [
        ("IRISFLOW_WORKERS", "1"),
        ("IRISFLOW_FAULTS", "loading:hang1000:1"),
    ];
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    let running = user.submit(&photo_id).await;
    let waiting = user.submit(&photo_id).await;
    let socket = user.watch(&waiting).await;

    let job = user.cancel(&waiting).await;

    assert_eq!(job["status"], "cancelled");
    let watched = socket.until_the_end().await;
    assert_eq!(watched.last()["code"], "cancelled");
    assert_eq!(watched.close_code, 1000);
    assert_eq!(user.until_ended(&running).await["status"], "completed");
    assert_eq!(user.job(&waiting).await["status"], "cancelled");
}

#[tokio::test]
async fn a_running_job_is_cancelled_without_waiting_for_its_step_or_a_heartbeat() {
    // Neither step nor heartbeat ends before this test gives up.
    let app = App::start_with(&[
        ("IRISFLOW_FAULTS", "enhancing:hang600000:1"),
        ("IRISFLOW_LEASE_MS", "600000"),
    ])
    .await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    user.until_progress(&job_id, 70).await;
    let socket = user.watch(&job_id).await;

    user.cancel(&job_id).await;
    let watched = socket.until_the_end().await;

    assert_eq!(watched.last()["code"], "cancelled");
    assert_eq!(watched.last()["progress"], 70, "as far as it came");
    assert_eq!(watched.close_code, 1000);
}

#[tokio::test]
async fn a_cancelled_job_ends_as_failed_on_its_socket_and_stays_cancelled_elsewhere() {
    let app = App::start_with(&[("IRISFLOW_FAULTS", "enhancing:hang9000:1")]).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    user.until_progress(&job_id, 70).await;
    let socket = user.watch(&job_id).await;
    user.cancel(&job_id).await;
    let job = user.until_ended(&job_id).await;

    for watched in [socket.until_the_end().await, user.frames_of(&job_id).await] {
        let last = watched.last();
        assert_eq!(last["job_id"], *job_id);
        assert_eq!(
            (&last["status"], &last["code"]),
            (&"failed".into(), &"cancelled".into())
        );
        assert!(is_complete_failure_frame(last), "{last}");
        assert_eq!(watched.close_code, 1000);
    }
    assert_eq!(job["status"], "cancelled");
    assert_eq!(job["error_code"], "cancelled");
    assert_eq!(job["error_type"], serde_json::Value::Null);
    assert!(
        job["error_message"].is_string() && job["suggestion"].is_string(),
        "{job}"
    );
}

#[tokio::test]
async fn a_cancelled_job_leaves_no_objects_and_frees_its_worker() {
    let settings = [
        ("IRISFLOW_WORKERS", "1"),
        ("IRISFLOW_FAULTS", "after_result:hang1000:1"),
    ];
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    let cancelled = user.submit(&photo_id).await;
    app.until("a first object is written", async || {
        !app.objects("processed").is_empty()
    })
    .await;

    user.cancel(&cancelled).await;

    app.until_no_objects("processed").await;
    let next = user.submit(&photo_id).await;
    assert_eq!(user.until_ended(&next).await["status"], "completed");
    assert_eq!(user.job(&cancelled).await["status"], "cancelled");
}

#[tokio::test]
async fn a_job_that_has_finished_stays_finished() {
    let app = App::start().await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    user.until_ended(&job_id).await;

    let job = user.cancel(&job_id).await;

    assert_eq!(job["status"], "completed");
    let result = app.get(job["result_url"].as_str().expect("a link")).await;
    assert_eq!(result.status(), StatusCode::OK);
}

#[tokio::test]
async fn jobs_of_others_are_neither_cancelled_nor_deleted() {
    let app = App::start_with(&[("IRISFLOW_FAULTS", "loading:hang1000:1")]).await;
    let (mine, other) = (app.user("mine").await, app.user("other").await);
    let job_id = mine.upload_and_submit(good_eye()).await;
    let path = format!("/processing/jobs/{job_id}");

    let cancelled = other
        .send(Method::POST, &format!("{path}/cancel"), None)
        .await;
    json_of(cancelled, StatusCode::NOT_FOUND).await;
    assert_eq!(other.delete(&path).await, StatusCode::NOT_FOUND);

    assert_eq!(mine.until_ended(&job_id).await["status"], "completed");
}
