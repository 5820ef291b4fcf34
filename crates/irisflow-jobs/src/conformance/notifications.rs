//! What a store announces: each committed change, after its commit, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use super::accounts::{GRACE, end, refresh, sign_in};
use super::store_under_test::{fence, storage_unavailable};
use super::{SLACK, StoreUnderTest};
use crate::{Checkpoint, Event, Job, Priority, Submission, Timestamp};

pub async fn every_event_is_announced_as_it_is_stored(store: StoreUnderTest) {
    let job = a_whole_life(&store).await;

    let notified = store.notifications.events().into_iter().map(without_time);
    let stored = store.events(&job).await.into_iter().map(without_time);

    assert_eq!(notified.collect::<Vec<_>>(), stored.collect::<Vec<_>>());
}

pub async fn what_is_announced_can_be_read(store: StoreUnderTest) {
    store.notifications.check_against(&store.timeline);

    let job = a_whole_life(&store).await;
    store.delete(&job).await;

    assert_eq!(store.notifications.unreadable(), Vec::<Event>::new());
    assert_ne!(
        store.notifications.events(),
        [],
        "there was something to read"
    );
}

pub async fn a_refused_write_announces_nothing(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.hand_back(&job).await;
    let before = (
        store.notifications.events(),
        store.notifications.work_notifications(),
    );

    let checkpoint = [Checkpoint::LoadingBegun];
    let written = store
        .job_leases
        .record_checkpoints(fence(&job), &[], &checkpoint)
        .await;
    written.expect("the store works");
    let written = store.job_leases.hand_back(fence(&job)).await;
    written.expect("the store works");

    let after = (
        store.notifications.events(),
        store.notifications.work_notifications(),
    );
    assert_eq!(after, before);
}

pub async fn work_is_announced_when_a_job_waits(store: StoreUnderTest) {
    let notifications = || store.notifications.work_notifications();

    let job = store.running_job().await;
    let queued = notifications();
    store.hand_back(&job).await;
    let handed_back = notifications();
    store.claim().await;
    store.let_leases_expire().await;
    store.reap().await.expect("the lease has run out");
    let reaped = notifications();
    let job = store.claim().await;
    store.fail(&job, storage_unavailable()).await;
    let retried = notifications();

    assert!(0 < queued, "when a job is queued");
    assert!(queued < handed_back, "when a job is handed back");
    assert!(handed_back < reaped, "when a worker is lost");
    assert!(reaped < retried, "when an attempt is to be repeated");
}

/// A client that hangs up drops the call that writes for it, at any moment.
pub async fn what_was_written_for_a_caller_that_hung_up_is_announced(store: StoreUnderTest) {
    let user_id = store.user().await;
    let mut jobs = Vec::new();
    for microseconds in (0..3000).step_by(30) {
        let new = store.new_job(user_id, Priority::High).await;
        jobs.push(new.id);
        let port = Arc::clone(&store.job_commands);
        let call = tokio::spawn(async move { port.enqueue(Submission::of(vec![new])).await });
        tokio::time::sleep(Duration::from_micros(microseconds)).await;
        call.abort();
    }
    // What was queued for its commit before is written by now.
    jobs.push(store.queue(user_id).await.id);

    let notifications = store.notifications.events();
    for job_id in jobs {
        let written = store.job_reader.job(user_id, job_id).await;
        let written = written.expect("the store works").is_some();
        let notified = notifications.iter().any(|event| event.job_id == job_id);
        assert_eq!(written, notified, "{job_id}");
    }
}

pub async fn an_ended_session_is_announced(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, [1; 32]).await;

    end(&store, session.user_id, session.id).await;

    let notifications = store.notifications.ended_sessions();
    assert_eq!(notifications, [(session.user_id, session.id)]);
}

pub async fn a_session_that_did_not_end_is_not_announced(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, [1; 32]).await;
    let stranger = store.user().await;

    end(&store, stranger, session.id).await;

    assert_eq!(store.notifications.ended_sessions(), []);
}

pub async fn a_betrayed_session_is_announced(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, [1; 32]).await;
    refresh(&store, [1; 32], [2; 32]).await;
    store.advance(GRACE + SLACK).await;

    refresh(&store, [1; 32], [2; 32]).await;

    let notifications = store.notifications.ended_sessions();
    assert_eq!(notifications, [(session.user_id, session.id)]);
}

/// Time passes between the notification and the reading.
fn without_time(event: Event) -> Event {
    let at = Timestamp::EPOCH;
    Event { at, ..event }
}

/// Through a retry to its end.
async fn a_whole_life(store: &StoreUnderTest) -> Job {
    let job = store.running_job().await;
    store.reach(&job, &Checkpoint::ALL[..3]).await;
    store.fail(&job, storage_unavailable()).await;
    store.advance(store.policy.backoff_cap).await;
    let job = store.claim().await;
    store.reach(&job, &Checkpoint::ALL[..9]).await;
    store.finish(&job).await;
    job
}
