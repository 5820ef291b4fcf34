//! `irisflow backup`: a folder with everything of the embedded default, made while it serves. First the
//! database as it is at one moment, then the objects that it names; objects are never overwritten, so
//! the two fit together.

mod manifest;
pub(crate) mod restore;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use irisflow_jobs::{Clock as _, SystemClock};
use irisflow_photos::{FileStore, ObjectKey};
use irisflow_sqlite::Snapshot;

use self::manifest::{Entry, Manifest, copy_hashed};
use crate::data_folder::DataFolder;
use crate::in_runtime;
use crate::whole_file::make_private_folder;

const DATABASE: &str = "irisflow.sqlite";
const SECRETS: &str = "secrets.json";
const OBJECTS: &str = "objects";

/// A photo or job that is deleted while we copy takes its objects along; then the next snapshot does not
/// name it any more.
const TRIES: usize = 5;

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Folder of the running or stopped server.
    #[arg(long, env = "IRISFLOW_DATA_DIR", default_value = "irisflow-data")]
    data_dir: PathBuf,
    /// Folder to make. It holds people's photos and this server's secrets: keep it as safe as these.
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
    let said = format!(
        "{}: {} objects, {} MB\n",
        out.display(),
        manifest.objects.len(),
        manifest.bytes() / (1024 * 1024)
    );
    std::io::stdout()
        .write_all(said.as_bytes())
        .context("writing the answer")?;
    Ok(ExitCode::SUCCESS)
}

async fn copy(folder: &DataFolder, out: &Path) -> anyhow::Result<Manifest> {
    let files = FileStore::beside(&folder.files());
    let secrets = copy_file(&folder.secrets_file(), &out.join(SECRETS))?;
    let mut copied: BTreeMap<String, Entry> = BTreeMap::new();
    for _ in 0..TRIES {
        let database = out.join(DATABASE);
        if database.exists() {
            fs::remove_file(&database).context("removing an earlier snapshot")?;
        }
        let snapshot = Snapshot::take(&folder.database(), &database)
            .await
            .context("copying the database")?;
        let mut objects = BTreeMap::new();
        let mut missing = Vec::new();
        for named in named_objects(&snapshot).await? {
            let name = named.key.to_string();
            let entry = match copied.remove(&name) {
                Some(entry) => Some(entry),
                None => copy_object(&files, &named, out)?,
            };
            match entry {
                Some(entry) => drop(objects.insert(name, entry)),
                None => missing.push(name),
            }
        }
        // What was copied and is no longer named was deleted by its owner: it does not stay here.
        for name in copied.keys() {
            fs::remove_file(out.join(OBJECTS).join(name))
                .with_context(|| format!("deleting {name}"))?;
        }
        if missing.is_empty() {
            return Ok(Manifest {
                made_at: SystemClock.now().to_rfc3339(),
                database: Entry::of_file(&database)?,
                secrets,
                objects,
            });
        }
        copied = objects;
    }
    bail!("the database names objects that are not in the storage; nothing was backed up")
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
            let key = ObjectKey::Original {
                user_id: photo.user_id,
                photo_id: photo.id,
                format: stored.format,
            };
            let sha256 = Some(stored.sha256);
            named.push(NamedObject { key, sha256 });
        }
    }
    for result in snapshot.results().await? {
        let keys = ObjectKey::of_attempt(result.user_id, result.job_id, result.epoch);
        named.extend(keys.map(|key| NamedObject { key, sha256: None }));
    }
    Ok(named)
}

/// `None` when it is not there (any more).
fn copy_object(
    files: &FileStore,
    named: &NamedObject,
    out: &Path,
) -> anyhow::Result<Option<Entry>> {
    let Some(mut object) = files.open_object(&named.key)? else {
        return Ok(None);
    };
    let target = out.join(OBJECTS).join(named.key.to_string());
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let entry = copy_hashed(&mut object.file, &target)?;
    match &named.sha256 {
        Some(sha256) if *sha256 != entry.sha256 => bail!(
            "{} is damaged in the storage: its checksum is not the recorded one",
            named.key
        ),
        _ => Ok(Some(entry)),
    }
}

fn copy_file(from: &Path, to: &Path) -> anyhow::Result<Entry> {
    let mut file = fs::File::open(from).with_context(|| format!("opening {}", from.display()))?;
    copy_hashed(&mut file, to)
}
