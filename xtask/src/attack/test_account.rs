//! A test account with its own client address: API calls, uploads, jobs and WebSockets.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::raw_connection;

pub(super) const PASSWORD: &str = "Clear-Iris-7";
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) url: String,
    pub(super) email: String,
    pub(super) token: String,
    pub(super) from: Ipv4Addr,
    pub(super) client: Client,
}

/// A photo to be uploaded with a PUT to its presigned URL.
#[derive(Debug, Clone)]
pub(super) struct CreatedUpload {
    pub(super) photo_id: String,
    pub(super) upload_url: String,
}

pub(super) type Socket = WebSocketStream<TcpStream>;

/// A client that connects from this address.
pub(super) fn client_from(from: Ipv4Addr) -> anyhow::Result<Client> {
    let client = Client::builder()
        .local_address(IpAddr::V4(from))
        .timeout(ANSWER_LIMIT);
    client.build().context("a client")
}

impl Account {
    /// Registers and signs in. The client address depends on the name, so that no per-address limit
    /// applies.
    pub(super) async fn register(url: &str, name: &str) -> anyhow::Result<Self> {
        let number = name.bytes().fold(7_u16, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u16::from(byte))
        });
        let [high, low] = number.to_be_bytes();
        Self::register_from(url, name, Ipv4Addr::new(127, 5, high, low)).await
    }

    pub(super) async fn register_from(
        url: &str,
        name: &str,
        from: Ipv4Addr,
    ) -> anyhow::Result<Self> {
        let email = format!("{name}@example.com");
        let mut account = Self {
            url: url.to_owned(),
            email,
            token: String::new(),
            from,
            client: client_from(from)?,
        };
        let made = account
            .call(Method::POST, "/auth/register")
            .json(&account.credentials())
            .send()
            .await?;
        expect(made, StatusCode::CREATED).await?;
        account.sign_in().await?;
        Ok(account)
    }

    pub(super) fn credentials(&self) -> Value {
        json!({ "email": self.email, "password": PASSWORD })
    }

    pub(super) async fn sign_in(&mut self) -> anyhow::Result<()> {
        let answer = self.call(Method::POST, "/auth/login/json");
        let answer = answer.json(&self.credentials()).send().await?;
        let tokens = expect(answer, StatusCode::OK).await?;
        self.token = text(&tokens["access_token"])?;
        Ok(())
    }

    /// A request without a token.
    pub(super) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/api/v1{path}", self.url))
    }

    /// A request with the account's token.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.call(method, path).bearer_auth(&self.token)
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        expect(
            self.request(Method::GET, path).send().await?,
            StatusCode::OK,
        )
        .await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Response> {
        Ok(self.request(Method::POST, path).json(body).send().await?)
    }

    pub(super) async fn post_photo(&self, bytes: Vec<u8>) -> anyhow::Result<Response> {
        let request = self.request(Method::POST, "/photos");
        let request = request.header("Content-Type", "image/jpeg").body(bytes);
        Ok(request.send().await?)
    }

    /// Uploads a photo in one call; returns its id.
    pub(super) async fn upload(&self, bytes: Vec<u8>) -> anyhow::Result<String> {
        let photo = expect(self.post_photo(bytes).await?, StatusCode::CREATED).await?;
        text(&photo["id"])
    }

    pub(super) async fn create_upload(&self, content_type: &str) -> anyhow::Result<CreatedUpload> {
        let body = json!({ "content_type": content_type });
        let answer = self.post("/photos/upload", &body).await?;
        let upload = expect(answer, StatusCode::CREATED).await?;
        Ok(CreatedUpload {
            photo_id: text(&upload["photo_id"])?,
            upload_url: text(&upload["upload_url"])?,
        })
    }

    pub(super) async fn put(
        &self,
        upload: &CreatedUpload,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<StatusCode> {
        let request = self.client.put(&upload.upload_url);
        let request = request.header("Content-Type", content_type).body(body);
        Ok(request.send().await?.status())
    }

    pub(super) async fn confirm(&self, photo_id: &str) -> anyhow::Result<Response> {
        self.post(&format!("/photos/{photo_id}/confirm"), &json!({}))
            .await
    }

    /// Submits a photo; returns the response body.
    pub(super) async fn submit(&self, photo_id: &str) -> anyhow::Result<Value> {
        let answer = self
            .post("/processing/submit", &json!({ "photo_id": photo_id }))
            .await?;
        expect(answer, StatusCode::CREATED).await
    }

    /// Submits this number of jobs in batches of ten; returns their ids.
    pub(super) async fn submit_many(
        &self,
        photo: &[u8],
        jobs: usize,
    ) -> anyhow::Result<Vec<String>> {
        const BATCH: usize = 10;
        let mut photo_ids = Vec::new();
        for _ in 0..BATCH.min(jobs) {
            photo_ids.push(self.upload(photo.to_vec()).await?);
        }
        let mut job_ids = Vec::new();
        while job_ids.len() < jobs {
            let size = BATCH.min(jobs - job_ids.len());
            let body = json!({ "photo_ids": photo_ids[..size] });
            let answer = self.post("/processing/batch", &body).await?;
            let batch = expect(answer, StatusCode::CREATED).await?;
            let jobs = batch["jobs"].as_array().context("jobs")?;
            for job in jobs {
                job_ids.push(text(&job["job_id"])?);
            }
        }
        Ok(job_ids)
    }

    pub(super) async fn job(&self, job_id: &str) -> anyhow::Result<Value> {
        self.get(&format!("/processing/jobs/{job_id}")).await
    }

    /// The number of the account's jobs with this status.
    pub(super) async fn count(&self, status: &str) -> anyhow::Result<usize> {
        let page = format!("/processing/jobs?page_size=1&status={status}");
        let total = self.get(&page).await?["total"].as_u64();
        Ok(usize::try_from(total.context("a total")?)?)
    }

    /// All jobs of the account.
    pub(super) async fn jobs(&self) -> anyhow::Result<Vec<Value>> {
        let mut jobs = Vec::new();
        for page in 1.. {
            let listed = self
                .get(&format!("/processing/jobs?page_size=100&page={page}"))
                .await?;
            let items = listed["items"].as_array().context("items")?;
            if items.is_empty() {
                break;
            }
            jobs.extend(items.iter().cloned());
        }
        Ok(jobs)
    }

    /// Waits until all jobs have ended; `false` when that takes longer than `time_limit`.
    pub(super) async fn wait_until_idle(&self, time_limit: Duration) -> anyhow::Result<bool> {
        let begun = Instant::now();
        while begun.elapsed() < time_limit {
            if self.count("pending").await? + self.count("processing").await? == 0 {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(false)
    }

    /// Opens a WebSocket on a job, from the account's address.
    pub(super) async fn watch(&self, job_id: &str) -> anyhow::Result<Socket> {
        let address = self.url.split("://").nth(1).context("an address")?;
        let stream = raw_connection::connect_from(self.from, address.parse()?).await?;
        let path = format!("ws://{address}/ws/jobs/{job_id}?token={}", self.token);
        let opened = tokio_tungstenite::client_async(path, stream);
        let (socket, _) = tokio::time::timeout(ANSWER_LIMIT, opened)
            .await
            .context("a socket does not open")??;
        Ok(socket)
    }
}

/// Everything received on a WebSocket.
#[derive(Debug, Default)]
pub(super) struct SocketTranscript {
    pub(super) frames: Vec<Value>,
    pub(super) close_code: Option<u16>,
}

pub(super) async fn next_frame(socket: &mut Socket) -> anyhow::Result<Option<Value>> {
    while let Some(message) = socket.next().await {
        match message? {
            Message::Text(text) => return Ok(Some(serde_json::from_str(&text)?)),
            Message::Close(_) => return Ok(None),
            _ => {}
        }
    }
    Ok(None)
}

/// Collects everything until the close, for at most `time_limit`.
pub(super) async fn collect_frames(mut socket: Socket, time_limit: Duration) -> SocketTranscript {
    let mut transcript = SocketTranscript::default();
    let reading = async {
        while let Some(Ok(message)) = socket.next().await {
            match message {
                Message::Text(text) => {
                    transcript
                        .frames
                        .push(serde_json::from_str(&text).unwrap_or_default());
                }
                Message::Close(close) => {
                    transcript.close_code = close.map(|close| close.code.into());
                }
                _ => {}
            }
        }
    };
    let _ = tokio::time::timeout(time_limit, reading).await;
    transcript
}

/// The JSON body of a response; any other status is an error.
pub(super) async fn expect(answer: Response, status: StatusCode) -> anyhow::Result<Value> {
    let (got, path) = (answer.status(), answer.url().path().to_owned());
    let body = answer.text().await?;
    if got != status {
        bail!(
            "{path} answered {got}: {}",
            body.chars().take(200).collect::<String>()
        );
    }
    Ok(serde_json::from_str(&body).unwrap_or_default())
}

pub(super) fn text(value: &Value) -> anyhow::Result<String> {
    value.as_str().map(str::to_owned).context("a text")
}
