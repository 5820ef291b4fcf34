//! `irisflow move`: a data folder becomes a service on PostgreSQL and S3.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use irisflow_test_servers::{Database, PostgresServer, S3Fault};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::app::{App, Socket, User, good_eye, json_of, no_eye, text};
use crate::cluster::WorkerProcess;
use crate::many_machines::Bucket;
use crate::webhooks::receiver::{Answer, Receiver};

/// An empty database, and the keys that the move brings along.
struct Target {
    database: Database,
    folder: tempfile::TempDir,
}

impl Target {
    /// `None`, with a message, without PostgreSQL.
    async fn create() -> Option<Self> {
        let server = tokio::task::block_in_place(|| PostgresServer::shared("moves to PostgreSQL"))?;
        Some(Self {
            database: server.create_database("template1").await,
            folder: tempfile::tempdir().expect("a temp folder"),
        })
    }

    fn secrets(&self) -> PathBuf {
        self.folder.path().join("nodes.json")
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("IRISFLOW_DATABASE_URL", self.database.url()),
            (
                "IRISFLOW_SECRETS_FILE",
                self.secrets().display().to_string(),
            ),
            ("IRISFLOW_DATABASE_CONNECTIONS", "5".to_owned()),
            ("IRISFLOW_LEASE_MS", "2000".to_owned()),
        ]
    }

    async fn connect(&self) -> PgConnection {
        let connected = PgConnection::connect(&self.database.url()).await;
        connected.expect("it connects")
    }

    async fn execute(&self, statement: &'static str) {
        let mut connection = self.connect().await;
        let executed = sqlx::query(statement).execute(&mut connection).await;
        executed.expect("it is executed");
        connection.close().await.expect("it closes");
    }

    async fn count(&self, table: &str) -> i64 {
        let mut connection = self.connect().await;
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let count = sqlx::query_scalar(count).fetch_one(&mut connection).await;
        connection.close().await.expect("it closes");
        count.expect("it is counted")
    }

    async fn is_unfinished(&self) -> bool {
        let mut connection = self.connect().await;
        let is_unfinished = "SELECT to_regclass('unfinished_move') IS NOT NULL";
        let found = sqlx::query_scalar(is_unfinished).fetch_one(&mut connection);
        found.await.expect("it answers")
    }
}

fn move_command(from: &Path, settings: &[(&str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_irisflow"));
    command.arg("move").arg("--data-dir").arg(from);
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null());
    command
}

fn run(mut command: Command) -> Output {
    tokio::task::block_in_place(|| command.output()).expect("the program runs")
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    format!("{out}{err}")
}

fn succeed(command: Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

fn refused(command: Command, reason: &str) {
    let output = run(command);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains(reason), "{said}");
}

fn bucket_settings(bucket: &Bucket) -> Vec<(&'static str, String)> {
    let settings = bucket.settings();
    settings
        .map(|(name, value)| (name, value.to_owned()))
        .into()
}

/// All files of the folder but the lock and what SQLite makes for readers, with their contents.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if name != "lock" && !name.ends_with("-shm") {
            found.push((path.clone(), std::fs::read(&path).expect("a file")));
        }
    }
    found.retain(|(path, bytes)| !(path.to_string_lossy().ends_with("-wal") && bytes.is_empty()));
    found.sort();
    found
}

async fn start_node(settings: &[(&'static str, String)]) -> App {
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    App::start_with(&settings).await
}

async fn picture(app: &App, job: &Value) -> Vec<u8> {
    let answer = app.get(&text(&job["result_url"])).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.bytes().await.expect("the picture").into()
}

/// Receives events until these jobs have ended. Each event follows the one before, beginning after the cursor.
async fn follow_until_ended(socket: &mut Socket, cursor: &Value, jobs: &[&String]) {
    let mut cursor = cursor.clone();
    let mut open = jobs.to_vec();
    while !open.is_empty() {
        let frame = socket.frame().await;
        assert_ne!(frame["type"], "gap", "{frame}");
        if frame["type"] != "event" {
            continue;
        }
        assert_eq!(frame["prev"], cursor, "no event is missed or sent twice");
        cursor = frame["cursor"].clone();
        let event = &frame["event"];
        if ["completed", "failed"].contains(&text(&event["kind"]).as_str()) {
            open.retain(|job_id| **job_id != event["job_id"]);
        }
    }
}

async fn lists(user: &User<'_>) -> Vec<Value> {
    let mut lists = Vec::new();
    for path in [
        "/users/me",
        "/users/me/sessions",
        "/privacy/consent",
        "/webhooks",
    ] {
        lists.push(json_of(user.get(path).await, StatusCode::OK).await);
    }
    lists
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_folder_is_served_by_nodes_and_its_clients_notice_nothing() {
    let Some(target) = Target::create().await else {
        return;
    };
    let (bucket, receiver) = (
        Bucket::start(),
        Receiver::start(&[Answer::Status(200)]).await,
    );
    let private = ("IRISFLOW_WEBHOOK_ALLOW_PRIVATE", "true");
    let mut source = App::start_with(&[private, ("IRISFLOW_WORKERS", "1")]).await;
    let user = source.user("you").await;
    source.user("other").await.upload(good_eye()).await;
    let consent = json!({ "consent_type": "biometric_capture", "text_version": "1" });
    json_of(
        user.post("/privacy/consent", &consent).await,
        StatusCode::CREATED,
    )
    .await;
    let hook = json!({ "url": receiver.url(), "events": ["job.failed"] });
    let hook = json_of(user.post("/webhooks", &hook).await, StatusCode::CREATED).await;
    let photo_id = user.upload(good_eye()).await;
    let done = user.submit(&photo_id).await;
    let done_before = user.until_ended(&done).await;
    let picture_before = picture(&source, &done_before).await;
    let mut socket = user.follow(json!({})).await;
    let cursor = socket.frame().await["cursor"].clone();
    let failed = user.upload_and_submit(no_eye()).await;
    user.until_ended(&failed).await;
    receiver.until_received(1).await;
    let waiting = [
        user.submit(&photo_id).await,
        user.submit(&photo_id).await,
        user.upload_and_submit(no_eye()).await,
    ];
    let lists_before = lists(&user).await;
    let (email, token, refresh_token) = (
        user.email.clone(),
        user.token.clone(),
        user.refresh_token.clone(),
    );
    // One job is in the middle, the others wait.
    source.kill().await;
    let before = contents(source.data_dir());

    let mut settings = target.settings();
    settings.extend(bucket_settings(&bucket));
    let report = succeed(move_command(source.data_dir(), &settings));

    assert!(report.contains("users              2 rows"), "{report}");
    assert_eq!(
        contents(source.data_dir()),
        before,
        "the source is unchanged"
    );
    settings.push((private.0, private.1.to_owned()));
    settings.push(("IRISFLOW_NO_WORK", "true".to_owned()));
    let (first, second) = (start_node(&settings).await, start_node(&settings).await);
    let tokens = [token.as_str(), refresh_token.as_str()];
    let (mut on_first, on_second) = (
        first.resume_session(&email, tokens),
        second.resume_session(&email, tokens),
    );
    assert_eq!(lists(&on_first).await, lists_before);
    assert_eq!(on_second.job(&failed).await["status"], "failed");
    let done_after = on_second.job(&done).await;
    assert_eq!(picture(&second, &done_after).await, picture_before);

    let mut socket = on_second.follow(json!({ "cursor": cursor })).await;
    let _worker = WorkerProcess::start(&first, "").await;
    let [first_waiting, second_waiting, rejected] = &waiting;
    let jobs = [&failed, first_waiting, second_waiting, rejected];
    follow_until_ended(&mut socket, &cursor, &jobs).await;
    for (job_id, status) in jobs
        .iter()
        .zip(["failed", "completed", "completed", "failed"])
    {
        assert_eq!(on_second.job(job_id).await["status"], status);
    }
    let received = receiver.until_received(2).await;
    assert!(received[1].is_signed_with(&text(&hook["secret"])));
    on_first.refresh().await;
    // New rows do not collide with those that were moved.
    let batch = json!({ "photo_ids": [photo_id] });
    json_of(
        on_first.post("/processing/batch", &batch).await,
        StatusCode::CREATED,
    )
    .await;
}

/// The ids of all accounts of a folder, in their order.
async fn account_ids(folder: &Path) -> Vec<uuid::Uuid> {
    let options =
        sqlx::sqlite::SqliteConnectOptions::new().filename(folder.join("irisflow.sqlite"));
    let database = sqlx::SqlitePool::connect_with(options)
        .await
        .expect("it opens");
    let ids = sqlx::query_scalar("SELECT id FROM users ORDER BY id");
    let ids = ids.fetch_all(&database).await.expect("ids");
    database.close().await;
    ids
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds().await {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_is_killed_goes_on_and_its_target_is_not_served_before_its_end() {
    let Some(target) = Target::create().await else {
        return;
    };
    let bucket = Bucket::start();
    let mut source = App::start().await;
    for name in ["one", "two", "three"] {
        let user = source.user(name).await;
        let job_id = user.upload_and_submit(good_eye()).await;
        user.until_ended(&job_id).await;
    }
    source.terminate().await;
    let from = source.data_dir();
    let ids = account_ids(from).await;
    let mut settings = target.settings();
    settings.extend(bucket_settings(&bucket));
    let moving = || {
        let mut command = move_command(from, &settings);
        command.args(["--accounts-at-once", "1"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the program starts")
    };
    let kill = |mut child: std::process::Child| {
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    };

    // In the middle of the objects, the bucket stops answering.
    let objects = moving();
    until("an object is stored", async || !bucket.keys().is_empty()).await;
    bucket.server.plan_fault(S3Fault::Hang, 100);
    kill(objects);
    bucket.server.heal();
    // In the middle of the rows, another transaction has the place of the second account.
    let mut other = target.connect().await;
    let mut transaction = other.begin().await.expect("begun");
    let insert =
        "INSERT INTO users (id, email, password_hash, created_at) VALUES ($1, 'x', 'x', 0)";
    let inserted = sqlx::query(insert)
        .bind(ids[1])
        .execute(&mut *transaction)
        .await;
    inserted.expect("inserted");
    let rows = moving();
    let waits = "pg_locks WHERE NOT granted";
    until("it waits", async || target.count(waits).await > 0).await;
    assert_eq!(target.count("users").await, 1);
    assert_eq!(
        target.count("photos").await,
        1,
        "the first account is whole"
    );
    kill(rows);
    let mut serve = Command::new(env!("CARGO_BIN_EXE_irisflow"));
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    serve.arg(target.folder.path()).envs(settings.clone());
    refused(serve, "irisflow move");
    transaction.rollback().await.expect("rolled back");
    // What was changed in the meantime is copied again.
    target.execute("UPDATE users SET email = 'changed'").await;

    let report = succeed(move_command(from, &settings));

    assert!(report.contains("users              3 rows"), "{report}");
    assert_eq!(target.count("users WHERE email = 'changed'").await, 0);
    assert!(!target.is_unfinished().await);
    let app = start_node(&settings).await;
    for name in ["one", "two", "three"] {
        let user = app.sign_in(&format!("{name}@example.com")).await;
        let jobs = json_of(user.get("/processing/jobs").await, StatusCode::OK).await;
        picture(&app, &user.job(&text(&jobs["items"][0]["job_id"])).await).await;
    }
    drop(app);
    refused(move_command(from, &settings), "not empty");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_not_empty_or_in_use_is_refused_and_nothing_is_changed() {
    let (Some(target), Some(foreign)) = (Target::create().await, Target::create().await) else {
        return;
    };
    let mut source = App::start().await;
    source.user("you").await;
    let from = source.data_dir().to_owned();
    let settings = target.settings();
    refused(move_command(&from, &settings), "another irisflow is using");
    source.terminate().await;

    refused(move_command(&from, &[]), "--database-url");
    refused(
        move_command(target.folder.path(), &settings),
        "no Irisflow data",
    );
    foreign.execute("CREATE TABLE invoices (id INT)").await;
    refused(
        move_command(&from, &foreign.settings()),
        "the table invoices of another program",
    );
    assert!(!foreign.is_unfinished().await);

    let mut keys = Command::new(env!("CARGO_BIN_EXE_irisflow"));
    keys.arg("make-secrets").arg(target.secrets());
    succeed(keys);
    let node = start_node(&settings).await;
    refused(move_command(&from, &settings), "stop these processes");
    node.user("resident").await;
    drop(node);
    refused(move_command(&from, &settings), "not empty");
    assert_eq!(target.count("users").await, 1);
    assert!(!target.is_unfinished().await);

    target.execute("DELETE FROM users").await;
    refused(move_command(&from, &settings), "other keys");
    std::fs::remove_file(target.secrets()).expect("removed");
    succeed(move_command(&from, &settings));
    assert_eq!(
        target.count("users WHERE email = 'you@example.com'").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn photos_alone_are_moved_and_those_that_are_damaged_or_missing_are_named() {
    let bucket = Bucket::start();
    let mut source = App::start().await;
    let user = source.user("you").await;
    let mut names = Vec::new();
    for _ in 0..3 {
        let photo = json_of(user.post_photo(good_eye()).await, StatusCode::CREATED).await;
        names.push(text(&photo["s3_key"]));
    }
    let email = user.email.clone();
    source.terminate().await;
    let path = |name: &String| source.data_dir().join("files/objects").join(name);
    let mut bytes = std::fs::read(path(&names[0])).expect("an original");
    bytes[1000] ^= 1;
    std::fs::write(path(&names[0]), bytes).expect("damaged");
    std::fs::remove_file(path(&names[1])).expect("missing");

    let settings = bucket_settings(&bucket);
    let output = run(move_command(source.data_dir(), &settings));

    let said = said(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains(&format!("{} is damaged", names[0])), "{said}");
    assert!(said.contains(&format!("{} is missing", names[1])), "{said}");
    assert!(!said.contains(&names[2]), "{said}");
    std::fs::remove_dir_all(source.data_dir().join("files")).expect("removed");
    let app = source.start_again_with(&bucket.settings()).await;
    let user = app.sign_in(&email).await;
    let photos = json_of(user.get("/photos").await, StatusCode::OK).await;
    let mut photos = photos["items"].as_array().expect("photos").iter();
    let whole = photos.find(|photo| photo["s3_key"] == names[2].as_str());
    let url = text(&whole.expect("the whole one")["original_url"]);
    assert!(url.starts_with(&bucket.server.url()), "{url}");
    assert_eq!(app.get(&url).await.status(), StatusCode::OK);
}
