//! State machine of one watcher of a user: turns its cursor and filter, snapshots, pages of events and notifications
//! into a chain of frames. It makes no calls and reads no clock; `watcher.rs` connects it to the store and the bus.
//!
//! Every event frame has the cursor of the frame before it (`prev`), so that a client detects a loss. Events that the
//! watcher may have missed are read from the store: after a reconnect, when a notification does not follow the last
//! one, and when a slow connection has no room for more. A connection that is slow gets progress merged to the newest
//! of each job; one that merely resumes gets every event.

use std::sync::Arc;

use irisflow_jobs::{Cursor, GapReason, TracedEvent, WatchFilter};

use super::outbox::{Outbox, SharedEstimate, SharedEvent, Waiting};

/// A frame that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The `type` of the frame.
    pub(crate) name: &'static str,
    /// The client's cursor once it has received the frame.
    pub(crate) cursor: Option<Cursor>,
    pub(crate) json: String,
    /// The event in the frame.
    pub(crate) event: Option<TracedEvent>,
}

/// What the stream needs from the store before it can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    Snapshot,
    EventsAfter(Cursor),
}

#[derive(Debug)]
enum Progress {
    /// A snapshot is to be read, after a gap or at the start.
    NeedsSnapshot { gap: Option<&'static str> },
    /// The client's cursor is to be checked.
    Resuming { cursor: Cursor },
    /// All events up to `position` were taken in.
    Following { position: Cursor, catch_up: CatchUp },
}

/// Whether events after the position have to be read from the store. A slow connection stays slow until it has
/// caught up: the larger value wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum CatchUp {
    NotNeeded,
    EveryEvent,
    /// For a slow connection.
    MergedProgress,
}

#[derive(Debug)]
pub(crate) struct UserStream {
    filter: WatchFilter,
    progress: Progress,
    outbox: Outbox,
    /// The cursor in the frame given out last: `prev` of the next event.
    sent: Option<Cursor>,
}

impl UserStream {
    /// Starts at the client's cursor, or with a snapshot.
    pub(crate) fn begin(filter: WatchFilter, cursor: Option<&str>) -> Self {
        let progress = match cursor.map(str::parse) {
            None => Progress::NeedsSnapshot { gap: None },
            Some(Ok(cursor)) => Progress::Resuming { cursor },
            Some(Err(_)) => Progress::NeedsSnapshot {
                gap: Some("invalid"),
            },
        };
        Self {
            filter,
            progress,
            outbox: Outbox::default(),
            sent: None,
        }
    }

    pub(crate) fn filter(&self) -> &WatchFilter {
        &self.filter
    }

    /// Replaces the filter. A snapshot of the jobs that match the new one follows.
    pub(crate) fn set_filter(&mut self, filter: WatchFilter) {
        self.filter = filter;
        self.outbox.clear();
        self.progress = Progress::NeedsSnapshot { gap: None };
    }

    /// Position up to which events were given out or do not match the filter.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        match &self.progress {
            Progress::Following { position, .. } if self.outbox.is_empty() => Some(*position),
            _ => self.sent,
        }
    }

    /// The read to make before [`Self::next_frame`] gives more. Events are read only when the connection has taken
    /// all earlier ones, so that a slow connection holds a bounded amount of memory.
    pub(crate) fn needed_read(&self) -> Option<Read> {
        if !self.outbox.is_empty() {
            return None;
        }
        match &self.progress {
            Progress::NeedsSnapshot { .. } => Some(Read::Snapshot),
            Progress::Resuming { cursor } => Some(Read::EventsAfter(*cursor)),
            Progress::Following {
                position, catch_up, ..
            } => (*catch_up != CatchUp::NotNeeded).then_some(Read::EventsAfter(*position)),
        }
    }

    /// Takes in a snapshot: `jobs` is a JSON list.
    pub(crate) fn on_snapshot(&mut self, cursor: Cursor, jobs: &str) {
        if let Progress::NeedsSnapshot { gap: Some(reason) } = self.progress {
            let json = format!(r#"{{"type":"gap","reason":"{reason}","cursor":"{cursor}"}}"#);
            self.push_frame("gap", json);
        }
        let json = format!(r#"{{"type":"snapshot","cursor":"{cursor}","jobs":{jobs}}}"#);
        self.push_frame("snapshot", json);
        self.follow_from(cursor);
    }

    /// The cursor cannot be continued without loss.
    pub(crate) fn on_gap(&mut self, reason: GapReason) {
        let reason = match reason {
            GapReason::Pruned => "pruned",
            GapReason::Ahead => "ahead",
            GapReason::Epoch => "epoch",
        };
        self.progress = Progress::NeedsSnapshot { gap: Some(reason) };
    }

    /// Takes in a page of events that follow the position of the read. Events up to `reached` are in the page or do
    /// not match the filter; `last_seq` is the newest one.
    pub(crate) fn on_page(&mut self, events: &[Arc<SharedEvent>], reached: i64, last_seq: i64) {
        if let Progress::Resuming { cursor } = self.progress {
            let json = format!(r#"{{"type":"resumed","cursor":"{cursor}"}}"#);
            self.push_frame("resumed", json);
            self.follow_from(cursor);
        }
        let Progress::Following { position, catch_up } = &mut self.progress else {
            return;
        };
        for event in events {
            if !self.outbox.has_room() && *catch_up == CatchUp::MergedProgress {
                self.outbox.merge_progress();
            }
            if !self.outbox.has_room() {
                // The rest is read again when there is room.
                *catch_up = (*catch_up).max(CatchUp::EveryEvent);
                return;
            }
            self.outbox.push(Waiting::Event(Arc::clone(event)));
            position.seq = event.seq;
        }
        position.seq = position.seq.max(reached);
        if reached >= last_seq {
            *catch_up = CatchUp::NotNeeded;
        } else {
            *catch_up = (*catch_up).max(CatchUp::EveryEvent);
        }
    }

    /// Takes in a notification of one event.
    pub(crate) fn on_event(&mut self, event: &Arc<SharedEvent>) {
        let Progress::Following { position, catch_up } = &mut self.progress else {
            return;
        };
        // A read that is still to be made finds the event.
        if *catch_up != CatchUp::NotNeeded || event.seq <= position.seq {
            return;
        }
        if event.follows > position.seq {
            *catch_up = CatchUp::EveryEvent;
            return;
        }
        if !self.filter.matches(event.job_id, event.batch_id) {
            position.seq = event.seq;
            return;
        }
        if !self.outbox.has_room() {
            self.outbox.merge_progress();
        }
        if self.outbox.has_room() {
            self.outbox.push(Waiting::Event(Arc::clone(event)));
            position.seq = event.seq;
        } else {
            *catch_up = CatchUp::MergedProgress;
        }
    }

    /// Takes in an estimate, which may be dropped.
    pub(crate) fn on_estimate(&mut self, estimate: &Arc<SharedEstimate>) {
        let is_following = matches!(self.progress, Progress::Following { .. });
        if is_following && self.filter.matches(estimate.job_id, estimate.batch_id) {
            self.outbox.push_estimate(Arc::clone(estimate));
        }
    }

    /// Notifications were lost because the connection was too slow for them.
    pub(crate) fn on_missed(&mut self) {
        if let Progress::Following { catch_up, .. } = &mut self.progress {
            *catch_up = CatchUp::MergedProgress;
        }
    }

    /// The next frame to send.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        Some(match self.outbox.pop()? {
            Waiting::Frame { name, json } => Frame {
                name,
                cursor: self.sent,
                json,
                event: None,
            },
            Waiting::Estimate(estimate) => Frame {
                name: "estimate",
                cursor: None,
                json: estimate.json.clone(),
                event: None,
            },
            Waiting::Event(event) => self.event_frame(&event)?,
        })
    }

    fn event_frame(&mut self, event: &SharedEvent) -> Option<Frame> {
        let prev = self.sent?;
        let cursor = prev.at(event.seq);
        self.sent = Some(cursor);
        let json = &event.json;
        Some(Frame {
            name: "event",
            event: Some(event.traced()),
            cursor: Some(cursor),
            json: format!(
                r#"{{"type":"event","cursor":"{cursor}","prev":"{prev}","event":{json}}}"#
            ),
        })
    }

    fn push_frame(&mut self, name: &'static str, json: String) {
        self.outbox.push(Waiting::Frame { name, json });
    }

    /// The outbox holds only frames that carry this cursor.
    fn follow_from(&mut self, position: Cursor) {
        self.sent = Some(position);
        self.progress = Progress::Following {
            position,
            catch_up: CatchUp::NotNeeded,
        };
    }
}

#[cfg(test)]
mod tests {
    use irisflow_jobs::{BatchId, EventKind, JobId, TimelineEpoch, Timestamp};
    use rand::seq::SliceRandom as _;
    use serde_json::Value;
    use uuid::Uuid;

    use super::super::outbox::MAX_WAITING_BYTES;
    use super::*;

    /// A timeline as the store has it.
    struct StoredTimeline {
        epoch: TimelineEpoch,
        floor_seq: i64,
        events: Vec<Arc<SharedEvent>>,
    }

    impl StoredTimeline {
        /// Events of `jobs` jobs in turn, with padding; the last one of each job is final.
        fn of_jobs(jobs: usize, events_per_job: usize, bytes: usize) -> Self {
            let ids: Vec<JobId> = (0..jobs).map(|_| JobId::generate()).collect();
            let total = jobs * events_per_job;
            let events = (0..total).map(|index| {
                Arc::new(SharedEvent {
                    seq: as_seq(index + 1),
                    follows: as_seq(index),
                    job_id: ids[index % jobs],
                    batch_id: None,
                    kind: match index + jobs < total {
                        true => EventKind::Progress,
                        false => EventKind::Completed,
                    },
                    at: Timestamp::EPOCH,
                    json: format!(
                        r#"{{"seq":{},"padding":"{}"}}"#,
                        index + 1,
                        "x".repeat(bytes)
                    ),
                })
            });
            Self {
                epoch: TimelineEpoch::from(Uuid::from_u128(1)),
                floor_seq: 0,
                events: events.collect(),
            }
        }

        fn cursor(&self, seq: i64) -> Cursor {
            Cursor {
                epoch: self.epoch,
                seq,
            }
        }

        fn last_seq(&self) -> i64 {
            as_seq(self.events.len())
        }

        /// Makes the read that the stream needs, if any.
        fn answer(&self, stream: &mut UserStream) {
            match stream.needed_read() {
                None => {}
                Some(Read::Snapshot) => stream.on_snapshot(self.cursor(self.last_seq()), "[]"),
                Some(Read::EventsAfter(after)) => self.answer_events(stream, after),
            }
        }

        fn answer_events(&self, stream: &mut UserStream, after: Cursor) {
            if after.epoch != self.epoch {
                return stream.on_gap(GapReason::Epoch);
            }
            if after.seq < self.floor_seq {
                return stream.on_gap(GapReason::Pruned);
            }
            if after.seq > self.last_seq() {
                return stream.on_gap(GapReason::Ahead);
            }
            let newer = self.events.iter().filter(|event| event.seq > after.seq);
            let page: Vec<_> = newer.take(50).cloned().collect();
            let reached = match page.last() {
                Some(last) if page.len() == 50 => last.seq,
                _ => self.last_seq(),
            };
            let filter = stream.filter().clone();
            let is_wanted = |event: &Arc<SharedEvent>| filter.matches(event.job_id, event.batch_id);
            let page: Vec<_> = page.into_iter().filter(is_wanted).collect();
            stream.on_page(&page, reached, self.last_seq());
        }
    }

    fn as_seq(index: usize) -> i64 {
        i64::try_from(index).expect("small")
    }

    fn everything(cursor: Option<&str>) -> UserStream {
        UserStream::begin(WatchFilter::default(), cursor)
    }

    /// A client that checks the chain of cursors.
    #[derive(Default)]
    struct Client {
        cursor: Option<String>,
        seqs: Vec<i64>,
        types: Vec<String>,
    }

    impl Client {
        fn receive(&mut self, frame: &Frame) {
            let json: Value = serde_json::from_str(&frame.json).expect("JSON");
            assert_eq!(json["type"], frame.name);
            let cursor = json["cursor"].as_str().map(str::to_owned);
            assert_eq!(cursor, frame.cursor.map(|cursor| cursor.to_string()));
            if frame.name == "event" {
                assert_eq!(
                    json["prev"].as_str(),
                    self.cursor.as_deref(),
                    "nothing is missing"
                );
                self.seqs
                    .push(json["event"]["seq"].as_i64().expect("a seq"));
            }
            self.types.push(frame.name.to_owned());
            self.cursor = cursor.or(self.cursor.take());
        }

        /// Receives all frames that the stream has, with the reads that it needs.
        fn drain(&mut self, stream: &mut UserStream, timeline: &StoredTimeline) {
            loop {
                while let Some(frame) = stream.next_frame() {
                    self.receive(&frame);
                }
                if stream.needed_read().is_none() {
                    return;
                }
                timeline.answer(stream);
            }
        }
    }

    #[test]
    fn a_stream_without_a_cursor_begins_with_a_snapshot() {
        let timeline = StoredTimeline::of_jobs(1, 3, 0);
        let (mut stream, mut client) = (everything(None), Client::default());
        client.drain(&mut stream, &timeline);
        assert_eq!(client.types, ["snapshot"]);
        assert_eq!(stream.cursor(), Some(timeline.cursor(3)));
    }

    #[test]
    fn a_stream_resumed_at_any_event_gives_each_later_event_once_and_in_order() {
        let timeline = StoredTimeline::of_jobs(3, 60, 200);
        for seen in 0..=timeline.last_seq() {
            let cursor = timeline.cursor(seen).to_string();
            let mut client = Client {
                cursor: Some(cursor.clone()),
                ..Client::default()
            };
            client.drain(&mut everything(Some(&cursor)), &timeline);
            assert_eq!(client.types[0], "resumed");
            let expected: Vec<i64> = (seen + 1..=timeline.last_seq()).collect();
            assert_eq!(client.seqs, expected);
        }
    }

    #[test]
    fn a_cursor_that_cannot_be_resumed_gets_a_gap_with_its_reason_and_a_snapshot() {
        let mut timeline = StoredTimeline::of_jobs(1, 9, 0);
        timeline.floor_seq = 4;
        let foreign = Cursor {
            epoch: TimelineEpoch::from(Uuid::from_u128(2)),
            seq: 9,
        };
        for (cursor, reason) in [
            (timeline.cursor(3).to_string(), "pruned"),
            (timeline.cursor(10).to_string(), "ahead"),
            (foreign.to_string(), "epoch"),
            ("41".to_owned(), "invalid"),
        ] {
            let (mut stream, mut client) = (everything(Some(&cursor)), Client::default());
            timeline.answer(&mut stream);
            timeline.answer(&mut stream);
            let gap = stream.next_frame().expect("a frame");
            assert!(
                gap.json.contains(&format!(r#""reason":"{reason}""#)),
                "{gap:?}"
            );
            client.receive(&gap);
            client.drain(&mut stream, &timeline);
            assert_eq!(client.types, ["gap", "snapshot"]);
        }
    }

    #[test]
    fn a_bus_that_swallows_doubles_and_reorders_at_random_loses_nothing() {
        let timeline = StoredTimeline::of_jobs(3, 20, 0);
        let mut random = rand::rng();
        for _ in 0..200 {
            let mut stream = everything(Some(&timeline.cursor(0).to_string()));
            let mut client = Client {
                cursor: Some(timeline.cursor(0).to_string()),
                ..Client::default()
            };
            stream.on_page(&[], 0, 0);
            let mut notifications: Vec<_> = timeline.events.iter().collect();
            notifications.extend(timeline.events.iter());
            notifications.shuffle(&mut random);
            notifications.truncate(rand::random_range(0..notifications.len()));
            for event in notifications {
                stream.on_event(event);
                if rand::random() {
                    client.drain(&mut stream, &timeline);
                }
            }
            // The periodic check finds that events may have been missed.
            stream.on_missed();
            client.drain(&mut stream, &timeline);
            let expected: Vec<i64> = (1..=timeline.last_seq()).collect();
            assert_eq!(client.seqs, expected);
        }
    }

    #[test]
    fn a_slow_reader_holds_bounded_bytes_and_gets_merged_progress_and_every_end() {
        let timeline = StoredTimeline::of_jobs(3, 1000, 500);
        let mut stream = everything(Some(&timeline.cursor(0).to_string()));
        stream.on_page(&[], 0, 0);
        for event in &timeline.events {
            stream.on_event(event);
            assert!(stream.outbox.bytes() < MAX_WAITING_BYTES + 1000);
        }

        let mut client = Client {
            cursor: Some(timeline.cursor(0).to_string()),
            ..Client::default()
        };
        client.drain(&mut stream, &timeline);

        assert!(
            client.seqs.len() < timeline.events.len() / 2,
            "{}",
            client.seqs.len()
        );
        assert!(client.seqs.is_sorted());
        assert_eq!(client.seqs[client.seqs.len() - 3..], [2998, 2999, 3000]);
    }

    #[test]
    fn events_of_other_jobs_are_left_out_and_the_position_passes_them() {
        let timeline = StoredTimeline::of_jobs(2, 3, 0);
        let filter = WatchFilter {
            job_ids: Some(vec![timeline.events[0].job_id]),
            batch_id: None,
        };
        let mut stream = UserStream::begin(filter, None);
        let mut client = Client::default();
        stream.on_snapshot(timeline.cursor(0), "[]");
        for event in &timeline.events {
            stream.on_event(event);
        }
        client.drain(&mut stream, &timeline);
        assert_eq!(client.seqs, [1, 3, 5]);
        assert_eq!(stream.cursor(), Some(timeline.cursor(6)));
    }

    #[test]
    fn a_new_filter_is_answered_by_a_snapshot() {
        let timeline = StoredTimeline::of_jobs(1, 3, 0);
        let (mut stream, mut client) = (everything(None), Client::default());
        client.drain(&mut stream, &timeline);
        stream.set_filter(WatchFilter {
            job_ids: None,
            batch_id: Some(BatchId::generate()),
        });
        client.drain(&mut stream, &timeline);
        assert_eq!(client.types, ["snapshot", "snapshot"]);
    }

    #[test]
    fn a_waiting_estimate_is_replaced_by_the_newer_one_of_its_job() {
        let timeline = StoredTimeline::of_jobs(1, 1, 0);
        let mut stream = everything(None);
        timeline.answer(&mut stream);
        let job_id = timeline.events[0].job_id;
        for position in [3, 2] {
            stream.on_estimate(&Arc::new(SharedEstimate {
                job_id,
                batch_id: None,
                json: format!(r#"{{"type":"estimate","queue_position":{position}}}"#),
            }));
        }
        let frames: Vec<String> = std::iter::from_fn(|| stream.next_frame())
            .map(|frame| frame.json)
            .collect();
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[1], r#"{"type":"estimate","queue_position":2}"#);
    }
}
