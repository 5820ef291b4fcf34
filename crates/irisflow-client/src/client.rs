//! The client itself: calls with a token, repeated with retry_policy.

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
use crate::watch::Watch;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// For calls with small bodies.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// More of an error's body is not read.
const LONGEST_REFUSAL: usize = 64 * 1024;

/// One account on one server. Clones share the session.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    server: Url,
    retry_policy: RetryPolicy,
    token_store: Arc<dyn TokenStore>,
    /// Held while renewing, so that concurrent calls renew once.
    access: Mutex<Option<AccessToken>>,
}

impl Client {
    /// A client that forgets its session with the program.
    ///
    /// # Errors
    /// When `server` is not an address as in `https://iris.example.com`.
    pub fn new(server: &str) -> Result<Self, ClientError> {
        Self::with(
            server,
            Arc::new(InMemoryTokenStore::default()),
            RetryPolicy::default(),
        )
    }

    /// A client whose refresh token is kept by `token_store`; one that is kept already is used.
    ///
    /// # Errors
    /// When `server` is not an address as in `https://iris.example.com`.
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
        // Joined paths replace what follows the last slash.
        if !address.path().ends_with('/') {
            let folder = format!("{}/", address.path());
            address.set_path(&folder);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .user_agent(concat!("irisflow-client/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            shared: Arc::new(Shared {
                http,
                server: address,
                retry_policy,
                token_store,
                access: Mutex::new(None),
            }),
        })
    }

    /// Makes an account.
    ///
    /// # Errors
    /// As the server refuses: the address is taken, the password too weak, registration closed.
    pub async fn register(&self, email: &str, password: &str) -> Result<(), ClientError> {
        let account = json!({ "email": email, "password": password });
        let request = self.api(Method::POST, "auth/register").json(&account);
        send(request).await.map(drop)
    }

    /// Signs in. Tried once: a person is waiting.
    ///
    /// # Errors
    /// Wrong credentials, or too many tries with wrong ones.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<(), ClientError> {
        let account = json!({ "email": email, "password": password });
        let mut access = self.shared.access.lock().await;
        let request = self.api(Method::POST, "auth/login/json").json(&account);
        *access = Some(self.receive_tokens(send(request).await?).await?);
        Ok(())
    }

    /// Goes on with the session that the token_store has kept.
    ///
    /// # Errors
    /// [`ClientError::SignedOut`] when there is none, or it has ended.
    pub async fn resume(&self) -> Result<(), ClientError> {
        self.access_token().await.map(drop)
    }

    /// Watches a job to its end.
    pub fn watch(&self, job_id: &JobId) -> Watch {
        Watch::begin(self.clone(), job_id.clone())
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(self.shared.retry_policy)
    }

    /// A request to a route of the API.
    pub(crate) fn api(&self, method: Method, route: &str) -> RequestBuilder {
        self.request(method, &format!("api/v1/{route}"))
            .timeout(CALL_LIMIT)
    }

    /// A request to a path of the server.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut address = self.shared.server.clone();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let full = format!("{}{path}", address.path());
        address.set_path(&full);
        address.set_query(Some(query).filter(|query| !query.is_empty()));
        self.shared.http.request(method, address)
    }

    /// A request to a link that the server gave.
    pub(crate) fn at_link(&self, method: Method, link: &str) -> RequestBuilder {
        self.shared.http.request(method, link)
    }

    /// Calls as the signed-in user, and reads the answer.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        request: impl Fn(&Self) -> RequestBuilder,
    ) -> Result<T, ClientError> {
        let mut backoff = self.backoff();
        let mut renewed = false;
        loop {
            let token = self.access_token().await?;
            let answer = match send(request(self).bearer_auth(&token)).await {
                Ok(response) => read_json(response).await,
                Err(error) => Err(error),
            };
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.is_about_the_token() && !renewed {
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

    /// An access token that will hold for a while.
    pub(crate) async fn access_token(&self) -> Result<String, ClientError> {
        let mut access = self.shared.access.lock().await;
        match &*access {
            Some(token) if token.is_fresh() => Ok(token.token.clone()),
            _ => self.renew_into(&mut access).await,
        }
    }

    /// Replaces a token that the server has refused.
    pub(crate) async fn renew(&self, refused: &str) -> Result<String, ClientError> {
        let mut access = self.shared.access.lock().await;
        match &*access {
            // Another call has renewed it meanwhile.
            Some(current) if current.token != refused => Ok(current.token.clone()),
            _ => self.renew_into(&mut access).await,
        }
    }

    async fn renew_into(&self, access: &mut Option<AccessToken>) -> Result<String, ClientError> {
        let mut backoff = self.backoff();
        loop {
            let spent = self
                .shared
                .token_store
                .kept()
                .ok_or(ClientError::SignedOut)?;
            let body = json!({ "refresh_token": spent });
            let request = self.api(Method::POST, "auth/refresh").json(&body);
            // The server answers a repeated renewal with the same successor, so trying again is safe.
            let error = match send(request).await {
                Ok(response) => match self.receive_tokens(response).await {
                    Ok(received) => return Ok(access.insert(received).token.clone()),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if matches!(error.code(), Some("invalid_token" | "token_expired")) {
                // Another program with the same token_store was faster, or the session is over.
                if self.shared.token_store.kept().as_ref() == Some(&spent) {
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
        let token_store = &self.shared.token_store;
        token_store
            .keep(&pair.refresh_token)
            .map_err(ClientError::Keeping)?;
        Ok(AccessToken::received(pair.access_token, &headers))
    }
}

/// Sends, and turns every answer but success into an error.
pub(crate) async fn send(request: RequestBuilder) -> Result<Response, ClientError> {
    refused_unless_ok(request.send().await?).await
}

pub(crate) async fn refused_unless_ok(mut response: Response) -> Result<Response, ClientError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_REFUSAL {
            break;
        }
    }
    let refusal = ApiError::read(response.status().as_u16(), response.headers(), &body);
    Err(ClientError::Refused(Box::new(refusal)))
}

pub(crate) async fn read_json<T: DeserializeOwned>(response: Response) -> Result<T, ClientError> {
    let body = response.bytes().await?;
    serde_json::from_slice(&body).map_err(|error| ClientError::NotUnderstood(error.to_string()))
}
