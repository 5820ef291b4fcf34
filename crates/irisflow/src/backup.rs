//! `irisflow backup`: a folder with everything of the embedded default, made while it serves. First the
//! database as it is at one moment, then the objects that it names; objects are never overwritten, so
//! the two fit together.

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
use irisflow_photos::{FileStore, ObjectKey};
use irisflow_sqlite::Snapshot;

use self::manifest::{Copied, Entry, Manifest, Trouble, copy_hashed};
use crate::atomic_file::make_private_folder;
use crate::data_folder::DataFolder;
use crate::exit_code::Outcome;
use crate::in_runtime;

const DATABASE: &str = "irisflow.sqlite";
const SECRETS: &str = "secrets.json";
const OBJECTS: &str = "objects";

/// How often the database is copied again since objects that it names were missing.
const TRIES: usize = 5;

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
    let folder = DataFolder::at(&from)?;
    if !folder.database().exists() {
        bail!("there is no database in {}", from.display());
    }
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

/// Says what was copied, and names what is not as it was recorded.
fn report(manifest: &Manifest, out: &Path) -> anyhow::Result<ExitCode> {
    let mut said = format!(
        "{}: {} objects, {} MB\n",
        out.display(),
        manifest.objects.len(),
        manifest.bytes() / (1024 * 1024)
    );
    for (name, trouble) in &manifest.troubled {
        let what = match trouble {
            Trouble::Missing => "is missing",
            Trouble::Damaged => "is damaged, and was copied as it is",
            Trouble::Unreadable => "could not be read",
        };
        said.push_str(&format!("{name} {what}\n"));
    }
    if !manifest.troubled.is_empty() {
        said.push_str(&format!(
            "{} objects are not as they were recorded; everything else is in the backup\n",
            manifest.troubled.len()
        ));
    }
    std::io::stdout()
        .write_all(said.as_bytes())
        .context("writing the answer")?;
    Ok(match manifest.troubled.is_empty() {
        true => ExitCode::SUCCESS,
        false => Outcome::Incomplete.into(),
    })
}

async fn copy(folder: &DataFolder, out: &Path) -> anyhow::Result<Manifest> {
    let files = FileStore::beside(&folder.files());
    let secrets = copy_file(&folder.secrets_file(), &out.join(SECRETS))?;
    let mut copied: BTreeMap<String, Entry> = BTreeMap::new();
    let mut missed_before = BTreeSet::new();
    for tries_left in (0..TRIES).rev() {
        let database = out.join(DATABASE);
        if database.exists() {
            fs::remove_file(&database).context("removing an earlier snapshot")?;
        }
        let snapshot = Snapshot::take(&folder.database(), &database)
            .await
            .context("copying the database")?;
        let mut objects = BTreeMap::new();
        let mut troubled = BTreeMap::new();
        for named in named_objects(&snapshot).await? {
            let name = named.key.to_string();
            let (entry, trouble) = match copied.remove(&name) {
                Some(entry) => named.compare(entry),
                None => copy_object(&files, &named, out)?,
            };
            if let Some(trouble) = trouble {
                troubled.insert(name.clone(), trouble);
            }
            if let Some(entry) = entry {
                objects.insert(name, entry);
            }
        }
        // What was copied and is no longer named was deleted by its owner: it does not stay here.
        for name in copied.keys() {
            fs::remove_file(out.join(OBJECTS).join(name))
                .with_context(|| format!("deleting {name}"))?;
        }
        let missed: BTreeSet<String> = troubled
            .iter()
            .filter(|(_, trouble)| **trouble == Trouble::Missing)
            .map(|(name, _)| name.clone())
            .collect();
        // A photo or job that is deleted while we copy takes its objects along, and the next snapshot
        // does not name it any more. What two snapshots in a row name and miss is really missing.
        if tries_left == 0 || missed.is_subset(&missed_before) {
            return Ok(Manifest {
                made_at: SystemClock.now().to_rfc3339(),
                database: Entry::of_file(&database)?,
                secrets,
                objects,
                troubled,
            });
        }
        missed_before = missed;
        copied = objects;
    }
    bail!("no snapshot was taken")
}

struct NamedObject {
    key: ObjectKey,
    /// In lower-case hex, where the database knows it.
    sha256: Option<String>,
}

async fn named_objects(snapshot: &Snapshot) -> anyhow::Result<Vec<NamedObject>> {
    let mut named = Vec::new();
    for photo in snapshot.originals().await? {
        if let Some(stored) = photo.stored {
            let thumbnail = ObjectKey::of_thumbnail(photo.user_id, photo.id, &stored);
            named.extend(thumbnail.map(|key| NamedObject { key, sha256: None }));
            named.push(NamedObject {
                key: ObjectKey::of_original(photo.user_id, photo.id, &stored),
                sha256: Some(stored.sha256),
            });
        }
    }
    for result in snapshot.results().await? {
        let keys = ObjectKey::of_attempt(result.user_id, result.job_id, result.epoch);
        let keys = keys.into_iter().filter(|key| {
            result.has_thumbnail || !matches!(key, ObjectKey::ResultThumbnail { .. })
        });
        named.extend(keys.map(|key| NamedObject { key, sha256: None }));
    }
    Ok(named)
}

impl NamedObject {
    /// What was copied, and whether it is what was recorded.
    fn compare(&self, entry: Entry) -> (Option<Entry>, Option<Trouble>) {
        let recorded = self.sha256.as_ref();
        let differs = recorded.is_some_and(|sha256| *sha256 != entry.sha256);
        (Some(entry), differs.then_some(Trouble::Damaged))
    }
}

/// Copies the object as it is. Trouble with one object does not end the backup; trouble with writing
/// the backup does.
fn copy_object(
    files: &FileStore,
    named: &NamedObject,
    out: &Path,
) -> anyhow::Result<(Option<Entry>, Option<Trouble>)> {
    let mut object = match files.open_object(&named.key) {
        Ok(Some(object)) => object,
        Ok(None) => return Ok((None, Some(Trouble::Missing))),
        Err(_) => return Ok((None, Some(Trouble::Unreadable))),
    };
    let target = out.join(OBJECTS).join(named.key.to_string());
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    match copy_hashed(&mut object.file, &target)? {
        Copied::Whole(entry) => Ok(named.compare(entry)),
        Copied::Unreadable => {
            fs::remove_file(&target).with_context(|| format!("deleting {}", target.display()))?;
            Ok((None, Some(Trouble::Unreadable)))
        }
    }
}

fn copy_file(from: &Path, to: &Path) -> anyhow::Result<Entry> {
    let mut file = fs::File::open(from).with_context(|| format!("opening {}", from.display()))?;
    match copy_hashed(&mut file, to)? {
        Copied::Whole(entry) => Ok(entry),
        Copied::Unreadable => bail!("{} could not be read", from.display()),
    }
}
