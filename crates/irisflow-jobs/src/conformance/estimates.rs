//! The inputs of estimates: the order of the queue, the capacity of workers, the times of finished jobs.

use super::StoreUnderTest;
use super::store_under_test::{result_of, storage_unavailable, stored_photo};
use crate::{
    Job, JobId, OwnPlace, Priority, QueueOrder, QueuePlace, StepTimes, UserId, WorkerCapacity,
    WorkerId,
};

pub async fn the_first_in_line_has_nobody_ahead(store: StoreUnderTest) {
    let job = store.queue(store.user().await).await;
    let place = place(&store, &job).await;
    assert_eq!(ahead(place), Some((0, 0)));
    assert_eq!(place.map(|place| place.run_at), Some(job.run_at));
}

pub async fn jobs_of_the_same_user_that_go_first_are_counted(store: StoreUnderTest) {
    let user_id = store.user().await;
    let default = store.queue_as(user_id, Priority::Default).await;
    store.tick().await;
    let high = store.queue(user_id).await;
    store.tick().await;
    let later = store.queue(user_id).await;

    assert_eq!(ahead(place(&store, &high).await), Some((0, 0)));
    assert_eq!(ahead(place(&store, &later).await), Some((1, 0)));
    assert_eq!(ahead(place(&store, &default).await), Some((2, 0)));
}

/// The places are compared with the order in which the jobs are then claimed: by as many workers as there
/// are jobs, so that none is finished before the last is claimed.
pub async fn users_take_turns_in_the_count_as_in_the_queue(store: StoreUnderTest) {
    let (one, other) = (store.user().await, store.user().await);
    let mut jobs = Vec::new();
    for user_id in [one, one, one, other, other] {
        jobs.push(store.queue(user_id).await);
        store.tick().await;
    }
    let estimated = estimated_order(&store, &jobs).await;

    let mut claimed = Vec::new();
    for _ in 0..5 {
        claimed.push(store.claim().await.id);
    }

    assert_eq!(estimated, claimed);
}

/// The same with one worker, which finishes each job before it claims the next, and users who have been
/// served before.
pub async fn users_go_round_in_the_count_as_in_the_queue(store: StoreUnderTest) {
    let users = [
        store.user().await,
        store.user().await,
        store.user().await,
        store.user().await,
    ];
    for user_id in [users[2], users[0], users[1]] {
        store.queue(user_id).await;
        let job = store.claim().await;
        store.finish(&job).await;
    }
    let mut jobs = Vec::new();
    for index in [0, 0, 1, 0, 1, 2, 1, 0, 3, 2] {
        jobs.push(store.queue(users[index]).await);
        store.tick().await;
    }
    let estimated = estimated_order(&store, &jobs).await;

    let mut claimed = Vec::new();
    for _ in 0..jobs.len() {
        let job = store.claim().await;
        claimed.push(job.id);
        store.finish(&job).await;
    }

    assert_eq!(estimated, claimed);
}

/// Of each kind that a user's jobs can be of: high, default, default that counts as high, and not due yet.
pub async fn the_jobs_of_one_user_are_listed_as_they_are_claimed(store: StoreUnderTest) {
    let user_id = store.user().await;
    for _ in 0..3 {
        store.queue_as(user_id, Priority::Default).await;
        store.tick().await;
    }
    store.advance(store.policy.ageing).await;
    let failing = store.claim().await;
    store.fail(&failing, storage_unavailable()).await;
    for priority in [Priority::Default, Priority::High, Priority::High] {
        store.queue_as(user_id, priority).await;
        store.tick().await;
    }

    let listed = waiting(&store, user_id).await;
    let mut places = Vec::new();
    for job_id in &listed {
        let place = store.queue_reader.own_place(user_id, *job_id).await;
        places.push(place.expect("the store works").map(|place| place.ahead));
    }
    let mut claimed = Vec::new();
    while let Some(job) = store.try_claim().await {
        claimed.push(job.id);
    }
    claimed.push(failing.id);

    assert_eq!(listed, claimed);
    assert_eq!(places, (0..6).map(Some).collect::<Vec<_>>());
}

pub async fn a_flood_of_one_user_does_not_count_for_another(store: StoreUnderTest) {
    let (flooding, patient) = (store.user().await, store.user().await);
    for _ in 0..20 {
        store.queue(flooding).await;
    }
    store.claim().await;
    store.tick().await;
    let single = store.queue(patient).await;

    assert_eq!(ahead(place(&store, &single).await), Some((0, 0)));
}

pub async fn a_job_that_does_not_wait_has_no_place(store: StoreUnderTest) {
    let job = store.running_job().await;
    assert_eq!(place(&store, &job).await, None);
    store.finish(&job).await;
    assert_eq!(place(&store, &job).await, None);

    let waiting = store.queue(store.user().await).await;
    let stranger = store.queue_reader.own_place(job.user_id, waiting.id).await;
    assert_eq!(stranger.expect("the store works"), None);
}

pub async fn workers_count_while_they_are_heard_of(store: StoreUnderTest) {
    let (one, other) = (WorkerId::generate(), WorkerId::generate());
    report(&store, one, 3).await;
    report(&store, other, 1).await;
    store.running_job().await;
    let both = worker_capacity(&store).await;

    store.advance(store.policy.lease).await;
    report(&store, one, 2).await;
    store.advance(store.policy.lease).await;
    let silent = worker_capacity(&store).await;
    let gone = store.worker_registry.remove_worker(one).await;
    gone.expect("the store works");

    let running = 1;
    assert_eq!(both, WorkerCapacity { slots: 4, running });
    assert_eq!(silent, WorkerCapacity { slots: 2, running });
    assert_eq!(
        worker_capacity(&store).await,
        WorkerCapacity { slots: 0, running }
    );
}

pub async fn a_finished_job_tells_what_its_steps_took(store: StoreUnderTest) {
    let job = store.running_job().await;
    let photo = stored_photo();
    let pixels = u64::from(photo.width_px) * u64::from(photo.height_px);
    store.take_in(job.user_id, job.photo_id).await;

    store.finish(&job).await;
    store.delete(&job).await;

    let times = store
        .queue_reader
        .step_times(10)
        .await
        .expect("the store works");
    let ms = result_of(&job).step_ms;
    assert_eq!(times, [StepTimes { pixels, ms }], "they outlive the job");
}

async fn place(store: &StoreUnderTest, job: &Job) -> Option<QueuePlace> {
    let own = own_place(store, job).await?;
    let users = store
        .queue_reader
        .queued_users()
        .await
        .expect("the store works");
    QueueOrder::of(users).place(job.user_id, own, store.now().await)
}

async fn own_place(store: &StoreUnderTest, job: &Job) -> Option<OwnPlace> {
    let place = store.queue_reader.own_place(job.user_id, job.id).await;
    place.expect("the store works")
}

async fn waiting(store: &StoreUnderTest, user_id: UserId) -> Vec<JobId> {
    let jobs = store.queue_reader.waiting_jobs(user_id).await;
    let jobs = jobs.expect("the store works").into_iter();
    jobs.map(|job| job.id).collect()
}

/// The jobs in the order of their places, each of which is held by one job.
async fn estimated_order(store: &StoreUnderTest, jobs: &[Job]) -> Vec<JobId> {
    let mut places = Vec::new();
    for job in jobs {
        let (own, others) = ahead(place(store, job).await).expect("it waits");
        places.push((own + others, job.id));
    }
    places.sort_unstable();
    let positions: Vec<u32> = places.iter().map(|(position, _)| *position).collect();
    let all = 0..u32::try_from(jobs.len()).expect("few jobs");
    assert_eq!(positions, all.collect::<Vec<_>>());
    places.into_iter().map(|(_, job_id)| job_id).collect()
}

/// Own jobs and those of others.
fn ahead(place: Option<QueuePlace>) -> Option<(u32, u32)> {
    place.map(|place| (place.own_ahead, place.others_ahead))
}

async fn report(store: &StoreUnderTest, worker: WorkerId, slots: u32) {
    let reported = store.worker_registry.report_worker(worker, slots).await;
    reported.expect("the store works");
}

async fn worker_capacity(store: &StoreUnderTest) -> WorkerCapacity {
    store
        .queue_reader
        .worker_capacity()
        .await
        .expect("the store works")
}
