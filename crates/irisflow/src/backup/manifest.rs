//! What a backup holds, with checksums: `manifest.json`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::atomic_file::{create_private, write_private};

const NAME: &str = "manifest.json";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// RFC 3339, UTC.
    pub(super) made_at: String,
    pub(super) database: Entry,
    pub(super) secrets: Entry,
    /// By key.
    pub(super) objects: BTreeMap<String, Entry>,
    /// Objects that were not as the database records them when the backup was made, by key.
    #[serde(default)]
    pub(super) troubled: BTreeMap<String, Trouble>,
}

/// What is wrong with an object in the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Trouble {
    Missing,
    /// Its checksum is not the recorded one. It is in the backup as it is.
    Damaged,
    Unreadable,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) bytes: u64,
    /// In lower-case hex.
    pub(super) sha256: String,
}

impl Manifest {
    pub(super) fn read(backup: &Path) -> anyhow::Result<Self> {
        let path = backup.join(NAME);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{} is no backup: reading its manifest", backup.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    pub(super) fn write(&self, backup: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self).context("the manifest as JSON")?;
        write_private(&backup.join(NAME), text.as_bytes()).context("writing the manifest")
    }

    pub(super) fn bytes(&self) -> u64 {
        let objects: u64 = self.objects.values().map(|entry| entry.bytes).sum();
        self.database.bytes + objects
    }
}

impl Entry {
    pub(super) fn of_file(path: &Path) -> anyhow::Result<Self> {
        match pass(&mut open(path)?, &mut std::io::sink())? {
            Copied::Whole(entry) => Ok(entry),
            Copied::Unreadable => bail!("{} could not be read", path.display()),
        }
    }

    /// Holds a file of the backup against what was written down.
    pub(super) fn check(&self, path: &Path) -> anyhow::Result<()> {
        if Self::of_file(path)? != *self {
            bail!(
                "{} is damaged: its checksum is not the recorded one",
                path.display()
            );
        }
        Ok(())
    }
}

pub(super) fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("opening {}", path.display()))
}

/// What became of a copy.
pub(super) enum Copied {
    Whole(Entry),
    /// The source fails, not the target.
    Unreadable,
}

/// Copies for its owner's eyes only. It is on the disk when this returns.
pub(super) fn copy_hashed(from: &mut impl Read, to: &Path) -> anyhow::Result<Copied> {
    let mut file = create_private(to).with_context(|| format!("making {}", to.display()))?;
    let copied = pass(from, &mut file).with_context(|| format!("writing {}", to.display()))?;
    file.sync_all()
        .with_context(|| format!("flushing {}", to.display()))?;
    Ok(copied)
}

fn pass(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<Copied> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return Ok(Copied::Unreadable),
        };
        hash.update(&piece[..length]);
        to.write_all(&piece[..length])?;
        bytes += length as u64;
    }
    let sha256 = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(Copied::Whole(Entry { bytes, sha256 }))
}
