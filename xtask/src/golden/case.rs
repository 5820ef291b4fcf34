//! A case on disk: `photo.jpg`, `README.md` with the reason for it, and `expected/`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::outcome::{Facts, Outcome, PICTURES};

#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    folder: PathBuf,
}

const FACTS: &str = "outcome.json";

impl Case {
    /// The cases below `folder`, by name.
    pub(super) fn all(folder: &Path) -> anyhow::Result<Vec<Self>> {
        let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let mut cases = Vec::new();
        for entry in entries {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let case = Self {
                name: entry.file_name().to_string_lossy().into_owned(),
                folder: entry.path(),
            };
            let reason = case.folder.join("README.md");
            ensure!(
                reason.exists(),
                "{}: README.md says why it is there",
                case.name
            );
            cases.push(case);
        }
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(cases)
    }

    pub(super) fn photo(&self) -> anyhow::Result<Vec<u8>> {
        read(&self.folder.join("photo.jpg"))
    }

    pub(super) fn expected(&self) -> anyhow::Result<Outcome> {
        let folder = self.folder.join("expected");
        let facts: Facts = serde_json::from_slice(&read(&folder.join(FACTS))?)?;
        let pictures = match &facts {
            Facts::Rejected { .. } => Vec::new(),
            Facts::Finished { .. } => PICTURES
                .iter()
                .map(|name| Ok(((*name).to_owned(), read(&folder.join(name))?)))
                .collect::<anyhow::Result<_>>()?,
        };
        Ok(Outcome { facts, pictures })
    }

    /// Stores an outcome as the expected one. Whether anything is different now.
    pub(super) fn store(&self, outcome: &Outcome) -> anyhow::Result<bool> {
        let folder = self.folder.join("expected");
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let facts = serde_json::to_string_pretty(&outcome.facts)? + "\n";
        let mut changed = write(&folder.join(FACTS), facts.as_bytes())?;
        for name in PICTURES {
            let path = folder.join(name);
            match outcome.picture(name) {
                Some(bytes) => changed |= write(&path, bytes)?,
                None if path.exists() => {
                    std::fs::remove_file(&path)?;
                    changed = true;
                }
                None => {}
            }
        }
        Ok(changed)
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<bool> {
    if std::fs::read(path).is_ok_and(|before| before == bytes) {
        return Ok(false);
    }
    std::fs::write(path, bytes).with_context(|| path.display().to_string())?;
    Ok(true)
}
