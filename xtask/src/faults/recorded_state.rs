//! The final state as the service recorded it: jobs and events in its database, objects in its storage. Compared
//! with what watchers saw, it gives the outcome counts.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use uuid::Uuid;

use super::job_watcher::WatchedJob;
use super::outcome_counts::{OutcomeCounts, Tolerated};

/// The fields of a job that the comparison needs.
struct JobRow {
    id: String,
    state: String,
    /// Epoch of the attempt that made its result.
    epoch: Option<i64>,
    /// Its result has a picture with the other outline as well.
    has_alternative: bool,
    failure: Option<String>,
    crashes: i64,
    /// Kinds of its previews.
    previews: Vec<String>,
}

/// The database columns of a [`JobRow`]: id, state, result, failure, crashes, previews.
pub(super) type StoredJob = (
    Uuid,
    String,
    Option<String>,
    Option<String>,
    i64,
    Option<String>,
);

/// Job, kind and body.
pub(super) type StoredEvent = (Uuid, String, String);

/// How many users have queue counters that differ from their jobs.
pub(super) const DRIFTED: &str = "SELECT count(*) FROM timelines WHERE running <>
     (SELECT count(*) FROM jobs WHERE user_id = timelines.user_id AND state = 'processing')
 OR queued <> (SELECT count(*) FROM jobs
               WHERE user_id = timelines.user_id AND state IN ('pending', 'waiting'))";

impl From<StoredJob> for JobRow {
    fn from((id, state, result, failure, crashes, previews): StoredJob) -> Self {
        let field = |text: &Option<String>, name: &str| -> Option<Value> {
            let object: Value = serde_json::from_str(text.as_ref()?).ok()?;
            Some(object[name].clone())
        };
        Self {
            id: id.to_string(),
            state,
            has_alternative: field(&result, "alternative").is_some_and(|other| !other.is_null()),
            epoch: field(&result, "epoch").and_then(|epoch| epoch.as_i64()),
            failure: field(&failure, "code").and_then(|code| Some(code.as_str()?.to_owned())),
            crashes,
            previews: kinds_of(previews.as_deref()),
        }
    }
}

fn kinds_of(previews: Option<&str>) -> Vec<String> {
    let previews = previews.and_then(|json| serde_json::from_str::<Vec<Value>>(json).ok());
    let kinds = previews.unwrap_or_default().into_iter();
    kinds
        .filter_map(|preview| Some(preview["kind"].as_str()?.to_owned()))
        .collect()
}

/// The database of a stopped service.
pub(super) struct RecordedState {
    jobs: Vec<JobRow>,
    /// Kind and progress of each job's events, in order.
    events: HashMap<String, Vec<(String, u64)>>,
    /// Users whose queue counters differ from their jobs, which may block their queue, or everyone's.
    drifted: usize,
}

impl RecordedState {
    pub(super) async fn read(data: &Path) -> anyhow::Result<Self> {
        let database = open(&data.join("irisflow.sqlite")).await?;
        let jobs: Vec<StoredJob> =
            sqlx::query_as("SELECT id, state, result, failure, crashes, previews FROM jobs")
                .fetch_all(&database)
                .await?;
        let events: Vec<StoredEvent> =
            sqlx::query_as("SELECT job_id, kind, body FROM events ORDER BY user_id, seq")
                .fetch_all(&database)
                .await?;
        let drifted: i64 = sqlx::query_scalar(DRIFTED).fetch_one(&database).await?;
        database.close().await;
        Self::of_rows(jobs, events, drifted)
    }

    /// From what a database of any kind holds; `drifted` is the answer to [`DRIFTED`].
    pub(super) fn of_rows(
        jobs: Vec<StoredJob>,
        stored_events: Vec<StoredEvent>,
        drifted: i64,
    ) -> anyhow::Result<Self> {
        let mut events: HashMap<String, Vec<(String, u64)>> = HashMap::new();
        for (job_id, kind, body) in stored_events {
            let body: Value = serde_json::from_str(&body).context("an event")?;
            let progress = body["progress"].as_u64().context("its progress")?;
            events
                .entry(job_id.to_string())
                .or_default()
                .push((kind, progress));
        }
        Ok(Self {
            jobs: jobs.into_iter().map(JobRow::from).collect(),
            events,
            drifted: usize::try_from(drifted)?,
        })
    }

    /// Compares what watchers saw, and the names of stored objects, with the recorded state.
    pub(super) fn count_outcomes(
        &self,
        watched: &[WatchedJob],
        stored: &[String],
        tolerated: Tolerated,
    ) -> OutcomeCounts {
        let mut counts = OutcomeCounts {
            jobs: watched.len(),
            finished_twice: self.jobs.len().saturating_sub(watched.len()),
            stuck: self.drifted,
            ..OutcomeCounts::default()
        };
        for watched in watched {
            let row = self.jobs.iter().find(|row| row.id == watched.job_id);
            self.count_job(row, watched, stored, tolerated, &mut counts);
        }
        counts.left_over = self.left_over(stored).len();
        counts
    }

    /// Stands in for watchers in runs without any: every job, as if watched until its recorded state.
    pub(super) fn as_watched(&self) -> Vec<WatchedJob> {
        let seen = self.jobs.iter().map(|row| WatchedJob {
            job_id: row.id.clone(),
            end: Some(row.state.clone()),
            ..WatchedJob::default()
        });
        seen.collect()
    }

    /// Orphaned objects: those that belong to no recorded result.
    pub(super) fn left_over(&self, stored: &[String]) -> Vec<String> {
        let recorded: HashSet<String> = self.jobs.iter().flat_map(JobRow::objects).collect();
        let left_over = stored.iter().filter(|name| !recorded.contains(*name));
        left_over.cloned().collect()
    }

    fn count_job(
        &self,
        row: Option<&JobRow>,
        watched: &WatchedJob,
        stored: &[String],
        tolerated: Tolerated,
        counts: &mut OutcomeCounts,
    ) {
        let Some(row) = row else {
            counts.lost += 1;
            return;
        };
        let explained = |code: &String| {
            tolerated.failures.contains(&code.as_str())
                || watched.expected_failure.as_ref() == Some(code)
        };
        let whole = row.objects().iter().all(|object| stored.contains(object));
        match row.state.as_str() {
            "completed" if whole => counts.finished += 1,
            "failed" if row.failure.as_ref().is_some_and(explained) => counts.failed_by_design += 1,
            // Cancelled by their owners.
            "cancelled" if tolerated.is_cancelled => counts.failed_by_design += 1,
            "failed" if tolerated.is_outage => counts.failed_by_outage += 1,
            "completed" | "failed" | "cancelled" => counts.lost += 1,
            _ => {
                counts.stuck += 1;
                return;
            }
        }
        if !tolerated.is_crash && row.state == "completed" && row.crashes > 0 {
            counts.failed_by_outage += 1;
        }
        let events = self.events.get(&row.id).map_or(&[][..], Vec::as_slice);
        let is_end = |kind: &str| matches!(kind, "completed" | "failed" | "cancelled");
        let ends = events.iter().filter(|(kind, _)| is_end(kind)).count();
        if ends != 1 {
            counts.finished_twice += 1;
        }
        // The watcher must have received the same final state.
        if watched.end.as_deref() != Some(row.state.as_str()) {
            counts.stuck += 1;
        }
        let recorded_in_order = events.is_sorted_by_key(|(_, progress)| *progress);
        if !recorded_in_order || !watched.progress.is_sorted() {
            counts.progress_decreased += 1;
        }
    }
}

/// Opens the service's database read-only, also while the service runs.
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
    /// Names of the objects of its recorded result.
    fn objects(&self) -> Vec<String> {
        let Some(epoch) = self.epoch else {
            return Vec::new();
        };
        let id = &self.id;
        let always: &[&str] = &[".jpg", "_mask.png", "_before.jpg", "_thumbnail.jpg"];
        let alternative: &[&str] = match self.has_alternative {
            true => &["_alternative.jpg", "_alternative_mask.png"],
            false => &[],
        };
        let pictures = [always, alternative].concat();
        let previews = self.previews.iter();
        let previews = previews.map(|kind| format!("_preview_{kind}.jpg"));
        pictures
            .into_iter()
            .map(str::to_owned)
            .chain(previews)
            .map(|ending| format!("{id}.{epoch}{ending}"))
            .collect()
    }
}

/// Names of stored results, and of unfinished and incoming uploads; originals are not included.
pub(super) fn stored_objects(data: &Path) -> Vec<String> {
    let files = data.join("files");
    let mut names = Vec::new();
    for area in ["objects/processed", "objects/incoming", "staging"] {
        collect_file_names(&files.join(area), &mut names);
    }
    names
}

/// Appends the names of all files below a folder.
pub(super) fn collect_file_names(folder: &Path, names: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            collect_file_names(&entry.path(), names);
        } else {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
}
