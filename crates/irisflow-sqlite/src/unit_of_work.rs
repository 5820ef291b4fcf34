//! Unit of work: one write transaction with the changes of jobs, their events, and the notifications that are
//! sent after the commit. Nothing is notified that could still be rolled back.
//!
//! SQLite runs on a thread of its own, and passing a statement to it costs more than most statements do:
//! statements without a result are sent together, as one script.

use std::sync::Arc;

use irisflow_jobs::{
    BatchId, Event, EventKinds, Fence, Job, JobState, LogEntry, Notification, Notifier, PhotoId,
    SessionId, StoreError, Timestamp, Transition, UserId,
};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::commit_pause::{CommitPoint, pause};
use crate::group_commit::WriteTransaction;
use crate::job_row::{JobRow, StateColumns, previews_column, stored_options};
use crate::queue_counters::{QueueCounts, count, mark_claim};
use crate::{SqliteStore, store_error};

pub(crate) struct UnitOfWork<'s> {
    store: &'s SqliteStore,
    transaction: WriteTransaction,
    pub(crate) now: Timestamp,
    notifications: PendingNotifications,
}

/// Notifications that are sent after the commit.
#[derive(Debug, Default)]
struct PendingNotifications {
    notifications: Vec<(UserId, Notification)>,
    work_available: bool,
    delivery_available: bool,
    cancelled_attempts: Vec<Fence>,
}

impl PendingNotifications {
    fn notify(self, notifier: &dyn Notifier) {
        for (user_id, notification) in self.notifications {
            notifier.notify(user_id, notification);
        }
        if self.work_available {
            notifier.work_available();
        }
        if self.delivery_available {
            notifier.delivery_available();
        }
        for fence in self.cancelled_attempts {
            notifier.cancel_attempt(fence);
        }
    }
}

impl SqliteStore {
    pub(crate) async fn begin(&self) -> Result<UnitOfWork<'_>, StoreError> {
        let transaction = self.writer.begin().await?;
        Ok(UnitOfWork {
            store: self,
            transaction,
            now: self.now(),
            notifications: PendingNotifications::default(),
        })
    }
}

impl UnitOfWork<'_> {
    pub(crate) fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.transaction.connection()
    }

    /// Commits, then sends the notifications, also when the caller is dropped meanwhile.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        pause(CommitPoint::Before).await;
        let (notifications, notifier) = (self.notifications, Arc::clone(&self.store.notifier));
        self.transaction
            .commit(move || notifications.notify(&*notifier))
            .await
    }

    /// Whether the commit will send any notification.
    pub(crate) fn has_notifications(&self) -> bool {
        let notifications = &self.notifications;
        notifications.work_available
            || notifications.delivery_available
            || !notifications.notifications.is_empty()
            || !notifications.cancelled_attempts.is_empty()
    }

    /// Notifies idle workers after the commit.
    pub(crate) fn work_available(&mut self) {
        self.notifications.work_available = true;
    }

    /// Notifies deliverers of webhooks after the commit.
    pub(crate) fn delivery_available(&mut self) {
        self.notifications.delivery_available = true;
    }

    pub(crate) fn session_ended(&mut self, user_id: UserId, session_id: SessionId) {
        self.notifications
            .notifications
            .push((user_id, Notification::SessionEnded(session_id)));
    }

    /// Notifies the worker of a running job, after the commit, that its attempt is cancelled.
    pub(crate) fn cancel_attempt(&mut self, job: &Job) {
        if matches!(job.state, JobState::Processing(_)) {
            self.notifications.cancelled_attempts.push(Fence {
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
        let last_seq = self.log(&mut script, job, previous, &entries).await?;
        let last_seq = last_seq.unwrap_or(before.last_seq);
        write_job(&mut script, job, last_seq)?;
        if job.state.is_claimable() {
            self.notifications.work_available = true;
        }
        let counts = QueueCounts::of(&before.job.state);
        count(
            &mut script,
            job.user_id,
            counts,
            QueueCounts::of(&job.state),
        );
        Ok(script)
    }

    pub(crate) async fn insert_job(
        &mut self,
        transition: &Transition,
        submission_id: Option<i64>,
    ) -> Result<(), StoreError> {
        let job = &transition.job;
        let Some(entry) = &transition.log else {
            return Err(StoreError::corrupt("a new job without its first event"));
        };
        let mut script = Script::new("");
        let last_seq = self.log(&mut script, job, None, &[entry]).await?;
        script.push(
            "INSERT INTO jobs (id, user_id, photo_id, batch_id, priority, options, state, progress,
                 attempt_count, retries, crashes, epoch, run_at, cancel_requested, last_seq,
                 created_at, updated_at, submission_id) VALUES (",
        );
        let mut values = script.separated(", ");
        values
            .push_bind(job.id.as_uuid())
            .push_bind(job.user_id.as_uuid())
            .push_bind(job.photo_id.as_uuid())
            .push_bind(job.batch_id.map(BatchId::as_uuid))
            .push_bind(job.priority.name())
            .push_bind(stored_options(&job.options)?)
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
        self.notifications.work_available = true;
        let counts = QueueCounts::of(&job.state);
        count(&mut script, job.user_id, QueueCounts::default(), counts);
        self.run(script).await
    }

    /// Runs statements whose results are not needed.
    pub(crate) async fn run(&mut self, mut script: Script) -> Result<(), StoreError> {
        if script.sql().as_str().is_empty() {
            return Ok(());
        }
        let script = script.build();
        script
            .execute(self.connection()?)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    /// Reserves the next positions of the user's timeline and adds the inserts of one job's events to the
    /// script; they are notified after the commit. Returns the position of the last.
    pub(crate) async fn log(
        &mut self,
        script: &mut Script,
        job: &Job,
        mut previous_of_job: Option<i64>,
        entries: &[&LogEntry],
    ) -> Result<Option<i64>, StoreError> {
        if entries.is_empty() {
            return Ok(None);
        }
        let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        let (last_seq, webhook_kinds): (i64, u8) = sqlx::query_as(
            "UPDATE timelines SET last_seq = last_seq + ? WHERE user_id = ?
             RETURNING last_seq, webhook_kinds",
        )
        .bind(count)
        .bind(job.user_id.as_uuid())
        .fetch_one(self.connection()?)
        .await
        .map_err(store_error)?;
        let mut rows = Vec::with_capacity(entries.len());
        for (seq, entry) in (last_seq - count + 1..).zip(entries) {
            let body = serde_json::to_string(&entry.body).map_err(StoreError::corrupt)?;
            let event = Event {
                user_id: job.user_id,
                seq,
                job_id: job.id,
                photo_id: Some(job.photo_id),
                batch_id: job.batch_id,
                previous_of_job,
                kind: entry.kind,
                body: entry.body.clone(),
                at: self.now,
            };
            previous_of_job = Some(seq);
            rows.push((event, body));
        }
        let webhook_kinds = EventKinds::from_bits(webhook_kinds);
        self.record_deliveries(script, job, webhook_kinds, &rows)
            .await?;
        script.push(
            "INSERT INTO events (user_id, seq, job_id, photo_id, batch_id, previous_of_job, kind, body, at) ",
        );
        script.push_values(rows, |mut row, (event, body)| {
            row.push_bind(event.user_id.as_uuid())
                .push_bind(event.seq)
                .push_bind(event.job_id.as_uuid())
                .push_bind(event.photo_id.map(PhotoId::as_uuid))
                .push_bind(event.batch_id.map(BatchId::as_uuid))
                .push_bind(event.previous_of_job)
                .push_bind(event.kind.name())
                .push_bind(body)
                .push_bind(event.at.as_millis());
            self.notifications
                .notifications
                .push((event.user_id, Notification::Event(Arc::new(event))));
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
        .push(", previews = ")
        .push_bind(previews_column(&job.previews)?)
        .push(", last_seq = ")
        .push_bind(last_seq)
        .push(", updated_at = ")
        .push_bind(job.updated_at.as_millis())
        .push(" WHERE id = ")
        .push_bind(job.id.as_uuid())
        .push("; ");
    Ok(())
}
