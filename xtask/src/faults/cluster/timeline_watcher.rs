//! Watches all jobs of an account on one node, over `/ws`, and records every event with the time of its arrival.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use irisflow_client::{Client, EventKind, JobEvent, TimelineUpdate};
use tokio::task::JoinHandle;

use super::load::SubmittedJob;
use crate::faults::job_watcher::WatchedJob;

/// Dropping it ends the connection.
pub(super) struct TimelineWatcher {
    task: JoinHandle<()>,
    received: Arc<Mutex<Received>>,
}

#[derive(Default)]
struct Received {
    is_attached: bool,
    events: Vec<(Instant, JobEvent)>,
    error: Option<String>,
}

impl TimelineWatcher {
    /// Returns once the first snapshot has arrived.
    pub(super) async fn attach(client: Client) -> Self {
        let received = Arc::<Mutex<Received>>::default();
        let task = tokio::spawn(follow(client, Arc::clone(&received)));
        let watcher = Self { task, received };
        while !watcher.received().is_attached && watcher.received().error.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        watcher
    }

    /// Why it ended before its time.
    pub(super) fn error(&self) -> Option<String> {
        self.received().error.clone()
    }

    /// Position of the newest event.
    pub(super) fn position(&self) -> i64 {
        let received = self.received();
        received.events.last().map_or(0, |(_, event)| event.seq)
    }

    /// How many of these positions have not arrived, and how many arrived again or out of order.
    pub(super) fn missed(&self, recorded: &[i64]) -> usize {
        let received = self.received();
        let positions: Vec<i64> = received.events.iter().map(|(_, event)| event.seq).collect();
        let arrived: HashSet<i64> = positions.iter().copied().collect();
        let absent = recorded.iter().filter(|seq| !arrived.contains(seq)).count();
        let out_of_order = positions.windows(2).filter(|pair| pair[0] >= pair[1]);
        absent + out_of_order.count()
    }

    /// The longest time between two events that follow each other.
    pub(super) fn longest_gap(&self) -> Duration {
        let received = self.received();
        let gaps = received.events.windows(2).map(|pair| pair[1].0 - pair[0].0);
        gaps.max().unwrap_or_default()
    }

    /// How long after `end` all jobs had ended that were submitted before.
    pub(super) fn time_to_recover(&self, end: Instant, jobs: &[SubmittedJob]) -> Duration {
        let before = jobs.iter().filter(|job| job.at < end);
        let before: HashSet<&str> = before.map(|job| job.id.as_str()).collect();
        let received = self.received();
        let ends = received
            .events
            .iter()
            .filter(|(_, event)| event.kind.is_final() && before.contains(event.job_id.as_str()));
        let last = ends.map(|(at, _)| *at).max();
        last.map_or(Duration::ZERO, |last| last.saturating_duration_since(end))
    }

    /// A job as it was seen here.
    pub(super) fn watched(&self, job: &SubmittedJob) -> WatchedJob {
        let received = self.received();
        let events = received.events.iter().map(|(_, event)| event);
        let events: Vec<&JobEvent> = events.filter(|event| event.job_id == job.id).collect();
        WatchedJob {
            job_id: job.id.to_string(),
            progress: events.iter().map(|event| event.progress).collect(),
            end: events
                .iter()
                .find_map(|event| end_of(event.kind))
                .map(str::to_owned),
            expected_failure: job.expected_failure.clone(),
        }
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TimelineWatcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(client: Client, received: Arc<Mutex<Received>>) {
    let mut timeline = client.timeline();
    while let Some(update) = timeline.next().await {
        let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
        match update {
            Ok(TimelineUpdate::Snapshot(_)) => received.is_attached = true,
            Ok(TimelineUpdate::Event(event)) => received.events.push((Instant::now(), *event)),
            Ok(TimelineUpdate::Estimate(_) | TimelineUpdate::Lost { .. }) => {}
            Err(error) => received.error = Some(error.to_string()),
        }
    }
}

fn end_of(kind: EventKind) -> Option<&'static str> {
    match kind {
        EventKind::Completed => Some("completed"),
        EventKind::Failed => Some("failed"),
        EventKind::Cancelled => Some("cancelled"),
        EventKind::Queued
        | EventKind::Progress
        | EventKind::Retrying
        | EventKind::Deleted
        | EventKind::Unknown => None,
    }
}
