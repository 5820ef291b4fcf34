//! The jobs that this process is working on, and the wish to stop one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
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

    pub(crate) fn renewed(&self) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(crate) fn since_renewal(&self) -> Duration {
        self.renewed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
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
    changed: Notify,
}

impl RunningJobs {
    pub(crate) fn begin(&self, fence: Fence) -> Arc<RunningJob> {
        let now = Instant::now();
        let job = Arc::new(RunningJob {
            fence,
            begun: now,
            renewed: Mutex::new(now),
            stop: AtomicU8::new(0),
            abandoned: AtomicBool::new(false),
        });
        self.lock().insert(fence, Arc::clone(&job));
        job
    }

    pub(crate) fn end(&self, fence: Fence) {
        self.lock().remove(&fence);
        self.changed.notify_waiters();
    }

    pub(crate) fn get(&self, fence: Fence) -> Option<Arc<RunningJob>> {
        self.lock().get(&fence).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<RunningJob>> {
        self.lock().values().cloned().collect()
    }

    /// Returns when nothing runs, or after `longest`.
    pub(crate) async fn until_idle(&self, longest: Duration) {
        let _ = tokio::time::timeout(longest, async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.lock().is_empty() {
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
}
