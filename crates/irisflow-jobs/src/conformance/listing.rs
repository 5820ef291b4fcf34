//! What an owner reads of jobs, and that a stranger reads nothing.

use super::StoreUnderTest;
use super::store_under_test::{fence, quality_issue, recorded, storage_unavailable};
use crate::{
    BatchId, Checkpoint, JobFilter, JobId, Page, PageRequest, Priority, StatusFilter, UserId,
};

pub async fn a_job_is_read_as_it_was_written(store: StoreUnderTest) {
    let user_id = store.user().await;
    let mut new = store.new_job(user_id, Priority::Default).await;
    new.batch_id = Some(BatchId::generate());
    let queued = store.queue_all(vec![new]).await;
    assert_eq!(store.read(&queued[0]).await.as_ref(), queued.first());

    let claimed = store.claim().await;
    assert_eq!(store.read(&claimed).await, Some(claimed.clone()));

    store.tick().await;
    let reached = store.reach(&claimed, &[Checkpoint::EnhancingDone]).await;
    assert_eq!(store.read(&claimed).await, Some(reached));

    let done = store.finish(&claimed).await;
    assert_eq!(store.read(&claimed).await, Some(done));
}

pub async fn a_foreign_or_unknown_job_is_none(store: StoreUnderTest) {
    let job = store.running_job().await;
    let stranger = store.user().await;

    for (user_id, job_id) in [(stranger, job.id), (job.user_id, JobId::generate())] {
        let read = store.job_reader.job(user_id, job_id).await;
        assert_eq!(read.expect("the store works"), None);
    }
}

pub async fn jobs_are_listed_newest_first(store: StoreUnderTest) {
    let user_id = store.user().await;
    let mut queued = queue_some(&store, user_id, 4).await;

    let listed = list(&store, user_id, JobFilter::default(), 1, 10).await;

    queued.reverse();
    assert_eq!((listed.total, ids(&listed)), (4, queued));
}

pub async fn pages_part_the_list_without_overlap(store: StoreUnderTest) {
    let user_id = store.user().await;
    let mut queued = queue_some(&store, user_id, 5).await;

    let mut paged = Vec::new();
    for page in 1..=3 {
        let listed = list(&store, user_id, JobFilter::default(), page, 2).await;
        assert_eq!(listed.total, 5);
        paged.push(ids(&listed));
    }

    queued.reverse();
    let sizes: Vec<usize> = paged.iter().map(Vec::len).collect();
    assert_eq!((sizes, paged.concat()), (vec![2, 2, 1], queued));
}

pub async fn a_page_past_the_end_is_empty_and_knows_the_total(store: StoreUnderTest) {
    let user_id = store.user().await;
    queue_some(&store, user_id, 3).await;

    let listed = list(&store, user_id, JobFilter::default(), 9, 20).await;

    assert_eq!((listed.total, ids(&listed)), (3, vec![]));
}

pub async fn a_filter_shows_the_jobs_of_one_status(store: StoreUnderTest) {
    let user_id = store.user().await;
    let mut claimed = Vec::new();
    queue_some(&store, user_id, 5).await;
    for _ in 0..4 {
        claimed.push(store.claim().await);
    }
    store.finish(&claimed[0]).await;
    store.fail(&claimed[1], quality_issue()).await;
    recorded(store.job_leases.record_cancelled(fence(&claimed[2])).await);

    for (only, status) in [
        (StatusFilter::Pending, "pending"),
        (StatusFilter::Processing, "processing"),
        (StatusFilter::Completed, "completed"),
        (StatusFilter::Failed, "failed"),
        (StatusFilter::Cancelled, "cancelled"),
    ] {
        let filter = JobFilter {
            status: Some(only),
            ..JobFilter::default()
        };
        let listed = list(&store, user_id, filter, 1, 10).await;
        let statuses: Vec<_> = listed.items.iter().map(|job| job.state.status()).collect();
        assert_eq!((listed.total, statuses), (1, vec![status]));
    }
}

pub async fn a_job_between_two_attempts_is_listed_as_processing(store: StoreUnderTest) {
    let job = store.running_job().await;
    store.fail(&job, storage_unavailable()).await;

    let filter = JobFilter {
        status: Some(StatusFilter::Processing),
        ..JobFilter::default()
    };
    let listed = list(&store, job.user_id, filter, 1, 10).await;

    assert_eq!((listed.total, ids(&listed)), (1, vec![job.id]));
}

pub async fn foreign_jobs_are_not_listed(store: StoreUnderTest) {
    store.running_job().await;
    let stranger = store.user().await;

    let listed = list(&store, stranger, JobFilter::default(), 1, 10).await;

    assert_eq!((listed.total, ids(&listed)), (0, vec![]));
}

async fn queue_some(store: &StoreUnderTest, user_id: UserId, count: usize) -> Vec<JobId> {
    let mut queued = Vec::new();
    for _ in 0..count {
        queued.push(store.queue(user_id).await.id);
        store.tick().await;
    }
    queued
}

async fn list(
    store: &StoreUnderTest,
    user_id: UserId,
    filter: JobFilter,
    page: u32,
    page_size: u32,
) -> Page<crate::Job> {
    let page = PageRequest { page, page_size };
    let listed = store.job_reader.jobs(user_id, filter, page).await;
    listed.expect("the store works")
}

fn ids(page: &Page<crate::Job>) -> Vec<JobId> {
    page.items.iter().map(|job| job.id).collect()
}
