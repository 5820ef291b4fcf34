//! Attempts that nobody wants any more. The bus says that there is one; the store says whether that is
//! true. A cancelled job ends here and now: its owner does not wait until the thread that works on it
//! comes to its next checkpoint.

use std::sync::Arc;

use irisflow_jobs::Fence;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::Shared;
use crate::heartbeat::renew;
use crate::running_jobs::{RunningJob, StopReason};

pub(crate) fn spawn(shared: &Arc<Shared>) {
    let notifications = shared.parts.bus.cancelled_attempts();
    shared
        .runtime
        .spawn(listen(Arc::clone(shared), notifications));
}

async fn listen(shared: Arc<Shared>, mut notifications: Receiver<Fence>) {
    let _vital = shared.vital.part("listener for cancellations");
    loop {
        let heard = tokio::select! {
            heard = notifications.recv() => heard,
            // The heartbeat still learns it, later.
            () = shared.draining.cancelled() => return,
        };
        let concerned = match heard {
            Ok(fence) => shared.running.get(fence).into_iter().collect(),
            Err(RecvError::Lagged(_)) => shared.running.all(),
            Err(RecvError::Closed) => return,
        };
        for job in concerned {
            renew(&shared, &job).await;
        }
    }
}

/// Ends a job whose owner wants it cancelled. Its thread stops at its next checkpoint and deletes what
/// it wrote; the fence keeps it from recording anything.
pub(crate) async fn cancel(shared: &Shared, job: &RunningJob) {
    job.stop(StopReason::Cancelled);
    if let Err(error) = shared.parts.jobs.stopped(job.fence).await {
        // The thread tries again when it stops.
        tracing::warn!(job_id = %job.fence.job_id, %error, "could not record a cancellation");
    }
}
