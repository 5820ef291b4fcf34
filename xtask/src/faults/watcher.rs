//! A client that watches one job and keeps everything it is told.

use std::time::Duration;

use irisflow_client::{Client, JobId, Status, Update};

/// What a watcher saw.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched {
    pub(super) job_id: String,
    /// Of all frames, in order, over all connections.
    pub(super) progress: Vec<u8>,
    /// The status of the final frame; `None` when none came in time.
    pub(super) end: Option<String>,
    /// The code with which this photo fails whatever happens, if it cannot be used.
    pub(super) expected_failure: Option<String>,
}

/// Watches to the end, or until the time is over.
pub(super) async fn watch(
    client: Client,
    job_id: JobId,
    expected_failure: Option<String>,
    retry_policy: Duration,
) -> Watched {
    let mut watched = Watched {
        job_id: job_id.to_string(),
        expected_failure,
        ..Watched::default()
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
                Err(error) => println!("a watcher was turned away: {error}"),
            }
        }
    };
    // A job that has not ended by then is stuck; so is a watcher that was not told.
    let _ = tokio::time::timeout(retry_policy, all).await;
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
