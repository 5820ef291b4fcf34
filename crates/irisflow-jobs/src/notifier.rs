//! Notifications that follow a commit. Losing one delays a screen; it never loses a job or an event.

use std::sync::Arc;

use crate::event::Event;
use crate::id::{SessionId, UserId};
use crate::job::Fence;

/// Told by a store after each commit. Must not block.
pub trait Notifier: Send + Sync + std::fmt::Debug {
    /// Something that a watcher of this user may want to know.
    fn notify(&self, user_id: UserId, notification: Notification);

    /// There may be a job to claim.
    fn work_available(&self);

    /// Nobody wants this attempt any more: its job is to be cancelled, or was deleted. Its worker
    /// should ask the store at once instead of at its next heartbeat.
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
