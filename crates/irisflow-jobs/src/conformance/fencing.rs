//! A worker whose attempt is over may not write, whichever verb it uses and however it was lost; and
//! what it is refused leaves no trace.

use super::StoreUnderTest;
use super::store_under_test::{fence, result_of, storage_unavailable};
use crate::{Checkpoint, Event, Fence, Job, JobId, Renewal, WriteOutcome};

pub async fn nothing_is_written_after_the_lease_was_reaped(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.let_leases_expire().await;
    store.reap().await.expect("the lease has run out");

    every_write_is_refused(&store, &job).await;
}

pub async fn nothing_is_written_after_a_hand_back(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.hand_back(&job).await;

    every_write_is_refused(&store, &job).await;
}

pub async fn nothing_is_written_by_an_earlier_epoch(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.let_leases_expire().await;
    store.reap().await.expect("the lease has run out");
    store.claim().await;

    every_write_is_refused(&store, &job).await;
}

pub async fn nothing_is_written_after_the_end(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.finish(&job).await;

    every_write_is_refused(&store, &job).await;
}

pub async fn nothing_is_written_after_the_photo_was_deleted(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.delete_photo_of(&job).await;

    every_write_is_refused(&store, &job).await;
}

pub async fn nothing_is_written_to_an_unknown_job(store: StoreUnderTest) {
    let mut job = store.running_job().await;
    job.id = JobId::generate();

    every_write_is_refused(&store, &job).await;
}

pub async fn a_report_without_checkpoints_is_refused_as_well(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.let_leases_expire().await;
    store.reap().await.expect("the lease has run out");

    let written = store
        .job_leases
        .record_checkpoints(fence(&job), &[], &[])
        .await;

    assert_eq!(written.expect("the store works"), WriteOutcome::Fenced);
}

async fn every_write_is_refused(store: &StoreUnderTest, lost: &Job) {
    let fence: Fence = fence(lost);
    let leases = &store.job_leases;
    let before = state(store, lost).await;
    store.sweep_all().await;

    let renewal = leases.renew(fence).await.expect("the store works");
    let checkpoint = [Checkpoint::SavingBegun];
    let failure = storage_unavailable();
    let writes = [
        (
            "reach",
            leases.record_checkpoints(fence, &[], &checkpoint).await,
        ),
        ("finish", leases.finish(fence, result_of(lost)).await),
        ("fail", leases.fail_attempt(fence, failure).await),
        ("hand back", leases.hand_back(fence).await),
        ("stopped", leases.record_cancelled(fence).await),
    ];

    assert_eq!(renewal, Renewal::Lost, "renew");
    for (verb, written) in writes {
        let written = written.expect("the store works");
        assert_eq!(written, WriteOutcome::Fenced, "{verb}");
    }
    assert_eq!(state(store, lost).await, before, "nothing has changed");
    assert_eq!(store.due_targets().await, [], "nothing is swept");
}

async fn state(store: &StoreUnderTest, job: &Job) -> (Option<Job>, Vec<Event>) {
    (store.read(job).await, store.events(job).await)
}
