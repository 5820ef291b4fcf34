//! How much there is.

use super::StoreUnderTest;
use super::store_under_test::{quality_issue, result_of, storage_unavailable, stored_photo};
use crate::{QueueStatistics, Usage, UserId};

pub async fn an_empty_queue_counts_nothing(store: StoreUnderTest) {
    assert_eq!(queue(&store).await, QueueStatistics::default());
}

pub async fn waiting_and_running_jobs_of_all_users_are_counted(store: StoreUnderTest) {
    store.queue(store.user().await).await;
    store.queue(store.user().await).await;
    store.queue(store.user().await).await;
    store.claim().await;

    let standing = queue(&store).await;

    assert_eq!((standing.waiting, standing.running), (2, 1));
}

pub async fn the_oldest_due_job_says_since_when(store: StoreUnderTest) {
    let user_id = store.user().await;
    let begun = store.now().await;
    store.queue(user_id).await;
    let queued = store.now().await;
    store.tick().await;
    store.queue(store.user().await).await;

    let oldest = queue(&store).await.oldest_due_since;
    let oldest = oldest.expect("one is due");
    assert!(begun <= oldest && oldest <= queued, "{oldest:?}");
}

pub async fn a_job_that_waits_for_its_retry_is_not_due(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.fail(&job, storage_unavailable()).await;

    let standing = queue(&store).await;

    assert_eq!((standing.waiting, standing.oldest_due_since), (1, None));
}

pub async fn the_bytes_of_photos_that_were_taken_in_are_a_users(store: StoreUnderTest) {
    let user_id = store.user().await;
    let photo_id = store.photo(user_id).await;
    store.photo(user_id).await;
    store.take_in(user_id, photo_id).await;

    assert_eq!(
        usage(&store, user_id).await.photo_bytes,
        stored_photo().size_bytes + stored_photo().thumbnail_bytes.unwrap_or(0)
    );
    assert_eq!(usage(&store, store.user().await).await, Usage::default());
}

pub async fn the_bytes_of_results_are_a_users(store: StoreUnderTest) {
    let job = store.running_job().await;
    assert_eq!(usage(&store, job.user_id).await.result_bytes, 0);

    store.finish(&job).await;

    let result_bytes = result_of(&job).stored_bytes;
    let usage = usage(&store, job.user_id).await;
    assert_eq!(usage.result_bytes, result_bytes);
    assert_eq!(usage.stored_bytes(), result_bytes);
}

pub async fn unfinished_jobs_are_a_users_until_they_end(store: StoreUnderTest) {
    let user_id = store.user().await;
    store.queue(user_id).await;
    let running = store.claim().await;
    store.queue(user_id).await;
    let before = usage(&store, user_id).await.unfinished_jobs;

    store.fail(&running, quality_issue()).await;

    assert_eq!(
        (before, usage(&store, user_id).await.unfinished_jobs),
        (2, 1)
    );
}

async fn queue(store: &StoreUnderTest) -> QueueStatistics {
    store.statistics.queue().await.expect("the store works")
}

async fn usage(store: &StoreUnderTest, user_id: UserId) -> Usage {
    store
        .statistics
        .usage(user_id)
        .await
        .expect("the store works")
}
