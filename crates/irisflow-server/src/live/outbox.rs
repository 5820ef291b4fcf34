//! The frames that wait for a connection, bounded in bytes. Progress of one job can be merged to its newest; other
//! events are never dropped here.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use irisflow_jobs::{BatchId, EventKind, JobId, Timestamp, TracedEvent};

/// Beyond this many bytes no further event is taken in.
pub(crate) const MAX_WAITING_BYTES: usize = 64 * 1024;

/// An event as it is sent to every watcher of its user: serialised once, with URLs signed once.
#[derive(Debug)]
pub(crate) struct SharedEvent {
    pub(crate) seq: i64,
    /// The `seq` of the event before this one in the timeline. Events between both do not exist any more.
    pub(crate) follows: i64,
    pub(crate) job_id: JobId,
    pub(crate) batch_id: Option<BatchId>,
    pub(crate) kind: EventKind,
    pub(crate) at: Timestamp,
    /// The JSON of the event itself, without its frame.
    pub(crate) json: String,
}

impl SharedEvent {
    pub(crate) fn traced(&self) -> TracedEvent {
        TracedEvent {
            job_id: self.job_id,
            kind: self.kind,
            seq: self.seq,
            at: self.at,
        }
    }

    fn is_progress(&self) -> bool {
        self.kind == EventKind::Progress
    }
}

/// The estimate of a job, serialised once.
#[derive(Debug)]
pub(crate) struct SharedEstimate {
    pub(crate) job_id: JobId,
    pub(crate) batch_id: Option<BatchId>,
    /// The JSON of the whole frame.
    pub(crate) json: String,
}

#[derive(Debug)]
pub(crate) enum Waiting {
    Event(Arc<SharedEvent>),
    /// May be dropped at any time.
    Estimate(Arc<SharedEstimate>),
    /// A frame without a place in the chain of cursors.
    Frame {
        name: &'static str,
        json: String,
    },
}

impl Waiting {
    fn bytes(&self) -> usize {
        match self {
            Self::Event(event) => event.json.len(),
            Self::Estimate(estimate) => estimate.json.len(),
            Self::Frame { json, .. } => json.len(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.bytes < MAX_WAITING_BYTES
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.bytes();
        self.waiting.push_back(waiting);
    }

    /// Replaces a waiting estimate of the same job; does nothing when there is no room.
    pub(crate) fn push_estimate(&mut self, estimate: Arc<SharedEstimate>) {
        let job_id = estimate.job_id;
        self.retain(
            |waiting| !matches!(waiting, Waiting::Estimate(earlier) if earlier.job_id == job_id),
        );
        if self.has_room() {
            self.push(Waiting::Estimate(estimate));
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.bytes -= waiting.bytes();
        if self.waiting.is_empty() {
            // Most connections are idle, and should be small then.
            self.waiting = VecDeque::new();
        }
        Some(waiting)
    }

    /// Drops estimates, and of each job's progress all but the newest.
    pub(crate) fn merge_progress(&mut self) {
        let mut seen = HashSet::new();
        let mut kept = VecDeque::with_capacity(self.waiting.len());
        while let Some(waiting) = self.waiting.pop_back() {
            let is_kept = match &waiting {
                Waiting::Event(event) => !event.is_progress() || seen.insert(event.job_id),
                Waiting::Estimate(_) => false,
                Waiting::Frame { .. } => true,
            };
            if is_kept {
                kept.push_front(waiting);
            }
        }
        self.bytes = kept.iter().map(Waiting::bytes).sum();
        self.waiting = kept;
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.bytes = 0;
    }

    fn retain(&mut self, is_kept: impl Fn(&Waiting) -> bool) {
        self.waiting.retain(is_kept);
        self.bytes = self.waiting.iter().map(Waiting::bytes).sum();
    }
}
