//! How far the watchers of a job were told. One that comes back must not be shown an earlier past: its bar
//! would jump back. Its old connection may still be open here, since a peer that vanished is noticed late.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use irisflow_jobs::{JobId, UserId};

/// Fewer places than this are not worth tidying up.
const FEW: usize = 64;

/// The places of all watchers. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Resumptions {
    places: Arc<Mutex<Places>>,
    /// After the last watcher has left. Longer than the past that is replayed: of what is older a watcher is
    /// shown the newest anyway.
    kept_for: Duration,
}

#[derive(Debug, Default)]
struct Places {
    of: HashMap<(UserId, JobId), Place>,
    /// Tidied up when there are this many.
    tidy_at: usize,
}

#[derive(Debug)]
struct Place {
    /// The highest `seq` that any watcher was told.
    told: i64,
    watchers: usize,
    left_at: Instant,
}

/// A watcher at its place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Watching {
    resumptions: Resumptions,
    key: (UserId, JobId),
}

impl Resumptions {
    /// `replayed` is the past that a new watcher is told.
    pub(crate) fn new(replayed: Duration) -> Self {
        Self {
            places: Arc::default(),
            kept_for: replayed * 2 + Duration::from_secs(10),
        }
    }

    /// A watcher comes, or comes back.
    pub(crate) fn watch(&self, user_id: UserId, job_id: JobId) -> Watching {
        let key = (user_id, job_id);
        let mut places = self.places();
        if places.of.len() >= places.tidy_at.max(FEW) {
            let is_kept =
                |place: &Place| place.watchers > 0 || place.left_at.elapsed() < self.kept_for;
            places.of.retain(|_, place| is_kept(place));
            places.tidy_at = places.of.len() * 2;
        }
        let place = places.of.entry(key).or_insert_with(|| Place {
            told: 0,
            watchers: 0,
            left_at: Instant::now(),
        });
        place.watchers += 1;
        drop(places);
        Watching {
            resumptions: self.clone(),
            key,
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching {
    /// The highest `seq` that any watcher of this user was told of this job, those whose connections are
    /// half open included; 0 for the first.
    pub(crate) fn told_before(&self) -> i64 {
        let places = self.resumptions.places();
        places.of.get(&self.key).map_or(0, |place| place.told)
    }

    /// This watcher is told of this event now.
    pub(crate) fn told(&self, seq: i64) {
        let mut places = self.resumptions.places();
        if let Some(place) = places.of.get_mut(&self.key) {
            place.told = place.told.max(seq);
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut places = self.resumptions.places();
        if let Some(place) = places.of.get_mut(&self.key) {
            place.watchers -= 1;
            place.left_at = Instant::now();
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
    fn a_watcher_knows_what_others_were_told_while_they_watch_and_after() {
        let resumptions = Resumptions::new(Duration::from_secs(2));
        let (user, job) = ids();
        let half_open = resumptions.watch(user, job);
        half_open.told(7);
        let back = resumptions.watch(user, job);
        assert_eq!(back.told_before(), 7);
        half_open.told(9);
        assert_eq!(back.told_before(), 9);
        back.told(8);
        drop((half_open, back));
        assert_eq!(resumptions.watch(user, job).told_before(), 9);
    }

    #[test]
    fn a_place_is_its_users_and_its_jobs() {
        let resumptions = Resumptions::new(Duration::from_secs(2));
        let (user, job) = ids();
        resumptions.watch(user, job).told(7);
        let (stranger, other) = ids();
        assert_eq!(resumptions.watch(stranger, job).told_before(), 0);
        assert_eq!(resumptions.watch(user, other).told_before(), 0);
    }

    #[test]
    fn places_that_nobody_watches_do_not_pile_up() {
        let resumptions = Resumptions {
            kept_for: Duration::ZERO,
            ..Resumptions::new(Duration::ZERO)
        };
        let watched: Vec<Watching> = (0..FEW)
            .map(|_| ids())
            .map(|(user, job)| resumptions.watch(user, job))
            .collect();
        for _ in 0..100 * FEW {
            let (user, job) = ids();
            drop(resumptions.watch(user, job));
        }
        assert!(resumptions.places().of.len() <= watched.len() * 2);
    }
}
