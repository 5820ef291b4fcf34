//! A notifier that records the notifications and, on request, checks at once that each event can be read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use crate::{Event, Fence, Notification, Notifier, SessionId, Timeline, UserId};

#[derive(Debug, Default)]
pub struct RecordingNotifier {
    received: Mutex<Vec<(UserId, Notification)>>,
    unreadable: Mutex<Vec<Event>>,
    work_notifications: AtomicUsize,
    delivery_notifications: AtomicUsize,
    cancelled: Mutex<Vec<Fence>>,
    timeline: OnceLock<Weak<dyn Timeline>>,
}

impl RecordingNotifier {
    /// From now on each event is read while the store is still sending its notification.
    pub fn check_against(&self, timeline: &Arc<dyn Timeline>) {
        self.timeline
            .set(Arc::downgrade(timeline))
            .expect("asked once");
    }

    /// Events that could not be read at that moment.
    pub fn unreadable(&self) -> Vec<Event> {
        self.unreadable.lock().expect("no thread panicked").clone()
    }

    /// The events of the notifications, in order.
    pub fn events(&self) -> Vec<Event> {
        self.collect(|_, notification| match notification {
            Notification::Event(event) => Some(event.as_ref().clone()),
            Notification::TimelineAdvanced | Notification::SessionEnded(_) => None,
        })
    }

    pub fn ended_sessions(&self) -> Vec<(UserId, SessionId)> {
        self.collect(|user_id, notification| match notification {
            Notification::SessionEnded(session_id) => Some((user_id, *session_id)),
            Notification::TimelineAdvanced | Notification::Event(_) => None,
        })
    }

    /// How many times available work was notified.
    pub fn work_notifications(&self) -> usize {
        self.work_notifications.load(Ordering::SeqCst)
    }

    /// How many times available webhook deliveries were notified.
    pub fn delivery_notifications(&self) -> usize {
        self.delivery_notifications.load(Ordering::SeqCst)
    }

    /// The attempts whose cancellation was notified.
    pub fn cancelled_attempts(&self) -> Vec<Fence> {
        self.cancelled.lock().expect("no thread panicked").clone()
    }

    fn collect<T>(&self, pick: impl Fn(UserId, &Notification) -> Option<T>) -> Vec<T> {
        let received = self.received.lock().expect("no thread panicked");
        received
            .iter()
            .filter_map(|(user_id, notification)| pick(*user_id, notification))
            .collect()
    }

    /// Reads on another connection than the one that announces, so a change that is not committed
    /// yet is not seen.
    fn look_up(timeline: &dyn Timeline, event: &Event) -> bool {
        let read = timeline.job_events_after(event.user_id, event.job_id, event.seq - 1);
        let read = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(read));
        read.is_ok_and(|events| events.first() == Some(event))
    }
}

impl Notifier for RecordingNotifier {
    fn notify(&self, user_id: UserId, notification: Notification) {
        let timeline = self.timeline.get().and_then(Weak::upgrade);
        if let (Some(timeline), Notification::Event(event)) = (timeline, &notification)
            && !Self::look_up(timeline.as_ref(), event)
        {
            let mut unreadable = self.unreadable.lock().expect("no thread panicked");
            unreadable.push(event.as_ref().clone());
        }
        let mut received = self.received.lock().expect("no thread panicked");
        received.push((user_id, notification));
    }

    fn work_available(&self) {
        self.work_notifications.fetch_add(1, Ordering::SeqCst);
    }

    fn delivery_available(&self) {
        self.delivery_notifications.fetch_add(1, Ordering::SeqCst);
    }

    fn cancel_attempt(&self, fence: Fence) {
        let mut cancelled = self.cancelled.lock().expect("no thread panicked");
        cancelled.push(fence);
    }
}
