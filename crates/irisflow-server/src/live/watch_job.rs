//! One job's events for one watcher: first how it stands, then what is newer, each once and in order,
//! whatever hints get lost on the way.

use std::collections::VecDeque;

use irisflow_jobs::{Event, Hint, JobId, JobState, PhotoId, SessionId, StoreError, UserId};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::app::AppState;

/// The place of a watcher in a job's history.
pub(crate) struct JobWatch {
    user_id: UserId,
    job_id: JobId,
    pub(crate) photo_id: PhotoId,
    session_id: SessionId,
    hints: Receiver<Hint>,
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
        let hints = app.parts.bus.watch(user_id);
        let since = app.now() - app.settings.replay;
        let Some(snapshot) = app
            .parts
            .timeline
            .job_snapshot(user_id, job_id, since)
            .await?
        else {
            return Ok(None);
        };
        let mut waiting: VecDeque<Event> = snapshot.newest_older.into_iter().collect();
        waiting.extend(snapshot.recent);
        // Whoever comes after the end is told the end and nothing else. Whoever may have watched
        // before (the job was given back, or claimed again, perhaps by another process) is told the
        // present.
        let job = &snapshot.job;
        let was_interrupted = job.epoch > 1 || matches!(job.state, JobState::Waiting);
        let only_newest = job.state.is_final() || was_interrupted;
        let seen = app.resumptions.take(session_id, job_id);
        while waiting.len() > 1 {
            let old = waiting.front().is_some_and(|event| Some(event.seq) <= seen);
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
            hints,
            cursor: 0,
            waiting,
        }))
    }

    /// The next event of the job, as soon as there is one.
    pub(crate) async fn next(&mut self, app: &AppState) -> Result<Next, StoreError> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                if event.seq <= self.cursor {
                    continue;
                }
                self.cursor = event.seq;
                return Ok(Next::Tell(Box::new(event)));
            }
            match self.hints.recv().await {
                Ok(Hint::Event(event)) if event.job_id == self.job_id => {
                    if event.seq <= self.cursor {
                        continue;
                    }
                    if event.previous_of_job.unwrap_or(0) <= self.cursor {
                        self.waiting.push_back(Event::clone(&event));
                    } else {
                        self.read_newer(app).await?;
                    }
                }
                Ok(Hint::SessionEnded(session_id)) if session_id == self.session_id => {
                    return Ok(Next::SessionEnded);
                }
                Ok(Hint::Event(_) | Hint::SessionEnded(_)) => {}
                Ok(Hint::Behind) | Err(RecvError::Lagged(_)) => self.read_newer(app).await?,
                // The bus lives as long as the server; without it, the resync is gone too.
                Err(RecvError::Closed) => {
                    return Err(StoreError::Unavailable("the bus is closed".to_owned()));
                }
            }
        }
    }

    /// Remembers how far this watcher has come, should it return in a moment.
    pub(crate) fn leave(&self, app: &AppState) {
        app.resumptions
            .leave(self.session_id, self.job_id, self.cursor);
    }

    async fn read_newer(&mut self, app: &AppState) -> Result<(), StoreError> {
        let newer = app
            .parts
            .timeline
            .job_events_after(self.user_id, self.job_id, self.cursor)
            .await?;
        self.waiting.extend(newer);
        Ok(())
    }
}
