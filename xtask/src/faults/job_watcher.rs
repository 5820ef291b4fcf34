//! Watches one job as a client and records the progress and the final status it receives.

use std::time::Duration;

use irisflow_client::{Client, JobId, Status, Update};

/// A job as its watcher saw it.
#[derive(Debug, Clone, Default)]
pub(super) struct WatchedJob {
    pub(super) job_id: String,
    /// Of all frames, in order, over all connections.
    pub(super) progress: Vec<u8>,
    /// The status of the final frame; `None` when none arrived in time.
    pub(super) end: Option<String>,
    /// The error code of a photo that cannot be used, with which its job fails in any case.
    pub(super) expected_failure: Option<String>,
}

/// Watches until the job ends, at most for `time_limit`.
pub(super) async fn watch(
    client: Client,
    job_id: JobId,
    expected_failure: Option<String>,
    time_limit: Duration,
) -> WatchedJob {
    let mut watched = WatchedJob {
        job_id: job_id.to_string(),
        expected_failure,
        ..WatchedJob::default()
    };
    let mut updates = client.watch(&job_id);
    let all = async {
        while let Some(update) = updates.next().await {
            match update {
                Ok(Update::Frame(frame)) => {
                    watched.progress.push(frame.progress);
                    watched.end = end_of(frame.status).map(str::to_owned);
                }
                Ok(Update::Lost { .. }) => {}
                Err(error) => println!("a watch ended with an error: {error}"),
            }
        }
    };
    // A timeout leaves `end` empty, which counts as stuck.
    let _ = tokio::time::timeout(time_limit, all).await;
    watched
}

fn end_of(status: Status) -> Option<&'static str> {
    match status {
        Status::Completed => Some("completed"),
        Status::Failed => Some("failed"),
        Status::Cancelled => Some("cancelled"),
        Status::Pending | Status::Processing | Status::Unknown => None,
    }
}
