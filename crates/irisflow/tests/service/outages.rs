//! Outages of the machine, the storage and the database: jobs wait, and no attempt is counted as failed.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::app::{App, User, good_eye, json_of};

/// Leases that expire several times during an outage, and slow steps, so that some jobs wait.
const SETTINGS: [(&str, &str); 3] = [
    ("IRISFLOW_LEASE_MS", "1000"),
    ("IRISFLOW_WORKERS", "1"),
    ("IRISFLOW_FAULTS", "loading:hang300:99"),
];
const JOBS: usize = 4;

/// The duration of the fault, several lease periods. Nothing is waited for.
async fn the_outage_lasts() {
    tokio::time::sleep(Duration::from_secs(3)).await;
}

async fn submit_some(user: &User<'_>) -> Vec<String> {
    let photo_id = user.upload(good_eye()).await;
    let mut jobs = Vec::new();
    for _ in 0..JOBS {
        jobs.push(user.submit(&photo_id).await);
    }
    jobs
}

/// Every job completes, and no failed attempt was counted.
async fn assert_all_complete_at_first_attempt(user: &User<'_>, jobs: &[String]) {
    for job_id in jobs {
        let job = user.until_ended(job_id).await;
        assert_eq!(
            (&job["status"], &job["attempt_count"]),
            (&Value::from("completed"), &Value::from(0)),
            "{job}"
        );
        assert_eq!(job["retrying"], Value::Null);
    }
}

async fn waits_for_the_service(user: &User<'_>, job_id: &str) -> bool {
    user.job(job_id).await["waiting_because"]["code"] == "service"
}

async fn readiness(app: &App, status: StatusCode) -> Value {
    json_of(app.get(&format!("{}/health/ready", app.url)).await, status).await
}

async fn database_of(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.join("irisflow.sqlite"));
    SqliteConnection::connect_with(&options)
        .await
        .expect("a database")
}

async fn execute(database: &mut SqliteConnection, sql: &'static str) -> u64 {
    let done = sqlx::query(sql).execute(database).await;
    done.expect("it runs").rows_affected()
}

fn serve_on(folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder)
        .output()
        .expect("it runs")
}

#[tokio::test]
async fn jobs_wait_for_an_unavailable_storage_and_no_attempt_is_counted() {
    let app = App::start_with(&SETTINGS).await;
    let user = app.user("you").await;
    let jobs = submit_some(&user).await;
    let mut socket = user.watch(&jobs[JOBS - 1]).await;
    let (files, away) = (app.data_dir().join("files"), app.data_dir().join("away"));
    std::fs::rename(&files, &away).expect("renamed");

    app.until("its watcher receives a frame", async || {
        waits_for_the_service(&user, &jobs[JOBS - 1]).await
    })
    .await;
    let frame = loop {
        let frame = socket.frame().await;
        if frame["waiting_because"]["code"] == "service" {
            break frame;
        }
    };
    let ready = readiness(&app, StatusCode::SERVICE_UNAVAILABLE).await;
    the_outage_lasts().await;
    std::fs::rename(&away, &files).expect("renamed");

    assert_eq!(frame["status"], "pending");
    assert_eq!(
        (&ready["storage"], &ready["worker"], &ready["database"]),
        (
            &Value::from("unavailable"),
            &Value::from("waiting"),
            &Value::from("ok")
        )
    );
    assert_all_complete_at_first_attempt(&user, &jobs).await;
    readiness(&app, StatusCode::OK).await;
    let mut objects = app.objects("processed");
    // A job goes on without the previews that could not be stored.
    objects.retain(|path| !path.to_string_lossy().contains("_preview_"));
    assert_eq!(
        objects.len() % JOBS,
        0,
        "no file of an interrupted write is left"
    );
}

#[tokio::test]
async fn jobs_wait_for_an_unavailable_database_and_no_attempt_is_counted() {
    let app = App::start_with(&SETTINGS).await;
    let user = app.user("you").await;
    let jobs = submit_some(&user).await;
    user.until_progress(&jobs[0], 5).await;
    let mut other = database_of(app.data_dir()).await;
    execute(&mut other, "BEGIN IMMEDIATE").await;

    app.until("the jobs say so", async || {
        waits_for_the_service(&user, &jobs[JOBS - 1]).await
    })
    .await;
    let ready = readiness(&app, StatusCode::SERVICE_UNAVAILABLE).await;
    execute(&mut other, "ROLLBACK").await;

    assert_eq!(ready["database"], "unavailable");
    assert_all_complete_at_first_attempt(&user, &jobs).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn jobs_wait_for_file_descriptors_and_no_attempt_is_counted() {
    let app = App::start_with(&SETTINGS).await;
    let user = app.user("you").await;
    let jobs = submit_some(&user).await;
    let limit = |soft: &str| {
        let process = app.id().to_string();
        let set = Command::new("prlimit")
            .args(["--pid", &process, &format!("--nofile={soft}:")])
            .status();
        set.is_ok_and(|status| status.success())
    };
    // All descriptors below the limit are in use, so that the server can open no more.
    if !limit("8") {
        return eprintln!("skipped: prlimit is missing");
    }

    app.until("the outage is noticed", async || {
        app.log().contains("an outage")
    })
    .await;
    the_outage_lasts().await;
    assert!(limit("1024"), "the limit is lifted");

    assert_all_complete_at_first_attempt(&user, &jobs).await;
}

#[tokio::test]
async fn a_process_that_was_suspended_has_not_lost_its_workers() {
    let app = App::start_with(&SETTINGS).await;
    let user = app.user("you").await;
    let jobs = submit_some(&user).await;
    user.until_progress(&jobs[0], 5).await;
    app.signal("STOP");
    the_outage_lasts().await;
    app.signal("CONT");
    assert_all_complete_at_first_attempt(&user, &jobs).await;
}

#[tokio::test]
async fn low_disk_space_makes_the_server_not_ready() {
    let app = App::start_with(&[("IRISFLOW_MIN_FREE_BYTES", "1000000000000000000")]).await;
    let ready = readiness(&app, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(
        (&ready["database"], &ready["storage"]),
        (&Value::from("low_space"), &Value::from("low_space"))
    );
}

#[tokio::test]
async fn a_damaged_database_is_not_served_and_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let path = folder.path().join("irisflow.sqlite");
    for damage in [
        b"not a database".to_vec(),
        damaged_copy_of_a_database().await,
    ] {
        std::fs::write(&path, damage).expect("written");
        let ended = serve_on(folder.path());
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(3), "{stderr}");
        assert!(ended.stdout.is_empty(), "it must not say that it runs");
        assert!(stderr.contains("is damaged"), "{stderr}");
        assert!(stderr.contains("irisflow restore --data-dir"), "{stderr}");
    }
}

/// A database with a valid first page and garbage after it.
async fn damaged_copy_of_a_database() -> Vec<u8> {
    let mut app = App::start().await;
    app.user("you").await;
    assert!(app.terminate().await.success());
    let mut bytes = std::fs::read(app.data_dir().join("irisflow.sqlite")).expect("a file");
    bytes[4096..].fill(0xa5);
    bytes
}

#[tokio::test]
async fn jobs_of_a_clock_that_was_set_back_go_on_after_the_restart() {
    let mut app = App::start_with(&[("IRISFLOW_FAULTS", "loading:hang60000:1")]).await;
    let (email, jobs) = {
        let user = app.user("you").await;
        (user.email.clone(), submit_some(&user).await)
    };
    app.kill().await;
    let mut database = database_of(app.data_dir()).await;
    let ahead = "UPDATE jobs SET run_at = run_at + 600000, created_at = created_at + 600000,
                     lease_until = lease_until + 600000";
    assert_eq!(execute(&mut database, ahead).await, JOBS as u64);
    execute(
        &mut database,
        "UPDATE timelines SET next_run_at = next_run_at + 600000",
    )
    .await;
    database.close().await.expect("closed");

    let app = app.kill_and_restart().await;

    let user = app.sign_in(&email).await;
    for job_id in &jobs {
        let job = user.until_ended(job_id).await;
        assert_eq!(job["status"], "completed", "{job}");
    }
}

#[tokio::test]
async fn two_programs_do_not_share_a_folder_whose_lock_file_was_removed() {
    let app = App::start().await;
    std::fs::remove_file(app.data_dir().join("lock")).expect("removed");
    let second = serve_on(app.data_dir());
    assert_eq!(second.status.code(), Some(3));
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert!(stderr.contains("another irisflow is using"), "{stderr}");
}

#[tokio::test]
async fn a_finished_job_with_a_missing_picture_is_shown_as_failed_and_can_be_reprocessed() {
    let app = App::start().await;
    let user = app.user("you").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    assert_eq!(user.until_ended(&job_id).await["status"], "completed");
    for object in app.objects("processed") {
        std::fs::remove_file(object).expect("removed");
    }

    let job = user.job(&job_id).await;
    let frame = user.frames_of(&job_id).await.last().clone();
    let list = json_of(user.get("/processing/jobs").await, StatusCode::OK).await;

    for shown in [&job, &list["items"][0]] {
        assert_eq!(shown["status"], "failed", "{shown}");
        assert_eq!(shown["error_code"], "result_missing");
        assert_eq!(shown["result_url"], Value::Null);
        assert_eq!(shown["suggestion"], "Tap 'Reprocess' to make it again.");
    }
    assert_eq!(
        (&frame["status"], &frame["code"]),
        (&Value::from("failed"), &Value::from("result_missing"))
    );
    let path = format!("/processing/jobs/{job_id}/reprocess");
    let again = user.send(reqwest::Method::POST, &path, None).await;
    let again = json_of(again, StatusCode::CREATED).await;
    let again = user
        .until_ended(again["job_id"].as_str().expect("an id"))
        .await;
    assert_eq!(again["status"], "completed");
}

#[tokio::test]
async fn database_damage_at_runtime_makes_the_server_not_ready() {
    let app = App::start().await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    for _ in 0..3 {
        user.until_ended(&user.submit(&photo_id).await).await;
    }
    readiness(&app, StatusCode::OK).await;
    let mut other = database_of(app.data_dir()).await;
    execute(&mut other, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    let path = app.data_dir().join("irisflow.sqlite");
    let mut bytes = std::fs::read(&path).expect("a file");
    bytes[4096..].fill(0xa5);
    write_in_place(&path, &bytes);
    // A write by another process invalidates the page cache of the server.
    execute(&mut other, "PRAGMA user_version = 7").await;

    app.until("it is not ready", async || {
        let _ = user.get("/processing/jobs").await;
        let answer = app.get(&format!("{}/health/ready", app.url)).await;
        let body: Value = answer.json().await.expect("a body");
        body["database"] == "damaged"
    })
    .await;
}

fn write_in_place(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    let mut file = std::fs::File::options()
        .write(true)
        .open(path)
        .expect("the file");
    file.write_all(bytes).expect("written");
}
