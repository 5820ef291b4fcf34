//! Several processes on one PostgreSQL database: nodes that serve the API and processes that work.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use irisflow_test_servers::{Database, PostgresServer, StartError};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::app::{App, PASSWORD, Socket, good_eye, json_of, text};

/// Short, so that another worker takes over soon.
const LEASE_MS: &str = "2000";

/// A database with the keys of its nodes. `None`, with a message, without PostgreSQL.
pub(crate) async fn database() -> Option<Shared> {
    let server =
        tokio::task::block_in_place(|| PostgresServer::shared("processes on one database"))?;
    let database = server.create_database("template1").await;
    let shared = Shared::at(database.url());
    Some(Shared {
        _database: Some(database),
        ..shared
    })
}

/// What all processes are started with.
pub(crate) struct Shared {
    pub(crate) url: String,
    secrets: String,
    _database: Option<Database>,
    _folder: tempfile::TempDir,
}

impl Shared {
    fn at(url: String) -> Self {
        let folder = tempfile::tempdir().expect("a temp folder");
        let secrets = folder.path().join("secrets.json");
        let made = program(&[]).arg("make-secrets").arg(&secrets).status();
        assert!(made.expect("the program starts").success());
        Self {
            url,
            secrets: secrets.display().to_string(),
            _database: None,
            _folder: folder,
        }
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("IRISFLOW_DATABASE_URL", &self.url),
            ("IRISFLOW_DATABASE_CONNECTIONS", "5"),
            ("IRISFLOW_SECRETS_FILE", &self.secrets),
            ("IRISFLOW_LEASE_MS", LEASE_MS),
        ]
    }

    /// A node that serves the API only.
    async fn api_node(&self) -> App {
        let mut settings = self.settings();
        settings.push(("IRISFLOW_NO_WORK", "true"));
        App::start_with(&settings).await
    }
}

fn program(settings: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_irisflow"));
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command
}

/// A running `irisflow work`; it is killed on drop.
pub(crate) struct WorkerProcess {
    child: tokio::process::Child,
    /// Of its health and metrics.
    pub(crate) url: String,
}

impl WorkerProcess {
    /// Beside a node of the API, on its data folder.
    pub(crate) async fn start(beside: &App, faults: &str) -> Self {
        let mut command = tokio::process::Command::from(program(beside.settings()));
        let mut child = command
            .args(["work", "--listen", "127.0.0.1:0", "--workers", "1"])
            .arg("--data-dir")
            .arg(beside.data_dir())
            .envs([("IRISFLOW_FAULTS", faults), ("IRISFLOW_LOG", "error")])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let url = loop {
            let line = lines.next_line().await.expect("its output");
            let line = line.expect("it says its address");
            let announced = "Irisflow is working; health and metrics are at ";
            if let Some(url) = line.strip_prefix(announced) {
                break url.to_owned();
            }
        };
        Self { child, url }
    }

    /// Whether it has ended by itself.
    fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_some()
    }
}

/// Receives the events of a job until the last one.
pub(crate) async fn events_of(socket: &mut Socket, job_id: &str) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let mut frame = socket.frame().await;
        let event = frame["event"].take();
        if event["job_id"] != job_id {
            continue;
        }
        let kind = text(&event["kind"]);
        events.push(event);
        if ["completed", "failed"].contains(&kind.as_str()) {
            return events;
        }
    }
}

fn progress_of(events: &[Value]) -> Vec<u64> {
    let events = events.iter();
    events
        .map(|event| event["progress"].as_u64().expect("progress"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_on_one_node_sees_the_job_that_a_worker_process_does_for_another() {
    let Some(shared) = database().await else {
        return;
    };
    let first = shared.api_node().await;
    let second = first.start_another().await;
    let _workers = [
        WorkerProcess::start(&first, "").await,
        WorkerProcess::start(&first, "").await,
    ];
    let email = first.user("you").await.email;
    let (submitter, watcher) = (first.sign_in(&email).await, second.sign_in(&email).await);
    let mut socket = watcher.follow(json!({})).await;
    assert_eq!(socket.frame().await["type"], "snapshot");

    let job_id = submitter.upload_and_submit(good_eye()).await;
    let mut of_job = watcher.watch(&job_id).await;
    let events = events_of(&mut socket, &job_id).await;

    assert_eq!(
        progress_of(&events),
        [0, 5, 10, 20, 40, 50, 60, 70, 90, 95, 100]
    );
    let result_url = text(&events.last().expect("the end")["result_url"]);
    assert_eq!(second.get(&result_url).await.status(), StatusCode::OK);
    loop {
        if of_job.frame().await["status"] == "completed" {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_worker_process_is_killed_is_finished_by_another() {
    let Some(shared) = database().await else {
        return;
    };
    let api = shared.api_node().await;
    // Whichever claims the job first is killed in its middle.
    let faults = "enhancing:kill:1/first";
    let mut workers = [
        WorkerProcess::start(&api, faults).await,
        WorkerProcess::start(&api, faults).await,
    ];
    let user = api.user("you").await;
    let mut socket = user.follow(json!({})).await;

    let job_id = user.upload_and_submit(good_eye()).await;
    let events = events_of(&mut socket, &job_id).await;

    let last = events.last().expect("the end");
    assert_eq!(last["kind"], "completed", "{last}");
    let seen = progress_of(&events);
    assert!(seen.is_sorted(), "progress never decreases: {seen:?}");
    let ended: Vec<bool> = workers.iter_mut().map(WorkerProcess::has_ended).collect();
    assert_eq!(ended.iter().filter(|ended| **ended).count(), 1, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_database_costs_no_attempt() {
    let server = match tokio::task::block_in_place(PostgresServer::start) {
        Ok(server) => server,
        Err(StartError::Missing) => return,
        Err(error) => panic!("{error}"),
    };
    let shared = Shared::at(server.url("postgres"));
    let api = shared.api_node().await;
    let mut worker = WorkerProcess::start(&api, "enhancing:hang1500:1").await;
    let user = api.user("you").await;
    let mut socket = user.follow(json!({})).await;
    let job_id = user.upload_and_submit(good_eye()).await;
    user.until_progress(&job_id, 60).await;

    server.kill().expect("it runs");
    // Longer than the step, and than the lease.
    tokio::time::sleep(Duration::from_secs(3)).await;
    tokio::task::block_in_place(|| server.start_again()).expect("it starts");
    let events = events_of(&mut socket, &job_id).await;

    let last = events.last().expect("the end");
    assert_eq!(
        (&last["kind"], &last["attempt_count"]),
        (&json!("completed"), &json!(0)),
        "{last}"
    );
    assert!(!worker.has_ended());
    let readiness = api.get(&format!("{}/health/ready", worker.url)).await;
    assert_eq!(readiness.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_process_reports_its_health_and_metrics_and_ends_when_asked_to() {
    let Some(shared) = database().await else {
        return;
    };
    let api = shared.api_node().await;
    let mut worker = WorkerProcess::start(&api, "").await;

    for path in ["/health", "/health/ready"] {
        let answer = api.get(&format!("{}{path}", worker.url)).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    let metrics = api.get(&format!("{}/metrics", worker.url)).await;
    let metrics = metrics.text().await.expect("text");
    assert!(metrics.contains("irisflow_queue_jobs"), "{metrics}");
    let answer = api.get(&format!("{}/api/v1/photos", worker.url)).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);

    let id = worker.child.id().expect("it runs").to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("kill runs").success());
    let ended = worker.child.wait().await.expect("its status");
    assert!(ended.success(), "{ended}");
}

fn run(shared: &Shared, arguments: &[&str]) -> Output {
    let settings = shared.settings();
    let output = Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .args(arguments)
        .envs(settings)
        .stdin(Stdio::null())
        .output();
    output.expect("the program runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_is_migrated_by_a_command_once_and_a_start_without_it_says_so() {
    let Some(shared) = database().await else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temp folder");
    let data_dir = folder.path().to_str().expect("a path");
    let start = ["work", "--migrate", "off", "--data-dir", data_dir];

    let refused = run(&shared, &start);
    let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3));
    assert!(reason.contains("irisflow migrate"), "{reason}");

    let text = |output: Output| String::from_utf8(output.stdout).expect("text");
    let first = text(run(&shared, &["migrate"]));
    assert!(first.starts_with("applied 1 "), "{first}");
    assert!(first.contains("\napplied 2 "), "{first}");
    let second = text(run(&shared, &["migrate"]));
    assert_eq!(second, "the schema is up to date\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_the_keys_of_the_others_does_not_start() {
    let Some(shared) = database().await else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temp folder");
    let output = Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .env("IRISFLOW_DATABASE_URL", &shared.url)
        .output()
        .expect("the program runs");

    assert_eq!(output.status.code(), Some(3));
    let reason = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(reason.contains("make-secrets"), "{reason}");
    let schema = run(&shared, &["doctor"]);
    let schema = String::from_utf8_lossy(&schema.stdout).into_owned();
    assert!(
        schema.contains("lacks 2 migrations"),
        "nothing was changed: {schema}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_what_does_not_work_and_says_what_to_do() {
    let Some(shared) = database().await else {
        return;
    };
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let api = shared.api_node().await;
    let data_dir = api.data_dir().to_str().expect("a path");

    let healthy = run(&shared, &["doctor", "--data-dir", data_dir]);
    let findings = text(&healthy);
    assert!(healthy.status.success(), "{findings}");
    for subject in [
        "database",
        "clock",
        "schema",
        "permission",
        "photos",
        "secrets",
    ] {
        let found = format!("ok       {subject}");
        assert!(findings.contains(&found), "{subject}: {findings}");
    }

    let away = Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .args(["doctor", "--data-dir", data_dir])
        .env(
            "IRISFLOW_DATABASE_URL",
            "postgres://user:Swordfish@127.0.0.1:1/irisflow",
        )
        .output()
        .expect("the program runs");
    let findings = text(&away);
    assert_eq!(away.status.code(), Some(3));
    assert!(findings.contains("FAILURE  database"), "{findings}");
    assert!(
        findings.contains("127.0.0.1:1/irisflow") && findings.contains("to do: "),
        "{findings}"
    );
    assert!(!findings.contains("Swordfish"), "{findings}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_and_no_error_shows_the_password_of_the_database() {
    let Some(shared) = database().await else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temp folder");
    let data_dir = folder.path().to_str().expect("a path");
    let with_password = shared.url.replace("postgres@", "nobody-here:Swordfish@");
    for url in [
        with_password.as_str(),
        "postgres://user:Swordfish@127.0.0.1:1/irisflow",
        "not-a-url:Swordfish",
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_irisflow"))
            .args(["serve", "--data-dir", data_dir, "--log", "debug"])
            .args(["--listen", "127.0.0.1:0", "--secrets-file", &shared.secrets])
            .env("IRISFLOW_DATABASE_URL", url)
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(3));
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.is_empty() && !said.contains("Swordfish"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_are_managed_beside_the_nodes_of_one_database() {
    let Some(shared) = database().await else {
        return;
    };
    let api = shared.api_node().await;
    let mut add = program(api.settings());
    let add = add.args(["user", "add", "new@example.com"]);
    let mut child = add
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("its input");
    std::io::Write::write_all(&mut input, PASSWORD.as_bytes()).expect("written");
    drop(input);
    assert!(child.wait().expect("it ends").success());

    let user = api.sign_in("new@example.com").await;
    json_of(user.get("/users/me").await, StatusCode::OK).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_server_and_a_node_of_a_database_do_not_share_a_folder() {
    let Some(shared) = database().await else {
        return;
    };
    let api = shared.api_node().await;
    let output = Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(api.data_dir())
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(3));
    let reason = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(reason.contains("another irisflow is using"), "{reason}");
}
