//! One request to an endpoint: no redirect is followed, the address is checked, time and response are limited.

use std::error::Error;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use irisflow_jobs::{AttemptError, DeliveryAttempt, Timestamp};
use reqwest::{Client, Response, Url, redirect};

use super::address::{AddressError, GuardedResolver, check_literal};
use super::settings::WebhookSettings;

/// Bytes of a response that are read.
const MAX_RESPONSE_BYTES: usize = 1024;
/// How long the rest of a response is waited for once its status has arrived.
const BODY_WAIT: Duration = Duration::from_secs(2);
const MAX_EXCERPT_CHARS: usize = 256;
const USER_AGENT: &str = concat!("Irisflow-Webhooks/", env!("CARGO_PKG_VERSION"));

/// The HTTP client of all webhooks.
#[derive(Debug)]
pub(crate) struct WebhookClient {
    /// `None` when it could not be made, as on a machine without root certificates.
    client: Option<Client>,
    allow_private: bool,
    timeout: Duration,
}

/// A signed message.
pub(super) struct SignedMessage {
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// An attempt, and how long the endpoint asked to wait before the next one (`Retry-After`).
pub(super) struct Attempted {
    pub(super) attempt: DeliveryAttempt,
    pub(super) requested_wait: Option<Duration>,
}

/// What is known of a response.
#[derive(Debug, Default)]
struct Outcome {
    status: Option<u16>,
    error: Option<AttemptError>,
    response_excerpt: Option<String>,
    redirect_host: Option<String>,
    requested_wait: Option<Duration>,
}

impl From<AttemptError> for Outcome {
    fn from(error: AttemptError) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}

impl WebhookClient {
    pub(crate) fn new(settings: &WebhookSettings) -> Self {
        let built = Client::builder()
            .dns_resolver(GuardedResolver {
                allow_private: settings.allow_private,
            })
            // A proxy would connect in our place, to addresses that it resolves by itself.
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .https_only(!settings.allow_private)
            .user_agent(USER_AGENT)
            .pool_max_idle_per_host(2)
            .pool_idle_timeout(Duration::from_secs(30))
            .build();
        let client = built
            .inspect_err(|error| tracing::error!(%error, "webhooks cannot be delivered"))
            .ok();
        Self {
            client,
            allow_private: settings.allow_private,
            timeout: settings.timeout,
        }
    }

    pub(super) async fn attempt(
        &self,
        url: &str,
        message: Option<SignedMessage>,
        now: Timestamp,
    ) -> Attempted {
        let started = Instant::now();
        let outcome = match message {
            Some(message) => self.post(url, message).await,
            None => AttemptError::Configuration.into(),
        };
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Attempted {
            attempt: DeliveryAttempt {
                at_ms: now.as_millis(),
                duration_ms,
                status: outcome.status,
                error: outcome.error,
                response_excerpt: outcome.response_excerpt,
                redirect_host: outcome.redirect_host,
            },
            requested_wait: outcome.requested_wait,
        }
    }

    async fn post(&self, url: &str, message: SignedMessage) -> Outcome {
        let (Some(client), Ok(url)) = (&self.client, Url::parse(url)) else {
            return AttemptError::Configuration.into();
        };
        // The setting may have been narrowed since the webhook was registered.
        if url.scheme() != "https" && !self.allow_private {
            return AttemptError::Configuration.into();
        }
        if let Err(error) = check_literal(&url, self.allow_private) {
            return error_of_address(error).into();
        }
        let request = client
            .post(url.clone())
            .headers(message.headers)
            .body(message.body);
        match tokio::time::timeout(self.timeout, request.send()).await {
            Err(_) => AttemptError::Timeout.into(),
            Ok(Err(error)) => error_of_request(&error).into(),
            Ok(Ok(response)) => read(response, &url).await,
        }
    }
}

/// The status decides; the body is for the log alone, so its errors do not count.
async fn read(response: Response, url: &Url) -> Outcome {
    let status = response.status();
    let error = if status.is_success() {
        None
    } else if status.is_redirection() {
        Some(AttemptError::Redirect)
    } else {
        Some(AttemptError::Status)
    };
    let header = |name| response.headers().get(name)?.to_str().ok();
    let requested_wait = match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            header(header::RETRY_AFTER).and_then(|seconds| seconds.parse().ok())
        }
        _ => None,
    };
    let redirect_host = (error == Some(AttemptError::Redirect))
        .then(|| header(header::LOCATION))
        .flatten()
        .and_then(|location| url.join(location).ok())
        .and_then(|target| target.host_str().map(str::to_owned));
    Outcome {
        status: Some(status.as_u16()),
        error,
        requested_wait: requested_wait.map(Duration::from_secs),
        redirect_host,
        response_excerpt: excerpt(&beginning(response).await),
    }
}

/// Reads a little of the body; the connection is closed after that unless it was all.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reading = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = MAX_RESPONSE_BYTES - bytes.len();
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if bytes.len() == MAX_RESPONSE_BYTES {
                break;
            }
        }
    };
    // What has arrived by then is enough.
    let _ = tokio::time::timeout(BODY_WAIT, reading).await;
    bytes
}

/// The beginning of a response as text. Endpoints may echo the message, so the queries of URLs, which hold their
/// signatures, are cut off.
fn excerpt(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut excerpt = String::new();
    let mut in_query = false;
    for character in text.chars() {
        if in_query {
            let ends = character.is_whitespace() || "\"'<>\\`".contains(character);
            in_query = !ends;
        }
        if !in_query {
            let shown = if character.is_control() {
                ' '
            } else {
                character
            };
            excerpt.push(shown);
            in_query = character == '?';
        }
    }
    let excerpt: String = excerpt.trim().chars().take(MAX_EXCERPT_CHARS).collect();
    (!excerpt.is_empty()).then_some(excerpt)
}

fn error_of_address(error: AddressError) -> AttemptError {
    match error {
        AddressError::NotFound => AttemptError::Dns,
        AddressError::NotAllowed => AttemptError::AddressNotAllowed,
    }
}

fn error_of_request(error: &reqwest::Error) -> AttemptError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(address) = error.downcast_ref::<AddressError>() {
            return error_of_address(*address);
        }
        cause = error.source();
    }
    if error.is_builder() {
        AttemptError::Configuration
    } else if error.is_connect() {
        AttemptError::Connect
    } else if error.is_timeout() {
        AttemptError::Timeout
    } else {
        AttemptError::InvalidResponse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_text_without_the_queries_of_urls() {
        let echo = br#"{"result_url": "https://iris.example/files/a.jpg?expires=1&signature=s3cret", "x": 1}"#;
        let shown = excerpt(echo).expect("there is text");
        assert_eq!(
            shown,
            r#"{"result_url": "https://iris.example/files/a.jpg?", "x": 1}"#
        );
        assert_eq!(excerpt(b"  \r\n"), None);
        assert_eq!(excerpt(b"a\x00b\xff").as_deref(), Some("a b\u{fffd}"));
        assert_eq!(excerpt(&[b'a'; 1000]).map(|text| text.len()), Some(256));
    }
}
