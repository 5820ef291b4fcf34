//! `irisflow doctor`: checks everything that the service depends on. Each line names one thing, what was found, and what
//! to do about it. Changes nothing but a probe file in the photo folder. The exit code is 3 when something fails.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use irisflow_jobs::{Clock as _, JobPolicy, SystemClock, Timestamp};

use crate::bus_args::BusArgs;
use crate::compose::{
    BusChoice, DatabaseChoice, Examination, ObjectStoreChoice, PostgresSettings, S3Settings,
    examine_postgres, objects_of_other_process, objects_on_s3, reaches_nats,
};
use crate::config_file::ConfigArgs;
use crate::data_folder::{DataFolder, secrets_of_file};
use crate::database_args::DatabaseArgs;
use crate::exit_code::Outcome;
use crate::otlp::reaches_collector;
use crate::running::print;
use crate::s3_args::S3Args;
use crate::trace_args::TraceArgs;
use crate::{file_descriptors, in_runtime};

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    _config: ConfigArgs,
    /// Folder for the photos, and without --database-url for the database.
    #[arg(long, env = "IRISFLOW_DATA_DIR", default_value = "irisflow-data")]
    data_dir: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    s3: S3Args,
    #[command(flatten)]
    bus: BusArgs,
    #[command(flatten)]
    traces: TraceArgs,
    /// The keys of the nodes; processes that only work need none.
    #[arg(long, env = "IRISFLOW_SECRETS_FILE", value_name = "FILE")]
    secrets_file: Option<PathBuf>,
}

/// Nodes use the time of the database; certificates and signatures for S3 depend on that of the machine.
const MOST_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);
/// A query of one job's checkpoints should not wait longer.
const SLOW_ROUND_TRIP: Duration = Duration::from_millis(20);
/// Keeps dead rows from being removed.
const LONG_TRANSACTION: Duration = Duration::from_secs(60 * 60);
/// About what a job writes.
const PROBE_BYTES: usize = 4 << 20;
/// The default of `--min-free-bytes`.
const LOW_SPACE_BYTES: u64 = 256 << 20;

pub(crate) fn run(arguments: DoctorArgs) -> anyhow::Result<ExitCode> {
    let findings = in_runtime(async { Ok(examine(arguments).await) })?;
    for finding in &findings {
        print(&finding.lines());
    }
    let has_failed = findings.iter().any(|finding| finding.state == State::Fails);
    Ok(match has_failed {
        true => Outcome::Failed.into(),
        false => ExitCode::SUCCESS,
    })
}

async fn examine(arguments: DoctorArgs) -> Vec<Finding> {
    let mut findings = match arguments.database.choice() {
        DatabaseChoice::Sqlite => vec![data_folder(&arguments.data_dir)],
        DatabaseChoice::Postgres(settings) => {
            let mut findings = database(&settings).await;
            findings.push(secrets(arguments.secrets_file.as_deref()));
            findings
        }
    };
    findings.push(match arguments.s3.choice(JobPolicy::default().lease) {
        Ok(ObjectStoreChoice::Files) => photo_folder(&arguments.data_dir).await,
        Ok(ObjectStoreChoice::S3(settings)) => bucket(&settings).await,
        Err(error) => Finding::fails("photos", error.to_string(), "set them"),
    });
    findings.extend(bus(&arguments.bus).await);
    findings.extend(traces(&arguments.traces).await);
    findings.push(open_files());
    findings
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Works,
    Warns,
    Fails,
}

#[derive(Debug)]
struct Finding {
    subject: &'static str,
    state: State,
    found: String,
    to_do: &'static str,
}

impl Finding {
    fn works(subject: &'static str, found: impl Into<String>) -> Self {
        Self {
            subject,
            state: State::Works,
            found: found.into(),
            to_do: "",
        }
    }

    fn warns(subject: &'static str, found: impl Into<String>, to_do: &'static str) -> Self {
        Self {
            state: State::Warns,
            to_do,
            ..Self::works(subject, found)
        }
    }

    fn fails(subject: &'static str, found: impl Into<String>, to_do: &'static str) -> Self {
        Self {
            state: State::Fails,
            to_do,
            ..Self::works(subject, found)
        }
    }

    fn lines(&self) -> String {
        let state = match self.state {
            State::Works => "ok",
            State::Warns => "warning",
            State::Fails => "FAILURE",
        };
        let mut lines = format!("{state:<8} {:<12} {}\n", self.subject, self.found);
        if !self.to_do.is_empty() {
            lines += &format!("{:<8} {:<12} to do: {}\n", "", "", self.to_do);
        }
        lines
    }
}

fn data_folder(path: &Path) -> Finding {
    match DataFolder::existing(path) {
        Ok(folder) => Finding::works("database", folder.database().display().to_string()),
        Err(_) => Finding::works(
            "database",
            format!("none in {} yet; the first start makes it", path.display()),
        ),
    }
}

async fn database(settings: &PostgresSettings) -> Vec<Finding> {
    let address = settings.address().unwrap_or_else(|error| error.to_string());
    let examined = examine_postgres(settings).await;
    let here = SystemClock.now();
    match examined {
        Ok(examination) => vec![
            server(&examination, &address),
            clock(&examination, here),
            schema(&examination),
            permission(&examination),
            durability(&examination),
            encryption(&examination),
            connections(&examination, settings.max_connections),
            transactions(&examination),
        ],
        Err(error) => vec![Finding::fails(
            "database",
            format!("PostgreSQL at {address}: {error}"),
            "check that it runs and is 15 or newer, the URL, the password, pg_hba.conf and firewalls",
        )],
    }
}

fn server(examination: &Examination, address: &str) -> Finding {
    let ms = examination.round_trip.as_secs_f64() * 1000.0;
    let version = &examination.server_version;
    let found = format!("PostgreSQL {version} at {address} answers within {ms:.1} ms");
    match examination.round_trip > SLOW_ROUND_TRIP {
        true => Finding::warns("database", found, "run the nodes near the database"),
        false => Finding::works("database", found),
    }
}

fn clock(examination: &Examination, here: Timestamp) -> Finding {
    // The connection was closed after the answer: this is a little later than the answer.
    let (ahead, behind) = (here.since(examination.now), examination.now.since(here));
    let difference = ahead.max(behind);
    let direction = if ahead > behind { "ahead of" } else { "behind" };
    let seconds = difference.as_secs_f64();
    let found = format!("this machine is {seconds:.1} s {direction} the database");
    match difference > MOST_CLOCK_DIFFERENCE {
        true => Finding::warns("clock", found, "synchronise both machines (NTP)"),
        false => Finding::works("clock", found),
    }
}

fn schema(examination: &Examination) -> Finding {
    if examination.is_unfinished_move {
        return Finding::fails(
            "schema",
            "`irisflow move` has not finished filling this database",
            "run it again with the same settings",
        );
    }
    match examination.missing_migrations.len() {
        0 => Finding::works("schema", "up to date"),
        missing => Finding::warns(
            "schema",
            format!("lacks {missing} migrations of this version"),
            "run `irisflow migrate`, or start a node with --migrate on (the default)",
        ),
    }
}

fn permission(examination: &Examination) -> Finding {
    if examination.is_read_only {
        let found = "the server is read-only, as a standby is";
        return Finding::fails("permission", found, "name the primary in --database-url");
    }
    match examination.may_create {
        true => Finding::works("permission", "the user may create tables"),
        false => Finding::fails(
            "permission",
            "the user may not create tables in this schema",
            "make it the owner of the database: ALTER DATABASE ... OWNER TO ...",
        ),
    }
}

fn durability(examination: &Examination) -> Finding {
    match examination.is_durable {
        true => Finding::works("durability", "commits survive a crash"),
        false => Finding::warns(
            "durability",
            "a crash of the server may lose answered requests",
            "set fsync = on and synchronous_commit = on",
        ),
    }
}

fn encryption(examination: &Examination) -> Finding {
    if examination.is_local {
        return Finding::works("encryption", "a socket of this machine");
    }
    match examination.is_encrypted {
        true => Finding::works("encryption", "the connection is encrypted"),
        false => Finding::warns(
            "encryption",
            "the connection is not encrypted",
            "add sslmode=verify-full to --database-url",
        ),
    }
}

fn connections(examination: &Examination, own: u32) -> Finding {
    let (open, most) = (examination.open_connections, examination.max_connections);
    let found = format!("{open} of {most} are open; a process opens up to {own}");
    match open.saturating_add(own) > most {
        true => Finding::warns(
            "connections",
            found,
            "raise max_connections of the server, or lower --database-connections",
        ),
        false => Finding::works("connections", found),
    }
}

fn transactions(examination: &Examination) -> Finding {
    let oldest = examination.oldest_transaction;
    let found = format!("the oldest has been open for {} s", oldest.as_secs());
    match oldest > LONG_TRANSACTION {
        true => Finding::warns(
            "transactions",
            found,
            "end it (pg_stat_activity): dead rows are kept while it is open, and slow down claims",
        ),
        false => Finding::works("transactions", found),
    }
}

fn secrets(file: Option<&Path>) -> Finding {
    let Some(path) = file else {
        return Finding::warns(
            "secrets",
            "no --secrets-file; `irisflow serve` needs one",
            "make one with `irisflow make-secrets FILE`, and give the same to all nodes",
        );
    };
    match secrets_of_file(path) {
        Ok(_) => Finding::works("secrets", path.display().to_string()),
        Err(error) => Finding::fails(
            "secrets",
            format!("{error:#}"),
            "restore the file that the other nodes have",
        ),
    }
}

async fn photo_folder(data_dir: &Path) -> Finding {
    const SUBJECT: &str = "photos";
    let folder = data_dir.join("files");
    let place = folder.display();
    if !folder.exists() {
        return Finding::works(SUBJECT, format!("no {place} yet; the first start makes it"));
    }
    let files = objects_of_other_process(&folder);
    if let Err(error) = files.check_writable(PROBE_BYTES).await {
        return Finding::fails(
            SUBJECT,
            format!("{place} cannot be written: {error}"),
            "check that its disk is mounted and has room, and that this user owns the folder",
        );
    }
    match files.free_bytes().await {
        Ok(Some(free)) if free < LOW_SPACE_BYTES => Finding::fails(
            SUBJECT,
            format!("only {} MiB are free in {place}", free >> 20),
            "make room, or set --keep-originals-ms and --keep-results-ms",
        ),
        Ok(Some(free)) => Finding::works(
            SUBJECT,
            format!("{place} can be written, {} GiB are free", free >> 30),
        ),
        Ok(None) => Finding::works(SUBJECT, format!("{place} can be written")),
        Err(error) => Finding::warns(
            SUBJECT,
            format!("the free space of {place} is not known: {error}"),
            "check the disk",
        ),
    }
}

async fn bucket(settings: &S3Settings) -> Finding {
    const SUBJECT: &str = "photos";
    let written = match objects_on_s3(settings) {
        Ok(objects) => objects
            .check_writable(PROBE_BYTES)
            .await
            .map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    match written {
        Ok(()) => Finding::works(SUBJECT, format!("{settings} can be written")),
        Err(error) => Finding::fails(
            SUBJECT,
            format!("{settings} cannot be written: {error}"),
            "check that the bucket exists, its region and endpoint, the keys and their permissions (docs/s3.md)",
        ),
    }
}

async fn bus(arguments: &BusArgs) -> Option<Finding> {
    const SUBJECT: &str = "bus";
    match arguments.choice() {
        Ok(BusChoice::Local) => None,
        Ok(BusChoice::Nats(settings)) if reaches_nats(&settings).await => Some(Finding::works(
            SUBJECT,
            format!("NATS at {settings} answers"),
        )),
        Ok(BusChoice::Nats(settings)) => Some(Finding::warns(
            SUBJECT,
            format!("NATS at {settings} does not let us in, or not in time"),
            "check that it runs, its address, user and password, and the permissions (docs/nats.md)",
        )),
        Err(error) => Some(Finding::fails(SUBJECT, format!("{error:#}"), "correct it")),
    }
}

async fn traces(arguments: &TraceArgs) -> Option<Finding> {
    const SUBJECT: &str = "traces";
    let settings = match arguments.choice("irisflow") {
        Ok(settings) => settings?,
        Err(error) => return Some(Finding::fails(SUBJECT, format!("{error:#}"), "correct it")),
    };
    let endpoint = settings.endpoint.clone();
    Some(match reaches_collector(settings).await {
        Ok(()) => Finding::works(SUBJECT, format!("the collector at {endpoint} answers")),
        Err(error) => Finding::warns(
            SUBJECT,
            format!("the collector at {endpoint} accepts none: {error:#}"),
            "check that it runs with an OTLP receiver for HTTP, its address and --otlp-headers (docs/tracing.md)",
        ),
    })
}

fn open_files() -> Finding {
    let limit = file_descriptors::raise_limit();
    let found = format!("{limit} may be open at once");
    match limit < file_descriptors::RECOMMENDED_MIN {
        true => Finding::warns("open files", found, "raise the limit (ulimit -n)"),
        false => Finding::works("open files", found),
    }
}
