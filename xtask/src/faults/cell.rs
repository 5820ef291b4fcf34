//! One fault at one point, played from the first user to the last object.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use irisflow_client::{Client, Patience, PhotoId};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::disk::Disk;
use super::fault::{Fault, LEASE_MS, Point};
use super::server::{Recipe, Server, Standing, keep_log};
use super::tally::{Aftermath, Tally, stored_objects};
use super::watcher::{Watched, watch};

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

const GOOD_EYES: [&str; 2] = ["pixabay_eye_2154384.jpg", "pixabay_eye_3221498_gray.jpg"];
const NO_EYE: &str = "mdn_teddy-bear.jpg";
const USERS: usize = 2;
const PASSWORD: &str = "Clear-Iris-7";
const GLANCE: Duration = Duration::from_millis(5);
/// Longer than any sweep takes to come.
const SETTLING: Duration = Duration::from_secs(20);

impl Cell {
    /// `only` is as in `kill` or `kill@after_mask`.
    pub(super) fn is_meant_by(self, only: Option<&str>) -> bool {
        only.is_none_or(|only| only == self.fault.to_string() || only == self.to_string())
    }

    /// Plays it and counts. The log of a run that breaks a promise is kept.
    pub(super) async fn play(self, scene: &Scene) -> anyhow::Result<Tally> {
        let folder = tempfile::tempdir().context("a temp folder")?;
        let tally = self.play_in(scene, folder.path()).await;
        if !tally.as_ref().is_ok_and(Tally::is_clean) {
            let kept = keep_log(&folder.path().join("log"), &self.to_string());
            println!("{self}: the log is kept in {kept:?}");
        }
        tally
    }

    async fn play_in(self, scene: &Scene, folder: &Path) -> anyhow::Result<Tally> {
        let mut random = self.random(scene.seed);
        let data = folder.join("data");
        let disk = self.disk(&data, scene.repetitions)?;
        let mut settings = vec![
            ("IRISFLOW_LOG", "info".to_owned()),
            ("IRISFLOW_WORKERS", "2".to_owned()),
            ("IRISFLOW_LEASE_MS", LEASE_MS.to_string()),
            ("IRISFLOW_BACKOFF_MS", "300".to_owned()),
            ("IRISFLOW_DRAIN_GRACE_MS", "100".to_owned()),
            (
                "IRISFLOW_FAULTS",
                self.fault.plan(self.point, scene.repetitions, &mut random),
            ),
        ];
        settings.extend(self.fault.settings());
        let recipe = Recipe {
            program: scene.program.clone(),
            data: data.clone(),
            log: folder.join("log"),
            settings,
        };
        let server = Server::start(&recipe, "127.0.0.1:0").await?;
        let url = format!("http://{}", server.address);
        let mut keeper = ServerKeeper {
            cell: self,
            recipe,
            server,
            disk,
            struck: 0,
            random: self.random(scene.seed ^ 1),
        };

        let crowd = Crowd::gather(&url, scene, &mut random).await?;
        let over = CancellationToken::new();
        let (watched, kept) = tokio::join!(
            async {
                let watched = crowd.submit_and_watch(scene.repetitions).await;
                let settled = settle(&data).await;
                over.cancel();
                settled.and(watched)
            },
            keeper.keep_running(&over),
        );
        kept?;
        let watched = watched?;
        keeper.server.end().await?;

        let aftermath = Aftermath::read(&data).await?;
        let stored = stored_objects(&data);
        let mut tally = aftermath.tally(&watched, &stored, self.fault.allowed_failures());
        tally.struck = match self.fault {
            Fault::Transient | Fault::Server | Fault::Panic | Fault::Hang => {
                strikes_in(&keeper.recipe.log)
            }
            _ => keeper.struck,
        };
        Ok(tally)
    }

    /// Each cell has its own dice, so that it can be played alone.
    fn random(self, seed: u64) -> StdRng {
        let mut hasher = DefaultHasher::new();
        (seed, self.to_string()).hash(&mut hasher);
        StdRng::seed_from_u64(hasher.finish())
    }

    fn disk(self, data: &Path, jobs: usize) -> anyhow::Result<Option<Disk>> {
        let megabytes = 48 + jobs * 8;
        match self.fault {
            Fault::FullDisk => Disk::mount(data, megabytes).map(Some),
            Fault::ReadOnlyDisk => Disk::mount(&data.join("files"), megabytes).map(Some),
            _ => Ok(None),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.fault, self.point)
    }
}

/// Keeps the service running through its faults.
struct ServerKeeper {
    cell: Cell,
    recipe: Recipe,
    server: Server,
    disk: Option<Disk>,
    struck: usize,
    random: StdRng,
}

impl ServerKeeper {
    async fn keep_running(&mut self, over: &CancellationToken) -> anyhow::Result<()> {
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
                    let address = self.server.address.clone();
                    self.server = Server::start(&self.recipe, &address).await?;
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

    /// What happens while it sleeps, and after.
    async fn suspended(&mut self) -> anyhow::Result<()> {
        let lease = Duration::from_millis(LEASE_MS);
        let while_it_lasts = Duration::from_millis(self.random.random_range(50..900));
        match (self.cell.fault, &self.disk) {
            (Fault::FullDisk, Some(disk)) => {
                disk.fill()?;
                self.server.resume()?;
                self.live_on(while_it_lasts).await?;
                self.disk_of()?.empty()
            }
            (Fault::ReadOnlyDisk, Some(_)) => {
                self.make_read_only().await?;
                self.server.resume()?;
                self.live_on(while_it_lasts).await?;
                self.disk_of()?.make_writable()
            }
            _ => {
                tokio::time::sleep(lease.mul_f64(1.2) + while_it_lasts).await;
                self.server.resume()
            }
        }
    }

    /// A disk cannot be made read-only while a file is open for writing: then the service runs for a
    /// moment longer.
    async fn make_read_only(&mut self) -> anyhow::Result<()> {
        for _ in 0..200 {
            let Err(_busy) = self.disk_of()?.make_read_only() else {
                return Ok(());
            };
            self.server.resume()?;
            tokio::time::sleep(GLANCE).await;
        }
        bail!("the disk is always being written")
    }

    /// Lets the service run for a while on its failing disk. Other jobs may be struck meanwhile.
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

    fn disk_of(&self) -> anyhow::Result<&Disk> {
        self.disk.as_ref().context("its disk")
    }
}

/// Users with photos.
struct Crowd {
    users: Vec<(Client, Vec<Upload>)>,
}

struct Upload {
    photo_id: PhotoId,
    expected_failure: Option<String>,
}

impl Crowd {
    /// Makes accounts and uploads a photo for every job. The first is always a good one.
    async fn gather(url: &str, scene: &Scene, random: &mut StdRng) -> anyhow::Result<Self> {
        let patience = Patience {
            first_wait: Duration::from_millis(20),
            longest_wait: Duration::from_millis(300),
            give_up_after: Duration::from_secs(120),
        };
        let mut users = Vec::new();
        for number in 0..USERS {
            let keeper = std::sync::Arc::new(irisflow_client::InMemory::default());
            let client = Client::with(url, keeper, patience)?;
            let email = format!("user{number}@example.com");
            client.register(&email, PASSWORD).await?;
            client.sign_in(&email, PASSWORD).await?;
            users.push((client, Vec::new()));
        }
        for job in 0..scene.repetitions {
            let good = job == 0 || random.random_bool(0.85);
            let name = if good {
                GOOD_EYES[random.random_range(0..GOOD_EYES.len())]
            } else {
                NO_EYE
            };
            let (client, uploads) = &mut users[job % USERS];
            let photo = std::fs::read(scene.photos.join(name)).context(name)?;
            let photo = client.upload(photo.into(), |_| {}).await?;
            uploads.push(Upload {
                photo_id: photo.id,
                expected_failure: (!good).then(|| "no_iris_found".to_owned()),
            });
        }
        Ok(Self { users })
    }

    /// Everybody submits at once; every job is watched to its end.
    async fn submit_and_watch(&self, repetitions: usize) -> anyhow::Result<Vec<Watched>> {
        let patience = Duration::from_secs(60 + 6 * repetitions as u64);
        let mut watchers = JoinSet::new();
        for (client, uploads) in &self.users {
            let photo_ids: Vec<PhotoId> = uploads
                .iter()
                .map(|upload| upload.photo_id.clone())
                .collect();
            let mut batches = std::pin::pin!(client.submit_batches(&photo_ids));
            while let Some(batch) = batches.next().await {
                for job in batch.context("submitting")?.jobs {
                    let upload = uploads
                        .iter()
                        .find(|upload| upload.photo_id == job.photo_id);
                    let expected = upload.and_then(|upload| upload.expected_failure.clone());
                    watchers.spawn(watch(client.clone(), job.job_id, expected, patience));
                }
            }
        }
        Ok(watchers.join_all().await)
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
