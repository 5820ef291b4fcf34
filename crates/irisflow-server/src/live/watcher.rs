//! A watcher of a user: connects its state machine to the store and to the user's hub. The transports send the frames
//! that it gives out.

use std::sync::Arc;

use irisflow_jobs::{Cursor, EventPage, EventsAfter, Job, StoreError, UserId, WatchFilter};

use super::hub::{FromHub, HubEnded, HubMessage, HubReceiver};
use super::user_stream::{Frame, Read, UserStream};
use crate::app::App;
use crate::public_url::BaseUrl;

/// Finished jobs in a snapshot.
const SNAPSHOT_FINISHED: u32 = 50;
/// Events in one read of the store. Few, since a slow connection holds them in memory.
const PAGE: u32 = 50;

#[derive(Debug)]
pub(crate) struct Watcher {
    app: App,
    user_id: UserId,
    base: BaseUrl,
    hub: HubReceiver,
    stream: UserStream,
}

/// The watcher cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the account was deleted")]
    AccountDeleted,
    #[error("the hub of the user has ended")]
    HubEnded,
}

impl From<HubEnded> for WatchError {
    fn from(_: HubEnded) -> Self {
        Self::HubEnded
    }
}

impl Watcher {
    pub(crate) async fn begin(
        app: &App,
        user_id: UserId,
        base: BaseUrl,
        filter: WatchFilter,
        cursor: Option<&str>,
    ) -> Result<Self, WatchError> {
        // Subscribe before the stream reads anything: an event that is committed in between is in both, and the
        // stream drops the duplicate.
        let hub = app.hubs.join(app, user_id, &base).await?;
        Ok(Self {
            app: Arc::clone(app),
            user_id,
            base,
            hub,
            stream: UserStream::begin(filter, cursor),
        })
    }

    pub(crate) fn set_filter(&mut self, filter: WatchFilter) {
        self.stream.set_filter(filter);
    }

    /// Where the client resumes after the frames given out so far.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.stream.cursor()
    }

    /// Waits for the next frame. Cancel safe: a read of the store that is dropped is made again.
    pub(crate) async fn next(&mut self) -> Result<Frame, WatchError> {
        loop {
            while let Some(received) = self.hub.try_next() {
                self.take_in(&received);
            }
            if let Some(frame) = self.stream.next_frame() {
                return Ok(frame);
            }
            if let Some(read) = self.stream.needed_read() {
                // Boxed, since most watchers are idle and should be small.
                Box::pin(self.read(read)).await?;
                continue;
            }
            let received = self.hub.next().await?;
            self.take_in(&received);
        }
    }

    fn take_in(&mut self, received: &FromHub) {
        match received {
            FromHub::Message(HubMessage::Event(event)) => self.stream.on_event(event),
            FromHub::Message(HubMessage::Estimate(estimate)) => self.stream.on_estimate(estimate),
            FromHub::Missed => self.stream.on_missed(),
        }
    }

    async fn read(&mut self, read: Read) -> Result<(), WatchError> {
        match read {
            Read::Snapshot => self.read_snapshot().await,
            Read::EventsAfter(cursor) => self.read_events(cursor).await,
        }
    }

    async fn read_snapshot(&mut self) -> Result<(), WatchError> {
        let app = &self.app;
        let filter = self.stream.filter();
        let read = app
            .parts
            .timeline
            .user_snapshot(self.user_id, filter, SNAPSHOT_FINISHED);
        let snapshot = read.await?.ok_or(WatchError::AccountDeleted)?;
        let jobs = snapshot.jobs.into_iter();
        let jobs: Vec<Job> = jobs.map(|job| app.with_result_from_cache(job)).collect();
        let bodies = app
            .job_status_bodies(self.user_id, &jobs, &self.base)
            .await?;
        // They hold only strings and numbers, which always serialize.
        let json = serde_json::to_string(&bodies).unwrap_or_default();
        self.stream.on_snapshot(snapshot.cursor, &json);
        Ok(())
    }

    async fn read_events(&mut self, after: Cursor) -> Result<(), WatchError> {
        let timeline = &self.app.parts.timeline;
        let read = timeline.user_events_after(self.user_id, after, self.stream.filter(), PAGE);
        match read.await?.ok_or(WatchError::AccountDeleted)? {
            EventsAfter::Gap(reason) => self.stream.on_gap(reason),
            EventsAfter::Page(page) => self.take_in_page(after, page).await,
        }
        Ok(())
    }

    async fn take_in_page(&mut self, after: Cursor, page: EventPage) {
        let mut follows = after.seq;
        let mut events = Vec::with_capacity(page.events.len());
        for event in page.events {
            let event = self.app.event_with_verified_result(event).await;
            events.push(Arc::new(self.app.shared_event(&event, follows, &self.base)));
            follows = event.seq;
        }
        self.stream.on_page(&events, page.reached, page.last_seq);
    }
}
