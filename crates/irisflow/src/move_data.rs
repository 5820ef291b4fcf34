//! `irisflow move`: copies what an embedded data folder holds into PostgreSQL, a bucket of S3, or both, and compares the
//! copy with the folder. The folder stays as it is. It can be interrupted and repeated: what is equal already is not
//! copied again.

mod objects;
mod progress;
mod rows;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use irisflow_jobs::JobPolicy;

use self::objects::{MovedObjects, move_objects};
use self::rows::{RowCounts, move_rows};
use crate::compose::{
    DatabaseChoice, Export, Import, ObjectStoreChoice, PostgresSettings, S3Settings, Snapshot,
    objects_of_other_process, objects_on_s3,
};
use crate::config_file::ConfigArgs;
use crate::data_folder::DataFolder;
use crate::database_args::DatabaseArgs;
use crate::exit_code::Outcome;
use crate::in_runtime;
use crate::running::print;
use crate::s3_args::S3Args;

#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    #[command(flatten)]
    _config: ConfigArgs,
    /// Folder of the stopped server. It is only read.
    #[arg(long, env = "IRISFLOW_DATA_DIR", default_value = "irisflow-data")]
    data_dir: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    s3: S3Args,
    /// File for the keys of the folder, for all nodes of the database; needed with --database-url. One that exists must
    /// hold the same keys.
    #[arg(
        long,
        env = "IRISFLOW_SECRETS_FILE",
        value_name = "FILE",
        help_heading = "Database"
    )]
    secrets_file: Option<PathBuf>,
    /// Accounts whose rows are copied in one transaction.
    #[arg(
        long,
        default_value_t = 100,
        value_name = "NUMBER",
        help_heading = "Database"
    )]
    accounts_at_once: usize,
}

/// Where the data goes. What is `None` stays in the folder.
struct Targets {
    database: Option<PostgresSettings>,
    bucket: Option<Box<S3Settings>>,
}

/// What was copied.
#[derive(Default)]
struct Moved {
    rows: Option<RowCounts>,
    objects: Option<MovedObjects>,
}

pub(crate) fn run(arguments: &MoveArgs) -> anyhow::Result<ExitCode> {
    let targets = arguments.targets()?;
    let source = &arguments.data_dir;
    DataFolder::existing(source)?;
    // No service runs on the folder until the end.
    let (folder, _lock) = DataFolder::open(source)?;
    let moved = in_runtime(move_data(arguments, &folder, &targets))?;
    Ok(report(&moved, arguments))
}

impl MoveArgs {
    fn targets(&self) -> anyhow::Result<Targets> {
        let database = match self.database.choice() {
            DatabaseChoice::Sqlite => None,
            DatabaseChoice::Postgres(settings) => Some(settings),
        };
        let bucket = match self.s3.choice(JobPolicy::default().lease)? {
            ObjectStoreChoice::Files => None,
            ObjectStoreChoice::S3(settings) => Some(settings),
        };
        if database.is_none() && bucket.is_none() {
            bail!(
                "name where to move the data: --database-url for accounts and jobs, --s3-bucket for photos, or both"
            );
        }
        if database.is_some() && self.secrets_file.is_none() {
            bail!("--database-url needs --secrets-file: the file into which the keys are copied");
        }
        Ok(Targets { database, bucket })
    }
}

/// Everything that can be refused is refused before the first object is copied.
async fn move_data(
    arguments: &MoveArgs,
    folder: &DataFolder,
    targets: &Targets,
) -> anyhow::Result<Moved> {
    let mut export = Export::open(&folder.database())
        .await
        .with_context(|| format!("opening {}", folder.database().display()))?;
    let import = match &targets.database {
        Some(settings) => Some(begin_import(settings).await?),
        None => None,
    };
    if let (Some(file), Some(_)) = (&arguments.secrets_file, &import) {
        folder.copy_secrets(file)?;
    }
    let mut moved = Moved::default();
    if let Some(settings) = &targets.bucket {
        moved.objects = Some(move_photos(folder, settings).await?);
    }
    if let Some(import) = import {
        moved.rows = Some(move_rows(&mut export, import, arguments.accounts_at_once).await?);
    }
    Ok(moved)
}

async fn begin_import(settings: &PostgresSettings) -> anyhow::Result<Import> {
    let address = settings.address().context("reading --database-url")?;
    Import::begin(settings)
        .await
        .with_context(|| format!("PostgreSQL at {address}"))
}

async fn move_photos(folder: &DataFolder, settings: &S3Settings) -> anyhow::Result<MovedObjects> {
    let bucket = objects_on_s3(settings)?;
    let writable = bucket.check_writable(1).await;
    writable.with_context(|| format!("writing to {settings}"))?;
    let snapshot = Snapshot::of_unused(&folder.database());
    let files = objects_of_other_process(&folder.files());
    move_objects(&snapshot, &*files, &*bucket).await
}

/// Prints what was copied, and what is not as it was recorded.
fn report(moved: &Moved, arguments: &MoveArgs) -> ExitCode {
    for (table, rows) in moved.rows.iter().flatten() {
        print(&format!("{:<18} {rows} rows\n", table.name));
    }
    let mut outcome = Outcome::Completed;
    if let Some(objects) = &moved.objects {
        let megabytes = objects.bytes / (1024 * 1024);
        print(&format!(
            "{:<18} {}, {megabytes} MB\n",
            "objects", objects.count
        ));
        for (key, problem) in &objects.problems {
            print(&format!("{key} {problem}\n"));
        }
        for key in &objects.foreign {
            print(&format!("{key} is in the bucket and not in the folder\n"));
        }
        if objects.differ() {
            print("these objects differ from what was recorded; everything else was moved\n");
            outcome = Outcome::Incomplete;
        }
    }
    if outcome == Outcome::Completed {
        let folder = arguments.data_dir.display();
        print(&format!("the copy is equal to {folder}\n"));
    }
    print(&next_step(moved, arguments));
    outcome.into()
}

/// How to serve the copy.
fn next_step(moved: &Moved, arguments: &MoveArgs) -> String {
    let (folder, file) = (
        arguments.data_dir.display(),
        arguments.secrets_file.as_deref(),
    );
    let file = file.map(Path::display).filter(|_| moved.rows.is_some());
    let keys = file.map_or(String::new(), |file| format!(", --secrets-file {file}"));
    let rest = match (&moved.rows, &moved.objects) {
        (Some(_), Some(_)) => format!("then delete {folder}, which holds people's photos"),
        (_, None) => format!("the photos stay in {folder}: name it with --data-dir"),
        (None, _) => format!("accounts and jobs stay in {folder}: name it with --data-dir"),
    };
    format!("serve it with the same settings{keys}; {rest}\n")
}
