//! Passwords: the rule, and argon2id off the async threads, a few at a time.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::error::ApiError;

/// Each hash takes 19 MiB and a tenth of a second of a core: a flood of sign-ins waits here.
const AT_ONCE: usize = 2;
const LONGEST: usize = 1024;

#[derive(Debug)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The hash as a PHC string.
    pub(crate) async fn hash(&self, password: String) -> Result<String, ApiError> {
        self.in_turn(move || {
            Argon2::default()
                .hash_password(password.as_bytes())
                .map(|hash| hash.to_string())
        })
        .await?
        .map_err(|error| {
            tracing::error!(%error, "could not hash a password");
            ApiError::Internal
        })
    }

    /// Whether the password is the one that was hashed. Without a hash (no such account) the same work
    /// is done and the answer is no: how long it took tells nothing.
    pub(crate) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, ApiError> {
        self.in_turn(move || {
            let Some(hash) = hash else {
                let _ = Argon2::default().hash_password(password.as_bytes());
                return false;
            };
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok()
            })
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        Ok(done.await?)
    }
}

/// The rule for new passwords.
pub(crate) fn check_strength(password: &str) -> Result<(), ApiError> {
    let missing = if password.chars().count() < 8 {
        "use at least 8 characters"
    } else if password.len() > LONGEST {
        "use at most 1024 characters"
    } else if !password.chars().any(char::is_uppercase) {
        "add an upper-case letter"
    } else if !password.chars().any(char::is_lowercase) {
        "add a lower-case letter"
    } else if !password.chars().any(|c| c.is_ascii_digit()) {
        "add a digit"
    } else {
        return Ok(());
    };
    Err(ApiError::invalid_field(
        "password",
        format!("The password is too simple: {missing}."),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_asks_for_length_case_and_a_digit() {
        for weak in ["Ab1", "abcdefg1", "ABCDEFG1", "Abcdefgh"] {
            assert!(check_strength(weak).is_err(), "{weak}");
        }
        assert!(check_strength("Abcdefg1").is_ok());
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let passwords = Passwords::new();
        let hash = passwords
            .hash("Correct1horse".to_owned())
            .await
            .expect("hashes");
        let verify = async |password: &str, hash: Option<&str>| {
            passwords
                .verify(password.to_owned(), hash.map(str::to_owned))
                .await
                .expect("verifies")
        };
        assert!(hash.starts_with("$argon2id$"));
        assert!(verify("Correct1horse", Some(&hash)).await);
        assert!(!verify("Wrong1horse", Some(&hash)).await);
        assert!(!verify("Correct1horse", None).await);
    }
}
