//! Renews the leases of running jobs, from a thread of its own, so that no amount of pixel work or
//! traffic can starve it. Stops what ran too long, and gives up on a thread that will not stop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use irisflow_jobs::Renewal;

use crate::running_jobs::{RunningJob, StopReason};
use crate::{Shared, cancellation, slot};

/// Beats until the worker is over: jobs that finish during a drain still need their lease.
pub(crate) fn spawn(shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("iris-heartbeat".to_owned())
        .spawn(move || {
            let _supervised = shared.supervisor.part("heartbeat");
            let interval = shared.settings.lease / 3;
            while !shared.over.is_cancelled() {
                replace_missing_slots(&shared);
                for job in shared.running.all() {
                    check(&shared, &job, interval);
                }
                // Woken when the worker is over.
                thread::park_timeout(interval.min(MOST_BETWEEN_CHECKS));
            }
        })
}

/// Runtimes are checked at least this often, however long the lease.
const MOST_BETWEEN_CHECKS: Duration = Duration::from_secs(1);

fn check(shared: &Arc<Shared>, job: &Arc<RunningJob>, interval: Duration) {
    if job.is_at_work() && job.begun.elapsed() > shared.settings.max_runtime {
        job.stop(StopReason::TimedOut);
        if job.begun.elapsed() > shared.settings.max_runtime + shared.settings.lease {
            give_up(shared, job);
            return;
        }
    }
    if job.since_renewal() >= interval {
        shared.block_on(renew(shared, job));
    }
}

/// Renews a lease; stops the attempt if it was lost or cancelled.
pub(crate) async fn renew(shared: &Shared, job: &RunningJob) {
    match shared.parts.job_leases.renew(job.fence).await {
        Ok(Renewal::Held) => job.mark_renewed(),
        Ok(Renewal::CancelRequested) => {
            job.mark_renewed();
            cancellation::cancel(shared, job).await;
        }
        Ok(Renewal::Lost) => {
            job.stop(StopReason::LeaseLost);
        }
        Err(error) => {
            if !shared.parts.bus.has_outage() {
                tracing::warn!(job_id = %job.fence.job_id, %error, "could not renew a lease");
            }
            // In an outage the work goes on, and the fence decides when the store is back. Else stop
            // well before another worker may begin.
            if !error.is_outage() && job.since_renewal() > shared.settings.lease * 2 / 3 {
                job.stop(StopReason::LeaseLost);
            }
        }
    }
}

/// A step hangs and does not come to a checkpoint: let its lease run out, and put a fresh thread in
/// its place.
fn give_up(shared: &Arc<Shared>, job: &RunningJob) {
    if !job.abandon() {
        return;
    }
    tracing::error!(job_id = %job.fence.job_id, "a step hangs; its thread is given up");
    shared.running.end(job.fence);
    shared.missing_slots.fetch_add(1, Ordering::SeqCst);
    replace_missing_slots(shared);
}

/// The system may have no thread to give at the moment: then at the next beat.
fn replace_missing_slots(shared: &Arc<Shared>) {
    while shared.missing_slots.load(Ordering::SeqCst) > 0 {
        if let Err(error) = slot::spawn(Arc::clone(shared)) {
            tracing::error!(%error, "could not replace a hanging thread yet");
            return;
        }
        shared.missing_slots.fetch_sub(1, Ordering::SeqCst);
    }
}
