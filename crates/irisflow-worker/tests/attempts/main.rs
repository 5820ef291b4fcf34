//! Attempts that are stopped at a named point, with the real stores and the real pipeline in one process.

#![expect(
    clippy::expect_used,
    reason = "`expect` messages explain test failures"
)]

mod site;
mod unconfirmed;

use irisflow_jobs::{Bus as _, EventKind, JobCommands as _, JobLeases as _, JobState};
use irisflow_messages::failures;
use irisflow_worker::FaultPlan;

use site::{Site, eye, no_renewals, until_reached, usual};

/// Stored of a finished job: six pictures, since both outlines are made, and three previews.
const OBJECTS: usize = 9;

/// A worker dies between two of its writes: it renews nothing, and its thread never goes on. Another one resumes the
/// job and sweeps what was left.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_worker_that_died_is_resumed_after_its_lease() {
    let site = Site::new();
    let node = site.open().await;
    let (plan, held) = FaultPlan::holding_at("after_result");
    node.start_worker(plan, no_renewals());
    let job = node.submit(eye()).await;
    until_reached(&held).await;
    site.let_leases_expire();

    node.start_worker(FaultPlan::default(), usual());
    node.run_until_idle().await;

    let ended = node.job(&job).await;
    assert!(matches!(ended.state, JobState::Completed(_)), "{ended:?}");
    assert_eq!((ended.epoch, ended.attempt_count, ended.crashes), (2, 1, 1));
    let progress: Vec<u8> = node.progress_of(&job).await;
    assert!(
        progress.is_sorted(),
        "progress never goes back: {progress:?}"
    );
    node.until("what the first attempt wrote is swept", async || {
        node.epochs_of_objects(&job).await == [2; OBJECTS]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_lost_its_lease_records_nothing() {
    let site = Site::new();
    let (plan, held) = FaultPlan::holding_at("saving");
    let node = site.open().await;
    node.start_worker(plan, no_renewals());
    let job = node.submit(eye()).await;
    until_reached(&held).await;
    site.let_leases_expire();
    let reaped = node
        .store
        .reap_one(failures::worker_lost())
        .await
        .expect("the store works");
    assert_eq!(reaped.map(|reaped| reaped.id), Some(job.id));
    held.release();

    node.run_until_idle().await;

    let ended = node.job(&job).await;
    let JobState::Completed(result) = &ended.state else {
        panic!("{ended:?}");
    };
    assert_eq!((result.epoch, ended.epoch, ended.crashes), (2, 2, 1));
    let kinds = node.kinds_of(&job).await;
    let ends = kinds.iter().filter(|kind| **kind == EventKind::Completed);
    assert_eq!(ends.count(), 1);
    node.until("only the second attempt's objects are left", async || {
        node.epochs_of_objects(&job).await == [2; OBJECTS]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_after_a_preview_leaves_no_object() {
    let site = Site::new();
    let node = site.open().await;
    let (plan, held) = FaultPlan::holding_at("enhancing");
    node.start_worker(plan, no_renewals());
    let job = node.submit(eye()).await;
    until_reached(&held).await;
    node.until("a preview is recorded", async || {
        !node.job(&job).await.previews.is_empty()
    })
    .await;
    site.let_leases_expire();
    let reaped = node.store.reap_one(failures::worker_lost()).await;
    let reaped = reaped.expect("the store works").expect("it is lost");
    assert_eq!(reaped.previews, [], "what is swept is not shown any more");
    let cancelled = node.store.cancel(job.user_id, job.id).await;
    assert!(cancelled.expect("the store works").is_some());

    node.start_worker(FaultPlan::default(), usual());

    node.until("its objects are swept", async || {
        node.epochs_of_objects(&job).await.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_is_stored_without_an_answer_leaves_no_object() {
    let site = Site::new();
    let node = site.open().await.with_unconfirmed_previews();
    node.start_worker(FaultPlan::default(), usual());

    let job = node.submit(eye()).await;
    node.run_until_idle().await;

    let ended = node.job(&job).await;
    assert!(matches!(ended.state, JobState::Completed(_)), "{ended:?}");
    assert_eq!(ended.previews, []);
    node.until("the preview is deleted", async || {
        node.epochs_of_objects(&job).await.len() == OBJECTS - 3
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_ends_while_its_step_still_runs() {
    let site = Site::new();
    let (plan, held) = FaultPlan::holding_at("enhancing");
    let node = site.open().await;
    node.start_worker(plan, no_renewals());
    let job = node.submit(eye()).await;
    until_reached(&held).await;

    let cancelled = node.store.cancel(job.user_id, job.id).await;
    assert!(cancelled.expect("the store works").is_some());
    node.until("it is cancelled, the step being held", async || {
        node.job(&job).await.state == JobState::Cancelled
    })
    .await;
    held.release();

    // The slot is free again, and nothing was written for the cancelled job.
    let other = node.submit(eye()).await;
    node.run_until_idle().await;
    let (ended, other) = (node.job(&job).await, node.job(&other).await);
    assert_eq!(ended.state, JobState::Cancelled);
    assert!(matches!(other.state, JobState::Completed(_)), "{other:?}");
    assert_eq!(node.epochs_of_objects(&job).await, [0_i64; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_storage_costs_no_attempt() {
    let site = Site::new();
    let (plan, held) = FaultPlan::holding_at("saving");
    let node = site.open().await;
    node.start_worker(plan, usual());
    let job = node.submit(eye()).await;
    until_reached(&held).await;

    site.take_storage_away();
    held.release();
    node.until("the outage is noticed", async || node.bus.has_outage())
        .await;
    site.bring_storage_back();
    node.run_until_idle().await;

    let ended = node.job(&job).await;
    assert!(matches!(ended.state, JobState::Completed(_)), "{ended:?}");
    assert_eq!(
        (ended.attempt_count, ended.retries, ended.crashes),
        (0, 0, 0)
    );
    assert!(!node.bus.has_outage());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_drains_hands_its_job_back_uncounted() {
    let site = Site::new();
    let (plan, held) = FaultPlan::holding_at("enhancing");
    let node = site.open().await;
    let worker = node.start_worker(plan, usual());
    let job = node.submit(eye()).await;
    until_reached(&held).await;

    let handed_back = async {
        node.until("it is handed back, the step being held", async || {
            node.job(&job).await.state == JobState::Waiting
        })
        .await;
        held.release();
    };
    tokio::join!(worker.drain(), handed_back);

    node.start_worker(FaultPlan::default(), usual());
    node.run_until_idle().await;
    let ended = node.job(&job).await;
    assert!(matches!(ended.state, JobState::Completed(_)), "{ended:?}");
    assert_eq!((ended.epoch, ended.attempt_count), (2, 0));
    assert_eq!(node.epochs_of_objects(&job).await, [2; OBJECTS]);
}
