//! Who was watching a moment ago, and how far. A watcher whose connection broke comes back within a
//! second or two and must not be shown the same past again: its bar would jump back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use irisflow_jobs::{JobId, SessionId};

/// The places of watchers that left before the end, kept as long as the past that would be replayed.
#[derive(Debug)]
pub(crate) struct Resumptions {
    left: Mutex<HashMap<(SessionId, JobId), Place>>,
    kept_for: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    cursor: i64,
    since: Instant,
}

impl Resumptions {
    pub(crate) fn new(kept_for: Duration) -> Self {
        Self {
            left: Mutex::new(HashMap::new()),
            kept_for,
        }
    }

    pub(crate) fn leave(&self, session_id: SessionId, job_id: JobId, cursor: i64) {
        let place = Place {
            cursor,
            since: Instant::now(),
        };
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|_, place| place.since.elapsed() < self.kept_for);
        left.insert((session_id, job_id), place);
    }

    /// The `seq` of the last event that the returning watcher was told.
    pub(crate) fn take(&self, session_id: SessionId, job_id: JobId) -> Option<i64> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let place = left.remove(&(session_id, job_id))?;
        (place.since.elapsed() < self.kept_for).then_some(place.cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back_once_and_to_its_watcher_only() {
        let resumptions = Resumptions::new(Duration::from_secs(60));
        let (session, job) = (SessionId::generate(), JobId::generate());
        resumptions.leave(session, job, 7);
        assert_eq!(resumptions.take(SessionId::generate(), job), None);
        assert_eq!(resumptions.take(session, job), Some(7));
        assert_eq!(resumptions.take(session, job), None);
    }

    #[test]
    fn a_place_is_forgotten_when_its_past_is() {
        let resumptions = Resumptions::new(Duration::ZERO);
        let (session, job) = (SessionId::generate(), JobId::generate());
        resumptions.leave(session, job, 7);
        assert_eq!(resumptions.take(session, job), None);
    }
}
