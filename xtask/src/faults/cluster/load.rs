//! A steady load: one account, signed in on every node of the API, submits real photos on all of them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use irisflow_client::{
    Client, InMemoryTokenStore, JobId, PhotoId, PictureOptions, PictureSize, RetryPolicy,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::nodes::Cluster;
use crate::faults::test_users::{GOOD_EYES, NO_EYE, PASSWORD};

pub(super) struct Account {
    pub(super) email: String,
    /// One per node of the API, each with its own session.
    pub(super) clients: Vec<Client>,
    photos: Vec<Photo>,
}

#[derive(Clone)]
struct Photo {
    id: PhotoId,
    expected_failure: Option<String>,
}

pub(super) struct SubmittedJob {
    pub(super) id: JobId,
    pub(super) at: Instant,
    /// The error code of a photo that cannot be used, with which its job fails in any case.
    pub(super) expected_failure: Option<String>,
}

/// Of the load, while it runs.
pub(super) struct Load {
    tasks: JoinSet<anyhow::Result<Vec<SubmittedJob>>>,
    stop: CancellationToken,
}

const RETRY_POLICY: RetryPolicy = RetryPolicy {
    first_wait: Duration::from_millis(20),
    longest_wait: Duration::from_millis(300),
    give_up_after: Duration::from_secs(120),
};
/// Between two jobs on one node, at random.
const PAUSE_MS: std::ops::Range<u64> = 1_200..3_600;

impl Account {
    pub(super) async fn create(
        cluster: &Cluster,
        photos: &Path,
        name: &str,
    ) -> anyhow::Result<Self> {
        let email = format!("{name}@example.com");
        let mut clients = Vec::new();
        for node in &cluster.api_nodes {
            let token_store = Arc::new(InMemoryTokenStore::default());
            let client = Client::with(&node.url(), token_store, RETRY_POLICY)?;
            if clients.is_empty() {
                client.register(&email, PASSWORD).await?;
            }
            client.sign_in(&email, PASSWORD).await?;
            clients.push(client);
        }
        let mut account = Self {
            email,
            clients,
            photos: Vec::new(),
        };
        for name in [GOOD_EYES[0], GOOD_EYES[1], NO_EYE] {
            let photo = std::fs::read(photos.join(name)).context(name)?;
            let uploaded = account.clients[0].upload(photo.into(), |_| {}).await?;
            account.photos.push(Photo {
                id: uploaded.id,
                expected_failure: (name == NO_EYE).then(|| "no_iris_found".to_owned()),
            });
        }
        Ok(account)
    }

    /// Submits on every node until [`Load::stop`].
    pub(super) fn start_load(&self, random: &mut StdRng) -> Load {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for client in &self.clients {
            let random = StdRng::from_rng(random);
            tasks.spawn(submit_until(
                stop.clone(),
                client.clone(),
                self.photos.clone(),
                random,
            ));
        }
        Load { tasks, stop }
    }
}

impl Load {
    /// Stops it, and returns all jobs that were submitted.
    pub(super) async fn stop(mut self) -> anyhow::Result<Vec<SubmittedJob>> {
        self.stop.cancel();
        let mut jobs = Vec::new();
        while let Some(of_node) = self.tasks.join_next().await {
            jobs.extend(of_node.context("the load")??);
        }
        Ok(jobs)
    }
}

async fn submit_until(
    stop: CancellationToken,
    client: Client,
    photos: Vec<Photo>,
    mut random: StdRng,
) -> anyhow::Result<Vec<SubmittedJob>> {
    let options = PictureOptions {
        size: Some(PictureSize::Pixels(1024)),
        ..PictureOptions::default()
    };
    let mut jobs = Vec::new();
    loop {
        let photo = &photos[random.random_range(0..photos.len())];
        let job = client.submit(&photo.id, options).await;
        jobs.push(SubmittedJob {
            id: job.context("submitting")?.job_id,
            at: Instant::now(),
            expected_failure: photo.expected_failure.clone(),
        });
        let pause = Duration::from_millis(random.random_range(PAUSE_MS));
        if stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_none()
        {
            return Ok(jobs);
        }
    }
}
