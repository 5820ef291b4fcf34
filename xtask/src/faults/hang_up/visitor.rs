//! What a client does that does not hang up: the preparations, and the questions afterwards.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rand::RngExt as _;
use serde_json::{Value, json};
use sqlx::SqlitePool;
use uuid::Uuid;

use crate::faults::crowd::PASSWORD;
use crate::faults::tally;

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) email: String,
    pub(super) access: String,
    pub(super) refresh: String,
}

pub(super) struct World {
    pub(super) address: String,
    http: reqwest::Client,
    data: PathBuf,
    pub(super) photo: Vec<u8>,
    accounts: usize,
    /// Photos for which one job was asked, be it several times with one key.
    pub(super) submitted_once: Vec<String>,
}

/// An answer to a question.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

const IDLE_WITHIN: Duration = Duration::from_secs(60);

impl World {
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
        self.must("POST", "/auth/register", None, &credentials)
            .await?;
        self.sign_in(&email, PASSWORD)
            .await?
            .context("a new account cannot sign in")
    }

    /// `None` when the password is not taken.
    pub(super) async fn sign_in(
        &self,
        email: &str,
        password: &str,
    ) -> anyhow::Result<Option<Account>> {
        let credentials = json!({"email": email, "password": password});
        let answer = self
            .ask("POST", "/auth/login/json", None, &credentials)
            .await?;
        match answer.status {
            200 => Ok(Some(Account {
                email: email.to_owned(),
                access: answer.text("access_token")?,
                refresh: answer.text("refresh_token")?,
            })),
            401 => Ok(None),
            status => bail!("signing in: {status} {}", answer.body),
        }
    }

    /// A photo that was taken in.
    pub(super) async fn photo(&self, account: &Account) -> anyhow::Result<String> {
        let request = self
            .request("POST", "/photos", Some(&account.access))
            .header("Content-Type", "image/jpeg")
            .body(self.photo.clone());
        let answer = Answer::of(request.send().await?).await?;
        anyhow::ensure!(
            answer.status == 201,
            "uploading: {} {}",
            answer.status,
            answer.body
        );
        answer.text("id")
    }

    /// An announced photo: its id, and the path of its signed URL.
    pub(super) async fn announce(&self, account: &Account) -> anyhow::Result<(String, String)> {
        let answer = self
            .must("POST", "/photos/upload", Some(&account.access), &json!({}))
            .await?;
        let url = answer.text("upload_url")?;
        let path = url.split_once("/api/").context("a signed URL")?.1;
        Ok((answer.text("photo_id")?, format!("/api/{path}")))
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
        let answer = self
            .must("POST", "/processing/submit", Some(&account.access), &body)
            .await?;
        answer.text("job_id")
    }

    /// Asks, and takes any answer.
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> anyhow::Result<Answer> {
        let request = self.request(method, path, token);
        let request = if body.is_null() {
            request
        } else {
            request.json(body)
        };
        Answer::of(request.send().await?).await
    }

    /// Asks, and takes success only.
    pub(super) async fn must(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> anyhow::Result<Answer> {
        let answer = self.ask(method, path, token, body).await?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path}: {} {}", answer.status, answer.body);
        }
        Ok(answer)
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

    /// Waits until no job waits or runs.
    pub(super) async fn until_idle(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let file = self.data.join("irisflow.sqlite");
        while begun.elapsed() < IDLE_WITHIN {
            if tally::unfinished_jobs(&file).await? == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        bail!("jobs do not end")
    }

    /// Whether a job of this photo was begun.
    pub(super) async fn has_begun(&self, photo_id: &str) -> anyhow::Result<bool> {
        self.has_job(photo_id, "epoch > 0").await
    }

    pub(super) async fn is_queued(&self, photo_id: &str) -> anyhow::Result<bool> {
        self.has_job(photo_id, "epoch = 0").await
    }

    async fn has_job(&self, photo_id: &str, condition: &str) -> anyhow::Result<bool> {
        let database: SqlitePool = tally::open(&self.data.join("irisflow.sqlite")).await?;
        let sql = format!("SELECT count(*) FROM jobs WHERE photo_id = ? AND {condition}");
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(photo_id.parse::<Uuid>()?)
            .fetch_one(&database)
            .await?;
        database.close().await;
        Ok(found > 0)
    }
}

impl Answer {
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
