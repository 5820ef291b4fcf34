//! Signing secrets: made here, shown once, encrypted in the database (AES-256-GCM, bound to the id of their webhook)
//! under a key that is kept outside of it.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use irisflow_jobs::{SealedSecret, WebhookId};

const SECRET_BYTES: usize = 32;

/// A signing secret. `Debug` does not print it.
pub(crate) struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    pub(crate) fn generate() -> Self {
        Self(rand::random::<[u8; SECRET_BYTES]>().to_vec())
    }

    /// As shown to its owner: `whsec_` and Base64, the format of Standard Webhooks.
    pub(crate) fn to_text(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&self.0))
    }

    /// The value of `webhook-signature`, for one message.
    pub(crate) fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> Option<String> {
        let webhook = standardwebhooks::Webhook::from_bytes(self.0.clone()).ok()?;
        webhook.sign(id, timestamp_s, body).ok()
    }
}

/// Encrypts and decrypts secrets.
pub(crate) struct SecretCipher(Option<RandomizedNonceKey>);

impl fmt::Debug for SecretCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretCipher")
    }
}

impl SecretCipher {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(RandomizedNonceKey::new(&AES_256_GCM, key).ok())
    }

    /// The nonce, then the ciphertext with its tag. `None` when the cryptographic library fails.
    pub(crate) fn seal(&self, webhook_id: WebhookId, secret: &Secret) -> Option<SealedSecret> {
        let id = webhook_id.as_uuid();
        let mut sealed = secret.0.clone();
        let nonce = self
            .0
            .as_ref()?
            .seal_in_place_append_tag(Aad::from(id.as_bytes()), &mut sealed)
            .ok()?;
        Some(SealedSecret([&nonce.as_ref()[..], &sealed].concat()))
    }

    /// `None` when it was sealed under another key or for another webhook.
    pub(crate) fn open(&self, webhook_id: WebhookId, sealed: &SealedSecret) -> Option<Secret> {
        let (nonce, sealed) = sealed.0.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let id = webhook_id.as_uuid();
        let mut opened = sealed.to_vec();
        let secret = self
            .0
            .as_ref()?
            .open_in_place(nonce, Aad::from(id.as_bytes()), &mut opened)
            .ok()?;
        Some(Secret(secret.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_back_with_its_key_and_for_its_webhook_only() {
        let (cipher, other) = (SecretCipher::new(&[7; 32]), SecretCipher::new(&[8; 32]));
        let (id, secret) = (WebhookId::generate(), Secret::generate());
        let sealed = cipher.seal(id, &secret).expect("sealed");

        let opened = cipher.open(id, &sealed).expect("opened");

        assert_eq!(opened.0, secret.0);
        assert!(!sealed.0.windows(8).any(|part| part == &secret.0[..8]));
        assert!(other.open(id, &sealed).is_none());
        assert!(cipher.open(WebhookId::generate(), &sealed).is_none());
        let cut_off = SealedSecret(sealed.0[..11].to_vec());
        assert!(cipher.open(id, &cut_off).is_none());
    }

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn a_message_is_signed_as_the_standard_says() {
        let key = STANDARD.decode("C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        let secret = Secret(key.expect("Base64"));
        let signature = secret.sign(
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            br#"{"email":"test@example.com","username":"test_user"}"#,
        );
        let expected = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
        assert_eq!(signature.as_deref(), Some(expected));
        assert_eq!(secret.to_text(), "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    }
}
