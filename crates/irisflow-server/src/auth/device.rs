//! Device cookie: recognizes a device that has signed in to an account before.
//!
//! It grants no access. Its only use is that failed sign-ins of others do not slow down this device (see
//! `throttle.rs`). It holds a random device id, is bound to the email address of the account, and is signed with
//! HMAC-SHA-256; the server stores nothing.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use irisflow_jobs::{SessionId, Timestamp};
use sha2::Sha256;

use crate::app::Secrets;

const COOKIE: &str = "irisflow_device";
/// Lifetime of the cookie; it is renewed at each sign-in.
const LIFETIME: Duration = Duration::from_secs(180 * 24 * 60 * 60);

const ID_BYTES: usize = 16;
const TIME_BYTES: usize = 8;
const TOKEN_BYTES: usize = ID_BYTES + TIME_BYTES + 32;

/// One browser or phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DeviceId([u8; ID_BYTES]);

impl DeviceId {
    fn generate() -> Self {
        Self(rand::random())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A session identifies its device.
impl From<SessionId> for DeviceId {
    fn from(session: SessionId) -> Self {
        Self(session.as_uuid().into_bytes())
    }
}

pub(crate) struct Devices {
    secret: [u8; 32],
}

impl std::fmt::Debug for Devices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Devices")
    }
}

impl Devices {
    pub(crate) fn new(secrets: &Secrets) -> Self {
        Self {
            secret: secrets.refresh_tokens,
        }
    }

    /// The device that a request comes from, if it has signed in to this account before.
    pub(crate) fn recognise(
        &self,
        headers: &HeaderMap,
        email: &str,
        now: Timestamp,
    ) -> Option<DeviceId> {
        let cookies = headers.get_all(header::COOKIE).iter();
        cookies
            .filter_map(|cookies| cookies.to_str().ok())
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='))
            .find_map(|token| self.check(token, email, now))
    }

    /// The `Set-Cookie` value for a device that has signed in.
    pub(crate) fn cookie(
        &self,
        known: Option<DeviceId>,
        email: &str,
        now: Timestamp,
        over_https: bool,
    ) -> Option<HeaderValue> {
        let token = self.token(known.unwrap_or_else(DeviceId::generate), email, now);
        let max_age_s = LIFETIME.as_secs();
        let secure = if over_https { "; Secure" } else { "" };
        let cookie = format!(
            "{COOKIE}={token}; Path=/api/v1/auth; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}"
        );
        HeaderValue::from_str(&cookie).ok()
    }

    fn token(&self, device: DeviceId, email: &str, now: Timestamp) -> String {
        let mut token = Vec::with_capacity(TOKEN_BYTES);
        token.extend(device.0);
        token.extend(now.as_millis().to_be_bytes());
        let signature = self.mac_of(&token, email).finalize().into_bytes();
        token.extend(signature);
        URL_SAFE_NO_PAD.encode(token)
    }

    fn check(&self, token: &str, email: &str, now: Timestamp) -> Option<DeviceId> {
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (signed, signature) = token.split_at_checked(ID_BYTES + TIME_BYTES)?;
        self.mac_of(signed, email).verify_slice(signature).ok()?;
        let (device, issued_at) = signed.split_at(ID_BYTES);
        let issued_at = Timestamp::from_millis(i64::from_be_bytes(issued_at.try_into().ok()?));
        (now.since(issued_at) < LIFETIME).then_some(DeviceId(device.try_into().ok()?))
    }

    fn mac_of(&self, signed: &[u8], email: &str) -> Hmac<Sha256> {
        let mut block = [0; 64];
        block[..self.secret.len()].copy_from_slice(&self.secret);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(b"device\n");
        mac.update(signed);
        mac.update(email.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn devices() -> Devices {
        Devices { secret: [7; 32] }
    }

    fn sent_back(cookie: &HeaderValue) -> HeaderMap {
        let cookie = cookie.to_str().expect("text");
        let (pair, _) = cookie.split_once(';').expect("attributes");
        let mut headers = HeaderMap::new();
        let value = format!("theme=dark; {pair}");
        headers.insert(header::COOKIE, value.parse().expect("a header"));
        headers
    }

    #[test]
    fn a_device_is_known_to_its_account_only_and_for_half_a_year() {
        let devices = devices();
        let cookie = devices
            .cookie(None, "me@b.c", NOW, false)
            .expect("a cookie");
        let headers = sent_back(&cookie);

        let known = devices.recognise(&headers, "me@b.c", NOW);

        assert!(known.is_some());
        assert_eq!(devices.recognise(&headers, "you@b.c", NOW), None);
        assert_eq!(devices.recognise(&headers, "me@b.c", NOW + LIFETIME), None);
        let again = devices.cookie(known, "me@b.c", NOW + LIFETIME / 2, false);
        let renewed = sent_back(&again.expect("a cookie"));
        assert_eq!(devices.recognise(&renewed, "me@b.c", NOW + LIFETIME), known);
    }

    #[test]
    fn a_damaged_or_foreign_cookie_is_none() {
        let devices = devices();
        let token = devices.token(DeviceId([1; 16]), "me@b.c", NOW);
        for length in 0..token.len() {
            assert_eq!(devices.check(&token[..length], "me@b.c", NOW), None);
        }
        let other = Devices { secret: [8; 32] };
        assert_eq!(other.check(&token, "me@b.c", NOW), None);
        assert!(devices.check(&token, "me@b.c", NOW).is_some());
    }

    #[test]
    fn over_https_the_cookie_goes_over_https_only() {
        let cookie = |over_https| {
            let cookie = devices().cookie(None, "me@b.c", NOW, over_https);
            cookie.expect("a cookie").to_str().expect("text").to_owned()
        };
        assert!(cookie(true).ends_with("; Secure"));
        assert!(cookie(false).contains("; HttpOnly; SameSite=Strict"));
    }
}
