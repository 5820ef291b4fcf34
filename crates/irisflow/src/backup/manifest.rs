//! The manifest of a backup (`manifest.json`): its files with sizes and checksums.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use irisflow_photos::ObjectStream;
use serde::{Deserialize, Serialize};

use crate::atomic_file::{create_private, write_private};
use crate::checksum::{FileChecksum, Hasher};
use crate::recorded_objects::ObjectProblem;

const NAME: &str = "manifest.json";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// RFC 3339, UTC.
    pub(super) made_at: String,
    pub(super) database: FileChecksum,
    pub(super) secrets: FileChecksum,
    /// By key.
    pub(super) objects: BTreeMap<String, FileChecksum>,
    /// Objects that were missing, damaged or unreadable when the backup was made, by key.
    #[serde(default, rename = "troubled")]
    pub(super) problems: BTreeMap<String, ObjectProblem>,
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

/// The checksum of a file of the backup.
pub(super) fn checksum_of(path: &Path) -> anyhow::Result<FileChecksum> {
    match copy_and_hash(&mut open(path)?, &mut std::io::sink())? {
        CopyResult::Whole(entry) => Ok(entry),
        CopyResult::Unreadable => bail!("{} could not be read", path.display()),
    }
}

/// Verifies a file of the backup against its recorded size and checksum.
pub(super) fn check(recorded: &FileChecksum, path: &Path) -> anyhow::Result<()> {
    if checksum_of(path)? != *recorded {
        bail!(
            "{} is damaged: its checksum is not the recorded one",
            path.display()
        );
    }
    Ok(())
}

pub(super) fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("opening {}", path.display()))
}

/// The result of copying a file.
pub(super) enum CopyResult {
    Whole(FileChecksum),
    /// Reading the source failed (an error of the target is an `Err`).
    Unreadable,
}

/// Copies into a file that is readable by its owner only; it is flushed to the disk on return.
pub(super) fn copy_hashed(from: &mut impl Read, to: &Path) -> anyhow::Result<CopyResult> {
    let mut file = create_private(to).with_context(|| format!("making {}", to.display()))?;
    let copied =
        copy_and_hash(from, &mut file).with_context(|| format!("writing {}", to.display()))?;
    file.sync_all()
        .with_context(|| format!("flushing {}", to.display()))?;
    Ok(copied)
}

/// The same for a stored object.
pub(super) async fn copy_stream_hashed(
    mut from: ObjectStream,
    to: &Path,
) -> anyhow::Result<CopyResult> {
    let mut file = create_private(to).with_context(|| format!("making {}", to.display()))?;
    let mut hasher = Hasher::default();
    while let Some(piece) = from.next().await {
        let Ok(piece) = piece else {
            return Ok(CopyResult::Unreadable);
        };
        hasher.add(&piece);
        file.write_all(&piece)
            .with_context(|| format!("writing {}", to.display()))?;
    }
    file.sync_all()
        .with_context(|| format!("flushing {}", to.display()))?;
    Ok(CopyResult::Whole(hasher.checksum()))
}

/// Copies and computes the checksum.
fn copy_and_hash(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<CopyResult> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(CopyResult::Whole(hasher.checksum())),
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return Ok(CopyResult::Unreadable),
        };
        hasher.add(&buffer[..length]);
        to.write_all(&buffer[..length])?;
    }
}
