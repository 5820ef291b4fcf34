//! `irisflow restore`: creates a data folder from a backup. All checksums are verified before anything is
//! written, and the database is written last, so that an interrupted restore leaves none.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use irisflow_jobs::{Clock as _, SystemClock};

use super::manifest::{self, CopyResult, Manifest, copy_hashed, open};
use super::{DATABASE, OBJECTS, SECRETS};
use crate::atomic_file::write_private;
use crate::compose;
use crate::data_folder::DataFolder;
use crate::in_runtime;

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// Folder that is to be made, or that holds no database yet.
    #[arg(long, env = "IRISFLOW_DATA_DIR", default_value = "irisflow-data")]
    data_dir: PathBuf,
    /// What `irisflow backup` made.
    backup: PathBuf,
}

pub(crate) fn run(arguments: RestoreArgs) -> anyhow::Result<ExitCode> {
    let (backup, target) = (arguments.backup, arguments.data_dir);
    let manifest = Manifest::read(&backup)?;
    let (folder, _lock) = DataFolder::open(&target)?;
    if folder.database().exists() {
        bail!(
            "{} holds a database already; choose another folder with --data-dir",
            target.display()
        );
    }
    check(&manifest, &backup)?;
    let secrets = fs::read(backup.join(SECRETS)).context("reading the secrets")?;
    write_private(&folder.secrets_file(), &secrets).context("writing the secrets")?;
    for key in manifest.objects.keys() {
        let source = backup.join(OBJECTS).join(key);
        copy(&source, &folder.files().join(OBJECTS).join(key))?;
    }
    let restoring = folder.database().with_extension("restoring");
    copy(&backup.join(DATABASE), &restoring)?;
    in_runtime(compose::begin_new_history(&restoring, SystemClock.now()))?;
    fs::rename(&restoring, folder.database()).context("putting the database in place")?;
    let mut text = format!(
        "{}: as of {}, {} objects; everybody signs in again\n",
        target.display(),
        manifest.made_at,
        manifest.objects.len()
    );
    for name in manifest.problems.keys() {
        text.push_str(&format!("{name} was not whole when the backup was made\n"));
    }
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("writing the answer")?;
    Ok(ExitCode::SUCCESS)
}

fn check(manifest: &Manifest, backup: &Path) -> anyhow::Result<()> {
    manifest::check(&manifest.database, &backup.join(DATABASE))?;
    manifest::check(&manifest.secrets, &backup.join(SECRETS))?;
    for (key, entry) in &manifest.objects {
        if irisflow_photos::ObjectKey::parse(key).is_none() {
            bail!("the manifest names {key:?}, which is no object of ours");
        }
        manifest::check(entry, &backup.join(OBJECTS).join(key))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    match copy_hashed(&mut open(from)?, to)? {
        CopyResult::Whole(_) => Ok(()),
        CopyResult::Unreadable => bail!("{} could not be read", from.display()),
    }
}
