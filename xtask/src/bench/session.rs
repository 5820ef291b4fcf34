//! A signed-in API client for benchmarks: upload, submit, watch.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

#[derive(Debug)]
pub(super) struct Session {
    url: String,
    token: String,
    client: reqwest::Client,
}

impl Session {
    pub(super) async fn start(url: &str) -> anyhow::Result<Self> {
        let client = reqwest::Client::new();
        let account = json!({ "email": "bench@example.com", "password": "Clear-Iris-7" });
        let base = format!("{url}/api/v1/auth");
        client
            .post(format!("{base}/register"))
            .json(&account)
            .send()
            .await?
            .error_for_status()?;
        let tokens: Value = client
            .post(format!("{base}/login/json"))
            .json(&account)
            .send()
            .await?
            .json()
            .await?;
        let token = tokens["access_token"]
            .as_str()
            .context("a token")?
            .to_owned();
        Ok(Self {
            url: url.to_owned(),
            token,
            client,
        })
    }

    pub(super) async fn upload(&self, photo: Vec<u8>) -> anyhow::Result<String> {
        let request = self.client.post(format!("{}/api/v1/photos", self.url));
        let request = request
            .bearer_auth(&self.token)
            .header("Content-Type", "image/jpeg");
        let photo: Value = request
            .body(photo)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        Ok(photo["id"].as_str().context("an id")?.to_owned())
    }

    /// Submits a photo and waits for the final frame. Returns the time from submit to final frame, and the
    /// worker's own processing time.
    pub(super) async fn submit_and_watch(
        &self,
        photo_id: &str,
    ) -> anyhow::Result<(Duration, Duration)> {
        let begun = Instant::now();
        let job_id = self.submit(photo_id).await?;
        let mut stream = self.watch(&job_id).await?;
        while let Some(message) = stream.next().await {
            let Message::Text(text) = message? else {
                continue;
            };
            let frame: Value = serde_json::from_str(&text)?;
            if frame["status"] == "completed" {
                let worked = frame["processing_time_ms"].as_u64().context("its time")?;
                return Ok((begun.elapsed(), Duration::from_millis(worked)));
            }
            if frame["status"] == "failed" {
                bail!("the job failed: {frame}");
            }
        }
        bail!("the socket ended before the job")
    }

    /// Submits a photo; returns the job's id.
    pub(super) async fn submit(&self, photo_id: &str) -> anyhow::Result<String> {
        let url = format!("{}/api/v1/processing/submit", self.url);
        let request = self.client.post(url).bearer_auth(&self.token);
        let request = request.json(&json!({ "photo_id": photo_id }));
        let job: Value = request.send().await?.error_for_status()?.json().await?;
        Ok(job["job_id"].as_str().context("an id")?.to_owned())
    }

    pub(super) async fn watch(
        &self,
        job_id: &str,
    ) -> anyhow::Result<WebSocketStream<MaybeTlsStream<TcpStream>>> {
        let socket = self.url.replace("http://", "ws://");
        let socket = format!("{socket}/ws/jobs/{job_id}?token={}", self.token);
        let (stream, _) = tokio_tungstenite::connect_async(socket).await?;
        Ok(stream)
    }
}
