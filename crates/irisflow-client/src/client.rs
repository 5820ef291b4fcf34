//! [`Client`]: authenticated API calls with retries, and token renewal.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::Mutex;
use url::Url;

use crate::error::{ApiError, ClientError};
use crate::ids::JobId;
use crate::retry_policy::{Backoff, RetryPolicy};
use crate::session::{AccessToken, InMemoryTokenStore, TokenPair, TokenStore};
use crate::timeline::Timeline;
use crate::watch::Watch;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of a call with a small body.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The rest of a longer error body is not read.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

/// One account on one server. Clones share the session.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<ClientInner>,
}

#[derive(Debug)]
struct ClientInner {
    http: reqwest::Client,
    server: Url,
    retry_policy: RetryPolicy,
    token_store: Arc<dyn TokenStore>,
    /// Locked during a renewal, so that concurrent calls renew only once.
    access: Mutex<Option<AccessToken>>,
}

impl Client {
    /// A client that holds its session in memory only.
    ///
    /// # Errors
    /// When `server` is not a base URL like `https://iris.example.com`.
    pub fn new(server: &str) -> Result<Self, ClientError> {
        Self::with(
            server,
            Arc::new(InMemoryTokenStore::default()),
            RetryPolicy::default(),
        )
    }

    /// A client whose refresh token lives in `token_store`. A token stored there earlier is used.
    ///
    /// # Errors
    /// When `server` is not a base URL like `https://iris.example.com`.
    pub fn with(
        server: &str,
        token_store: Arc<dyn TokenStore>,
        retry_policy: RetryPolicy,
    ) -> Result<Self, ClientError> {
        let bad_address = || ClientError::BadAddress(server.to_owned());
        let mut address = Url::parse(server).map_err(|_| bad_address())?;
        if !matches!(address.scheme(), "http" | "https") || !address.has_host() {
            return Err(bad_address());
        }
        // The path must end with a slash, because API routes are appended to it.
        if !address.path().ends_with('/') {
            let folder = format!("{}/", address.path());
            address.set_path(&folder);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("irisflow-client/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            inner: Arc::new(ClientInner {
                http,
                server: address,
                retry_policy,
                token_store,
                access: Mutex::new(None),
            }),
        })
    }

    /// Creates an account. Not retried.
    ///
    /// # Errors
    /// When the server rejects it: the address is taken, the password too weak, registration closed.
    pub async fn register(&self, email: &str, password: &str) -> Result<(), ClientError> {
        let account = json!({ "email": email, "password": password });
        let request = self.api(Method::POST, "auth/register").json(&account);
        send(request).await.map(drop)
    }

    /// Signs in. Not retried, because a person is waiting for the answer.
    ///
    /// # Errors
    /// Wrong credentials, or too many failed attempts.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<(), ClientError> {
        let account = json!({ "email": email, "password": password });
        let mut access = self.inner.access.lock().await;
        let request = self.api(Method::POST, "auth/login/json").json(&account);
        *access = Some(self.receive_tokens(send(request).await?).await?);
        Ok(())
    }

    /// Resumes the session whose refresh token is in the token store.
    ///
    /// # Errors
    /// [`ClientError::SignedOut`] when there is no session, or it has expired.
    pub async fn resume(&self) -> Result<(), ClientError> {
        self.access_token().await.map(drop)
    }

    /// Follows all jobs of the account, also those that are submitted later.
    pub fn timeline(&self) -> Timeline {
        Timeline::new(self.clone())
    }

    /// Watches a job until it ends.
    pub fn watch(&self, job_id: &JobId) -> Watch {
        Watch::new(self.clone(), job_id.clone())
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(self.inner.retry_policy)
    }

    /// A request to an API route below `api/v1/`, with [`CALL_TIMEOUT`].
    pub(crate) fn api(&self, method: Method, route: &str) -> RequestBuilder {
        self.request(method, &format!("api/v1/{route}"))
            .timeout(CALL_TIMEOUT)
    }

    /// A request to a path below the server's base URL, without a timeout.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut address = self.inner.server.clone();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let full = format!("{}{path}", address.path());
        address.set_path(&full);
        address.set_query(Some(query).filter(|query| !query.is_empty()));
        self.inner.http.request(method, address)
    }

    /// A request to a presigned URL, without credentials.
    pub(crate) fn presigned(&self, method: Method, link: &str) -> RequestBuilder {
        self.inner.http.request(method, link)
    }

    /// Makes an authenticated call and parses the JSON response. Renews a rejected access token once,
    /// and retries as the retry policy says.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        request: impl Fn(&Self) -> RequestBuilder,
    ) -> Result<T, ClientError> {
        let mut backoff = self.backoff();
        let mut renewed = false;
        loop {
            let token = self.access_token().await?;
            let result = match send(request(self).bearer_auth(&token)).await {
                Ok(response) => read_json(response).await,
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if error.is_rejected_token() && !renewed {
                renewed = true;
                self.renew(&token).await?;
            } else {
                let Some(wait) = backoff.after(&error) else {
                    return Err(error);
                };
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// An access token that is not about to expire.
    pub(crate) async fn access_token(&self) -> Result<String, ClientError> {
        let mut access = self.inner.access.lock().await;
        match &*access {
            Some(token) if token.is_fresh() => Ok(token.token.clone()),
            _ => self.renew_into(&mut access).await,
        }
    }

    /// Replaces an access token that the server has rejected.
    pub(crate) async fn renew(&self, rejected: &str) -> Result<String, ClientError> {
        let mut access = self.inner.access.lock().await;
        match &*access {
            // Another call has renewed it meanwhile.
            Some(current) if current.token != rejected => Ok(current.token.clone()),
            _ => self.renew_into(&mut access).await,
        }
    }

    async fn renew_into(&self, access: &mut Option<AccessToken>) -> Result<String, ClientError> {
        let mut backoff = self.backoff();
        loop {
            let spent = self
                .inner
                .token_store
                .load()
                .ok_or(ClientError::SignedOut)?;
            let body = json!({ "refresh_token": spent });
            let request = self.api(Method::POST, "auth/refresh").json(&body);
            // The server answers a repeated renewal with the same new token, so retrying is safe.
            let error = match send(request).await {
                Ok(response) => match self.receive_tokens(response).await {
                    Ok(received) => return Ok(access.insert(received).token.clone()),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if matches!(error.code(), Some("invalid_token" | "token_expired")) {
                // Either another process that shares the token store has renewed meanwhile, or the
                // session is over.
                if self.inner.token_store.load().as_ref() == Some(&spent) {
                    *access = None;
                    return Err(ClientError::SignedOut);
                }
                continue;
            }
            let Some(wait) = backoff.after(&error) else {
                return Err(error);
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn receive_tokens(&self, response: Response) -> Result<AccessToken, ClientError> {
        let headers = response.headers().clone();
        let pair: TokenPair = read_json(response).await?;
        let token_store = &self.inner.token_store;
        token_store
            .save(&pair.refresh_token)
            .map_err(ClientError::SessionNotSaved)?;
        Ok(AccessToken::received(pair.access_token, &headers))
    }
}

/// Sends a request; a response with a non-success status becomes an error.
pub(crate) async fn send(request: RequestBuilder) -> Result<Response, ClientError> {
    error_for_status(request.send().await?).await
}

/// Turns a response with a non-success status into [`ClientError::Refused`].
pub(crate) async fn error_for_status(mut response: Response) -> Result<Response, ClientError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ERROR_BODY_BYTES {
            break;
        }
    }
    let error = ApiError::parse(response.status().as_u16(), response.headers(), &body);
    Err(ClientError::Refused(Box::new(error)))
}

pub(crate) async fn read_json<T: DeserializeOwned>(response: Response) -> Result<T, ClientError> {
    let body = response.bytes().await?;
    serde_json::from_slice(&body).map_err(|error| ClientError::InvalidResponse(error.to_string()))
}
