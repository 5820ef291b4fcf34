//! Clients that hang up: every kind of request that changes something is sent, and its connection closed
//! at a moment before, during or after the commit, where the server pauses. Afterwards the client asks
//! what has become of it; at the end database and storage must agree.

mod kinds;
mod request;
mod verdict;
mod visitor;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::cell::{Cell, Scene};
use super::crowd::GOOD_EYES;
use super::fault::Point;
use super::server::Server;
use super::tally::Tally;
use kinds::{Kind, Prepared};
use request::Closing;
use verdict::Verdict;
use visitor::{Account, World};

/// How long links for uploads work, and how long an upload may take: short, so that what was uploaded and
/// never confirmed is swept within the run.
const UPLOAD_MS: u64 = 6_000;

pub(super) async fn play(cell: Cell, scene: &Scene, folder: &Path) -> anyhow::Result<Tally> {
    let mut recipe = cell.recipe(scene, folder);
    recipe.settings.extend([
        ("IRISFLOW_UPLOAD_URL_MS", UPLOAD_MS.to_string()),
        ("IRISFLOW_UPLOAD_LIMIT_MS", UPLOAD_MS.to_string()),
        // Each request comes from an address of its own, so that no limit on one is met.
        ("IRISFLOW_TRUSTED_PROXIES", "1".to_owned()),
    ]);
    let server = Server::start(&recipe, "127.0.0.1:0").await?;
    let photo = std::fs::read(scene.photos.join(GOOD_EYES[0])).context("a photo")?;
    let world = World::new(&server.address, &recipe.data, photo)?;
    let mut run = Run {
        random: cell.random(scene.seed),
        world,
        unanswered: 0,
        asleep: 0,
        broken: Vec::new(),
    };
    let kinds = kinds_at(cell.point, scene);
    for _ in 0..scene.repetitions.div_ceil(3) {
        run.round(&kinds).await?;
    }
    verdict::settle(&recipe.data, Duration::from_millis(UPLOAD_MS * 2)).await?;
    server.end().await?;
    let verdict = Verdict::read(&recipe.data).await?;
    Ok(run.tally(&verdict))
}

/// All; in small runs each at one of the three points, chosen by the seed.
fn kinds_at(point: Point, scene: &Scene) -> Vec<Kind> {
    let third = match point {
        Point::BeforeCommit => 0,
        Point::DuringCommit => 1,
        _ => 2,
    };
    let numbered = (scene.seed % 3..).zip(Kind::ALL);
    let is_small = scene.repetitions < SMALL;
    numbered
        .filter(|(number, _)| !is_small || number % 3 == third)
        .map(|(_, kind)| kind)
        .collect()
}

/// With fewer repetitions a run is small.
const SMALL: usize = 10;

struct Run {
    world: World,
    random: StdRng,
    unanswered: usize,
    /// Jobs that were queued and not claimed although nothing else ran.
    asleep: usize,
    /// What was found half done.
    broken: Vec<String>,
}

/// Far above what waking a worker takes, and well below the interval in which workers look by themselves.
const WOKEN_WITHIN: Duration = Duration::from_millis(1_000);

impl Run {
    async fn round(&mut self, kinds: &[Kind]) -> anyhow::Result<()> {
        let account = self.world.account().await?;
        for &kind in kinds {
            let took = self.once_to_the_end(kind, &account).await?;
            self.hang_up(kind, &account, took).await?;
        }
        Ok(())
    }

    /// How long it takes when nobody hangs up.
    async fn once_to_the_end(&mut self, kind: Kind, account: &Account) -> anyhow::Result<Duration> {
        let prepared = kind.prepare(&mut self.world, account).await?;
        let begun = Instant::now();
        let answer = prepared.request.send(&self.world.address).await?;
        let took = begun.elapsed();
        anyhow::ensure!((200..300).contains(&answer), "{kind:?}: answered {answer}");
        self.world.until_idle().await?;
        Ok(took)
    }

    async fn hang_up(
        &mut self,
        kind: Kind,
        account: &Account,
        took: Duration,
    ) -> anyhow::Result<()> {
        let prepared = kind.prepare(&mut self.world, account).await?;
        let closing = Closing {
            after: took.mul_f64(self.random.random_range(0.0..1.05)),
            body_share: if self.random.random_bool(0.1) {
                self.random.random_range(0.0..1.0)
            } else {
                1.0
            },
            by_reset: self.random.random(),
        };
        let answered = prepared
            .request
            .hang_up(&self.world.address, closing)
            .await?;
        if !answered {
            self.unanswered += 1;
        }
        if kind.queues_jobs() {
            self.check_awake(&prepared).await?;
        }
        let half_done = kind.ask_after(&mut self.world, &prepared).await;
        let said = |what: String| format!("{kind:?} hung up after {:?}: {what}", closing.after);
        match half_done.with_context(|| format!("{kind:?}: asking after a request")) {
            Ok(None) => {}
            Ok(Some(what)) => self.broken.push(said(what)),
            Err(error) => self.broken.push(said(format!("{error:#}"))),
        }
        self.world.until_idle().await
    }

    /// A job that was queued is begun, since no other runs.
    async fn check_awake(&mut self, prepared: &Prepared) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < WOKEN_WITHIN {
            tokio::time::sleep(Duration::from_millis(25)).await;
            if self.world.has_begun(&prepared.photo_id).await? {
                return Ok(());
            }
        }
        if self.world.is_queued(&prepared.photo_id).await? {
            self.asleep += 1;
            println!("hang_up: a queued job has woken no worker");
        }
        Ok(())
    }

    fn tally(self, verdict: &Verdict) -> Tally {
        for broken in self.broken.iter().chain(&verdict.broken) {
            println!("hang_up: {broken}");
        }
        let mut tally = verdict.tally(&self.world.submitted_once);
        tally.struck = self.unanswered;
        tally.lost += self.broken.len();
        tally.stuck += self.asleep;
        tally
    }
}
