//! The process of the service under test: start, process state, signals, shutdown.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const START_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(60);

/// Start configuration of the service.
#[derive(Debug, Clone)]
pub(super) struct ServerConfig {
    pub(super) program: PathBuf,
    /// The command and its arguments, without address and data folder: `serve` or `work`.
    pub(super) command: &'static [&'static str],
    pub(super) data: PathBuf,
    /// File for its standard error.
    pub(super) log: PathBuf,
    pub(super) settings: Vec<(&'static str, String)>,
    /// The faults planned for this process (`IRISFLOW_FAULTS`).
    pub(super) faults: String,
}

/// A running service. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// As in `127.0.0.1:45123`.
    pub(super) address: String,
}

/// The state of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessState {
    Running,
    Suspended,
    /// With this exit code; `None` when ended by a signal.
    Ended(Option<i32>),
}

impl Server {
    /// Starts it with the address `listen`, and waits until it prints the address it listens on.
    pub(super) async fn start(config: &ServerConfig, listen: &str) -> anyhow::Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&config.log)
            .context("the log")?;
        let mut child = Command::new(&config.program)
            .args(config.command)
            .args(["--listen", listen, "--data-dir"])
            .arg(&config.data)
            .envs(config.settings.iter().map(|(name, value)| (name, value)))
            .env("IRISFLOW_FAULTS", &config.faults)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", config.program.display()))?;
        let stdout = child.stdout.take().context("its output")?;
        let mut lines = BufReader::new(stdout).lines();
        let address = tokio::time::timeout(START_LIMIT, async {
            while let Some(line) = lines.next_line().await? {
                let address = line.split_once("http://").map(|(_, address)| address);
                if let Some(address) = address.filter(|_| line.starts_with("Irisflow is ")) {
                    return Ok(address.to_owned());
                }
            }
            let log = std::fs::read_to_string(&config.log).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(3).collect();
            bail!("the server ended before it was running: {last:?}")
        });
        let address = address
            .await
            .context("the server takes too long to start")??;
        Ok(Self { child, address })
    }

    pub(super) fn state(&mut self) -> anyhow::Result<ProcessState> {
        if let Some(status) = self.child.try_wait().context("its status")? {
            return Ok(ProcessState::Ended(status.code()));
        }
        let Some(id) = self.child.id() else {
            return Ok(ProcessState::Ended(None));
        };
        // The state follows the process name in parentheses; see proc(5).
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let state = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next());
        Ok(match state {
            Some('T') => ProcessState::Suspended,
            _ => ProcessState::Running,
        })
    }

    pub(super) fn resume(&self) -> anyhow::Result<()> {
        self.signal("-CONT")
    }

    /// Kills it as a crash does (SIGKILL), and waits until the process has ended.
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing the server")
    }

    /// Graceful shutdown: sends SIGTERM and waits until the process has ended.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.signal("-TERM")?;
        let ended = tokio::time::timeout(END_LIMIT, self.child.wait());
        let status = ended.await.context("the server does not end")??;
        if !status.success() {
            bail!("the server ended badly: {status}");
        }
        Ok(())
    }

    pub(super) fn id(&self) -> anyhow::Result<String> {
        let id = self.child.id().context("the server has ended")?;
        Ok(id.to_string())
    }

    /// The soft limit on its file descriptors.
    pub(super) fn descriptor_limit(&self) -> anyhow::Result<u64> {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.id()?))?;
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
        soft.context("the limit on its file descriptors")
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let sent = std::process::Command::new("kill")
            .args([signal, &self.id()?])
            .status();
        if !sent.context("kill")?.success() {
            bail!("could not send {signal}");
        }
        Ok(())
    }
}

/// Copies a log into the system's temp folder, for later analysis.
pub(super) fn save_log(log: &Path, name: &str) -> Option<PathBuf> {
    let saved = std::env::temp_dir().join(format!("irisflow-faults-{name}.log"));
    std::fs::copy(log, &saved).ok()?;
    Some(saved)
}
