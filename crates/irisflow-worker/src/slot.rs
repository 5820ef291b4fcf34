//! One thread that claims a job, works on it, and claims the next.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use irisflow_jobs::{Fence, Job, JobPart, JobSpan, StoreError};

use crate::attempt::NextAction;
use crate::fault_injection::point;
use crate::running_jobs::RunningJob;
use crate::{Shared, attempt, lower_thread_priority, metrics};

/// The pause after the queue could not be asked, or after trouble that nothing else has met.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);
/// A job that is due already, but that another slot may be taking.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// How long a hand-back is tried at the end of a process, and the pause between.
const HAND_BACK_LIMIT: Duration = Duration::from_secs(5);
const HAND_BACK_PAUSE: Duration = Duration::from_millis(200);

pub(crate) fn spawn(shared: Arc<Shared>) -> std::io::Result<()> {
    thread::Builder::new()
        .name("iris-slot".to_owned())
        .spawn(move || {
            let _supervised = shared.supervisor.part("slot");
            lower_thread_priority();
            while claim_and_work(&shared).is_continue() {}
        })?;
    Ok(())
}

/// One job, from its claim to its end. Breaks when the thread is to end.
fn claim_and_work(shared: &Arc<Shared>) -> ControlFlow<()> {
    let Some(Some((job, running))) = shared.block_on(next_job(shared)) else {
        return ControlFlow::Break(());
    };
    let after = {
        let _running = shared.running.until_dropped(running.fence);
        attempt::run(shared, &job, &running)
    };
    match after {
        NextAction::ClaimNext => {}
        NextAction::Pause => {
            shared.block_on(pause(shared, TROUBLE_PAUSE));
        }
        NextAction::End => return ControlFlow::Break(()),
    }
    ControlFlow::Continue(())
}

/// Waits for a job. `None` when the worker is to stop.
async fn next_job(shared: &Arc<Shared>) -> Option<(Job, Arc<RunningJob>)> {
    loop {
        let woken = shared.parts.bus.work_wake_up();
        tokio::select! {
            biased;
            () = shared.draining.cancelled() => return None,
            () = shared.parts.bus.outage_over() => {}
        }
        let wait = match claim(shared).await {
            Ok(Some(claimed)) => return Some(claimed),
            Ok(None) => until_next_due(shared).await,
            Err(error) => {
                if !shared.probe_for_outage(&error).await {
                    tracing::error!(%error, "could not ask the queue for work");
                }
                TROUBLE_PAUSE
            }
        };
        tokio::select! {
            biased;
            () = shared.draining.cancelled() => return None,
            () = woken => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Claims a job and counts it as running, or gives it back when the worker is to stop by now.
async fn claim(shared: &Shared) -> Result<Option<(Job, Arc<RunningJob>)>, StoreError> {
    // Register before checking `draining`: then `drain` either waits for this claim or is detected here.
    let _claiming = shared.running.claiming();
    if shared.draining.is_cancelled() {
        return Ok(None);
    }
    let asked = Instant::now();
    let Some(job) = shared.parts.job_leases.claim_next(shared.worker_id).await? else {
        return Ok(None);
    };
    let now = shared.parts.clock.now();
    metrics::claimed(asked.elapsed(), now.since(job.run_at));
    shared.parts.tracer.record(JobSpan {
        job_id: job.id,
        begun: job.run_at,
        ended: now,
        part: JobPart::Wait {
            worker: shared.worker_id,
        },
    });
    // Only faults of the process are planned here: there is no attempt yet that could fail.
    let _ = shared.parts.faults.strike(point::CLAIMED, &job);
    let fence = Fence {
        job_id: job.id,
        epoch: job.epoch,
    };
    if shared.draining.is_cancelled() {
        hand_back(shared, fence).await;
        return Ok(None);
    }
    let running = shared.running.begin(fence);
    Ok(Some((job, running)))
}

/// Gives a job back, uncounted, because this process ends.
pub(crate) async fn hand_back(shared: &Shared, fence: Fence) {
    let job_id = fence.job_id;
    let patiently = async {
        while let Err(error) = shared.parts.job_leases.hand_back(fence).await {
            tracing::warn!(%job_id, %error, "could not hand a job back yet");
            tokio::time::sleep(HAND_BACK_PAUSE).await;
        }
    };
    match tokio::time::timeout(HAND_BACK_LIMIT, patiently).await {
        Ok(()) => tracing::info!(%job_id, "handed a job back"),
        Err(_) => tracing::error!(%job_id, "could not hand a job back: the next start takes it"),
    }
}

async fn until_next_due(shared: &Shared) -> Duration {
    let longest = shared.settings.poll_interval;
    match shared.parts.job_leases.next_due().await {
        Ok(Some(due)) => due
            .since(shared.parts.clock.now())
            .clamp(SHORTEST_WAIT, longest),
        Ok(None) | Err(_) => longest,
    }
}

/// Ends early when the worker is to stop.
async fn pause(shared: &Shared, time: Duration) {
    tokio::select! {
        biased;
        () = shared.draining.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
