//! Fault injection: errors, panics, crashes and hangs at each step and between any two writes; restarts.

use crate::app::{App, good_eye};

/// Stored of a finished job: six pictures, since both outlines are made, and three previews.
const OBJECTS: usize = 9;

/// Every point of an attempt at which a fault can be injected.
const POINTS: [&str; 8] = [
    "loading",
    "segmenting",
    "removing_reflections",
    "enhancing",
    "saving",
    "after_result",
    "after_mask",
    "after_before",
];

/// Short backoff and leases, so that retries start at once.
const QUICK: [(&str, &str); 2] = [("IRISFLOW_BACKOFF_MS", "50"), ("IRISFLOW_LEASE_MS", "1000")];

async fn start_with_fault(fault: &str) -> App {
    let mut settings = QUICK.to_vec();
    settings.push(("IRISFLOW_FAULTS", fault));
    App::start_with(&settings).await
}

#[tokio::test]
async fn a_transient_error_is_retried_and_the_attempt_is_visible_live() {
    let app = start_with_fault("enhancing:transient:1").await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let watched = user.frames_of(&job_id).await;
    assert_eq!(
        watched.last()["status"],
        "completed",
        "{:?}",
        watched.frames
    );
    assert_eq!(watched.last()["attempt_count"], 1);
    assert!(watched.progress().is_sorted(), "{:?}", watched.progress());
    let retrying = watched
        .frames
        .iter()
        .find(|frame| frame["attempt_count"] == 1);
    assert_eq!(
        retrying.expect("a frame of the retry")["status"],
        "processing"
    );
    assert_eq!(user.job(&job_id).await["attempt_count"], 1);
}

#[tokio::test]
async fn a_failure_at_any_point_is_retried_once_and_leaves_one_result() {
    for point in POINTS {
        let app = start_with_fault(&format!("{point}:transient:1")).await;
        let user = app.user("you").await;
        let job_id = user.upload_and_submit(good_eye()).await;
        let job = user.until_ended(&job_id).await;
        assert_eq!(
            (job["status"].as_str(), job["attempt_count"].as_u64()),
            (Some("completed"), Some(1))
        );
        app.until(
            &format!("the first attempt at {point} left nothing"),
            async || app.objects("processed").len() == OBJECTS,
        )
        .await;
    }
}

#[tokio::test]
async fn a_permanent_failure_fails_the_job_and_leaves_no_objects() {
    for point in POINTS {
        let app = start_with_fault(&format!("{point}:transient:9")).await;
        let user = app.user("you").await;
        let job_id = user.upload_and_submit(good_eye()).await;
        let last = user.frames_of(&job_id).await.last().clone();
        assert_eq!(last["status"], "failed", "{point}: {last}");
        assert_eq!(last["error_type"], "transient_error");
        assert_eq!(last["suggestion"], "Tap 'Reprocess' to try again.");
        app.until_no_objects("processed").await;
    }
}

#[tokio::test]
async fn a_panic_in_a_step_is_a_server_error_and_the_worker_lives() {
    let app = start_with_fault("segmenting:panic:2").await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    let failed = user.until_ended(&user.submit(&photo_id).await).await;
    assert_eq!(failed["error_type"], "server_error");
    assert_eq!(
        failed["suggestion"],
        "Tap 'Reprocess' to try again, or try with a different photo."
    );
    let next = user.until_ended(&user.submit(&photo_id).await).await;
    assert_eq!(next["status"], "completed");
}

#[tokio::test]
async fn a_killed_service_finishes_the_job_after_its_restart() {
    for point in ["segmenting", "saving", "after_mask"] {
        // Delayed, so that the job is submitted and watched before the process aborts.
        let app = start_with_fault(&format!("loading:hang500:1,{point}:abort:1")).await;
        let (email, job_id, before) = {
            let user = app.user("you").await;
            let job_id = user.upload_and_submit(good_eye()).await;
            let before = user.watch(&job_id).await.progress_until_broken().await;
            (user.email, job_id, before)
        };
        let app = app.restart_after_exit().await;
        let user = app.sign_in(&email).await;
        let watched = user.frames_of(&job_id).await;
        assert_eq!(
            watched.last()["status"],
            "completed",
            "{point}: {:?}",
            watched.frames
        );
        assert_eq!(watched.last()["attempt_count"], 1);
        assert!(
            watched.progress().first() >= before.last(),
            "progress never goes back"
        );
        app.until("only one attempt's objects are left", async || {
            app.objects("processed").len() == OBJECTS
        })
        .await;
    }
}

#[tokio::test]
async fn a_photo_that_crashes_its_worker_repeatedly_fails_with_a_server_error() {
    // Each process claims the job and is killed in its first step.
    let settings = [
        ("IRISFLOW_FAULTS", "loading:hang60000:1"),
        ("IRISFLOW_LOG", "info"),
    ];
    let mut app = App::start_with(&settings).await;
    let (email, job_id) = {
        let user = app.user("you").await;
        let job_id = user.upload_and_submit(good_eye()).await;
        (user.email, job_id)
    };
    for process in 1..=3 {
        app.until("the step of this process hangs", async || {
            app.log().matches("a planned fault strikes").count() == process
        })
        .await;
        if process < 3 {
            app = app.kill_and_restart_keeping_faults().await;
        }
    }
    let app = app.kill_and_restart().await;
    let user = app.sign_in(&email).await;
    let job = user.until_ended(&job_id).await;
    assert_eq!(
        (job["status"].as_str(), job["error_code"].as_str()),
        (Some("failed"), Some("worker_lost"))
    );
}

#[tokio::test]
async fn a_hanging_step_ends_by_its_time_limit_and_does_not_hold_the_slot() {
    let settings = [
        // Limits that the second attempt keeps on a busy machine too.
        ("IRISFLOW_LEASE_MS", "3000"),
        ("IRISFLOW_MAX_RUNTIME_MS", "8000"),
        ("IRISFLOW_WORKERS", "1"),
        ("IRISFLOW_FAULTS", "loading:hang600000:1"),
    ];
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let job = user.until_ended(&job_id).await;
    assert_eq!(
        (job["status"].as_str(), job["attempt_count"].as_u64()),
        (Some("completed"), Some(1))
    );
}

#[tokio::test]
async fn a_graceful_shutdown_hands_running_jobs_back() {
    let settings = [
        ("IRISFLOW_DRAIN_GRACE_MS", "100"),
        ("IRISFLOW_FAULTS", "enhancing:hang3000:1"),
    ];
    let mut app = App::start_with(&settings).await;
    let (email, job_id) = {
        let user = app.user("you").await;
        let job_id = user.upload_and_submit(good_eye()).await;
        app.until("enhancing", async || {
            user.job(&job_id).await["progress"] == 70
        })
        .await;
        (user.email, job_id)
    };
    assert!(app.terminate().await.success());
    let app = app.kill_and_restart().await;
    let user = app.sign_in(&email).await;
    let job = user.until_ended(&job_id).await;
    assert_eq!(
        (job["status"].as_str(), job["attempt_count"].as_u64()),
        (Some("completed"), Some(0))
    );
    app.until("only one attempt's objects are left", async || {
        app.objects("processed").len() == OBJECTS
    })
    .await;
}

#[tokio::test]
async fn a_reconnect_after_a_restart_gets_no_older_events() {
    let settings = [
        ("IRISFLOW_DRAIN_GRACE_MS", "0"),
        ("IRISFLOW_FAULTS", "enhancing:hang500:1"),
    ];
    let mut app = App::start_with(&settings).await;
    let (email, job_id, before) = {
        let user = app.user("you").await;
        let job_id = user.upload_and_submit(good_eye()).await;
        let mut socket = user.watch(&job_id).await;
        let mut seen = 0;
        while seen < 70 {
            seen = socket.frame().await["progress"].as_u64().expect("progress");
        }
        (user.email, job_id, seen)
    };
    assert!(app.terminate().await.success());
    let app = app.kill_and_restart().await;
    let user = app.sign_in(&email).await;
    let after = user.frames_of(&job_id).await.progress();
    assert!(after.first() >= Some(&before), "{after:?} after {before}");
}

#[tokio::test]
async fn two_programs_do_not_share_a_data_folder() {
    let app = App::start().await;
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(app.data_dir())
        .output()
        .expect("it runs");
    assert_eq!(second.status.code(), Some(3));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another irisflow is using"), "{said}");
}
