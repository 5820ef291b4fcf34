//! API contract test: runs schemathesis with all its checks against the running service: no 5xx, no
//! undocumented response, valid requests are accepted and invalid ones rejected. Constraints that OpenAPI
//! cannot express are in `schemathesis.toml`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::python_tool::PythonTool;
use crate::running_server::RunningServer;

const VERSION: &str = "4.32.5";

/// Operations that would end the run's own session, so that all later requests would be rejected.
const EXCLUDED_OPERATIONS: [&str; 3] = ["delete_me", "logout", "end_session"];

/// Server arguments that lift the rate limits, which are not under test here.
pub(super) const UNLIMITED: [&str; 14] = [
    "--user-rate",
    "100000",
    "--user-burst",
    "100000",
    "--sign-in-tries",
    "100000",
    "--sign-in-tries-of-account",
    "100000",
    "--sign-in-tries-of-network",
    "100000",
    "--registrations-of-network",
    "100000",
    "--registrations",
    "100000",
];

/// Path of schemathesis; installs it into `target/schemathesis` when it is missing. `None` when that fails.
pub(super) fn find_or_install(root: &Path) -> Option<PathBuf> {
    let package = format!("schemathesis=={VERSION}");
    let tool = PythonTool {
        program: "schemathesis",
        folder: root.join("target/schemathesis"),
        requirements: &[&package],
    };
    tool.find_or_install(root)
}

/// The command that tests this server as a newly registered user.
pub(super) fn command(program: &Path, server: &RunningServer) -> anyhow::Result<Command> {
    let token = sign_up(&server.url)?;
    let mut command = Command::new(program);
    command
        .arg("run")
        .arg(format!("{}/api/v1/openapi.json", server.url))
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", "all"])
        .args(["--phases", "examples,coverage,fuzzing,stateful"])
        .args(["--max-examples", "30", "--seed", "20261123"])
        .args(["--workers", "1", "--request-timeout", "30"]);
    for operation in EXCLUDED_OPERATIONS {
        command.args(["--exclude-operation-id", operation]);
    }
    Ok(command)
}

fn sign_up(url: &str) -> anyhow::Result<String> {
    let account = json!({ "email": "schemathesis@example.com", "password": "Clear-Iris-7" });
    let post = async |path: &str| -> anyhow::Result<Value> {
        let client = reqwest::Client::new();
        let request = client.post(format!("{url}/api/v1{path}")).json(&account);
        Ok(request.send().await?.error_for_status()?.json().await?)
    };
    let tokens = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?
        .block_on(async {
            post("/auth/register").await?;
            post("/auth/login/json").await
        })?;
    let token = tokens["access_token"].as_str().context("a token")?;
    Ok(token.to_owned())
}
