//! Password hashing with Argon2id (RFC 9106) on blocking threads, behind a bounded queue, and the password rule.
//!
//! A hash takes 19 MiB and some hundredths of a second of a core. Two are computed concurrently, in buffers that are
//! reused, so that the memory does not grow with the number of sign-ins. Only one of the two may hash a new
//! password, so that registrations never block all sign-ins. When the queue is full, a request is rejected at once
//! with `Retry-After`.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use irisflow_messages::{Language, Text, text};
use tokio::sync::Semaphore;

use super::device::DeviceId;
use super::throttle::Caller;
use crate::concurrency_limits::{ConcurrencyLimit, Permit};
use crate::error::{ApiError, BusyWork};

/// Hashes computed concurrently.
const MAX_HASHING: usize = 2;
/// Hashes of new passwords computed concurrently, which count in `MAX_HASHING`, too.
const MAX_NEW_HASHING: usize = 1;
/// Queued sign-ins, in total and per network, those being computed included. At 50 ms each the last one waits three
/// seconds.
const SIGN_INS: usize = 128;
const SIGN_INS_OF_NETWORK: usize = 64;
/// Additional places for devices that have signed in before, in total and per device.
const SIGN_INS_OF_KNOWN_DEVICES: usize = 32;
const SIGN_INS_OF_DEVICE: usize = 2;
/// Queued new passwords, in total and per network, those being computed included.
const NEW_PASSWORDS: usize = 64;
const NEW_PASSWORDS_OF_NETWORK: usize = 32;
/// `Retry-After` in seconds when the queue is full.
const RETRY_AFTER_S: u64 = 2;
/// Minimum and maximum length of a password in characters.
const MIN_CHARS: usize = 8;
const MAX_CHARS: usize = 1024;

#[derive(Debug)]
pub(crate) struct Passwords {
    hashing: Arc<Semaphore>,
    new_hashing: Semaphore,
    sign_ins: Arc<ConcurrencyLimit<IpAddr>>,
    sign_ins_of_known_devices: Arc<ConcurrencyLimit<DeviceId>>,
    new_passwords: Arc<ConcurrencyLimit<IpAddr>>,
    buffers: Arc<HashBuffers>,
}

/// A place in the queue, held until the hash is computed.
#[derive(Debug)]
enum Queued {
    Network { _permit: Permit<IpAddr> },
    Device { _permit: Permit<DeviceId> },
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            hashing: Arc::new(Semaphore::new(MAX_HASHING)),
            new_hashing: Semaphore::new(MAX_NEW_HASHING),
            sign_ins: ConcurrencyLimit::new(SIGN_INS, SIGN_INS_OF_NETWORK),
            sign_ins_of_known_devices: ConcurrencyLimit::new(
                SIGN_INS_OF_KNOWN_DEVICES,
                SIGN_INS_OF_DEVICE,
            ),
            new_passwords: ConcurrencyLimit::new(NEW_PASSWORDS, NEW_PASSWORDS_OF_NETWORK),
            buffers: Arc::default(),
        }
    }

    /// Hashes a new password. The result is a PHC string.
    ///
    /// # Errors
    /// [`ApiError::Busy`] when the queue is full.
    pub(crate) async fn hash(&self, password: String, network: IpAddr) -> Result<String, ApiError> {
        let permit = self.new_passwords.try_acquire(network);
        let queued = Queued::Network {
            _permit: permit.map_err(|_| BUSY)?,
        };
        let _new_permit = self.new_hashing.acquire().await;
        let hash = move |buffers: &HashBuffers| buffers.hash(password.as_bytes());
        self.compute(queued, hash).await?.map_err(|error| {
            tracing::error!(%error, "could not hash a password");
            ApiError::Internal
        })
    }

    /// Whether the password matches the hash. Without a hash (no such account) the same work is done and the result
    /// is `false`, so that the response time does not show which accounts exist.
    ///
    /// # Errors
    /// [`ApiError::Busy`] when the queue is full.
    pub(crate) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
        caller: Caller,
    ) -> Result<bool, ApiError> {
        let queued = self.enqueue_sign_in(caller).ok_or(BUSY)?;
        self.compute(queued, move |buffers| match hash {
            Some(hash) => buffers.verify(password.as_bytes(), &hash),
            None => {
                let _ = buffers.hash(password.as_bytes());
                false
            }
        })
        .await
    }

    /// A place in the queue for a sign-in; `None` when it is full. Known devices have their own places and may also
    /// use those of their network.
    fn enqueue_sign_in(&self, caller: Caller) -> Option<Queued> {
        let (device, network) = match caller {
            Caller::KnownDevice { device, network } => (Some(device), network),
            Caller::UnknownDevice { network } => (None, network),
        };
        let of_device =
            device.and_then(|device| self.sign_ins_of_known_devices.try_acquire(device).ok());
        if let Some(permit) = of_device {
            return Some(Queued::Device { _permit: permit });
        }
        let permit = self.sign_ins.try_acquire(network).ok()?;
        Some(Queued::Network { _permit: permit })
    }

    async fn compute<T: Send + 'static>(
        &self,
        queued: Queued,
        work: impl FnOnce(&HashBuffers) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = Arc::clone(&self.hashing).acquire_owned().await;
        let buffers = Arc::clone(&self.buffers);
        let computed = tokio::task::spawn_blocking(move || {
            // Held until the work ends, also when the request was dropped meanwhile.
            let _held = (permit, queued);
            work(&buffers)
        });
        Ok(computed.await?)
    }
}

const BUSY: ApiError = ApiError::Busy {
    work: BusyWork::SignIns,
    retry_after_s: RETRY_AFTER_S,
};

/// Reused memory blocks of Argon2. If they were allocated for each hash, the allocator would keep 19 MiB for each
/// thread that ever computed one.
#[derive(Default)]
struct HashBuffers {
    idle: Mutex<Vec<Vec<Block>>>,
}

impl std::fmt::Debug for HashBuffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashBuffers")
    }
}

impl HashBuffers {
    fn hash(&self, password: &[u8]) -> Result<String, HashingError> {
        let salt: [u8; 16] = rand::random();
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        self.compute(password, &salt, &mut output)?;
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&Params::DEFAULT)?,
            salt: Some(Salt::new(&salt)?),
            hash: Some(Output::new(&output)?),
        };
        Ok(hash.to_string())
    }

    fn verify(&self, password: &[u8], hash: &str) -> bool {
        let Ok(hash) = PasswordHash::new(hash) else {
            return false;
        };
        let has_current_params = hash.algorithm == Algorithm::Argon2id.ident()
            && hash.version == Some(Version::V0x13.into())
            && Params::try_from(&hash.params).is_ok_and(|params| params == Params::DEFAULT);
        let (Some(salt), Some(expected), true) = (&hash.salt, &hash.hash, has_current_params)
        else {
            return Argon2::default().verify_password(password, &hash).is_ok();
        };
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        self.compute(password, salt, &mut output).is_ok()
            // `Output` compares in constant time.
            && Output::new(&output).is_ok_and(|output| output == *expected)
    }

    fn compute(
        &self,
        password: &[u8],
        salt: &[u8],
        output: &mut [u8],
    ) -> Result<(), argon2::Error> {
        let blocks = self.idle().pop();
        let mut blocks =
            blocks.unwrap_or_else(|| vec![Block::new(); Params::DEFAULT.block_count()]);
        let computed = Argon2::default().hash_password_into_with_memory(
            password,
            salt,
            output,
            blocks.as_mut_slice(),
        );
        self.idle().push(blocks);
        computed
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, thiserror::Error)]
enum HashingError {
    #[error("{0}")]
    Argon2(#[from] argon2::Error),
    #[error("{0}")]
    Format(#[from] argon2::password_hash::Error),
    #[error("{0}")]
    Phc(#[from] argon2::password_hash::phc::Error),
}

/// The password violates the rule, or could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum NewPasswordError {
    #[error("{}", too_simple(*.0))]
    TooSimple(Weakness),
    #[error("the password could not be hashed: {0}")]
    Hashing(String),
}

/// Hashes a new password on the calling thread, which takes about 0.1 s. The result is a PHC string.
///
/// # Errors
/// The password violates the rule, or could not be hashed.
pub fn hash_new_password(password: &str) -> Result<String, NewPasswordError> {
    if let Some(advice) = weakness(password) {
        return Err(NewPasswordError::TooSimple(advice));
    }
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| NewPasswordError::Hashing(error.to_string()))
}

/// Applies the rule for new passwords; `field` is the name of the request field.
pub(crate) fn check_strength(field: &str, password: &str) -> Result<(), ApiError> {
    match weakness(password) {
        None => Ok(()),
        Some(weakness) => Err(ApiError::invalid_field(
            field,
            text!("invalid-password", missing = weakness.text()),
        )),
    }
}

/// The part of the rule that a password violates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    TooShort,
    TooLong,
    NoUpperCase,
    NoLowerCase,
    NoDigit,
}

impl Weakness {
    /// The advice that follows from it.
    fn text(self) -> Text {
        match self {
            Self::TooShort => text!("password-too-short", least = MIN_CHARS),
            Self::TooLong => text!("password-too-long", most = MAX_CHARS),
            Self::NoUpperCase => text!("password-without-upper-case"),
            Self::NoLowerCase => text!("password-without-lower-case"),
            Self::NoDigit => text!("password-without-digit"),
        }
    }
}

fn too_simple(weakness: Weakness) -> String {
    text!("cli-password-too-simple", missing = weakness.text()).in_language(Language::PROGRAM)
}

/// `None` for a password that follows the rule.
fn weakness(password: &str) -> Option<Weakness> {
    let weakness = if password.chars().count() < MIN_CHARS {
        Weakness::TooShort
    } else if password.chars().count() > MAX_CHARS {
        Weakness::TooLong
    } else if !password.chars().any(char::is_uppercase) {
        Weakness::NoUpperCase
    } else if !password.chars().any(char::is_lowercase) {
        Weakness::NoLowerCase
    } else if !password.chars().any(|c| c.is_ascii_digit()) {
        Weakness::NoDigit
    } else {
        return None;
    };
    Some(weakness)
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

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const UNKNOWN_DEVICE: Caller = Caller::UnknownDevice { network: HERE };

    #[tokio::test]
    async fn a_hash_verifies_its_password_only() {
        let passwords = Passwords::new();
        let password = "Correct1horse".to_owned();
        let hash = passwords.hash(password, HERE).await.expect("hashes");
        let verify = async |password: &str, hash: Option<&str>| {
            let (password, hash) = (password.to_owned(), hash.map(str::to_owned));
            let verified = passwords.verify(password, hash, UNKNOWN_DEVICE);
            verified.await.expect("verifies")
        };
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(verify("Correct1horse", Some(&hash)).await);
        assert!(!verify("Wrong1horse", Some(&hash)).await);
        assert!(!verify("Correct1horse", None).await);
    }

    #[test]
    fn reused_buffers_give_the_same_hashes() {
        let buffers = HashBuffers::default();
        let fresh = hash_new_password("Correct1horse").expect("hashes");
        for _ in 0..3 {
            assert!(buffers.verify(b"Correct1horse", &fresh));
            assert!(!buffers.verify(b"Wrong1horse", &fresh));
            let again = buffers.hash(b"Correct1horse").expect("hashes");
            let phc = PasswordHash::new(&again).expect("a PHC string");
            let verified = Argon2::default().verify_password(b"Correct1horse", &phc);
            assert!(verified.is_ok(), "the plain library accepts it");
        }
        assert_eq!(buffers.idle().len(), 1, "the same blocks");
    }

    #[tokio::test]
    async fn new_passwords_leave_a_share_to_sign_ins() {
        let passwords = Arc::new(Passwords::new());
        let mut registrations = tokio::task::JoinSet::new();
        for number in 0..100 {
            let passwords = Arc::clone(&passwords);
            let network = IpAddr::from([192, 0, 2, number]);
            let password = "Correct1horse".to_owned();
            registrations.spawn(async move { passwords.hash(password, network).await });
        }
        tokio::task::yield_now().await;

        let sign_in = passwords.verify("Correct1horse".to_owned(), None, UNKNOWN_DEVICE);
        sign_in.await.expect("it is not refused");

        while registrations.try_join_next().is_some() {}
        let waiting = registrations.len();
        assert!(
            waiting > NEW_PASSWORDS / 2,
            "it did not wait for them: {waiting}"
        );
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_leaves_room_for_others() {
        let passwords = Passwords::new();
        let all = passwords.hashing.acquire_many(2).await.expect("permits");
        let verify = |caller| passwords.verify(String::new(), None, caller);
        let mut waiting = Vec::new();
        for _ in 0..SIGN_INS_OF_NETWORK {
            let mut sign_in = Box::pin(verify(UNKNOWN_DEVICE));
            assert!(futures_util::poll!(sign_in.as_mut()).is_pending());
            waiting.push(sign_in);
        }

        let refused = verify(UNKNOWN_DEVICE).await;

        assert!(matches!(refused, Err(ApiError::Busy { .. })), "{refused:?}");
        for caller in [
            Caller::UnknownDevice {
                network: IpAddr::from([192, 0, 2, 1]),
            },
            Caller::KnownDevice {
                device: irisflow_jobs::SessionId::generate().into(),
                network: HERE,
            },
        ] {
            let mut other = Box::pin(verify(caller));
            assert!(futures_util::poll!(other.as_mut()).is_pending(), "it waits");
        }
        drop(waiting);
        drop(all);
        verify(UNKNOWN_DEVICE).await.expect("there is room again");
    }
}
