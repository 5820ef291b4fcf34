//! Test harness: a running server process, a signed-in user, a job socket.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Timeout of everything that a test waits for; more than it takes on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) const PASSWORD: &str = "Clear-Iris-7";

/// A running `irisflow serve` with its own data folder; it is killed on drop.
pub(crate) struct App {
    child: Child,
    pub(crate) url: String,
    data: std::sync::Arc<tempfile::TempDir>,
    settings: Vec<(String, String)>,
    client: Client,
}

/// A photo of the test folder.
pub(crate) fn test_photo(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../irisflow-image/tests/photos");
    std::fs::read(folder.join(name)).expect("a test photo")
}

/// A photo that is accepted.
pub(crate) fn good_eye() -> Vec<u8> {
    test_photo("pixabay_eye_2154384.jpg")
}

/// A photo without a human eye, which is rejected.
pub(crate) fn no_eye() -> Vec<u8> {
    test_photo("mdn_teddy-bear.jpg")
}

/// The file for standard error of the program, in its data folder.
fn log_file(data: &Path) -> std::fs::File {
    let options = std::fs::File::options()
        .create(true)
        .append(true)
        .open(data.join("log.txt"));
    options.expect("a file for the log")
}

/// A setting of these tests only: the limit of file descriptors of the program (`ulimit -n`).
pub(crate) const OPEN_FILES: &str = "TEST_OPEN_FILES";

fn program(settings: &[(String, String)]) -> Command {
    let program = env!("CARGO_BIN_EXE_irisflow");
    if !settings.iter().any(|(name, _)| name == OPEN_FILES) {
        return Command::new(program);
    }
    let mut command = Command::new("sh");
    let script = format!("ulimit -n \"${OPEN_FILES}\" && exec \"$0\" \"$@\"");
    command.args(["-c", &script, program]);
    command
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts with settings from the environment.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let data = std::sync::Arc::new(tempfile::tempdir().expect("a temp folder"));
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self::start_in(data, settings.collect(), "127.0.0.1:0").await
    }

    /// Starts another process on the same data folder, with the same settings.
    pub(crate) async fn start_another(&self) -> Self {
        Self::start_in(self.data.clone(), self.settings.clone(), "127.0.0.1:0").await
    }

    /// The settings that it was started with, for a command beside it.
    pub(crate) fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// Starts with an existing data folder.
    pub(crate) async fn start_on(data: tempfile::TempDir) -> Self {
        Self::start_in(std::sync::Arc::new(data), Vec::new(), "127.0.0.1:0").await
    }

    async fn start_in(
        data: std::sync::Arc<tempfile::TempDir>,
        settings: Vec<(String, String)>,
        listen: &str,
    ) -> Self {
        let mut child = program(&settings)
            .args(["serve", "--listen", listen, "--data-dir"])
            .arg(data.path())
            .env("IRISFLOW_LOG", "warn")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(log_file(data.path()))
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let url = loop {
            let line = lines
                .next_line()
                .await
                .expect("its output")
                .expect("it says its address");
            if let Some(url) = line.strip_prefix("Irisflow is running at ") {
                break url.to_owned();
            }
        };
        Self {
            child,
            url,
            data,
            settings,
            client: Client::new(),
        }
    }

    /// Starts it again on the same folder with other settings, after it has ended.
    pub(crate) async fn start_again_with(&self, settings: &[(&str, &str)]) -> Self {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self::start_in(self.data.clone(), settings.collect(), "127.0.0.1:0").await
    }

    /// Kills the program (SIGKILL), and starts it again on the same folder without injected faults.
    pub(crate) async fn kill_and_restart(mut self) -> Self {
        // Killed or gone already: dead either way.
        let _ = self.child.kill().await;
        self.restart("127.0.0.1:0").await
    }

    /// The same, with the same listen address, so that its clients find it again.
    pub(crate) async fn kill_and_restart_at_the_same_address(mut self) -> Self {
        // Killed or gone already: dead either way.
        let _ = self.child.kill().await;
        let listen = self.url.replace("http://", "");
        self.restart(&listen).await
    }

    /// The same, with the injected faults of the first start.
    pub(crate) async fn kill_and_restart_keeping_faults(mut self) -> Self {
        // Killed or gone already: dead either way.
        let _ = self.child.kill().await;
        let settings = std::mem::take(&mut self.settings);
        Self::start_in(self.data.clone(), settings, "127.0.0.1:0").await
    }

    /// Waits until the program has exited by itself, and starts it again.
    pub(crate) async fn restart_after_exit(mut self) -> Self {
        self.until_exit().await;
        self.restart("127.0.0.1:0").await
    }

    /// Waits until the program has exited by itself.
    pub(crate) async fn until_exit(&mut self) -> std::process::ExitStatus {
        let died = tokio::time::timeout(TIMEOUT, self.child.wait()).await;
        died.expect("it ends").expect("its status")
    }

    async fn restart(mut self, listen: &str) -> Self {
        let data = self.data.clone();
        let mut settings = std::mem::take(&mut self.settings);
        settings.retain(|(name, _)| name != "IRISFLOW_FAULTS");
        Self::start_in(data, settings, listen).await
    }

    /// Kills the program (SIGKILL).
    pub(crate) async fn kill(&mut self) {
        // Killed or gone already: dead either way.
        let _ = self.child.kill().await;
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends the program a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Peak memory of the program so far (`VmHWM`).
    #[cfg(target_os = "linux")]
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        let id = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        let kilobytes: u64 = peak.expect("VmHWM").trim().parse().expect("a number");
        kilobytes * 1024
    }

    /// Sends SIGTERM and waits until the program has exited.
    pub(crate) async fn terminate(&mut self) -> std::process::ExitStatus {
        self.signal("TERM");
        tokio::time::timeout(TIMEOUT, self.child.wait())
            .await
            .expect("it ends")
            .expect("status")
    }

    /// What the program has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.data_dir().join("log.txt")).expect("the log")
    }

    /// All paths and file contents in the data folder, without the log.
    pub(crate) fn stored_bytes(&self) -> Vec<u8> {
        fn gather(folder: &Path, found: &mut Vec<u8>) {
            for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                found.extend(path.to_string_lossy().bytes());
                if path.is_dir() {
                    gather(&path, found);
                } else if !path.ends_with("log.txt") {
                    found.extend(std::fs::read(&path).expect("a file"));
                }
            }
        }
        let mut found = Vec::new();
        gather(self.data_dir(), &mut found);
        found
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// The stored objects below `area`, as paths.
    pub(crate) fn objects(&self, area: &str) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            let Ok(entries) = std::fs::read_dir(folder) else {
                return;
            };
            for entry in entries.flatten() {
                if entry.path().is_dir() {
                    walk(&entry.path(), found);
                } else {
                    found.push(entry.path());
                }
            }
        }
        let mut found = Vec::new();
        walk(
            &self.data_dir().join("files/objects").join(area),
            &mut found,
        );
        found
    }

    /// Waits until nothing is stored below `area`.
    pub(crate) async fn until_no_objects(&self, area: &str) {
        self.until(&format!("{area} is empty"), async || {
            self.objects(area).is_empty()
        })
        .await;
    }

    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let begun = std::time::Instant::now();
        while !holds().await {
            assert!(begun.elapsed() < TIMEOUT, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Changes the database while the program runs.
    pub(crate) async fn edit_database(&self, sql: &'static str) {
        use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
        let path = self.data_dir().join("irisflow.sqlite");
        let options = SqliteConnectOptions::new().filename(path);
        let database = SqlitePool::connect_with(options).await.expect("it opens");
        sqlx::query(sql).execute(&database).await.expect("edited");
        database.close().await;
    }

    /// Columns of the database that contain this id, as bytes or within a text: `table.column`.
    pub(crate) async fn columns_with_id(&self, id: &str) -> Vec<String> {
        use sqlx::Row as _;
        use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
        let options = SqliteConnectOptions::new()
            .filename(self.data_dir().join("irisflow.sqlite"))
            .read_only(true);
        let database = SqlitePool::connect_with(options).await.expect("it opens");
        let columns = sqlx::query(
            "SELECT tables.name, columns.name FROM sqlite_master AS tables
             JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'",
        );
        let columns = columns.fetch_all(&database).await.expect("the schema");
        assert!(columns.len() > 20, "there are tables to look at");
        let bytes = uuid::Uuid::parse_str(id).expect("an id");
        let mut found = Vec::new();
        for column in columns {
            let (table, column): (String, String) = (column.get(0), column.get(1));
            let count = format!(
                "SELECT count(*) FROM \"{table}\" WHERE \"{column}\" = ? OR instr(\"{column}\", ?) > 0"
            );
            let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count))
                .bind(bytes)
                .bind(id)
                .fetch_one(&database)
                .await
                .expect("counted");
            if rows > 0 {
                found.push(format!("{table}.{column}"));
            }
        }
        found
    }

    /// Waits until neither the database nor the key of a stored object contains this id.
    pub(crate) async fn until_id_is_gone(&self, id: &str) {
        self.until(&format!("{id} is gone"), async || {
            let has_id = |path: &PathBuf| path.to_string_lossy().contains(id);
            self.columns_with_id(id).await.is_empty() && !self.objects("").iter().any(has_id)
        })
        .await;
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}/api/v1{path}", self.url))
    }

    pub(crate) async fn get(&self, url: &str) -> Response {
        self.client.get(url).send().await.expect("an answer")
    }

    /// A new account, signed in.
    pub(crate) async fn user(&self, name: &str) -> User<'_> {
        let email = format!("{name}@example.com");
        let body = json!({ "email": email, "password": PASSWORD });
        let made = self
            .request(Method::POST, "/auth/register")
            .json(&body)
            .send()
            .await;
        assert_eq!(made.expect("an answer").status(), StatusCode::CREATED);
        self.sign_in(&email).await
    }

    pub(crate) async fn sign_in(&self, email: &str) -> User<'_> {
        let body = json!({ "email": email, "password": PASSWORD });
        let answer = self
            .request(Method::POST, "/auth/login/json")
            .json(&body)
            .send()
            .await;
        let tokens = json_of(answer.expect("an answer"), StatusCode::OK).await;
        User {
            app: self,
            email: email.to_owned(),
            token: text(&tokens["access_token"]),
            refresh_token: text(&tokens["refresh_token"]),
        }
    }

    /// A user with the session that was begun at another server.
    pub(crate) fn resume_session(&self, email: &str, tokens: [&str; 2]) -> User<'_> {
        let [token, refresh_token] = tokens.map(str::to_owned);
        User {
            app: self,
            email: email.to_owned(),
            token,
            refresh_token,
        }
    }

    /// Opens a socket of a job with this token, which need not be valid.
    pub(crate) async fn socket(&self, job_id: &str, token: &str) -> Socket {
        self.socket_at(&format!("/ws/jobs/{job_id}?token={token}"), None)
            .await
    }

    pub(crate) async fn socket_at(&self, path: &str, origin: Option<&str>) -> Socket {
        let headers: Vec<(&str, &str)> = origin
            .map(|origin| ("Origin", origin))
            .into_iter()
            .collect();
        self.socket_with(path, &headers).await.0
    }

    /// A socket of a request with these headers, and the sub-protocol that the server has selected.
    pub(crate) async fn socket_with(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> (Socket, Option<String>) {
        let url = format!("{}{path}", self.url.replace("http://", "ws://"));
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            let value = value.parse().expect("a header");
            request.headers_mut().insert(*name, value);
        }
        let (stream, answer) = tokio_tungstenite::connect_async(request)
            .await
            .expect("upgraded");
        let selected = answer.headers().get("Sec-WebSocket-Protocol");
        let selected = selected.map(|value| value.to_str().expect("a text").to_owned());
        (Socket { stream }, selected)
    }
}

pub(crate) struct User<'a> {
    app: &'a App,
    pub(crate) email: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
}

impl User<'_> {
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let mut request = self.app.request(method, path).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.expect("an answer")
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> StatusCode {
        self.send(Method::DELETE, path, None).await.status()
    }

    /// Cancels a job; returns the job from the response.
    pub(crate) async fn cancel(&self, job_id: &str) -> Value {
        let path = format!("/processing/jobs/{job_id}/cancel");
        json_of(self.send(Method::POST, &path, None).await, StatusCode::OK).await
    }

    /// Waits until the job has at least this progress.
    pub(crate) async fn until_progress(&self, job_id: &str, progress: u64) {
        self.app
            .until(&format!("progress is {progress}"), async || {
                self.job(job_id).await["progress"].as_u64() >= Some(progress)
            })
            .await;
    }

    /// Uploads a photo in one request; returns the response.
    pub(crate) async fn post_photo(&self, bytes: Vec<u8>) -> Response {
        let request = self
            .app
            .request(Method::POST, "/photos")
            .bearer_auth(&self.token);
        let request = request.header("Content-Type", "image/jpeg").body(bytes);
        request.send().await.expect("an answer")
    }

    /// Uploads a photo; returns its id.
    pub(crate) async fn upload(&self, bytes: Vec<u8>) -> String {
        text(&json_of(self.post_photo(bytes).await, StatusCode::CREATED).await["id"])
    }

    /// Submits a photo; returns the id of the job.
    pub(crate) async fn submit(&self, photo_id: &str) -> String {
        let answer = self
            .post("/processing/submit", &json!({ "photo_id": photo_id }))
            .await;
        text(&json_of(answer, StatusCode::CREATED).await["job_id"])
    }

    pub(crate) async fn upload_and_submit(&self, bytes: Vec<u8>) -> String {
        let photo_id = self.upload(bytes).await;
        self.submit(&photo_id).await
    }

    pub(crate) async fn job(&self, job_id: &str) -> Value {
        json_of(
            self.get(&format!("/processing/jobs/{job_id}")).await,
            StatusCode::OK,
        )
        .await
    }

    /// Opens the socket of all jobs, with the token in its first frame, which has these fields, too.
    pub(crate) async fn follow(&self, mut hello: Value) -> Socket {
        let mut socket = self.app.socket_at("/ws", None).await;
        hello["type"] = json!("hello");
        hello["token"] = json!(self.token);
        socket.send_text(&hello.to_string()).await;
        socket
    }

    /// A fresh access token of the same session.
    pub(crate) async fn refresh(&mut self) {
        let body = json!({ "refresh_token": self.refresh_token });
        let answer = self.app.request(Method::POST, "/auth/refresh").json(&body);
        let answer = answer.send().await.expect("an answer");
        let tokens = json_of(answer, StatusCode::OK).await;
        self.token = text(&tokens["access_token"]);
        self.refresh_token = text(&tokens["refresh_token"]);
    }

    pub(crate) async fn ticket(&self) -> String {
        let answer = self.send(Method::POST, "/ws-tickets", None).await;
        text(&json_of(answer, StatusCode::CREATED).await["ticket"])
    }

    pub(crate) async fn watch(&self, job_id: &str) -> Socket {
        self.app.socket(job_id, &self.token).await
    }

    /// Watches a job to its end.
    pub(crate) async fn frames_of(&self, job_id: &str) -> Watched {
        self.watch(job_id).await.until_the_end().await
    }

    /// Waits until the job has ended, without a socket.
    pub(crate) async fn until_ended(&self, job_id: &str) -> Value {
        self.until_status(job_id, &["completed", "failed", "cancelled"])
            .await
    }

    pub(crate) async fn until_status(&self, job_id: &str, wanted: &[&str]) -> Value {
        self.app
            .until("the job's status", async || {
                let job = self.job(job_id).await;
                wanted.contains(&job["status"].as_str().expect("a status"))
            })
            .await;
        self.job(job_id).await
    }
}

pub(crate) struct Socket {
    stream: tokio_tungstenite::WebSocketStream<
        tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>,
    >,
}

/// All frames of a socket, and its close code.
pub(crate) struct Watched {
    pub(crate) frames: Vec<Value>,
    pub(crate) close_code: u16,
}

impl Watched {
    pub(crate) fn last(&self) -> &Value {
        self.frames.last().expect("a frame")
    }

    pub(crate) fn progress(&self) -> Vec<u64> {
        self.frames
            .iter()
            .map(|frame| frame["progress"].as_u64().expect("progress"))
            .collect()
    }

    pub(crate) fn steps(&self) -> Vec<&str> {
        let mut steps: Vec<&str> = self
            .frames
            .iter()
            .map(|frame| frame["step"].as_str().expect("a step"))
            .collect();
        steps.dedup();
        steps
    }
}

impl Socket {
    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Value {
        match self.next().await {
            Ok(frame) => frame,
            Err(code) => panic!("a frame, and not a close with {code}"),
        }
    }

    pub(crate) async fn until_the_end(mut self) -> Watched {
        let mut frames = Vec::new();
        loop {
            match self.next().await {
                Ok(frame) => frames.push(frame),
                Err(close_code) => return Watched { frames, close_code },
            }
        }
    }

    /// The progress of all frames until the connection breaks.
    pub(crate) async fn progress_until_broken(mut self) -> Vec<u64> {
        let mut progress = Vec::new();
        while let Some(Ok(message)) = self.stream.next().await {
            if let Message::Text(text) = message {
                let frame: Value = serde_json::from_str(&text).expect("a JSON frame");
                progress.push(frame["progress"].as_u64().expect("progress"));
            }
        }
        progress
    }

    /// A frame, or the code of the close.
    async fn next(&mut self) -> Result<Value, u16> {
        loop {
            let message = tokio::time::timeout(TIMEOUT, self.stream.next()).await;
            match message
                .expect("the socket says something")
                .expect("the socket is open")
            {
                Ok(Message::Text(text)) => {
                    return Ok(serde_json::from_str(&text).expect("a JSON frame"));
                }
                Ok(Message::Close(close)) => {
                    return Err(close.expect("a close with a code").code.into());
                }
                Ok(_) => {}
                Err(error) => panic!("the socket broke: {error}"),
            }
        }
    }

    pub(crate) async fn close(mut self) {
        let _ = self.stream.close(None).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("sent");
    }
}

/// The JSON body of a response; asserts its status.
pub(crate) async fn json_of(answer: Response, status: StatusCode) -> Value {
    let (got, url) = (answer.status(), answer.url().path().to_owned());
    let body = answer.text().await.expect("a body");
    assert_eq!(got, status, "{url} answered {body}");
    serde_json::from_str(&body).unwrap_or(Value::Null)
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Whether the frame is `failed` with all fields of a failure, for clients that support only the states pending,
/// processing, completed and failed.
pub(crate) fn is_complete_failure_frame(frame: &Value) -> bool {
    let texts = ["step", "error_type", "message", "suggestion"];
    frame["status"] == "failed"
        && frame["progress"].is_u64()
        && texts
            .iter()
            .all(|name| frame[name].as_str().is_some_and(|text| !text.is_empty()))
}
