//! Which job a worker gets: of the user with the fewest running jobs, then the longest wait; of that
//! user, high before default.

use std::time::Duration;

use super::StoreUnderTest;
use super::store_under_test::quality_issue;
use crate::{Failure, JobState, Lease, Priority, WorkerId};

const MOMENT: Duration = Duration::from_millis(1);

pub async fn an_empty_queue_gives_nothing(store: StoreUnderTest) {
    store.user().await;
    assert_eq!(store.try_claim().await, None);
}

pub async fn a_claim_leases_the_job_to_its_worker(store: StoreUnderTest) {
    let queued = store.queue(store.user().await).await;
    let worker = WorkerId::generate();

    let claimed = store
        .jobs
        .claim_next(worker)
        .await
        .expect("the store works");

    let claimed = claimed.expect("the job is due");
    let until = store.now() + store.policy.lease;
    assert_eq!(claimed.id, queued.id);
    assert_eq!(claimed.state, JobState::Processing(Lease { worker, until }));
}

pub async fn a_claimed_job_is_not_claimed_again(store: StoreUnderTest) {
    store.running_job().await;
    assert_eq!(store.try_claim().await, None);
}

pub async fn the_epoch_grows_with_each_claim(store: StoreUnderTest) {
    let mut epochs = Vec::new();
    store.queue(store.user().await).await;
    for _ in 0..3 {
        let claimed = store.claim().await;
        epochs.push(claimed.epoch);
        store.hand_back(&claimed).await;
    }
    assert_eq!(epochs, [1, 2, 3]);
}

pub async fn jobs_of_one_user_are_claimed_in_order(store: StoreUnderTest) {
    let user_id = store.user().await;
    let mut queued = Vec::new();
    for _ in 0..4 {
        queued.push(store.queue(user_id).await.id);
        store.advance(MOMENT);
    }

    let mut claimed = Vec::new();
    for _ in 0..4 {
        claimed.push(store.claim().await.id);
    }

    assert_eq!(claimed, queued);
}

pub async fn the_user_with_the_fewest_running_jobs_goes_first(store: StoreUnderTest) {
    let (busy, idle) = (store.user().await, store.user().await);
    for _ in 0..3 {
        store.queue(busy).await;
    }
    store.claim().await;
    store.advance(MOMENT);
    let late = store.queue(idle).await;

    assert_eq!(store.claim().await.id, late.id);
}

pub async fn among_equal_users_the_longest_wait_goes_first(store: StoreUnderTest) {
    let (first, second) = (store.user().await, store.user().await);
    let early = store.queue(second).await;
    store.advance(MOMENT);
    store.queue(first).await;

    assert_eq!(store.claim().await.id, early.id);
}

pub async fn an_ended_job_gives_its_user_a_turn_back(store: StoreUnderTest) {
    let (one, other) = (store.user().await, store.user().await);
    store.queue(one).await;
    let ending = store.claim().await;
    store.queue(other).await;
    store.claim().await;
    store.queue(other).await;
    store.advance(MOMENT);
    let next = store.queue(one).await;

    store.finish(&ending).await;

    assert_eq!(store.claim().await.id, next.id);
}

pub async fn a_deleted_running_job_gives_its_user_a_turn_back(store: StoreUnderTest) {
    let (one, other) = (store.user().await, store.user().await);
    store.queue(one).await;
    let deleted = store.claim().await;
    store.queue(other).await;
    store.claim().await;
    store.queue(other).await;
    store.advance(MOMENT);
    let next = store.queue(one).await;

    store.delete_photo_of(&deleted).await;

    assert_eq!(store.claim().await.id, next.id);
}

pub async fn high_goes_before_default(store: StoreUnderTest) {
    let user_id = store.user().await;
    store.queue_as(user_id, Priority::Default).await;
    store.advance(MOMENT);
    let high = store.queue_as(user_id, Priority::High).await;

    assert_eq!(store.claim().await.id, high.id);
}

pub async fn the_priority_of_one_user_does_not_push_another_back(store: StoreUnderTest) {
    let (patient, hasty) = (store.user().await, store.user().await);
    let default = store.queue_as(patient, Priority::Default).await;
    store.advance(MOMENT);
    store.queue_as(hasty, Priority::High).await;

    assert_eq!(store.claim().await.id, default.id);
}

pub async fn a_flood_delays_another_user_by_one_job_per_worker_at_most(store: StoreUnderTest) {
    const WORKERS: usize = 3;
    let (flooding, patient) = (store.user().await, store.user().await);
    let mut flood = Vec::new();
    for _ in 0..1000 {
        flood.push(store.new_job(flooding, Priority::High).await);
    }
    store.queue_all(flood).await;
    let mut running = Vec::new();
    for _ in 0..WORKERS {
        running.push(store.claim().await);
    }
    let single = store.queue_as(patient, Priority::Default).await;

    // The first worker that is done with what it had takes it.
    store.finish(&running[0]).await;

    assert_eq!(store.claim().await.id, single.id);
}

pub async fn a_default_job_that_waited_a_minute_counts_as_high(store: StoreUnderTest) {
    let user_id = store.user().await;
    let default = store.queue_as(user_id, Priority::Default).await;
    store.advance(store.policy.ageing);
    store.queue_as(user_id, Priority::High).await;

    assert_eq!(store.claim().await.id, default.id);
}

pub async fn a_default_job_that_waited_less_than_a_minute_does_not(store: StoreUnderTest) {
    let user_id = store.user().await;
    store.queue_as(user_id, Priority::Default).await;
    store.advance(store.policy.ageing - MOMENT);
    let high = store.queue_as(user_id, Priority::High).await;

    assert_eq!(store.claim().await.id, high.id);
}

pub async fn a_job_is_not_claimed_before_its_time(store: StoreUnderTest) {
    let job = store.running_job().await;
    let waiting = store.fail(&job, Failure::storage_unavailable()).await;

    store.advance(waiting.run_at.since(store.now()) - MOMENT);
    let too_early = store.try_claim().await;
    store.advance(MOMENT);
    let in_time = store.try_claim().await;

    assert_eq!(too_early, None);
    assert_eq!(in_time.map(|job| job.id), Some(job.id));
}

pub async fn the_next_due_moment_is_that_of_the_first_waiting_job(store: StoreUnderTest) {
    let first = store.running_job().await;
    let second = store.running_job().await;
    let first = store.fail(&first, Failure::storage_unavailable()).await;
    let second = store.fail(&second, Failure::storage_unavailable()).await;

    let next_due = store.jobs.next_due().await.expect("the store works");

    assert_eq!(next_due, Some(first.run_at.min(second.run_at)));
}

pub async fn nothing_is_due_when_all_jobs_are_running_or_done(store: StoreUnderTest) {
    store.running_job().await;
    let done = store.running_job().await;
    store.finish(&done).await;
    let failed = store.running_job().await;
    store.fail(&failed, quality_issue()).await;

    assert_eq!(store.jobs.next_due().await.expect("the store works"), None);
}
