//! Event stream of one job for one watcher: the current state first, then newer events. Each is delivered once and
//! in order, also when notifications are lost.

use std::collections::VecDeque;

use irisflow_jobs::{
    Delivery, Event, JobId, JobState, Notification, PhotoId, SessionId, StoreError, Subscription,
    Timeline, UserId,
};

use super::resumption::{SharedFrame, WatcherCursor};
use crate::app::AppState;
use crate::public_url::BaseUrl;

/// A watcher's position in the events of a job.
pub(crate) struct JobWatch {
    user_id: UserId,
    job_id: JobId,
    pub(crate) photo_id: PhotoId,
    /// The job had ended when the watch began.
    pub(crate) has_ended: bool,
    session_id: SessionId,
    notifications: Box<dyn Subscription<Notification>>,
    /// A notification may have been missed, so that newer events have to be read from the store.
    is_behind: bool,
    /// Shared by all watchers of this user and job.
    resumption_cursor: WatcherCursor,
    /// The `seq` of the last event returned to this watcher.
    cursor: i64,
    pending: VecDeque<Event>,
}

/// The next item for a watcher.
pub(crate) enum Next {
    Event(Box<Event>),
    SessionEnded,
}

impl JobWatch {
    /// Subscribes to a job and reads its current state. `None` when the job does not exist or belongs to another
    /// account.
    pub(crate) async fn begin(
        app: &AppState,
        user_id: UserId,
        session_id: SessionId,
        job_id: JobId,
    ) -> Result<Option<Self>, StoreError> {
        // Subscribe before reading: an event that is committed in between is in both, and `cursor` drops the
        // duplicate.
        let notifications = app.parts.bus.subscribe_to_job(user_id, job_id).await;
        let since = app.now() - app.settings.replay;
        let Some(snapshot) = app
            .parts
            .timeline
            .job_snapshot(user_id, job_id, since)
            .await?
        else {
            return Ok(None);
        };
        let job = &snapshot.job;
        // No replay of recent events, but the newest one only, when the job has ended, and when the client may
        // have got later events before: from another process, for a job that was handed back or claimed again,
        // or when the system clock was set back, which makes old events look recent.
        let now = app.now();
        let only_newest = job.state.is_final()
            || job.epoch > 1
            || matches!(job.state, JobState::Waiting)
            || snapshot.recent.iter().any(|event| event.at > now);
        let resumption_cursor = app.resumptions.watch(user_id, job_id);
        let last_sent = resumption_cursor.last_sent();
        let mut pending: VecDeque<Event> = snapshot.newest_older.into_iter().collect();
        pending.extend(snapshot.recent);
        while pending.len() > 1 {
            let was_sent = pending.front().is_some_and(|event| event.seq <= last_sent);
            if !only_newest && !was_sent {
                break;
            }
            pending.pop_front();
        }
        Ok(Some(Self {
            user_id,
            job_id,
            photo_id: snapshot.job.photo_id,
            has_ended: snapshot.job.state.is_final(),
            session_id,
            notifications,
            is_behind: false,
            resumption_cursor,
            cursor: 0,
            pending,
        }))
    }

    /// The frame of an event, shared with the other watchers of the job.
    pub(crate) fn shared_frame(&self, seq: i64, base: &BaseUrl) -> SharedFrame {
        self.resumption_cursor.shared_frame(seq, base)
    }

    /// Waits for the next event of the job. Cancel safe: the effect of a notification is stored in `self` at once
    /// after it was received, so that a call that is dropped later loses no event.
    pub(crate) async fn next(&mut self, timeline: &dyn Timeline) -> Result<Next, StoreError> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                if event.seq <= self.cursor {
                    continue;
                }
                self.cursor = event.seq;
                self.resumption_cursor.record_sent(event.seq);
                return Ok(Next::Event(Box::new(event)));
            }
            if self.is_behind {
                let (user_id, job_id) = (self.user_id, self.job_id);
                let newer = timeline.job_events_after(user_id, job_id, self.cursor);
                self.pending.extend(newer.await?);
                self.is_behind = false;
                continue;
            }
            let notification = match self.notifications.next().await {
                Some(Delivery::Message(notification)) => notification,
                Some(Delivery::Missed) => Notification::TimelineAdvanced,
                // Cannot happen while the server runs, which owns the bus.
                None => return Err(StoreError::unavailable("the bus is closed")),
            };
            match notification {
                Notification::Event(event) if event.job_id == self.job_id => {
                    if event.seq <= self.cursor {
                        continue;
                    }
                    if event.previous_of_job.unwrap_or(0) <= self.cursor {
                        self.pending.push_back(Event::clone(&event));
                    } else {
                        self.is_behind = true;
                    }
                }
                Notification::SessionEnded(session_id) if session_id == self.session_id => {
                    return Ok(Next::SessionEnded);
                }
                Notification::Event(_) | Notification::SessionEnded(_) => {}
                Notification::TimelineAdvanced => self.is_behind = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use irisflow_bus::LocalBus;
    use irisflow_jobs::{
        Bus as _, Cursor, EventBody, EventKind, EventsAfter, JobSnapshot, Notifier as _, Timestamp,
        UserSnapshot, WatchFilter,
    };
    use tokio::time::timeout;

    use super::super::resumption::Resumptions;
    use super::*;

    /// A store whose first query does not return.
    #[derive(Debug)]
    struct SlowTimeline {
        event: Event,
        was_asked: AtomicBool,
    }

    #[async_trait]
    impl Timeline for SlowTimeline {
        async fn user_snapshot(
            &self,
            _: UserId,
            _: &WatchFilter,
            _: u32,
        ) -> Result<Option<UserSnapshot>, StoreError> {
            Ok(None)
        }

        async fn user_events_after(
            &self,
            _: UserId,
            _: Cursor,
            _: &WatchFilter,
            _: u32,
        ) -> Result<Option<EventsAfter>, StoreError> {
            Ok(None)
        }

        async fn job_snapshot(
            &self,
            _: UserId,
            _: JobId,
            _: Timestamp,
        ) -> Result<Option<JobSnapshot>, StoreError> {
            Ok(None)
        }

        async fn job_events_after(
            &self,
            _: UserId,
            _: JobId,
            _: i64,
        ) -> Result<Vec<Event>, StoreError> {
            if !self.was_asked.swap(true, Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            Ok(vec![self.event.clone()])
        }

        async fn jobs_with_events_after(
            &self,
            _: UserId,
            _: i64,
        ) -> Result<Vec<JobId>, StoreError> {
            Ok(Vec::new())
        }

        async fn last_seqs_since(&self, _: Timestamp) -> Result<Vec<(UserId, i64)>, StoreError> {
            Ok(Vec::new())
        }

        async fn last_seqs(&self, _: &[UserId]) -> Result<Vec<(UserId, i64)>, StoreError> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_while_it_reads_loses_no_event() {
        let (user_id, job_id) = (UserId::generate(), JobId::generate());
        let bus = LocalBus::new();
        let mut watch = JobWatch {
            user_id,
            job_id,
            photo_id: PhotoId::generate(),
            has_ended: false,
            session_id: SessionId::generate(),
            notifications: bus.subscribe_to_job(user_id, job_id).await,
            is_behind: false,
            resumption_cursor: Resumptions::new(Duration::ZERO).watch(user_id, job_id),
            cursor: 1,
            pending: VecDeque::new(),
        };
        let last = Event {
            user_id,
            seq: 9,
            job_id,
            photo_id: None,
            batch_id: None,
            previous_of_job: Some(5),
            kind: EventKind::Completed,
            body: EventBody {
                status: "completed".to_owned(),
                step: None,
                progress: 100,
                attempt_count: 0,
                failure: None,
                result: None,
                previews: Vec::new(),
            },
            at: Timestamp::EPOCH,
        };
        let timeline = SlowTimeline {
            event: last,
            was_asked: AtomicBool::new(false),
        };
        bus.notify(user_id, Notification::TimelineAdvanced);

        // As `select!` does when another branch completes first, for example a ping.
        let dropped = timeout(Duration::from_millis(10), watch.next(&timeline)).await;
        assert!(
            dropped.is_err(),
            "the call was dropped while it read the store"
        );

        let next = timeout(Duration::from_secs(60), watch.next(&timeline)).await;
        let Ok(Ok(Next::Event(event))) = next else {
            panic!("the last event was lost");
        };
        assert_eq!(event.seq, 9);
    }
}
