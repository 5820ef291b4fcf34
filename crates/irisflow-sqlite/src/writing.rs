//! One write transaction: the changes of jobs, the events that tell of them, and, after the commit,
//! the hints (notifications). Nothing is announced that could still be rolled back.
//!
//! SQLite runs on a thread of its own, and handing it a statement costs more than most statements do:
//! what needs no answer goes there as one script.

use std::sync::Arc;

use irisflow_jobs::{
    Announcer, Event, Fence, Hint, Job, JobId, JobState, LogEntry, SessionId, StoreError,
    Timestamp, Transition, UserId,
};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::counters::{Standing, count, mark_claim};
use crate::job_row::{JobRow, StateColumns};
use crate::pause::{CommitPoint, pause};
use crate::writer::Turn;
use crate::{SqliteStore, unavailable};

pub(crate) struct Writing<'s> {
    store: &'s SqliteStore,
    turn: Turn,
    pub(crate) now: Timestamp,
    notices: Notices,
}

/// What is announced when the transaction is committed.
#[derive(Debug, Default)]
struct Notices {
    hints: Vec<(UserId, Hint)>,
    work_may_wait: bool,
    unwanted: Vec<Fence>,
}

impl Notices {
    fn announce(self, announcer: &dyn Announcer) {
        for (user_id, hint) in self.hints {
            announcer.announce(user_id, hint);
        }
        if self.work_may_wait {
            announcer.work_may_wait();
        }
        for fence in self.unwanted {
            announcer.attempt_unwanted(fence);
        }
    }
}

impl SqliteStore {
    pub(crate) async fn begin(&self) -> Result<Writing<'_>, StoreError> {
        let turn = self.writer.begin().await?;
        Ok(Writing {
            store: self,
            turn,
            now: self.now(),
            notices: Notices::default(),
        })
    }
}

impl Writing<'_> {
    pub(crate) fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.turn.connection()
    }

    /// Commits, then announces what was changed, also when the caller does not wait for it.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        pause(CommitPoint::Before).await;
        let (notices, announcer) = (self.notices, Arc::clone(&self.store.announcer));
        self.turn
            .commit(move || notices.announce(&*announcer))
            .await
    }

    /// Whether the commit will announce anything.
    pub(crate) fn has_notices(&self) -> bool {
        let notices = &self.notices;
        notices.work_may_wait || !notices.hints.is_empty() || !notices.unwanted.is_empty()
    }

    /// Wakes idle workers after the commit.
    pub(crate) fn work_may_wait(&mut self) {
        self.notices.work_may_wait = true;
    }

    pub(crate) fn session_ended(&mut self, user_id: UserId, session_id: SessionId) {
        self.notices
            .hints
            .push((user_id, Hint::SessionEnded(session_id)));
    }

    /// Tells the worker of a running job that nobody wants its work any more.
    pub(crate) fn attempt_unwanted(&mut self, job: &Job) {
        if matches!(job.state, JobState::Processing(_)) {
            self.notices.unwanted.push(Fence {
                job_id: job.id,
                epoch: job.epoch,
            });
        }
    }

    /// Writes the job as a claim left it, and that its user was served.
    pub(crate) async fn claim_job(
        &mut self,
        before: &JobRow,
        transition: &Transition,
    ) -> Result<(), StoreError> {
        let transitions = std::slice::from_ref(transition);
        let mut script = self.update_script(before, transitions).await?;
        mark_claim(&mut script, transition.job.user_id);
        self.run(script).await
    }

    /// Writes the job as `transition` left it, its event, and the user's counters.
    pub(crate) async fn update_job(
        &mut self,
        before: &JobRow,
        transition: &Transition,
    ) -> Result<(), StoreError> {
        self.update_job_by(before, std::slice::from_ref(transition))
            .await
    }

    /// Writes the job as the last of these left it, the events of all of them, and the user's counters.
    pub(crate) async fn update_job_by(
        &mut self,
        before: &JobRow,
        transitions: &[Transition],
    ) -> Result<(), StoreError> {
        let script = self.update_script(before, transitions).await?;
        self.run(script).await
    }

    async fn update_script(
        &mut self,
        before: &JobRow,
        transitions: &[Transition],
    ) -> Result<Script, StoreError> {
        let mut script = Script::new("");
        let Some(Transition { job, .. }) = transitions.last() else {
            return Ok(script);
        };
        let entries = transitions.iter().filter_map(|by| by.log.as_ref());
        let entries: Vec<&LogEntry> = entries.collect();
        let previous = Some(before.last_seq);
        let last_seq = self
            .log(&mut script, job.user_id, job.id, previous, &entries)
            .await?;
        let last_seq = last_seq.unwrap_or(before.last_seq);
        write_job(&mut script, job, last_seq)?;
        if job.state.is_claimable() {
            self.notices.work_may_wait = true;
        }
        let standing = Standing::of(&before.job.state);
        count(&mut script, job.user_id, standing, Standing::of(&job.state));
        Ok(script)
    }

    pub(crate) async fn insert_job(
        &mut self,
        transition: &Transition,
        submission_id: Option<i64>,
    ) -> Result<(), StoreError> {
        let job = &transition.job;
        let Some(entry) = &transition.log else {
            return Err(StoreError::Corrupt(
                "a new job without its first event".to_owned(),
            ));
        };
        let mut script = Script::new("");
        let last_seq = self
            .log(&mut script, job.user_id, job.id, None, &[entry])
            .await?;
        script.push(
            "INSERT INTO jobs (id, user_id, photo_id, batch_id, priority, state, progress,
                 attempt_count, retries, crashes, epoch, run_at, cancel_requested, last_seq,
                 created_at, updated_at, submission_id) VALUES (",
        );
        let mut values = script.separated(", ");
        values
            .push_bind(job.id.as_uuid())
            .push_bind(job.user_id.as_uuid())
            .push_bind(job.photo_id.as_uuid())
            .push_bind(job.batch_id.map(irisflow_jobs::BatchId::as_uuid))
            .push_bind(job.priority.name())
            .push("'pending'")
            .push_bind(job.progress)
            .push("0, 0, 0")
            .push_bind(job.epoch)
            .push_bind(job.run_at.as_millis())
            .push("0")
            .push_bind(last_seq)
            .push_bind(job.created_at.as_millis())
            .push_bind(job.updated_at.as_millis())
            .push_bind(submission_id);
        script.push("); ");
        self.notices.work_may_wait = true;
        let standing = Standing::of(&job.state);
        count(&mut script, job.user_id, Standing::default(), standing);
        self.run(script).await
    }

    /// Runs statements that nobody waits for an answer of.
    pub(crate) async fn run(&mut self, mut script: Script) -> Result<(), StoreError> {
        if script.sql().as_str().is_empty() {
            return Ok(());
        }
        let script = script.build();
        script
            .execute(self.connection()?)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    /// Takes the next positions of the user's timeline and puts one job's events there into the script;
    /// the hints go out after the commit. Returns the position of the last.
    pub(crate) async fn log(
        &mut self,
        script: &mut Script,
        user_id: UserId,
        job_id: JobId,
        mut previous_of_job: Option<i64>,
        entries: &[&LogEntry],
    ) -> Result<Option<i64>, StoreError> {
        if entries.is_empty() {
            return Ok(None);
        }
        let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        let last_seq: i64 = sqlx::query_scalar(
            "UPDATE timelines SET last_seq = last_seq + ? WHERE user_id = ? RETURNING last_seq",
        )
        .bind(count)
        .bind(user_id.as_uuid())
        .fetch_one(self.connection()?)
        .await
        .map_err(unavailable)?;
        let mut rows = Vec::with_capacity(entries.len());
        for (seq, entry) in (last_seq - count + 1..).zip(entries) {
            let body = serde_json::to_string(&entry.body)
                .map_err(|error| StoreError::Corrupt(error.to_string()))?;
            let event = Event {
                user_id,
                seq,
                job_id,
                previous_of_job,
                kind: entry.kind,
                body: entry.body.clone(),
                at: self.now,
            };
            previous_of_job = Some(seq);
            rows.push((event, body));
        }
        script.push("INSERT INTO events (user_id, seq, job_id, previous_of_job, kind, body, at) ");
        script.push_values(rows, |mut row, (event, body)| {
            row.push_bind(event.user_id.as_uuid())
                .push_bind(event.seq)
                .push_bind(event.job_id.as_uuid())
                .push_bind(event.previous_of_job)
                .push_bind(event.kind.name())
                .push_bind(body)
                .push_bind(event.at.as_millis());
            self.notices
                .hints
                .push((user_id, Hint::Event(Arc::new(event))));
        });
        script.push("; ");
        Ok(Some(last_seq))
    }
}

/// Statements that are sent together.
pub(crate) type Script = QueryBuilder<Sqlite>;

fn write_job(script: &mut Script, job: &Job, last_seq: i64) -> Result<(), StoreError> {
    let columns = StateColumns::of(&job.state)?;
    script
        .push("UPDATE jobs SET state = ")
        .push_bind(columns.state)
        .push(", step = ")
        .push_bind(job.step.map(irisflow_jobs::Step::name))
        .push(", progress = ")
        .push_bind(job.progress)
        .push(", attempt_count = ")
        .push_bind(job.attempt_count)
        .push(", retries = ")
        .push_bind(job.retries)
        .push(", crashes = ")
        .push_bind(job.crashes)
        .push(", epoch = ")
        .push_bind(job.epoch)
        .push(", run_at = ")
        .push_bind(job.run_at.as_millis())
        .push(", cancel_requested = ")
        .push_bind(job.cancel_requested)
        .push(", worker = ")
        .push_bind(columns.worker)
        .push(", lease_until = ")
        .push_bind(columns.lease_until)
        .push(", result = ")
        .push_bind(columns.result)
        .push(", failure = ")
        .push_bind(columns.failure)
        .push(", last_seq = ")
        .push_bind(last_seq)
        .push(", updated_at = ")
        .push_bind(job.updated_at.as_millis())
        .push(" WHERE id = ")
        .push_bind(job.id.as_uuid())
        .push("; ");
    Ok(())
}
