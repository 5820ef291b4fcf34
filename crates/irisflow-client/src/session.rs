//! Who is signed in: the refresh token, which is kept, and the access token, which is not.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{DATE, HeaderMap};
use serde::Deserialize;
use tokio::time::Instant;

/// Where the refresh token lies between calls. A program that is run again and again keeps it on disk,
/// and lets several runs share it: each asks for the kept one before it renews.
pub trait TokenStore: std::fmt::Debug + Send + Sync {
    /// The refresh token, as whoever renewed last has left it.
    fn kept(&self) -> Option<String>;

    /// Keeps the token that follows; the one before is spent.
    ///
    /// # Errors
    /// When it cannot be kept. The call that renewed fails then.
    fn keep(&self, refresh_token: &str) -> io::Result<()>;
}

/// Forgets with the program.
#[derive(Debug, Default)]
pub struct InMemoryTokenStore {
    token: Mutex<Option<String>>,
}

impl TokenStore for InMemoryTokenStore {
    fn kept(&self) -> Option<String> {
        self.token
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn keep(&self, refresh_token: &str) -> io::Result<()> {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        *token = Some(refresh_token.to_owned());
        Ok(())
    }
}

#[derive(Deserialize)]
pub(crate) struct TokenPair {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

/// An access token, and when to renew it.
#[derive(Clone)]
pub(crate) struct AccessToken {
    pub(crate) token: String,
    /// `None` when its end is not known: then the server's refusal says so.
    renew_at: Option<Instant>,
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessToken")
    }
}

/// Renewed when a fifth of its life is left, at most a minute.
const LATEST_RENEWAL: Duration = Duration::from_secs(60);

impl AccessToken {
    /// `headers` are those of the answer that brought it. Its life is measured from the server's own
    /// `Date`, so that a wrong clock on this side does no harm.
    pub(crate) fn received(token: String, headers: &HeaderMap) -> Self {
        let renew_at = life_of(&token, headers).map(|life| {
            let margin = (life / 5).min(LATEST_RENEWAL);
            Instant::now() + life.saturating_sub(margin)
        });
        Self { token, renew_at }
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.renew_at
            .is_none_or(|renew_at| Instant::now() < renew_at)
    }
}

fn life_of(token: &str, headers: &HeaderMap) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let now = date.duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(claims.exp).saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_that_ends_at(exp: u64) -> String {
        let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#));
        format!("header.{payload}.signature")
    }

    fn at(date: &str) -> HeaderMap {
        HeaderMap::from_iter([(DATE, date.parse().expect("a header"))])
    }

    #[test]
    fn the_life_of_a_token_is_measured_by_the_servers_clock() {
        // A hundred seconds after the epoch, whatever the clock here says.
        let headers = at("Thu, 01 Jan 1970 00:01:40 GMT");
        let life = life_of(&token_that_ends_at(1900), &headers);
        assert_eq!(life, Some(Duration::from_secs(1800)));
        assert!(AccessToken::received(token_that_ends_at(1900), &headers).is_fresh());
        assert!(!AccessToken::received(token_that_ends_at(100), &headers).is_fresh());
    }

    #[test]
    fn a_token_whose_end_is_unknown_is_used_until_it_is_refused() {
        let token = AccessToken::received("opaque".to_owned(), &HeaderMap::new());
        assert!(token.is_fresh());
    }
}
