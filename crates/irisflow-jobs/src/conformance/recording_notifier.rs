//! An notifier that keeps what it is told and, when asked to, looks at once whether it is true.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use crate::{Event, Fence, Notification, Notifier, SessionId, Timeline, UserId};

#[derive(Debug, Default)]
pub struct RecordingNotifier {
    heard: Mutex<Vec<(UserId, Notification)>>,
    unreadable: Mutex<Vec<Event>>,
    work_notifications: AtomicUsize,
    unwanted: Mutex<Vec<Fence>>,
    timeline: OnceLock<Weak<dyn Timeline>>,
}

impl RecordingNotifier {
    /// From now on each notifications event is looked up while the store is still announcing it.
    pub fn check_against(&self, timeline: &Arc<dyn Timeline>) {
        self.timeline
            .set(Arc::downgrade(timeline))
            .expect("asked once");
    }

    /// Announced events that could not be read at that moment.
    pub fn unreadable(&self) -> Vec<Event> {
        self.unreadable.lock().expect("nobody panicked").clone()
    }

    /// The notifications events, in the order in which they were heard.
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

    /// How often it was said that work may wait.
    pub fn work_notifications(&self) -> usize {
        self.work_notifications.load(Ordering::SeqCst)
    }

    /// The attempts that were said to be unwanted.
    pub fn cancelled_attempts(&self) -> Vec<Fence> {
        self.unwanted.lock().expect("nobody panicked").clone()
    }

    fn collect<T>(&self, pick: impl Fn(UserId, &Notification) -> Option<T>) -> Vec<T> {
        let heard = self.heard.lock().expect("nobody panicked");
        heard
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
            let mut unreadable = self.unreadable.lock().expect("nobody panicked");
            unreadable.push(event.as_ref().clone());
        }
        let mut heard = self.heard.lock().expect("nobody panicked");
        heard.push((user_id, notification));
    }

    fn work_available(&self) {
        self.work_notifications.fetch_add(1, Ordering::SeqCst);
    }

    fn cancel_attempt(&self, fence: Fence) {
        let mut unwanted = self.unwanted.lock().expect("nobody panicked");
        unwanted.push(fence);
    }
}
