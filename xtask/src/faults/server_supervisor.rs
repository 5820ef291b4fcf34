//! Supervises the service during fault injection: restarts it when it ends, and begins and ends outages of
//! the machine at the moments at which an injected fault suspends it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use super::fault::{Fault, InjectionPoint, LEASE_MS};
use super::matrix_cell::MatrixCell;
use super::outage::Outage;
use super::recorded_state::unfinished_jobs;
use super::server_process::{ProcessState, Server, ServerConfig};

pub(super) struct ServerSupervisor {
    pub(super) cell: MatrixCell,
    pub(super) config: ServerConfig,
    pub(super) server: Server,
    pub(super) outage: Option<Outage>,
    /// Total number of jobs in the run.
    pub(super) jobs: usize,
    pub(super) injected: usize,
    pub(super) random: StdRng,
}

pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Duration of a long outage: longer than leases and retry backoffs, plus a time per job, so that each
/// job would be retried several times during it.
const LONG_OUTAGE: Duration = Duration::from_secs(6);
const LONG_OUTAGE_PER_JOB: Duration = Duration::from_secs(1);

impl ServerSupervisor {
    /// Runs until `finished` is cancelled. `submitted` is cancelled once all jobs are queued.
    pub(super) async fn supervise(
        &mut self,
        submitted: &CancellationToken,
        finished: &CancellationToken,
    ) -> anyhow::Result<()> {
        if self.cell.point.is_backlog() {
            submitted.cancelled().await;
            self.long_outage().await?;
        }
        while !finished.is_cancelled() {
            match self.server.state()? {
                ProcessState::Running => tokio::time::sleep(POLL_INTERVAL).await,
                ProcessState::Suspended => {
                    self.injected += 1;
                    self.handle_suspension().await?;
                }
                ProcessState::Ended(code) => {
                    self.injected += 1;
                    self.check_exit_code(code)?;
                    self.restart().await?;
                }
            }
        }
        Ok(())
    }

    fn check_exit_code(&self, code: Option<i32>) -> anyhow::Result<()> {
        match (self.cell.fault, code) {
            (Fault::Kill, None) | (Fault::Terminate, Some(0)) => Ok(()),
            (_, code) => bail!("the server ended by itself, with {code:?}"),
        }
    }

    async fn restart(&mut self) -> anyhow::Result<()> {
        let at_any_claim =
            self.cell.fault == Fault::Terminate && self.cell.point == InjectionPoint::Claimed;
        if at_any_claim {
            // At some point without a fault, or no process would get beyond its first claim.
            self.config.faults = if self.injected < self.jobs {
                let MatrixCell { fault, point } = self.cell;
                fault.plan(point, self.jobs, &mut self.random)
            } else {
                String::new()
            };
        }
        let address = self.server.address.clone();
        self.server = Server::start(&self.config, &address).await?;
        Ok(())
    }

    /// Handles a suspended process: runs the outage, or lets its leases expire, and resumes it.
    async fn handle_suspension(&mut self) -> anyhow::Result<()> {
        let duration = Duration::from_millis(self.random.random_range(50..900));
        let Some(outage) = &mut self.outage else {
            let lease = Duration::from_millis(LEASE_MS);
            tokio::time::sleep(lease.mul_f64(1.2) + duration).await;
            return self.server.resume();
        };
        outage.begin(&self.server).await?;
        self.server.resume()?;
        self.run_during_outage(duration).await?;
        self.end_outage()
    }

    /// A long outage that begins with some jobs running and the others waiting.
    async fn long_outage(&mut self) -> anyhow::Result<()> {
        self.injected = unfinished_jobs(&self.database()).await?;
        if let Some(outage) = &mut self.outage {
            outage.begin(&self.server).await?;
        }
        let jobs = u32::try_from(self.jobs).unwrap_or(u32::MAX);
        self.run_during_outage(LONG_OUTAGE + LONG_OUTAGE_PER_JOB * jobs)
            .await?;
        self.end_outage()
    }

    fn end_outage(&mut self) -> anyhow::Result<()> {
        match &mut self.outage {
            Some(outage) => outage.end(&self.server),
            None => Ok(()),
        }
    }

    /// Lets the service run for `time` during the outage. Faults may be injected into other jobs meanwhile.
    async fn run_during_outage(&mut self, time: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            match self.server.state()? {
                ProcessState::Running => tokio::time::sleep(POLL_INTERVAL).await,
                ProcessState::Suspended => {
                    self.injected += 1;
                    self.server.resume()?;
                }
                ProcessState::Ended(code) => bail!("the server ended by itself, with {code:?}"),
            }
        }
        Ok(())
    }

    fn database(&self) -> PathBuf {
        self.config.data.join("irisflow.sqlite")
    }
}
