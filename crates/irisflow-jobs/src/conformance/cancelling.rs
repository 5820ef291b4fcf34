//! Cancelling: at once while a job waits, by its worker while it runs, never once it has ended.

use super::StoreUnderTest;
use super::store_under_test::{fence, recorded, storage_unavailable};
use crate::{Checkpoint, EventKind, Job, JobId, JobState, Renewal};

pub async fn a_waiting_job_is_cancelled_at_once(store: StoreUnderTest) {
    let job = store.queue(store.user().await).await;

    let cancelled = store.cancel(&job).await.expect("it is known");

    assert_eq!(cancelled.state, JobState::Cancelled);
    assert_eq!(store.read(&job).await, Some(cancelled));
    let kinds = [EventKind::Queued, EventKind::Cancelled];
    assert_eq!(store.kinds(&job).await, kinds);
    assert_eq!(store.try_claim().await, None, "it is not claimed");
}

pub async fn a_job_between_two_attempts_is_cancelled_at_once(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.fail(&job, storage_unavailable()).await;

    let cancelled = store.cancel(&job).await.expect("it is known");

    assert_eq!(cancelled.state, JobState::Cancelled);
    store.advance(store.policy.backoff_cap).await;
    assert_eq!(store.try_claim().await, None, "it is not tried again");
}

pub async fn a_running_job_keeps_its_worker_until_that_stops(store: StoreUnderTest) {
    let job = store.running_job().await;

    let asked = store.cancel(&job).await.expect("it is known");

    assert!(asked.cancel_requested, "it is to be cancelled");
    assert_eq!(asked.state, job.state, "its worker has it still");
    let stopped = recorded(store.job_leases.record_cancelled(fence(&job)).await);
    assert_eq!(stopped.state, JobState::Cancelled);
}

pub async fn the_worker_of_a_job_to_cancel_learns_it_by_every_write(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.cancel(&job).await;

    let renewal = store.job_leases.renew(fence(&job)).await;
    let reached = store.reach(&job, &[Checkpoint::LoadingBegun]).await;

    assert_eq!(renewal.expect("the store works"), Renewal::CancelRequested);
    assert!(reached.cancel_requested, "the answer says so");
}

pub async fn a_job_to_cancel_ends_with_its_worker_however_that_ends(store: StoreUnderTest) {
    let [failing, handed_back, lost] = [
        store.running_job().await,
        store.running_job().await,
        store.running_job().await,
    ];
    for job in [&failing, &handed_back, &lost] {
        store.cancel(job).await;
    }

    store.fail(&failing, storage_unavailable()).await;
    store.hand_back(&handed_back).await;
    store.let_leases_expire().await;
    store.reap().await.expect("one worker is lost");

    for job in [failing, handed_back, lost] {
        let read = store.read(&job).await.expect("the job is kept");
        assert_eq!(read.state, JobState::Cancelled);
    }
}

pub async fn the_worker_of_a_job_to_cancel_is_notified(store: StoreUnderTest) {
    let running = store.running_job().await;
    let waiting = store.queue(running.user_id).await;

    store.cancel(&waiting).await;
    assert_eq!(
        store.notifications.cancelled_attempts(),
        [],
        "it has no worker"
    );
    store.cancel(&running).await;

    assert_eq!(store.notifications.cancelled_attempts(), [fence(&running)]);
}

pub async fn a_job_that_has_ended_stays_as_it_is(store: StoreUnderTest) {
    let job = store.running_job().await;
    let done = store.finish(&job).await;
    store.tick().await;

    let after = store.cancel(&job).await;

    assert_eq!(after, Some(done.clone()));
    assert_eq!(store.read(&job).await, Some(done));
    assert_eq!(store.kinds(&job).await.last(), Some(&EventKind::Completed));
}

pub async fn cancelling_twice_is_as_cancelling_once(store: StoreUnderTest) {
    let running = store.running_job().await;
    let waiting = store.queue(running.user_id).await;
    for job in [&running, &waiting] {
        let once = store.cancel(job).await;
        let events = store.events(job).await;

        let twice = store.cancel(job).await;

        let outcome = |job: Option<Job>| job.map(|job| (job.cancel_requested, job.state));
        assert_eq!(outcome(twice), outcome(once));
        assert_eq!(store.events(job).await, events);
    }
}

pub async fn a_foreign_or_unknown_job_is_not_cancelled(store: StoreUnderTest) {
    let job = store.running_job().await;
    let stranger = store.user().await;

    for (user_id, job_id) in [(stranger, job.id), (job.user_id, JobId::generate())] {
        let cancelled = store.job_commands.cancel(user_id, job_id).await;
        assert_eq!(cancelled.expect("the store works"), None);
    }

    assert_eq!(store.read(&job).await, Some(job));
}
