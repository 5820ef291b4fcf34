//! `irisflow submit` and `irisflow watch` against the running program.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::app::{App, PASSWORD, good_eye, no_eye};

/// Working folder of the command line: photos, results and configuration.
struct ClientFolder {
    folder: tempfile::TempDir,
    server: String,
}

impl ClientFolder {
    fn at(app: &App) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temp folder"),
            server: app.url.clone(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("a photo in the folder");
    }

    /// The command with these folders, without a password.
    fn irisflow(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_irisflow"));
        command
            .args(arguments)
            .args(["--server", &self.server])
            .current_dir(self.folder.path())
            .env("IRISFLOW_CONFIG_DIR", self.path("config"))
            .env_remove("IRISFLOW_EMAIL")
            .env_remove("IRISFLOW_PASSWORD")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    fn submit(&self, photos: &[&str]) -> Command {
        let mut command = self.irisflow(&["submit", "--register", "--out", "out"]);
        command
            .args(photos)
            .env("IRISFLOW_EMAIL", "you@example.com")
            .env("IRISFLOW_PASSWORD", PASSWORD);
        command
    }

    fn results(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("out")).expect("the results' folder");
        let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = entries.flatten().map(name).collect();
        names.sort();
        names
    }

    fn report(&self, name: &str) -> Value {
        let text = std::fs::read(self.path("out").join(name)).expect("a report");
        serde_json::from_slice(&text).expect("JSON")
    }
}

/// A running command with its output.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    said: String,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let stderr = child.stderr.take().expect("its words");
        Self {
            child,
            lines: BufReader::new(stderr).lines(),
            said: String::new(),
        }
    }

    async fn until_it_says(&mut self, words: &str) {
        while !self.said.contains(words) {
            let line = self.lines.next_line().await.expect("its words");
            let line = line.unwrap_or_else(|| panic!("it ended without {words:?}: {}", self.said));
            self.said.push_str(&line);
            self.said.push('\n');
        }
    }

    fn interrupt(&self) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill")
            .args(["-INT", &id])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for its end; the exit code and all output.
    async fn end(mut self) -> (Option<i32>, String) {
        while let Some(line) = self.lines.next_line().await.expect("its words") {
            self.said.push_str(&line);
            self.said.push('\n');
        }
        let status = self.child.wait().await.expect("its status");
        (status.code(), self.said)
    }
}

async fn run(mut command: Command) -> Output {
    command.output().await.expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn rejected_photos_are_reported_and_the_others_are_downloaded() {
    let app = App::start().await;
    let client = ClientFolder::at(&app);
    client.put("eye.jpg", &good_eye());
    client.put("bear.jpg", &no_eye());
    client.put("letter.jpg", b"Dear Sir or Madam");

    let output = run(client.submit(&["bear.jpg", "eye.jpg", "letter.jpg"])).await;

    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let eye = [
        "eye.jpg",
        "eye.json",
        "eye_before.jpg",
        "eye_mask.png",
        "eye_visible.jpg",
        "eye_visible_mask.png",
    ];
    let mut expected = vec!["bear.json", "letter.json"];
    expected.splice(1..1, eye);
    assert_eq!(client.results(), expected);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out/eye.jpg\n");
    assert_eq!(client.report("eye.json")["result"]["width"], 2048);
    assert_eq!(
        client.report("bear.json")["rejection"]["code"],
        "no_iris_found"
    );
    assert_eq!(
        client.report("letter.json")["rejection"]["code"],
        "not_an_image"
    );
    let steps = ["Finding your iris...", "Complete!"];
    for step in steps.map(|step| format!("eye.jpg: {step}")) {
        assert!(said(&output).contains(&step), "{}", said(&output));
    }
}

#[tokio::test]
async fn more_photos_than_a_batch_takes_are_split() {
    let app = App::start_with(&[("IRISFLOW_WORKERS", "2")]).await;
    let client = ClientFolder::at(&app);
    let photos: Vec<String> = (0..11).map(|number| format!("{number}.jpg")).collect();
    for photo in &photos {
        client.put(photo, &no_eye());
    }
    let photos: Vec<&str> = photos.iter().map(String::as_str).collect();
    let output = run(client.submit(&photos)).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(client.results().len(), 11);
}

#[tokio::test]
async fn a_server_crash_only_delays_the_results() {
    let app = App::start_with(&[("IRISFLOW_FAULTS", "enhancing:hang60000:1")]).await;
    let client = ClientFolder::at(&app);
    client.put("eye.jpg", &good_eye());
    let mut running = Running::start(client.submit(&["eye.jpg"]));
    running.until_it_says("Enhancing quality...").await;

    let app = app.kill_and_restart_at_the_same_address().await;

    let (code, said) = running.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the job goes on, connecting again"), "{said}");
    assert!(said.contains("Trying again, attempt 2..."), "{said}");
    assert_eq!(client.results().len(), 6);
    drop(app);
}

#[tokio::test]
async fn a_token_that_ends_while_watching_is_renewed() {
    let settings = [
        ("IRISFLOW_ACCESS_TOKEN_MS", "2000"),
        ("IRISFLOW_FAULTS", "enhancing:hang5000:1"),
    ];
    let app = App::start_with(&settings).await;
    let client = ClientFolder::at(&app);
    client.put("eye.jpg", &good_eye());
    let output = run(client.submit(&["eye.jpg"])).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[tokio::test]
async fn ctrl_c_leaves_the_job_running_and_prints_how_to_watch_it() {
    let app = App::start_with(&[("IRISFLOW_FAULTS", "enhancing:hang2000:1")]).await;
    let client = ClientFolder::at(&app);
    client.put("eye.jpg", &good_eye());
    let mut running = Running::start(client.submit(&["eye.jpg"]));
    running.until_it_says("Enhancing quality...").await;

    running.interrupt();

    let (code, said) = running.end().await;
    assert_eq!(code, Some(130), "{said}");
    let way_back = said.lines().last().expect("a last line").trim();
    let job = way_back.split_whitespace().last().expect("a job");
    let expected = format!("irisflow watch --server {} --out out {job}", client.server);
    assert_eq!(way_back, expected);

    let back = run(client.irisflow(&["watch", "--out", "out", job])).await;
    assert_eq!(back.status.code(), Some(0), "{}", self::said(&back));
    let files = [
        ".jpg",
        ".json",
        "_before.jpg",
        "_mask.png",
        "_visible.jpg",
        "_visible_mask.png",
    ];
    assert_eq!(
        client.results(),
        files.map(|ending| format!("{job}{ending}"))
    );
}

#[tokio::test]
async fn a_job_can_be_cancelled_from_the_command_line() {
    let app = App::start_with(&[("IRISFLOW_FAULTS", "enhancing:hang60000:1")]).await;
    let user = app.user("you").await;
    let job = user.upload_and_submit(good_eye()).await;
    user.until_status(&job, &["processing"]).await;
    let client = ClientFolder::at(&app);
    let mut command = client.irisflow(&["watch", "--cancel", &job, "--email", &user.email]);
    command.env("IRISFLOW_PASSWORD", PASSWORD);
    let output = run(command).await;
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        said(&output).lines().last(),
        Some(&*format!("{job}: cancelled"))
    );
    assert_eq!(user.job(&job).await["status"], "cancelled");
}

#[tokio::test]
async fn a_watch_that_finds_no_free_socket_waits_for_one() {
    let settings = [
        ("IRISFLOW_MAX_USER_SOCKETS", "1"),
        ("IRISFLOW_FAULTS", "enhancing:hang2000:1"),
    ];
    let app = App::start_with(&settings).await;
    let user = app.user("you").await;
    let job = user.upload_and_submit(good_eye()).await;
    let first = user.watch(&job).await;
    let client = ClientFolder::at(&app);
    let mut command = client.irisflow(&["watch", &job, "--email", &user.email]);
    command.env("IRISFLOW_PASSWORD", PASSWORD);
    let (output, _) = tokio::join!(run(command), first.until_the_end());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("open sockets"), "{}", said(&output));
}

#[tokio::test]
async fn a_session_is_kept_without_storing_the_password() {
    let app = App::start().await;
    let client = ClientFolder::at(&app);
    client.put("bear.jpg", &no_eye());
    run(client.submit(&["bear.jpg"])).await;

    let again = run(client.irisflow(&["submit", "bear.jpg", "--out", "out"])).await;

    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    for file in files_below(&client.path("config")) {
        let text = std::fs::read_to_string(&file).expect("text");
        assert!(!text.contains(PASSWORD), "{}", file.display());
    }
}

#[tokio::test]
async fn a_wrong_password_is_reported_with_the_message_of_the_server() {
    let app = App::start().await;
    let user = app.user("you").await;
    let client = ClientFolder::at(&app);
    client.put("bear.jpg", &no_eye());
    let mut command = client.irisflow(&["submit", "bear.jpg", "--email", &user.email]);
    command.env("IRISFLOW_PASSWORD", "Another-Iris-8");
    let output = run(command).await;
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(said(&output), "irisflow: Incorrect email or password\n");
}

#[tokio::test]
async fn without_a_session_or_a_terminal_it_names_the_settings() {
    let app = App::start().await;
    let client = ClientFolder::at(&app);
    let output = run(client.irisflow(&["watch", "some-job"])).await;
    assert_eq!(output.status.code(), Some(3));
    assert!(said(&output).contains("set IRISFLOW_EMAIL and IRISFLOW_PASSWORD"));
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let files = entries.flat_map(|entry| match entry.path() {
        path if path.is_dir() => files_below(&path),
        path => vec![path],
    });
    files.collect()
}

#[tokio::test]
async fn watch_without_jobs_follows_all_of_them_through_a_restart() {
    let app = App::start().await;
    let client = ClientFolder::at(&app);
    let user = app.user("you").await;
    let mut command = client.irisflow(&["watch", "--out", "out", "--email", &user.email]);
    command.env("IRISFLOW_PASSWORD", PASSWORD);
    let mut watching = Running::start(command);
    let first = user.upload_and_submit(no_eye()).await;
    watching.until_it_says(&first).await;
    user.until_ended(&first).await;
    let email = user.email.clone();

    let app = app.kill_and_restart_at_the_same_address().await;
    let user = app.sign_in(&email).await;
    let second = user.upload_and_submit(good_eye()).await;

    watching
        .until_it_says(&format!("{second}: Complete!"))
        .await;
    watching.interrupt();
    let (code, said) = watching.end().await;
    assert_eq!(code, Some(130), "{said}");
    let results = client.results();
    for file in [format!("{first}.json"), format!("{second}.jpg")] {
        assert!(results.contains(&file), "{file} of {results:?}");
    }
}
