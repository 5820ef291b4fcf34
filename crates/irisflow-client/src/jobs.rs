//! Submitting photos as jobs, reading the status of a job, and cancelling it.

use futures_util::{Stream, StreamExt as _, stream};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::Client;
use crate::error::ClientError;
use crate::ids::{BatchId, JobId, PhotoId};
use crate::watch::MissedLimit;

/// Photos per batch: the default limit of a server.
pub const BATCH_LIMIT: usize = 10;

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Pending,
    Processing,
    Completed,
    Failed,
    Cancelled,
    /// A state added by a later version of the server.
    #[serde(other)]
    Unknown,
}

impl Status {
    /// Whether the job has ended.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Pending | Self::Processing | Self::Unknown => false,
        }
    }
}

/// How a picture is to be made. What is `None` follows the defaults of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PictureOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outline: Option<Outline>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<PictureSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<Background>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
}

/// What of the iris a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outline {
    /// A full disc: what lids hide is completed from the texture of the same iris.
    Round,
    /// What the photo shows.
    Visible,
}

/// Width and height of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureSize {
    /// 1024 to 4096.
    Pixels(u32),
    /// As many as the photo has of the iris, within the same limits.
    Auto,
}

impl Serialize for PictureSize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Pixels(pixels) => serializer.serialize_u32(*pixels),
            Self::Auto => serializer.serialize_str("auto"),
        }
    }
}

/// What surrounds the iris.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Background {
    Black,
    White,
    /// Nothing: the picture is a PNG.
    Transparent,
    /// The photo itself.
    Photo,
}

/// How much is made of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The person's own colours and light.
    Natural,
    /// More contrast and colour.
    Vivid,
}

/// A picture with the other outline than the result.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Alternative {
    pub outline: Outline,
    pub result_url: String,
    pub mask_url: String,
}

/// A job as returned by a submit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Job {
    pub job_id: JobId,
    pub photo_id: PhotoId,
    pub status: Status,
}

/// The full status of a job.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct JobStatus {
    pub job_id: JobId,
    pub photo_id: PhotoId,
    pub status: Status,
    /// A text to show to the user, such as "Finding your iris...".
    pub step: String,
    /// In per cent.
    pub progress: u8,
    /// Restarts after an error or a lost worker.
    pub attempt_count: u32,
    /// `quality_issue` (the user can act), `transient_error` or `server_error`.
    pub error_type: Option<String>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub suggestion: Option<String>,
    /// The measured value behind a `quality_issue`.
    #[serde(default)]
    pub error_measured: Option<MissedLimit>,
    /// Presigned; it expires, and [`Client::job`] returns a fresh one.
    pub result_url: Option<String>,
    pub mask_url: Option<String>,
    pub before_url: Option<String>,
    /// What of the iris the result shows.
    #[serde(default)]
    pub outline: Option<Outline>,
    /// Where both outlines can be made and none was asked for.
    #[serde(default)]
    pub alternative: Option<Alternative>,
    #[serde(default)]
    pub previews: Vec<Preview>,
    pub processing_time_ms: Option<u64>,
    pub result_width: Option<u32>,
    pub result_height: Option<u32>,
    /// The measured quality figures of the iris.
    pub quality: Option<Value>,
    /// 0 to 100.
    pub quality_score: Option<u8>,
    /// The score as a sentence, such as "A good photo."
    #[serde(default)]
    pub quality_message: Option<String>,
}

/// A small picture of a job's work in progress: JPEG, up to 512 pixels on the longer side.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Preview {
    /// `outline`, `light` or `result`.
    pub kind: String,
    /// Presigned; it expires, and each frame and [`Client::job`] have a fresh one.
    pub url: String,
    pub width: u32,
    pub height: u32,
}

/// The result of submitting several photos together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Batch {
    pub batch_id: BatchId,
    /// In the order of the photos.
    pub jobs: Vec<Job>,
    pub skipped: Vec<Skipped>,
}

/// A photo for which a batch contains no job.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Skipped {
    pub photo_id: PhotoId,
    /// A stable code, such as `not_found`.
    pub reason: String,
}

impl Client {
    /// Submits one photo. Its job has precedence over jobs of batches.
    ///
    /// # Errors
    /// When the server rejects it.
    pub async fn submit(
        &self,
        photo_id: &PhotoId,
        options: PictureOptions,
    ) -> Result<Job, ClientError> {
        let body = json!({ "photo_id": photo_id, "options": options });
        self.submit_idempotently("processing/submit", &body).await
    }

    /// Submits photos in batches of [`BATCH_LIMIT`]; the stream yields one item per batch. Earlier
    /// batches stay submitted when a later one is rejected.
    pub fn submit_batches(
        &self,
        photos: &[PhotoId],
        options: PictureOptions,
    ) -> impl Stream<Item = Result<Batch, ClientError>> {
        stream::iter(photos.chunks(BATCH_LIMIT)).then(move |photo_ids| async move {
            let body = json!({ "photo_ids": photo_ids, "options": options });
            self.submit_idempotently("processing/batch", &body).await
        })
    }

    /// The status of a job, with fresh presigned URLs.
    ///
    /// # Errors
    /// `not_found` when there is no such job, or it belongs to another user.
    pub async fn job(&self, job_id: &JobId) -> Result<JobStatus, ClientError> {
        let route = format!("processing/jobs/{job_id}");
        self.call(|client| client.api(Method::GET, &route)).await
    }

    /// Cancels a job; a job that has ended stays unchanged. Returns the present status: a running job
    /// may reach its final state a moment later.
    ///
    /// # Errors
    /// `not_found` when there is no such job, or it belongs to another user.
    pub async fn cancel(&self, job_id: &JobId) -> Result<JobStatus, ClientError> {
        let route = format!("processing/jobs/{job_id}/cancel");
        self.call(|client| client.api(Method::POST, &route)).await
    }

    /// Posts with an idempotency key, by which the server recognises a retry.
    async fn submit_idempotently<T: serde::de::DeserializeOwned>(
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
