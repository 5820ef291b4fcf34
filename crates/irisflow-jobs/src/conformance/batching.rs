//! Jobs that were submitted together, watched and cancelled as one.

use super::StoreUnderTest;
use super::store_under_test::{fence, quality_issue};
use crate::{
    Batch, BatchCounts, BatchId, Checkpoint, Job, JobFilter, PageRequest, Priority, UserId,
};

pub async fn a_batch_holds_its_jobs_in_the_order_given(store: StoreUnderTest) {
    let user_id = store.user().await;
    let begun = store.now().await;
    let jobs = batch_of(&store, user_id, 3).await;
    store.queue(user_id).await;

    let batch = read(&store, &jobs[0]).await.expect("it is known");

    assert_eq!((batch.size, batch.jobs), (3, jobs));
    store.assert_between(begun, batch.created_at).await;
}

pub async fn the_progress_of_a_batch_never_goes_back(store: StoreUnderTest) {
    let user_id = store.user().await;
    let jobs = batch_of(&store, user_id, 3).await;
    let mut seen = Vec::new();
    let mut look = async || {
        if let Some(batch) = read(&store, &jobs[0]).await {
            seen.push(batch.progress());
        }
    };

    look().await;
    let running = store.claim().await;
    store.reach(&running, &[Checkpoint::EnhancingBegun]).await;
    look().await;
    store.fail(&running, quality_issue()).await;
    look().await;
    let second = store.claim().await;
    store.finish(&second).await;
    look().await;
    store.delete(&second).await;
    look().await;
    store.cancel(&jobs[2]).await;
    look().await;

    assert_eq!(seen, [0, 23, 33, 66, 66, 100]);
}

pub async fn cancelling_a_batch_cancels_what_has_not_ended(store: StoreUnderTest) {
    let user_id = store.user().await;
    let jobs = batch_of(&store, user_id, 3).await;
    let other = store.queue_as(user_id, Priority::Default).await;
    let done = store.claim().await;
    store.finish(&done).await;
    let running = store.claim().await;

    let cancelled = store
        .job_commands
        .cancel_batch(user_id, batch_id(&jobs[0]))
        .await;

    let batch = cancelled.expect("the store works").expect("it is known");
    let expected = BatchCounts {
        completed: 1,
        processing: 1,
        cancelled: 1,
        ..BatchCounts::default()
    };
    assert_eq!(batch.counts(), expected);
    assert_eq!(store.notifications.cancelled_attempts(), [fence(&running)]);
    assert_eq!(store.read(&other).await, Some(other));
}

pub async fn a_foreign_or_unknown_batch_is_none(store: StoreUnderTest) {
    let user_id = store.user().await;
    let jobs = batch_of(&store, user_id, 2).await;
    let stranger = store.user().await;

    for (user_id, batch_id) in [
        (stranger, batch_id(&jobs[0])),
        (user_id, BatchId::generate()),
    ] {
        let shown = store.job_reader.batch(user_id, batch_id).await;
        let cancelled = store.job_commands.cancel_batch(user_id, batch_id).await;
        assert_eq!(shown.expect("the store works"), None);
        assert_eq!(cancelled.expect("the store works"), None);
    }
    assert_eq!(read(&store, &jobs[0]).await.map(|b| b.jobs), Some(jobs));
}

pub async fn a_batch_goes_with_the_last_of_its_jobs(store: StoreUnderTest) {
    let jobs = batch_of(&store, store.user().await, 2).await;

    store.delete(&jobs[0]).await;
    let half = read(&store, &jobs[0]).await;
    store.delete(&jobs[1]).await;

    assert_eq!(half.map(|batch| batch.counts().deleted), Some(1));
    assert_eq!(read(&store, &jobs[0]).await, None);
}

pub async fn jobs_are_listed_by_batch(store: StoreUnderTest) {
    let user_id = store.user().await;
    let jobs = batch_of(&store, user_id, 2).await;
    batch_of(&store, user_id, 3).await;

    let filter = JobFilter {
        batch_id: jobs[0].batch_id,
        ..JobFilter::default()
    };
    let page = PageRequest {
        page: 1,
        page_size: 10,
    };
    let listed = store.job_reader.jobs(user_id, filter, page).await;

    let listed = listed.expect("the store works");
    assert_eq!(listed.total, 2);
    assert!(listed.items.iter().all(|job| jobs.contains(job)));
}

async fn batch_of(store: &StoreUnderTest, user_id: UserId, size: usize) -> Vec<Job> {
    let batch_id = Some(BatchId::generate());
    let mut new = Vec::new();
    for _ in 0..size {
        let mut job = store.new_job(user_id, Priority::Default).await;
        job.batch_id = batch_id;
        new.push(job);
    }
    store.queue_all(new).await
}

async fn read(store: &StoreUnderTest, job: &Job) -> Option<Batch> {
    let batch = store.job_reader.batch(job.user_id, batch_id(job)).await;
    batch.expect("the store works")
}

fn batch_id(job: &Job) -> BatchId {
    job.batch_id.expect("it is of a batch")
}
