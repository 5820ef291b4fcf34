//! The folder of the embedded default: its lock, its secrets, its paths.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use irisflow_server::Secrets;
use serde::{Deserialize, Serialize};

use crate::atomic_file::{make_private_folder, write_private};

#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
}

/// While it is held, no other process uses the folder. The system lets go of it when a process dies.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
    _folder: Option<File>,
}

#[derive(Serialize, Deserialize)]
struct StoredSecrets {
    access_tokens: String,
    refresh_tokens: String,
    urls: String,
}

impl DataFolder {
    /// Makes the folder when it is not there, readable by its owner only. For commands that are content
    /// with what the database itself guards.
    pub(crate) fn at(path: &Path) -> anyhow::Result<Self> {
        make_private_folder(path)
            .with_context(|| format!("making the data folder {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// A folder in which a service keeps its data already. Makes and changes nothing.
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

    /// The same as [`DataFolder::at`], and locks it: for whoever works on jobs.
    pub(crate) fn open(path: &Path) -> anyhow::Result<(Self, FolderLock)> {
        let folder = Self::at(path)?;
        let lock_path = path.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .with_context(|| format!("opening {}", lock_path.display()))?;
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

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("irisflow.sqlite")
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.path.join("files")
    }

    pub(crate) fn secrets_file(&self) -> PathBuf {
        self.path.join("secrets.json")
    }

    /// What signs tokens and links; made on the first start and kept.
    pub(crate) fn secrets(&self) -> anyhow::Result<Secrets> {
        let path = self.secrets_file();
        if !path.exists() {
            write_new_secrets(&path).with_context(|| format!("writing {}", path.display()))?;
        }
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let stored: StoredSecrets = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged", path.display()))?;
        Ok(Secrets {
            access_tokens: decode(&stored.access_tokens)?,
            refresh_tokens: decode(&stored.refresh_tokens)?,
            urls: decode(&stored.urls)?,
        })
    }
}

/// The lock file may be removed while it is held, and then another one be made and locked; the folder
/// stays. Where folders cannot be locked (some network file systems), the file alone must do.
fn lock_folder_itself(path: &Path) -> Result<File, TryLockError> {
    let folder = File::open(path).map_err(TryLockError::Error)?;
    folder.try_lock()?;
    Ok(folder)
}

fn write_new_secrets(path: &Path) -> anyhow::Result<()> {
    let fresh = || URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let secrets = StoredSecrets {
        access_tokens: fresh(),
        refresh_tokens: fresh(),
        urls: fresh(),
    };
    write_private(path, &serde_json::to_vec_pretty(&secrets)?)?;
    Ok(())
}

fn decode(text: &str) -> anyhow::Result<[u8; 32]> {
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .context("secrets.json is damaged")?;
    bytes
        .try_into()
        .map_err(|_| anyhow::anyhow!("secrets.json is damaged: a key is too short"))
}
