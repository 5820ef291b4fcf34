//! A bus that swallows, doubles and reorders notifications at random.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use irisflow_bus::LocalBus;
use irisflow_jobs::{Bus, Fence, JobId, Notification, Notifier, Subscription, UserId, WorkWakeUp};

#[derive(Debug, Default)]
pub(crate) struct FaultyBus {
    bus: LocalBus,
    is_faulty: AtomicBool,
    /// Subscriptions to users so far.
    pub(crate) subscriptions: AtomicUsize,
    /// A notification that is delivered after a later one.
    held: Mutex<Vec<(UserId, Notification)>>,
}

impl FaultyBus {
    pub(crate) fn set_faulty(&self) {
        self.is_faulty.store(true, Ordering::Relaxed);
    }

    fn notify_with_faults(&self, user_id: UserId, notification: Notification) {
        let mut held = self.held.lock().expect("no panic");
        match rand::random_range(0..5) {
            // Swallowed.
            0 => {}
            1 => {
                self.bus.notify(user_id, notification.clone());
                self.bus.notify(user_id, notification);
            }
            2 => held.push((user_id, notification)),
            _ => {
                self.bus.notify(user_id, notification);
                while let Some((user_id, earlier)) = held.pop() {
                    self.bus.notify(user_id, earlier);
                }
            }
        }
    }
}

impl Notifier for FaultyBus {
    fn notify(&self, user_id: UserId, notification: Notification) {
        if self.is_faulty.load(Ordering::Relaxed) {
            self.notify_with_faults(user_id, notification);
        } else {
            self.bus.notify(user_id, notification);
        }
    }

    fn work_available(&self) {
        self.bus.work_available();
    }

    fn delivery_available(&self) {
        self.bus.delivery_available();
    }

    fn cancel_attempt(&self, fence: Fence) {
        self.bus.cancel_attempt(fence);
    }
}

#[async_trait]
impl Bus for FaultyBus {
    async fn subscribe_to_user(&self, user_id: UserId) -> Box<dyn Subscription<Notification>> {
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        self.bus.subscribe_to_user(user_id).await
    }

    async fn subscribe_to_job(
        &self,
        user_id: UserId,
        job_id: JobId,
    ) -> Box<dyn Subscription<Notification>> {
        self.bus.subscribe_to_job(user_id, job_id).await
    }

    async fn cancelled_attempts(&self) -> Box<dyn Subscription<Fence>> {
        self.bus.cancelled_attempts().await
    }

    fn reread_user(&self, user_id: UserId) {
        self.bus.reread_user(user_id);
    }

    fn reread_job(&self, user_id: UserId, job_id: JobId) {
        self.bus.reread_job(user_id, job_id);
    }

    fn subscribed_users(&self) -> Vec<UserId> {
        self.bus.subscribed_users()
    }

    fn work_wake_up(&self) -> WorkWakeUp<'_> {
        self.bus.work_wake_up()
    }

    fn delivery_wake_up(&self) -> WorkWakeUp<'_> {
        self.bus.delivery_wake_up()
    }

    fn set_outage(&self, is_on: bool) {
        self.bus.set_outage(is_on);
    }

    fn has_outage(&self) -> bool {
        self.bus.has_outage()
    }

    async fn outage_over(&self) {
        self.bus.outage_over().await;
    }

    fn is_connected(&self) -> bool {
        self.bus.is_connected()
    }
}
