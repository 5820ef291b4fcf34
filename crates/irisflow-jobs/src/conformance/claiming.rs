//! Which job a worker gets: of the user with the fewest running jobs, then the one served longest ago; of
//! that user, high before default.

use std::collections::VecDeque;
use std::time::Duration;

use super::store_under_test::{quality_issue, storage_unavailable};
use super::{SLACK, StoreUnderTest};
use crate::{JobState, Priority, WorkerId};

pub async fn an_empty_queue_gives_nothing(store: StoreUnderTest) {
    store.user().await;
    assert_eq!(store.try_claim().await, None);
}

pub async fn a_claim_leases_the_job_to_its_worker(store: StoreUnderTest) {
    let queued = store.queue(store.user().await).await;
    let worker = WorkerId::generate();
    let begun = store.now().await;

    let claimed = store
        .job_leases
        .claim_next(worker)
        .await
        .expect("the store works");

    let claimed = claimed.expect("the job is due");
    assert_eq!(claimed.id, queued.id);
    let JobState::Processing(lease) = claimed.state else {
        panic!("{:?}", claimed.state);
    };
    assert_eq!(lease.worker, worker);
    let granted = lease.until - store.policy.lease;
    store.assert_between(begun, granted).await;
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
        store.tick().await;
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
    store.tick().await;
    let late = store.queue(idle).await;

    assert_eq!(store.claim().await.id, late.id);
}

pub async fn among_users_never_served_the_longest_wait_goes_first(store: StoreUnderTest) {
    let (first, second) = (store.user().await, store.user().await);
    let early = store.queue(second).await;
    store.tick().await;
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
    store.tick().await;
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
    store.tick().await;
    let next = store.queue(one).await;

    store.delete_photo_of(&deleted).await;

    assert_eq!(store.claim().await.id, next.id);
}

pub async fn high_goes_before_default(store: StoreUnderTest) {
    let user_id = store.user().await;
    store.queue_as(user_id, Priority::Default).await;
    store.tick().await;
    let high = store.queue_as(user_id, Priority::High).await;

    assert_eq!(store.claim().await.id, high.id);
}

pub async fn the_priority_of_one_user_does_not_push_another_back(store: StoreUnderTest) {
    let (patient, hasty) = (store.user().await, store.user().await);
    let default = store.queue_as(patient, Priority::Default).await;
    store.tick().await;
    store.queue_as(hasty, Priority::High).await;

    assert_eq!(store.claim().await.id, default.id);
}

pub async fn among_equal_users_the_one_served_longest_ago_goes_first(store: StoreUnderTest) {
    let (served_first, served_last) = (store.user().await, store.user().await);
    for user_id in [served_first, served_last] {
        store.queue(user_id).await;
        let job = store.claim().await;
        store.finish(&job).await;
    }
    // The other waits longer and its job has the higher priority: neither decides.
    store.queue_as(served_last, Priority::High).await;
    store.advance(store.policy.ageing).await;
    let late = store.queue_as(served_first, Priority::Default).await;

    assert_eq!(store.claim().await.id, late.id);
}

pub async fn a_step_of_the_clock_changes_nothing_about_whose_turn_it_is(store: StoreUnderTest) {
    let (served_first, served_last) = (store.user().await, store.user().await);
    store.queue(served_first).await;
    let job = store.claim().await;
    store.finish(&job).await;
    store.step_back(Duration::from_secs(3600)).await;
    store.queue(served_last).await;
    let job = store.claim().await;
    store.finish(&job).await;
    store.queue(served_last).await;
    store.tick().await;
    let next = store.queue(served_first).await;
    store.tick().await;

    assert_eq!(store.claim().await.id, next.id);
}

/// Whatever the numbers: with 1 to 3 workers and up to 5 who flood the queue, all of them served before, a
/// newcomer's job is claimed by the first worker that gets free.
pub async fn a_flood_delays_another_user_by_one_job_per_worker_at_most(store: StoreUnderTest) {
    for workers in 1..=3 {
        for flooders in 0..=5 {
            let position = position_of_a_newcomer(&store, workers, flooders).await;
            assert_eq!(position, 1, "{workers} workers, {flooders} who flood");
        }
    }
}

/// The place in the order of claims, counted from the newcomer's submission.
async fn position_of_a_newcomer(store: &StoreUnderTest, workers: usize, flooders: usize) -> usize {
    let mut flood = Vec::new();
    for _ in 0..flooders {
        let flooder = store.user().await;
        for _ in 0..12 {
            flood.push(store.new_job(flooder, Priority::High).await);
        }
    }
    if !flood.is_empty() {
        store.queue_all(flood).await;
    }
    let mut running = VecDeque::new();
    // Each has been served, and the workers are busy.
    for _ in 0..flooders + workers {
        if running.len() == workers {
            let ended = running.pop_front().expect("a running job");
            store.finish(&ended).await;
        }
        running.extend(store.try_claim().await);
        store.tick().await;
    }
    let newcomer = store.user().await;
    let single = store.queue_as(newcomer, Priority::Default).await;

    let mut position = None;
    for claimed in 1.. {
        if running.len() == workers {
            let ended = running.pop_front().expect("a running job");
            store.finish(&ended).await;
        }
        let Some(job) = store.try_claim().await else {
            break;
        };
        if job.id == single.id {
            position = Some(claimed);
        }
        running.push_back(job);
    }
    for job in running {
        store.finish(&job).await;
    }
    position.expect("it is claimed")
}

pub async fn a_default_job_that_waited_a_minute_counts_as_high(store: StoreUnderTest) {
    let user_id = store.user().await;
    let default = store.queue_as(user_id, Priority::Default).await;
    store.advance(store.policy.ageing).await;
    store.queue_as(user_id, Priority::High).await;

    assert_eq!(store.claim().await.id, default.id);
}

pub async fn a_default_job_that_waited_less_than_a_minute_does_not(store: StoreUnderTest) {
    let user_id = store.user().await;
    store.queue_as(user_id, Priority::Default).await;
    store.advance(store.policy.ageing - SLACK).await;
    let high = store.queue_as(user_id, Priority::High).await;

    assert_eq!(store.claim().await.id, high.id);
}

pub async fn a_job_is_not_claimed_before_its_time(store: StoreUnderTest) {
    let job = store.running_job().await;
    let waiting = store.fail(&job, storage_unavailable()).await;

    let wait = waiting.run_at.since(store.now().await);
    store.advance(wait.saturating_sub(SLACK)).await;
    let too_early = store.try_claim().await;
    store.advance(SLACK).await;
    let in_time = store.try_claim().await;

    assert_eq!(too_early, None);
    assert_eq!(in_time.map(|job| job.id), Some(job.id));
}

pub async fn the_next_due_moment_is_that_of_the_first_waiting_job(store: StoreUnderTest) {
    let first = store.running_job().await;
    let second = store.running_job().await;
    let first = store.fail(&first, storage_unavailable()).await;
    let second = store.fail(&second, storage_unavailable()).await;

    let next_due = store.job_leases.next_due().await.expect("the store works");

    assert_eq!(next_due, Some(first.run_at.min(second.run_at)));
}

pub async fn nothing_is_due_when_all_jobs_are_running_or_done(store: StoreUnderTest) {
    store.running_job().await;
    let done = store.running_job().await;
    store.finish(&done).await;
    let failed = store.running_job().await;
    store.fail(&failed, quality_issue()).await;

    assert_eq!(
        store.job_leases.next_due().await.expect("the store works"),
        None
    );
}
