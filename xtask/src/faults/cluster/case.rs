//! One injection of one fault: an account with watchers on every node, a steady load, the fault, and the comparison of
//! rows, objects and received events.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::cluster_counts::ClusterCounts;
use super::cluster_fault::ClusterFault;
use super::injection::inject;
use super::load::{Account, SubmittedJob};
use super::nodes::Cluster;
use super::timeline_watcher::TimelineWatcher;

#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) fault: ClusterFault,
    /// Which of several injections of it, from 1.
    pub(super) round: usize,
}

/// The load before the fault, at random.
const BEFORE_MS: std::ops::Range<u64> = 1_500..4_000;
/// The load after the fault.
const AFTER: Duration = Duration::from_secs(3);
/// From the end of the last job until its watchers have received that, at most.
const WATCHERS_LIMIT: Duration = Duration::from_secs(30);

impl Case {
    /// Runs it and counts the outcomes; prints what was done.
    pub(super) async fn run(
        self,
        cluster: &mut Cluster,
        photos: &Path,
        seed: u64,
    ) -> anyhow::Result<ClusterCounts> {
        let mut random = self.random(seed);
        let name = format!("{}_{}", self.fault, self.round);
        let account = Account::create(cluster, photos, &name).await?;
        let watchers = join_all(account.clients.iter().cloned().map(TimelineWatcher::attach)).await;
        let load = account.start_load(&mut random);
        let before = Duration::from_millis(random.random_range(BEFORE_MS));
        tokio::time::sleep(before).await;
        let injected = inject(self.fault, cluster, &mut random).await?;
        let end = Instant::now();
        println!("{self}: after {before:.1?}, {injected}");
        tokio::time::sleep(AFTER).await;
        let jobs = load.stop().await?;

        cluster.servers.until_all_ended().await?;
        let counts = self
            .compare(cluster, &account, &watchers, &jobs, end)
            .await?;
        cluster.check()?;
        Ok(counts)
    }

    async fn compare(
        self,
        cluster: &Cluster,
        account: &Account,
        watchers: &[TimelineWatcher],
        jobs: &[SubmittedJob],
        end: Instant,
    ) -> anyhow::Result<ClusterCounts> {
        let servers = &cluster.servers;
        let user = servers.user(&account.email).await?;
        let positions = servers.positions(user).await?;
        until_received(watchers, positions.last().copied().unwrap_or_default()).await?;
        let left_over = cluster.until_swept().await?;
        for name in &left_over {
            println!("{self}: left over: {name}");
        }
        let recorded = servers.recorded(Some(user)).await?;
        let stored = cluster.stored_objects()?;
        let watched: Vec<_> = jobs.iter().map(|job| watchers[0].watched(job)).collect();
        let mut outcome = recorded.count_outcomes(&watched, &stored, self.fault.tolerated());
        outcome.left_over = left_over.len();
        outcome.injected = 1;
        let times = |time: &dyn Fn(&TimelineWatcher) -> Duration| watchers.iter().map(time).max();
        Ok(ClusterCounts {
            outcome,
            missed: watchers
                .iter()
                .map(|watcher| watcher.missed(&positions))
                .sum(),
            longest_gap: times(&TimelineWatcher::longest_gap).unwrap_or_default(),
            time_to_recover: times(&|watcher| watcher.time_to_recover(end, jobs))
                .unwrap_or_default(),
        })
    }

    /// Each case has its own random generator, so that it can be reproduced alone.
    fn random(self, seed: u64) -> StdRng {
        let mut hasher = DefaultHasher::new();
        (seed, self.to_string()).hash(&mut hasher);
        StdRng::seed_from_u64(hasher.finish())
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.fault, self.round)
    }
}

/// Waits until all watchers have received the event at `position`; later they are counted as having missed it.
async fn until_received(watchers: &[TimelineWatcher], position: i64) -> anyhow::Result<()> {
    let begun = Instant::now();
    while watchers.iter().any(|watcher| watcher.position() < position) {
        if let Some(error) = watchers.iter().find_map(TimelineWatcher::error) {
            bail!("a watcher ended with an error: {error}");
        }
        if begun.elapsed() > WATCHERS_LIMIT {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
