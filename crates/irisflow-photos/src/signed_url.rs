//! Signed links of a storage that this program serves itself: a holder may read or write one object for a while.
//!
//! HMAC-SHA256 over method, key, expiry and content type; compared in constant time. Path and query are made
//! here, scheme and host by the server. Lifetimes: `ServerSettings::download_url_life`, `JobPolicy::upload_url_life`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use irisflow_jobs::Timestamp;
use sha2::Sha256;

use crate::object_key::ObjectKey;
use crate::object_store::{LinkSigner, SignedLink};

/// What a URL allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    Read,
    /// Writing once or more with exactly this `Content-Type`.
    Write {
        content_type: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("this link has expired; ask for a new one")]
    Expired,
    #[error("this link is not valid")]
    Forged,
}

/// Makes and checks URLs. Its secret is never printed.
#[derive(Clone)]
pub struct UrlSigner {
    secret: [u8; 32],
}

impl std::fmt::Debug for UrlSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UrlSigner")
    }
}

impl UrlSigner {
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// `exp=...&sig=...` for the URL of `key`.
    fn sign(&self, key: &ObjectKey, access: &Access, expires: Timestamp) -> String {
        let expires = expires.as_millis() / 1000;
        let tag = self.mac(key, access, expires).finalize().into_bytes();
        format!("exp={expires}&sig={}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Whether a request with this expiry and signature may do `access` to `key` now.
    ///
    /// # Errors
    /// `Forged` for anything that was not signed here for just this; `Expired` for what was.
    pub fn check(
        &self,
        key: &ObjectKey,
        access: &Access,
        expires: i64,
        signature: &str,
        now: Timestamp,
    ) -> Result<(), SignatureError> {
        let tag = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| SignatureError::Forged)?;
        self.mac(key, access, expires)
            .verify_slice(&tag)
            .map_err(|_| SignatureError::Forged)?;
        if now.as_millis() / 1000 >= expires {
            return Err(SignatureError::Expired);
        }
        Ok(())
    }

    fn mac(&self, key: &ObjectKey, access: &Access, expires: i64) -> Hmac<Sha256> {
        let (method, content_type) = match access {
            Access::Read => ("GET", ""),
            Access::Write { content_type } => ("PUT", content_type.as_str()),
        };
        // HMAC pads a short key with zeros to a block of 64 bytes; doing it here cannot fail.
        let mut block = [0; 64];
        block[..self.secret.len()].copy_from_slice(&self.secret);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(format!("{method}\n{key}\n{expires}\n{content_type}").as_bytes());
        mac
    }
}

impl LinkSigner for UrlSigner {
    fn link(&self, key: &ObjectKey, access: &Access, expires: Timestamp) -> SignedLink {
        let query = self.sign(key, access, expires);
        SignedLink::OfApi(format!("/files/{key}?{query}"))
    }

    fn origin(&self) -> Option<&str> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use irisflow_jobs::{PhotoId, UserId};

    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;
    const LIFE: Duration = Duration::from_secs(900);

    fn some_key() -> ObjectKey {
        ObjectKey::Incoming {
            user_id: UserId::generate(),
            photo_id: PhotoId::generate(),
        }
    }

    fn parts(query: &str) -> (i64, String) {
        let (expires, signature) = query.split_once("&sig=").expect("two parameters");
        (
            expires["exp=".len()..].parse().expect("a number"),
            signature.to_owned(),
        )
    }

    #[test]
    fn a_signed_link_works_until_it_expires() {
        let (signer, key) = (UrlSigner::new([7; 32]), some_key());
        let (expires, signature) = parts(&signer.sign(&key, &Access::Read, NOW + LIFE));
        let check = |now| signer.check(&key, &Access::Read, expires, &signature, now);
        assert_eq!(check(NOW + LIFE - Duration::from_secs(1)), Ok(()));
        assert_eq!(check(NOW + LIFE), Err(SignatureError::Expired));
    }

    #[test]
    fn a_link_binds_method_key_type_and_expiry() {
        let (signer, key) = (UrlSigner::new([7; 32]), some_key());
        let jpeg = Access::Write {
            content_type: "image/jpeg".to_owned(),
        };
        let png = Access::Write {
            content_type: "image/png".to_owned(),
        };
        let (expires, signature) = parts(&signer.sign(&key, &jpeg, NOW + LIFE));
        let check = |key: &ObjectKey, access: &Access, expires| {
            signer.check(key, access, expires, &signature, NOW)
        };
        assert_eq!(check(&key, &jpeg, expires), Ok(()));
        assert_eq!(check(&key, &png, expires), Err(SignatureError::Forged));
        assert_eq!(
            check(&key, &Access::Read, expires),
            Err(SignatureError::Forged)
        );
        assert_eq!(
            check(&some_key(), &jpeg, expires),
            Err(SignatureError::Forged)
        );
        assert_eq!(check(&key, &jpeg, expires + 1), Err(SignatureError::Forged));
        let other = UrlSigner::new([8; 32]);
        assert_eq!(
            other.check(&key, &jpeg, expires, &signature, NOW),
            Err(SignatureError::Forged)
        );
    }
}
