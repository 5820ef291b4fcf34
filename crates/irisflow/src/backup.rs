//! `irisflow backup`: online backup of the embedded configuration into a folder. First a snapshot of the
//! database, then the objects that it references; objects are immutable, so that both are consistent.

mod manifest;
pub(crate) mod restore;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use irisflow_jobs::{Clock as _, SystemClock};
use irisflow_photos::ObjectStore;

use self::manifest::{CopyResult, Manifest, checksum_of, copy_hashed, copy_stream_hashed};
use crate::atomic_file::make_private_folder;
use crate::checksum::FileChecksum;
use crate::compose::{self, Snapshot};
use crate::data_folder::DataFolder;
use crate::exit_code::Outcome;
use crate::in_runtime;
use crate::recorded_objects::{ObjectProblem, RecordedObject, open_object, recorded_objects};

const DATABASE: &str = "irisflow.sqlite";
const SECRETS: &str = "secrets.json";
const OBJECTS: &str = "objects";

/// Maximum number of snapshots, when objects that they reference are missing.
const MAX_SNAPSHOTS: usize = 5;

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Folder of the running or stopped server.
    #[arg(long, env = "IRISFLOW_DATA_DIR", default_value = "irisflow-data")]
    data_dir: PathBuf,
    /// Folder to make. It holds people's photos and this server's secrets: keep it as safe as these.
    ///
    /// Objects that are damaged or missing are named, the rest is copied, and the exit code is 4.
    out: PathBuf,
}

pub(crate) fn run(arguments: BackupArgs) -> anyhow::Result<ExitCode> {
    let (from, out) = (arguments.data_dir, arguments.out);
    if out.exists() {
        bail!(
            "{} exists already; name a folder that is to be made",
            out.display()
        );
    }
    let folder = DataFolder::existing(&from)?;
    let mut unfinished = out.clone().into_os_string();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).context("removing an unfinished backup")?;
    }
    make_private_folder(&unfinished)
        .with_context(|| format!("making the folder {}", unfinished.display()))?;
    let manifest = in_runtime(copy(&folder, &unfinished))?;
    manifest.write(&unfinished)?;
    fs::rename(&unfinished, &out).with_context(|| format!("making {}", out.display()))?;
    report(&manifest, &out)
}

/// Prints a summary and lists the damaged, missing and unreadable objects.
fn report(manifest: &Manifest, out: &Path) -> anyhow::Result<ExitCode> {
    let mut text = format!(
        "{}: {} objects, {} MB\n",
        out.display(),
        manifest.objects.len(),
        manifest.bytes() / (1024 * 1024)
    );
    for (name, problem) in &manifest.problems {
        text.push_str(&format!("{name} {problem}\n"));
    }
    if !manifest.problems.is_empty() {
        text.push_str(&format!(
            "{} objects are not as they were recorded; everything else is in the backup\n",
            manifest.problems.len()
        ));
    }
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("writing the answer")?;
    Ok(match manifest.problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => Outcome::Incomplete.into(),
    })
}

async fn copy(folder: &DataFolder, out: &Path) -> anyhow::Result<Manifest> {
    let files = compose::objects_of_other_process(&folder.files());
    let secrets = copy_file(&folder.secrets_file(), &out.join(SECRETS))?;
    let mut copied: BTreeMap<String, FileChecksum> = BTreeMap::new();
    let mut missed_before = BTreeSet::new();
    for tries_left in (0..MAX_SNAPSHOTS).rev() {
        let database = out.join(DATABASE);
        if database.exists() {
            fs::remove_file(&database).context("removing an earlier snapshot")?;
        }
        let snapshot = Snapshot::take(&folder.database(), &database)
            .await
            .context("copying the database")?;
        let mut objects = BTreeMap::new();
        let mut problems = BTreeMap::new();
        for recorded in recorded_objects(&snapshot).await? {
            let name = recorded.key.to_string();
            let (entry, problem) = match copied.remove(&name) {
                Some(entry) => compared(&recorded, entry),
                None => copy_object(&*files, &recorded, out).await?,
            };
            if let Some(problem) = problem {
                problems.insert(name.clone(), problem);
            }
            if let Some(entry) = entry {
                objects.insert(name, entry);
            }
        }
        // An object that an earlier snapshot referenced and this one does not was deleted by its owner, and must
        // not stay in the backup.
        for name in copied.keys() {
            fs::remove_file(out.join(OBJECTS).join(name))
                .with_context(|| format!("deleting {name}"))?;
        }
        let missed: BTreeSet<String> = problems
            .iter()
            .filter(|(_, problem)| **problem == ObjectProblem::Missing)
            .map(|(name, _)| name.clone())
            .collect();
        // Photos and jobs may be deleted during the copying, with their objects; the next snapshot no longer
        // references them. An object counts as missing when two consecutive snapshots reference it in vain.
        if tries_left == 0 || missed.is_subset(&missed_before) {
            return Ok(Manifest {
                made_at: SystemClock.now().to_rfc3339(),
                database: checksum_of(&database)?,
                secrets,
                objects,
                problems,
            });
        }
        missed_before = missed;
        copied = objects;
    }
    bail!("no snapshot was taken")
}

/// The copied file, with a problem if its checksum is not the recorded one.
fn compared(
    recorded: &RecordedObject,
    entry: FileChecksum,
) -> (Option<FileChecksum>, Option<ObjectProblem>) {
    let problem = recorded.compare(&entry);
    (Some(entry), problem)
}

/// Copies the object unchanged. A problem with the object does not end the backup; an error writing the backup
/// does.
async fn copy_object(
    files: &dyn ObjectStore,
    recorded: &RecordedObject,
    out: &Path,
) -> anyhow::Result<(Option<FileChecksum>, Option<ObjectProblem>)> {
    let object = match open_object(files, &recorded.key).await {
        Ok(Some(object)) => object,
        Ok(None) => return Ok((None, Some(ObjectProblem::Missing))),
        Err(_) => return Ok((None, Some(ObjectProblem::Unreadable))),
    };
    let target = out.join(OBJECTS).join(recorded.key.to_string());
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    match copy_stream_hashed(object, &target).await? {
        CopyResult::Whole(entry) => Ok(compared(recorded, entry)),
        CopyResult::Unreadable => {
            fs::remove_file(&target).with_context(|| format!("deleting {}", target.display()))?;
            Ok((None, Some(ObjectProblem::Unreadable)))
        }
    }
}

fn copy_file(from: &Path, to: &Path) -> anyhow::Result<FileChecksum> {
    let mut file = fs::File::open(from).with_context(|| format!("opening {}", from.display()))?;
    match copy_hashed(&mut file, to)? {
        CopyResult::Whole(entry) => Ok(entry),
        CopyResult::Unreadable => bail!("{} could not be read", from.display()),
    }
}
