//! Passwords: the rule, and argon2id off the async threads, in a bounded queue.
//!
//! Each hash takes 19 MiB and some hundredths of a second of a core. Two are computed at once, in memory that
//! is kept and used again: the process needs the same two blocks after a million sign-ins. Of the two, one
//! at most makes the hash of a new password, so that registrations leave the other one to sign-ins. Who
//! finds no place to wait is refused at once, with a time to come back.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::Semaphore;

use super::device::DeviceId;
use super::throttle::Caller;
use crate::concurrency_limits::{ConcurrencyLimit, Permit};
use crate::error::ApiError;

/// Hashes computed at once.
const AT_ONCE: usize = 2;
/// Of these, hashes of new passwords.
const NEW_AT_ONCE: usize = 1;
/// Sign-ins that wait or are computed, in total and of one network: at 50 ms each the last one waits three
/// seconds.
const SIGN_INS: usize = 128;
const SIGN_INS_OF_NETWORK: usize = 64;
/// Beside those: of devices that have signed in before.
const SIGN_INS_OF_KNOWN_DEVICES: usize = 32;
const SIGN_INS_OF_DEVICE: usize = 2;
/// New passwords that wait or are computed.
const NEW_PASSWORDS: usize = 64;
const NEW_PASSWORDS_OF_NETWORK: usize = 32;
/// When a full queue is worth another look.
const RETRY_S: u64 = 2;
const LONGEST: usize = 1024;

#[derive(Debug)]
pub(crate) struct Passwords {
    at_once: Arc<Semaphore>,
    new_at_once: Semaphore,
    sign_ins: Arc<ConcurrencyLimit<IpAddr>>,
    sign_ins_of_known_devices: Arc<ConcurrencyLimit<DeviceId>>,
    new_passwords: Arc<ConcurrencyLimit<IpAddr>>,
    memory: Arc<Memory>,
}

/// A place in the queue, held until the hash is computed.
#[derive(Debug)]
enum Queued {
    Network { _place: Permit<IpAddr> },
    Device { _place: Permit<DeviceId> },
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            new_at_once: Semaphore::new(NEW_AT_ONCE),
            sign_ins: ConcurrencyLimit::new(SIGN_INS, SIGN_INS_OF_NETWORK),
            sign_ins_of_known_devices: ConcurrencyLimit::new(
                SIGN_INS_OF_KNOWN_DEVICES,
                SIGN_INS_OF_DEVICE,
            ),
            new_passwords: ConcurrencyLimit::new(NEW_PASSWORDS, NEW_PASSWORDS_OF_NETWORK),
            memory: Arc::default(),
        }
    }

    /// The hash of a new password as a PHC string.
    ///
    /// # Errors
    /// [`ApiError::Busy`] when the queue is full.
    pub(crate) async fn hash(&self, password: String, network: IpAddr) -> Result<String, ApiError> {
        let place = self.new_passwords.enter(network).map_err(|_| BUSY)?;
        let queued = Queued::Network { _place: place };
        let _one_of_few = self.new_at_once.acquire().await;
        let hash = move |memory: &Memory| memory.hash(password.as_bytes());
        self.compute(queued, hash).await?.map_err(|error| {
            tracing::error!(%error, "could not hash a password");
            ApiError::Internal
        })
    }

    /// Whether the password is the one that was hashed. Without a hash (no such account) the same work
    /// is done and the answer is no: how long it took tells nothing.
    ///
    /// # Errors
    /// [`ApiError::Busy`] when the queue is full.
    pub(crate) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
        caller: Caller,
    ) -> Result<bool, ApiError> {
        let queued = self.enter(caller).ok_or(BUSY)?;
        self.compute(queued, move |memory| match hash {
            Some(hash) => memory.verify(password.as_bytes(), &hash),
            None => {
                let _ = memory.hash(password.as_bytes());
                false
            }
        })
        .await
    }

    /// A place for a sign-in. Known devices have some of their own, and may also take what all have.
    fn enter(&self, caller: Caller) -> Option<Queued> {
        let (device, network) = match caller {
            Caller::KnownDevice { device, network } => (Some(device), network),
            Caller::Stranger { network } => (None, network),
        };
        let own = device.and_then(|device| self.sign_ins_of_known_devices.enter(device).ok());
        if let Some(place) = own {
            return Some(Queued::Device { _place: place });
        }
        let place = self.sign_ins.enter(network).ok()?;
        Some(Queued::Network { _place: place })
    }

    async fn compute<T: Send + 'static>(
        &self,
        queued: Queued,
        work: impl FnOnce(&Memory) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = Arc::clone(&self.at_once).acquire_owned().await;
        let memory = Arc::clone(&self.memory);
        let computed = tokio::task::spawn_blocking(move || {
            // Until its end, also when the caller has hung up.
            let _held = (permit, queued);
            work(&memory)
        });
        Ok(computed.await?)
    }
}

const BUSY: ApiError = ApiError::Busy {
    what: "sign-ins",
    retry_after_s: RETRY_S,
};

/// Blocks of argon2 that are used again. Allocated anew for each hash, they would stay with the allocator,
/// 19 MiB for each thread that ever computed one.
#[derive(Default)]
struct Memory {
    idle: Mutex<Vec<Vec<Block>>>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
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
        let as_we_hash = hash.algorithm == Algorithm::Argon2id.ident()
            && hash.version == Some(Version::V0x13.into())
            && Params::try_from(&hash.params).is_ok_and(|params| params == Params::DEFAULT);
        let (Some(salt), Some(expected), true) = (&hash.salt, &hash.hash, as_we_hash) else {
            return Argon2::default().verify_password(password, &hash).is_ok();
        };
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        self.compute(password, salt, &mut output).is_ok()
            // The comparison takes the same time wherever they differ.
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
    } else if password.chars().count() > LONGEST {
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

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const STRANGER: Caller = Caller::Stranger { network: HERE };

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let passwords = Passwords::new();
        let password = "Correct1horse".to_owned();
        let hash = passwords.hash(password, HERE).await.expect("hashes");
        let verify = async |password: &str, hash: Option<&str>| {
            let (password, hash) = (password.to_owned(), hash.map(str::to_owned));
            let verified = passwords.verify(password, hash, STRANGER);
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
    fn memory_that_is_used_again_gives_the_same_hashes() {
        let memory = Memory::default();
        let fresh = hash_new_password("Correct1horse").expect("hashes");
        for _ in 0..3 {
            assert!(memory.verify(b"Correct1horse", &fresh));
            assert!(!memory.verify(b"Wrong1horse", &fresh));
            let again = memory.hash(b"Correct1horse").expect("hashes");
            let phc = PasswordHash::new(&again).expect("a PHC string");
            let verified = Argon2::default().verify_password(b"Correct1horse", &phc);
            assert!(verified.is_ok(), "others understand it");
        }
        assert_eq!(memory.idle().len(), 1, "the same blocks");
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

        let sign_in = passwords.verify("Correct1horse".to_owned(), None, STRANGER);
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
        let all = passwords.at_once.acquire_many(2).await.expect("permits");
        let verify = |caller| passwords.verify(String::new(), None, caller);
        let mut waiting = Vec::new();
        for _ in 0..SIGN_INS_OF_NETWORK {
            let mut sign_in = Box::pin(verify(STRANGER));
            assert!(futures_util::poll!(sign_in.as_mut()).is_pending());
            waiting.push(sign_in);
        }

        let refused = verify(STRANGER).await;

        assert!(matches!(refused, Err(ApiError::Busy { .. })), "{refused:?}");
        for caller in [
            Caller::Stranger {
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
        verify(STRANGER).await.expect("there is room again");
    }
}
