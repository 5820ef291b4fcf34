//! Session file: stores the refresh token of a server between runs, never a password. One file per
//! server, in a folder with mode 0700.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use irisflow_client::TokenStore;
use serde::{Deserialize, Serialize};

use crate::atomic_file::{make_private_folder, write_private};

/// Content of the file, as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct StoredSession {
    server: String,
    email: String,
    refresh_token: String,
}

#[derive(Debug)]
pub(crate) struct SessionFile {
    file: PathBuf,
    server: String,
    /// Account of the session, once it is known.
    email: Mutex<Option<String>>,
}

impl SessionFile {
    /// The session file of `server` in `config`/sessions.
    pub(crate) fn of(server: &str, config: &Path) -> Self {
        let server = server.trim_end_matches('/');
        let (_, host) = server.split_once("://").unwrap_or(("", server));
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') {
                c
            } else {
                '_'
            }
        };
        let name: String = host.chars().map(plain).collect();
        let session = Self {
            file: config.join("sessions").join(format!("{name}.json")),
            server: server.to_owned(),
            email: Mutex::new(None),
        };
        *session.lock() = session.read().map(|stored| stored.email);
        session
    }

    /// Account of the stored session, if there is one.
    pub(crate) fn email(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Sets the account to store with the next token.
    pub(crate) fn set_email(&self, email: &str) {
        *self.lock() = Some(email.to_owned());
    }

    /// `None` also for a damaged file, and for one of another server whose address maps to the same
    /// file name.
    fn read(&self) -> Option<StoredSession> {
        let text = std::fs::read(&self.file).ok()?;
        let stored: StoredSession = serde_json::from_slice(&text).ok()?;
        (stored.server == self.server).then_some(stored)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.email.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenStore for SessionFile {
    fn load(&self) -> Option<String> {
        Some(self.read()?.refresh_token)
    }

    fn save(&self, refresh_token: &str) -> io::Result<()> {
        if let Some(folder) = self.file.parent() {
            if let Some(config) = folder.parent() {
                make_private_folder(config)?;
            }
            make_private_folder(folder)?;
        }
        let stored = StoredSession {
            server: self.server.clone(),
            email: self.email().unwrap_or_default(),
            refresh_token: refresh_token.to_owned(),
        };
        write_private(&self.file, &serde_json::to_vec_pretty(&stored)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_stored_per_server() {
        let config = tempfile::tempdir().expect("a temp folder");
        let session = SessionFile::of("https://iris.example.com/", config.path());
        session.set_email("you@example.com");
        session.save("token").expect("saved");

        let again = SessionFile::of("https://iris.example.com", config.path());
        assert_eq!(again.load().as_deref(), Some("token"));
        assert_eq!(again.email().as_deref(), Some("you@example.com"));
        let other = SessionFile::of("http://iris.example.com", config.path());
        assert_eq!((other.load(), other.email()), (None, None));
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_a_session_file() {
        use std::os::unix::fs::PermissionsExt as _;

        let config = tempfile::tempdir().expect("a temp folder");
        let config = config.path().join("irisflow");
        let session = SessionFile::of("http://127.0.0.1:8080", &config);
        session.save("token").expect("saved");
        let mode = |path: &Path| {
            let metadata = std::fs::metadata(path).expect("it is there");
            metadata.permissions().mode() & 0o777
        };
        assert_eq!(mode(&session.file), 0o600);
        assert_eq!(mode(&config), 0o700);
        assert_eq!(mode(&config.join("sessions")), 0o700);
    }
}
