//! One thread that claims a job, works on it, and claims the next.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use irisflow_jobs::{Job, WorkerId};

use crate::fault::point;
use crate::{Shared, attempt, meter};

/// The pause after the queue could not be asked.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// A job that is due already, but that another slot may be taking.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

pub(crate) fn spawn(shared: Arc<Shared>, worker: WorkerId) -> std::io::Result<()> {
    thread::Builder::new()
        .name("iris-slot".to_owned())
        .spawn(move || {
            let _vital = shared.vital.part("slot");
            let runtime = shared.runtime.clone();
            while let Some(job) = runtime.block_on(next_job(&shared, worker)) {
                let still_wanted = attempt::run(&shared, &job);
                if !still_wanted {
                    break;
                }
            }
        })?;
    Ok(())
}

/// Waits for a job. `None` when the worker is to stop.
async fn next_job(shared: &Shared, worker: WorkerId) -> Option<Job> {
    loop {
        let woken = shared.parts.bus.work().notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        if shared.draining.is_cancelled() {
            return None;
        }
        let asked = Instant::now();
        let wait = match shared.parts.jobs.claim_next(worker).await {
            Ok(Some(job)) => {
                let waited = shared.parts.clock.now().since(job.run_at);
                meter::claimed(asked.elapsed(), waited);
                // Only faults of the process are planned here: there is no attempt yet that could fail.
                let _ = shared.parts.faults.strike(point::CLAIMED, &job);
                return Some(job);
            }
            Ok(None) => until_next_due(shared).await,
            Err(error) => {
                tracing::error!(%error, "could not ask the queue for work");
                STORE_PAUSE
            }
        };
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(wait) => {}
            () = shared.draining.cancelled() => {}
        }
    }
}

async fn until_next_due(shared: &Shared) -> Duration {
    let longest = shared.settings.poll_interval;
    match shared.parts.jobs.next_due().await {
        Ok(Some(due)) => due
            .since(shared.parts.clock.now())
            .clamp(SHORTEST_WAIT, longest),
        Ok(None) | Err(_) => longest,
    }
}
