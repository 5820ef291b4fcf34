//! What database and storage say after clients have hung up.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::faults::fault::Fault;
use crate::faults::tally::{self, Aftermath, Tally, stored_objects};

pub(super) struct Verdict {
    aftermath: Aftermath,
    /// Names of results and unfinished files.
    stored: Vec<String>,
    /// How many jobs each photo has.
    jobs_of_photo: HashMap<String, usize>,
    left_over: usize,
    /// What does not hang together.
    pub(super) broken: Vec<String>,
}

/// A photo as the database has it.
struct PhotoRow {
    id: String,
    status: String,
}

/// The longest wait for sweeps after uploads must have ended.
const SWEEPING: Duration = Duration::from_secs(20);

/// Gives uploads time to end, and sweeps time to come.
pub(super) async fn settle(data: &Path, uploads_take: Duration) -> anyhow::Result<()> {
    tokio::time::sleep(uploads_take).await;
    let begun = Instant::now();
    while begun.elapsed() < SWEEPING {
        let verdict = Verdict::read(data).await?;
        if verdict.left_over + verdict.aftermath.left_over(&verdict.stored) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

impl Verdict {
    pub(super) async fn read(data: &Path) -> anyhow::Result<Self> {
        let aftermath = Aftermath::read(data).await?;
        let database = tally::open(&data.join("irisflow.sqlite")).await?;
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
        let mut verdict = Self {
            aftermath,
            stored: Vec::new(),
            jobs_of_photo,
            left_over: 0,
            broken: Vec::new(),
        };
        verdict.look_at_photos(data, &photos);
        // Incoming uploads were looked at with their photos.
        let incoming = names_in(&data.join("files/objects/incoming"));
        verdict.stored = stored_objects(data);
        verdict.stored.retain(|name| !incoming.contains(name));
        Ok(verdict)
    }

    fn look_at_photos(&mut self, data: &Path, photos: &[PhotoRow]) {
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
                self.broken
                    .push(format!("a photo with {of_photo} originals"));
            }
        }
        for name in &originals {
            let is_recorded =
                |photo: &PhotoRow| photo.status == "uploaded" && belongs_to(name, photo);
            self.count_left_over("original", name, photos.iter().any(is_recorded));
        }
        for name in &incoming {
            // All uploads were confirmed, or asked for in one call, and their links have run out.
            self.count_left_over("upload", name, false);
        }
    }

    fn count_left_over(&mut self, what: &str, name: &str, is_recorded: bool) {
        if !is_recorded {
            self.left_over += 1;
            self.broken.push(format!("left over: {what} {name}"));
        }
    }

    /// Also that a request which was sent again queued one job.
    pub(super) fn tally(&self, submitted_once: &[String]) -> Tally {
        let watched = self.aftermath.as_seen();
        let mut tally = self.aftermath.tally(&watched, &self.stored, Fault::HangUp);
        tally.left_over += self.left_over;
        for photo_id in submitted_once {
            let jobs = self.jobs_of_photo.get(photo_id).copied().unwrap_or(0);
            match jobs {
                0 => tally.lost += 1,
                1 => {}
                _ => tally.finished_twice += 1,
            }
        }
        tally
    }
}

fn belongs_to(name: &str, photo: &PhotoRow) -> bool {
    name.split('.').next() == Some(photo.id.as_str())
}

fn names_in(area: &Path) -> Vec<String> {
    let mut names = Vec::new();
    tally::walk(area, &mut names);
    names
}
