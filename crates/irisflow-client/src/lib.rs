//! HTTP and WebSocket client for the Irisflow API: sign in, upload, submit, watch, download. Calls are
//! retried through network failures and server restarts.
//!
//! ```no_run
//! use irisflow_client::{Client, PictureOptions, Update};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new("https://iris.example.com")?;
//! client.sign_in("you@example.com", "Clear-Iris-7").await?;
//! let photo = client.upload(std::fs::read("eye.jpg")?.into(), |_sent| {}).await?;
//! let job = client.submit(&photo.id, PictureOptions::default()).await?;
//! let mut watch = client.watch(&job.job_id);
//! while let Some(update) = watch.next().await {
//!     if let Update::Frame(frame) = update? {
//!         println!("{:3} % {}", frame.progress, frame.step);
//!     }
//! }
//! if let Some(url) = client.job(&job.job_id).await?.result_url {
//!     client.download(&url, "iris.jpg".as_ref()).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A call that fails because the server is unreachable, overloaded or asks to wait is retried with
//! exponential backoff and full jitter, for as long as [`RetryPolicy`] allows. A submit carries an
//! idempotency key, so that retrying it creates no second job. Access tokens are renewed before they
//! expire.

mod client;
mod download;
mod error;
mod ids;
mod jobs;
mod photos;
mod retry_policy;
mod session;
mod socket;
mod timeline;
mod watch;

pub use client::Client;
pub use error::{ApiError, ClientError};
pub use ids::{BatchId, JobId, PhotoId};
pub use jobs::{
    Alternative, BATCH_LIMIT, Background, Batch, Job, JobStatus, Outline, PictureOptions,
    PictureSize, Preset, Preview, Skipped, Status,
};
pub use photos::Photo;
pub use retry_policy::RetryPolicy;
pub use session::{InMemoryTokenStore, TokenStore};
pub use timeline::{EventKind, JobEstimate, JobEvent, Timeline, TimelineUpdate};
pub use watch::{Eta, Frame, MissedLimit, Update, Waiting, Watch};
