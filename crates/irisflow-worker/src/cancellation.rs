//! Cancels running attempts. The bus names an attempt, and the store confirms that its job is to be cancelled
//! or gone. A cancelled job ends at once: its owner does not wait until the thread that works on it comes to
//! its next checkpoint.

use std::sync::Arc;

use irisflow_jobs::{Delivery, Fence, Subscription};

use crate::Shared;
use crate::heartbeat::renew;
use crate::running_jobs::{RunningJob, StopReason};

pub(crate) fn spawn(shared: &Arc<Shared>) {
    shared.runtime.spawn(listen(Arc::clone(shared)));
}

async fn listen(shared: Arc<Shared>) {
    let _supervised = shared.supervisor.part("listener for cancellations");
    let mut cancelled: Box<dyn Subscription<Fence>> = shared.parts.bus.cancelled_attempts().await;
    loop {
        let delivery = tokio::select! {
            delivery = cancelled.next() => delivery,
            // A draining worker learns of cancellations from its heartbeat alone.
            () = shared.draining.cancelled() => return,
        };
        let concerned = match delivery {
            Some(Delivery::Message(fence)) => shared.running.get(fence).into_iter().collect(),
            Some(Delivery::Missed) => shared.running.all(),
            None => return,
        };
        for job in concerned {
            renew(&shared, &job).await;
        }
    }
}

/// Ends a job whose cancellation was requested. Its thread stops at its next checkpoint and deletes what
/// it wrote; the fence keeps it from recording anything.
pub(crate) async fn cancel(shared: &Shared, job: &RunningJob) {
    job.stop(StopReason::Cancelled);
    if let Err(error) = shared.parts.job_leases.record_cancelled(job.fence).await {
        // The thread tries again when it stops.
        tracing::warn!(job_id = %job.fence.job_id, %error, "could not record a cancellation");
    }
}
