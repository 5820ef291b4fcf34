//! `irisflow user`: management of accounts on the machine of the server, also while it runs.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::app::{App, PASSWORD, json_of};

fn user_command(app: &App, arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .arg("user")
        .args(arguments)
        .arg("--data-dir")
        .arg(app.data_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("its input");
    // Ignored, since a command that reads no password may have ended already.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    child.wait_with_output().expect("it ends")
}

fn succeed(app: &App, arguments: &[&str], stdin: &str) -> String {
    let output = user_command(app, arguments, stdin);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}

async fn login(app: &App, email: &str, password: &str) -> StatusCode {
    let body = json!({ "email": email, "password": password });
    let request = app.request(Method::POST, "/auth/login/json").json(&body);
    request.send().await.expect("an answer").status()
}

#[tokio::test]
async fn an_account_is_added_also_where_registration_is_closed() {
    let app = App::start_with(&[("IRISFLOW_REGISTRATION", "closed")]).await;
    succeed(&app, &["add", "You@Example.com"], &format!("{PASSWORD}\n"));
    app.sign_in("you@example.com").await;
}

#[tokio::test]
async fn a_weak_password_or_a_taken_address_is_refused_with_a_reason() {
    let app = App::start().await;
    let weak = user_command(&app, &["add", "you@example.com"], "weak\n");
    assert!(!weak.status.success());
    assert!(String::from_utf8_lossy(&weak.stderr).contains("too simple"));
    succeed(&app, &["add", "you@example.com"], PASSWORD);
    let taken = user_command(&app, &["add", "you@example.com"], PASSWORD);
    assert!(!taken.status.success());
    assert!(String::from_utf8_lossy(&taken.stderr).contains("has an account already"));
}

#[tokio::test]
async fn a_reset_password_is_the_only_one_that_works() {
    let app = App::start().await;
    let user = app.user("you").await;
    succeed(&app, &["reset", &user.email], "Clearer-Iris-8\n");
    json_of(user.get("/users/me").await, StatusCode::UNAUTHORIZED).await;
    assert_eq!(
        login(&app, &user.email, PASSWORD).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        login(&app, &user.email, "Clearer-Iris-8").await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_disabled_account_is_shut_out_until_it_is_enabled() {
    let app = App::start().await;
    let user = app.user("you").await;
    succeed(&app, &["disable", &user.email], "");
    json_of(user.get("/users/me").await, StatusCode::UNAUTHORIZED).await;
    assert_eq!(
        login(&app, &user.email, PASSWORD).await,
        StatusCode::FORBIDDEN
    );
    succeed(&app, &["enable", &user.email], "");
    assert_eq!(login(&app, &user.email, PASSWORD).await, StatusCode::OK);
}

#[tokio::test]
async fn an_admin_may_read_the_metrics_where_there_is_a_token() {
    let app = App::start_with(&[("IRISFLOW_METRICS_TOKEN", "let-me-read")]).await;
    let user = app.user("you").await;
    let metrics = async || {
        let request = app.client().get(format!("{}/metrics", app.url));
        let request = request.bearer_auth(&user.token);
        request.send().await.expect("an answer").status()
    };
    let before = metrics().await;
    succeed(&app, &["admin", &user.email], "");
    let as_admin = metrics().await;
    succeed(&app, &["admin", &user.email, "--revoke"], "");
    let after = metrics().await;
    let refused = StatusCode::FORBIDDEN;
    assert_eq!(
        [before, as_admin, after],
        [refused, StatusCode::OK, refused]
    );
}

#[tokio::test]
async fn accounts_are_listed_also_when_the_server_is_stopped() {
    let mut app = App::start().await;
    app.user("b").await;
    app.user("a").await;
    app.terminate().await;
    let listed = succeed(&app, &["list"], "");
    let accounts: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split('\t').take(3).collect())
        .collect();
    let expected = [
        ["a@example.com", "active", "user"],
        ["b@example.com", "active", "user"],
    ];
    assert_eq!(accounts, expected);
}

#[tokio::test]
async fn an_unknown_account_is_reported() {
    let app = App::start().await;
    let unknown = user_command(&app, &["disable", "nobody@example.com"], "");
    assert_eq!(unknown.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("has no account here"));
}

/// Names and modes of all files below a folder.
#[cfg(unix)]
fn listing(folder: &std::path::Path) -> Vec<(std::path::PathBuf, u32)> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &std::path::Path| path.metadata().expect("it is there").permissions().mode();
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let mut found: Vec<_> = entries
        .map(|entry| (entry.path(), mode(&entry.path())))
        .collect();
    found.push((folder.to_owned(), mode(folder)));
    found.sort();
    found
}

#[cfg(unix)]
#[test]
fn commands_about_accounts_change_no_folder_that_holds_none() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a temp folder");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), mode).expect("its mode");
    let missing = folder.path().join("missing");
    let before = listing(folder.path());
    for verb in [
        vec!["list"],
        vec!["reset", "you@example.com"],
        vec!["disable", "you@example.com"],
        vec!["enable", "you@example.com"],
        vec!["admin", "you@example.com"],
    ] {
        for data_dir in [folder.path(), &missing] {
            let output = Command::new(env!("CARGO_BIN_EXE_irisflow"))
                .arg("user")
                .args(&verb)
                .arg("--data-dir")
                .arg(data_dir)
                .stdin(Stdio::null())
                .output()
                .expect("it runs");
            assert_eq!(output.status.code(), Some(3), "{verb:?}");
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(
                complaint.contains("there is no Irisflow data in"),
                "{complaint}"
            );
        }
    }
    assert_eq!(listing(folder.path()), before);
}
