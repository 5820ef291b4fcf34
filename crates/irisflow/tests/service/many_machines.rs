//! Nodes that share PostgreSQL, NATS and S3, and one server with its photos on S3.

use std::io::Write as _;

use irisflow_test_servers::{NatsError, NatsServer, S3Server};
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::app::{App, User, good_eye, json_of, text};
use crate::cluster::{WorkerProcess, database, events_of};

const PASSWORD_OF_NATS: &str = "Swordfish";

/// A NATS server with a password. `None`, with a message, without NATS.
pub(crate) fn nats() -> Option<NatsServer> {
    let lines = format!("authorization {{ user: iris, password: {PASSWORD_OF_NATS} }}");
    match tokio::task::block_in_place(|| NatsServer::start(&lines)) {
        Ok(server) => Some(server),
        Err(error @ NatsError::Missing) => {
            let _ = writeln!(std::io::stderr(), "\nSKIPPED: nodes on NATS. {error}.");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn url_with_password(nats: &NatsServer) -> String {
    let credentials = format!("nats://iris:{PASSWORD_OF_NATS}@");
    nats.url().replace("nats://", &credentials)
}

pub(crate) struct Bucket {
    pub(crate) server: S3Server,
    url: String,
}

impl Bucket {
    pub(crate) fn start() -> Self {
        let server = S3Server::start().expect("the server starts");
        Self {
            url: server.url(),
            server,
        }
    }

    pub(crate) fn settings(&self) -> [(&'static str, &str); 4] {
        [
            ("IRISFLOW_S3_BUCKET", S3Server::BUCKET),
            ("IRISFLOW_S3_ENDPOINT", &self.url),
            ("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_KEY),
        ]
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.server.keys().expect("the bucket")
    }
}

/// Uploads as the page does: by a presigned URL of the storage. Returns the answer to the confirmation, and the photo.
async fn upload_by_url(
    user: &User<'_>,
    bucket: &Bucket,
    bytes: Vec<u8>,
) -> (reqwest::Response, String) {
    let created = user
        .post("/photos/upload", &json!({ "content_type": "image/jpeg" }))
        .await;
    let created = json_of(created, StatusCode::CREATED).await;
    let (url, photo_id) = (text(&created["upload_url"]), text(&created["photo_id"]));
    assert!(url.starts_with(&bucket.url), "{url}");
    let put = reqwest::Client::new()
        .put(&url)
        .header(CONTENT_TYPE, "image/jpeg");
    let put = put.body(bytes).send().await.expect("an answer");
    assert_eq!(put.status(), StatusCode::OK);
    let confirmed = user
        .post(&format!("/photos/{photo_id}/confirm"), &json!({}))
        .await;
    (confirmed, photo_id)
}

async fn ready(app: &App, status: StatusCode) -> Value {
    json_of(app.get(&format!("{}/health/ready", app.url)).await, status).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_photo_is_submitted_on_one_node_worked_on_by_another_and_watched_on_a_third() {
    let (Some(shared), Some(nats)) = (database().await, nats()) else {
        return;
    };
    let bucket = Bucket::start();
    let bus_url = url_with_password(&nats);
    let mut settings = shared.settings();
    settings.extend(bucket.settings());
    // Polling would be too slow for this test: the notifications carry it.
    settings.extend([
        ("IRISFLOW_BUS_URL", bus_url.as_str()),
        ("IRISFLOW_POLL_MS", "300000"),
        ("IRISFLOW_NO_WORK", "true"),
    ]);
    let (first, second) = (
        App::start_with(&settings).await,
        App::start_with(&settings).await,
    );
    let _worker = WorkerProcess::start(&first, "").await;
    let email = first.user("you").await.email;
    let (submitter, watcher) = (first.sign_in(&email).await, second.sign_in(&email).await);
    let mut socket = watcher.follow(json!({})).await;
    assert_eq!(socket.frame().await["type"], "snapshot");

    let (confirmed, photo_id) = upload_by_url(&submitter, &bucket, good_eye()).await;
    json_of(confirmed, StatusCode::OK).await;
    let job_id = submitter.submit(&photo_id).await;
    let events = events_of(&mut socket, &job_id).await;

    let last = events.last().expect("the end");
    assert_eq!(last["kind"], "completed", "{last}");
    let result_url = text(&last["result_url"]);
    assert!(result_url.starts_with(&bucket.url), "{result_url}");
    let result = reqwest::get(&result_url).await.expect("an answer");
    assert_eq!(result.status(), StatusCode::OK);
    assert_eq!(result.headers()[CONTENT_TYPE], "image/jpeg");
    for app in [&first, &second] {
        assert_eq!(
            app.objects("processed"),
            [""; 0].map(std::path::PathBuf::from)
        );
        assert_eq!(ready(app, StatusCode::OK).await["bus"], "ok");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_ends_and_is_seen_to_end_when_nats_is_killed_in_its_middle() {
    let (Some(shared), Some(nats)) = (database().await, nats()) else {
        return;
    };
    let bucket = Bucket::start();
    let bus_url = url_with_password(&nats);
    let mut settings = shared.settings();
    settings.extend(bucket.settings());
    settings.extend([
        ("IRISFLOW_BUS_URL", bus_url.as_str()),
        ("IRISFLOW_NO_WORK", "true"),
        ("IRISFLOW_LOG", "debug"),
    ]);
    let (first, second) = (
        App::start_with(&settings).await,
        App::start_with(&settings).await,
    );
    let _worker = WorkerProcess::start(&first, "enhancing:hang1500:1").await;
    let email = first.user("you").await.email;
    let (submitter, watcher) = (first.sign_in(&email).await, second.sign_in(&email).await);
    let mut socket = watcher.follow(json!({})).await;
    assert_eq!(socket.frame().await["type"], "snapshot");

    let job_id = submitter.upload_and_submit(good_eye()).await;
    socket.frame().await;
    nats.kill().expect("killed");
    let events = events_of(&mut socket, &job_id).await;

    let last = events.last().expect("the end");
    assert_eq!(last["kind"], "completed", "{last}");
    second
        .until("NATS is seen to be away", async || {
            ready(&second, StatusCode::OK).await["bus"] == "away"
        })
        .await;
    nats.start_again().expect("started");
    second
        .until("NATS is back", async || {
            ready(&second, StatusCode::OK).await["bus"] == "ok"
        })
        .await;
    let next = submitter.upload_and_submit(good_eye()).await;
    let events = events_of(&mut socket, &next).await;
    assert_eq!(events.last().expect("the end")["kind"], "completed");
    for secret in [PASSWORD_OF_NATS, S3Server::SECRET_KEY, "X-Amz-Signature"] {
        assert!(!second.log().contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_photo_that_is_too_large_is_deleted_from_the_bucket_unread() {
    let bucket = Bucket::start();
    let mut settings = bucket.settings().to_vec();
    settings.push(("IRISFLOW_MAX_PHOTO_BYTES", "100000"));
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let (refused, _) = upload_by_url(&user, &bucket, vec![7; 100_001]).await;
    let refused = json_of(refused, StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(refused["code"], "image_too_large");
    assert_eq!(bucket.keys(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_wait_while_the_bucket_is_away_and_a_deleted_account_leaves_nothing_in_it() {
    let bucket = Bucket::start();
    let mut settings = bucket.settings().to_vec();
    settings.push(("IRISFLOW_LEASE_MS", "3000"));
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    bucket.server.stop();
    let job_id = user.submit(&photo_id).await;
    app.until("the outage is seen", async || {
        let answer = app.get(&format!("{}/health/ready", app.url)).await;
        let body: Value = answer.json().await.expect("JSON");
        body["storage"] == "unavailable" && body["worker"] == "waiting"
    })
    .await;

    bucket.server.start_again().expect("started");
    let job = user.until_ended(&job_id).await;
    assert_eq!(
        (text(&job["status"]), &job["attempt_count"]),
        ("completed".to_owned(), &json!(0))
    );
    let stored = bucket.keys();
    assert!(
        stored.iter().any(|key| key.starts_with("processed/")),
        "{stored:?}"
    );
    assert!(
        stored.iter().any(|key| key.starts_with("iris/")),
        "{stored:?}"
    );

    let deleted = user
        .send(
            reqwest::Method::DELETE,
            "/users/me",
            Some(&json!({ "confirm": true })),
        )
        .await;
    assert!(deleted.status().is_success(), "{deleted:?}");
    app.until("all objects are deleted", async || bucket.keys().is_empty())
        .await;
}

#[test]
fn settings_that_contradict_each_other_are_refused_and_no_secret_is_shown() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let refused = |settings: &[(&str, &str)], reason: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_irisflow"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path())
            .envs(settings.iter().copied())
            .output()
            .expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(
            said.contains(reason) && !said.contains("Swordfish"),
            "{said}"
        );
    };
    refused(
        &[("IRISFLOW_BUS_URL", "nats://iris:Swordfish@127.0.0.1:1")],
        "--database-url",
    );
    refused(
        &[("IRISFLOW_BUS_URL", "http://iris:Swordfish@127.0.0.1:1")],
        "NATS server",
    );
    refused(&[("IRISFLOW_S3_BUCKET", "photos")], "AWS_ACCESS_KEY_ID");
    let keys = [
        ("IRISFLOW_S3_BUCKET", "photos"),
        ("AWS_ACCESS_KEY_ID", "KEY"),
        ("AWS_SECRET_ACCESS_KEY", "Swordfish"),
    ];
    refused(
        &[&keys[..], &[("IRISFLOW_S3_ENDPOINT", "storage:9000")]].concat(),
        "endpoint",
    );
    refused(
        &[&keys[..], &[("IRISFLOW_DOWNLOAD_URL_MS", "900000000")]].concat(),
        "seven days",
    );
}
