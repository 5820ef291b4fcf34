//! One ordered timeline per user, and what watchers of one job or of all jobs read of it.

use super::{SLACK, StoreUnderTest};
use crate::{
    BatchId, Checkpoint, Cursor, EventKind, EventPage, EventsAfter, GapReason, JobId, NewJob,
    Priority, Timestamp, UserId, UserSnapshot, WatchFilter,
};

pub async fn positions_have_no_holes(store: StoreUnderTest) {
    let job = store.running_job().await;
    let other = store.queue(job.user_id).await;
    store.reach(&job, &Checkpoint::ALL[..9]).await;
    store.finish(&job).await;

    let mut seqs: Vec<i64> = Vec::new();
    for job in [&job, &other] {
        seqs.extend(store.events(job).await.iter().map(|event| event.seq));
    }
    seqs.sort_unstable();

    assert_eq!(seqs, (1..=12).collect::<Vec<i64>>());
    assert_eq!(store.last_seq(job.user_id).await, Some(12));
}

pub async fn each_event_names_the_one_before_it_of_its_job(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.reach(&job, &Checkpoint::ALL[..2]).await;
    store.queue(job.user_id).await;
    store.reach(&job, &Checkpoint::ALL[2..4]).await;
    store.finish(&job).await;

    let events = store.events(&job).await;

    let links: Vec<_> = events
        .iter()
        .map(|event| (event.previous_of_job, event.seq))
        .collect();
    let expected = [
        (None, 1),
        (Some(1), 2),
        (Some(2), 3),
        (Some(3), 5),
        (Some(5), 6),
        (Some(6), 7),
    ];
    assert_eq!(links, expected);
}

pub async fn users_have_timelines_of_their_own(store: StoreUnderTest) {
    let (one, other) = (store.user().await, store.user().await);
    store.queue(one).await;
    store.queue(one).await;
    let job = store.queue(other).await;

    assert_eq!(store.events(&job).await[0].seq, 1);
    assert_eq!(store.last_seq(one).await, Some(2));
}

pub async fn events_after_a_position_leave_the_earlier_ones_out(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.reach(&job, &Checkpoint::ALL[..4]).await;

    let newer = store.events_after(&job, 3).await;

    let seqs: Vec<i64> = newer.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [4, 5]);
}

pub async fn events_of_foreign_jobs_are_not_shown(store: StoreUnderTest) {
    let job = store.running_job().await;
    let stranger = store.user().await;

    let read = store.timeline.job_events_after(stranger, job.id, 0).await;

    assert_eq!(read.expect("the store works"), []);
}

pub async fn the_end_of_a_deleted_job_is_all_that_is_told_of_it(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.finish(&job).await;
    store.delete_photo_of(&job).await;

    let events = store.events(&job).await;

    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Deleted]);
    assert_eq!(events[0].body.result, None, "nothing of the photo");
}

pub async fn the_last_position_of_many_users_is_read_at_once(store: StoreUnderTest) {
    let (one, other, quiet) = (store.user().await, store.user().await, store.user().await);
    store.queue(one).await;
    store.queue(one).await;
    store.queue(other).await;
    let mut asked: Vec<UserId> = (0..2000).map(|_| UserId::generate()).collect();
    asked.insert(0, one);
    asked.insert(1000, other);
    asked.push(quiet);

    let read = store.timeline.last_seqs(&asked).await;

    let mut last_seqs = read.expect("the store works");
    let mut expected = [(one, 2), (other, 1), (quiet, 0)];
    last_seqs.sort_unstable();
    expected.sort_unstable();
    assert_eq!(last_seqs, expected, "unknown users are left out");
}

pub async fn the_last_positions_since_a_moment_are_those_of_users_with_newer_events(
    store: StoreUnderTest,
) {
    let (quiet, busy) = (store.user().await, store.user().await);
    store.queue(quiet).await;
    store.queue(busy).await;
    store.tick().await;
    let since = store.now().await;
    store.queue(busy).await;

    let read = store.timeline.last_seqs_since(since).await;

    assert_eq!(read.expect("the store works"), [(busy, 2)]);
}

pub async fn the_jobs_with_events_after_a_position_are_named_once(store: StoreUnderTest) {
    let user_id = store.user().await;
    let quiet = store.queue(user_id).await;
    let after = store.last_seq(user_id).await.expect("a timeline");
    let (first, deleted) = (store.queue(user_id).await, store.queue(user_id).await);
    store.cancel(&first).await;
    store.delete(&deleted).await;
    let stranger = store.queue(store.user().await).await;

    let read = store.timeline.jobs_with_events_after(user_id, after).await;

    let mut named = read.expect("the store works");
    named.sort_unstable();
    let mut expected = [first.id, deleted.id];
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert!(!named.contains(&quiet.id) && !named.contains(&stranger.id));
}

pub async fn a_snapshot_parts_the_recent_events_from_the_newest_older_one(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.tick().await;
    store.reach(&job, &[Checkpoint::LoadingBegun]).await;
    store.tick().await;
    let recent_since = store.now().await;
    let now = store.reach(&job, &[Checkpoint::LoadingDone]).await;
    store.tick().await;
    let now = store.reach(&now, &[Checkpoint::SegmentingBegun]).await;

    let snapshot = store
        .timeline
        .job_snapshot(job.user_id, job.id, recent_since)
        .await
        .expect("the store works")
        .expect("the job is the user's");

    let progress = |event: &crate::Event| event.body.progress;
    assert_eq!(snapshot.job, now);
    assert_eq!(snapshot.newest_older.as_ref().map(progress), Some(5));
    let recent: Vec<u8> = snapshot.recent.iter().map(progress).collect();
    assert_eq!(recent, [10, 20], "the moment asked for is recent");
}

pub async fn a_snapshot_without_older_events_has_none(store: StoreUnderTest) {
    let since = store.now().await;
    let job = store.running_job().await;

    let read = store
        .timeline
        .job_snapshot(job.user_id, job.id, since)
        .await;

    let snapshot = read.expect("the store works").expect("the job is known");
    assert_eq!((snapshot.newest_older, snapshot.recent.len()), (None, 1));
}

pub async fn a_snapshot_of_an_ended_job_is_its_last_event(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.reach(&job, &Checkpoint::ALL[..3]).await;
    let ended = store.finish(&job).await;

    let since = Timestamp::EPOCH;
    let read = store.timeline.job_snapshot(job.user_id, job.id, since);

    let snapshot = read.await.expect("the store works").expect("it is known");
    assert_eq!((&snapshot.job, &snapshot.newest_older), (&ended, &None));
    let events = store.events(&job).await;
    assert_eq!(snapshot.recent, events[events.len() - 1..]);
}

pub async fn a_snapshot_of_a_foreign_or_unknown_job_is_none(store: StoreUnderTest) {
    let job = store.running_job().await;
    let stranger = store.user().await;

    for (user_id, job_id) in [(stranger, job.id), (job.user_id, JobId::generate())] {
        let read = store
            .timeline
            .job_snapshot(user_id, job_id, store.now().await);
        assert_eq!(read.await.expect("the store works"), None);
    }
}

pub async fn a_snapshot_of_a_user_has_the_unfinished_jobs_and_the_newest_finished_ones(
    store: StoreUnderTest,
) {
    let user_id = store.user().await;
    let mut finished = Vec::new();
    for _ in 0..3 {
        store.queue(user_id).await;
        let claimed = store.claim().await;
        finished.push(store.finish(&claimed).await.id);
        store.tick().await;
    }
    store.queue(user_id).await;
    let running = store.claim().await.id;
    store.tick().await;
    let waiting = store.queue(user_id).await.id;
    store.queue(store.user().await).await;

    let snapshot = user_snapshot(&store, user_id, &WatchFilter::default(), 2).await;

    let shown: Vec<JobId> = snapshot.jobs.iter().map(|job| job.id).collect();
    assert_eq!(shown, [waiting, running, finished[2], finished[1]]);
    let unfinished = user_snapshot(&store, user_id, &WatchFilter::default(), 0).await;
    assert_eq!(unfinished.jobs.len(), 2);
}

pub async fn a_snapshot_of_a_user_has_the_position_of_the_newest_event(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.reach(&job, &Checkpoint::ALL[..4]).await;

    let snapshot = user_snapshot(&store, job.user_id, &WatchFilter::default(), 50).await;

    assert_eq!(snapshot.cursor.seq, 5);
    assert_eq!(snapshot.jobs[0].progress, 40);
    let newer = page_after(&store, job.user_id, snapshot.cursor, 10).await;
    assert_eq!((newer.events.len(), newer.reached), (0, 5));
}

pub async fn a_snapshot_of_an_unknown_user_is_none(store: StoreUnderTest) {
    let unknown = UserId::generate();
    let all = WatchFilter::default();

    let read = store.timeline.user_snapshot(unknown, &all, 50).await;

    assert_eq!(read.expect("the store works"), None);
    let cursor = start_of(&store, store.user().await).await;
    let read = store.timeline.user_events_after(unknown, cursor, &all, 10);
    assert_eq!(read.await.expect("the store works"), None);
}

pub async fn events_after_a_cursor_come_in_pages(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.reach(&job, &Checkpoint::ALL[..4]).await;
    let cursor = start_of(&store, job.user_id).await.at(1);

    let first = page_after(&store, job.user_id, cursor, 3).await;
    let second = page_after(&store, job.user_id, cursor.at(first.reached), 3).await;

    let seqs = |page: &EventPage| {
        page.events
            .iter()
            .map(|event| event.seq)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (seqs(&first), first.reached, first.last_seq),
        (vec![2, 3, 4], 4, 5)
    );
    assert_eq!((seqs(&second), second.reached), (vec![5], 5));
}

pub async fn a_filter_leaves_out_events_but_not_their_positions(store: StoreUnderTest) {
    let user_id = store.user().await;
    let (one, other) = (store.queue(user_id).await, store.queue(user_id).await);
    store.cancel(&one).await;
    store.cancel(&other).await;
    let cursor = start_of(&store, user_id).await;
    let filter = WatchFilter {
        job_ids: Some(vec![one.id]),
        batch_id: None,
    };

    let read = store
        .timeline
        .user_events_after(user_id, cursor, &filter, 10);

    let Some(EventsAfter::Page(page)) = read.await.expect("the store works") else {
        panic!("a page");
    };
    let seqs: Vec<i64> = page.events.iter().map(|event| event.seq).collect();
    assert_eq!((seqs, page.reached), (vec![1, 3], 4));
}

pub async fn a_filter_selects_the_jobs_of_a_snapshot(store: StoreUnderTest) {
    let user_id = store.user().await;
    let batch_id = BatchId::generate();
    let batch = queue_batch(&store, user_id, batch_id).await;
    let (single, _other) = (store.queue(user_id).await, store.queue(user_id).await);
    let shown = async |job_ids, batch_id| {
        let filter = WatchFilter { job_ids, batch_id };
        let snapshot = user_snapshot(&store, user_id, &filter, 50).await;
        let mut ids: Vec<JobId> = snapshot.jobs.iter().map(|job| job.id).collect();
        ids.sort_unstable();
        ids
    };

    assert_eq!(shown(None, Some(batch_id)).await, batch);
    assert_eq!(shown(Some(vec![single.id]), None).await, [single.id]);
    let both = shown(Some(vec![single.id, batch[0]]), Some(batch_id)).await;
    assert_eq!(both, [batch[0]]);
    assert_eq!(shown(Some(Vec::new()), None).await, []);
}

pub async fn events_name_their_photo_and_batch(store: StoreUnderTest) {
    let user_id = store.user().await;
    let batch_id = BatchId::generate();
    let jobs = queue_batch(&store, user_id, batch_id).await;
    let claimed = store.claim().await;
    store.finish(&claimed).await;
    store.delete(&claimed).await;
    let cursor = start_of(&store, user_id).await;

    let page = page_after(&store, user_id, cursor, 10).await;

    assert!(page.events.len() >= jobs.len());
    for event in &page.events {
        assert_eq!(event.batch_id, Some(batch_id), "{event:?}");
        assert!(event.photo_id.is_some(), "{event:?}");
    }
    let deleted = page.events.last().expect("an event");
    assert_eq!(deleted.kind, EventKind::Deleted);
    assert_eq!(deleted.photo_id, Some(claimed.photo_id));
}

pub async fn a_cursor_of_another_history_or_ahead_has_a_gap(store: StoreUnderTest) {
    let job = store.running_job().await;
    let cursor = start_of(&store, job.user_id).await;
    let foreign = start_of(&store, store.user().await).await;

    let other_history = gap_after(&store, job.user_id, foreign).await;
    let ahead = gap_after(&store, job.user_id, cursor.at(2)).await;

    assert_eq!(other_history, Some(GapReason::Epoch));
    assert_eq!(ahead, Some(GapReason::Ahead));
    assert_eq!(gap_after(&store, job.user_id, cursor.at(1)).await, None);
}

pub async fn a_cursor_before_a_pruned_event_has_a_gap(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.reach(&job, &Checkpoint::ALL[..4]).await;
    let cursor = start_of(&store, job.user_id).await;
    store.advance(SLACK * 2).await;
    let newer = store.queue(job.user_id).await;

    let before = store.now().await - SLACK;
    let pruned = prune(&store, Timestamp::EPOCH, before, 100).await;

    assert_eq!(pruned, 4, "all but the newest event of the job");
    assert_eq!(
        gap_after(&store, job.user_id, cursor.at(3)).await,
        Some(GapReason::Pruned)
    );
    let page = page_after(&store, job.user_id, cursor.at(4), 10).await;
    let jobs: Vec<JobId> = page.events.iter().map(|event| event.job_id).collect();
    assert_eq!(jobs, [job.id, newer.id]);
}

pub async fn pruning_keeps_the_newest_event_of_each_job(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.finish(&job).await;
    let deleted = store.queue(job.user_id).await;
    store.delete(&deleted).await;
    store.advance(SLACK).await;

    let pruned = prune(&store, Timestamp::EPOCH, store.now().await, 100).await;

    assert_eq!(
        pruned, 2,
        "the first event of one job, the last trace of the other"
    );
    assert_eq!(store.kinds(&job).await, [EventKind::Completed]);
    assert_eq!(store.kinds(&deleted).await, []);
    let snapshot = store
        .timeline
        .job_snapshot(job.user_id, job.id, store.now().await);
    let snapshot = snapshot.await.expect("the store works").expect("it exists");
    assert_eq!(snapshot.recent.len(), 1, "its watcher sees its end");
}

pub async fn pruning_takes_so_many_events_at_once(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.reach(&job, &Checkpoint::ALL[..6]).await;
    store.advance(SLACK).await;
    let now = store.now().await;

    let first = prune(&store, Timestamp::EPOCH, now, 4).await;
    let none_newer = prune(&store, now, now + SLACK, 4).await;
    let rest = prune(&store, Timestamp::EPOCH, now, 4).await;

    assert_eq!((first, none_newer, rest), (4, 0, 2));
}

pub async fn the_end_of_the_last_trace_of_a_deleted_job_is_a_gap(store: StoreUnderTest) {
    let job = store.running_job().await;
    let cursor = start_of(&store, job.user_id).await.at(1);
    store.delete(&job).await;
    let page = page_after(&store, job.user_id, cursor, 10).await;
    assert_eq!(page.events[0].kind, EventKind::Deleted);

    store.advance(store.policy.lease * 3).await;
    store.sweep_all().await;

    assert_eq!(
        gap_after(&store, job.user_id, cursor).await,
        Some(GapReason::Pruned)
    );
    assert_eq!(gap_after(&store, job.user_id, cursor.at(2)).await, None);
}

async fn user_snapshot(
    store: &StoreUnderTest,
    user_id: UserId,
    filter: &WatchFilter,
    finished_limit: u32,
) -> UserSnapshot {
    let read = store
        .timeline
        .user_snapshot(user_id, filter, finished_limit)
        .await;
    read.expect("the store works").expect("the user is known")
}

/// The position before the user's first event.
async fn start_of(store: &StoreUnderTest, user_id: UserId) -> Cursor {
    let snapshot = user_snapshot(store, user_id, &WatchFilter::default(), 0).await;
    snapshot.cursor.at(0)
}

async fn events_after(
    store: &StoreUnderTest,
    user_id: UserId,
    after: Cursor,
    limit: u32,
) -> EventsAfter {
    let all = WatchFilter::default();
    let read = store
        .timeline
        .user_events_after(user_id, after, &all, limit);
    let read = read.await.expect("the store works");
    read.expect("the user is known")
}

async fn page_after(
    store: &StoreUnderTest,
    user_id: UserId,
    after: Cursor,
    limit: u32,
) -> EventPage {
    match events_after(store, user_id, after, limit).await {
        EventsAfter::Page(page) => page,
        EventsAfter::Gap(reason) => panic!("{reason:?}"),
    }
}

async fn gap_after(store: &StoreUnderTest, user_id: UserId, after: Cursor) -> Option<GapReason> {
    match events_after(store, user_id, after, 10).await {
        EventsAfter::Page(_) => None,
        EventsAfter::Gap(reason) => Some(reason),
    }
}

async fn prune(store: &StoreUnderTest, from: Timestamp, before: Timestamp, limit: u32) -> u32 {
    let pruned = store.retention.prune_events(from, before, limit).await;
    pruned.expect("the store works")
}

/// The ids of two jobs of a batch, sorted.
async fn queue_batch(store: &StoreUnderTest, user_id: UserId, batch_id: BatchId) -> Vec<JobId> {
    let mut new = Vec::new();
    for _ in 0..2 {
        new.push(NewJob {
            batch_id: Some(batch_id),
            ..store.new_job(user_id, Priority::High).await
        });
    }
    let jobs = store.queue_all(new).await;
    let mut ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    ids.sort_unstable();
    ids
}
