//! The jobs that this process is working on, and the requests to stop them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use irisflow_jobs::Fence;
use tokio::sync::Notify;

/// Why an attempt is to end before its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The lease is gone: another worker may have the job.
    LeaseLost,
    /// The owner cancelled it.
    Cancelled,
    /// It was given back because this process ends.
    HandedBack,
    /// It took longer than it may.
    TimedOut,
}

impl StopReason {
    const ALL: [Self; 4] = [
        Self::LeaseLost,
        Self::Cancelled,
        Self::HandedBack,
        Self::TimedOut,
    ];

    fn number(self) -> u8 {
        match self {
            Self::LeaseLost => 1,
            Self::Cancelled => 2,
            Self::HandedBack => 3,
            Self::TimedOut => 4,
        }
    }
}

/// One attempt in progress.
#[derive(Debug)]
pub(crate) struct RunningJob {
    pub(crate) fence: Fence,
    pub(crate) begun: Instant,
    renewed: Mutex<Instant>,
    stop: AtomicU8,
    work_ended: AtomicBool,
    abandoned: AtomicBool,
}

impl RunningJob {
    /// Asks the attempt to stop. `false` when it was asked before; the first reason stands.
    pub(crate) fn stop(&self, reason: StopReason) -> bool {
        self.stop
            .compare_exchange(0, reason.number(), Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        let number = self.stop.load(Ordering::SeqCst);
        StopReason::ALL
            .into_iter()
            .find(|reason| reason.number() == number)
    }

    pub(crate) fn mark_renewed(&self) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(crate) fn since_renewal(&self) -> Duration {
        self.renewed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    /// The pixels are done with; what is left is to record the end, for which the time is not limited.
    pub(crate) fn work_has_ended(&self) {
        self.work_ended.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_at_work(&self) -> bool {
        !self.work_ended.load(Ordering::SeqCst)
    }

    /// Gives the attempt's thread up for lost. `true` the first time.
    pub(crate) fn abandon(&self) -> bool {
        !self.abandoned.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }
}

#[derive(Debug, Default)]
pub(crate) struct RunningJobs {
    jobs: Mutex<HashMap<Fence, Arc<RunningJob>>>,
    /// Claims that the store has yet to answer.
    claims: AtomicUsize,
    changed: Notify,
}

/// An attempt in progress, until it is dropped.
#[derive(Debug)]
pub(crate) struct EndOnDrop<'a>(&'a RunningJobs, Fence);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end(self.1);
    }
}

/// A claim on its way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Claiming<'a>(&'a RunningJobs);

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        self.0.claims.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

impl RunningJobs {
    pub(crate) fn begin(&self, fence: Fence) -> Arc<RunningJob> {
        let now = Instant::now();
        let job = Arc::new(RunningJob {
            fence,
            begun: now,
            renewed: Mutex::new(now),
            stop: AtomicU8::new(0),
            work_ended: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
        });
        self.lock().insert(fence, Arc::clone(&job));
        job
    }

    pub(crate) fn end(&self, fence: Fence) {
        self.lock().remove(&fence);
        self.changed.notify_waiters();
    }

    /// Ends it when the guard goes, also by a panic.
    pub(crate) fn until_dropped(&self, fence: Fence) -> EndOnDrop<'_> {
        EndOnDrop(self, fence)
    }

    pub(crate) fn get(&self, fence: Fence) -> Option<Arc<RunningJob>> {
        self.lock().get(&fence).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<RunningJob>> {
        self.lock().values().cloned().collect()
    }

    pub(crate) fn claiming(&self) -> Claiming<'_> {
        self.claims.fetch_add(1, Ordering::SeqCst);
        Claiming(self)
    }

    /// Returns when nothing runs or is being claimed, or after `longest`.
    pub(crate) async fn until_idle(&self, longest: Duration) {
        self.until(longest, || !self.has_claims() && self.lock().is_empty())
            .await;
    }

    /// Returns when nothing is being claimed, or after `longest`.
    pub(crate) async fn until_no_claims(&self, longest: Duration) {
        self.until(longest, || !self.has_claims()).await;
    }

    fn has_claims(&self) -> bool {
        self.claims.load(Ordering::SeqCst) > 0
    }

    async fn until(&self, longest: Duration, holds: impl Fn() -> bool) {
        let _ = tokio::time::timeout(longest, async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if holds() {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Fence, Arc<RunningJob>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use irisflow_jobs::JobId;

    use super::*;

    #[test]
    fn the_first_reason_to_stop_stands() {
        let running = RunningJobs::default();
        let job = running.begin(Fence {
            job_id: JobId::generate(),
            epoch: 1,
        });
        assert_eq!(job.stop_reason(), None);
        assert!(job.stop(StopReason::LeaseLost));
        assert!(!job.stop(StopReason::HandedBack));
        assert_eq!(job.stop_reason(), Some(StopReason::LeaseLost));
    }

    #[tokio::test]
    async fn a_claim_on_its_way_is_not_idle() {
        let running = RunningJobs::default();
        let claiming = running.claiming();
        let waited = tokio::time::timeout(
            Duration::from_millis(50),
            running.until_idle(Duration::from_secs(60)),
        );
        assert!(waited.await.is_err(), "it waits for the claim");
        drop(claiming);
        running.until_idle(Duration::from_secs(60)).await;
    }
}
