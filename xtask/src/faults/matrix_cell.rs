//! One cell of the crash matrix: one fault at one injection point, run from the registration of users to
//! the comparison of database and storage.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use super::fault::{Fault, InjectionPoint, LEASE_MS};
use super::hang_up;
use super::outage::Outage;
use super::outcome_counts::OutcomeCounts;
use super::recorded_state::{RecordedState, stored_objects};
use super::server_process::{Server, ServerConfig, save_log};
use super::server_supervisor::{POLL_INTERVAL, ServerSupervisor};
use super::test_users::TestUsers;

/// The settings that all cells share.
#[derive(Debug)]
pub(super) struct MatrixConfig {
    pub(super) program: PathBuf,
    /// The folder of test photos.
    pub(super) photos: PathBuf,
    pub(super) repetitions: usize,
    pub(super) seed: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct MatrixCell {
    pub(super) fault: Fault,
    pub(super) point: InjectionPoint,
}

/// Longer than the interval of any cleanup sweep.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);

impl MatrixCell {
    pub(super) fn all() -> Vec<Self> {
        let cells = Fault::ALL.into_iter().flat_map(|fault| {
            let points = fault.points().into_iter();
            points.map(move |point| Self { fault, point })
        });
        cells.collect()
    }

    /// Entries of `only` look like `kill` or `kill@after_mask`; an empty list selects all.
    pub(super) fn is_selected(self, only: &[String]) -> bool {
        let (fault, cell) = (self.fault.to_string(), self.to_string());
        only.is_empty() || only.contains(&fault) || only.contains(&cell)
    }

    /// Runs the cell and counts the outcomes. The log is saved when an invariant was violated.
    pub(super) async fn run(self, matrix: &MatrixConfig) -> anyhow::Result<OutcomeCounts> {
        let folder = tempfile::tempdir().context("a temp folder")?;
        let running = async {
            let counts = match self.fault {
                Fault::HangUp => hang_up::run(self, matrix, folder.path()).await?,
                _ => self.run_in(matrix, folder.path()).await?,
            };
            self.check_log(&folder.path().join("log"))?;
            Ok(counts)
        };
        let counts = running.await;
        if !counts.as_ref().is_ok_and(OutcomeCounts::is_clean) {
            let saved = save_log(&folder.path().join("log"), &self.to_string());
            println!("{self}: the log is saved as {saved:?}");
        }
        counts
    }

    async fn run_in(self, matrix: &MatrixConfig, folder: &Path) -> anyhow::Result<OutcomeCounts> {
        let mut random = self.random(matrix.seed);
        let jobs = self.jobs(matrix.repetitions);
        let outage = Outage::prepare(self, folder, jobs)?;
        let mut config = self.config(matrix, folder);
        config.faults = self.fault.plan(self.point, jobs, &mut random);
        config
            .settings
            .extend(outage.iter().flat_map(Outage::settings));
        let data = config.data.clone();
        let server = Server::start(&config, "127.0.0.1:0").await?;
        let url = format!("http://{}", server.address);
        let mut supervisor = ServerSupervisor {
            cell: self,
            config,
            server,
            outage,
            jobs,
            injected: 0,
            random: self.random(matrix.seed ^ 1),
        };

        let users = TestUsers::create(&url, matrix, jobs, &mut random).await?;
        let (submitted, finished) = (CancellationToken::new(), CancellationToken::new());
        // A supervisor that fails ends the run: without a server its watchers would try for minutes.
        let (watched, ()) = tokio::try_join!(
            async {
                let watched = users.submit_and_watch(&submitted).await;
                // Also when submitting failed.
                submitted.cancel();
                let settled = settle(&data).await;
                finished.cancel();
                settled.and(watched)
            },
            supervisor.supervise(&submitted, &finished),
        )?;
        supervisor.server.stop().await?;

        let recorded = RecordedState::read(&data).await?;
        let mut counts =
            recorded.count_outcomes(&watched, &stored_objects(&data), self.fault.into());
        counts.injected = match self.fault {
            Fault::Transient | Fault::Server | Fault::Panic | Fault::Hang => {
                count_injections(&supervisor.config.log)
            }
            _ => supervisor.injected,
        };
        Ok(counts)
    }

    /// Start configuration of the service, with no faults planned yet.
    pub(super) fn config(self, matrix: &MatrixConfig, folder: &Path) -> ServerConfig {
        let mut settings = vec![
            ("IRISFLOW_LOG", "info".to_owned()),
            ("IRISFLOW_WORKERS", "2".to_owned()),
            ("IRISFLOW_LEASE_MS", LEASE_MS.to_string()),
            ("IRISFLOW_BACKOFF_MS", "300".to_owned()),
            ("IRISFLOW_DRAIN_GRACE_MS", "100".to_owned()),
        ];
        settings.extend(self.fault.settings(self.point));
        ServerConfig {
            program: matrix.program.clone(),
            command: &["serve"],
            data: folder.join("data"),
            log: folder.join("log"),
            settings,
            faults: String::new(),
        }
    }

    /// Whether the cell takes longer than most others.
    pub(super) fn is_slow(self) -> bool {
        self.point.is_backlog() || matches!(self.fault, Fault::HangUp | Fault::Hang)
    }

    fn jobs(self, repetitions: usize) -> usize {
        if self.point.is_backlog() {
            // A backlog of more than twenty waiting jobs in the full run, and of some in any run.
            repetitions + repetitions / 2 + 4
        } else {
            repetitions
        }
    }

    /// Each cell has its own random generator, so that it can be reproduced alone.
    pub(super) fn random(self, seed: u64) -> StdRng {
        let mut hasher = DefaultHasher::new();
        (seed, self.to_string()).hash(&mut hasher);
        StdRng::seed_from_u64(hasher.finish())
    }

    /// Fails on a panic in the log that was not injected.
    fn check_log(self, log: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let panic = text.lines().find(|line| line.contains("panicked at"));
        match panic {
            Some(line) if self.fault != Fault::Panic => bail!("the service panicked: {line}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for MatrixCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.fault, self.point)
    }
}

/// Waits until writers with expired leases have ended and the cleanup sweeps have removed their objects.
async fn settle(data: &Path) -> anyhow::Result<()> {
    tokio::time::sleep(Duration::from_millis(LEASE_MS * 3 / 2)).await;
    let begun = Instant::now();
    while begun.elapsed() < SETTLE_TIMEOUT {
        let recorded = RecordedState::read(data).await?;
        if recorded.left_over(&stored_objects(data)).is_empty() {
            break;
        }
        tokio::time::sleep(POLL_INTERVAL * 20).await;
    }
    Ok(())
}

/// Counts the injected faults by the service's own log lines.
fn count_injections(log: &Path) -> usize {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.matches("a planned fault strikes").count()
}
