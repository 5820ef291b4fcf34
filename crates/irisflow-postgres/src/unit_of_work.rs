//! Unit of work: one transaction with the changes of jobs, their events, and the notifications that are sent after the
//! commit. Nothing is notified that could still be rolled back.
//!
//! A unit of work that changes what belongs to users locks their rows of `timelines` first, in the order of their ids.
//! Positions and counters of these timelines are then changed in memory and written once, before the commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use irisflow_jobs::{
    BatchId, Event, Fence, Job, JobId, JobState, LogEntry, Notification, Notifier, PhotoId,
    SessionId, StoreError, Timestamp, Transition, UserId,
};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{FromRow as _, Postgres, QueryBuilder, Row as _, Transaction};
use uuid::Uuid;

use crate::columns::id;
use crate::job_row::{JobRow, StateColumns, previews_column, stored_options};
use crate::queue_counters::{LockedTimeline, QueueCounts};
use crate::retry::CommitOutcomeUnknown;
use crate::store_error::lost_connection;
use crate::{PostgresStore, store_error};

pub(crate) struct UnitOfWork<'s> {
    store: &'s PostgresStore,
    transaction: Transaction<'static, Postgres>,
    /// When the transaction began, or had its last lock.
    pub(crate) now: Timestamp,
    timelines: BTreeMap<UserId, LockedTimeline>,
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

// The rows are locked below the CTE, so the clock is read after the wait for them.
const LOCK_TIMELINES: &str = "WITH locked AS MATERIALIZED (
         SELECT * FROM timelines WHERE user_id = ANY($1) ORDER BY user_id FOR NO KEY UPDATE)
     SELECT locked.*, clock_ms() AS now FROM locked";

// Both rows are locked, the timeline first as everywhere, so that both are those after the wait.
const LOCK_JOB: &str = "WITH locked AS MATERIALIZED (
         SELECT jobs.*, timelines.last_seq AS timeline_last_seq, timelines.queued, timelines.running,
             timelines.next_run_at, timelines.webhook_kinds
         FROM timelines JOIN jobs USING (user_id) WHERE jobs.id = $1
         FOR NO KEY UPDATE OF timelines, jobs)
     SELECT locked.*, clock_ms() AS now FROM locked";

impl PostgresStore {
    /// For changes of rows that belong to no user.
    pub(crate) async fn begin(&self) -> Result<UnitOfWork<'_>, StoreError> {
        let mut unit_of_work = self.begin_without_time().await?;
        let now: i64 = sqlx::query_scalar("SELECT clock_ms()")
            .fetch_one(unit_of_work.connection())
            .await
            .map_err(store_error)?;
        unit_of_work.now = Timestamp::from_millis(now);
        Ok(unit_of_work)
    }

    /// For changes of what belongs to this user.
    pub(crate) async fn begin_for(&self, user_id: UserId) -> Result<UnitOfWork<'_>, StoreError> {
        self.begin_for_all(&[user_id]).await
    }

    /// For changes of what belongs to any of these users. Users that do not exist are ignored here.
    pub(crate) async fn begin_for_all(
        &self,
        users: &[UserId],
    ) -> Result<UnitOfWork<'_>, StoreError> {
        let mut unit_of_work = self.begin_without_time().await?;
        let users: Vec<Uuid> = users.iter().map(|user_id| user_id.as_uuid()).collect();
        unit_of_work.lock_users(&users).await?;
        if unit_of_work.timelines.is_empty() {
            return self.begin().await;
        }
        Ok(unit_of_work)
    }

    /// For changes of this job. `None` when it does not exist.
    pub(crate) async fn begin_for_job(
        &self,
        job_id: JobId,
    ) -> Result<Option<(UnitOfWork<'_>, JobRow)>, StoreError> {
        let mut unit_of_work = self.begin_without_time().await?;
        let locked = sqlx::query(LOCK_JOB)
            .bind(job_id.as_uuid())
            .fetch_optional(unit_of_work.connection())
            .await
            .map_err(store_error)?;
        let Some(row) = locked else {
            return Ok(None);
        };
        unit_of_work.add_locked(&row, "timeline_last_seq")?;
        let job = JobRow::from_row(&row).map_err(store_error)?;
        Ok(Some((unit_of_work, job)))
    }

    pub(crate) async fn begin_without_time(&self) -> Result<UnitOfWork<'_>, StoreError> {
        Ok(UnitOfWork {
            store: self,
            transaction: self.pool.begin().await.map_err(store_error)?,
            now: Timestamp::EPOCH,
            timelines: BTreeMap::new(),
            notifications: PendingNotifications::default(),
        })
    }
}

type Query = sqlx::query::Query<'static, Postgres, sqlx::postgres::PgArguments>;

impl UnitOfWork<'_> {
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Locks the timelines of these users, in the order of their ids. Users that do not exist are ignored.
    pub(crate) async fn lock_users(&mut self, users: &[Uuid]) -> Result<(), StoreError> {
        let rows = sqlx::query(LOCK_TIMELINES)
            .bind(users)
            .fetch_all(self.connection())
            .await
            .map_err(store_error)?;
        rows.iter()
            .try_for_each(|row| self.add_locked(row, "last_seq"))
    }

    /// Runs a query that locks one timeline at most. `false` when it found none.
    pub(crate) async fn lock_by(&mut self, query: Query) -> Result<bool, StoreError> {
        let row = query
            .fetch_optional(self.connection())
            .await
            .map_err(store_error)?;
        if let Some(row) = &row {
            self.add_locked(row, "last_seq")?;
        }
        Ok(row.is_some())
    }

    fn add_locked(&mut self, row: &PgRow, last_seq: &str) -> Result<(), StoreError> {
        let user_id = id(row, "user_id").map_err(store_error)?;
        let timeline = LockedTimeline::of(row, last_seq).map_err(store_error)?;
        let now = row.try_get("now").map_err(store_error)?;
        self.now = Timestamp::from_millis(now).max(self.now);
        self.timelines.insert(user_id, timeline);
        Ok(())
    }

    /// The users whose timelines are locked.
    pub(crate) fn locked_users(&self) -> Vec<UserId> {
        self.timelines.keys().copied().collect()
    }

    /// Of a user whose row is locked.
    pub(crate) fn timeline(&mut self, user_id: UserId) -> Result<&mut LockedTimeline, StoreError> {
        self.timelines.get_mut(&user_id).ok_or_else(|| {
            let message = format!("user {user_id} has no timeline");
            StoreError::Conflict(Arc::from(Box::from(message)))
        })
    }

    /// Commits, then sends the notifications, also when the caller is dropped meanwhile.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        self.write_timelines().await?;
        let (transaction, notifications) = (self.transaction, self.notifications);
        let notifier = Arc::clone(&self.store.notifier);
        let committed = tokio::spawn(async move {
            transaction.commit().await.map_err(commit_error)?;
            notifications.notify(&*notifier);
            Ok(())
        });
        committed.await.map_err(StoreError::unavailable)?
    }

    async fn write_timelines(&mut self) -> Result<(), StoreError> {
        for (user_id, timeline) in std::mem::take(&mut self.timelines) {
            timeline.write(user_id, self.connection()).await?;
        }
        Ok(())
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
        self.update_job(before, transition).await?;
        self.timeline(transition.job.user_id)?.mark_claim();
        Ok(())
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
        let Some(Transition { job, .. }) = transitions.last() else {
            return Ok(());
        };
        let entries = transitions.iter().filter_map(|by| by.log.as_ref());
        let entries: Vec<&LogEntry> = entries.collect();
        let events = self.next_events(job, Some(before.last_seq), &entries)?;
        self.record_deliveries(job, &events).await?;
        let counts = QueueCounts::of(&before.job.state);
        let timeline = self.timeline(job.user_id)?;
        timeline.count(counts, QueueCounts::of(&job.state));
        let new_position = timeline.take_new_position();

        // One statement, since each is a round trip and these are written for every checkpoint.
        let last_seq = events
            .last()
            .map_or(before.last_seq, |(event, _)| event.seq);
        let mut query = QueryBuilder::new("");
        push_events(&mut query, "WITH appended AS (", &events);
        if let Some(position) = new_position {
            query.push("), advanced AS (UPDATE timelines SET last_seq = ");
            query.push_bind(position);
            query.push(" WHERE user_id = ");
            query.push_bind(job.user_id.as_uuid());
        }
        query.push(if events.is_empty() { "" } else { ") " });
        push_update_of_job(&mut query, job, last_seq)?;
        let query = query.build();
        query
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        self.notify_events(events);
        if job.state.is_claimable() {
            self.notifications.work_available = true;
        }
        Ok(())
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
        let last_seq = self.log(job, None, &[entry]).await?;
        sqlx::query(
            "INSERT INTO jobs (id, user_id, photo_id, batch_id, priority, options, state, progress,
                 attempt_count, retries, crashes, epoch, run_at, cancel_requested, last_seq,
                 created_at, updated_at, submission_id)
             VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, 0, 0, 0, $8, $9, FALSE, $10, $11, $12, $13)",
        )
        .bind(job.id.as_uuid())
        .bind(job.user_id.as_uuid())
        .bind(job.photo_id.as_uuid())
        .bind(job.batch_id.map(BatchId::as_uuid))
        .bind(job.priority.name())
        .bind(stored_options(&job.options)?)
        .bind(i64::from(job.progress))
        .bind(job.epoch)
        .bind(job.run_at.as_millis())
        .bind(last_seq)
        .bind(job.created_at.as_millis())
        .bind(job.updated_at.as_millis())
        .bind(submission_id)
        .execute(self.connection())
        .await
        .map_err(store_error)?;
        self.notifications.work_available = true;
        self.timeline(job.user_id)?
            .count(QueueCounts::default(), QueueCounts::of(&job.state));
        Ok(())
    }

    /// Gives the next positions of the user's timeline to one job's events and inserts them; they are notified after
    /// the commit. Returns the position of the last.
    pub(crate) async fn log(
        &mut self,
        job: &Job,
        previous_of_job: Option<i64>,
        entries: &[&LogEntry],
    ) -> Result<Option<i64>, StoreError> {
        let events = self.next_events(job, previous_of_job, entries)?;
        let Some(last_seq) = events.last().map(|(event, _)| event.seq) else {
            return Ok(None);
        };
        self.record_deliveries(job, &events).await?;
        let mut query = QueryBuilder::new("");
        push_events(&mut query, "", &events);
        let query = query.build();
        query
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        self.notify_events(events);
        Ok(Some(last_seq))
    }

    /// The next events of the user's timeline, with their bodies as JSON.
    fn next_events(
        &mut self,
        job: &Job,
        mut previous_of_job: Option<i64>,
        entries: &[&LogEntry],
    ) -> Result<Vec<(Event, String)>, StoreError> {
        let now = self.now;
        let timeline = self.timeline(job.user_id)?;
        let mut events = Vec::with_capacity(entries.len());
        for entry in entries {
            let body = serde_json::to_string(&entry.body).map_err(StoreError::corrupt)?;
            let event = Event {
                user_id: job.user_id,
                seq: timeline.next_seq(),
                job_id: job.id,
                photo_id: Some(job.photo_id),
                batch_id: job.batch_id,
                previous_of_job,
                kind: entry.kind,
                body: entry.body.clone(),
                at: now,
            };
            previous_of_job = Some(event.seq);
            events.push((event, body));
        }
        Ok(events)
    }

    fn notify_events(&mut self, events: Vec<(Event, String)>) {
        let events = events.into_iter().map(|(event, _)| event);
        let notifications =
            events.map(|event| (event.user_id, Notification::Event(Arc::new(event))));
        self.notifications.notifications.extend(notifications);
    }
}

/// An error of the server says that nothing was committed; after a lost connection that is not known.
fn commit_error(error: sqlx::Error) -> StoreError {
    match store_error(error) {
        StoreError::Unavailable(cause) if lost_connection(&cause) => {
            StoreError::unavailable(CommitOutcomeUnknown(StoreError::Unavailable(cause)))
        }
        error => error,
    }
}

/// `before` and the statement that inserts the events; nothing without events.
fn push_events(query: &mut QueryBuilder<Postgres>, before: &str, events: &[(Event, String)]) {
    if events.is_empty() {
        return;
    }
    query.push(before);
    query.push(
        "INSERT INTO events (user_id, seq, job_id, photo_id, batch_id, previous_of_job, kind, body, at) ",
    );
    query.push_values(events, |mut row, (event, body)| {
        row.push_bind(event.user_id.as_uuid())
            .push_bind(event.seq)
            .push_bind(event.job_id.as_uuid())
            .push_bind(event.photo_id.map(PhotoId::as_uuid))
            .push_bind(event.batch_id.map(BatchId::as_uuid))
            .push_bind(event.previous_of_job)
            .push_bind(event.kind.name())
            .push_bind(body.clone())
            .push_bind(event.at.as_millis());
    });
}

fn push_update_of_job(
    query: &mut QueryBuilder<Postgres>,
    job: &Job,
    last_seq: i64,
) -> Result<(), StoreError> {
    let columns = StateColumns::of(&job.state)?;
    let ended_at = job.state.is_final().then_some(job.updated_at);
    query
        .push("UPDATE jobs SET state = ")
        .push_bind(columns.state);
    query
        .push(", step = ")
        .push_bind(job.step.map(irisflow_jobs::Step::name));
    query
        .push(", progress = ")
        .push_bind(i64::from(job.progress));
    query
        .push(", attempt_count = ")
        .push_bind(i64::from(job.attempt_count));
    query.push(", retries = ").push_bind(i64::from(job.retries));
    query.push(", crashes = ").push_bind(i64::from(job.crashes));
    query.push(", epoch = ").push_bind(job.epoch);
    query.push(", run_at = ").push_bind(job.run_at.as_millis());
    query
        .push(", cancel_requested = ")
        .push_bind(job.cancel_requested);
    query.push(", worker = ").push_bind(columns.worker);
    query
        .push(", lease_until = ")
        .push_bind(columns.lease_until);
    query.push(", result = ").push_bind(columns.result);
    query
        .push(", stored_bytes = ")
        .push_bind(columns.stored_bytes);
    query.push(", failure = ").push_bind(columns.failure);
    query.push(", last_seq = ").push_bind(last_seq);
    query
        .push(", updated_at = ")
        .push_bind(job.updated_at.as_millis());
    query
        .push(", ended_at = ")
        .push_bind(ended_at.map(Timestamp::as_millis));
    query
        .push(", previews = ")
        .push_bind(previews_column(&job.previews)?);
    query.push(" WHERE id = ").push_bind(job.id.as_uuid());
    Ok(())
}
