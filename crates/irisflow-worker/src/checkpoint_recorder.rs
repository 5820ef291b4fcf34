//! Records checkpoints in order, beside the work: pixels do not wait for the disk. Checkpoints that
//! came while one was being written are written together.

use std::sync::Arc;
use std::time::Duration;

use irisflow_jobs::{Checkpoint, WriteOutcome};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::running_jobs::{RunningJob, StopReason};
use crate::{Shared, cancellation};

const RETRY_PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct CheckpointRecorder {
    checkpoints: mpsc::UnboundedSender<Checkpoint>,
    task: JoinHandle<()>,
}

impl CheckpointRecorder {
    pub(crate) fn start(shared: Arc<Shared>, job: Arc<RunningJob>) -> Self {
        // At most nine checkpoints per attempt ever enter this channel.
        let (checkpoints, receiver) = mpsc::unbounded_channel();
        let task = shared
            .runtime
            .clone()
            .spawn(record_all(shared, job, receiver));
        Self { checkpoints, task }
    }

    pub(crate) fn reached(&self, checkpoint: Checkpoint) {
        // The task ends early only when the lease is lost, which also sets the attempt's stop flag.
        let _ = self.checkpoints.send(checkpoint);
    }

    /// Waits until everything is recorded, or the lease is lost.
    pub(crate) async fn finish(self) {
        drop(self.checkpoints);
        let _ = self.task.await;
    }
}

async fn record_all(
    shared: Arc<Shared>,
    job: Arc<RunningJob>,
    mut receiver: mpsc::UnboundedReceiver<Checkpoint>,
) {
    let mut waiting = Vec::new();
    while receiver
        .recv_many(&mut waiting, Checkpoint::ALL.len())
        .await
        > 0
    {
        while job.stop_reason().is_none() {
            match shared
                .parts
                .job_leases
                .record_checkpoints(job.fence, &waiting)
                .await
            {
                Ok(WriteOutcome::Recorded(now)) => {
                    if now.cancel_requested {
                        cancellation::cancel(&shared, &job).await;
                    }
                    break;
                }
                Ok(WriteOutcome::Fenced) => {
                    job.stop(StopReason::LeaseLost);
                }
                Err(error) => {
                    if !error.is_transient() && !error.is_outage() {
                        // Trying again does not help. The final state of the job includes this checkpoint.
                        tracing::error!(job_id = %job.fence.job_id, %error, "could not record progress");
                        break;
                    }
                    let doing = "recording progress";
                    shared.wait_before_retry(&error, RETRY_PAUSE, doing).await;
                }
            }
        }
        waiting.clear();
    }
}
