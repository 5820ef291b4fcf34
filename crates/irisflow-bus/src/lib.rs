//! Hints between the parts of one process: wake-ups for workers, events for whoever watches a user.
//!
//! A hint may be lost (a receiver that falls behind is told so); the database is read again then. A
//! networked bus is another implementation of the same promises.

mod outage;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use irisflow_jobs::{Announcer, Fence, Hint, UserId};
use tokio::sync::{Notify, broadcast};

pub use outage::Outage;

/// How many hints a slow watcher may be behind before it is told to read the database.
const BACKLOG: usize = 64;

/// The bus of one process.
#[derive(Debug)]
pub struct LocalBus {
    watched: Mutex<HashMap<UserId, broadcast::Sender<Hint>>>,
    work: Notify,
    unwanted: broadcast::Sender<Fence>,
    outage: Outage,
}

impl Default for LocalBus {
    fn default() -> Self {
        Self {
            watched: Mutex::default(),
            work: Notify::new(),
            unwanted: broadcast::channel(BACKLOG).0,
            outage: Outage::default(),
        }
    }
}

impl LocalBus {
    pub fn new() -> Self {
        Self::default()
    }

    /// What is announced about this user from now on. Subscribe first, then read the database.
    pub fn watch(&self, user_id: UserId) -> broadcast::Receiver<Hint> {
        let mut watched = self.watched();
        watched.retain(|_, sender| sender.receiver_count() > 0);
        watched
            .entry(user_id)
            .or_insert_with(|| broadcast::channel(BACKLOG).0)
            .subscribe()
    }

    /// The users that somebody watches.
    pub fn watched_users(&self) -> Vec<UserId> {
        let watched = self.watched();
        watched
            .iter()
            .filter(|(_, sender)| sender.receiver_count() > 0)
            .map(|(user_id, _)| *user_id)
            .collect()
    }

    /// Ready when there may be work. Create it before looking at the queue, or a job that arrives in
    /// between goes unnoticed until the next poll.
    pub fn work(&self) -> &Notify {
        &self.work
    }

    /// The attempts that nobody wants any more, from now on: for the workers.
    pub fn unwanted_attempts(&self) -> broadcast::Receiver<Fence> {
        self.unwanted.subscribe()
    }

    /// Whether this process waits for the machine or a store to recover.
    pub fn outage(&self) -> &Outage {
        &self.outage
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, HashMap<UserId, broadcast::Sender<Hint>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Announcer for LocalBus {
    fn announce(&self, user_id: UserId, hint: Hint) {
        if let Some(sender) = self.watched().get(&user_id) {
            // An error means that nobody listens any more.
            let _ = sender.send(hint);
        }
    }

    fn work_may_wait(&self) {
        self.work.notify_waiters();
        self.work.notify_one();
    }

    fn attempt_unwanted(&self, fence: Fence) {
        // Without a worker in this process there is nobody to tell.
        let _ = self.unwanted.send(fence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watcher_hears_of_its_user_only() {
        let bus = LocalBus::new();
        let (mine, other) = (UserId::generate(), UserId::generate());
        let mut watcher = bus.watch(mine);
        bus.announce(other, Hint::Behind);
        assert!(watcher.try_recv().is_err());
        bus.announce(mine, Hint::Behind);
        assert!(matches!(watcher.try_recv(), Ok(Hint::Behind)));
    }

    #[tokio::test]
    async fn a_user_whose_last_watcher_left_is_forgotten() {
        let bus = LocalBus::new();
        let user = UserId::generate();
        drop(bus.watch(user));
        assert_eq!(bus.watched_users(), []);
    }

    #[tokio::test]
    async fn work_that_was_announced_before_the_wait_still_wakes() {
        let bus = LocalBus::new();
        bus.work_may_wait();
        bus.work().notified().await;
    }
}
