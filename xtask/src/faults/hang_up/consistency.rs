//! Consistency of database and storage after client disconnects.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::faults::fault::Fault;
use crate::faults::outcome_counts::OutcomeCounts;
use crate::faults::recorded_state::{self, RecordedState, stored_objects};

pub(super) struct ConsistencyReport {
    recorded: RecordedState,
    /// Names of stored results and unfinished uploads.
    stored: Vec<String>,
    /// Number of jobs per photo.
    jobs_of_photo: HashMap<String, usize>,
    left_over: usize,
    /// Descriptions of inconsistencies.
    pub(super) violations: Vec<String>,
}

/// A photo in the database.
struct PhotoRow {
    id: String,
    status: String,
}

/// Longest wait for the cleanup sweeps after all uploads have ended.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(20);

/// Waits until uploads have ended (`upload_time`) and the sweeps have removed what is orphaned.
pub(super) async fn settle(data: &Path, upload_time: Duration) -> anyhow::Result<()> {
    tokio::time::sleep(upload_time).await;
    let begun = Instant::now();
    while begun.elapsed() < SWEEP_TIMEOUT {
        let report = ConsistencyReport::read(data).await?;
        let of_jobs = report.recorded.left_over(&report.stored);
        if report.left_over == 0 && of_jobs.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

impl ConsistencyReport {
    pub(super) async fn read(data: &Path) -> anyhow::Result<Self> {
        let recorded = RecordedState::read(data).await?;
        let database = recorded_state::open(&data.join("irisflow.sqlite")).await?;
        let photos: Vec<(Uuid, String)> = sqlx::query_as("SELECT id, status FROM photos")
            .fetch_all(&database)
            .await?;
        let photos: Vec<PhotoRow> = photos
            .into_iter()
            .map(|(id, status)| PhotoRow {
                id: id.to_string(),
                status,
            })
            .collect();
        let counts: Vec<(Uuid, i64)> =
            sqlx::query_as("SELECT photo_id, count(*) FROM jobs GROUP BY photo_id")
                .fetch_all(&database)
                .await?;
        database.close().await;
        let jobs_of_photo = counts
            .into_iter()
            .map(|(photo_id, count)| (photo_id.to_string(), usize::try_from(count).unwrap_or(0)))
            .collect();
        let mut report = Self {
            recorded,
            stored: Vec::new(),
            jobs_of_photo,
            left_over: 0,
            violations: Vec::new(),
        };
        report.check_photos(data, &photos);
        // Incoming uploads have been checked with their photos.
        let incoming = names_in(&data.join("files/objects/incoming"));
        report.stored = stored_objects(data);
        report.stored.retain(|name| !incoming.contains(name));
        Ok(report)
    }

    fn check_photos(&mut self, data: &Path, photos: &[PhotoRow]) {
        let objects = data.join("files/objects");
        let (incoming, originals) = (
            names_in(&objects.join("incoming")),
            names_in(&objects.join("iris")),
        );
        for photo in photos {
            let is_original =
                |name: &&String| belongs_to(name, photo) && !name.contains("_thumbnail");
            let of_photo = originals.iter().filter(is_original).count();
            if photo.status == "uploaded" && of_photo != 1 {
                self.violations
                    .push(format!("a photo with {of_photo} originals"));
            }
        }
        for name in &originals {
            let is_recorded =
                |photo: &PhotoRow| photo.status == "uploaded" && belongs_to(name, photo);
            self.count_left_over("original", name, photos.iter().any(is_recorded));
        }
        for name in &incoming {
            // Every upload has been confirmed or its URL has expired: none may remain.
            self.count_left_over("upload", name, false);
        }
    }

    fn count_left_over(&mut self, what: &str, name: &str, is_recorded: bool) {
        if !is_recorded {
            self.left_over += 1;
            self.violations.push(format!("left over: {what} {name}"));
        }
    }

    /// The outcome counts, including whether a retried submit (`submitted_once`) queued exactly one job.
    pub(super) fn count_outcomes(&self, submitted_once: &[String]) -> OutcomeCounts {
        let watched = self.recorded.as_watched();
        let mut counts = self
            .recorded
            .count_outcomes(&watched, &self.stored, Fault::HangUp.into());
        counts.left_over += self.left_over;
        for photo_id in submitted_once {
            let jobs = self.jobs_of_photo.get(photo_id).copied().unwrap_or(0);
            match jobs {
                0 => counts.lost += 1,
                1 => {}
                _ => counts.finished_twice += 1,
            }
        }
        counts
    }
}

fn belongs_to(name: &str, photo: &PhotoRow) -> bool {
    name.split('.').next() == Some(photo.id.as_str())
}

fn names_in(area: &Path) -> Vec<String> {
    let mut names = Vec::new();
    recorded_state::collect_file_names(area, &mut names);
    names
}
