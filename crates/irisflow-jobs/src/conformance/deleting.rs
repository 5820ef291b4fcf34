//! Deleting one job: it is gone at once, its worker may write no more, and nothing names it in the end.

use super::StoreUnderTest;
use super::store_under_test::fence;
use crate::{Checkpoint, EventKind, JobId, Renewal, SweepTarget};

pub async fn a_deleted_job_is_gone_and_its_photo_stays(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.finish(&job).await;

    assert!(store.delete(&job).await);

    assert_eq!(store.read(&job).await, None);
    assert_eq!(store.kinds(&job).await, [EventKind::Deleted]);
    let photo = store.photos.photo(job.user_id, job.photo_id).await;
    assert!(
        photo.expect("the store works").is_some(),
        "it was not asked for"
    );
    assert!(!store.delete(&job).await, "there is none any more");
}

pub async fn a_deleted_waiting_job_is_not_claimed(store: StoreUnderTest) {
    let job = store.queue(store.user().await).await;
    store.delete(&job).await;

    assert_eq!(store.try_claim().await, None);
    assert_eq!(
        store.job_leases.next_due().await.expect("the store works"),
        None
    );
}

pub async fn the_worker_of_a_deleted_job_is_fenced_off_and_told(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.reach(&job, &[Checkpoint::EnhancingBegun]).await;

    store.delete(&job).await;

    let renewal = store.job_leases.renew(fence(&job)).await;
    assert_eq!(renewal.expect("the store works"), Renewal::Lost);
    assert_eq!(store.notifications.cancelled_attempts(), [fence(&job)]);
}

pub async fn a_deleted_job_is_swept_now_and_when_its_worker_must_be_gone(store: StoreUnderTest) {
    let job = store.running_job().await;
    let target = SweepTarget::JobLeftovers {
        user_id: job.user_id,
        job_id: job.id,
    };

    store.delete(&job).await;
    let now = store.due_targets().await;
    store.sweep_all().await;
    store.advance(store.policy.lease).await;
    let too_early = store.due_targets().await;
    store.advance(store.policy.lease).await;
    let later = store.due_targets().await;

    assert_eq!(
        (now, too_early, later),
        (vec![target], vec![], vec![target])
    );
    let kept = store.sweep_queue.epoch_to_keep(job.id).await;
    assert_eq!(kept.expect("the store works"), None);
}

pub async fn a_deleted_job_leaves_no_trace_after_its_last_sweep(store: StoreUnderTest) {
    let job = store.running_job().await;
    let other = store.queue(job.user_id).await;
    store.delete(&job).await;
    store.sweep_all().await;
    let before = store.kinds(&job).await;

    store.advance(store.policy.lease * 2).await;
    store.sweep_all().await;

    assert_eq!(before, [EventKind::Deleted], "there is a sweep to come");
    assert_eq!(store.events(&job).await, []);
    assert_eq!(store.kinds(&other).await, [EventKind::Queued]);
}

pub async fn deleting_a_foreign_or_unknown_job_changes_nothing(store: StoreUnderTest) {
    let job = store.running_job().await;
    let stranger = store.user().await;

    for (user_id, job_id) in [(stranger, job.id), (job.user_id, JobId::generate())] {
        let deleted = store.job_commands.delete_job(user_id, job_id).await;
        assert!(!deleted.expect("the store works"), "there is none");
    }

    assert_eq!(store.read(&job).await, Some(job));
    assert_eq!(store.due_targets().await, [], "nothing is swept");
}
