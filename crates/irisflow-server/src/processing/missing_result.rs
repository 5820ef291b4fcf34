//! Detection of missing results: a finished job whose picture is no longer in the storage is shown as failed, with a
//! suggestion.
//!
//! The check needs a call to the storage, so only requests for a single job make it; lists use a cache of earlier
//! checks. The row of the job is not changed: if the file is restored, the result is shown again.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use irisflow_jobs::{Event, EventKind, Job, JobId, JobResult, JobState, UserId};
use irisflow_messages::failures;
use irisflow_photos::ResultKeys;

use crate::app::AppState;

/// Maximum size of the cache. When it is full it is cleared, and each missing result is detected again when its job
/// is requested.
const MAX_CACHED: usize = 10_000;

/// Cache of the jobs whose picture was missing at the last check.
#[derive(Debug, Default)]
pub(crate) struct MissingResults(Mutex<HashSet<JobId>>);

impl MissingResults {
    fn contains(&self, job_id: JobId) -> bool {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.contains(&job_id)
    }

    fn record(&self, job_id: JobId, is_missing: bool) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_missing {
            cached.remove(&job_id);
            return;
        }
        if cached.len() >= MAX_CACHED {
            cached.clear();
        }
        if cached.insert(job_id) {
            tracing::error!(%job_id, "the result of a finished job is missing in the storage");
        }
    }
}

impl AppState {
    /// Checks that the result of a finished job is in the storage; otherwise the returned job is failed.
    pub(crate) async fn with_verified_result(&self, mut job: Job) -> Job {
        if let JobState::Completed(result) = &job.state
            && self.is_missing(job.user_id, job.id, result).await
        {
            job.state = JobState::Failed(failures::result_missing());
        }
        job
    }

    /// The same check against the cache, for lists.
    pub(crate) fn with_result_from_cache(&self, mut job: Job) -> Job {
        if matches!(job.state, JobState::Completed(_)) && self.missing_results.contains(job.id) {
            job.state = JobState::Failed(failures::result_missing());
        }
        job
    }

    /// The same check for the final event of a job.
    pub(crate) async fn event_with_verified_result(&self, mut event: Event) -> Event {
        if let Some(result) = &event.body.result
            && self.is_missing(event.user_id, event.job_id, result).await
        {
            let failure = failures::result_missing();
            event.kind = EventKind::Failed;
            event.body.status = JobState::Failed(failure.clone()).status().to_owned();
            event.body.failure = Some(failure);
            event.body.result = None;
        }
        event
    }

    async fn is_missing(&self, user_id: UserId, job_id: JobId, result: &JobResult) -> bool {
        let key = ResultKeys::new(user_id, job_id, result).result;
        let found = self.parts.files.size_of(&key).await;
        // An error of the storage does not count as missing.
        let is_missing = matches!(found, Ok(None));
        self.missing_results.record(job_id, is_missing);
        is_missing
    }
}
