//! Notifications that follow a commit. Losing one delays a screen; it never loses a job or an event.

use std::sync::Arc;

use crate::event::Event;
use crate::id::{SessionId, UserId};
use crate::job::Fence;

/// Called by a store after each commit. Must not block.
pub trait Notifier: Send + Sync + std::fmt::Debug {
    /// A change for the watchers of this user.
    fn notify(&self, user_id: UserId, notification: Notification);

    /// There may be a job to claim.
    fn work_available(&self);

    /// There may be a webhook delivery to claim.
    fn delivery_available(&self);

    /// This attempt is cancelled: the cancellation of its job was requested, or the job was deleted. Its
    /// worker should read the store at once instead of at its next heartbeat.
    fn cancel_attempt(&self, fence: Fence);
}

/// What happened to a user's jobs or sessions.
#[derive(Debug, Clone)]
pub enum Notification {
    /// An event was committed.
    Event(Arc<Event>),
    /// The timeline has moved on by events that were not announced: read it.
    TimelineAdvanced,
    /// This session was ended.
    SessionEnded(SessionId),
}
