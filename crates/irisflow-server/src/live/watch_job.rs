//! One job's events for one watcher: first how it stands, then what is newer, each once and in order,
//! whatever notifications get lost on the way.

use std::collections::VecDeque;

use irisflow_jobs::{
    Event, JobId, JobState, Notification, PhotoId, SessionId, StoreError, Timeline, UserId,
};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::resumption::Watching;
use crate::app::AppState;

/// The place of a watcher in a job's history.
pub(crate) struct JobWatch {
    user_id: UserId,
    job_id: JobId,
    pub(crate) photo_id: PhotoId,
    session_id: SessionId,
    notifications: Receiver<Notification>,
    /// There may be events that no notification told of: they are to be read.
    is_behind: bool,
    /// What all watchers of this job were told, this one included.
    watching: Watching,
    /// The `seq` of the last event handed out.
    cursor: i64,
    waiting: VecDeque<Event>,
}

/// What a watcher is to do next.
pub(crate) enum Next {
    Tell(Box<Event>),
    SessionEnded,
}

impl JobWatch {
    /// Begins to watch. `None` for unknown and foreign jobs.
    pub(crate) async fn begin(
        app: &AppState,
        user_id: UserId,
        session_id: SessionId,
        job_id: JobId,
    ) -> Result<Option<Self>, StoreError> {
        // Subscribe, then read: what is committed in between is in both and told once.
        let notifications = app.parts.bus.watch_job(user_id, job_id);
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
        // After the end the end is told and nothing else. A job that was given back, or claimed again,
        // perhaps by another process, may have been watched before; so may one whose events a clock that
        // was set back makes look recent.
        let now = app.now();
        let only_newest = job.state.is_final()
            || job.epoch > 1
            || matches!(job.state, JobState::Waiting)
            || snapshot.recent.iter().any(|event| event.at > now);
        let watching = app.resumptions.watch(user_id, job_id);
        let told_before = watching.told_before();
        let mut waiting: VecDeque<Event> = snapshot.newest_older.into_iter().collect();
        waiting.extend(snapshot.recent);
        while waiting.len() > 1 {
            let old = waiting
                .front()
                .is_some_and(|event| event.seq <= told_before);
            if !only_newest && !old {
                break;
            }
            waiting.pop_front();
        }
        Ok(Some(Self {
            user_id,
            job_id,
            photo_id: snapshot.job.photo_id,
            session_id,
            notifications,
            is_behind: false,
            watching,
            cursor: 0,
            waiting,
        }))
    }

    /// The next event of the job, as soon as there is one. Cancel safe: a call that is dropped loses nothing,
    /// since a notification is taken only together with what follows from it.
    pub(crate) async fn next(&mut self, timeline: &dyn Timeline) -> Result<Next, StoreError> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                if event.seq <= self.cursor {
                    continue;
                }
                self.cursor = event.seq;
                self.watching.told(event.seq);
                return Ok(Next::Tell(Box::new(event)));
            }
            if self.is_behind {
                let (user_id, job_id) = (self.user_id, self.job_id);
                let newer = timeline.job_events_after(user_id, job_id, self.cursor);
                self.waiting.extend(newer.await?);
                self.is_behind = false;
                continue;
            }
            match self.notifications.recv().await {
                Ok(Notification::Event(event)) if event.job_id == self.job_id => {
                    if event.seq <= self.cursor {
                        continue;
                    }
                    if event.previous_of_job.unwrap_or(0) <= self.cursor {
                        self.waiting.push_back(Event::clone(&event));
                    } else {
                        self.is_behind = true;
                    }
                }
                Ok(Notification::SessionEnded(session_id)) if session_id == self.session_id => {
                    return Ok(Next::SessionEnded);
                }
                Ok(Notification::Event(_) | Notification::SessionEnded(_)) => {}
                Ok(Notification::TimelineAdvanced) | Err(RecvError::Lagged(_)) => {
                    self.is_behind = true
                }
                // The bus lives as long as the server; without it, the resync is gone too.
                Err(RecvError::Closed) => {
                    return Err(StoreError::Unavailable("the bus is closed".to_owned()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use irisflow_bus::LocalBus;
    use irisflow_jobs::{EventBody, EventKind, JobSnapshot, Notifier as _, Timestamp};
    use tokio::time::timeout;

    use super::super::resumption::Resumptions;
    use super::*;

    /// A store that takes its time, as one under load does.
    #[derive(Debug)]
    struct SlowTimeline(Event);

    #[async_trait]
    impl Timeline for SlowTimeline {
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
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(vec![self.0.clone()])
        }

        async fn jobs_with_events_after(
            &self,
            _: UserId,
            _: i64,
        ) -> Result<Vec<JobId>, StoreError> {
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
            session_id: SessionId::generate(),
            notifications: bus.watch_job(user_id, job_id),
            is_behind: false,
            watching: Resumptions::new(Duration::ZERO).watch(user_id, job_id),
            cursor: 1,
            waiting: VecDeque::new(),
        };
        let last = Event {
            user_id,
            seq: 9,
            job_id,
            previous_of_job: Some(5),
            kind: EventKind::Completed,
            body: EventBody {
                status: "completed".to_owned(),
                step: None,
                progress: 100,
                attempt_count: 0,
                failure: None,
                result: None,
            },
            at: Timestamp::EPOCH,
        };
        let timeline = SlowTimeline(last);
        bus.notify(user_id, Notification::TimelineAdvanced);

        // As `select!` does when a ping is due meanwhile.
        let dropped = timeout(Duration::from_millis(10), watch.next(&timeline)).await;
        assert!(dropped.is_err(), "it has taken the notification and reads");

        let told = timeout(Duration::from_secs(60), watch.next(&timeline)).await;
        let Ok(Ok(Next::Tell(event))) = told else {
            panic!("the last event is missed");
        };
        assert_eq!(event.seq, 9);
    }
}
