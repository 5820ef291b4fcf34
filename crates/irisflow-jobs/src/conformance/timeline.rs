//! One ordered timeline per user, and what a watcher of one job reads of it.

use super::StoreUnderTest;
use crate::{Checkpoint, EventKind, JobId, UserId};

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
