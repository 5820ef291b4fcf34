//! Who is subscribed to what: one channel per user and one per job, made by the first subscriber and removed
//! some time after the last one left.

use std::collections::HashMap;

use irisflow_jobs::{JobId, Notification, UserId};
use tokio::sync::broadcast::{self, Receiver, Sender};

/// Notifications that a subscriber of a user may be behind before it misses some.
const USER_BACKLOG: usize = 8;
/// The same for a subscriber of one job, which has few events.
const JOB_BACKLOG: usize = 4;
/// With fewer topics than this, abandoned ones are not looked for.
const FEW_TOPICS: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Topics {
    users: HashMap<UserId, UserTopics>,
    /// New subscriptions until the next clean-up. It visits all topics, so it runs after as many
    /// subscriptions as there are topics.
    until_clean_up: usize,
}

/// Subscribers of one job have a channel of their own: there may be very many, and other jobs must not wake
/// them.
#[derive(Debug, Default)]
struct UserTopics {
    all_jobs: Option<Sender<Notification>>,
    jobs: HashMap<JobId, Sender<Notification>>,
}

impl UserTopics {
    fn clean_up(&mut self) {
        self.all_jobs.take_if(|sender| sender.receiver_count() == 0);
        self.jobs.retain(|_, sender| sender.receiver_count() > 0);
    }

    fn has_subscribers(&self) -> bool {
        let mut senders = self.all_jobs.iter().chain(self.jobs.values());
        senders.any(|sender| sender.receiver_count() > 0)
    }
}

impl Topics {
    pub(crate) fn subscribe_to_user(&mut self, user_id: UserId) -> Receiver<Notification> {
        let all_jobs = &mut self.topics_of(user_id).all_jobs;
        all_jobs
            .get_or_insert_with(|| broadcast::channel(USER_BACKLOG).0)
            .subscribe()
    }

    pub(crate) fn subscribe_to_job(
        &mut self,
        user_id: UserId,
        job_id: JobId,
    ) -> Receiver<Notification> {
        let jobs = &mut self.topics_of(user_id).jobs;
        let sender = jobs
            .entry(job_id)
            .or_insert_with(|| broadcast::channel(JOB_BACKLOG).0);
        sender.subscribe()
    }

    /// To those of the user and of one job.
    pub(crate) fn send_to_job(&self, user_id: UserId, job_id: JobId, message: &Notification) {
        if let Some(topics) = self.users.get(&user_id) {
            send(
                topics.all_jobs.iter().chain(topics.jobs.get(&job_id)),
                message,
            );
        }
    }

    /// To those of the user and of each of its jobs.
    pub(crate) fn send_to_user(&self, user_id: UserId, message: &Notification) {
        if let Some(topics) = self.users.get(&user_id) {
            send(topics.all_jobs.iter().chain(topics.jobs.values()), message);
        }
    }

    pub(crate) fn has_subscribers(&self, user_id: UserId) -> bool {
        let topics = self.users.get(&user_id);
        topics.is_some_and(UserTopics::has_subscribers)
    }

    pub(crate) fn subscribed_users(&self) -> Vec<UserId> {
        let users = self.users.iter();
        users
            .filter(|(_, topics)| topics.has_subscribers())
            .map(|(user_id, _)| *user_id)
            .collect()
    }

    fn topics_of(&mut self, user_id: UserId) -> &mut UserTopics {
        if self.until_clean_up == 0 {
            self.users.values_mut().for_each(UserTopics::clean_up);
            self.users.retain(|_, topics| topics.has_subscribers());
            self.until_clean_up = FEW_TOPICS.max(self.len());
        }
        self.until_clean_up -= 1;
        self.users.entry(user_id).or_default()
    }

    fn len(&self) -> usize {
        let jobs: usize = self.users.values().map(|topics| topics.jobs.len()).sum();
        self.users.len() + jobs
    }
}

fn send<'s>(senders: impl Iterator<Item = &'s Sender<Notification>>, message: &Notification) {
    for sender in senders {
        // An error means that the last receiver was dropped.
        let _ = sender.send(message.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_without_subscribers_do_not_accumulate() {
        let mut topics = Topics::default();
        let user = UserId::generate();
        let kept = topics.subscribe_to_job(user, JobId::generate());
        for _ in 0..100 * FEW_TOPICS {
            drop(topics.subscribe_to_job(user, JobId::generate()));
            drop(topics.subscribe_to_user(UserId::generate()));
        }
        assert!(topics.len() <= 3 * FEW_TOPICS, "{}", topics.len());
        drop(kept);
    }
}
