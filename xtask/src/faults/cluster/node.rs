//! One process of the cluster, which keeps its address when it is started again.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::faults::fake_clock::FakeClock;
use crate::faults::server_process::{ProcessState, Server, ServerConfig};

#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    /// As in `127.0.0.1:45123`.
    pub(super) address: String,
    config: ServerConfig,
    /// The clock that it was started with, if it is not the machine's.
    pub(super) clock: Option<FakeClock>,
    /// `None` while it does not run.
    server: Option<Server>,
}

/// The longest wait for a planned fault: until a job comes to its point.
const FAULT_LIMIT: Duration = Duration::from_secs(90);

impl Node {
    pub(super) async fn start(name: String, config: ServerConfig) -> anyhow::Result<Self> {
        let server = Server::start(&config, "127.0.0.1:0").await;
        let server = server.with_context(|| name.clone())?;
        Ok(Self {
            address: server.address.clone(),
            name,
            config,
            clock: None,
            server: Some(server),
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts the process that has ended, with these planned faults.
    pub(super) async fn start_again(&mut self, faults: &str) -> anyhow::Result<()> {
        faults.clone_into(&mut self.config.faults);
        self.start_with(self.config.clone()).await
    }

    /// Starts the process that has ended, from another program.
    pub(super) async fn start_as(&mut self, program: &Path) -> anyhow::Result<()> {
        let program = program.to_owned();
        let config = self.config.clone();
        self.start_with(ServerConfig { program, ..config }).await
    }

    /// Starts the process that has ended, with a clock of its own that steps by `step`: see [`FakeClock`].
    pub(super) async fn start_with_clock(&mut self, step: &'static str) -> anyhow::Result<()> {
        let folder = self.config.log.with_extension("clock");
        std::fs::create_dir_all(&folder)?;
        let clock = FakeClock::new(&folder, step)?;
        let mut config = self.config.clone();
        config.settings.extend(clock.settings());
        self.clock = Some(clock);
        self.start_with(config).await
    }

    async fn start_with(&mut self, config: ServerConfig) -> anyhow::Result<()> {
        let server = Server::start(&config, &self.address).await;
        self.server = Some(server.with_context(|| self.name.clone())?);
        Ok(())
    }

    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.take()?.kill().await
    }

    /// Graceful shutdown. An exit code other than 0 is an error.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let stopped = self.take()?.stop().await;
        stopped.with_context(|| self.name.clone())
    }

    pub(super) fn resume(&self) -> anyhow::Result<()> {
        let server = self.server.as_ref().context("a running process")?;
        server.resume()
    }

    /// Waits until the process has come to `state` by a planned fault.
    pub(super) async fn until(&mut self, state: ProcessState) -> anyhow::Result<()> {
        let begun = Instant::now();
        let server = self.server.as_mut().context("a running process")?;
        while server.state()? != state {
            if begun.elapsed() > FAULT_LIMIT {
                bail!("{}: no job has come to the planned fault", self.name);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if matches!(state, ProcessState::Ended(_)) {
            self.server = None;
        }
        Ok(())
    }

    /// Fails when the process has ended, or when its log contains a panic.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let state = self.server.as_mut().map(Server::state).transpose()?;
        if state != Some(ProcessState::Running) {
            bail!("{} does not run: {state:?}", self.name);
        }
        let log = std::fs::read_to_string(&self.config.log).unwrap_or_default();
        match log.lines().find(|line| line.contains("panicked at")) {
            Some(line) => bail!("{} panicked: {line}", self.name),
            None => Ok(()),
        }
    }

    fn take(&mut self) -> anyhow::Result<Server> {
        self.server.take().context("a running process")
    }
}
