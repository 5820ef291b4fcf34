//! Start-up: a server that cannot serve exits with the reason before it prints an address.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::app::{App, good_eye};

fn serve(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_irisflow"));
    command
        .args(["serve", "--data-dir"])
        .arg(data)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Exit code, standard output and standard error of a start that fails.
async fn failed_start(data: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let child = serve(data, arguments).spawn().expect("the program starts");
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait_with_output()).await;
    let output = ended.expect("it ends by itself").expect("its output");
    let text = |bytes| String::from_utf8(bytes).expect("a text");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

async fn assert_refuses(data: &Path, arguments: &[&str], reason: &str) {
    let (code, said, complaint) = failed_start(data, arguments).await;
    assert_eq!(code, Some(3), "{arguments:?}: {complaint}");
    assert_eq!(said, "", "{arguments:?}: no address is announced");
    assert!(complaint.contains(reason), "{arguments:?}: {complaint}");
}

const ANY_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];

#[tokio::test]
async fn invalid_certificate_files_fail_the_start() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let made = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        made.expect("a certificate")
    };
    let (one, other) = (made(), made());
    let write = |name: &str, text: &str| std::fs::write(file(name), text).expect("written");
    write("one.pem", &one.cert.pem());
    write("one.key", &one.signing_key.serialize_pem());
    write("other.key", &other.signing_key.serialize_pem());
    write("nonsense.pem", "nonsense");
    for (cert, key) in [
        ("missing.pem", "one.key"),
        ("one.pem", "missing.key"),
        ("one.pem", "other.key"),
        ("nonsense.pem", "one.key"),
        ("one.pem", "nonsense.pem"),
        (".", "one.key"),
    ] {
        let (cert, key) = (file(cert), file(key));
        let mut arguments = ANY_PORT.to_vec();
        arguments.extend(["--tls-cert", &cert, "--tls-key", &key]);
        assert_refuses(&folder.path().join("data"), &arguments, &cert).await;
    }
}

#[tokio::test]
async fn an_address_in_use_fails_the_start() {
    let data = tempfile::tempdir().expect("a temp folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().map(|address| (taken, address));
    let (_listener, address) = taken.expect("an address");
    let address = address.to_string();
    assert_refuses(data.path(), &["--listen", &address], "--listen").await;
    let mut arguments = ANY_PORT.to_vec();
    arguments.extend(["--metrics-listen", &address]);
    assert_refuses(data.path(), &arguments, "--metrics-listen").await;
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_written_fails_the_start() {
    let data = tempfile::tempdir().expect("a temp folder");
    let file = data.path().join("a-file");
    std::fs::write(&file, "not a folder").expect("written");
    assert_refuses(&file, &ANY_PORT, "a-file").await;
    #[cfg(target_os = "linux")]
    assert_refuses(Path::new("/proc/irisflow"), &ANY_PORT, "/proc/irisflow").await;
}

#[tokio::test]
async fn a_file_that_is_no_database_fails_the_start() {
    let data = tempfile::tempdir().expect("a temp folder");
    let database = data.path().join("irisflow.sqlite");
    std::fs::write(database, "this is not a database, and never was one").expect("written");
    assert_refuses(data.path(), &ANY_PORT, "database").await;
}

#[tokio::test]
async fn an_origin_that_no_browser_sends_is_wrong_usage() {
    let data = tempfile::tempdir().expect("a temp folder");
    let mut arguments = ANY_PORT.to_vec();
    arguments.extend(["--allowed-origins", "https://app.example.com/"]);
    let (code, said, complaint) = failed_start(data.path(), &arguments).await;
    assert_eq!((code, said.as_str()), (Some(2), ""));
    assert!(complaint.contains("without a slash"), "{complaint}");
}

/// Starts the program; returns it with the lines it has printed.
async fn started(data: &Path, arguments: &[&str]) -> (Child, Vec<String>) {
    let mut child = serve(data, arguments).spawn().expect("the program starts");
    let stdout = child.stdout.take().expect("its output");
    let mut lines = BufReader::new(stdout).lines();
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await.expect("its output") {
        let is_last = line.starts_with("Data is kept in ");
        said.push(line);
        if is_last {
            break;
        }
    }
    (child, said)
}

#[tokio::test]
async fn the_start_says_which_addresses_work() {
    let data = tempfile::tempdir().expect("a temp folder");
    let (_child, said) = started(data.path(), &["--listen", "0.0.0.0:0"]).await;
    let here = said[0].strip_prefix("Irisflow is running at ");
    let here = here.expect("an address");
    assert!(here.starts_with("http://127.0.0.1:"), "{said:?}");
    let mut urls = vec![here.to_owned()];
    if let Some(others) = said[1].strip_prefix("From other machines: ") {
        urls.extend(others.split(", ").map(str::to_owned));
    }
    for url in urls {
        let answer = reqwest::get(format!("{url}/health")).await;
        assert!(answer.is_ok_and(|answer| answer.status() == 200), "{url}");
    }
}

#[tokio::test]
async fn metrics_have_a_listener_of_their_own() {
    let data = tempfile::tempdir().expect("a temp folder");
    let mut arguments = ANY_PORT.to_vec();
    arguments.extend(["--metrics-listen", "127.0.0.1:0"]);
    let (_child, said) = started(data.path(), &arguments).await;
    let api = said[0].strip_prefix("Irisflow is running at ");
    let metrics = said
        .iter()
        .find_map(|line| line.strip_prefix("Metrics are at "));
    let (api, metrics) = (api.expect("an address"), metrics.expect("an address"));
    let status = async |url: &str| reqwest::get(url).await.expect("an answer").status();
    assert_eq!(status(metrics).await, 200);
    assert_eq!(status(&format!("{api}/metrics")).await, 404);
    assert_eq!(status(&metrics.replace("/metrics", "/health")).await, 404);
    // DNS rebinding: a page of another host whose name resolves to this machine.
    let foreign = reqwest::Client::new().get(metrics);
    let foreign = foreign.header("Host", "evil.example").send().await;
    assert_eq!(foreign.expect("an answer").status(), 404);
}

#[tokio::test]
async fn a_failed_task_ends_the_process_and_the_next_start_goes_on() {
    let mut app = App::start_with(&[("IRISFLOW_FAULTS", "claimed:panic:1")]).await;
    let job_id = app.user("you").await.upload_and_submit(good_eye()).await;
    assert_eq!(app.until_exit().await.code(), Some(3));
    assert!(
        app.log().contains("the worker's slot has failed"),
        "{}",
        app.log()
    );
    let app = app.restart_after_exit().await;
    let user = app.sign_in("you@example.com").await;
    assert_eq!(user.until_ended(&job_id).await["status"], "completed");
}
