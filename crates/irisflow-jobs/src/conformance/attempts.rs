//! What a worker writes while it owns a job, and the state of the job after the attempt.

use std::time::Duration;

use super::store_under_test::{
    fence, quality_issue, recorded, result_of, storage_unavailable, timed_out, worker_lost,
};
use super::{SLACK, StoreUnderTest};
use crate::{Checkpoint, EventKind, JobState, Preview, PreviewKind, Renewal};

pub async fn checkpoints_are_logged_in_order(store: StoreUnderTest) {
    let job = store.running_job().await;
    let working = &Checkpoint::ALL[..9];

    store.reach(&job, &working[..4]).await;
    store.reach(&job, &working[4..]).await;

    let events = store.events_after(&job, 1).await;
    let seen: Vec<_> = events
        .iter()
        .map(|event| (event.kind, event.body.step, event.body.progress))
        .collect();
    let reached: Vec<_> = working
        .iter()
        .map(|point| (EventKind::Progress, Some(point.step()), point.progress()))
        .collect();
    assert_eq!(seen, reached);
}

pub async fn a_checkpoint_that_was_reached_before_is_not_logged_again(store: StoreUnderTest) {
    let job = store.running_job().await;
    let some = &Checkpoint::ALL[..3];
    store.reach(&job, some).await;

    store.reach(&job, some).await;

    let progress = [EventKind::Progress; 3];
    assert_eq!(store.kinds(&job).await[1..], progress);
}

pub async fn a_preview_is_recorded_with_the_checkpoint_after_it(store: StoreUnderTest) {
    let job = store.running_job().await;
    let preview = Preview {
        kind: PreviewKind::Outline,
        epoch: job.epoch,
        width_px: 512,
        height_px: 384,
        size_bytes: 31_415,
    };

    let leases = &store.job_leases;
    let checkpoint = [Checkpoint::SegmentingDone];
    recorded(
        leases
            .record_checkpoints(fence(&job), &[preview], &checkpoint)
            .await,
    );

    let events = store.events_after(&job, 1).await;
    assert_eq!(events[0].body.previews, [preview]);
    assert_eq!(
        store.read(&job).await.expect("it is there").previews,
        [preview]
    );
    store.let_leases_expire().await;
    store.reap().await;
    assert_eq!(store.read(&job).await.expect("it is there").previews, []);
}

pub async fn progress_survives_a_lost_worker(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.reach(&job, &[Checkpoint::EnhancingBegun]).await;
    store.let_leases_expire().await;
    store.reap().await;

    let again = store.claim().await;
    let again = store.reach(&again, &[Checkpoint::LoadingBegun]).await;

    assert_eq!(again.progress, Checkpoint::EnhancingBegun.progress());
}

pub async fn finishing_records_the_result_with_the_last_event(store: StoreUnderTest) {
    let job = store.running_job().await;
    let result = result_of(&job);

    store.finish(&job).await;

    let read = store.read(&job).await.expect("the job is kept");
    let events = store.events(&job).await;
    let last = events.last().expect("there are events");
    assert_eq!(read.state, JobState::Completed(result.clone()));
    assert_eq!((last.kind, last.body.progress), (EventKind::Completed, 100));
    assert_eq!(last.body.result, Some(result));
}

pub async fn a_transient_error_waits_for_its_stored_retry(store: StoreUnderTest) {
    let job = store.running_job().await;

    let begun = store.now().await;
    store.fail(&job, storage_unavailable()).await;

    let read = store.read(&job).await.expect("the job is kept");
    let latest = store.now().await + store.policy.backoff_base;
    assert_eq!(read.state, JobState::Waiting);
    assert!(read.run_at > begun && read.run_at <= latest);
    let next_due = store.job_leases.next_due().await.expect("the store works");
    assert_eq!(next_due, Some(read.run_at));
}

pub async fn a_retry_says_why_and_counts_the_attempt(store: StoreUnderTest) {
    let job = store.running_job().await;

    store.fail(&job, storage_unavailable()).await;

    let events = store.events(&job).await;
    let last = events.last().expect("there are events");
    assert_eq!(
        (last.kind, last.body.attempt_count),
        (EventKind::Retrying, 1)
    );
    assert_eq!(last.body.failure, Some(storage_unavailable()));
    assert_eq!(last.body.status, "processing");
}

pub async fn a_job_fails_at_the_limit_of_its_retries(store: StoreUnderTest) {
    let mut job = store.running_job().await;
    for _ in 0..store.policy.max_retries {
        store.fail(&job, storage_unavailable()).await;
        store.advance(store.policy.backoff_cap).await;
        job = store.claim().await;
    }

    store.fail(&job, timed_out()).await;

    let read = store.read(&job).await.expect("the job is kept");
    assert_eq!(read.state, JobState::Failed(timed_out()));
    assert_eq!(store.kinds(&job).await.last(), Some(&EventKind::Failed));
    assert_eq!(store.try_claim().await, None, "it is not tried again");
}

pub async fn a_quality_issue_fails_at_once(store: StoreUnderTest) {
    let job = store.running_job().await;

    store.fail(&job, quality_issue()).await;

    let read = store.read(&job).await.expect("the job is kept");
    assert_eq!(read.state, JobState::Failed(quality_issue()));
    assert_eq!(read.attempt_count, 0);
}

pub async fn a_hand_back_counts_nothing_and_says_nothing(store: StoreUnderTest) {
    let job = store.running_job().await;

    store.hand_back(&job).await;

    let again = store.claim().await;
    assert_eq!(again.id, job.id, "it is due at once");
    assert_eq!(
        (again.attempt_count, again.retries, again.crashes),
        (0, 0, 0)
    );
    assert_eq!(store.kinds(&job).await, [EventKind::Queued]);
}

pub async fn a_stopped_job_is_cancelled(store: StoreUnderTest) {
    let job = store.running_job().await;

    recorded(store.job_leases.record_cancelled(fence(&job)).await);

    let read = store.read(&job).await.expect("the job is kept");
    assert_eq!(read.state, JobState::Cancelled);
    assert_eq!(store.kinds(&job).await.last(), Some(&EventKind::Cancelled));
}

pub async fn a_live_lease_is_not_reaped(store: StoreUnderTest) {
    store.running_job().await;
    store.advance(store.policy.lease - SLACK).await;
    assert_eq!(store.reap().await, None);
}

pub async fn a_renewed_lease_is_not_reaped(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.advance(store.policy.lease / 2).await;

    let renewal = store
        .job_leases
        .renew(fence(&job))
        .await
        .expect("the store works");
    store
        .advance(store.policy.lease / 2 + Duration::from_millis(1))
        .await;

    assert_eq!(renewal, Renewal::Held);
    assert_eq!(store.reap().await, None);
}

pub async fn an_expired_lease_returns_the_job_to_the_queue(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.let_leases_expire().await;

    let reaped = store.reap().await.expect("a lease has run out");

    assert_eq!((reaped.id, &reaped.state), (job.id, &JobState::Waiting));
    assert_eq!(
        (reaped.attempt_count, reaped.crashes, reaped.retries),
        (1, 1, 0)
    );
    assert_eq!(store.kinds(&job).await.last(), Some(&EventKind::Retrying));
    assert_eq!(store.claim().await.id, job.id, "it is due at once");
}

pub async fn reaping_takes_one_job_at_a_time(store: StoreUnderTest) {
    let older = store.running_job().await;
    store.tick().await;
    let newer = store.running_job().await;
    store.let_leases_expire().await;

    let mut reaped = Vec::new();
    while let Some(job) = store.reap().await {
        reaped.push(job.id);
    }

    assert_eq!(reaped, [older.id, newer.id]);
}

pub async fn a_job_that_loses_every_worker_fails_at_the_crash_limit(store: StoreUnderTest) {
    let job = store.queue(store.user().await).await;
    for _ in 0..store.policy.max_crashes {
        store.claim().await;
        store.let_leases_expire().await;
        store.reap().await.expect("a lease has run out");
    }

    let read = store.read(&job).await.expect("the job is kept");
    assert_eq!(read.state, JobState::Failed(worker_lost()));
    assert_eq!(store.try_claim().await, None, "it is not tried again");
}
