//! A running process of the service, from its start to the end of its graceful shutdown.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use irisflow_worker::Worker;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::compose::Backends;
use crate::stop_signals::StopSignals;

pub(crate) struct Running {
    /// `None` in a process that only serves the API.
    pub(crate) worker: Option<Worker>,
    pub(crate) server: JoinHandle<std::io::Result<()>>,
    /// Ends the server.
    pub(crate) shutdown: CancellationToken,
    pub(crate) backends: Backends,
}

impl Running {
    /// Runs until a stop is requested or a part of the service fails, then shuts everything down.
    pub(crate) async fn until_stopped(mut self, mut stop: StopSignals) -> anyhow::Result<()> {
        let mut server_ended = false;
        let failure = tokio::select! {
            () = stop.requested() => None,
            ended = &mut self.server => {
                server_ended = true;
                let by_itself = || anyhow::anyhow!("the server has ended by itself");
                Some(server_result(ended).err().unwrap_or_else(by_itself))
            }
            part = failed(self.worker.as_ref()) => {
                Some(anyhow::anyhow!("the worker's {part} has failed"))
            }
        };
        match &failure {
            None => tracing::info!("shutting down: draining running jobs"),
            Some(failure) => {
                tracing::error!("shutting down because a part has failed: {failure:#}");
            }
        }
        // Drain the worker before the server, so that the last frames still reach the WebSockets.
        if let Some(worker) = &self.worker {
            worker.drain().await;
        }
        self.shutdown.cancel();
        let ended = if server_ended {
            Ok(())
        } else {
            match tokio::time::timeout(Duration::from_secs(10), self.server).await {
                Ok(ended) => server_result(ended),
                Err(_) => {
                    tracing::warn!("some connections did not close within the shutdown timeout");
                    Ok(())
                }
            }
        };
        self.backends.close().await;
        failure.map_or(ended, Err)
    }
}

async fn failed(worker: Option<&Worker>) -> &'static str {
    match worker {
        Some(worker) => worker.failed().await,
        None => std::future::pending().await,
    }
}

fn server_result(
    server: Result<std::io::Result<()>, tokio::task::JoinError>,
) -> anyhow::Result<()> {
    server.context("the server's task")?.context("serving")
}

/// Prints to stdout; a closed pipe is ignored.
pub(crate) fn print(announcement: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(announcement.as_bytes())
        .and_then(|()| stdout.flush());
}
