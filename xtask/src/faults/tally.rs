//! What is counted, and what the database and the storage say after a run.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use uuid::Uuid;

use super::fault::Fault;
use super::watcher::Watched;

/// The counts of one fault at one point. The last six must be zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) jobs: usize,
    /// How often the fault struck.
    pub(super) struck: usize,
    pub(super) finished: usize,
    /// Failed with a code that the fault or the photo explains.
    pub(super) failed_by_design: usize,
    /// Failed by trouble of the machine, of its operator or of a client; or counted a crash when the
    /// process was only asked to end.
    pub(super) failed_by_outage: usize,
    /// Gone, failed without an explanation, or finished without its objects.
    pub(super) lost: usize,
    /// More than one end, or more than one job for a submit.
    pub(super) finished_twice: usize,
    pub(super) stuck: usize,
    pub(super) left_over: usize,
    pub(super) went_back: usize,
}

impl Tally {
    pub(super) const HEAD: &str = "| fault | at | jobs | struck | finished | failed by design | failed by an outage | lost | finished twice | stuck | objects left over | progress went back |\n|---|---|---|---|---|---|---|---|---|---|---|---|";

    pub(super) fn is_clean(&self) -> bool {
        let broken = self.failed_by_outage
            + self.lost
            + self.finished_twice
            + self.stuck
            + self.left_over
            + self.went_back;
        broken == 0 && self.struck > 0 && self.finished + self.failed_by_design == self.jobs
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.jobs += other.jobs;
        self.struck += other.struck;
        self.finished += other.finished;
        self.failed_by_design += other.failed_by_design;
        self.failed_by_outage += other.failed_by_outage;
        self.lost += other.lost;
        self.finished_twice += other.finished_twice;
        self.stuck += other.stuck;
        self.left_over += other.left_over;
        self.went_back += other.went_back;
    }

    pub(super) fn row(&self, fault: &str, point: &str) -> String {
        format!(
            "| {fault} | {point} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.jobs,
            self.struck,
            self.finished,
            self.failed_by_design,
            self.failed_by_outage,
            self.lost,
            self.finished_twice,
            self.stuck,
            self.left_over,
            self.went_back
        )
    }
}

/// A job as the database has it.
struct JobRow {
    id: String,
    state: String,
    /// Of its result.
    epoch: Option<i64>,
    failure: Option<String>,
    crashes: i64,
}

/// Its columns.
#[derive(sqlx::FromRow)]
struct StoredJob {
    id: Uuid,
    state: String,
    result: Option<String>,
    failure: Option<String>,
    crashes: i64,
}

impl From<StoredJob> for JobRow {
    fn from(stored: StoredJob) -> Self {
        let field = |text: Option<String>, name: &str| -> Option<Value> {
            let object: Value = serde_json::from_str(&text?).ok()?;
            Some(object[name].clone())
        };
        Self {
            id: stored.id.to_string(),
            state: stored.state,
            epoch: field(stored.result, "epoch").and_then(|epoch| epoch.as_i64()),
            failure: field(stored.failure, "code").and_then(|code| Some(code.as_str()?.to_owned())),
            crashes: stored.crashes,
        }
    }
}

/// The database of a service that has ended.
pub(super) struct Aftermath {
    jobs: Vec<JobRow>,
    /// Ends and progress of each job, in order.
    events: HashMap<String, Vec<(String, u64)>>,
    /// Users whose counters differ from their jobs: their queue, or the queue of all, may stand still.
    drifted: usize,
}

impl Aftermath {
    pub(super) async fn read(data: &Path) -> anyhow::Result<Self> {
        let database = open(&data.join("irisflow.sqlite")).await?;
        let rows: Vec<StoredJob> =
            sqlx::query_as("SELECT id, state, result, failure, crashes FROM jobs")
                .fetch_all(&database)
                .await?;
        let jobs = rows.into_iter().map(JobRow::from).collect();
        let told: Vec<(Uuid, String, String)> =
            sqlx::query_as("SELECT job_id, kind, body FROM events ORDER BY user_id, seq")
                .fetch_all(&database)
                .await?;
        let mut events: HashMap<String, Vec<(String, u64)>> = HashMap::new();
        for (job_id, kind, body) in told {
            let body: Value = serde_json::from_str(&body).context("an event")?;
            let progress = body["progress"].as_u64().context("its progress")?;
            events
                .entry(job_id.to_string())
                .or_default()
                .push((kind, progress));
        }
        let drifted: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM timelines WHERE running <>
                 (SELECT count(*) FROM jobs WHERE user_id = timelines.user_id AND state = 'processing')
             OR queued <> (SELECT count(*) FROM jobs
                           WHERE user_id = timelines.user_id AND state IN ('pending', 'waiting'))",
        )
        .fetch_one(&database)
        .await?;
        database.close().await;
        Ok(Self {
            jobs,
            events,
            drifted: usize::try_from(drifted)?,
        })
    }

    /// Holds what watchers saw and what is stored against what is recorded.
    pub(super) fn tally(&self, watched: &[Watched], stored: &[String], fault: Fault) -> Tally {
        let mut tally = Tally {
            jobs: watched.len(),
            finished_twice: self.jobs.len().saturating_sub(watched.len()),
            stuck: self.drifted,
            ..Tally::default()
        };
        for watched in watched {
            let row = self.jobs.iter().find(|row| row.id == watched.job_id);
            self.count_job(row, watched, stored, fault, &mut tally);
        }
        tally.left_over = self.left_over(stored);
        tally
    }

    /// As watchers of all jobs would have told it, where there were none.
    pub(super) fn as_seen(&self) -> Vec<Watched> {
        let seen = self.jobs.iter().map(|row| Watched {
            job_id: row.id.clone(),
            end: Some(row.state.clone()),
            ..Watched::default()
        });
        seen.collect()
    }

    /// How many stored objects no finished job can claim.
    pub(super) fn left_over(&self, stored: &[String]) -> usize {
        let recorded: HashSet<String> = self.jobs.iter().flat_map(JobRow::objects).collect();
        let left_over = stored.iter().filter(|name| !recorded.contains(*name));
        left_over.count()
    }

    fn count_job(
        &self,
        row: Option<&JobRow>,
        watched: &Watched,
        stored: &[String],
        fault: Fault,
        tally: &mut Tally,
    ) {
        let Some(row) = row else {
            tally.lost += 1;
            return;
        };
        let explained = |code: &String| {
            fault.allowed_failures().contains(&code.as_str())
                || watched.expected_failure.as_ref() == Some(code)
        };
        let whole = row.objects().iter().all(|object| stored.contains(object));
        match row.state.as_str() {
            "completed" if whole => tally.finished += 1,
            "failed" if row.failure.as_ref().is_some_and(explained) => tally.failed_by_design += 1,
            // Their owners asked for it.
            "cancelled" if fault == Fault::HangUp => tally.failed_by_design += 1,
            "failed" if fault.is_outage() => tally.failed_by_outage += 1,
            "completed" | "failed" | "cancelled" => tally.lost += 1,
            _ => {
                tally.stuck += 1;
                return;
            }
        }
        if fault == Fault::Terminate && row.state == "completed" && row.crashes > 0 {
            tally.failed_by_outage += 1;
        }
        let events = self.events.get(&row.id).map_or(&[][..], Vec::as_slice);
        let is_end = |kind: &str| matches!(kind, "completed" | "failed" | "cancelled");
        let ends = events.iter().filter(|(kind, _)| is_end(kind)).count();
        if ends != 1 {
            tally.finished_twice += 1;
        }
        // The watcher must have heard the same end.
        if watched.end.as_deref() != Some(row.state.as_str()) {
            tally.stuck += 1;
        }
        let recorded_in_order = events.is_sorted_by_key(|(_, progress)| *progress);
        if !recorded_in_order || !watched.progress.is_sorted() {
            tally.went_back += 1;
        }
    }
}

/// The service's database, for reading beside it.
pub(super) async fn open(file: &Path) -> anyhow::Result<SqlitePool> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let pool = SqlitePoolOptions::new().max_connections(1);
    let opened = pool.connect_with(options).await;
    opened.context("opening the database")
}

pub(super) async fn unfinished_jobs(file: &Path) -> anyhow::Result<usize> {
    let database = open(file).await?;
    let unfinished: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM jobs WHERE state IN ('pending', 'waiting', 'processing')",
    )
    .fetch_one(&database)
    .await?;
    database.close().await;
    Ok(usize::try_from(unfinished)?)
}

impl JobRow {
    /// The names of the objects of its recorded result.
    fn objects(&self) -> Vec<String> {
        let Some(epoch) = self.epoch else {
            return Vec::new();
        };
        let id = &self.id;
        [".jpg", "_mask.png", "_before.jpg", "_thumbnail.jpg"]
            .map(|ending| format!("{id}.{epoch}{ending}"))
            .to_vec()
    }
}

/// The names of stored results and of whatever else is not a photo: unfinished and incoming uploads.
pub(super) fn stored_objects(data: &Path) -> Vec<String> {
    let files = data.join("files");
    let mut names = Vec::new();
    for area in ["objects/processed", "objects/incoming", "staging"] {
        walk(&files.join(area), &mut names);
    }
    names
}

/// The names of all files below a folder.
pub(super) fn walk(folder: &Path, names: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            walk(&entry.path(), names);
        } else {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
}
