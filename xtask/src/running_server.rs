//! A child process `irisflow serve` on a private port with its own temp folder, killed on drop.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

#[derive(Debug)]
pub(crate) struct RunningServer {
    child: Child,
    /// As in `http://127.0.0.1:45123`.
    pub(crate) url: String,
    _data: tempfile::TempDir,
}

impl RunningServer {
    /// Starts `program` and waits until it prints the address it listens on.
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let data = tempfile::tempdir().context("making a temp folder")?;
        let mut child = Command::new(program)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--log",
                "warn",
                "--data-dir",
            ])
            .arg(data.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let stdout = child.stdout.take().context("its output")?;
        for line in BufReader::new(stdout).lines() {
            let line = line.context("reading its output")?;
            if let Some(url) = line.strip_prefix("Irisflow is running at ") {
                let url = url.to_owned();
                return Ok(Self {
                    child,
                    url,
                    _data: data,
                });
            }
        }
        bail!("the server ended before it was running")
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        // Fails when the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
