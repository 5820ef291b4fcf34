//! Session tokens: the refresh token in a [`TokenStore`], and the access token in memory with its
//! renewal time.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{DATE, HeaderMap};
use serde::Deserialize;
use tokio::time::Instant;

/// Storage for the refresh token. A command line program implements it with a file, so that its runs
/// share one session: the client loads the token before each renewal, because another process may have
/// renewed it meanwhile.
pub trait TokenStore: std::fmt::Debug + Send + Sync {
    /// The refresh token that was saved last, by this process or another.
    fn load(&self) -> Option<String>;

    /// Replaces the stored token, which has been used up.
    ///
    /// # Errors
    /// When it cannot be stored. The call that renewed the session then fails.
    fn save(&self, refresh_token: &str) -> io::Result<()>;
}

/// Holds the token in memory; the session is lost when the process ends.
#[derive(Debug, Default)]
pub struct InMemoryTokenStore {
    token: Mutex<Option<String>>,
}

impl TokenStore for InMemoryTokenStore {
    fn load(&self) -> Option<String> {
        self.token
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn save(&self, refresh_token: &str) -> io::Result<()> {
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
    /// `None` when the expiry is unknown: then it is renewed once the server rejects it.
    renew_at: Option<Instant>,
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessToken")
    }
}

/// Upper bound of the renewal margin, which is a fifth of the token's lifetime.
const MAX_RENEWAL_MARGIN: Duration = Duration::from_secs(60);

impl AccessToken {
    /// `headers` are those of the response that contained the token. Its lifetime is computed from the
    /// server's `Date`, so that a wrong local clock (clock skew) has no effect.
    pub(crate) fn received(token: String, headers: &HeaderMap) -> Self {
        let renew_at = lifetime_of(&token, headers).map(|lifetime| {
            let margin = (lifetime / 5).min(MAX_RENEWAL_MARGIN);
            Instant::now() + lifetime.saturating_sub(margin)
        });
        Self { token, renew_at }
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.renew_at
            .is_none_or(|renew_at| Instant::now() < renew_at)
    }
}

/// From the `exp` claim of the JWT (seconds since the epoch) and the `Date` of the response.
fn lifetime_of(token: &str, headers: &HeaderMap) -> Option<Duration> {
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

    fn token_expiring_at(exp: u64) -> String {
        let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#));
        format!("header.{payload}.signature")
    }

    fn at(date: &str) -> HeaderMap {
        HeaderMap::from_iter([(DATE, date.parse().expect("a header"))])
    }

    #[test]
    fn the_lifetime_of_a_token_is_computed_with_the_servers_clock() {
        // A hundred seconds after the epoch.
        let headers = at("Thu, 01 Jan 1970 00:01:40 GMT");
        let lifetime = lifetime_of(&token_expiring_at(1900), &headers);
        assert_eq!(lifetime, Some(Duration::from_secs(1800)));
        assert!(AccessToken::received(token_expiring_at(1900), &headers).is_fresh());
        assert!(!AccessToken::received(token_expiring_at(100), &headers).is_fresh());
    }

    #[test]
    fn a_token_of_unknown_expiry_is_used_until_it_is_rejected() {
        let token = AccessToken::received("opaque".to_owned(), &HeaderMap::new());
        assert!(token.is_fresh());
    }
}
