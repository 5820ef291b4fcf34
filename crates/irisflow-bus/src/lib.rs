//! Notifications between the parts of one process: wake-ups for workers, events for whoever watches a user.
//!
//! A notification may be lost (a receiver that falls behind is told so); the database is read again then. A
//! networked bus is another implementation of the same promises.

mod outage;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use irisflow_jobs::{Fence, JobId, Notification, Notifier, UserId};
use tokio::sync::{Notify, broadcast};

pub use outage::Outage;

/// How many notifications a slow watcher may be behind before it is told to read the database.
const BACKLOG: usize = 64;
/// The same for the watchers of one job, which has few events.
const BACKLOG_OF_JOB: usize = 16;
/// Fewer watchers than this are not worth tidying up.
const FEW: usize = 64;

/// The bus of one process.
#[derive(Debug)]
pub struct LocalBus {
    watched: Mutex<Watched>,
    work: Notify,
    unwanted: broadcast::Sender<Fence>,
    outage: Outage,
}

#[derive(Debug, Default)]
struct Watched {
    of: HashMap<UserId, Watchers>,
    /// After how many more watchers those that have left are forgotten: a look at all of them for each that
    /// comes would cost much with many.
    until_tidying: usize,
}

/// Those who watch a user. Watchers of one job are woken by its events alone: there may be very many of them.
#[derive(Debug, Default)]
struct Watchers {
    all: Option<broadcast::Sender<Notification>>,
    jobs: HashMap<JobId, broadcast::Sender<Notification>>,
}

impl Watchers {
    fn tidy(&mut self) {
        self.all.take_if(|sender| sender.receiver_count() == 0);
        self.jobs.retain(|_, sender| sender.receiver_count() > 0);
    }

    fn are_gone(&self) -> bool {
        let mut senders = self.all.iter().chain(self.jobs.values());
        senders.all(|sender| sender.receiver_count() == 0)
    }
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
    pub fn watch(&self, user_id: UserId) -> broadcast::Receiver<Notification> {
        let mut watched = self.watched();
        let all = &mut watched.watchers(user_id).all;
        all.get_or_insert_with(|| broadcast::channel(BACKLOG).0)
            .subscribe()
    }

    /// The same without the events of other jobs.
    pub fn watch_job(&self, user_id: UserId, job_id: JobId) -> broadcast::Receiver<Notification> {
        let mut watched = self.watched();
        let jobs = &mut watched.watchers(user_id).jobs;
        let sender = jobs
            .entry(job_id)
            .or_insert_with(|| broadcast::channel(BACKLOG_OF_JOB).0);
        sender.subscribe()
    }

    /// Tells those who watch this job, or its user, to read what is newer.
    pub fn job_is_behind(&self, user_id: UserId, job_id: JobId) {
        let watched = self.watched();
        if let Some(watchers) = watched.of.get(&user_id) {
            let job = watchers.jobs.get(&job_id);
            send(
                watchers.all.iter().chain(job),
                &Notification::TimelineAdvanced,
            );
        }
    }

    /// The users that somebody watches.
    pub fn watched_users(&self) -> Vec<UserId> {
        let watched = self.watched();
        let users = watched.of.iter();
        users
            .filter(|(_, watchers)| !watchers.are_gone())
            .map(|(user_id, _)| *user_id)
            .collect()
    }

    /// Ready when there may be work. Create it before looking at the queue, or a job that arrives in
    /// between goes unnoticed until the next poll.
    pub fn work(&self) -> &Notify {
        &self.work
    }

    /// The attempts that nobody wants any more, from now on: for the workers.
    pub fn cancelled_attempts(&self) -> broadcast::Receiver<Fence> {
        self.unwanted.subscribe()
    }

    /// Whether this process waits for the machine or a store to recover.
    pub fn outage(&self) -> &Outage {
        &self.outage
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn watchers(&mut self, user_id: UserId) -> &mut Watchers {
        if self.until_tidying == 0 {
            self.of.values_mut().for_each(Watchers::tidy);
            self.of.retain(|_, watchers| !watchers.are_gone());
            let jobs: usize = self.of.values().map(|watchers| watchers.jobs.len()).sum();
            self.until_tidying = FEW.max(self.of.len() + jobs);
        }
        self.until_tidying -= 1;
        self.of.entry(user_id).or_default()
    }
}

fn send<'s>(
    senders: impl Iterator<Item = &'s broadcast::Sender<Notification>>,
    notification: &Notification,
) {
    for sender in senders {
        // An error means that nobody listens any more.
        let _ = sender.send(notification.clone());
    }
}

impl Notifier for LocalBus {
    fn notify(&self, user_id: UserId, notification: Notification) {
        let watched = self.watched();
        let Some(watchers) = watched.of.get(&user_id) else {
            return;
        };
        let all = watchers.all.iter();
        match &notification {
            Notification::Event(event) => {
                send(all.chain(watchers.jobs.get(&event.job_id)), &notification)
            }
            Notification::TimelineAdvanced | Notification::SessionEnded(_) => {
                send(all.chain(watchers.jobs.values()), &notification)
            }
        }
    }

    fn work_available(&self) {
        self.work.notify_waiters();
        self.work.notify_one();
    }

    fn cancel_attempt(&self, fence: Fence) {
        // Without a worker in this process there is nobody to tell.
        let _ = self.unwanted.send(fence);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use irisflow_jobs::{Event, EventBody, EventKind, Timestamp};

    use super::*;

    #[tokio::test]
    async fn a_watcher_hears_of_its_user_only() {
        let bus = LocalBus::new();
        let (mine, other) = (UserId::generate(), UserId::generate());
        let mut watcher = bus.watch(mine);
        bus.notify(other, Notification::TimelineAdvanced);
        assert!(watcher.try_recv().is_err());
        bus.notify(mine, Notification::TimelineAdvanced);
        assert!(matches!(
            watcher.try_recv(),
            Ok(Notification::TimelineAdvanced)
        ));
    }

    #[tokio::test]
    async fn a_user_whose_last_watcher_left_is_forgotten() {
        let bus = LocalBus::new();
        let user = UserId::generate();
        drop(bus.watch(user));
        assert_eq!(bus.watched_users(), []);
    }

    #[tokio::test]
    async fn watchers_of_one_job_are_not_woken_by_others() {
        let bus = LocalBus::new();
        let user = UserId::generate();
        let (mine, other) = (JobId::generate(), JobId::generate());
        let (mut all, mut one) = (bus.watch(user), bus.watch_job(user, mine));
        bus.notify(user, Notification::Event(Arc::new(event(user, other))));
        bus.job_is_behind(user, other);
        assert!(one.try_recv().is_err());
        bus.notify(user, Notification::Event(Arc::new(event(user, mine))));
        bus.notify(user, Notification::TimelineAdvanced);
        bus.job_is_behind(user, mine);
        assert!(matches!(one.try_recv(), Ok(Notification::Event(event)) if event.job_id == mine));
        for _ in 0..2 {
            assert!(matches!(one.try_recv(), Ok(Notification::TimelineAdvanced)));
        }
        let mut heard = 0;
        while all.try_recv().is_ok() {
            heard += 1;
        }
        assert_eq!(heard, 5, "who watches all jobs hears of all");
    }

    #[tokio::test]
    async fn watchers_that_left_do_not_pile_up() {
        let bus = LocalBus::new();
        let user = UserId::generate();
        let stays = bus.watch_job(user, JobId::generate());
        for _ in 0..100 * FEW {
            drop(bus.watch_job(user, JobId::generate()));
            drop(bus.watch(UserId::generate()));
        }
        let watched = bus.watched();
        let jobs: usize = watched.of.values().map(|w| w.jobs.len()).sum();
        assert!(watched.of.len() + jobs <= 3 * FEW);
        drop((watched, stays));
    }

    fn event(user_id: UserId, job_id: JobId) -> Event {
        Event {
            user_id,
            seq: 1,
            job_id,
            previous_of_job: None,
            kind: EventKind::Queued,
            body: EventBody {
                status: "pending".to_owned(),
                step: None,
                progress: 0,
                attempt_count: 0,
                failure: None,
                result: None,
            },
            at: Timestamp::EPOCH,
        }
    }

    #[tokio::test]
    async fn work_that_was_announced_before_the_wait_still_wakes() {
        let bus = LocalBus::new();
        bus.work_available();
        bus.work().notified().await;
    }
}
