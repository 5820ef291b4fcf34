//! One fault at one point, played from the first user to the last object.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use super::crowd::Crowd;
use super::fault::{Fault, LEASE_MS, Point};
use super::hang_up;
use super::keeper::{GLANCE, ServerKeeper};
use super::outage::Outage;
use super::server::{Recipe, Server, keep_log};
use super::tally::{Aftermath, Tally, stored_objects};

/// What all cells have in common.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) program: PathBuf,
    /// The folder of test photos.
    pub(super) photos: PathBuf,
    pub(super) repetitions: usize,
    pub(super) seed: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) fault: Fault,
    pub(super) point: Point,
}

/// Longer than any sweep takes to come.
const SETTLING: Duration = Duration::from_secs(20);

impl Cell {
    pub(super) fn all() -> Vec<Self> {
        let cells = Fault::ALL.into_iter().flat_map(|fault| {
            let points = fault.points().into_iter();
            points.map(move |point| Self { fault, point })
        });
        cells.collect()
    }

    /// Each of `only` is as in `kill` or `kill@after_mask`; none means all.
    pub(super) fn is_meant_by(self, only: &[String]) -> bool {
        let (fault, cell) = (self.fault.to_string(), self.to_string());
        only.is_empty() || only.contains(&fault) || only.contains(&cell)
    }

    /// Plays it and counts. The log of a run that breaks a promise is kept.
    pub(super) async fn play(self, scene: &Scene) -> anyhow::Result<Tally> {
        let folder = tempfile::tempdir().context("a temp folder")?;
        let played = async {
            let tally = match self.fault {
                Fault::HangUp => hang_up::play(self, scene, folder.path()).await?,
                _ => self.play_in(scene, folder.path()).await?,
            };
            self.check_log(&folder.path().join("log"))?;
            Ok(tally)
        };
        let tally = played.await;
        if !tally.as_ref().is_ok_and(Tally::is_clean) {
            let kept = keep_log(&folder.path().join("log"), &self.to_string());
            println!("{self}: the log is kept in {kept:?}");
        }
        tally
    }

    async fn play_in(self, scene: &Scene, folder: &Path) -> anyhow::Result<Tally> {
        let mut random = self.random(scene.seed);
        let jobs = self.jobs(scene.repetitions);
        let outage = Outage::prepare(self, folder, jobs)?;
        let mut recipe = self.recipe(scene, folder);
        recipe.faults = self.fault.plan(self.point, jobs, &mut random);
        recipe
            .settings
            .extend(outage.iter().flat_map(Outage::settings));
        let data = recipe.data.clone();
        let server = Server::start(&recipe, "127.0.0.1:0").await?;
        let url = format!("http://{}", server.address);
        let mut keeper = ServerKeeper {
            cell: self,
            recipe,
            server,
            outage,
            jobs,
            struck: 0,
            random: self.random(scene.seed ^ 1),
        };

        let crowd = Crowd::gather(&url, scene, jobs, &mut random).await?;
        let (submitted, over) = (CancellationToken::new(), CancellationToken::new());
        let (watched, kept) = tokio::join!(
            async {
                let watched = crowd.submit_and_watch(&submitted).await;
                // Also when submitting failed.
                submitted.cancel();
                let settled = settle(&data).await;
                over.cancel();
                settled.and(watched)
            },
            keeper.keep_running(&submitted, &over),
        );
        kept?;
        let watched = watched?;
        keeper.server.end().await?;

        let aftermath = Aftermath::read(&data).await?;
        let mut tally = aftermath.tally(&watched, &stored_objects(&data), self.fault);
        tally.struck = match self.fault {
            Fault::Transient | Fault::Server | Fault::Panic | Fault::Hang => {
                strikes_in(&keeper.recipe.log)
            }
            _ => keeper.struck,
        };
        Ok(tally)
    }

    /// How to start the service, with nothing planned yet.
    pub(super) fn recipe(self, scene: &Scene, folder: &Path) -> Recipe {
        let mut settings = vec![
            ("IRISFLOW_LOG", "info".to_owned()),
            ("IRISFLOW_WORKERS", "2".to_owned()),
            ("IRISFLOW_LEASE_MS", LEASE_MS.to_string()),
            ("IRISFLOW_BACKOFF_MS", "300".to_owned()),
            ("IRISFLOW_DRAIN_GRACE_MS", "100".to_owned()),
        ];
        settings.extend(self.fault.settings(self.point));
        Recipe {
            program: scene.program.clone(),
            data: folder.join("data"),
            log: folder.join("log"),
            settings,
            faults: String::new(),
        }
    }

    /// Beside others.
    pub(super) fn takes_long(self) -> bool {
        self.point.is_backlog() || matches!(self.fault, Fault::HangUp | Fault::Hang)
    }

    fn jobs(self, repetitions: usize) -> usize {
        if self.point.is_backlog() {
            // So that more than twenty wait in the full run, and some in any.
            repetitions + repetitions / 2 + 4
        } else {
            repetitions
        }
    }

    /// Each cell has its own dice, so that it can be played alone.
    pub(super) fn random(self, seed: u64) -> StdRng {
        let mut hasher = DefaultHasher::new();
        (seed, self.to_string()).hash(&mut hasher);
        StdRng::seed_from_u64(hasher.finish())
    }

    /// Nothing panics but by plan.
    fn check_log(self, log: &Path) -> anyhow::Result<()> {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        let panic = said.lines().find(|line| line.contains("panicked at"));
        match panic {
            Some(line) if self.fault != Fault::Panic => bail!("the service panicked: {line}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.fault, self.point)
    }
}

/// Gives late writers time to do harm, and then sweeps time to undo it.
async fn settle(data: &Path) -> anyhow::Result<()> {
    tokio::time::sleep(Duration::from_millis(LEASE_MS * 3 / 2)).await;
    let begun = Instant::now();
    while begun.elapsed() < SETTLING {
        let aftermath = Aftermath::read(data).await?;
        if aftermath.left_over(&stored_objects(data)) == 0 {
            break;
        }
        tokio::time::sleep(GLANCE * 20).await;
    }
    Ok(())
}

/// Faults within the process leave their mark in its log.
fn strikes_in(log: &Path) -> usize {
    let said = std::fs::read_to_string(log).unwrap_or_default();
    said.matches("a planned fault strikes").count()
}
