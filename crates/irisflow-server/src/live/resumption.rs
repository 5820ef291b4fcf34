//! Resumption cursors of live job sockets: for each user and job, the `seq` of the newest event that was sent to
//! any socket. A client that reconnects gets no older event, which would make its progress bar jump back. Its
//! previous connection may still be open, since a vanished peer is detected late.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use irisflow_jobs::{JobId, UserId};
use tokio::sync::OnceCell;

use super::frames::JobFrameText;
use crate::public_url::BaseUrl;

/// Number of cursors from which on expired ones are removed.
const MIN_CLEANUP_SIZE: usize = 64;

/// The cursors of all watchers. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Resumptions {
    cursors: Arc<Mutex<CursorTable>>,
    /// How long a cursor is kept after its last watcher has left. Longer than the replay period, since of older
    /// events a new watcher gets only the newest anyway.
    retention: Duration,
}

#[derive(Debug, Default)]
struct CursorTable {
    by_job: HashMap<(UserId, JobId), Cursor>,
    /// Expired cursors are removed when the table has this size.
    cleanup_size: usize,
}

#[derive(Debug)]
struct Cursor {
    /// The highest `seq` sent to any watcher.
    last_sent: i64,
    watchers: usize,
    last_left_at: Instant,
    /// The frame of the newest event, while the job has several watchers.
    frame: Option<(i64, BaseUrl, SharedFrame)>,
}

/// A frame that is made by the first watcher that sends it, and shared by the others.
pub(crate) type SharedFrame = Arc<OnceCell<JobFrameText>>;

/// Registration of one watcher, which ends when it is dropped.
#[derive(Debug)]
pub(crate) struct WatcherCursor {
    resumptions: Resumptions,
    key: (UserId, JobId),
}

impl Resumptions {
    /// `replay` is the age up to which a new watcher gets past events.
    pub(crate) fn new(replay: Duration) -> Self {
        Self {
            cursors: Arc::default(),
            retention: replay * 2 + Duration::from_secs(10),
        }
    }

    /// Registers a watcher, at its first connection or at a reconnect.
    pub(crate) fn watch(&self, user_id: UserId, job_id: JobId) -> WatcherCursor {
        let key = (user_id, job_id);
        let mut table = self.lock();
        if table.by_job.len() >= table.cleanup_size.max(MIN_CLEANUP_SIZE) {
            let is_kept = |cursor: &Cursor| {
                cursor.watchers > 0 || cursor.last_left_at.elapsed() < self.retention
            };
            table.by_job.retain(|_, cursor| is_kept(cursor));
            table.cleanup_size = table.by_job.len() * 2;
        }
        let cursor = table.by_job.entry(key).or_insert_with(|| Cursor {
            last_sent: 0,
            watchers: 0,
            last_left_at: Instant::now(),
            frame: None,
        });
        cursor.watchers += 1;
        drop(table);
        WatcherCursor {
            resumptions: self.clone(),
            key,
        }
    }

    fn lock(&self) -> MutexGuard<'_, CursorTable> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WatcherCursor {
    /// The highest `seq` that was sent to any watcher of this user and job, also over connections that are half
    /// open; 0 when none was sent.
    pub(crate) fn last_sent(&self) -> i64 {
        let table = self.resumptions.lock();
        table
            .by_job
            .get(&self.key)
            .map_or(0, |cursor| cursor.last_sent)
    }

    /// The frame of the event with this `seq`, shared with the other watchers of the job.
    pub(crate) fn shared_frame(&self, seq: i64, base: &BaseUrl) -> SharedFrame {
        let mut table = self.resumptions.lock();
        let Some(cursor) = table.by_job.get_mut(&self.key) else {
            return SharedFrame::default();
        };
        match &cursor.frame {
            Some((of, of_base, frame)) if *of == seq && of_base == base => Arc::clone(frame),
            // An only watcher keeps no frame in memory.
            _ if cursor.watchers == 1 => {
                cursor.frame = None;
                SharedFrame::default()
            }
            _ => {
                let frame = SharedFrame::default();
                cursor.frame = Some((seq, base.clone(), Arc::clone(&frame)));
                frame
            }
        }
    }

    /// Records that the event with this `seq` is sent to this watcher.
    pub(crate) fn record_sent(&self, seq: i64) {
        let mut table = self.resumptions.lock();
        if let Some(cursor) = table.by_job.get_mut(&self.key) {
            cursor.last_sent = cursor.last_sent.max(seq);
        }
    }
}

impl Drop for WatcherCursor {
    fn drop(&mut self) {
        let mut table = self.resumptions.lock();
        if let Some(cursor) = table.by_job.get_mut(&self.key) {
            cursor.watchers -= 1;
            if cursor.watchers == 0 {
                cursor.frame = None;
            }
            cursor.last_left_at = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> (UserId, JobId) {
        (UserId::generate(), JobId::generate())
    }

    #[test]
    fn the_cursor_includes_what_was_sent_to_current_and_past_watchers() {
        let resumptions = Resumptions::new(Duration::from_secs(2));
        let (user, job) = ids();
        let half_open = resumptions.watch(user, job);
        half_open.record_sent(7);
        let reconnected = resumptions.watch(user, job);
        assert_eq!(reconnected.last_sent(), 7);
        half_open.record_sent(9);
        assert_eq!(reconnected.last_sent(), 9);
        reconnected.record_sent(8);
        drop((half_open, reconnected));
        assert_eq!(resumptions.watch(user, job).last_sent(), 9);
    }

    #[test]
    fn a_cursor_belongs_to_one_user_and_one_job() {
        let resumptions = Resumptions::new(Duration::from_secs(2));
        let (user, job) = ids();
        resumptions.watch(user, job).record_sent(7);
        let (other_user, other_job) = ids();
        assert_eq!(resumptions.watch(other_user, job).last_sent(), 0);
        assert_eq!(resumptions.watch(user, other_job).last_sent(), 0);
    }

    #[test]
    fn expired_cursors_are_removed() {
        let resumptions = Resumptions {
            retention: Duration::ZERO,
            ..Resumptions::new(Duration::ZERO)
        };
        let watched: Vec<WatcherCursor> = (0..MIN_CLEANUP_SIZE)
            .map(|_| ids())
            .map(|(user, job)| resumptions.watch(user, job))
            .collect();
        for _ in 0..100 * MIN_CLEANUP_SIZE {
            let (user, job) = ids();
            drop(resumptions.watch(user, job));
        }
        assert!(resumptions.lock().by_job.len() <= watched.len() * 2);
    }
}
