//! Queueing: all jobs or none, each with its first event.

use super::StoreUnderTest;
use crate::{
    Background, Enqueued, EventKind, JobState, NewJob, Outline, PhotoId, PictureOptions,
    PictureSize, Preset, Priority, Submission, UserId,
};

pub async fn a_new_job_is_pending_and_due_at_once(store: StoreUnderTest) {
    let user_id = store.user().await;
    let begun = store.now().await;
    let job = store.queue(user_id).await;

    assert_eq!(job.state, JobState::Pending);
    assert_eq!((job.epoch, job.attempt_count, job.progress), (0, 0, 0));
    assert_eq!(job.run_at, job.created_at);
    store.assert_between(begun, job.run_at).await;
}

pub async fn jobs_come_back_in_the_order_given(store: StoreUnderTest) {
    let user_id = store.user().await;
    let mut new = Vec::new();
    for _ in 0..5 {
        new.push(store.new_job(user_id, Priority::Default).await);
    }
    new.reverse();

    let queued = store.queue_all(new.clone()).await;

    let given: Vec<_> = new.iter().map(|new| new.id).collect();
    let returned: Vec<_> = queued.iter().map(|job| job.id).collect();
    assert_eq!(returned, given);
}

pub async fn the_options_of_the_picture_stay_with_the_job(store: StoreUnderTest) {
    let user_id = store.user().await;
    let options = PictureOptions {
        outline: Some(Outline::Visible),
        size: PictureSize::Auto,
        background: Background::Transparent,
        preset: Preset::Vivid,
    };
    let new = NewJob {
        options,
        ..store.new_job(user_id, Priority::High).await
    };

    let queued = store.queue_all(vec![new]).await;
    let claimed = store.claim().await;

    assert_eq!(queued[0].options, options);
    assert_eq!(claimed.options, options);
    assert_eq!(claimed.as_queued().options, options);
}

pub async fn each_queued_job_logs_that_it_is_queued(store: StoreUnderTest) {
    let user_id = store.user().await;
    let new = vec![
        store.new_job(user_id, Priority::High).await,
        store.new_job(user_id, Priority::High).await,
    ];

    let queued = store.queue_all(new).await;

    for (job, seq) in queued.iter().zip(1..) {
        let events = store.events(job).await;
        let seen: Vec<_> = events
            .iter()
            .map(|event| (event.seq, event.kind, event.body.status.as_str()))
            .collect();
        assert_eq!(seen, [(seq, EventKind::Queued, "pending")]);
    }
}

pub async fn one_unknown_photo_queues_none_of_the_jobs(store: StoreUnderTest) {
    let user_id = store.user().await;
    let good = store.new_job(user_id, Priority::High).await;
    let mut bad = store.new_job(user_id, Priority::High).await;
    bad.photo_id = PhotoId::generate();

    the_photo_is_missing(&store, bad.photo_id, vec![good, bad]).await;
    nothing_was_queued(&store, user_id).await;
}

pub async fn a_job_of_a_foreign_photo_is_not_queued(store: StoreUnderTest) {
    let user_id = store.user().await;
    let good = store.new_job(user_id, Priority::High).await;
    let mut bad = store.new_job(user_id, Priority::High).await;
    bad.photo_id = store.photo(store.user().await).await;

    the_photo_is_missing(&store, bad.photo_id, vec![good, bad]).await;
    nothing_was_queued(&store, user_id).await;
}

pub async fn a_job_of_a_photo_deleted_meanwhile_is_not_queued(store: StoreUnderTest) {
    let job = store.running_job().await;
    let again = NewJob {
        photo_id: job.photo_id,
        ..store.new_job(job.user_id, Priority::High).await
    };
    store.delete_photo_of(&job).await;

    the_photo_is_missing(&store, job.photo_id, vec![again]).await;
}

pub async fn one_job_of_an_unknown_user_queues_none_of_the_jobs(store: StoreUnderTest) {
    let user_id = store.user().await;
    let good = store.new_job(user_id, Priority::High).await;
    let mut bad = store.new_job(user_id, Priority::High).await;
    bad.user_id = UserId::generate();

    the_photo_is_missing(&store, bad.photo_id, vec![good, bad]).await;
    nothing_was_queued(&store, user_id).await;
}

async fn the_photo_is_missing(store: &StoreUnderTest, photo_id: PhotoId, jobs: Vec<NewJob>) {
    let enqueued = store.job_commands.enqueue(Submission::of(jobs)).await;
    let enqueued = enqueued.expect("the store works");
    assert_eq!(enqueued, Enqueued::PhotoMissing(photo_id));
}

async fn nothing_was_queued(store: &StoreUnderTest, user_id: UserId) {
    assert_eq!(store.try_claim().await, None, "no job waits");
    assert_eq!(
        store.last_seq(user_id).await,
        Some(0),
        "no event was logged"
    );
    assert_eq!(
        store.notifications.events(),
        [],
        "no event was notifications"
    );
    assert_eq!(store.job_leases.next_due().await.expect("read"), None);
}
