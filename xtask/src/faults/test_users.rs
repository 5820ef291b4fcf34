//! Test users of a cell: they upload photos, submit them and watch every job.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use irisflow_client::{Client, InMemoryTokenStore, PhotoId, PictureOptions, RetryPolicy};
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::job_watcher::{WatchedJob, watch};
use super::matrix_cell::MatrixConfig;

pub(super) const GOOD_EYES: [&str; 2] = ["pixabay_eye_2154384.jpg", "pixabay_eye_3221498_gray.jpg"];
pub(super) const NO_EYE: &str = "mdn_teddy-bear.jpg";
const USERS: usize = 2;
pub(super) const PASSWORD: &str = "Clear-Iris-7";

/// Signed-in users with their uploaded photos.
pub(super) struct TestUsers {
    users: Vec<(Client, Vec<Upload>)>,
}

struct Upload {
    photo_id: PhotoId,
    expected_failure: Option<String>,
}

impl TestUsers {
    /// Registers the users and uploads a photo for every job. The first photo is always a usable one.
    pub(super) async fn create(
        url: &str,
        matrix: &MatrixConfig,
        jobs: usize,
        random: &mut StdRng,
    ) -> anyhow::Result<Self> {
        let retry_policy = RetryPolicy {
            first_wait: Duration::from_millis(20),
            longest_wait: Duration::from_millis(300),
            give_up_after: Duration::from_secs(120),
        };
        let mut users = Vec::new();
        for number in 0..USERS {
            let token_store = Arc::new(InMemoryTokenStore::default());
            let client = Client::with(url, token_store, retry_policy)?;
            let email = format!("user{number}@example.com");
            client.register(&email, PASSWORD).await?;
            client.sign_in(&email, PASSWORD).await?;
            users.push((client, Vec::new()));
        }
        for job in 0..jobs {
            let good = job == 0 || random.random_bool(0.85);
            let name = if good {
                GOOD_EYES[random.random_range(0..GOOD_EYES.len())]
            } else {
                NO_EYE
            };
            let (client, uploads) = &mut users[job % USERS];
            let photo = std::fs::read(matrix.photos.join(name)).context(name)?;
            let photo = client.upload(photo.into(), |_| {}).await?;
            uploads.push(Upload {
                photo_id: photo.id,
                expected_failure: (!good).then(|| "no_iris_found".to_owned()),
            });
        }
        Ok(Self { users })
    }

    /// Submits all photos, then cancels the token `submitted`; every job is watched until it ends.
    pub(super) async fn submit_and_watch(
        &self,
        submitted: &CancellationToken,
    ) -> anyhow::Result<Vec<WatchedJob>> {
        let jobs: usize = self.users.iter().map(|(_, uploads)| uploads.len()).sum();
        // Generous, because other work may keep the machine busy.
        let time_limit = Duration::from_secs(240 + 6 * jobs as u64);
        let mut watchers = JoinSet::new();
        for (client, uploads) in &self.users {
            let photo_ids: Vec<PhotoId> = uploads
                .iter()
                .map(|upload| upload.photo_id.clone())
                .collect();
            let mut batches =
                std::pin::pin!(client.submit_batches(&photo_ids, PictureOptions::default()));
            while let Some(batch) = batches.next().await {
                for job in batch.context("submitting")?.jobs {
                    let upload = uploads
                        .iter()
                        .find(|upload| upload.photo_id == job.photo_id);
                    let expected = upload.and_then(|upload| upload.expected_failure.clone());
                    watchers.spawn(watch(client.clone(), job.job_id, expected, time_limit));
                }
            }
        }
        submitted.cancel();
        Ok(watchers.join_all().await)
    }
}
