//! Keeps the service running through its faults: starts it again when it ends, and begins and ends the
//! outages of the machine at the moments at which it suspends itself.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use super::cell::Cell;
use super::fault::{Fault, LEASE_MS, Point};
use super::outage::Outage;
use super::server::{Recipe, Server, Standing};
use super::tally::unfinished_jobs;

pub(super) struct ServerKeeper {
    pub(super) cell: Cell,
    pub(super) recipe: Recipe,
    pub(super) server: Server,
    pub(super) outage: Option<Outage>,
    /// How many jobs there will be.
    pub(super) jobs: usize,
    pub(super) struck: usize,
    pub(super) random: StdRng,
}

pub(super) const GLANCE: Duration = Duration::from_millis(5);
/// Longer than leases and backoffs; and for each job, so that all would come up again and again.
const LONG_OUTAGE: Duration = Duration::from_secs(6);
const LONGER_PER_JOB: Duration = Duration::from_secs(1);

impl ServerKeeper {
    /// `submitted`: all jobs are queued. `over`: nothing more is to come.
    pub(super) async fn keep_running(
        &mut self,
        submitted: &CancellationToken,
        over: &CancellationToken,
    ) -> anyhow::Result<()> {
        if self.cell.point.is_backlog() {
            submitted.cancelled().await;
            self.long_outage().await?;
        }
        while !over.is_cancelled() {
            match self.server.standing()? {
                Standing::Running => tokio::time::sleep(GLANCE).await,
                Standing::Suspended => {
                    self.struck += 1;
                    self.suspended().await?;
                }
                Standing::Ended(code) => {
                    self.struck += 1;
                    self.check_end(code)?;
                    self.start_again().await?;
                }
            }
        }
        Ok(())
    }

    fn check_end(&self, code: Option<i32>) -> anyhow::Result<()> {
        match (self.cell.fault, code) {
            (Fault::Kill, None) | (Fault::Terminate, Some(0)) => Ok(()),
            (_, code) => bail!("the server ended by itself, with {code:?}"),
        }
    }

    async fn start_again(&mut self) -> anyhow::Result<()> {
        let at_any_claim = self.cell.fault == Fault::Terminate && self.cell.point == Point::Claimed;
        if at_any_claim {
            // Else no life would ever get further.
            self.recipe.faults = if self.struck < self.jobs {
                let Cell { fault, point } = self.cell;
                fault.plan(point, self.jobs, &mut self.random)
            } else {
                String::new()
            };
        }
        let address = self.server.address.clone();
        self.server = Server::start(&self.recipe, &address).await?;
        Ok(())
    }

    /// What happens while it sleeps, and after.
    async fn suspended(&mut self) -> anyhow::Result<()> {
        let while_it_lasts = Duration::from_millis(self.random.random_range(50..900));
        let Some(outage) = &mut self.outage else {
            let lease = Duration::from_millis(LEASE_MS);
            tokio::time::sleep(lease.mul_f64(1.2) + while_it_lasts).await;
            return self.server.resume();
        };
        outage.begin(&self.server).await?;
        self.server.resume()?;
        self.live_on(while_it_lasts).await?;
        self.end_outage()
    }

    /// With some jobs running and the others waiting.
    async fn long_outage(&mut self) -> anyhow::Result<()> {
        self.struck = unfinished_jobs(&self.database()).await?;
        if let Some(outage) = &mut self.outage {
            outage.begin(&self.server).await?;
        }
        let jobs = u32::try_from(self.jobs).unwrap_or(u32::MAX);
        self.live_on(LONG_OUTAGE + LONGER_PER_JOB * jobs).await?;
        self.end_outage()
    }

    fn end_outage(&mut self) -> anyhow::Result<()> {
        match &mut self.outage {
            Some(outage) => outage.end(&self.server),
            None => Ok(()),
        }
    }

    /// Lets the service run for a while in its trouble. Other jobs may be struck meanwhile.
    async fn live_on(&mut self, time: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            match self.server.standing()? {
                Standing::Running => tokio::time::sleep(GLANCE).await,
                Standing::Suspended => {
                    self.struck += 1;
                    self.server.resume()?;
                }
                Standing::Ended(code) => bail!("the server ended by itself, with {code:?}"),
            }
        }
        Ok(())
    }

    fn database(&self) -> PathBuf {
        self.recipe.data.join("irisflow.sqlite")
    }
}
