//! Finished jobs whose picture is not in the storage any more: they are told as failed, with what to do.
//!
//! Looking costs a call to the storage, so it is done for one job at a time. Lists say what was found
//! by then. The row of the job stays as it is: should the file come back, so does the result.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use irisflow_jobs::{Event, EventKind, Failure, Job, JobId, JobState, UserId};
use irisflow_photos::ObjectKey;

use crate::app::AppState;

/// When more are missing than this, lists forget them; each is found again when it is looked at.
const MOST_KNOWN: usize = 10_000;

/// The jobs whose picture was not found when it was last looked for.
#[derive(Debug, Default)]
pub(crate) struct MissingResults(Mutex<HashSet<JobId>>);

impl MissingResults {
    fn contains(&self, job_id: JobId) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&job_id)
    }

    fn note(&self, job_id: JobId, is_missing: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_missing {
            known.remove(&job_id);
            return;
        }
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        if known.insert(job_id) {
            tracing::error!(%job_id, "the result of a finished job is missing in the storage");
        }
    }
}

impl AppState {
    /// The job as its storage bears it out.
    pub(crate) async fn with_stored_result(&self, mut job: Job) -> Job {
        if let JobState::Completed(result) = &job.state
            && self.is_missing(job.user_id, job.id, result.epoch).await
        {
            job.state = JobState::Failed(Failure::result_missing());
        }
        job
    }

    /// The same from what is known, for lists.
    pub(crate) fn with_known_result(&self, mut job: Job) -> Job {
        if matches!(job.state, JobState::Completed(_)) && self.missing_results.contains(job.id) {
            job.state = JobState::Failed(Failure::result_missing());
        }
        job
    }

    /// What is told of the end of a job.
    pub(crate) async fn event_with_stored_result(&self, mut event: Event) -> Event {
        if let Some(result) = &event.body.result
            && self
                .is_missing(event.user_id, event.job_id, result.epoch)
                .await
        {
            let failure = Failure::result_missing();
            event.kind = EventKind::Failed;
            event.body.status = JobState::Failed(failure.clone()).status().to_owned();
            event.body.failure = Some(failure);
            event.body.result = None;
        }
        event
    }

    async fn is_missing(&self, user_id: UserId, job_id: JobId, epoch: i64) -> bool {
        let key = ObjectKey::Result {
            user_id,
            job_id,
            epoch,
        };
        let files = self.parts.files.clone();
        let found = tokio::task::spawn_blocking(move || files.size_of(&key)).await;
        // A storage that is in trouble has lost nothing yet.
        let is_missing = matches!(found, Ok(Ok(None)));
        self.missing_results.note(job_id, is_missing);
        is_missing
    }
}
