//! The session of a server, kept between runs: a refresh token, never a password. One file a server, in
//! a folder that only its owner can enter.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use irisflow_client::TokenStore;
use serde::{Deserialize, Serialize};

use crate::atomic_file::{make_private_folder, write_private};

/// The file as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    server: String,
    email: String,
    refresh_token: String,
}

#[derive(Debug)]
pub(crate) struct SessionFile {
    file: PathBuf,
    server: String,
    /// Whose session it is, once that is known.
    email: Mutex<Option<String>>,
}

impl SessionFile {
    /// The session of `server` below the folder `config`.
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
        *session.lock() = session.read().map(|kept| kept.email);
        session
    }

    /// Whose session is kept, if there is one.
    pub(crate) fn email(&self) -> Option<String> {
        self.lock().clone()
    }

    /// The session that is kept from now on is this account's.
    pub(crate) fn belongs_to(&self, email: &str) {
        *self.lock() = Some(email.to_owned());
    }

    /// A damaged file, or one of another server whose name looks alike, is no session.
    fn read(&self) -> Option<Kept> {
        let text = std::fs::read(&self.file).ok()?;
        let kept: Kept = serde_json::from_slice(&text).ok()?;
        (kept.server == self.server).then_some(kept)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.email.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenStore for SessionFile {
    fn kept(&self) -> Option<String> {
        Some(self.read()?.refresh_token)
    }

    fn keep(&self, refresh_token: &str) -> io::Result<()> {
        if let Some(folder) = self.file.parent() {
            if let Some(config) = folder.parent() {
                make_private_folder(config)?;
            }
            make_private_folder(folder)?;
        }
        let kept = Kept {
            server: self.server.clone(),
            email: self.email().unwrap_or_default(),
            refresh_token: refresh_token.to_owned(),
        };
        write_private(&self.file, &serde_json::to_vec_pretty(&kept)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_kept_for_its_server_and_for_no_other() {
        let config = tempfile::tempdir().expect("a temp folder");
        let session = SessionFile::of("https://iris.example.com/", config.path());
        session.belongs_to("you@example.com");
        session.keep("token").expect("kept");

        let again = SessionFile::of("https://iris.example.com", config.path());
        assert_eq!(again.kept().as_deref(), Some("token"));
        assert_eq!(again.email().as_deref(), Some("you@example.com"));
        let alike = SessionFile::of("http://iris.example.com", config.path());
        assert_eq!((alike.kept(), alike.email()), (None, None));
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let config = tempfile::tempdir().expect("a temp folder");
        let config = config.path().join("irisflow");
        let session = SessionFile::of("http://127.0.0.1:8080", &config);
        session.keep("token").expect("kept");
        let mode = |path: &Path| {
            let metadata = std::fs::metadata(path).expect("it is there");
            metadata.permissions().mode() & 0o777
        };
        assert_eq!(mode(&session.file), 0o600);
        assert_eq!(mode(&config), 0o700);
        assert_eq!(mode(&config.join("sessions")), 0o700);
    }
}
