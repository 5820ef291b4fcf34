//! Notifications between the parts of one process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use irisflow_jobs::{
    Bus, Delivery, Fence, JobId, Notification, Notifier, Subscription, UserId, WorkWakeUp,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, watch};

use crate::topics::Topics;

/// Cancelled attempts that a worker may be behind before it misses some.
const CANCELLATION_BACKLOG: usize = 64;

/// The bus of one process.
#[derive(Debug)]
pub struct LocalBus {
    topics: Mutex<Topics>,
    work: Notify,
    deliveries: Notify,
    cancelled: broadcast::Sender<Delivery<Fence>>,
    outage: watch::Sender<bool>,
}

impl Default for LocalBus {
    fn default() -> Self {
        Self {
            topics: Mutex::default(),
            work: Notify::new(),
            deliveries: Notify::new(),
            cancelled: broadcast::channel(CANCELLATION_BACKLOG).0,
            outage: watch::Sender::new(false),
        }
    }
}

impl LocalBus {
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a notification about this user has a receiver.
    pub(crate) fn has_subscribers(&self, user_id: UserId) -> bool {
        self.topics().has_subscribers(user_id)
    }

    /// Cancelled attempts may have been lost.
    pub(crate) fn cancellations_missed(&self) {
        let _ = self.cancelled.send(Delivery::Missed);
    }

    /// Notifications of work may have been lost. Only for those who wait: others look before they wait.
    pub(crate) fn wake_all_waiting(&self) {
        self.work.notify_waiters();
        self.deliveries.notify_waiters();
    }

    fn topics(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notifier for LocalBus {
    fn notify(&self, user_id: UserId, notification: Notification) {
        let topics = self.topics();
        match &notification {
            Notification::Event(event) => topics.send_to_job(user_id, event.job_id, &notification),
            Notification::TimelineAdvanced | Notification::SessionEnded(_) => {
                topics.send_to_user(user_id, &notification);
            }
        }
    }

    fn work_available(&self) {
        wake(&self.work);
    }

    fn delivery_available(&self) {
        wake(&self.deliveries);
    }

    fn cancel_attempt(&self, fence: Fence) {
        // An error means that this process has no worker.
        let _ = self.cancelled.send(Delivery::Message(fence));
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn subscribe_to_user(&self, user_id: UserId) -> Box<dyn Subscription<Notification>> {
        Box::new(Receiver(self.topics().subscribe_to_user(user_id)))
    }

    async fn subscribe_to_job(
        &self,
        user_id: UserId,
        job_id: JobId,
    ) -> Box<dyn Subscription<Notification>> {
        Box::new(Receiver(self.topics().subscribe_to_job(user_id, job_id)))
    }

    async fn cancelled_attempts(&self) -> Box<dyn Subscription<Fence>> {
        Box::new(CancelledAttempts(self.cancelled.subscribe()))
    }

    fn reread_user(&self, user_id: UserId) {
        self.notify(user_id, Notification::TimelineAdvanced);
    }

    fn reread_job(&self, user_id: UserId, job_id: JobId) {
        let topics = self.topics();
        topics.send_to_job(user_id, job_id, &Notification::TimelineAdvanced);
    }

    fn subscribed_users(&self) -> Vec<UserId> {
        self.topics().subscribed_users()
    }

    fn work_wake_up(&self) -> WorkWakeUp<'_> {
        wake_up(&self.work)
    }

    fn delivery_wake_up(&self) -> WorkWakeUp<'_> {
        wake_up(&self.deliveries)
    }

    fn set_outage(&self, is_on: bool) {
        self.outage.send_replace(is_on);
    }

    fn has_outage(&self) -> bool {
        *self.outage.borrow()
    }

    async fn outage_over(&self) {
        // The sender lives as long as `self`, so this ends with the outage alone.
        let _ = self.outage.subscribe().wait_for(|is_on| !is_on).await;
    }

    fn is_connected(&self) -> bool {
        true
    }
}

/// Wakes all who wait, or else the next one that does.
fn wake(waiting: &Notify) {
    waiting.notify_waiters();
    waiting.notify_one();
}

fn wake_up(waiting: &Notify) -> WorkWakeUp<'_> {
    let mut woken = Box::pin(waiting.notified());
    woken.as_mut().enable();
    woken
}

#[derive(Debug)]
struct Receiver<T>(broadcast::Receiver<T>);

#[async_trait]
impl<T: Clone + Send + std::fmt::Debug> Subscription<T> for Receiver<T> {
    async fn next(&mut self) -> Option<Delivery<T>> {
        match self.0.recv().await {
            Ok(message) => Some(Delivery::Message(message)),
            Err(RecvError::Lagged(_)) => Some(Delivery::Missed),
            Err(RecvError::Closed) => None,
        }
    }
}

#[derive(Debug)]
struct CancelledAttempts(broadcast::Receiver<Delivery<Fence>>);

#[async_trait]
impl Subscription<Fence> for CancelledAttempts {
    async fn next(&mut self) -> Option<Delivery<Fence>> {
        match self.0.recv().await {
            Ok(delivery) => Some(delivery),
            Err(RecvError::Lagged(_)) => Some(Delivery::Missed),
            Err(RecvError::Closed) => None,
        }
    }
}
