//! Downloading a result into a file.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt as _;

use crate::client::{Client, send};
use crate::error::ClientError;

/// A connection that brings nothing for this long is dead.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

impl Client {
    /// Downloads what a link of a job leads to. Nobody ever sees half a file: it is written beside
    /// `target` and renamed.
    ///
    /// # Errors
    /// When the link has ended, or the file cannot be written.
    pub async fn download(&self, link: &str, target: &Path) -> Result<(), ClientError> {
        let partial = beside(target);
        let mut backoff = self.backoff();
        loop {
            let Err(error) = self.download_once(link, &partial, target).await else {
                return Ok(());
            };
            // Best effort: the error that is told is the one that made the file useless.
            let _ = fs::remove_file(&partial).await;
            let Some(wait) = backoff.after(&error) else {
                return Err(error);
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn download_once(
        &self,
        link: &str,
        partial: &Path,
        target: &Path,
    ) -> Result<(), ClientError> {
        let answer = tokio::time::timeout(LONGEST_SILENCE, send(self.at_link(Method::GET, link)));
        let mut response = answer.await.map_err(|_| silent())??;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| ClientError::File { path, source }
        };
        let mut file = File::create(partial).await.map_err(failed(partial))?;
        // A body that breaks off before its announced length is an error of the connection.
        while let Some(piece) = tokio::time::timeout(LONGEST_SILENCE, response.chunk())
            .await
            .map_err(|_| silent())??
        {
            file.write_all(&piece).await.map_err(failed(partial))?;
        }
        file.sync_all().await.map_err(failed(partial))?;
        fs::rename(partial, target).await.map_err(failed(target))
    }
}

fn silent() -> ClientError {
    ClientError::Unreachable("the server fell silent".to_owned())
}

fn beside(target: &Path) -> PathBuf {
    let mut partial = target.as_os_str().to_owned();
    partial.push(format!(".{}.part", std::process::id()));
    PathBuf::from(partial)
}
