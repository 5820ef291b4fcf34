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

/// A password that is too simple, or that could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum NewPasswordError {
    #[error("the password is too simple: {0}")]
    TooSimple(&'static str),
    #[error("the password could not be hashed: {0}")]
    Hashing(String),
}

/// The hash of a new password that follows the rule. Takes a tenth of a second.
///
/// # Errors
/// When the password is too simple.
pub fn hash_new_password(password: &str) -> Result<String, NewPasswordError> {
    if let Some(missing) = weakness(password) {
        return Err(NewPasswordError::TooSimple(missing));
    }
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| NewPasswordError::Hashing(error.to_string()))
}

/// The rule for new passwords; `field` is where it was.
pub(crate) fn check_strength(field: &str, password: &str) -> Result<(), ApiError> {
    match weakness(password) {
        None => Ok(()),
        Some(missing) => Err(ApiError::invalid_field(
            field,
            format!("The password is too simple: {missing}."),
        )),
    }
}

/// What a password lacks.
fn weakness(password: &str) -> Option<&'static str> {
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
        return None;
    };
    Some(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_asks_for_length_case_and_a_digit() {
        for weak in ["Ab1", "abcdefg1", "ABCDEFG1", "Abcdefgh"] {
            assert!(weakness(weak).is_some(), "{weak}");
        }
        assert!(weakness("Abcdefg1").is_none());
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
