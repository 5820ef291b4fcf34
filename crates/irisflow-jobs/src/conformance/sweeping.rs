//! Which objects are to be deleted, when, and which are to be kept.

use std::time::Duration;

use tokio::task::JoinSet;

use super::store_under_test::{quality_issue, storage_unavailable};
use super::{SLACK, StoreUnderTest};
use crate::{Job, Store, SweepTarget};

pub async fn sweeps_come_in_the_order_of_their_time(store: StoreUnderTest) {
    let (earlier, later) = two_failed_jobs(&store).await;
    store.advance(store.policy.lease * 4).await;

    let due = store.due_sweeps().await;

    let targets: Vec<_> = due.iter().map(|sweep| sweep.target).collect();
    let (earlier, later) = (leftovers(&earlier), leftovers(&later));
    assert_eq!(targets, [earlier, later, earlier, later]);
}

pub async fn a_limit_gives_the_first_sweeps(store: StoreUnderTest) {
    let (earlier, later) = two_failed_jobs(&store).await;
    store.advance(store.policy.lease * 4).await;

    let first = claim(&store, 3).await;
    let rest = claim(&store, 1000).await;

    let (earlier, later) = (leftovers(&earlier), leftovers(&later));
    assert_eq!(first, [earlier, later, earlier]);
    assert_eq!(rest, [later]);
}

pub async fn a_finished_sweep_does_not_come_again(store: StoreUnderTest) {
    two_failed_jobs(&store).await;
    let due = store.due_sweeps().await;

    for _ in 0..2 {
        let done = store.sweep_queue.complete_sweep(due[0].id).await;
        done.expect("two sweepers may have done the same");
    }

    assert_eq!(store.due_sweeps().await, due[1..]);
}

pub async fn sweeps_that_fail_hold_no_other_up(store: StoreUnderTest) {
    let (earlier, later) = two_failed_jobs(&store).await;
    let first = store.due_sweeps().await.remove(0);

    let failed = store.sweep_queue.postpone_sweep(first.id).await;
    failed.expect("the store works");

    assert_eq!(first.target, leftovers(&earlier));
    assert_eq!(claim(&store, 1).await, [leftovers(&later)]);
}

pub async fn a_sweep_that_failed_comes_again_after_a_longer_wait_each_time(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.fail(&job, quality_issue()).await;
    let sweep = store.due_sweeps().await[0].id;

    let mut waits = Vec::new();
    for _ in 0..3 {
        let failed = store.sweep_queue.postpone_sweep(sweep).await;
        failed.expect("the store works");
        let mut waited = Duration::ZERO;
        while store.due_sweeps().await.iter().all(|due| due.id != sweep) {
            store.advance(Duration::from_secs(60)).await;
            waited += Duration::from_secs(60);
        }
        waits.push(waited);
    }

    assert!(waits[0] > Duration::ZERO, "{waits:?}");
    assert!(waits[0] < waits[1] && waits[1] < waits[2], "{waits:?}");
}

pub async fn an_expected_upload_is_swept_when_its_url_has_run_out(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photo_id = store.photo(user_id).await;
    let life = store.policy.upload_url_life;
    let ended = store.policy.uploads_end_after();

    store.advance(life + store.policy.upload_limit).await;
    let too_early = store.due_targets().await;
    store
        .advance(ended - life - store.policy.upload_limit)
        .await;

    assert_eq!(too_early, [], "an upload may still be running");
    let incoming = SweepTarget::Incoming { user_id, photo_id };
    assert_eq!(store.due_targets().await, [incoming]);
}

pub async fn a_failed_attempt_is_swept_now_and_when_its_worker_must_be_gone(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.fail(&job, storage_unavailable()).await;

    swept_now_and_after_the_lease(&store, &job).await;
}

pub async fn a_lost_worker_is_swept_after(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.let_leases_expire().await;
    store.reap().await;

    swept_now_and_after_the_lease(&store, &job).await;
}

pub async fn a_finished_job_leaves_nothing_to_sweep(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.finish(&job).await;
    store.advance(store.policy.lease * 4).await;
    assert_eq!(store.due_targets().await, []);
}

pub async fn a_deleted_photo_is_swept_now_and_when_uploads_must_have_ended(store: StoreUnderTest) {
    let job = store.running_job().await;
    let target = SweepTarget::Photo {
        user_id: job.user_id,
        photo_id: job.photo_id,
    };
    let under_way = store.policy.upload_url_life + store.policy.upload_limit;

    store.delete_photo_of(&job).await;
    let now = store.due_targets().await;
    store.sweep_all().await;
    store.advance(under_way).await;
    let too_early = store.due_targets().await;
    store
        .advance(store.policy.uploads_end_after() - under_way)
        .await;
    let later = store.due_targets().await;

    assert!(now.contains(&target), "{now:?}");
    assert!(!too_early.contains(&target), "{too_early:?}");
    assert!(later.contains(&target), "{later:?}");
}

pub async fn the_jobs_of_a_deleted_photo_are_swept_now_and_later(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.delete_photo_of(&job).await;

    swept_now_and_after_the_lease(&store, &job).await;
}

pub async fn a_running_job_keeps_its_epoch(store: StoreUnderTest) {
    let job = store.running_job().await;
    assert_eq!(kept(&store, &job).await, Some(1));

    store.hand_back(&job).await;
    assert_eq!(kept(&store, &job).await, None);

    store.claim().await;
    assert_eq!(kept(&store, &job).await, Some(2));
}

pub async fn a_completed_job_keeps_the_recorded_epoch(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.hand_back(&job).await;
    let job = store.claim().await;
    store.finish(&job).await;

    assert_eq!(kept(&store, &job).await, Some(2));
}

pub async fn a_failed_or_deleted_job_keeps_nothing(store: StoreUnderTest) {
    let failed = store.running_job().await;
    store.fail(&failed, quality_issue()).await;
    assert_eq!(kept(&store, &failed).await, None);

    let deleted = store.running_job().await;
    store.delete_photo_of(&deleted).await;
    assert_eq!(kept(&store, &deleted).await, None);
}

pub async fn a_claimed_sweep_is_given_to_no_other_node_until_its_claim_has_expired(
    store: StoreUnderTest,
) {
    let (earlier, later) = two_failed_jobs(&store).await;
    let other_node = store.open_node().await;
    let claim_by_other = async || {
        let claimed = other_node.claim_sweeps(1000, store.policy.lease).await;
        let claimed = claimed.expect("the store works").into_iter();
        claimed.map(|sweep| sweep.target).collect::<Vec<_>>()
    };

    let claimed = claim(&store, 1000).await;
    let by_other = claim_by_other().await;
    store.advance(store.policy.lease - SLACK).await;
    let too_early = claim_by_other().await;
    store.advance(SLACK).await;
    let after_its_loss = claim_by_other().await;

    assert_eq!(claimed, [leftovers(&earlier), leftovers(&later)]);
    assert_eq!([by_other, too_early], [[], []], "claimed by the first");
    assert_eq!(after_its_loss, claimed, "the first node was lost");
}

pub async fn a_claimed_sweep_that_is_completed_does_not_come_again(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.fail(&job, quality_issue()).await;

    let queue = &store.sweep_queue;
    let claimed = queue.claim_sweeps(1000, store.policy.lease).await;
    for sweep in claimed.expect("the store works") {
        let completed = queue.complete_sweep(sweep.id).await;
        completed.expect("the store works");
    }
    store.advance(store.policy.lease + SLACK).await;

    assert_eq!(claim(&store, 1000).await, []);
}

pub async fn nodes_that_claim_at_once_get_each_sweep_once(store: StoreUnderTest) {
    const JOBS: usize = 20;
    for _ in 0..JOBS {
        let job = store.running_job().await;
        store.fail(&job, quality_issue()).await;
    }
    let lease = store.policy.lease;
    let mut nodes = JoinSet::new();
    for _ in 0..3 {
        let node = store.open_node().await;
        nodes.spawn(async move { claim_all(&*node, lease).await });
    }

    let claimed: Vec<Vec<i64>> = nodes.join_all().await;

    let mut claimed = claimed.concat();
    claimed.sort_unstable();
    let all = claimed.len();
    claimed.dedup();
    assert_eq!((claimed.len(), all), (JOBS, JOBS));
}

/// Claims a few at a time until there are none.
async fn claim_all(node: &dyn Store, lease: Duration) -> Vec<i64> {
    let mut ids = Vec::new();
    loop {
        let claimed = node.claim_sweeps(3, lease).await.expect("the store works");
        if claimed.is_empty() {
            return ids;
        }
        ids.extend(claimed.iter().map(|sweep| sweep.id));
    }
}

/// Claims for a lease.
async fn claim(store: &StoreUnderTest, limit: u32) -> Vec<SweepTarget> {
    let claimed = store
        .sweep_queue
        .claim_sweeps(limit, store.policy.lease)
        .await;
    let claimed = claimed.expect("the store works").into_iter();
    claimed.map(|sweep| sweep.target).collect()
}

/// One of them failed a moment after the other.
async fn two_failed_jobs(store: &StoreUnderTest) -> (Job, Job) {
    let earlier = store.running_job().await;
    let later = store.running_job().await;
    store.fail(&earlier, quality_issue()).await;
    store.tick().await;
    store.fail(&later, quality_issue()).await;
    (earlier, later)
}

async fn swept_now_and_after_the_lease(store: &StoreUnderTest, job: &Job) {
    let target = leftovers(job);
    let now = store.due_targets().await;
    store.sweep_all().await;
    store.advance(store.policy.lease).await;
    let too_early = store.due_targets().await;
    store.advance(store.policy.lease).await;
    let later = store.due_targets().await;

    assert!(now.contains(&target), "{now:?}");
    assert!(!too_early.contains(&target), "{too_early:?}");
    assert!(later.contains(&target), "{later:?}");
}

fn leftovers(job: &Job) -> SweepTarget {
    SweepTarget::JobLeftovers {
        user_id: job.user_id,
        job_id: job.id,
    }
}

async fn kept(store: &StoreUnderTest, job: &Job) -> Option<i64> {
    let kept = store.sweep_queue.epoch_to_keep(job.id).await;
    kept.expect("the store works")
}
