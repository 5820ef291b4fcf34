//! Downloading a result from its presigned URL into a file (atomic write, with retries).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt as _;

use crate::client::{Client, send};
use crate::error::ClientError;

/// Idle timeout: a connection that delivers no bytes for this long counts as lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

impl Client {
    /// Downloads the file behind a presigned URL of a job. The write is atomic: the bytes go to a
    /// temporary file beside `target`, which is flushed and renamed.
    ///
    /// # Errors
    /// When the URL has expired, or the file cannot be written.
    pub async fn download(&self, url: &str, target: &Path) -> Result<(), ClientError> {
        let partial = partial_path(target);
        let mut backoff = self.backoff();
        loop {
            let Err(error) = self.download_once(url, &partial, target).await else {
                return Ok(());
            };
            // Best effort: the download's own error is the one to report.
            let _ = fs::remove_file(&partial).await;
            let Some(wait) = backoff.after(&error) else {
                return Err(error);
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn download_once(
        &self,
        url: &str,
        partial: &Path,
        target: &Path,
    ) -> Result<(), ClientError> {
        let sending = tokio::time::timeout(IDLE_TIMEOUT, send(self.presigned(Method::GET, url)));
        let mut response = sending.await.map_err(|_| idle_timeout())??;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| ClientError::File { path, source }
        };
        let mut file = File::create(partial).await.map_err(failed(partial))?;
        // A body shorter than its Content-Length is a connection error.
        while let Some(chunk) = tokio::time::timeout(IDLE_TIMEOUT, response.chunk())
            .await
            .map_err(|_| idle_timeout())??
        {
            file.write_all(&chunk).await.map_err(failed(partial))?;
        }
        file.sync_all().await.map_err(failed(partial))?;
        fs::rename(partial, target).await.map_err(failed(target))
    }
}

fn idle_timeout() -> ClientError {
    ClientError::Unreachable("the server fell silent".to_owned())
}

fn partial_path(target: &Path) -> PathBuf {
    let mut partial = target.as_os_str().to_owned();
    partial.push(format!(".{}.part", std::process::id()));
    PathBuf::from(partial)
}
