//! Access tokens (JWT with HS256, short-lived) and refresh tokens (opaque, rotated).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use irisflow_jobs::{Clock, SessionId, Timestamp, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::app::Secrets;
use crate::settings::ServerSettings;

/// Claims of an access token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AccessClaims {
    pub(crate) sub: UserId,
    pub(crate) user_id: UserId,
    pub(crate) sid: SessionId,
    /// Seconds since the epoch.
    pub(crate) exp: i64,
    #[serde(rename = "type")]
    kind: String,
}

impl AccessClaims {
    pub(crate) fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.exp.saturating_mul(1000))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenError {
    Invalid,
    Expired,
}

/// Access token and refresh token, as returned by sign-in and refresh.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenPair {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// Always `bearer`.
    pub(crate) token_type: &'static str,
}

pub(crate) struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    refresh_secret: [u8; 32],
    access_life: Duration,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    pub(crate) fn new(secrets: &Secrets, settings: &ServerSettings, clock: Arc<dyn Clock>) -> Self {
        // Only HS256 is accepted. Expiry is checked against the injected clock in `check_access`.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            encoding: EncodingKey::from_secret(&secrets.access_tokens),
            decoding: DecodingKey::from_secret(&secrets.access_tokens),
            validation,
            refresh_secret: secrets.refresh_tokens,
            access_life: settings.access_token_life,
            clock,
        }
    }

    pub(crate) fn access_token(
        &self,
        user_id: UserId,
        session_id: SessionId,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = AccessClaims {
            sub: user_id,
            user_id,
            sid: session_id,
            exp: (self.clock.now() + self.access_life).as_millis() / 1000,
            kind: "access".to_owned(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
    }

    /// Verifies signature, algorithm, type and expiry. Whether the session still exists is not checked here.
    pub(crate) fn check_access(&self, token: &str) -> Result<AccessClaims, TokenError> {
        let claims = jsonwebtoken::decode::<AccessClaims>(token, &self.decoding, &self.validation)
            .map_err(|_| TokenError::Invalid)?
            .claims;
        if claims.kind != "access" || claims.sub != claims.user_id {
            return Err(TokenError::Invalid);
        }
        if self.clock.now() >= claims.expires_at() {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }

    /// Generates a refresh token of 256 random bits.
    pub(crate) fn new_refresh_token() -> String {
        URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
    }

    /// The refresh token that replaces `token`. It is derived by HMAC-SHA-256, not stored, so that a request whose
    /// response was lost can be repeated although the database holds only hashes of tokens.
    pub(crate) fn successor_of(&self, token: &str) -> String {
        let mut block = [0; 64];
        block[..self.refresh_secret.len()].copy_from_slice(&self.refresh_secret);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(b"successor\n");
        mac.update(token.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }

    /// The hash of a refresh token as stored in the database.
    pub(crate) fn hash_of(token: &str) -> [u8; 32] {
        Sha256::digest(token.as_bytes()).into()
    }
}
