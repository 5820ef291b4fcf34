//! API client for the requests around a disconnect: preparing it, and checking its outcome.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rand::RngExt as _;
use serde_json::{Value, json};
use sqlx::SqlitePool;
use uuid::Uuid;

use crate::faults::recorded_state;
use crate::faults::test_users::PASSWORD;

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) email: String,
    pub(super) access: String,
    pub(super) refresh: String,
}

pub(super) struct ApiClient {
    pub(super) address: String,
    http: reqwest::Client,
    data: PathBuf,
    pub(super) photo: Vec<u8>,
    accounts: usize,
    /// Photos that were submitted once, possibly in several tries with one idempotency key.
    pub(super) submitted_once: Vec<String>,
}

/// Status and JSON body of a response.
pub(super) struct ApiResponse {
    pub(super) status: u16,
    pub(super) body: Value,
}

const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

impl ApiClient {
    pub(super) fn new(address: &str, data: &Path, photo: Vec<u8>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder();
        Ok(Self {
            address: address.to_owned(),
            http: http.timeout(Duration::from_secs(60)).build()?,
            data: data.to_owned(),
            photo,
            accounts: 0,
            submitted_once: Vec::new(),
        })
    }

    pub(super) fn new_email(&mut self) -> String {
        self.accounts += 1;
        format!("visitor{}@example.com", self.accounts)
    }

    /// A new account, signed in.
    pub(super) async fn account(&mut self) -> anyhow::Result<Account> {
        let email = self.new_email();
        let credentials = json!({"email": email, "password": PASSWORD});
        self.call_ok("POST", "/auth/register", None, &credentials)
            .await?;
        self.sign_in(&email, PASSWORD)
            .await?
            .context("a new account cannot sign in")
    }

    /// `None` when the password is rejected.
    pub(super) async fn sign_in(
        &self,
        email: &str,
        password: &str,
    ) -> anyhow::Result<Option<Account>> {
        let credentials = json!({"email": email, "password": password});
        let response = self
            .call("POST", "/auth/login/json", None, &credentials)
            .await?;
        match response.status {
            200 => Ok(Some(Account {
                email: email.to_owned(),
                access: response.text("access_token")?,
                refresh: response.text("refresh_token")?,
            })),
            401 => Ok(None),
            status => bail!("signing in: {status} {}", response.body),
        }
    }

    /// Uploads a photo in one call; returns its id.
    pub(super) async fn photo(&self, account: &Account) -> anyhow::Result<String> {
        let request = self
            .request("POST", "/photos", Some(&account.access))
            .header("Content-Type", "image/jpeg")
            .body(self.photo.clone());
        let response = ApiResponse::of(request.send().await?).await?;
        anyhow::ensure!(
            response.status == 201,
            "uploading: {} {}",
            response.status,
            response.body
        );
        response.text("id")
    }

    /// Creates an upload; returns the photo's id and the path of the presigned URL.
    pub(super) async fn create_upload(
        &self,
        account: &Account,
    ) -> anyhow::Result<(String, String)> {
        let response = self
            .call_ok("POST", "/photos/upload", Some(&account.access), &json!({}))
            .await?;
        let url = response.text("upload_url")?;
        let path = url.split_once("/api/").context("a signed URL")?.1;
        Ok((response.text("photo_id")?, format!("/api/{path}")))
    }

    pub(super) async fn put(&self, path: &str) -> anyhow::Result<u16> {
        let request = self
            .http
            .put(format!("http://{}{path}", self.address))
            .header("Content-Type", "image/jpeg")
            .body(self.photo.clone());
        Ok(request.send().await?.status().as_u16())
    }

    pub(super) async fn submit(&self, account: &Account, photo_id: &str) -> anyhow::Result<String> {
        let body = json!({"photo_id": photo_id});
        let response = self
            .call_ok("POST", "/processing/submit", Some(&account.access), &body)
            .await?;
        response.text("job_id")
    }

    /// Makes a call; any status is accepted.
    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> anyhow::Result<ApiResponse> {
        let request = self.request(method, path, token);
        let request = if body.is_null() {
            request
        } else {
            request.json(body)
        };
        ApiResponse::of(request.send().await?).await
    }

    /// Makes a call; a status other than 2xx is an error.
    pub(super) async fn call_ok(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> anyhow::Result<ApiResponse> {
        let response = self.call(method, path, token, body).await?;
        if !(200..300).contains(&response.status) {
            bail!("{method} {path}: {} {}", response.status, response.body);
        }
        Ok(response)
    }

    fn request(&self, method: &str, path: &str, token: Option<&str>) -> reqwest::RequestBuilder {
        let from: [u8; 3] = rand::rng().random();
        let method = method.parse().unwrap_or(reqwest::Method::GET);
        let request = self
            .http
            .request(method, format!("http://{}/api/v1{path}", self.address))
            .header(
                "X-Forwarded-For",
                format!("10.{}.{}.{}", from[0], from[1], from[2]),
            );
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Waits until all jobs have ended.
    pub(super) async fn wait_until_idle(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let file = self.data.join("irisflow.sqlite");
        while begun.elapsed() < IDLE_TIMEOUT {
            if recorded_state::unfinished_jobs(&file).await? == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        bail!("jobs do not end")
    }

    /// Whether a job of this photo was started.
    pub(super) async fn has_begun(&self, photo_id: &str) -> anyhow::Result<bool> {
        self.has_job(photo_id, "epoch > 0").await
    }

    pub(super) async fn is_queued(&self, photo_id: &str) -> anyhow::Result<bool> {
        self.has_job(photo_id, "epoch = 0").await
    }

    async fn has_job(&self, photo_id: &str, condition: &str) -> anyhow::Result<bool> {
        let database: SqlitePool = recorded_state::open(&self.data.join("irisflow.sqlite")).await?;
        let sql = format!("SELECT count(*) FROM jobs WHERE photo_id = ? AND {condition}");
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(photo_id.parse::<Uuid>()?)
            .fetch_one(&database)
            .await?;
        database.close().await;
        Ok(found > 0)
    }
}

impl ApiResponse {
    async fn of(response: reqwest::Response) -> anyhow::Result<Self> {
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Self { status, body })
    }

    pub(super) fn text(&self, name: &str) -> anyhow::Result<String> {
        let value = self.body[name].as_str();
        value
            .map(str::to_owned)
            .with_context(|| format!("no {name} in {}", self.body))
    }
}
