//! WebSocket of one job: frames, reconnects, rejected sockets, the end of sessions.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, Watched, good_eye, is_complete_failure_frame, json_of, no_eye, text};

const CHECKPOINTS: [u64; 10] = [5, 10, 20, 40, 50, 60, 70, 90, 95, 100];
const STEPS: [&str; 6] = [
    "Preparing your image...",
    "Finding your iris...",
    "Removing reflections...",
    "Enhancing quality...",
    "Almost done...",
    "Complete!",
];

fn checkpoints_of(watched: &Watched) -> Vec<u64> {
    watched
        .progress()
        .into_iter()
        .filter(|progress| *progress > 0)
        .collect()
}

#[tokio::test]
async fn a_watcher_gets_all_ten_checkpoints_once_and_in_order() {
    let app = App::start().await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let watched = user.frames_of(&job_id).await;
    assert_eq!(
        checkpoints_of(&watched),
        CHECKPOINTS,
        "{:?}",
        watched.frames
    );
    let steps: Vec<&str> = watched
        .steps()
        .into_iter()
        .filter(|step| *step != "Processing...")
        .collect();
    assert_eq!(steps, STEPS);
    assert_eq!(watched.close_code, 1000);
}

#[tokio::test]
async fn progress_frames_carry_the_promised_fields() {
    let app = App::start().await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let watched = user.frames_of(&job_id).await;
    for frame in &watched.frames {
        assert_eq!(frame["job_id"], json!(job_id));
        assert!(
            frame["status"].is_string() && frame["step"].is_string(),
            "{frame}"
        );
        assert!(text(&frame["timestamp"]).ends_with('Z'), "{frame}");
    }
}

#[tokio::test]
async fn the_final_frame_has_a_link_that_works_and_the_size_of_the_picture() {
    let app = App::start().await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let watched = user.frames_of(&job_id).await;
    let last = watched.last();
    assert_eq!(last["status"], "completed", "{last}");
    assert_eq!(last["progress"], 100);
    assert_eq!(
        (&last["result_width"], &last["result_height"]),
        (&json!(2048), &json!(2048))
    );
    assert!(
        last["processing_time_ms"].as_u64().is_some_and(|ms| ms > 0),
        "{last}"
    );
    let picture = app.get(last["result_url"].as_str().expect("a link")).await;
    assert_eq!(picture.headers()["content-type"], "image/jpeg");
    let bytes = picture.bytes().await.expect("the picture");
    assert_eq!(&bytes[..3], b"\xff\xd8\xff");
}

#[tokio::test]
async fn a_finished_job_gives_its_final_frame_at_once_and_nothing_else() {
    let app = App::start().await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    user.until_ended(&job_id).await;
    let watched = user.frames_of(&job_id).await;
    assert_eq!(watched.frames.len(), 1, "{:?}", watched.frames);
    assert_eq!(watched.last()["status"], "completed");
    assert_eq!(watched.close_code, 1000);
}

#[tokio::test]
async fn a_photo_without_an_iris_fails_as_a_quality_issue_that_says_what_to_do() {
    let app = App::start().await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(no_eye()).await;
    let watched = user.frames_of(&job_id).await;
    let last = watched.last();
    assert_eq!(last["status"], "failed", "{last}");
    assert_eq!(last["error_type"], "quality_issue");
    assert!(!text(&last["message"]).is_empty() && !text(&last["suggestion"]).is_empty());
    assert_eq!(last["step"], "Finding your iris...");
    assert_eq!(watched.close_code, 1000);
    let again = user.frames_of(&job_id).await;
    assert_eq!(again.frames.len(), 1);
    assert_eq!(again.last(), last);
}

#[tokio::test]
async fn a_disconnect_does_not_stop_the_job_and_a_reconnect_shows_it() {
    let app = App::start_with(&[("IRISFLOW_FAULTS", "enhancing:hang700:1")]).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let mut socket = user.watch(&job_id).await;
    let mut seen = 0;
    while seen < 70 {
        seen = socket.frame().await["progress"].as_u64().expect("progress");
    }
    socket.close().await;
    let watched = user.frames_of(&job_id).await;
    assert_eq!(watched.last()["status"], "completed");
    let progress = watched.progress();
    assert!(
        progress[0] >= seen && progress.is_sorted(),
        "nothing older than {seen} comes again: {progress:?}"
    );
}

/// As after a change from Wi-Fi to a mobile network: the server has not detected that the old connection is dead.
#[tokio::test]
async fn a_reconnect_beside_a_half_open_connection_gets_no_older_events() {
    let app = App::start_with(&[("IRISFLOW_FAULTS", "enhancing:hang1500:1")]).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let mut half_open = user.watch(&job_id).await;
    let mut seen = 0;
    while seen < 50 {
        seen = half_open.frame().await["progress"]
            .as_u64()
            .expect("progress");
    }

    let again = user.frames_of(&job_id).await;
    let progress = again.progress();

    assert!(progress[0] >= seen, "{seen}, then {progress:?}");
    assert!(progress.is_sorted(), "{progress:?}");
    assert_eq!(again.last()["status"], "completed");
    drop(half_open);
}

#[tokio::test]
async fn a_late_watcher_gets_older_progress_as_one_frame() {
    let app = App::start_with(&[("IRISFLOW_FAULTS", "enhancing:hang600000:1")]).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    user.until_progress(&job_id, 70).await;
    // Older than what is replayed.
    app.edit_database("UPDATE events SET at = at - 60000").await;
    let socket = user.watch(&job_id).await;
    user.cancel(&job_id).await;
    let watched = socket.until_the_end().await;
    let progress = watched.progress();
    assert_eq!(
        progress,
        [70, 70],
        "one frame, and the end: {:?}",
        watched.frames
    );
}

#[tokio::test]
async fn two_watchers_of_one_job_both_get_all_events() {
    let app = App::start_with(&[("IRISFLOW_FAULTS", "loading:hang300:1")]).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let (first, second) = tokio::join!(user.frames_of(&job_id), user.frames_of(&job_id));
    assert_eq!(checkpoints_of(&first), CHECKPOINTS);
    assert_eq!(checkpoints_of(&second), CHECKPOINTS);
}

async fn refusal(app: &App, path: &str, origin: Option<&str>) -> (Value, u16) {
    let watched = app.socket_at(path, origin).await.until_the_end().await;
    assert_eq!(watched.frames.len(), 1, "{:?}", watched.frames);
    (watched.last().clone(), watched.close_code)
}

#[tokio::test]
async fn a_socket_without_a_token_is_rejected() {
    let app = App::start().await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(no_eye()).await;
    let (frame, code) = refusal(&app, &format!("/ws/jobs/{job_id}"), None).await;
    assert_eq!(frame["error"], "Authentication required");
    assert_eq!(frame["detail"], "Token missing from query parameters");
    assert_eq!(code, 1008);
    assert!(is_complete_failure_frame(&frame), "{frame}");
    assert_eq!(
        frame["progress"], 0,
        "the frame shows nothing of the job: {frame}"
    );
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let app = App::start().await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(no_eye()).await;
    let mut tampered = user.token.clone();
    tampered.replace_range(tampered.len() - 8.., "AAAAAAAA");
    // {"alg":"none"}, with the claims of a valid token and no signature.
    let claims = user.token.split('.').nth(1).expect("claims");
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    for token in [
        tampered.as_str(),
        unsigned.as_str(),
        &user.refresh_token,
        "x",
    ] {
        let (frame, code) = refusal(&app, &format!("/ws/jobs/{job_id}?token={token}"), None).await;
        assert_eq!(frame["error"], "Could not validate credentials");
        assert_eq!(code, 1008);
    }
}

#[tokio::test]
async fn a_socket_outlives_its_token_and_an_expired_one_opens_none() {
    let settings = [
        ("IRISFLOW_ACCESS_TOKEN_MS", "3000"),
        ("IRISFLOW_FAULTS", "segmenting:hang5000:1"),
    ];
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;

    let watched = user.frames_of(&job_id).await;

    assert_eq!(
        watched.last()["status"],
        "completed",
        "{:?}",
        watched.frames
    );
    assert_eq!(watched.close_code, 1000);
    let path = format!("/ws/jobs/{job_id}?token={}", user.token);
    let (frame, code) = refusal(&app, &path, None).await;
    assert_eq!((&frame["error"], code), (&json!("Token expired"), 1008));
    assert_eq!(frame["code"], "token_expired");
    assert!(
        is_complete_failure_frame(&frame),
        "clients do not reconnect after it: {frame}"
    );
}

/// A command in another process cannot notify sockets of the server, which check their sessions periodically.
#[tokio::test]
async fn a_socket_of_a_session_that_another_process_ended_closes_at_the_next_check() {
    let settings = [
        ("IRISFLOW_SESSION_CHECK_MS", "500"),
        ("IRISFLOW_FAULTS", "loading:hang9000:1"),
    ];
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let mut socket = user.watch(&job_id).await;
    socket.frame().await;

    let disabled = std::process::Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .args(["user", "disable", &user.email, "--data-dir"])
        .arg(app.data_dir())
        .status();

    assert!(disabled.expect("it runs").success());
    // The usual interval is longer.
    let ended = tokio::time::timeout(Duration::from_secs(20), socket.until_the_end()).await;
    assert_eq!(ended.expect("after the check").close_code, 1008);
}

#[tokio::test]
async fn foreign_and_unknown_jobs_get_the_same_answer() {
    let app = App::start().await;
    let (mine, other) = (app.user("mine").await, app.user("other").await);
    let job_id = mine.upload_and_submit(no_eye()).await;
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let ask = async |id: &str| {
        let (frame, code) =
            refusal(&app, &format!("/ws/jobs/{id}?token={}", other.token), None).await;
        (frame.to_string().replace(id, "ID"), code)
    };
    let (foreign, unknown) = (ask(&job_id).await, ask(unknown).await);
    assert_eq!(foreign, unknown);
    assert_eq!(foreign.1, 1008);
    assert!(foreign.0.contains("Job not found"));
    let frame: Value = serde_json::from_str(&foreign.0).expect("JSON");
    assert!(is_complete_failure_frame(&frame), "{frame}");
    assert_eq!(frame["code"], "job_not_found");
    assert!(ask("not-a-uuid").await.0.contains("Job not found"));
}

#[tokio::test]
async fn pages_of_other_sites_may_not_open_a_socket() {
    let app = App::start_with(&[("IRISFLOW_ALLOWED_ORIGINS", "https://app.example.com")]).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(no_eye()).await;
    user.until_ended(&job_id).await;
    let path = format!("/ws/jobs/{job_id}?token={}", user.token);
    for origin in [
        "https://evil.example",
        "https://app.example.com.evil.example",
        "null",
    ] {
        let (frame, code) = refusal(&app, &path, Some(origin)).await;
        assert_eq!(
            (&frame["code"], code),
            (&json!("origin_not_allowed"), 1008),
            "{origin}"
        );
    }
    let own = app.url.clone();
    for origin in ["https://app.example.com", &own] {
        let (frame, _) = refusal(&app, &path, Some(origin)).await;
        assert_eq!(frame["status"], "failed", "{origin}");
    }
}

#[tokio::test]
async fn a_socket_ends_at_its_limit_and_the_job_goes_on() {
    let settings = [
        ("IRISFLOW_SOCKET_LIMIT_MS", "300"),
        ("IRISFLOW_FAULTS", "loading:hang1500:1"),
    ];
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let watched = user.frames_of(&job_id).await;
    assert_eq!(watched.last()["error"], "Connection timeout");
    assert_eq!(
        watched.last()["detail"],
        "Maximum connection time exceeded. Job continues in background."
    );
    assert_eq!(
        watched.last()["status"],
        "processing",
        "not final: the client reconnects"
    );
    assert_eq!(watched.close_code, 1000);
    assert_eq!(user.until_ended(&job_id).await["status"], "completed");
}

#[tokio::test]
async fn logging_out_ends_the_sockets_of_that_session() {
    // Neither the end of the job nor the check of the session can close it.
    let app = App::start_with(&[
        ("IRISFLOW_FAULTS", "loading:hang600000:1"),
        ("IRISFLOW_SESSION_CHECK_MS", "600000"),
    ])
    .await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let mut socket = user.watch(&job_id).await;
    socket.frame().await;
    json_of(
        user.send(Method::POST, "/auth/logout", None).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(socket.until_the_end().await.close_code, 1008);
}

#[tokio::test]
async fn deleting_a_photo_sends_a_final_frame_to_watchers_of_its_job() {
    let app = App::start_with(&[("IRISFLOW_FAULTS", "loading:hang1500:1")]).await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    let job_id = user.submit(&photo_id).await;
    let mut socket = user.watch(&job_id).await;
    socket.frame().await;
    user.send(Method::DELETE, &format!("/photos/{photo_id}"), None)
        .await;
    let watched = socket.until_the_end().await;
    let last = watched.last();
    assert_eq!(last["detail"], "Job was deleted");
    assert_eq!(last["code"], "deleted");
    assert_eq!(last["job_id"], *job_id);
    assert!(
        is_complete_failure_frame(last) && last["timestamp"].is_string(),
        "{last}"
    );
    assert_eq!(watched.close_code, 1000);
    app.until_no_objects("iris").await;
    app.until_no_objects("processed").await;
}

#[tokio::test]
async fn messages_from_a_client_are_ignored() {
    let app = App::start_with(&[("IRISFLOW_FAULTS", "loading:hang300:1")]).await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let mut socket = user.watch(&job_id).await;
    socket.send_text("{\"type\":\"cancel\"}").await;
    socket.send_text("\u{0}").await;
    assert_eq!(socket.until_the_end().await.last()["status"], "completed");
}
