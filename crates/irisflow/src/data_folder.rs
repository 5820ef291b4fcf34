//! The data folder: paths, lock, secrets. The embedded configuration has it for itself; with another database it
//! contains the photos, and several processes may share it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::atomic_file::{make_private_folder, write_private};

#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
}

/// Lock of the folder against other processes, exclusive or shared. The operating system releases it when the process
/// ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
    _folder: Option<File>,
}

/// What signs tokens and links, and encrypts the secrets of webhooks. Never printed.
pub(crate) struct FolderSecrets {
    pub(crate) access_tokens: [u8; 32],
    pub(crate) refresh_tokens: [u8; 32],
    pub(crate) links: [u8; 32],
    pub(crate) webhooks: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct StoredSecrets {
    access_tokens: String,
    refresh_tokens: String,
    urls: String,
    /// Missing in files of older versions.
    webhooks: Option<String>,
}

impl DataFolder {
    /// Creates the folder if it does not exist, readable by its owner only. Takes no lock: for commands for which
    /// the database's own locking is enough.
    pub(crate) fn at(path: &Path) -> anyhow::Result<Self> {
        make_private_folder(path)
            .with_context(|| format!("making the data folder {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// An existing data folder; creates and changes nothing.
    pub(crate) fn existing(path: &Path) -> anyhow::Result<Self> {
        let folder = Self {
            path: path.to_owned(),
        };
        if !folder.database().is_file() {
            bail!(
                "there is no Irisflow data in {}; name the server's data folder with --data-dir",
                path.display()
            );
        }
        Ok(folder)
    }

    /// Like [`DataFolder::at`], and locks the folder; required for processing jobs.
    pub(crate) fn open(path: &Path) -> anyhow::Result<(Self, FolderLock)> {
        let folder = Self::at(path)?;
        let file = open_lock_file(path)?;
        let locked_folder = lock_folder_itself(path);
        if file.try_lock().is_err() || matches!(locked_folder, Err(TryLockError::WouldBlock)) {
            bail!(
                "another irisflow is using {}; stop it, or choose another folder with --data-dir",
                path.display()
            );
        }
        let lock = FolderLock {
            _file: file,
            _folder: locked_folder.ok(),
        };
        Ok((folder, lock))
    }

    /// Like [`DataFolder::at`], and keeps processes out that need the folder for themselves.
    pub(crate) fn open_shared(path: &Path) -> anyhow::Result<(Self, FolderLock)> {
        let folder = Self::at(path)?;
        let file = open_lock_file(path)?;
        if file.try_lock_shared().is_err() {
            bail!(
                "an irisflow without --database-url is using {}; stop it, or choose another folder with --data-dir",
                path.display()
            );
        }
        let lock = FolderLock {
            _file: file,
            _folder: None,
        };
        Ok((folder, lock))
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("irisflow.sqlite")
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.path.join("files")
    }

    pub(crate) fn secrets_file(&self) -> PathBuf {
        self.path.join("secrets.json")
    }

    /// The keys; generated on the first start.
    pub(crate) fn secrets(&self) -> anyhow::Result<FolderSecrets> {
        let path = self.secrets_file();
        if !path.exists() {
            write_secrets(&path, &StoredSecrets::generate())?;
        }
        let mut stored = StoredSecrets::read(&path)?;
        if stored.webhooks.is_none() {
            stored.webhooks = Some(new_key());
            write_secrets(&path, &stored)?;
        }
        stored.decode()
    }

    /// Copies the keys to a file for nodes that do not use the folder. A file that exists must hold the same keys: with
    /// others, all sessions would end, and secrets of webhooks could not be read.
    pub(crate) fn copy_secrets(&self, file: &Path) -> anyhow::Result<()> {
        let (own, shown) = (self.secrets_file(), file.display());
        if !own.exists() {
            return secrets_of_file(file).map(drop).with_context(|| {
                format!("{} holds no keys, so the service has had them from --secrets-file: name that file", self.path.display())
            });
        }
        let mut secrets = StoredSecrets::read(&own)?;
        if !file.exists() {
            secrets.webhooks.get_or_insert_with(new_key);
            return write_secrets(file, &secrets);
        }
        if !secrets.are_in(&StoredSecrets::read(file)?) {
            bail!(
                "{shown} holds other keys than {}: with them, all sessions would end and webhooks would fail. Name a \
                 file that does not exist yet. If the service has had its keys from {shown}, move {} out of the folder",
                own.display(),
                own.display()
            );
        }
        Ok(())
    }
}

/// The keys in a file that the operator gives to all nodes.
pub(crate) fn secrets_of_file(path: &Path) -> anyhow::Result<FolderSecrets> {
    StoredSecrets::read(path)?
        .decode()
        .with_context(|| format!("the secrets in {}", path.display()))
}

/// Writes a file of new keys; an existing one is never replaced.
pub(crate) fn write_new_secrets(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        bail!("{} exists already and is not replaced", path.display());
    }
    write_secrets(path, &StoredSecrets::generate())
}

fn open_lock_file(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("lock");
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))
}

/// Locks the folder in addition to the lock file, because that file could be deleted and created again while the
/// lock is held. Where folders cannot be locked (some network file systems), the lock file alone must suffice.
fn lock_folder_itself(path: &Path) -> Result<File, TryLockError> {
    let folder = File::open(path).map_err(TryLockError::Error)?;
    folder.try_lock()?;
    Ok(folder)
}

impl StoredSecrets {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    fn decode(&self) -> anyhow::Result<FolderSecrets> {
        Ok(FolderSecrets {
            access_tokens: decode(&self.access_tokens)?,
            refresh_tokens: decode(&self.refresh_tokens)?,
            links: decode(&self.urls)?,
            webhooks: decode(self.webhooks.as_deref().unwrap_or_default())?,
        })
    }

    /// Whether the other file has these keys; that for webhooks may be new there.
    fn are_in(&self, other: &Self) -> bool {
        (&self.access_tokens, &self.refresh_tokens, &self.urls)
            == (&other.access_tokens, &other.refresh_tokens, &other.urls)
            && (self.webhooks.is_none() || self.webhooks == other.webhooks)
    }

    fn generate() -> Self {
        Self {
            access_tokens: new_key(),
            refresh_tokens: new_key(),
            urls: new_key(),
            webhooks: Some(new_key()),
        }
    }
}

fn new_key() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn write_secrets(path: &Path, secrets: &StoredSecrets) -> anyhow::Result<()> {
    let json = serde_json::to_vec_pretty(secrets)?;
    write_private(path, &json).with_context(|| format!("writing {}", path.display()))
}

fn decode(text: &str) -> anyhow::Result<[u8; 32]> {
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .context("secrets.json is damaged")?;
    bytes
        .try_into()
        .map_err(|_| anyhow::anyhow!("secrets.json is damaged: a key is too short"))
}
