//! The cluster: nodes of the API and workers, on shared servers.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;
use futures_util::future::try_join_all;
use tempfile::TempDir;

use super::node::Node;
use super::servers::Servers;
use crate::faults::server_process::ServerConfig;

#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) api_nodes: Vec<Node>,
    pub(super) workers: Vec<Node>,
    pub(super) servers: Servers,
    /// The program of the previous version, if there is one.
    pub(super) previous: Option<PathBuf>,
    /// The data folder of all processes.
    pub(super) data: PathBuf,
    folder: TempDir,
}

/// Short, so that another worker takes over soon, and long enough that a busy machine can renew it in time.
pub(super) const LEASE_MS: u64 = 3_000;
const API_NODES: usize = 3;
const WORKERS: usize = 4;

/// Limits beyond which no test goes.
const UNLIMITED: [&str; 6] = [
    "IRISFLOW_REGISTRATIONS",
    "IRISFLOW_REGISTRATIONS_OF_NETWORK",
    "IRISFLOW_SIGN_IN_TRIES",
    "IRISFLOW_SIGN_IN_TRIES_OF_NETWORK",
    "IRISFLOW_USER_RATE",
    "IRISFLOW_ADDRESS_RATE",
];

impl Cluster {
    pub(super) async fn start(
        program: &Path,
        previous: Option<&Path>,
        servers: Servers,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let secrets = folder.path().join("secrets.json");
        make_secrets(program, &secrets)?;
        let data = folder.path().join("data");
        let mut settings = settings(&secrets);
        settings.extend(servers.settings());
        let config = |name: &str, command: &'static [&'static str]| ServerConfig {
            program: program.to_owned(),
            command,
            data: data.clone(),
            log: folder.path().join(format!("{name}.log")),
            settings: settings.clone(),
            faults: String::new(),
        };
        let api = |number: usize| {
            let name = format!("api_{number}");
            Node::start(name.clone(), config(&name, &["serve", "--no-work"]))
        };
        let worker = |number: usize| {
            let name = format!("worker_{number}");
            Node::start(name.clone(), config(&name, &["work", "--workers", "1"]))
        };
        let (api_nodes, workers) = tokio::try_join!(
            try_join_all((1..=API_NODES).map(api)),
            try_join_all((1..=WORKERS).map(worker)),
        )?;
        Ok(Self {
            api_nodes,
            workers,
            servers,
            previous: previous.map(Path::to_owned),
            data,
            folder,
        })
    }

    /// Fails when a process has ended or panicked.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let mut nodes = self.api_nodes.iter_mut().chain(&mut self.workers);
        nodes.try_for_each(Node::check)
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        for node in self.workers.iter_mut().chain(&mut self.api_nodes) {
            node.stop().await?;
        }
        Ok(())
    }

    /// Leaves the logs where they are, for later analysis.
    pub(super) fn keep_logs(mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }
}

fn settings(secrets: &Path) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("IRISFLOW_SECRETS_FILE", secrets.display().to_string()),
        ("IRISFLOW_DATABASE_CONNECTIONS", "6".to_owned()),
        ("IRISFLOW_LOG", "info".to_owned()),
        ("IRISFLOW_LEASE_MS", LEASE_MS.to_string()),
        ("IRISFLOW_BACKOFF_MS", "300".to_owned()),
    ];
    settings.extend(UNLIMITED.map(|name| (name, "100000".to_owned())));
    settings
}

fn make_secrets(program: &Path, file: &Path) -> anyhow::Result<()> {
    let made = Command::new(program)
        .arg("make-secrets")
        .arg(file)
        .status()?;
    if !made.success() {
        bail!("irisflow make-secrets: {made}");
    }
    Ok(())
}
