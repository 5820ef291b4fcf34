//! Submitting photos and asking how jobs stand.

use futures_util::{Stream, StreamExt as _, stream};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::Client;
use crate::error::ClientError;
use crate::ids::{BatchId, JobId, PhotoId};
use crate::watch::MissedLimit;

/// The most photos that servers take in one batch, unless set otherwise.
pub const BATCH_LIMIT: usize = 10;

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Pending,
    Processing,
    Completed,
    Failed,
    Cancelled,
    /// Something that this client does not know yet.
    #[serde(other)]
    Unknown,
}

impl Status {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Pending | Self::Processing | Self::Unknown => false,
        }
    }
}

/// A job, as submitting answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Job {
    pub job_id: JobId,
    pub photo_id: PhotoId,
    pub status: Status,
}

/// A job with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct JobStatus {
    pub job_id: JobId,
    pub photo_id: PhotoId,
    pub status: Status,
    /// What a person reads, as in "Finding your iris...".
    pub step: String,
    /// Per cent.
    pub progress: u8,
    /// Restarts after an error or a lost worker.
    pub attempt_count: u32,
    /// `quality_issue` (the person can act), `transient_error` or `server_error`.
    pub error_type: Option<String>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub suggestion: Option<String>,
    /// The number behind a `quality_issue`.
    #[serde(default)]
    pub error_measured: Option<MissedLimit>,
    /// Links end after a while; ask again for new ones.
    pub result_url: Option<String>,
    pub mask_url: Option<String>,
    pub before_url: Option<String>,
    pub processing_time_ms: Option<u64>,
    pub result_width: Option<u32>,
    pub result_height: Option<u32>,
    /// The numbers that say how usable the iris was.
    pub quality: Option<Value>,
    /// 0 to 100.
    pub quality_score: Option<u8>,
    /// The same in words, as in "A good photo."
    #[serde(default)]
    pub quality_message: Option<String>,
}

/// What became of photos that were submitted together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Batch {
    pub batch_id: BatchId,
    /// In the order of the photos.
    pub jobs: Vec<Job>,
    pub skipped: Vec<Skipped>,
}

/// A photo that was not taken into a batch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Skipped {
    pub photo_id: PhotoId,
    /// As in `not_found`.
    pub reason: String,
}

impl Client {
    /// Submits one photo, ahead of batches.
    ///
    /// # Errors
    /// As the server refuses.
    pub async fn submit(&self, photo_id: &PhotoId) -> Result<Job, ClientError> {
        let body = json!({ "photo_id": photo_id });
        self.submit_once("processing/submit", &body).await
    }

    /// Submits photos in as many batches as the server's limit makes necessary, one item each. What was
    /// submitted stays submitted when a later batch is refused.
    pub fn submit_batches(
        &self,
        photos: &[PhotoId],
    ) -> impl Stream<Item = Result<Batch, ClientError>> {
        stream::iter(photos.chunks(BATCH_LIMIT)).then(async |photo_ids| {
            let body = json!({ "photo_ids": photo_ids });
            self.submit_once("processing/batch", &body).await
        })
    }

    /// How a job stands, with fresh links.
    ///
    /// # Errors
    /// `not_found` for a job of somebody else or none.
    pub async fn job(&self, job_id: &JobId) -> Result<JobStatus, ClientError> {
        let route = format!("processing/jobs/{job_id}");
        self.call(|client| client.api(Method::GET, &route)).await
    }

    /// Cancels a job; one that has ended stays as it is. The answer says how it stands now: one that is
    /// being worked on may end a moment later.
    ///
    /// # Errors
    /// `not_found` for a job of somebody else or none.
    pub async fn cancel(&self, job_id: &JobId) -> Result<JobStatus, ClientError> {
        let route = format!("processing/jobs/{job_id}/cancel");
        self.call(|client| client.api(Method::POST, &route)).await
    }

    /// The key lets the server tell a repeated call from a new one.
    async fn submit_once<T: serde::de::DeserializeOwned>(
        &self,
        route: &str,
        body: &Value,
    ) -> Result<T, ClientError> {
        let key = Uuid::new_v4().to_string();
        self.call(|client| {
            client
                .api(Method::POST, route)
                .header("Idempotency-Key", &key)
                .json(body)
        })
        .await
    }
}
