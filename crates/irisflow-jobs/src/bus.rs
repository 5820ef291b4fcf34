//! The port through which the parts of a service reach each other: subscriptions of watchers, wake-ups of
//! workers, cancelled attempts, outages. What stores publish is [`Notifier`]; this is the receiving side.
//!
//! Delivery is best effort and at most once. The database is the truth: a receiver that may have missed
//! something gets [`Delivery::Missed`] and reads the database again.

use std::pin::Pin;

use async_trait::async_trait;

use crate::id::{JobId, UserId};
use crate::job::Fence;
use crate::notifier::{Notification, Notifier};

/// What a subscription yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery<T> {
    Message(T),
    /// Messages may have been lost, since the receiver was too slow or the bus was disconnected.
    Missed,
}

/// The receiving end of a topic. Dropping it unsubscribes.
#[async_trait]
pub trait Subscription<T>: Send + Sync + std::fmt::Debug {
    /// The next message, in the order of publishing; `None` once the bus is closed. Cancel safe: a call that
    /// is dropped loses no message.
    async fn next(&mut self) -> Option<Delivery<T>>;
}

/// Ready once there may be work.
pub type WorkWakeUp<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A bus as one process sees it. A networked bus shares one connection between all subscriptions of the
/// process.
///
/// Subscribing does not fail: while a networked bus is disconnected, a subscription receives what this
/// process publishes to itself ([`Bus::reread_user`], [`Bus::reread_job`]), and [`Delivery::Missed`] once the
/// connection is back.
#[async_trait]
pub trait Bus: Notifier {
    /// All notifications about a user that are published after this returns. Subscribe first, then read the
    /// database.
    async fn subscribe_to_user(&self, user_id: UserId) -> Box<dyn Subscription<Notification>>;

    /// The same without the events of other jobs.
    async fn subscribe_to_job(
        &self,
        user_id: UserId,
        job_id: JobId,
    ) -> Box<dyn Subscription<Notification>>;

    /// Attempts that are to stop, for the workers.
    async fn cancelled_attempts(&self) -> Box<dyn Subscription<Fence>>;

    /// Gives this process's subscribers of the user [`Notification::TimelineAdvanced`].
    fn reread_user(&self, user_id: UserId);

    /// Gives it to this process's subscribers of the job, and to those of all jobs of its user.
    fn reread_job(&self, user_id: UserId, job_id: JobId);

    /// The users with subscribers in this process.
    fn subscribed_users(&self) -> Vec<UserId>;

    /// Registered when this is called, not when it is first polled: take it before looking at the queue, or
    /// a job that is submitted in between waits until the next poll.
    fn work_wake_up(&self) -> WorkWakeUp<'_>;

    /// The same for webhook deliveries.
    fn delivery_wake_up(&self) -> WorkWakeUp<'_>;

    /// Sets whether this process waits for the machine or a store to recover.
    fn set_outage(&self, is_on: bool);

    fn has_outage(&self) -> bool;

    /// Returns once there is no outage. Cancel safe.
    async fn outage_over(&self);

    /// Whether notifications of other processes arrive at the moment. While they do not, the database is read at
    /// intervals.
    fn is_connected(&self) -> bool;
}
