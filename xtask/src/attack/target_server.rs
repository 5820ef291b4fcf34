//! The server under attack: the real program as a child process on a private port, with its own temp
//! folder.

use std::fs::File;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{AttackContext, proc_fs};
use crate::faults::faulty_disk::TmpfsDisk;

const START_LIMIT: Duration = Duration::from_secs(30);
const END_LIMIT: Duration = Duration::from_secs(30);

/// Start configuration of the server.
#[derive(Debug, Clone)]
pub(super) struct ServerConfig {
    program: PathBuf,
    folder: Arc<TempDir>,
    arguments: Vec<String>,
    /// `ulimit -n`, soft and hard.
    descriptors: Option<u32>,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(super) struct TargetServer {
    child: Child,
    config: ServerConfig,
    /// As in `http://127.0.0.1:45123`.
    pub(super) url: String,
}

/// The outcome of a start that should fail.
#[derive(Debug)]
pub(super) struct StartAttempt {
    /// `None` when it still runs.
    pub(super) exit_code: Option<i32>,
    /// Whether it printed the address it listens on.
    pub(super) announced: bool,
    pub(super) log: String,
}

impl ServerConfig {
    pub(super) fn new(context: &AttackContext, arguments: &[&str]) -> anyhow::Result<Self> {
        Ok(Self {
            program: context.program.clone(),
            folder: Arc::new(tempfile::tempdir().context("a temp folder")?),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            descriptors: None,
        })
    }

    pub(super) fn with_descriptors(mut self, limit: u32) -> Self {
        self.descriptors = Some(limit);
        self
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A path outside the data folder, in the same temp folder.
    pub(super) fn extra_path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Mounts a small disk as the data folder.
    pub(super) fn mount_data(&self, megabytes: usize) -> anyhow::Result<TmpfsDisk> {
        TmpfsDisk::mount(&self.data(), megabytes)
    }

    /// Mounts a small disk for photos and results; the database stays on the ordinary disk.
    pub(super) fn mount_files(&self, megabytes: usize) -> anyhow::Result<TmpfsDisk> {
        TmpfsDisk::mount(&self.data().join("files"), megabytes)
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .context("the log")?;
        let mut command = match self.descriptors {
            None => Command::new(&self.program),
            Some(limit) => {
                let mut shell = Command::new("sh");
                shell
                    .args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")])
                    .arg(&self.program);
                shell
            }
        };
        let child = command
            .args(["serve", "--log", "info", "--data-dir"])
            .arg(self.data())
            .args(&self.arguments)
            .args(
                match self.arguments.iter().any(|argument| argument == "--listen") {
                    true => &[][..],
                    false => &["--listen", "127.0.0.1:0"],
                },
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        child.with_context(|| format!("starting {}", self.program.display()))
    }

    /// Starts it and waits until it prints the address it listens on.
    pub(super) async fn start(&self) -> anyhow::Result<TargetServer> {
        let mut child = self.spawn()?;
        let url = tokio::time::timeout(START_LIMIT, announced_url(&mut child));
        let Some(url) = url.await.context("the server takes too long to start")?? else {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(3).collect();
            bail!("the server ended before it was running: {last:?}");
        };
        Ok(TargetServer {
            child,
            config: self.clone(),
            url,
        })
    }

    /// Starts it where the start should fail; waits for at most `time` for its address and its end, each.
    pub(super) async fn try_to_start(&self, time: Duration) -> anyhow::Result<StartAttempt> {
        let mut child = self.spawn()?;
        let announced = tokio::time::timeout(time, announced_url(&mut child)).await;
        let announced = matches!(announced, Ok(Ok(Some(_))));
        let ended = tokio::time::timeout(time, child.wait()).await;
        let exit_code = match ended {
            Ok(status) => Some(status?.code().unwrap_or(-1)),
            Err(_) => None,
        };
        Ok(StartAttempt {
            exit_code,
            announced,
            log: self.log(),
        })
    }

    /// Runs another command of the program. Returns exit code and standard error.
    pub(super) async fn command(&self, arguments: &[&str]) -> anyhow::Result<(i32, String)> {
        let output = Command::new(&self.program)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(END_LIMIT, output)
            .await
            .with_context(|| format!("{arguments:?} does not end"))??;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((output.status.code().unwrap_or(-1), stderr))
    }
}

/// The URL that the server prints; `None` when it ends without printing one.
async fn announced_url(child: &mut Child) -> anyhow::Result<Option<String>> {
    let stdout = child.stdout.take().context("its output")?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(url) = line.strip_prefix("Irisflow is running at ") {
            let url = url.trim().to_owned();
            // Drain the pipe, so that further output does not block the server.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(Some(url));
        }
    }
    Ok(None)
}

impl TargetServer {
    pub(super) async fn start(context: &AttackContext, arguments: &[&str]) -> anyhow::Result<Self> {
        ServerConfig::new(context, arguments)?.start().await
    }

    pub(super) fn process_id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    pub(super) fn data(&self) -> PathBuf {
        self.config.data()
    }

    pub(super) fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// As in `127.0.0.1:45123`.
    pub(super) fn address(&self) -> anyhow::Result<std::net::SocketAddr> {
        let address = self.url.split("://").nth(1).context("an address")?;
        address.parse().context("an address")
    }

    pub(super) fn peak_memory_mb(&self) -> anyhow::Result<f64> {
        proc_fs::peak_memory_mb(self.process_id()).context("the server has ended")
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let id = self.child.id().context("the server has ended")?;
        let sent = std::process::Command::new("kill")
            .args([signal, &id.to_string()])
            .status();
        if !sent.context("kill")?.success() {
            bail!("could not send {signal}");
        }
        Ok(())
    }

    /// Sends SIGTERM and waits for the end of the process.
    pub(super) async fn stop(mut self) -> anyhow::Result<(ExitStatus, ServerConfig)> {
        self.signal("-TERM")?;
        let ended = tokio::time::timeout(END_LIMIT, self.child.wait()).await;
        Ok((
            ended.context("the server does not end")??,
            self.config.clone(),
        ))
    }
}
